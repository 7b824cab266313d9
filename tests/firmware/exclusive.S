/* Known by construction: 30 loads from and 30 stores to AXI; with -DFAILING also 20 exclusive stores, which store nothing. */
    .syntax unified
    .thumb
    .text
    .global main
    .type main, %function
main:
    ldr r1, =0x24001000
    movs r0, #10
1:  ldrex r2, [r1]
    strex r3, r2, [r1]
    ldrexb r2, [r1]
    strexb r3, r2, [r1]
    ldrexh r2, [r1]
    strexh r3, r2, [r1]
#ifdef FAILING
    strex r3, r2, [r1]      /* nothing is reserved any more */
    ldr r4, =0xe000ed00     /* CPUID, in no memory of the board */
    ldrex r2, [r4]
    clrex
    strexh r3, r2, [r1]
#endif
    subs r0, #1
    bne 1b
    bx lr
    .size main, . - main
