#include "core/base/random.h"

#include <math.h>

static void philox_round(uint32_t c[4], const uint32_t k[2]) {
    uint64_t p0 = (uint64_t)0xD2511F53u * c[0], p1 = (uint64_t)0xCD9E8D57u * c[2];
    uint32_t c1 = c[1], c3 = c[3];
    c[0] = (uint32_t)(p1 >> 32) ^ c1 ^ k[0];
    c[1] = (uint32_t)p1;
    c[2] = (uint32_t)(p0 >> 32) ^ c3 ^ k[1];
    c[3] = (uint32_t)p0;
}

static void philox4x32_10(const uint32_t key[2], uint32_t c[4]) {
    uint32_t k[2] = {key[0], key[1]};
    for (int i = 0; i < 10; i++) {
        philox_round(c, k);
        k[0] += 0x9E3779B9u;
        k[1] += 0xBB67AE85u;
    }
}

random_key random_make_key(uint64_t seed, random_purpose purpose, uint32_t round, uint32_t step) {
    uint32_t key[2] = {(uint32_t)seed, (uint32_t)(seed >> 32)};
    uint32_t c[4] = {(uint32_t)purpose, round, step, 0};
    philox4x32_10(key, c);
    return (random_key){{c[0], c[1]}};
}

void random_block(random_key key, uint64_t sequence_id, uint32_t position, uint32_t block, uint32_t out[4]) {
    out[0] = (uint32_t)sequence_id;
    out[1] = (uint32_t)(sequence_id >> 32);
    out[2] = position;
    out[3] = block;
    philox4x32_10(key.word, out);
}

float random_uniform(uint32_t x) { return ((float)(x >> 9) + 0.5f) * 0x1p-23f; }

void random_normal(random_key key, size_t n, float *out) {
    for (size_t i = 0; i < n; i += 4) {
        uint32_t x[4];
        random_block(key, i / 4, 0, 0, x);
        for (size_t j = 0; j < 4 && i + j < n; j += 2) {
            double radius = sqrt(-2.0 * log((x[j] + 0.5) * 0x1p-32));
            double angle = 6.283185307179586 * ((x[j + 1] + 0.5) * 0x1p-32);
            out[i + j] = (float)(radius * cos(angle));
            if (i + j + 1 < n) out[i + j + 1] = (float)(radius * sin(angle));
        }
    }
}

uint64_t random_below(random_key key, uint64_t sequence_id, uint32_t position, uint64_t n) {
    uint32_t x[4];
    random_block(key, sequence_id, position, 0, x);
    uint64_t bits = (uint64_t)x[1] << 32 | x[0];
    return (uint64_t)(((unsigned __int128)bits * n) >> 64);
}

void random_permutation(random_key key, int n, int32_t *out) {
    for (int i = 0; i < n; i++) out[i] = i;
    for (int i = n - 1; i > 0; i--) {
        int j = (int)random_below(key, (uint64_t)i, 0, (uint64_t)i + 1);
        int32_t swap = out[i];
        out[i] = out[j];
        out[j] = swap;
    }
}
