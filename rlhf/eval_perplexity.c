/* rlhf eval perplexity: how well a model predicts whole documents, long ones by a sliding window. */
#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/base/file.h"
#include "core/base/json.h"
#include "core/base/progress.h"
#include "core/base/signal.h"
#include "datasets/label/arguments.h"
#include "rlhf/eval.h"
#include "rlhf/interval.h"
#include "rlhf/language_model.h"

enum { DOCUMENT_LIMIT = 1 << 30 };

typedef struct perplexity_options {
    const char *model, *const *file, *dtype, *format, *out;
    int n_file;
    int64_t window, stride, threads, max_bad;
    bool no_start;
} perplexity_options;

/* What came out, an array for each figure. */
typedef struct documents {
    int n;
    char **place;                  /* "FILE" or "FILE:LINE" */
    double *nats, *tokens, *bytes; /* tokens and bytes that were predicted */
} documents;

/* A window in the pack. */
typedef struct waiting {
    int document, n_row;
} waiting;

typedef struct perplexity {
    const perplexity_options *o;
    int json, window, stride;
    ints start; /* what stands before a document */
    language_model lm;
    text_reader reader;
    waiting *waiting; /* [pack.b.n_seq] */
    ints token;
    documents documents;
    progress progress;
    int64_t bytes, bytes_done; /* of all documents; of those behind us */
} perplexity;

typedef status document_visit(perplexity *e, const char *text, size_t len, const char *place, error *err);

/* ---- files ---- */

static status visit_text_file(perplexity *e, const char *path, document_visit *visit, bad_lines *bad,
                              error *err) {
    buffer text = {0};
    status s = lines_read_all(path, DOCUMENT_LIMIT, &text, err);
    if (s == STATUS_OK) {
        s = visit(e, text.data, text.len, path, err);
        if (s == STATUS_DATA) s = bad_lines_add(bad, err);
    }
    buffer_free(&text);
    return s;
}

typedef struct line_context {
    perplexity *e;
    document_visit *visit;
} line_context;

static status visit_line(void *context, json_t *root, const char *place, error *err) {
    const line_context *c = context;
    const char *text;
    TRY(json_field_string(root, "text", place, &text, err));
    return c->visit(c->e, text, json_string_length(json_object_get(root, "text")), place, err);
}

static status each_document(perplexity *e, document_visit *visit, bad_lines *bad, error *err) {
    line_context c = {e, visit};
    for (int i = 0; i < e->o->n_file; i++) {
        const char *path = e->o->file[i];
        TRY(lines_is_text_file(path) ? visit_text_file(e, path, visit, bad, err)
                                     : lines_each(path, bad, visit_line, &c, err));
    }
    return STATUS_OK;
}

static status check_document(size_t len, const char *place, error *err) {
    if (len) return STATUS_OK;
    return error_set(err, STATUS_DATA, "%s: an empty document has nothing to predict", place);
}

static status count_document(perplexity *e, const char *text, size_t len, const char *place, error *err) {
    (void)text;
    TRY(check_document(len, place, err));
    e->bytes += (int64_t)len;
    return STATUS_OK;
}

/* ---- windows ---- */

static status add_nats(perplexity *e, int document, const float *logprob, int n, error *err) {
    double *nats = &e->documents.nats[document];
    for (int r = 0; r < n; r++) *nats -= logprob[r];
    if (isfinite(*nats)) return STATUS_OK;
    return error_set(err, STATUS_FAILED,
                     "%s: a token's log-probability is not finite: the model's weights are broken",
                     e->documents.place[document]);
}

/* Reads all that is packed and adds it to its documents. */
static status flush(perplexity *e, error *err) {
    TRY(text_reader_read(&e->reader, &e->lm, 1, err));
    const float *logprob = e->reader.logprob;
    for (int s = 0; s < e->reader.pack.b.n_seq; s++) {
        TRY(add_nats(e, e->waiting[s].document, logprob, e->waiting[s].n_row, err));
        logprob += e->waiting[s].n_row;
    }
    int n_token = e->reader.pack.b.n_token;
    pack_clear(&e->reader.pack);
    progress_step(&e->progress, e->bytes_done, n_token, NULL);
    if (!signal_stop_requested()) return STATUS_OK;
    return error_set(err, STATUS_INTERRUPTED, "stopped by a signal after %" PRId64 " of %" PRId64 " bytes",
                     e->bytes_done, e->bytes);
}

