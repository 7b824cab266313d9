/* Two functions of libm, because emu's firmware links no libm. GCC calls them for a Cortex-M4; a Cortex-M7 has instructions. */

float fmaxf(float x, float y);
float fminf(float x, float y);

float fmaxf(float x, float y) { return x > y || y != y ? x : y; }
float fminf(float x, float y) { return x < y || y != y ? x : y; }
