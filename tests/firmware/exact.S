/* Known by construction: main runs exactly 7 + 4 * 1000 instructions and holds 64 bytes of stack. */
    .syntax unified
    .thumb
    .text
    .global main
    .type main, %function
main:
    push {r4, lr}
    sub sp, #56
    movw r0, #1000
1:  nop
    nop
    subs r0, #1
    bne 1b
    movs r0, #0
    add sp, #56
    nop
    pop {r4, pc}
    .size main, . - main
