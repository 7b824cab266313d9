/* printf, snprintf and strtod of floats, and qsort: the parts of the library with the most intricate memory use. */
#include <math.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const char *const inputs[] = {"3.14159265358979", "-2.5e-7", "1e300", "0.1", "  42 ", "inf", "0x1p-3"};
static volatile int wrong;

__attribute__((noipa)) static int by_value(const void *left, const void *right)
{
    double a = *(const double *)left, b = *(const double *)right;
    return (a > b) - (a < b);
}

int main(void)
{
    double numbers[7];
    char text[96], small[16];
    for (int i = 0; i < 7; i++) numbers[i] = strtod(inputs[i], NULL);
    qsort(numbers, 7, sizeof numbers[0], by_value);
    for (int i = 0; i < 7; i++) {
        printf("%d: %f %g %-12s %5.2e\n", i, isinf(numbers[i]) ? 0.0 : numbers[i] / 1e290, numbers[i], inputs[i],
               (double)(float)i);
        snprintf(text, sizeof text, "%.6g|%08lx|%c|%5s", numbers[i], (unsigned long)i, 'a' + i, "end");
        snprintf(small, sizeof small, "%.5g", 1.0 / (i + 1));
        if (strtod(small, NULL) > 1.0 || strlen(text) < 17) wrong++;
    }
    return wrong;
}
