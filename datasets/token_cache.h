/* datasets/token_cache: files of examples tokenised once and kept in a directory (data.cache), mapped from
   then on: memory stays flat however many examples there are. A file of the cache is named by the SHA-256 of
   all that its records depend on: the examples' own bytes, the tokenizer, the template, and how examples are
   read; so stages and runs can share the directory, and it can be removed at any time. One that is damaged,
   cut or another's is made anew with a word in the log. */
#ifndef RLHF_DATASETS_TOKEN_CACHE_H
#define RLHF_DATASETS_TOKEN_CACHE_H

#include "datasets/token_file.h"

/* The examples of a file: from o->cache, where they are put if they are not there; without a cache in memory.
   Bad lines are counted and reported either way. Programs that fill the cache wait for each other.
   STATUS_DATA and STATUS_INTERRUPTED as tokenise_file; STATUS_FAILED: the directory or the disk. */
status token_cache_read(const data_options *o, loss_kind loss, const char *path, token_file *out, error *err);

#endif
