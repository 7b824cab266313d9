/* Mistakes that show in several instructions; RUNS calls one of them. Marks name the lines. */
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

static volatile uint32_t sink;
static uint8_t incoming[32];

__attribute__((noipa)) static void keep(const volatile void *memory) { __asm__ volatile("" ::"r"(memory) : "memory"); }

/* A string that was freed decides a branch. */
__attribute__((noipa, unused)) static void measures_a_freed_text(void)
{
    char *text = malloc(12);
    strcpy(text, "hello world");
    free(text);
    keep(text);
    if (strlen(text) > 3) sink++; /* measures_a_freed_text */
}

/* The end of a string that nobody has set decides a branch. */
__attribute__((noipa, unused)) static void measures_an_unset_text(void)
{
    char *text = malloc(12);
    text[0] = 'h';
    keep(text);
    if (strlen(text) > 3) sink++; /* measures_an_unset_text */
}

/* New bytes since last time: a counter has gone past 0, and the length is negative, and unsigned. */
__attribute__((noipa)) static void receive(uint8_t *line, uint16_t before, uint16_t now)
{
    uint16_t length = (uint16_t)(before - now);
    memcpy(line, incoming + sizeof incoming - before, length); /* receive */
    sink = length;
}

__attribute__((noipa, unused)) static void receives_too_much(void)
{
    uint8_t *line = malloc(32);
    receive(line, 10, 30);
    keep(line);
}

struct tensor {
    float *data;
    uint32_t bytes;
    int32_t kind;
};

__attribute__((noipa)) static void *nothing(void) { return NULL; }

__attribute__((noipa)) static volatile struct tensor *make_tensor(int32_t kind, uint32_t bytes)
{
    volatile struct tensor *tensor = nothing();
    tensor->kind = kind; /* make_tensor */
    tensor->bytes = bytes;
    tensor->data = NULL;
    return tensor;
}

__attribute__((noipa, unused)) static void makes_a_tensor_of_nothing(void) { keep(make_tensor(2, 16)); }

/* Two mistakes in one function: each block has its own. */
__attribute__((noipa, unused)) static void misses_two_blocks(void)
{
    volatile uint8_t *one = malloc(8), *other = malloc(16);
    one[8] = 1;    /* one */
    other[16] = 1; /* other */
    keep(one), keep(other);
}

/* One instruction reads behind a block, and later in a block that was freed. */
__attribute__((noipa)) static void count_byte(const uint8_t *byte) { sink += *byte; /* count_byte */ }

__attribute__((noipa, unused)) static void counts_missed_and_freed_bytes(void)
{
    uint8_t *missed = malloc(8), *freed = malloc(32);
    memset(missed, 1, 8), memset(freed, 1, 32);
    free(freed);
    count_byte(missed + 8), count_byte(freed + 16), count_byte(freed + 16);
}

/* One call of memcpy copies too much behind a block, and later into a block that was freed. */
static uint8_t source[64];
static volatile uint32_t copied = 16;

__attribute__((noipa)) static void put(uint8_t *to)
{
    memcpy(to, source, copied); /* put */
    sink = 1;
}

__attribute__((noipa, unused)) static void copies_to_small_and_freed(void)
{
    uint8_t *small = malloc(8), *between = malloc(64), *freed = malloc(32);
    free(freed); /* free */
    put(small), put(freed), put(small);
    keep(between);
}

/* One call writes over the blocks behind its own, of which one was freed. */
__attribute__((noipa, unused)) static void copies_over_its_neighbours(void)
{
    uint8_t *own = malloc(8), *between = malloc(8), *freed = malloc(8);
    keep(freed);
    free(freed);
    copied = 40;
    put(own);
    keep(between);
}

/* Two variables that nobody set are two mistakes, too. */
__attribute__((noipa)) static void set_nothing(volatile uint32_t *memory) { keep(memory); }

__attribute__((noipa, unused)) static void forgets_two_locals(void)
{
    volatile uint32_t one, other;
    set_nothing(&one), set_nothing(&other);
    if (one == 3) sink++;   /* first local */
    if (other == 3) sink++; /* second local */
}

/* A buffer that was freed goes back into a queue. */
struct packet {
    struct packet *next;
    uint16_t length;
    uint8_t bytes[22];
};
static struct packet *volatile head;

__attribute__((noipa)) static void push_front(struct packet *packet)
{
    *(struct packet *volatile *)&packet->next = head; /* push_front */
    head = packet;
}

__attribute__((noipa)) static struct packet *transmit(struct packet *packet)
{
    free(packet);
    return packet;
}

__attribute__((noipa, unused)) static void queues_what_was_freed(void)
{
    push_front(transmit(malloc(sizeof(struct packet))));
}

/* A checksum over its own place, which nobody has set, goes out. */
__attribute__((noipa)) static void put_byte(uint8_t byte)
{
    *(volatile uint32_t *)0x40011028u = byte; /* put_byte */
}

__attribute__((noipa)) static uint8_t fold(const uint8_t *bytes, unsigned count)
{
    uint8_t sum = 0x5a;
    for (unsigned i = 0; i < count; i++) sum = (uint8_t)((sum << 1) ^ (sum >> 7) ^ bytes[i]); /* fold */
    return sum;
}

__attribute__((noipa, unused)) static void sends_a_frame(void)
{
    uint8_t *frame = malloc(24);
    for (unsigned i = 0; i < 7; i++) frame[i] = (uint8_t)i;
    frame[7] = fold(frame, 8);
    for (unsigned i = 0; i < 8; i++) put_byte(frame[i]);
    free(frame);
}

/* Floats at an odd address: LDR works there, and VLDR does not. */
static const struct {
    uint8_t files;
    uint8_t model[16];
} flash = {1, {0, 0, 0x80, 0x3f, 0, 0, 0x80, 0x3f, 0, 0, 0x80, 0x3f, 0, 0, 0x80, 0x3f}};

__attribute__((noipa)) static float weighted(const float *weights)
{
    float sum = 0;
    for (unsigned i = 0; i < 4; i++) sum += weights[i]; /* weighted */
    return sum;
}

__attribute__((noipa, unused)) static void casts_bytes_to_floats(void)
{
    sink = weighted((const void *)flash.model) == 4.0f;
}

/* Far after the last variable, beyond any stack. */
__attribute__((section(".noinit"), used)) static volatile uint8_t last[32];

__attribute__((noipa, unused)) static void misses_the_last_variable(unsigned index)
{
    last[index] = 1; /* misses_the_last_variable */
}

int main(void)
{
    RUNS;
    return 0;
}
