/* rlhf-ppo CONFIG [--resume] [--dry-run] [--trace DIR] [--set section.key=value]...: improves a policy
 * against a reward. */
#include <stdio.h>

#include "core/base/signal.h"
#include "core/base/waiting.h"
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
    struct config_options command = {0};
    struct config config = {0};
    error err = {0};
    waiting_make_passive(argv);
    signal_install();
    status s = config_load(&program, argc, argv, &command, &config, &err);
    if (s == STATUS_OK && !command.help) s = ppo_run(&config, &options, &err);
    if (s != STATUS_OK) fprintf(stderr, "rlhf-ppo: %s\n", err.message);
    config_free(&command, &config);
    return status_exit_code(s);
}
