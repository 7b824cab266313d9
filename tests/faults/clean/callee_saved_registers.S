@ Registers that hold nothing yet are saved and restored, and a byte of a stale one is stored into an empty frame.
    .syntax unified
    .thumb

    .text
    .thumb_func
    .global main
    .type main, %function
main:
    push {r4-r11, lr}
    vpush {d8-d15}
    sub sp, #12
    strb r4, [sp, #5]
    str r5, [sp]
    stmdb sp!, {r6-r9}
    bl leaf
    ldmia sp!, {r6-r9}
    ldr r5, [sp], #12
    vpop {d8-d15}
    movs r0, #0
    pop {r4-r11, pc}
    .size main, . - main

    .thumb_func
    .type leaf, %function
leaf:
    push {r3, r4, r5, lr}   @ r3 only for the alignment
    eor r4, r4, r4
    sub r5, r5, r5
    cbnz r4, wrong
    cmp r5, #0
    bne wrong
    pop {r3, r4, r5, pc}
wrong:
    b wrong
    .size leaf, . - leaf
