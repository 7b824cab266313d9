/* What libm gives where there is one; only the FPU of a Cortex-M4 calls for it, that of a Cortex-M7 has instructions. */

float fmaxf(float x, float y);
float fminf(float x, float y);

float fmaxf(float x, float y) { return x > y || y != y ? x : y; }
float fminf(float x, float y) { return x < y || y != y ? x : y; }
