/* rlhf/eval: looking at models from outside: what they think of texts, and which answers better. */
#ifndef RLHF_RLHF_EVAL_H
#define RLHF_RLHF_EVAL_H

#include "core/base/error.h"

/* The commands, as in rlhf/commands.h; argv[0] is "logprobs", "winrate", ... */
status eval_logprobs_command(int argc, char **argv, error *err);
status eval_perplexity_command(int argc, char **argv, error *err);
status eval_choices_command(int argc, char **argv, error *err);
status eval_winrate_command(int argc, char **argv, error *err);

#endif
