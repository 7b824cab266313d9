/* Known by construction: how often each instruction runs of code that goes through the end of a 1 KB page, which is the
 * unit in which an emulator translates code.
 */
    .syntax unified
    .thumb
    .text
    .macro at_page_end name, before
    .balign 1024
    .space 1024 - \before
    .global \name
    .type \name, %function
\name:
    .endm

    .global main
    .type main, %function
main:
    push {r4, lr}
    movs r4, #100
1:  bl goes_through     /* main calls */
    bl runs_on
    bl wide_before
    bl wide_across
    subs r4, #1
    bne 1b
    movs r0, #0
    pop {r4, pc}
    .size main, . - main

at_page_end goes_through, 8
    movs r0, #1         /* first */
    movs r1, #2         /* second */
    movs r2, #3         /* before the last */
    movs r3, #4         /* the page's last halfword */
    bx lr               /* next page */
    .size goes_through, . - goes_through

at_page_end runs_on, 6
    movs r0, #1
    movs r1, #2
    nop                 /* runs on */
    .size runs_on, . - runs_on

    .global follows
    .type follows, %function
follows:
    movs r3, #4         /* follows */
    bx lr
    .size follows, . - follows

at_page_end wide_before, 6
    mul r0, r0, r1      /* wide before the last */
    movs r1, #2
    bx lr
    .size wide_before, . - wide_before

at_page_end wide_across, 6
    movs r1, #2
    movs r0, #1         /* before wide */
    mul r0, r0, r1      /* wide across */
    bx lr
    .size wide_across, . - wide_across
