/* tests/support/speaking_model: small model directories with a tokenizer of bytes, for commands that take
 * one. */
#ifndef RLHF_TESTS_SPEAKING_MODEL_H
#define RLHF_TESTS_SPEAKING_MODEL_H

#include <stdint.h>

/* Writes a Llama of random weights (seed) into the directory, which it makes. Id 0 is <|endoftext|>, with
   chatml 1 and 2 are <|im_start|> and <|im_end|>; the 256 bytes follow in the alphabet's order. */
void make_speaking_model(const char *directory, const char *chat_template, int context, uint64_t seed);
/* The same with a score head in the place of the language head. */
void make_reward_model(const char *directory, const char *chat_template, int context, uint64_t seed);

#endif
