/* rlhf-ppo CONFIG [--resume] [--dry-run] [--trace DIR] [--set section.key=value]...: improves a policy
 * against a reward. */
#include "ppo/ppo.h"

static const char *const NEEDED[] = {"run", "ppo.policy", "ppo.prompts", NULL};

int main(int argc, char **argv) {
    stage_options options = {0};
    const struct config_option own[] = {
        CONFIG_OPTION_RESUME(&options.resume),
        CONFIG_OPTION_DRY_RUN(&options.dry_run),
        {"--trace", "DIR", "writes what each iteration computed, as safetensors", &options.trace, NULL},
    };
    const struct config_program program = {
        .name = "rlhf ppo",
        .purpose = "  Improves a policy against a reward model, a rule or a command.",
        .example = "configs/ppo.yaml --set ppo.iterations=10",
        .sections = CONFIG_OF_PPO,
        .needed = NEEDED,
        .option = own,
        .n_option = sizeof own / sizeof *own};
    return stage_main("rlhf-ppo", &program, argc, argv, &options, ppo_run);
}
