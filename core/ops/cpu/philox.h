/* core/ops/cpu/philox: sixteen blocks of core/base/random.h's counter at a time, the same numbers. Plain
   loops over lanes, which compilers turn into vectors. */
#ifndef RLHF_OPS_CPU_PHILOX_H
#define RLHF_OPS_CPU_PHILOX_H

#include "core/base/random.h"

enum { PHILOX_LANES = 16, PHILOX_NUMBERS = 4 * PHILOX_LANES };

/* uniform[4 j + w] = random_uniform of word w of random_block(key, sequence_id, position, block + j). */
static inline void philox_uniform(random_key key, uint64_t sequence_id, uint32_t position, uint32_t block,
                                  float uniform[PHILOX_NUMBERS]) {
    uint32_t c[4][PHILOX_LANES], k0 = key.word[0], k1 = key.word[1];
    for (int j = 0; j < PHILOX_LANES; j++) {
        c[0][j] = (uint32_t)sequence_id;
        c[1][j] = (uint32_t)(sequence_id >> 32);
        c[2][j] = position;
        c[3][j] = block + (uint32_t)j;
    }
    for (int i = 0; i < 10; i++) {
        for (int j = 0; j < PHILOX_LANES; j++) {
            uint64_t p0 = (uint64_t)0xD2511F53u * c[0][j], p1 = (uint64_t)0xCD9E8D57u * c[2][j];
            c[0][j] = (uint32_t)(p1 >> 32) ^ c[1][j] ^ k0;
            c[1][j] = (uint32_t)p1;
            c[2][j] = (uint32_t)(p0 >> 32) ^ c[3][j] ^ k1;
            c[3][j] = (uint32_t)p0;
        }
        k0 += 0x9E3779B9u;
        k1 += 0xBB67AE85u;
    }
    for (int w = 0; w < 4; w++)
        for (int j = 0; j < PHILOX_LANES; j++)
            uniform[4 * j + w] = ((float)(int32_t)(c[w][j] >> 9) + 0.5f) * 0x1p-23f;
}

#endif
