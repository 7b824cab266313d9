/* Known by construction: 40 loads and 20 stores of `word`. */
    .section .bss, "aw", @nobits
    .balign 4
    .global word
    .type word, @object
    .size word, 4
word:
    .space 4

    .text
    .literal_position
    .global main
    .type main, @function
    .balign 4
main:
    entry a1, 32
    movi a2, word
    movi a3, 0          /* what is expected */
    movi a4, 10
1:  wsr.scompare1 a3
    addi a5, a3, 1
    s32c1i a5, a2, 0    /* stores */
    movi a5, 9
    s32c1i a5, a2, 0    /* finds 1 more than expected, and stores nothing */
    l32ai a3, a2, 0
    s32ri a3, a2, 0
    .byte 0x42, 0x72, 0 /* DHWB of a2: writes the cache back */
    l32i.n a3, a2, 0
    addi a4, a4, -1
    bnez a4, 1b
    movi a2, 0
    retw
    .size main, . - main
