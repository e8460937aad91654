/* rlhf COMMAND ...: the front command. Stages are programs of their own (rlhf sft runs rlhf-sft); the rest
 * are functions. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "core/base/file.h"
#include "core/base/signal.h"
#include "core/base/waiting.h"
#include "datasets/label/label.h"
#include "rlhf/commands.h"

static const struct command {
    const char *name;
    status (*run)(int argc, char **argv, error *err); /* NULL: the program rlhf-NAME */
    const char *help;
} COMMANDS[] = {
    {"rounds", rounds_command,
     "the whole pipeline: SFT, then rounds of sample, collect, reward, ppo, evaluate"},
    {"sft", NULL, "fine-tune a model on demonstrations (--pretrain: pre-train one)"},
    {"reward", NULL, "train a reward model on rankings"},
    {"ppo", NULL, "improve a policy against a reward"},
    {"convert", convert_command, "make a model directory of a GGUF file"},
    {"tokenizer", tokenizer_command, "train a tokenizer"},
    {"generate", generate_command, "answer prompts, several times each, into a run directory"},
    {"label", label_main,
     "the store of rankings: import, tasks, rank, simulate, snapshot, export, lineage ..."},
    {"chat", chat_command, "talk with a model"},
    {"eval", eval_command, "log-probabilities, perplexity, multiple choice; win rate of two models"},
    {"merge", merge_command, "make one model of an adapter and its weights"},
    {"plan", plan_command, "the memory that each stage of a config will take"},
    {"report", report_command, "write the report of a rounds directory again"},
};
enum { N_COMMAND = sizeof COMMANDS / sizeof *COMMANDS };

static void print_usage(FILE *stream) {
    fprintf(stream, "usage: rlhf COMMAND ... (rlhf COMMAND --help tells more)\n\n");
    for (int i = 0; i < N_COMMAND; i++) fprintf(stream, "  %-10s %s\n", COMMANDS[i].name, COMMANDS[i].help);
    fprintf(stream, "\nrlhf " RLHF_VERSION
                    "; exit codes: 0 done, 1 failed, 2 bad usage or config, 3 bad data or model, "
                    "75 waiting for labels, 130 interrupted\n");
}

/* Becomes rlhf-NAME from the directory that this program lies in. */
static int run_program(const char *name, char **argv) {
    char path[4096];
    ssize_t n = readlink("/proc/self/exe", path, sizeof path - 32);
    char *slash = n > 0 ? memrchr(path, '/', (size_t)n) : NULL;
    if (!slash) return fprintf(stderr, "rlhf: cannot find where rlhf lies\n"), 1;
    sprintf(slash + 1, "rlhf-%.20s", name);
    argv[0] = path;
    execv(path, argv);
    fprintf(stderr, "rlhf: cannot run %s: %s\n", path, strerror(errno));
    return 1;
}

int main(int argc, char **argv) {
    error err = {0};
    file_open_standard();
    waiting_make_passive(argv);
    if (argc < 2) return print_usage(stderr), 2;
    if (strcmp(argv[1], "--help") == 0 || strcmp(argv[1], "-h") == 0 || strcmp(argv[1], "help") == 0)
        return print_usage(stdout), 0;
    if (strcmp(argv[1], "--version") == 0) return puts("rlhf " RLHF_VERSION), 0;
    for (int i = 0; i < N_COMMAND; i++) {
        if (strcmp(argv[1], COMMANDS[i].name) != 0) continue;
        if (!COMMANDS[i].run) return run_program(COMMANDS[i].name, argv + 1);
        signal_install();
        status s = COMMANDS[i].run(argc - 1, argv + 1, &err);
        if (s == STATUS_OK) s = file_flush_output(&err);
        if (s != STATUS_OK) error_print("rlhf", &err);
        return status_exit_code(s);
    }
    fprintf(stderr, "rlhf: no command \"%s\"\n", argv[1]);
    return print_usage(stderr), 2;
}
