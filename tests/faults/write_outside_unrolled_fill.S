@ A fill loop in assembly, unrolled by four words, rounds the count up: a buffer of ten words gets twelve.
    .syntax unified
    .thumb
    .global __stack_limit
    .set __stack_limit, 0x2001f000 @ 4 KB

#ifdef FAULT
#define WORDS 10
#else
#define WORDS 8
#endif

    .bss
    .balign 32
    .type taps, %object
taps: .space 40
    .size taps, . - taps

    .text
    .thumb_func
    .type fill, %function
fill: @ r0: address, r1: words, r2: value
    push {r4, lr}
    mov r3, r2
    mov r4, r2
    mov r12, r2
1:  stmia r0!, {r2, r3, r4, r12} /* FAULT: write_outside_objects */
    subs r1, #4
    bgt 1b
    pop {r4, pc}
    .size fill, . - fill

    .thumb_func
    .global main
    .type main, %function
main:
    push {r3, lr}
    ldr r0, =taps
    movs r1, #WORDS
    movs r2, #0
    bl fill
    movs r0, #0
    pop {r3, pc}
    .size main, . - main
