/* tests/support/sine_model: the Llama of tests/golden/choices.py, whose weights follow from their names. */
#ifndef RLHF_TESTS_SINE_MODEL_H
#define RLHF_TESTS_SINE_MODEL_H

/* Writes the model directory, which it makes: one block, context 64, the 256 bytes and <|endoftext|> = 0. */
void make_sine_model(const char *directory);

#endif