/* Tokens [first, end) of the document, first >= begin + 1, each given those from begin on. */
static status add_window(perplexity *e, int document, int64_t begin, int64_t first, int64_t end, error *err) {
    int n = (int)(end - begin), n_row = (int)(end - first);
    if (!pack_fits(&e->reader.pack, n, n_row)) TRY(flush(e, err));
    e->waiting[e->reader.pack.b.n_seq] = (waiting){document, n_row};
    pack_add(&e->reader.pack, (uint64_t)document, e->token.data + begin, n);
    pack_rows_of_answer(&e->reader.pack, (int)(first - begin));
    return STATUS_OK;
}

/* Every token from `first` on is predicted once: those of the first window, then `stride` more at a time,
   each with at least window - stride tokens before it. */
static status add_windows(perplexity *e, int document, int64_t first, int64_t bytes, error *err) {
    int64_t n = (int64_t)e->token.len, end = n < e->window ? n : e->window, before = e->bytes_done;
    for (; n > first; end = end + e->stride < n ? end + e->stride : n) {
        TRY(add_window(e, document, end > e->window ? end - e->window : 0, first, end, err));
        e->bytes_done = before + (int64_t)((double)bytes * ((double)end / (double)n));
        if (end == n) break;
        first = end;
    }
    e->bytes_done = before + bytes;
    return STATUS_OK;
}

static status grow(double **array, int n, error *err) {
    double *more = realloc(*array, sizeof *more * (n ? 2 * (size_t)n : 1));
    if (!more) return error_memory(err, "documents");
    *array = more;
    return STATUS_OK;
}

static status add_document(documents *d, const char *place, double tokens, double bytes, error *err) {
    if ((d->n & (d->n - 1)) == 0) {
        char **more = realloc(d->place, sizeof *more * (d->n ? 2 * (size_t)d->n : 1));
        if (!more) return error_memory(err, "documents");
        d->place = more;
        TRY(grow(&d->nats, d->n, err));
        TRY(grow(&d->tokens, d->n, err));
        TRY(grow(&d->bytes, d->n, err));
    }
    d->place[d->n] = strdup(place);
    if (!d->place[d->n]) return error_memory(err, "documents");
    d->nats[d->n] = 0;
    d->tokens[d->n] = tokens;
    d->bytes[d->n++] = bytes;
    return STATUS_OK;
}

static status measure_document(perplexity *e, const char *text, size_t len, const char *place, error *err) {
    const tokenizer *tok = e->lm.session.tok;
    size_t first = e->start.len, unread = 0; /* what nothing predicts: tokens, bytes */
    TRY(check_document(len, place, err));
    ints_clear(&e->token);
    ints_append(&e->token, e->start.data, first);
    if (tokenizer_encode(tok, text, len, &e->token, err) != STATUS_OK) return error_context(err, "%s", place);
    if (first == 0) tokenizer_token_bytes(tok, e->token.data[first++], &unread);
    TRY(add_document(&e->documents, place, (double)(e->token.len - first), (double)(len - unread), err));
    return add_windows(e, e->documents.n - 1, (int64_t)first, (int64_t)len, err);
}

/* ---- what came out ---- */

static double sum(const double *value, int n) {
    double s = 0;
    for (int i = 0; i < n; i++) s += value[i];
    return s;
}

static status write_documents(const perplexity *e, error *err) {
    const documents *d = &e->documents;
    file_writer file;
    buffer b = {0};
    TRY(file_begin(&file, e->o->out, err));
    for (int i = 0; i < d->n && !b.failed; i++) {
        buffer_clear(&b);
        buffer_string(&b, "{\"document\":");
        buffer_json_string(&b, d->place[i], strlen(d->place[i]));
        buffer_format(&b, ",\"tokens\":%.0f,\"bytes\":%.0f,\"nats\":", d->tokens[i], d->bytes[i]);
        buffer_json_double(&b, d->nats[i]);
        buffer_string(&b, ",\"perplexity\":");
        buffer_json_double(&b, exp(d->nats[i] / d->tokens[i]));
        buffer_string(&b, ",\"bits_per_byte\":");
        buffer_json_double(&b, d->nats[i] / d->bytes[i] / log(2));
        buffer_string(&b, "}\n");
        file_put(&file, b.data, b.len);
    }
    status s = buffer_check(&b, err);
    buffer_free(&b);
    if (s == STATUS_OK) return file_commit(&file, err);
    file_abandon(&file);
    return s;
}

