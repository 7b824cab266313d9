/* Known by construction: how often each instruction runs, and which function called which. */
    .syntax unified
    .thumb
    .text
    .macro function name
    .global \name
    .type \name, %function
\name:
    .endm

function main
    push {r4, lr}       /* main */
    movs r0, #3
    bl counts_down
    bl jumps_on
    ldr r4, =leaf
    blx r4
    bl enters_sideways
    bl sometimes_calls
    pop {r4, pc}
    .size main, . - main

function counts_down
    push {r4, lr}       /* four times */
    cbz r0, 1f
    subs r0, #1         /* three times */
    bl counts_down
1:  pop {r4, pc}
    .size counts_down, . - counts_down

function sometimes_calls
    push {r4, lr}
    movs r4, #1
1:  cmp r4, #0
    it ne
    blne leaf           /* taken at first; then LR is still what it left behind */
    subs r4, #1
    bpl 1b
    pop {r4, pc}
    .size sometimes_calls, . - sometimes_calls

function jumps_on
    nop
    b leaf
    .size jumps_on, . - jumps_on

function leaf
    nop                 /* thrice */
    nop
    bx lr
    .size leaf, . - leaf

function enters_sideways
    nop
    b 1f
    .size enters_sideways, . - enters_sideways

function never_entered
    nop                 /* never */
1:  movs r0, #0         /* sideways */
    bx lr
    .size never_entered, . - never_entered
