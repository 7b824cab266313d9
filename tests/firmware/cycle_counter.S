@ Reads DWT's CYCCNT, and counts between the reads the instructions that the comments tell.
    .syntax unified
    .thumb
    .global main
    .type main, %function
    .thumb_func
main:
    push {r4, r5, r6, r7, r8, lr}
    bl emu_yield
    ldr r7, =0xE0001000
    ldr r6, =differences
    movs r0, #0
    str r0, [r7, #4]        @ nothing counts yet
    ldr r4, [r7, #4]
    str r4, [r6, #0]        @ 0
    movs r0, #1
    str r0, [r7, #0]        @ counts from here on
    ldr r4, [r7, #4]
    str r4, [r6, #4]        @ 1: STR itself
    ldr r4, [r7, #4]
    ldr r5, [r7, #4]
    subs r0, r5, r4
    str r0, [r6, #8]        @ 1
    ldr r4, [r7, #4]
    nop
    nop.w
    nop
    ldr r5, [r7, #4]
    subs r0, r5, r4
    str r0, [r6, #12]       @ 4
    ldr r4, [r7, #4]
    movs r1, #10
1:  subs r1, #1
    bne 1b
    ldr r5, [r7, #4]
    subs r0, r5, r4
    str r0, [r6, #16]       @ 1 + 1 + 20
    bl conditional
    str r0, [r6, #20]       @ 3: LDR, CMP, ITTEE; emulators may not know it to the instruction
    ldr r4, [r7, #4]
    ldrd r2, r3, [r7, #0]   @ CTRL and CYCCNT
    subs r0, r3, r4
    str r0, [r6, #24]       @ 1
    movs r1, #5
    movs r3, #0
2:  ldr r4, [r7, #4]        @ a block that begins with the read, and is its own successor
    subs r2, r4, r3
    mov r3, r4
    subs r1, #1
    bne 2b
    str r2, [r6, #28]       @ 5
    ldr r0, [r7, #4]
    bl callee               @ another read, in a function
    subs r0, r1, r0
    str r0, [r6, #32]       @ 2: LDR, BL
    bl emu_yield
    movs r0, #0
    pop {r4, r5, r6, r7, r8, pc}
    .pool
    .size main, . - main

    .type callee, %function
    .thumb_func
callee:
    ldr r1, [r7, #4]
    bx lr
    .size callee, . - callee

    .type conditional, %function
    .thumb_func
conditional:
    ldr r4, [r7, #4]
    cmp r4, r4
    ittee eq
    ldreq r5, [r7, #4]
    subeq r0, r5, r4
    movne r0, #99
    movne r5, #99
    movs r1, #0
    cmp r1, #0
    it eq
    streq r1, [r7, #4]      @ the counter begins again
    ldr r5, [r7, #4]
    cmp r5, #20
    it hi
    movhi r0, #98
    bx lr
    .size conditional, . - conditional

    .bss
    .align 2
    .global differences
    .type differences, %object
    .size differences, 36
differences:
    .space 36
