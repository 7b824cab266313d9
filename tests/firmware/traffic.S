/* Known by construction, from one emu_yield to the next: 2 loads from flash (the literals), 30 loads from and 10 stores
 * to AXI, 8 stores of single-precision registers to SRAM1, 4 pushed and 4 popped words in DTCM. */
    .syntax unified
    .thumb
    .text
    .global main
    .type main, %function
main:
    bl emu_yield
    push {r4-r7}
    ldr r1, =0x24001000
    movs r0, #10
1:  ldr r2, [r1]
    ldrb r3, [r1, #5]
    ldrh r3, [r1, #6]
    strb r2, [r1, #9]
    subs r0, #1
    bne 1b
    ldr r1, =0x30000100
    vstmia r1, {s0-s7}
    pop {r4-r7}
    bl emu_yield
    b .
    .size main, . - main
