/* The decay e^x of the selective scan, x = dt A <= 0, without the table if no x of the channel and time step is far from 0.
 *
 *     CUBIC      x >= -0.0600     state += state q(x),             q(x) = x + c2 x^2 + c3 x^3
 *     QUARTIC    x >= -0.3505     state += state q(x / 2), twice,  q(x) = x + c2 x^2 + c3 x^3 + c4 x^4
 *     EIGHTH     x >= -1.0585     q(x / 8), eight times: (1 + q)^2 = 1 + (2 q + q^2), and again, leaves two times
 *     otherwise                   exp2_decay()
 *
 * Each q is the best approximation of e^x - 1 whose slope at 0 is exact, so that a slow decay keeps its rate. The decay is at
 * most 1e-8 off.
 */
#ifndef MAMBA_TIERS_H
#define MAMBA_TIERS_H

/* The largest dt of a tier, as a share of dt_limit, at which x = -7900 * ln 2 / 64. */
#define CUBIC_SHARE   0x1.70031cp-11f
#define QUARTIC_SHARE 0x1.0c8084p-8f
#define EIGHTH_SHARE  0x1.956788p-7f

/* x / (dt rate), x / 2 / (dt rate), x / 8 / (dt rate) */
#define CUBIC_SCALE   0x1.62e430p-7f
#define QUARTIC_SCALE 0x1.62e430p-8f
#define EIGHTH_SCALE  0x1.62e430p-10f

/* The coefficients of q. */
#define CUBIC_C2 0x1.ffe9b2p-2f
#define CUBIC_C3 0x1.4d767ep-3f
#define QUARTIC_C2 0x1.fffc98p-2f
#define QUARTIC_C3 0x1.549c02p-3f
#define QUARTIC_C4 0x1.3cb152p-5f
#define EIGHTH_C2 0x1.fffe82p-2f
#define EIGHTH_C3 0x1.54ea2ep-3f
#define EIGHTH_C4 0x1.42884ep-5f

#endif
