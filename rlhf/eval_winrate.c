/* rlhf eval winrate: two models, or what they answered before, on the same prompts. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/base/file.h"
#include "core/base/signal.h"
#include "datasets/label/arguments.h"
#include "rlhf/eval.h"
#include "rlhf/eval_answers.h"
#include "rlhf/eval_tally.h"
#include "rlhf/generate.h"

typedef struct winrate_options {
    const char *side[2]; /* directories */
    int is_run[2];       /* answers.jsonl is there */
    const char *prompts, *rule, *judge_model, *command, *split, *template, *keep;
    double temperature, timeout;
    int64_t samples, max_tokens, seed, threads;
    bool greedy, json;
} winrate_options;

typedef struct winrate {
    const winrate_options *o;
    split_kind split;
    device *dev; /* for a judging model */
    judge *by;
    char *work; /* where models' answers are put */
    eval_answers answers[2];
    eval_tally tally;
    struct side_figures {
        int n, n_length;
        double score, length, ended; /* sums; length over answers whose ids are known */
    } figures[2];
    int left_out[2]; /* prompts that the other side has not */
} winrate;

static const char NAMES[2] = {'A', 'B'};

/* ---- both sides' answers ---- */

static status check_sides(winrate_options *o, error *err) {
    for (int i = 0; i < 2; i++) {
        char *answers = path_join(o->side[i], "answers.jsonl");
        if (!answers) return error_memory(err, "a path");
        o->is_run[i] = path_exists(answers);
        free(answers);
        if (!o->is_run[i] && model_check_directory(o->side[i], err) != STATUS_OK)
            return error_context(err, "%c has no answers.jsonl", NAMES[i]);
    }
    return STATUS_OK;
}

/* Answers of a model, into a run directory of its own. The sides draw apart from each other. */
static status sample(winrate *w, int i, const char *directory, error *err) {
    const winrate_options *o = w->o;
    struct config c;
    TRY(config_load_file(NULL, NULL, 0, &c, err));
    c.data.template = config_find_template(o->template);
    c.run = directory;
    c.seed = o->seed;
    c.threads = (int)o->threads;
    c.generate.model = o->side[i];
    c.generate.prompts = (config_strings){1, &o->prompts};
    c.generate.split = (int)w->split; /* both count all, train, valid, test */
    c.generate.samples = (int)o->samples;
    c.generate.temperature = (float)o->temperature;
    c.generate.greedy = o->greedy;
    c.generate.max_tokens = (int)o->max_tokens;
    generate_job job = generate_job_of(&c);
    job.kind = "evaluate";
    job.purpose = RANDOM_EVALUATE;
    job.round = i + 1;
    job.resume = 1;
    status s = generate_into(&c, &job, NULL, err);
    config_free(NULL, &c);
    return s;
}

static status load_side(winrate *w, int i, error *err) {
    if (w->o->is_run[i]) return eval_answers_load(w->o->side[i], w->split, &w->answers[i], err);
    if (signal_stop_requested()) return error_set(err, STATUS_INTERRUPTED, "stopped by a signal");
    char *directory = path_join(w->work, i ? "b" : "a");
    if (!directory) return error_memory(err, "a path");
    status s = sample(w, i, directory, err);
    if (s == STATUS_OK) s = eval_answers_load(directory, w->split, &w->answers[i], err);
    free(directory);
    return s;
}

static status make_work(winrate *w, error *err) {
    const char *home = getenv("TMPDIR");
    if (w->o->keep) {
        w->work = strdup(w->o->keep);
        return w->work ? path_make_directories(w->work, err) : error_memory(err, "a path");
    }
    w->work = path_join(home && *home ? home : "/tmp", "rlhf-winrate-XXXXXX");
    if (!w->work) return error_memory(err, "a path");
    if (mkdtemp(w->work)) return STATUS_OK;
    status s = error_set(err, STATUS_FAILED, "%s: no temporary directory can be made there", w->work);
    free(w->work);
    w->work = NULL;
    return s;
}

