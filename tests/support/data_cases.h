/* tests/support/data_cases: a tokenizer of single bytes, and data files written for a test. */
#ifndef RLHF_TESTS_DATA_CASES_H
#define RLHF_TESTS_DATA_CASES_H

#include "datasets/example.h"

/* One id for each byte behind the three control tokens <|endoftext|> (0), <|im_start|> (1), <|im_end|> (2).
 */
tokenizer *bytes_tokenizer(void);
/* How data is read with it: chat is "plain" or "chatml"; bad lines end the reading after `most`. */
data_options bytes_options(const tokenizer *tok, const char *chat, int max_length, bad_lines *bad);

/* The ids must read as this text, in which control tokens stand by name. */
void expect_ids(const tokenizer *tok, const int32_t *ids, int n, const char *text);

/* Writes the text as a file of that name and returns its path, which lives as path_in's does. */
const char *data_file(const char *directory, const char *name, const char *text);

#endif