typedef struct figure {
    const char *name, *words;
    interval value;
} figure;
enum { N_FIGURE = 3 };

static void figures_of(const documents *d, figure out[N_FIGURE]) {
    interval token = interval_ratio(d->n, d->nats, d->tokens), byte = interval_ratio(d->n, d->nats, d->bytes);
    double bit = 1 / log(2);
    out[0] = (figure){"nats_per_token", "nats per token", token};
    out[1] = (figure){"perplexity", "perplexity", {exp(token.value), exp(token.low), exp(token.high)}};
    out[2] = (figure){"bits_per_byte", "bits per byte", {byte.value * bit, byte.low * bit, byte.high * bit}};
}

static void put_json(const perplexity *e, const figure *figures, buffer *out) {
    const documents *d = &e->documents;
    buffer_string(out, "{\"model\":");
    buffer_json_string(out, e->o->model, strlen(e->o->model));
    buffer_format(out,
                  ",\"window\":%d,\"stride\":%d,\"documents\":%d,\"tokens\":%.0f,\"bytes\":%.0f,\"nats\":",
                  e->window, e->stride, d->n, sum(d->tokens, d->n), sum(d->bytes, d->n));
    buffer_json_double(out, sum(d->nats, d->n));
    for (int i = 0; i < N_FIGURE; i++) {
        buffer_format(out, ",\"%s\":{\"value\":", figures[i].name);
        buffer_json_double(out, figures[i].value.value);
        buffer_string(out, ",\"low\":");
        buffer_json_double(out, figures[i].value.low);
        buffer_string(out, ",\"high\":");
        buffer_json_double(out, figures[i].value.high);
        buffer_string(out, "}");
    }
    buffer_string(out, "}\n");
}

static void put_table(const perplexity *e, const figure *figures, buffer *out) {
    const documents *d = &e->documents;
    buffer_format(out, "%s: %d documents, window %d, stride %d\n", e->o->model, d->n, e->window, e->stride);
    buffer_format(out, "%-16s%12.0f\n%-16s%12.0f\n%-16s%12.1f\n", "tokens", sum(d->tokens, d->n), "bytes",
                  sum(d->bytes, d->n), "nats", sum(d->nats, d->n));
    for (int i = 0; i < N_FIGURE; i++) {
        const figure *f = &figures[i];
        buffer_format(out, "%-16s%12.4f", f->words, f->value.value);
        if (d->n > 1) buffer_format(out, "  (%.4f to %.4f)", f->value.low, f->value.high);
        buffer_string(out, "\n");
    }
    buffer_string(out, d->n > 1 ? "95 % intervals, with the documents as what was drawn\n" : "");
}

static status print(const perplexity *e, error *err) {
    figure figures[N_FIGURE];
    buffer text = {0};
    figures_of(&e->documents, figures);
    if (e->json)
        put_json(e, figures, &text);
    else
        put_table(e, figures, &text);
    status s = buffer_check(&text, err);
    if (s == STATUS_OK) s = file_print(text.data, text.len, err);
    buffer_free(&text);
    return s;
}

/* ---- the command ---- */

static status choose_windows(perplexity *e, error *err) {
    int context = model_get_config(e->lm.model)->context;
    if (e->o->window > context)
        return error_set(err, STATUS_USAGE,
                         "eval perplexity: --window is %" PRId64 ", the model's context is %d", e->o->window,
                         context);
    e->window = e->o->window ? (int)e->o->window : context;
    if (e->o->stride >= e->window)
        return error_set(err, STATUS_USAGE,
                         "eval perplexity: --stride is %" PRId64 ", must be below the window's %d",
                         e->o->stride, e->window);
    e->stride = e->o->stride ? (int)e->o->stride : (e->window + 1) / 2;
    const ints *before = tokenizer_before(e->lm.session.tok);
    ints_append(&e->start, before->data, before->len);
    if (before->len == 0 && !e->o->no_start) ints_push(&e->start, example_document_end(&e->lm.session.data));
    if ((int)e->start.len < e->window) return ints_check(&e->start, err);
    return error_set(err, STATUS_USAGE,
                     "eval perplexity: --window is %d, the tokenizer alone puts %zu tokens before a "
                     "text",
                     e->window, e->start.len);
}