/* ---- judging ---- */

static status open_judge(winrate *w, error *err) {
    const winrate_options *o = w->o;
    if (o->rule) return judge_open_rule(o->rule, &w->by, err);
    if (o->command) return judge_open_command(o->command, o->timeout, 0, NULL, &w->by, err);
    TRY(device_open_cpu((int)o->threads, &w->dev, err));
    return judge_open_model(w->dev, o->judge_model, NULL, TYPE_F32, &w->by, err);
}

static void add_figures(winrate *w, int i, const eval_prompt *p) {
    struct side_figures *f = &w->figures[i];
    for (int k = p->first; k < p->first + p->n; k++) {
        const eval_answer *a = &w->answers[i].answer[k];
        f->n++;
        f->score += w->answers[i].score[k];
        f->ended += a->finished;
        f->length += a->n_token;
        f->n_length += a->n_token > 0;
    }
}

static status compare(winrate *w, error *err) {
    const eval_answers *a = &w->answers[0], *b = &w->answers[1];
    for (int i = 0; i < a->n_prompt; i++) {
        const eval_prompt *p = &a->prompt[i];
        int j = eval_answers_find(b, &p->prompt);
        if (j < 0) continue;
        const eval_prompt *q = &b->prompt[j];
        eval_tally_add(&w->tally, a->score + p->first, p->n, b->score + q->first, q->n);
        add_figures(w, 0, p);
        add_figures(w, 1, q);
    }
    w->left_out[0] = a->n_prompt - w->tally.n_prompt;
    w->left_out[1] = b->n_prompt - w->tally.n_prompt;
    if (w->tally.n_prompt) return STATUS_OK;
    return error_set(err, STATUS_DATA, "%s and %s have no prompt in common", w->o->side[0], w->o->side[1]);
}

static status work_through(winrate *w, error *err) {
    TRY(open_judge(w, err));
    if (!w->o->is_run[0] || !w->o->is_run[1]) TRY(make_work(w, err));
    for (int i = 0; i < 2; i++) TRY(load_side(w, i, err));
    for (int i = 0; i < 2; i++) TRY(eval_answers_judge(&w->answers[i], w->by, err));
    TRY(judge_finish(w->by, err));
    return compare(w, err);
}

/* ---- what came out ---- */

static const char *judge_kind(const winrate_options *o) {
    return o->rule ? "rule" : o->command ? "command" : "model";
}
static const char *judge_name(const winrate_options *o) {
    return o->rule ? o->rule : o->command ? o->command : o->judge_model;
}

static double mean(double sum, int n) { return n ? sum / n : (double)NAN; }

static void put_side(buffer *b, const winrate *w, int i) {
    const struct side_figures *f = &w->figures[i];
    buffer_format(b, "\"%c\":{\"directory\":", NAMES[i] - 'A' + 'a');
    buffer_json_string(b, w->o->side[i], strlen(w->o->side[i]));
    buffer_format(b, ",\"answers\":%d,\"score\":", f->n);
    buffer_json_double(b, mean(f->score, f->n));
    buffer_string(b, ",\"length\":");
    buffer_json_double(b, mean(f->length, f->n_length));
    buffer_string(b, ",\"ended\":");
    buffer_json_double(b, mean(f->ended, f->n));
    buffer_string(b, "},");
}

