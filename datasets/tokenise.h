/* datasets/tokenise: a file of examples, JSONL (.gz too) or documents (.txt), as token records. */
#ifndef RLHF_DATASETS_TOKENISE_H
#define RLHF_DATASETS_TOKENISE_H

#include "datasets/token_file.h"

/* Adds every example of the file, of all splits. A document longer than o->max_length becomes several
   records, each with a split of its own unless its line gives one; another example that is too long is a bad
   line, or cut at its end when o->cut. An example without a target is a bad line. JSONL is streamed: no more
   than a line is held. STATUS_DATA: too many bad lines, a file that cannot be read. STATUS_INTERRUPTED: a
   signal came. */
status tokenise_file(const data_options *o, loss_kind loss, const char *path, token_writer *out, error *err);

#endif