static status open_work(perplexity *e, error *err) {
    TRY(text_reader_open(&e->lm, e->window, &e->reader, err));
    e->waiting = calloc((size_t)e->reader.most, sizeof *e->waiting);
    return e->waiting ? STATUS_OK : error_memory(err, "rows");
}

static status measure(perplexity *e, error *err) {
    bad_lines quiet = {.most = (int)e->o->max_bad, .quiet = 1}, bad = {.most = (int)e->o->max_bad};
    TRY(each_document(e, count_document, &quiet,
                      err)); /* the work ahead, and whether too much of it is bad */
    if (e->bytes == 0) return error_set(err, STATUS_DATA, "%s: no document", e->o->file[0]);
    TRY(language_model_open(e->o->model, (int)e->o->threads, e->o->dtype, "plain", NULL, &e->lm, err));
    TRY(choose_windows(e, err));
    TRY(open_work(e, err));
    progress_begin(&e->progress, e->lm.session.log, "perplexity", "byte", 0, e->bytes);
    status s = each_document(e, measure_document, &bad, err);
    if (s == STATUS_OK) s = flush(e, err);
    progress_end(&e->progress);
    return s;
}

static void close_work(perplexity *e) {
    documents *d = &e->documents;
    for (int i = 0; i < d->n; i++) free(d->place[i]);
    free(d->place);
    free(d->nats);
    free(d->tokens);
    free(d->bytes);
    text_reader_close(&e->reader);
    language_model_close(&e->lm);
    free(e->waiting);
    ints_free(&e->token);
    ints_free(&e->start);
}

static status run_perplexity(const command_line *line, void *options, error *err) {
    perplexity_options *o = options;
    o->model = line->words[0];
    o->file = line->words + 1;
    o->n_file = line->n_word - 1;
    perplexity e = {.o = o, .json = strcmp(o->format, "json") == 0};
    if (!e.json && strcmp(o->format, "table") != 0)
        return error_set(err, STATUS_USAGE, "eval perplexity: --format is \"%s\", must be table or json",
                         o->format);
    status s = measure(&e, err);
    if (s == STATUS_OK && o->out) s = write_documents(&e, err);
    if (s == STATUS_OK) s = print(&e, err);
    close_work(&e);
    return s;
}

status eval_perplexity_command(int argc, char **argv, error *err) {
    perplexity_options o = {.format = "table"};
    const argument arguments[] = {
        {"--window", ARGUMENT_INT, &o.window, 2, 1e9},    {"--stride", ARGUMENT_INT, &o.stride, 1, 1e9},
        {"--no-start", ARGUMENT_FLAG, &o.no_start, 0, 0}, {"--dtype", ARGUMENT_TEXT, &o.dtype, 0, 0},
        {"--threads", ARGUMENT_INT, &o.threads, 0, 1024}, {"--max-bad", ARGUMENT_INT, &o.max_bad, 0, 1e9},
        {"--format", ARGUMENT_TEXT, &o.format, 0, 0},     {"--out", ARGUMENT_TEXT, &o.out, 0, 0},
    };
    command_line line = {
        .command = "eval perplexity",
        .usage =
            "usage: rlhf eval perplexity MODEL FILE... [options]\n"
            "  How well a model predicts documents: nats and perplexity per token, bits per byte. A .txt "
            "file is\n"
            "  a document, of other files each line {\"text\"} is one. A document longer than the window is "
            "read\n"
            "  in overlapping windows, and each token is predicted once.\n"
            "  --window N        tokens that the model sees at once (its context)\n"
            "  --stride N        tokens that a window goes on; each token but the first ones has at least\n"
            "                    window - stride before it (half the window)\n"
            "  --no-start        no end-of-text before a document, so its first token is not predicted (a\n"
            "                    tokenizer that puts a token of its own there still does)\n"
            "  --dtype NAME      computes in f32 or bf16 (f32)\n"
            "  --threads N       0: all (0)\n"
            "  --max-bad N       so many bad lines are reported and left out (0)\n"
            "  --format NAME     table or json (table)\n"
            "  --out FILE        a JSON line per document",
        .example = "runs/sft/model book.txt",
        .arguments = arguments,
        .n = sizeof arguments / sizeof *arguments,
        .min_words = 2,
        .max_words = argc};
    return run_with_arguments(&line, argc, argv, run_perplexity, &o, err);
}