static status print_json(const winrate *w, const eval_rate *rate, error *err) {
    const struct {
        const char *name;
        double value;
    } figures[] = {{"win_rate", rate->win}, {"low", rate->low}, {"high", rate->high}, {"ties", rate->tie}};
    buffer b = {0};
    buffer_string(&b, "{");
    put_side(&b, w, 0);
    put_side(&b, w, 1);
    for (int i = 0; i < 4; i++) {
        buffer_format(&b, "\"%s\":", figures[i].name);
        buffer_json_double(&b, figures[i].value);
        buffer_string(&b, ",");
    }
    buffer_format(&b, "\"prompts\":%d,\"split\":\"%s\",\"judge\":{\"by\":\"%s\",\"what\":", w->tally.n_prompt,
                  w->split == SPLIT_ANY ? "all" : split_name(w->split), judge_kind(w->o));
    buffer_json_string(&b, judge_name(w->o), strlen(judge_name(w->o)));
    buffer_string(&b, "}}");
    status s = buffer_check(&b, err);
    if (s == STATUS_OK) puts(b.data);
    buffer_free(&b);
    return s;
}

static void print_number(double value, int decimals) {
    if (isfinite(value))
        printf("  %8.*f", decimals, value);
    else
        printf("  %8s", "-");
}

static void print_table(const winrate *w, const eval_rate *rate) {
    int wide[2] = {(int)strlen(w->o->side[0]), (int)strlen(w->o->side[1])};
    int width = wide[0] > wide[1] ? wide[0] : wide[1];
    printf("%d prompts%s%s, judged by %s %s\n", w->tally.n_prompt, w->split == SPLIT_ANY ? "" : " of split ",
           w->split == SPLIT_ANY ? "" : split_name(w->split), judge_kind(w->o), judge_name(w->o));
    printf("   %-*s  %8s  %8s  %8s  %8s\n", width, "", "answers", "score", "length", "ended");
    for (int i = 0; i < 2; i++) {
        const struct side_figures *f = &w->figures[i];
        printf("%c  %-*s  %8d", NAMES[i], width, w->o->side[i], f->n);
        print_number(mean(f->score, f->n), 3);
        print_number(mean(f->length, f->n_length), 1);
        printf("  %6.1f %%\n", 100 * mean(f->ended, f->n));
    }
    printf("A wins %.1f %% (95 %% interval %.1f to %.1f), %.1f %% of the comparisons tied and count half\n",
           100 * rate->win, 100 * rate->low, 100 * rate->high, 100 * rate->tie);
}

static status print(const winrate *w, error *err) {
    eval_rate rate = eval_tally_rate(&w->tally);
    for (int i = 0; i < 2; i++)
        if (w->left_out[i])
            log_line(NULL, "%d prompts of %s are left out: %s has no answer to them", w->left_out[i],
                     w->o->side[i], w->o->side[!i]);
    if (w->o->json) return print_json(w, &rate, err);
    print_table(w, &rate);
    return STATUS_OK;
}

/* ---- the command ---- */

static status check_options(const command_line *line, winrate_options *o, split_kind *split, error *err) {
    const chat_template *unused;
    o->side[0] = line->words[0];
    o->side[1] = line->words[1];
    if (!!o->rule + !!o->judge_model + !!o->command != 1)
        return error_set(err, STATUS_USAGE,
                         "eval winrate: one of --rule, --judge-model and --command is needed\n%s",
                         line->usage);
    if (o->template && strcmp(o->template, "auto") != 0) TRY(template_find(o->template, &unused, err));
    TRY(check_sides(o, err));
    int runs = o->is_run[0] && o->is_run[1];
    if (!runs && !o->prompts)
        return error_set(err, STATUS_USAGE,
                         "eval winrate: --prompts is needed where a model is to answer\n%s", line->usage);
    if (runs && o->prompts)
        return error_set(err, STATUS_USAGE,
                         "eval winrate: --prompts is for models; two runs are compared on their own prompts");
    if (!o->split) o->split = runs ? "all" : "valid";
    *split = SPLIT_ANY;
    if (strcmp(o->split, "all") == 0) return STATUS_OK;
    if (split_parse(o->split, "--split", split, err) == STATUS_OK) return STATUS_OK;
    return error_set(err, STATUS_USAGE, "eval winrate: --split is \"%s\", must be all, train, valid or test",
                     o->split);
}

