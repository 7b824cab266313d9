/* The two handlers that give another task the core: PendSV, and SVC, which starts the first task. */
    .syntax unified
    .thumb
    .text

    .global pend_sv
    .type pend_sv, %function
    .thumb_func
pend_sv:
    mrs r0, psp
    tst lr, #0x10            /* a task that has used the FPU has more registers to keep */
    it eq
    vstmdbeq r0!, {s16-s31}
    stmdb r0!, {r4-r11, lr}
    ldr r1, =running
    ldr r1, [r1]
    str r0, [r1]
    bl choose_task
    /* and on */
    .size pend_sv, . - pend_sv

    .global sv_call
    .type sv_call, %function
    .thumb_func
sv_call:
    ldr r1, =running
    ldr r1, [r1]
    ldr r0, [r1]
    ldmia r0!, {r4-r11, lr}
    tst lr, #0x10
    it eq
    vldmiaeq r0!, {s16-s31}
    msr psp, r0
    bx lr
    .size sv_call, . - sv_call
