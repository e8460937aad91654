/* --help of the front command's own commands that read a config: what they take, no more, and it is enough.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>
#include <string.h>

#include "core/base/buffer.h"
#include "rlhf/commands.h"
#include "tests/support/command.h"

typedef status command(int argc, char **argv, error *err);

/* The help of a command; each of has stands in it, none of lacks. Lists end with NULL. */
static void help(command *run, const char *const *has, const char *const *lacks) {
    buffer out = {0};
    error err;
    assert_int_equal(run_command_line(run, (const char *[]){"command", "--help", NULL}, &out, &err),
                     STATUS_OK);
    buffer_append(&out, "", 1);
    for (; *has; has++)
        if (!strstr(out.data, *has)) fail_msg("\"%s\" is missing in:\n%s", *has, out.data);
    for (; *lacks; lacks++)
        if (strstr(out.data, *lacks)) fail_msg("\"%s\" is too much in:\n%s", *lacks, out.data);
    buffer_free(&out);
}

static void refused(command *run, const char *option, const char *usage) {
    buffer out = {0};
    error err;
    const char *const words[] = {"command", "configs/tiny.yaml", option, NULL};
    assert_int_equal(run_command_line(run, words, &out, &err), STATUS_USAGE);
    if (!strstr(err.message, option) || !strstr(err.message, usage)) fail_msg("%s", err.message);
    buffer_free(&out);
}

static void test_help_says_what_is_taken(void **state) {
    (void)state;
    help(generate_command,
         (const char *[]){"usage: rlhf generate [CONFIG]", "--model DIR", "--prompts FILE", "--out RUN",
                          "--round N", "--resume", "Example: rlhf generate --model",
                          "Needed: run, generate.model", "\n  generate.samples", NULL},
         (const char *[]){"--dry-run", "--trace", "\n  sft.", "\n  ppo.", NULL});
    help(rounds_command,
         (const char *[]){"usage: rlhf rounds CONFIG [--set", "rlhf plan CONFIG", "Example: rlhf rounds",
                          "\n  rounds.sft_share", "\n  ppo.kl_coef", NULL},
         (const char *[]){"--dry-run", "--trace", "--resume", NULL});
    help(plan_command, (const char *[]){"usage: rlhf plan CONFIG [--set", "Example: rlhf plan", NULL},
         (const char *[]){"--dry-run", "--trace", "--resume", "Needed", NULL});
}

static void test_tokenizer_takes_its_own(void **state) {
    (void)state;
    help(tokenizer_command, (const char *[]){"--vocab N", "--template NAME", "Example: rlhf tokenizer", NULL},
         (const char *[]){NULL});
    buffer out = {0};
    error err;
    const char *const none[] = {"tokenizer", "a.txt", "tokenizer", NULL};
    assert_int_equal(run_command_line(tokenizer_command, none, &out, &err), STATUS_USAGE);
    assert_non_null(strstr(err.message, "--vocab is needed"));
    const char *const other[] = {"tokenizer", "a.txt", "--vocabulary", "300", "tokenizer", NULL};
    assert_int_equal(run_command_line(tokenizer_command, other, &out, &err), STATUS_USAGE);
    assert_non_null(strstr(err.message, "no option --vocabulary"));
    buffer_free(&out);
}

static void test_other_options_are_refused(void **state) {
    (void)state;
    refused(generate_command, "--dry-run", "usage: rlhf generate");
    refused(generate_command, "--trace", "usage: rlhf generate");
    refused(rounds_command, "--dry-run", "rlhf plan CONFIG");
    refused(rounds_command, "--resume", "goes on where it was");
    refused(rounds_command, "--trace", "usage: rlhf rounds");
    refused(plan_command, "--resume", "usage: rlhf plan");
    refused(plan_command, "--dry-run", "usage: rlhf plan");
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_help_says_what_is_taken),
                                       cmocka_unit_test(test_tokenizer_takes_its_own),
                                       cmocka_unit_test(test_other_options_are_refused)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
