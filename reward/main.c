/* rlhf-reward CONFIG [--resume] [--dry-run] [--set section.key=value]...: trains a reward model on rankings.
 */
#include "reward/reward.h"

static const char *const NEEDED[] = {"run", "reward.init", "reward.train", NULL};

int main(int argc, char **argv) {
    stage_options options = {0};
    const struct config_option own[] = {CONFIG_OPTION_RESUME(&options.resume),
                                        CONFIG_OPTION_DRY_RUN(&options.dry_run)};
    const struct config_program program = {
        .name = "rlhf reward",
        .purpose = "  Trains a reward model on rankings: a snapshot of `rlhf label snapshot`, or JSONL.",
        .example = "configs/reward.yaml --set reward.train=runs/snapshot.jsonl",
        .sections = CONFIG_OF_REWARD,
        .needed = NEEDED,
        .option = own,
        .n_option = sizeof own / sizeof *own};
    return stage_main("rlhf-reward", &program, argc, argv, &options, reward_run);
}
