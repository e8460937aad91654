/* rlhf eval logprobs: what a model thinks of texts, token by token. */
#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#include "core/base/file.h"
#include "core/base/json.h"
#include "core/base/signal.h"
#include "datasets/label/arguments.h"
#include "rlhf/eval.h"
#include "rlhf/language_model.h"

/* A line that waits in the pack. */
typedef struct waiting {
    int n_prompt, has_id;
    json_int_t seq_id;
} waiting;

typedef struct logprobs {
    language_model lm;
    text_reader reader;
    float temperature;
    waiting *waiting; /* [pack.b.n_seq] */
    ints token, target;
    buffer line;
    file_writer file;
    int64_t n_line, n_token; /* written; those behind the prompts */
    double sum;              /* of their log-probabilities */
} logprobs;

/* ---- a line in ---- */

static status read_ids(const logprobs *e, const json_t *ids, const char *place, ints *out, error *err) {
    size_t i;
    const json_t *id;
    if (!json_is_array(ids) || json_array_size(ids) == 0)
        return error_set(err, STATUS_DATA, "%s: \"tokens\" must be a list of at least one token id", place);
    json_array_foreach(ids, i, id) {
        json_int_t value = json_is_integer(id) ? json_integer_value(id) : -1;
        if (value < 0 || value >= e->lm.session.n_vocab)
            return error_set(err, STATUS_DATA,
                             "%s: token %zu of \"tokens\" is none of the tokenizer's 0 to %d", place, i + 1,
                             e->lm.session.n_vocab - 1);
        ints_push(out, (int32_t)value);
    }
    return ints_check(out, err);
}

/* An answer's line: its templated prompt and the ids that were sampled, never encoded again. */
static status read_answer(logprobs *e, const json_t *root, const char *place, int *n_prompt, error *err) {
    prompt_text prompt;
    split_kind unused;
    TRY(example_read_prompt(root, place, &prompt, &unused, err));
    status s = example_prompt(&e->lm.session.data, &prompt, place, &e->token, err);
    example_free_prompt(&prompt);
    TRY(s);
    *n_prompt = (int)e->token.len;
    return read_ids(e, json_object_get(root, "tokens"), place, &e->token, err);
}

/* What comes before the completion, or before the assistant's last turn; 0 for a document. */
static int count_prompt(const ints *target, int is_document) {
    size_t i = target->len;
    if (is_document) return 0;
    while (i && !target->data[i - 1]) i--;
    while (i && target->data[i - 1]) i--;
    return (int)i;
}

static status read_example(logprobs *e, const json_t *root, const char *place, int *n_prompt, error *err) {
    example_info info;
    TRY(example_tokens(&e->lm.session.data, LOSS_ASSISTANT, root, place, &e->token, &e->target, &info, err));
    *n_prompt = count_prompt(&e->target, info.is_document);
    return STATUS_OK;
}

static status read_line(logprobs *e, const json_t *root, const char *place, waiting *out, error *err) {
    const json_t *id = json_object_get(root, "seq_id");
    int most = e->lm.session.data.max_length;
    *out = (waiting){.has_id = id != NULL, .seq_id = json_integer_value(id)};
    if (id && !json_is_integer(id))
        return error_set(err, STATUS_DATA, "%s: \"seq_id\" must be a whole number, not %s", place,
                         json_kind(id));
    ints_clear(&e->token);
    ints_clear(&e->target);
    if (json_object_get(root, "tokens"))
        TRY(read_answer(e, root, place, &out->n_prompt, err));
    else
        TRY(read_example(e, root, place, &out->n_prompt, err));
    if (e->token.len <= (size_t)most) return STATUS_OK;
    return error_set(err, STATUS_DATA, "%s: %zu tokens, the model's context is %d", place, e->token.len,
                     most);
}

/* ---- lines out ---- */

static status check_finite(const logprobs *e, float logprob, int token, error *err) {
    if (isfinite(logprob)) return STATUS_OK;
    return error_set(err, STATUS_FAILED,
                     "line %" PRId64
                     ": the log-probability of token %d is %g: the model's weights are broken",
                     e->n_line + 1, token, (double)logprob);
}

static status write_line(logprobs *e, int s, const float *logprob, error *err) {
    const waiting *w = &e->waiting[s];
    int first = e->reader.pack.seq_start[s], n = e->reader.pack.seq_start[s + 1] - first;
    buffer *b = &e->line;
    buffer_clear(b);
    buffer_string(b, "{");
    if (w->has_id) buffer_format(b, "\"seq_id\":%" JSON_INTEGER_FORMAT ",", w->seq_id);
    buffer_format(b, "\"prompt_len\":%d,\"tokens\":", w->n_prompt);
    buffer_json_ints(b, e->reader.pack.token + first, (size_t)n);
    buffer_string(b, ",\"logprob\":[null");
    for (int i = 1; i < n; i++) {
        TRY(check_finite(e, logprob[i - 1], i, err));
        buffer_string(b, ",");
        buffer_json_float(b, logprob[i - 1]);
        if (i < w->n_prompt) continue;
        e->sum += logprob[i - 1];
        e->n_token++;
    }
    buffer_string(b, "]}\n");
    e->n_line++;
    TRY(buffer_check(b, err));
    file_put(&e->file, b->data, b->len);
    return e->file.failed ? STATUS_FAILED : STATUS_OK; /* file_commit tells why */
}

