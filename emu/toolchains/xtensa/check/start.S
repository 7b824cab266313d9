/* From reset to check(), and its result to QEMU. Calls are too few for the register windows to overflow. */

    .text
    .literal_position
    .global _start
_start:
    movi    a0, 0
    wsr.windowbase a0
    rsync
    movi    a2, 1
    wsr.windowstart a2
    movi    a2, (1 << 18) | 0x20 /* PS: window overflows on, user mode */
    wsr.ps  a2
    movi    a2, 1                /* coprocessor 0 is the FPU */
    wsr.cpenable a2
    rsync
    movi    a1, stack_end
    movi    a4, check
    callx4  a4
    mov     a3, a6
    movi    a2, 1                /* exit(a3) */
    simcall 0

    .bss
    .balign 16
    .space 4096
stack_end:
