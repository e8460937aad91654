/* core/base/random: everything random is a counter. Philox4x32-10 (Salmon et al. 2011), keyed by seed,
   purpose, round and step, counting sequence id, position and block; so a number does not depend on what was
   drawn before it. */
#ifndef RLHF_BASE_RANDOM_H
#define RLHF_BASE_RANDOM_H

#include <stddef.h>
#include <stdint.h>

/* What a stream is for. Values are part of the file formats: never renumber. */
typedef enum random_purpose {
    RANDOM_INIT = 1,    /* weights: step = index of the parameter, sequence id = element / 4 */
    RANDOM_SHUFFLE = 2, /* order of examples: step = epoch; in a mixture: pass over the file x files + file */
    RANDOM_DROPOUT = 3, /* step = optimizer step (micro-batches share it: sequence ids differ) */
    RANDOM_SAMPLE = 4,  /* tokens: sequence id = prompt x K + k, block = vocabulary id / 4 */
    RANDOM_MINIBATCH = 5,   /* PPO's permutation: step = iteration x epochs + epoch */
    RANDOM_PROMPTS = 6,     /* order of PPO's prompts: step = pass over the prompts */
    RANDOM_LABELLER = 7,    /* noise of a simulated labeller: sequence id = task, block = slot */
    RANDOM_SHOWN = 8,       /* order in which answers are shown: sequence id = task, position = labeller */
    RANDOM_HEAD = 9,        /* score heads */
    RANDOM_DEMO = 10,       /* the demo's generated texts */
    RANDOM_MIXTURE = 11,    /* which file of a mixture an example comes from: step = epoch */
    RANDOM_EVALUATE = 12,   /* tokens of answers that only evaluate: as RANDOM_SAMPLE */
    RANDOM_PTX = 13,        /* order of pre-training examples mixed into PPO */
    RANDOM_SHARES = 14,     /* whose answers to a prompt are ranked: an order of prompts */
    RANDOM_ADAPTER = 15,    /* LoRA's A: step = index of the parameter, sequence id = element / 4 */
    RANDOM_SHOTS = 16,      /* examples of a few-shot prompt: sequence id = question, position = place */
    RANDOM_SAMPLE_SFT = 17, /* tokens of the SFT model's share of a round: as RANDOM_SAMPLE */
    RANDOM_TEST = 99,
} random_purpose;

typedef struct random_key {
    uint32_t word[2];
} random_key;

/* The first 64 bits of Philox(key = seed, counter = (purpose, round, step, 0)). */
random_key random_make_key(uint64_t seed, random_purpose purpose, uint32_t round, uint32_t step);

/* Philox(key, counter = (sequence_id lo, sequence_id hi, position, block)). */
void random_block(random_key key, uint64_t sequence_id, uint32_t position, uint32_t block, uint32_t out[4]);

/* (x >> 9) + 1/2 in units of 2^-23: in (0, 1), never either end, exact in f32. */
float random_uniform(uint32_t x);

/* Standard normal numbers, four to a block (Box-Muller in f64): out[i] comes from the counter of sequence id
   i / 4. n floats. */
void random_normal(random_key key, size_t n, float *out);

/* A whole number in [0, n), n > 0, without bias worth naming (64-bit multiply). */
uint64_t random_below(random_key key, uint64_t sequence_id, uint32_t position, uint64_t n);

/* A permutation of 0 .. n-1 (Fisher-Yates; swap i draws counter sequence id i). */
void random_permutation(random_key key, int n, int32_t *out);

#endif
