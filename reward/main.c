/* rlhf-reward CONFIG [--set section.key=value]... [--resume] [--dry-run]: trains a reward model on rankings.
 */
#include <stdio.h>

#include "core/base/signal.h"
#include "core/base/waiting.h"
#include "reward/reward.h"

static const char *const NEEDED[] = {"run", "reward.init", "reward.train", NULL};

int main(int argc, char **argv) {
    struct config_options command = {0};
    struct config config = {0};
    error err = {0};
    waiting_make_passive(argv);
    signal_install();
    status s = config_load(argc, argv, CONFIG_OF_REWARD, NEEDED, &command, &config, &err);
    if (s == STATUS_OK && !command.help) {
        stage_options options = {.resume = command.resume, .dry_run = command.dry_run};
        s = reward_run(&config, &options, &err);
    }
    if (s != STATUS_OK) fprintf(stderr, "rlhf-reward: %s\n", err.message);
    config_free(&command, &config);
    return status_exit_code(s);
}