static void close_winrate(winrate *w) {
    if (w->work && !w->o->keep) path_remove_tree(w->work, NULL);
    free(w->work);
    for (int i = 0; i < 2; i++) eval_answers_free(&w->answers[i]);
    judge_close(w->by);
    device_close(w->dev);
}

static status run_winrate(const command_line *line, void *options, error *err) {
    winrate_options *o = options;
    winrate w = {.o = o};
    TRY(check_options(line, o, &w.split, err));
    status s = work_through(&w, err);
    if (s == STATUS_OK) s = print(&w, err);
    close_winrate(&w);
    return s;
}

status eval_winrate_command(int argc, char **argv, error *err) {
    winrate_options o = {.temperature = 1, .timeout = 60, .samples = 1, .max_tokens = 128, .seed = 1};
    const argument arguments[] = {
        {"--prompts", ARGUMENT_TEXT, &o.prompts, 0, 0},
        {"--rule", ARGUMENT_TEXT, &o.rule, 0, 0},
        {"--judge-model", ARGUMENT_TEXT, &o.judge_model, 0, 0},
        {"--command", ARGUMENT_TEXT, &o.command, 0, 0},
        {"--timeout", ARGUMENT_NUMBER, &o.timeout, 0.001, 1e6},
        {"--samples", ARGUMENT_INT, &o.samples, 1, 1 << 20},
        {"--split", ARGUMENT_TEXT, &o.split, 0, 0},
        {"--temperature", ARGUMENT_NUMBER, &o.temperature, 0.01, 100},
        {"--greedy", ARGUMENT_FLAG, &o.greedy, 0, 0},
        {"--max-tokens", ARGUMENT_INT, &o.max_tokens, 1, 1e9},
        {"--template", ARGUMENT_TEXT, &o.template, 0, 0},
        {"--seed", ARGUMENT_INT, &o.seed, 0, 9e15},
        {"--threads", ARGUMENT_INT, &o.threads, 0, 1024},
        {"--keep", ARGUMENT_TEXT, &o.keep, 0, 0},
        {"--json", ARGUMENT_FLAG, &o.json, 0, 0},
    };
    command_line line = {
        .command = "eval winrate",
        .usage =
            "usage: rlhf eval winrate A B --prompts FILE (--rule NAME | --judge-model DIR | --command CMD)\n"
            "  How often A's answers beat B's to the same prompts, by their scores. A and B are model\n"
            "  directories, or run directories with answers.jsonl. Every answer to a prompt is compared "
            "with\n"
            "  every answer of the other side, ties count half, each prompt counts the same. The interval "
            "is\n"
            "  Wilson's, with the prompts as what was drawn.\n"
            "  --prompts FILE     for models; two runs are compared on the prompts that both answered\n"
            "  --split NAME       all, train, valid or test (valid; between two runs: all)\n"
            "  --rule NAME        judges: demo\n"
            "  --judge-model DIR  judges: a reward model\n"
            "  --command CMD      judges: {\"prompt\",\"answer\",\"finish\"} a line in, a number a line out\n"
            "  --timeout S        seconds that a command may take for a line (60)\n"
            "  --samples K        answers a prompt (1)\n"
            "  --temperature T    (1)\n"
            "  --greedy           the likeliest token each time\n"
            "  --max-tokens N     of an answer (128)\n"
            "  --template NAME    how chats become tokens: plain, chatml, llama3 ... (as each tokenizer "
            "says)\n"
            "  --seed N           (1)\n"
            "  --threads N        0: all (0)\n"
            "  --keep DIR         keeps the models' answers as runs DIR/a and DIR/b\n"
            "  --json             one JSON object instead of a table",
        .arguments = arguments,
        .n = sizeof arguments / sizeof *arguments,
        .min_words = 2,
        .max_words = 2};
    return run_with_arguments(&line, argc, argv, run_winrate, &o, err);
}
