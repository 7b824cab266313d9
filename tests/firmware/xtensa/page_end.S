/* Known by construction: how often each instruction runs of code that goes through the end of a 4 KB page, which is the
 * unit in which an emulator translates code.
 */
    .text
    .macro at_page_end name, before
    .balign 4096
    .space 4096 - \before
    .global \name
    .type \name, @function
\name:
    .endm

    .literal_position
    .global main
    .type main, @function
    .balign 4
main:
    entry a1, 32
    movi a3, 100
1:  call8 goes_through  /* main calls */
    call8 crosses
    addi a3, a3, -1
    bnez a3, 1b
    movi a2, 0
    retw
    .size main, . - main

at_page_end goes_through, 12
    entry a1, 32        /* first */
    movi a2, 1          /* second */
    movi a3, 2          /* third */
    movi a4, 3          /* the page's last bytes */
    retw                /* next page */
    .size goes_through, . - goes_through

at_page_end crosses, 8
    entry a1, 32
    movi a2, 1          /* before the page's end */
    movi a3, 2          /* across */
    retw
    .size crosses, . - crosses
