#include "rlhf/generate.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "core/base/file.h"
#include "core/base/progress.h"
#include "core/base/signal.h"
#include "rlhf/commands.h"
#include "rlhf/partial.h"

enum { PIECE = 8 }; /* answers that share one prefill of their prompt */

typedef struct generation {
    const struct config *c;
    const generate_job *job;
    run *run;
    session session;
    prompts prompts;
    model *model;
    sampler sampler;
    int32_t *samples;      /* [prompts] answers that each gets */
    int most;              /* of these */
    answers answers;       /* a piece of a prompt's answers is one of its "prompts" */
    int32_t *prompt_index; /* [answers.n_prompt] of a piece */
    buffer *extra;         /* [answers] */
    partial partial;
    progress bar;
    int64_t done, tokens; /* answers that are there; tokens sampled now */
} generation;

generate_job generate_job_of(const struct config *c) {
    static const split_kind split[] = {SPLIT_ANY, SPLIT_TRAIN, SPLIT_VALID, SPLIT_TEST};
    const struct config_generate *g = &c->generate;
    return (generate_job){
        .kind = "generate",
        .model = g->model,
        .prompts = g->prompts.value,
        .n_prompts = g->prompts.n,
        .split = split[g->split],
        .samples = g->samples,
        .how = {.temperature = g->temperature, .greedy = g->greedy, .top_k = g->top_k, .top_p = g->top_p},
        .purpose = RANDOM_SAMPLE,
        .max_tokens = g->max_tokens,
        .slots = g->slots,
        .sections = CONFIG_OF_GENERATE};
}

/* The largest number up to PIECE that divides n. */
static int piece_of(int n) {
    int k = n < PIECE ? n : PIECE;
    while (k > 1 && n % k) k--;
    return k > 1 ? k : 1;
}

static status add_inputs(generation *g, error *err) {
    lineage *l = run_lineage(g->run);
    const char *home = run_directory(g->run);
    char *tokenizer =
        path_join(g->c->tokenizer.path ? g->c->tokenizer.path : g->job->model, "tokenizer.json");
    status s =
        tokenizer ? lineage_add_in(l, home, "model", -1, g->job->model, err) : error_memory(err, "a path");
    if (s == STATUS_OK && path_exists(tokenizer))
        s = lineage_add_in(l, home, "tokenizer", -1, tokenizer, err);
    for (int i = 0; i < g->job->n_prompts && s == STATUS_OK; i++)
        s = lineage_add_in(l, home, "prompts", -1, g->job->prompts[i], err);
    free(tokenizer);
    return s;
}

static int common_divisor(int a, int b) {
    while (b) {
        int rest = a % b;
        a = b, b = rest;
    }
    return a;
}

/* How many answers each prompt gets; *common divides all of these numbers. */
static status count_answers(generation *g, int *common, error *err) {
    int n = g->prompts.n;
    *common = 0;
    g->samples = calloc((size_t)n, sizeof *g->samples);
    if (!g->samples) return error_memory(err, "numbers of answers");
    for (int p = 0; p < n; p++) g->samples[p] = g->job->samples;
    if (g->job->counts) TRY(g->job->counts(g->job->context, &g->prompts, g->samples, err));
    for (int p = 0; p < n; p++) {
        if (g->samples[p] > g->most) g->most = g->samples[p];
        *common = common_divisor(*common, g->samples[p]);
    }
    return STATUS_OK;
}

/* Cuts each prompt's answers into pieces of k. */
static status make_pieces(generation *g, error *err) {
    int most = answers_most_tokens(g->job->max_tokens, model_get_config(g->model)->context);
    int k, pieces = 0, i = 0;
    TRY(count_answers(g, &k, err));
    k = piece_of(k);
    for (int p = 0; p < g->prompts.n; p++) pieces += g->samples[p] / k;
    TRY(answers_create(pieces, k, most, &g->answers, err));
    g->prompt_index = calloc((size_t)pieces, sizeof *g->prompt_index);
    g->extra = calloc((size_t)pieces * (size_t)k, sizeof *g->extra);
    if (!g->prompt_index || !g->extra) return error_memory(err, "answers");
    for (int p = 0; p < g->prompts.n; p++)
        for (int first = 0; first < g->samples[p]; first += k, i++) {
            g->prompt_index[i] = p;
            g->answers.prompt[i] =
                (generate_prompt){prompt_tokens(&g->prompts, p), g->prompts.entry[p].n_token,
                                  (uint64_t)p * (uint64_t)g->most + (uint64_t)first};
        }
    return STATUS_OK;
}

