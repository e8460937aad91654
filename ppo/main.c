/* rlhf-ppo CONFIG [--set section.key=value]... [--resume] [--dry-run] [--trace DIR]: improves a policy
 * against a reward. */
#include <stdio.h>

#include "core/base/signal.h"
#include "core/base/waiting.h"
#include "ppo/ppo.h"

static const char *const NEEDED[] = {"run", "ppo.policy", "ppo.prompts", NULL};

int main(int argc, char **argv) {
    struct config_options command = {0};
    struct config config = {0};
    error err = {0};
    waiting_make_passive(argv);
    signal_install();
    status s = config_load(argc, argv, CONFIG_OF_PPO, NEEDED, &command, &config, &err);
    if (s == STATUS_OK && !command.help) {
        stage_options options = {
            .resume = command.resume, .dry_run = command.dry_run, .trace = command.trace};
        s = ppo_run(&config, &options, &err);
    }
    if (s != STATUS_OK) fprintf(stderr, "rlhf-ppo: %s\n", err.message);
    config_free(&command, &config);
    return status_exit_code(s);
}
