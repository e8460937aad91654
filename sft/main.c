/* rlhf-sft CONFIG [--pretrain] [--resume] [--dry-run] [--set section.key=value]...: fine-tuning, or with
   --pretrain the config's pre-training. */
#include <string.h>

#include "sft/sft.h"

static const char *const NEEDED_SFT[] = {"run", "sft.train", NULL};
static const char *const NEEDED_PRETRAIN[] = {"run", "pretrain.train", NULL};

/* Which section is read must be known before the command line is. */
static bool asks_to_pretrain(int argc, char **argv) {
    for (int i = 1; i < argc; i++)
        if (strcmp(argv[i], "--pretrain") == 0) return true;
    return false;
}

int main(int argc, char **argv) {
    stage_options options = {0};
    bool pretrain = asks_to_pretrain(argc, argv);
    const struct config_option own[] = {
        {"--pretrain", NULL, "pre-trains as section pretrain says, instead of section sft", &pretrain, NULL},
        CONFIG_OPTION_RESUME(&options.resume),
        CONFIG_OPTION_DRY_RUN(&options.dry_run),
    };
    const struct config_program program = {
        .name = "rlhf sft",
        .purpose = pretrain ? "  Pre-trains a model on documents, as section pretrain says."
                            : "  Fine-tunes a model on demonstrations, as section sft says.",
        .example = pretrain ? "--pretrain configs/demo.yaml --set run=runs/pretrain"
                            : "configs/sft.yaml --set sft.epochs=2",
        .sections = pretrain ? CONFIG_OF_PRETRAIN : CONFIG_OF_SFT,
        .needed = pretrain ? NEEDED_PRETRAIN : NEEDED_SFT,
        .option = own,
        .n_option = sizeof own / sizeof *own};
    return stage_main("rlhf-sft", &program, argc, argv, &options, pretrain ? pretrain_run : sft_run);
}
