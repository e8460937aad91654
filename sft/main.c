/* rlhf-sft CONFIG [--set section.key=value]... [--resume] [--dry-run]: fine-tuning, or with --pretrain the
   config's pre-training. */
#include <stdio.h>
#include <string.h>

#include "core/base/signal.h"
#include "core/base/waiting.h"
#include "sft/sft.h"

static const char *const NEEDED_SFT[] = {"run", "sft.train", NULL};
static const char *const NEEDED_PRETRAIN[] = {"run", "pretrain.train", NULL};

int main(int argc, char **argv) {
    waiting_make_passive(argv);
    int pretrain = argc > 1 && strcmp(argv[1], "--pretrain") == 0;
    struct config_options command = {0};
    struct config config = {0};
    error err = {0};
    if (pretrain) {
        argv[1] = argv[0];
        argv++, argc--;
    }
    signal_install();
    status s = config_load(argc, argv, pretrain ? CONFIG_OF_PRETRAIN : CONFIG_OF_SFT,
                           pretrain ? NEEDED_PRETRAIN : NEEDED_SFT, &command, &config, &err);
    if (s == STATUS_OK && !command.help) {
        stage_options options = {.resume = command.resume, .dry_run = command.dry_run};
        s = sft_run(&config, pretrain ? &config.pretrain : &config.sft, &options, &err);
    }
    if (s != STATUS_OK) fprintf(stderr, "rlhf-sft: %s\n", err.message);
    config_free(&command, &config);
    return status_exit_code(s);
}