static status open_all(generation *g, error *err) {
    const generate_job *job = g->job;
    session *s = &g->session;
    TRY(session_open(g->c, job->model, run_log(g->run), s, err));
    model_options o = {
        .language_head = 1, .n_score = 0, .score_bias = 0, .n_vocab = s->n_vocab, .compute = s->compute};
    TRY(model_load(s->dev, job->model, &o, &g->model, err));
    session_set_length(s, model_get_config(g->model)->context - 1);
    TRY(prompts_load(&s->data, job->split, job->prompts, job->n_prompts, &g->prompts, err));
    TRY(make_pieces(g, err));
    return sampler_create(s->dev, model_get_config(g->model), job->slots, g->answers.k, g->prompts.longest,
                          job->max_tokens, &g->sampler, err);
}

static void close_all(generation *g) {
    for (int i = 0; g->extra && i < g->answers.n_prompt * g->answers.k; i++) buffer_free(&g->extra[i]);
    free(g->extra);
    free(g->prompt_index);
    free(g->samples);
    partial_close(&g->partial);
    answers_free(&g->answers);
    sampler_free(&g->sampler);
    model_free(g->model);
    prompts_free(&g->prompts);
    session_close(&g->session);
    run_close(g->run);
}

/* ---- answers that are there, of a run that was stopped */

/* What the answers follow from: the model, how it is sampled, and each prompt's tokens and sequence id. */
static status hash_inputs(const generation *g, const sampling *how, hash *out, error *err) {
    buffer b = {0};
    const lineage *l = run_lineage(g->run);
    for (int i = 0; i < l->n_in; i++)
        if (strcmp(l->in[i].role, "model") == 0) buffer_append(&b, &l->in[i].sha256, sizeof(hash));
    buffer_format(&b, "%08x%08x %a %d %d %a %d %d %d %d", how->key.word[0], how->key.word[1],
                  (double)how->temperature, how->greedy, how->top_k, (double)how->top_p, g->answers.k,
                  g->job->max_tokens, g->session.end_token, g->session.n_vocab);
    for (int i = 0; i < g->answers.n_prompt && !b.failed; i++) {
        const generate_prompt *p = &g->answers.prompt[i];
        hash before = hash_bytes(b.data, b.len);
        buffer_clear(&b);
        buffer_append(&b, &before, sizeof before);
        buffer_append(&b, &p->seq_id, sizeof p->seq_id);
        buffer_append(&b, p->token, (size_t)p->n_token * sizeof *p->token);
    }
    status s = buffer_check(&b, err);
    if (s == STATUS_OK) *out = hash_bytes(b.data, b.len);
    buffer_free(&b);
    return s;
}

static status open_partial(generation *g, const sampling *how, error *err) {
    const char *path = run_path(g->run, "answers.partial");
    hash of;
    if (!path) return error_memory(err, "a path");
    TRY(hash_inputs(g, how, &of, err));
    TRY(partial_open(path, &of, &g->answers, &g->partial, &g->done, err));
    if (g->done)
        log_line(run_log(g->run), "%" PRId64 " of %d answers were there", g->done,
                 g->answers.n_prompt * g->answers.k);
    return STATUS_OK;
}

static status note_answer(void *context, int i, error *err) {
    generation *g = context;
    TRY(partial_add(&g->partial, &g->answers, i, err));
    g->tokens += g->answers.n_token[i];
    progress_step(&g->bar, ++g->done, g->answers.n_token[i], NULL);
    if (!signal_stop_requested()) return STATUS_OK;
    return error_set(err, STATUS_INTERRUPTED,
                     "stopped by a signal after %" PRId64 " answers; start again with --resume to go on",
                     g->done);
}

static status write_answers(generation *g, error *err) {
    file_writer w;
    buffer line = {0};
    status s = file_begin(&w, run_path(g->run, "answers.jsonl"), err);
    TRY(s);
    for (int i = 0; i < g->answers.n_prompt * g->answers.k && s == STATUS_OK; i++) {
        const prompt_entry *p = &g->prompts.entry[g->prompt_index[i / g->answers.k]];
        buffer_clear(&line);
        s = answer_line(g->session.tok, &g->answers, i, g->most, p, g->extra[i].len ? g->extra[i].data : NULL,
                        &line, err);
        buffer_append(&line, "\n", 1);
        file_put(&w, line.data, line.len);
    }
    buffer_free(&line);
    if (s == STATUS_OK) return file_commit(&w, err);
    file_abandon(&w);
    return s;
}

