/* rlhf/tokenizer: training a tokenizer, into a directory or not, for the command and for rounds. */
#ifndef RLHF_RLHF_TOKENIZER_H
#define RLHF_RLHF_TOKENIZER_H

#include "core/base/error.h"
#include "core/base/log.h"
#include "core/text/tokenizer.h"

/* Trains on the files' texts; *n_text: how many there are. Else as tokenizer_make. */
status tokenizer_of_files(const char *const *files, int n_file, const char *separator, int max_bad, int vocab,
                          const char *chat_template, logger *log, tokenizer **out, size_t *n_text,
                          error *err);
/* Trains on the files' texts and writes DIRECTORY whole or not at all. chat_template: "plain" or "chatml",
   whose control tokens the tokenizer then has. */
status tokenizer_make(const char *const *files, int n_file, const char *separator, int max_bad, int vocab,
                      const char *chat_template, const char *directory, logger *log, error *err);

#endif