/* Reads the rows of all that is packed, and writes its lines. */
static status flush(logprobs *e, error *err) {
    TRY(text_reader_read(&e->reader, &e->lm, e->temperature, err));
    const float *logprob = e->reader.logprob;
    for (int s = 0; s < e->reader.pack.b.n_seq; s++) {
        TRY(write_line(e, s, logprob, err));
        logprob += e->reader.pack.seq_start[s + 1] - e->reader.pack.seq_start[s] - 1;
    }
    pack_clear(&e->reader.pack);
    if (!signal_stop_requested()) return STATUS_OK;
    return error_set(err, STATUS_INTERRUPTED, "stopped by a signal after %" PRId64 " lines", e->n_line);
}

static status visit_line(void *context, json_t *line, const char *place, error *err) {
    logprobs *e = context;
    waiting w;
    TRY(read_line(e, line, place, &w, err));
    int n = (int)e->token.len;
    if (!pack_fits(&e->reader.pack, n, n - 1)) TRY(flush(e, err));
    e->waiting[e->reader.pack.b.n_seq] = w;
    pack_add(&e->reader.pack, (uint64_t)e->n_line, e->token.data, n);
    pack_rows_of_answer(&e->reader.pack, 1);
    return STATUS_OK;
}

/* ---- the command ---- */

static status open_work(logprobs *e, error *err) {
    TRY(text_reader_open(&e->lm, model_get_config(e->lm.model)->context, &e->reader, err));
    e->waiting = calloc((size_t)e->reader.most, sizeof *e->waiting);
    return e->waiting ? STATUS_OK : error_memory(err, "rows");
}

static void close_work(logprobs *e) {
    text_reader_close(&e->reader);
    language_model_close(&e->lm);
    free(e->waiting);
    ints_free(&e->token);
    ints_free(&e->target);
    buffer_free(&e->line);
}

static status read_file(logprobs *e, const char *path, error *err) {
    TRY(open_work(e, err));
    TRY(examples_each(path, &e->lm.session.bad, visit_line, e, err));
    TRY(flush(e, err));
    if (e->n_line == 0) return error_set(err, STATUS_DATA, "%s: no line", path);
    return STATUS_OK;
}

static void tell_mean(const logprobs *e) {
    if (e->n_token)
        log_line(NULL,
                 "%" PRId64 " lines, %" PRId64
                 " tokens behind prompts: mean log-probability %.4f, perplexity %.3f",
                 e->n_line, e->n_token, e->sum / (double)e->n_token, exp(-e->sum / (double)e->n_token));
}

typedef struct logprobs_options {
    const char *out, *dtype, *template, *system;
    double temperature;
    int64_t threads, max_bad;
} logprobs_options;

static status open_and_read(logprobs *e, const char *const *words, const logprobs_options *o, error *err) {
    TRY(language_model_open(words[0], (int)o->threads, o->dtype, o->template, o->system, &e->lm, err));
    e->lm.session.bad.most = (int)o->max_bad;
    e->temperature = (float)o->temperature;
    if (o->out)
        TRY(file_begin(&e->file, o->out, err));
    else
        file_begin_output(&e->file);
    status s = read_file(e, words[1], err);
    if (s != STATUS_OK && !e->file.failed) {
        file_abandon(&e->file);
        return s;
    }
    TRY(file_commit(&e->file, err));
    if (s == STATUS_OK) tell_mean(e);
    return STATUS_OK;
}

static status run_logprobs(const command_line *line, void *options, error *err) {
    logprobs e = {0};
    status s = open_and_read(&e, line->words, options, err);
    close_work(&e);
    return s;
}

status eval_logprobs_command(int argc, char **argv, error *err) {
    logprobs_options o = {.temperature = 1};
    const argument arguments[] = {
        {"--temperature", ARGUMENT_NUMBER, &o.temperature, 0.01, 100},
        {"--template", ARGUMENT_TEXT, &o.template, 0, 0},
        {"--system", ARGUMENT_TEXT, &o.system, 0, 0},
        {"--dtype", ARGUMENT_TEXT, &o.dtype, 0, 0},
        {"--threads", ARGUMENT_INT, &o.threads, 0, 1024},
        {"--max-bad", ARGUMENT_INT, &o.max_bad, 0, 1e9},
        {"--out", ARGUMENT_TEXT, &o.out, 0, 0},
    };
    command_line line = {
        .command = "eval logprobs",
        .usage =
            "usage: rlhf eval logprobs MODEL FILE [options]\n"
            "  Writes, for each line of FILE in order, the log-probability of every token but the first:\n"
            "  {\"seq_id\"?,\"prompt_len\",\"tokens\":[ids],\"logprob\":[null, one per further id]}. Lines "
            "are\n"
            "  {\"text\"}, {\"prompt\",\"completion\"}, {\"messages\"}, or those of answers.jsonl, whose\n"
            "  \"tokens\" are taken as they are.\n"
            "  --temperature T   logits / T, as in sampling (1)\n"
            "  --template NAME   how chats become tokens: plain, chatml, llama3 ... (as the tokenizer says)\n"
            "  --system TEXT     system prompt of chats that have none\n"
            "  --max-bad N       so many bad lines are reported and left out (0)\n"
            "  --dtype NAME      computes in f32 or bf16 (f32)\n"
            "  --threads N       0: all (0)\n"
            "  --out FILE        instead of standard output",
        .arguments = arguments,
        .n = sizeof arguments / sizeof *arguments,
        .min_words = 2,
        .max_words = 2};
    return run_with_arguments(&line, argc, argv, run_logprobs, &o, err);
}
