#include "rlhf/eval.h"

#include <stdio.h>
#include <string.h>

#include "rlhf/commands.h"

static const char USAGE[] =
    "usage: rlhf eval logprobs MODEL FILE ...   log-probability of every token of texts\n"
    "       rlhf eval perplexity MODEL FILE...  how well a model predicts whole documents\n"
    "       rlhf eval choices MODEL... FILE     multiple choice, with or without examples\n"
    "       rlhf eval winrate A B ...           how often A answers better than B\n"
    "  rlhf eval COMMAND --help tells more.";

status eval_command(int argc, char **argv, error *err) {
    if (argc >= 2 && strcmp(argv[1], "--help") == 0) return puts(USAGE), STATUS_OK;
    if (argc >= 2 && strcmp(argv[1], "logprobs") == 0) return eval_logprobs_command(argc - 1, argv + 1, err);
    if (argc >= 2 && strcmp(argv[1], "choices") == 0) return eval_choices_command(argc - 1, argv + 1, err);
    if (argc >= 2 && strcmp(argv[1], "perplexity") == 0)
        return eval_perplexity_command(argc - 1, argv + 1, err);
    if (argc >= 2 && strcmp(argv[1], "winrate") == 0) return eval_winrate_command(argc - 1, argv + 1, err);
    if (argc < 2) return error_set(err, STATUS_USAGE, "eval: which command?\n%s", USAGE);
    return error_set(err, STATUS_USAGE, "eval: no command \"%s\"\n%s", argv[1], USAGE);
}
