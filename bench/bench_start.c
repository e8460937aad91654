/* The time from exec to the first step of configs/tiny.yaml's pre-training, by the programs beside this one.
   Run it in the project's root. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "bench/limits.h"

/* Seconds until rlhf-sft has written its first line of metrics: exec, config, data, model, one step. */
static double first_step(const char *program, const char *tokenizer) {
    char run[] = "/tmp/bench-XXXXXX", setting[2][128], metrics[64];
    if (!mkdtemp(run)) return -1;
    snprintf(setting[0], sizeof *setting, "run=%s/run", run);
    snprintf(setting[1], sizeof *setting, "tokenizer.path=%s", tokenizer);
    snprintf(metrics, sizeof metrics, "%s/run/metrics.jsonl", run);
    double started = bench_seconds(), seconds = -1;
    pid_t child = fork();
    if (child == 0) {
        if (!freopen("/dev/null", "w", stderr)) _exit(1);
        execl(program, program, "--pretrain", "configs/tiny.yaml", "--set", setting[0], "--set", setting[1],
              (char *)NULL);
        _exit(127);
    }
    while (bench_seconds() - started < 20 && seconds < 0 && waitpid(child, NULL, WNOHANG) == 0) {
        FILE *f = fopen(metrics, "r");
        if (f && fgetc(f) != EOF) seconds = bench_seconds() - started;
        if (f) fclose(f);
        usleep(200);
    }
    waitpid(child, NULL, 0);
    char command[128];
    snprintf(command, sizeof command, "rm -rf %s", run);
    if (system(command) != 0) return -1;
    return seconds;
}

static void bench_start(const char *self) {
    char program[4096], rlhf[4096], command[8400], directory[] = "/tmp/bench-XXXXXX";
    const char *slash = strrchr(self, '/');
    int n = slash ? (int)(slash - self) : 0;
    snprintf(program, sizeof program, "%.*s/rlhf-sft", n, self);
    snprintf(rlhf, sizeof rlhf, "%.*s/rlhf", n, self);
    if (!n || access(program, X_OK) != 0 || !mkdtemp(directory)) return;
    snprintf(command, sizeof command,
             "%s tokenizer configs/tiny/stories.txt configs/tiny/demonstrations.jsonl --vocab 512 %s/t "
             "2>/dev/null",
             rlhf, directory);
    if (system(command) == 0) {
        char tokenizer[64];
        double best = 1e9;
        snprintf(tokenizer, sizeof tokenizer, "%s/t", directory);
        for (int i = 0; i < 5; i++) {
            double seconds = first_step(program, tokenizer);
            if (seconds > 0 && seconds < best) best = seconds;
        }
        printf("exec to first step of configs/tiny.yaml's pre-training: %.1f ms\n", best * 1e3);
    }
    snprintf(command, sizeof command, "rm -rf %s", directory);
    if (system(command) != 0) return;
}

int main(int argc, char **argv) {
    (void)argc;
    bench_start(argv[0]);
    return 0;
}
