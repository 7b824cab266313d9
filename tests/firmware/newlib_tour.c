/* A tour of the C library: printing, parsing, sorting, allocating, copying, long jumps; main returns 0 if all is right. */
#include <ctype.h>
#include <math.h>
#include <setjmp.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

struct reading {
    char name[12];
    float value;
    uint8_t flags;
};

static volatile int wrong;
static jmp_buf out;

__attribute__((noipa)) static void expect(int right, int line)
{
    if (!right && wrong == 0) wrong = line;
}
#define EXPECT(condition) expect((condition) != 0, __LINE__)

__attribute__((noipa)) static int by_value(const void *left, const void *right)
{
    const struct reading *a = left, *b = right;
    return (a->value > b->value) - (a->value < b->value);
}

__attribute__((noipa)) static void numbers(void)
{
    char text[160], word[16];
    float single;
    double value;
    int whole;
    unsigned hexadecimal;
    EXPECT(sprintf(text, "%8.3f|%-10s|%+d|%x|%g|%e", 3.14159, "left", 42, 0xbeefu, 1e-5, 12345.678) == 47);
    EXPECT(sscanf("17 0x1f 2.5 -1e3 words", "%d %x %f %lf %15s", &whole, &hexadecimal, &single, &value, word) == 5);
    EXPECT(whole == 17 && hexadecimal == 31 && single == 2.5f && value == -1000.0 && strcmp(word, "words") == 0);
    EXPECT(strtod("6.02214076e23", NULL) > 6e23 && strtof("0.1", NULL) == 0.1f && strtol("-077", NULL, 0) == -63);
    EXPECT(atof("1e-3") == 0.001 && atoi("123") == 123 && fabs(sin(1.0) * sin(1.0) + cos(1.0) * cos(1.0) - 1) < 1e-12);
    EXPECT(snprintf(NULL, 0, "%5.1f%%", 99.9) == 6);
    printf("%s %c %5u %.3g\n", text, 'c', 7u, pow(2.0, 0.5));
    puts(text);
}

__attribute__((noipa)) static void sorting(void)
{
    struct reading readings[33], wanted;
    for (int i = 0; i < 33; i++) {
        snprintf(readings[i].name, sizeof readings[i].name, "r%d", i);
        readings[i].value = (float)(i * 17 % 33);
        readings[i].flags = (uint8_t)i;
    }
    qsort(readings, 33, sizeof readings[0], by_value);
    wanted.value = 5.0f;
    const struct reading *found = bsearch(&wanted, readings, 33, sizeof readings[0], by_value);
    EXPECT(found == &readings[5]);
    for (int i = 0; i < 33; i++) EXPECT(readings[i].value == (float)i);
}

__attribute__((noipa)) static void blocks(void)
{
    char *kept[20] = {0};
    for (int i = 0; i < 200; i++) {
        int slot = rand() % 20;
        size_t size = 1 + (size_t)(rand() % 300);
        if (rand() & 1) {
            kept[slot] = realloc(kept[slot], size);
            memset(kept[slot], slot, size);
        } else {
            free(kept[slot]);
            kept[slot] = calloc(size, 1);
            EXPECT(kept[slot][size - 1] == 0);
        }
    }
    for (int i = 0; i < 20; i++) free(kept[i]);
}

__attribute__((noipa)) static void texts(void)
{
    char text[64] = "alpha,beta;gamma", *rest;
    char *copy = strdup(text);
    EXPECT(strcmp(strtok_r(text, ",;", &rest), "alpha") == 0 && strcmp(strtok_r(NULL, ",;", &rest), "beta") == 0);
    EXPECT(strchr(copy, ';') == copy + 10 && strrchr(copy, 'a') == copy + 15 && strstr(copy, "gam") == copy + 11);
    EXPECT(strspn(copy, "ahlp") == 5 && strncmp(copy, "alpine", 3) == 0 && strlen(copy) == 16);
    strncpy(text, copy, 12);
    memmove(text + 3, text, 20);
    strcat(strcpy(text, "end"), " of it");
    EXPECT(memchr(text, 'o', 9) == text + 4 && memcmp(text, "end of it", 10) == 0 && toupper(text[0]) == 'E');
    free(copy);
}

__attribute__((noipa)) static void dive(int depth)
{
    volatile char bytes[40];
    bytes[depth] = (char)depth;
    if (depth == 9) longjmp(out, depth);
    if (depth < 20) dive(depth + 1);
    EXPECT(bytes[depth] == 100); /* nobody comes here */
}

__attribute__((noipa)) static void jumping(void)
{
    volatile int rounds = 0;
    int depth = setjmp(out);
    if (depth == 0 || rounds < 3) {
        rounds++;
        dive(0);
    }
    EXPECT(depth == 9 && rounds == 3);
}

__attribute__((noipa)) static void dates(void)
{
    time_t then = 1700000000;
    struct tm parts;
    char text[32];
    gmtime_r(&then, &parts);
    EXPECT(strftime(text, sizeof text, "%Y-%m-%d %H:%M:%S", &parts) == 19);
    EXPECT(strcmp(text, "2023-11-14 22:13:20") == 0);
}

int main(void)
{
    srand(7);
    for (int round = 0; round < 3; round++) numbers(), sorting(), blocks(), texts(), jumping(), dates();
    return wrong;
}