static status write_timing(generation *g, double seconds, error *err) {
    buffer b = {0};
    double flops = answers_flops(&g->answers, model_get_config(g->model));
    buffer_format(&b,
                  "{\"phase\":\"%s\",\"seconds\":%.6f,\"tokens\":%" PRId64
                  ",\"tokens_per_s\":%.1f,\"share_of_peak\":%.4f}",
                  g->job->kind, seconds, g->tokens, (double)g->tokens / seconds,
                  flops / seconds / session_peak_flops(&g->session));
    status s = run_timing(g->run, &b, err);
    buffer_free(&b);
    return s;
}

static status generate_all(generation *g, error *err) {
    const generate_job *job = g->job;
    sampling how = job->how;
    status s = open_all(g, err);
    if (s == STATUS_OK) s = add_inputs(g, err);
    if (s != STATUS_OK) run_give_up(g->run);
    TRY(s);
    how.key = random_make_key((uint64_t)g->c->seed, job->purpose, (uint32_t)job->round, 0);
    TRY(open_partial(g, &how, err));
    double started = clock_seconds();
    progress_begin(&g->bar, run_log(g->run), job->kind, "answer", g->done,
                   (int64_t)g->answers.n_prompt * g->answers.k);
    TRY(answers_sample(&g->answers, &g->sampler, g->model, &how, g->session.end_token, note_answer, g, err));
    progress_end(&g->bar);
    TRY(write_timing(g, clock_seconds() - started, err));
    if (job->extra)
        TRY(job->extra(job->context, &g->session, g->run, &g->prompts, g->prompt_index, &g->answers, g->extra,
                       err));
    TRY(write_answers(g, err));
    TRY(lineage_add_out(run_lineage(g->run), run_directory(g->run), "answers", -1,
                        run_path(g->run, "answers.jsonl"), err));
    TRY(partial_remove(&g->partial, err));
    return run_finish(g->run, err);
}

status generate_into(const struct config *c, const generate_job *job, logger *log, error *err) {
    generation g = {.c = c, .job = job, .partial.file = -1};
    run_options o = {.directory = c->run,
                     .kind = job->kind,
                     .round = job->round,
                     .seed = (uint64_t)c->seed,
                     .table = &CONFIG_TABLE,
                     .values = c,
                     .sections = job->sections,
                     .resume = job->resume,
                     .keep_checkpoints = 1};
    run_state state = RUN_NEW;
    status s = run_open(&o, &g.run, &state, err);
    if (s == STATUS_OK && state == RUN_FINISHED)
        log_line(log, "%s: %s was finished before", c->run, job->kind);
    else if (s == STATUS_OK)
        s = generate_all(&g, err);
    close_all(&g);
    return s;
}

/* ---- the command ---- */

static status read_round(const char *text, int *round, error *err) {
    if (!text) return STATUS_OK;
    char *end;
    long n = strtol(text, &end, 10);
    if (!*text || *end || n < 1 || n > 1000000000)
        return error_set(err, STATUS_USAGE, "generate: --round is \"%s\", must be a whole number from 1",
                         text);
    *round = (int)n;
    return STATUS_OK;
}

status generate_command(int argc, char **argv, error *err) {
    static const char *const needed[] = {"run", "generate.model", "generate.prompts", NULL};
    bool resume = false;
    const char *round_text = NULL;
    const struct config_option own[] = {
        {"--model", "DIR", "the same as --set generate.model=DIR", NULL, "generate.model"},
        {"--prompts", "FILE", "the same as --set generate.prompts=FILE", NULL, "generate.prompts"},
        {"--out", "RUN", "the same as --set run=RUN", NULL, "run"},
        {"--round", "N", "of the rounds of ranking, for `rlhf label tasks`; each draws anew (none)",
         &round_text, NULL},
        CONFIG_OPTION_RESUME(&resume),
    };
    const struct config_program program = {
        .name = "rlhf generate",
        .purpose = "  Answers prompts, generate.samples times each, into a run directory.",
        .example =
            "--model runs/sft/model --prompts datasets/demo/prompts.jsonl --out runs/answers --round 1",
        .sections = CONFIG_OF_GENERATE,
        .needed = needed,
        .option = own,
        .n_option = sizeof own / sizeof *own};
    struct config_options command = {0};
    struct config config = {0};
    int round = 0;
    status s = config_load(&program, argc, argv, &command, &config, err);
    if (s == STATUS_OK) s = read_round(round_text, &round, err);
    if (s == STATUS_OK && !command.help) {
        generate_job job = generate_job_of(&config);
        job.resume = resume;
        job.round = round;
        s = generate_into(&config, &job, NULL, err);
    }
    config_free(&command, &config);
    return s;
}
