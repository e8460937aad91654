#include "datasets/sequences.h"

#include <limits.h>
#include <stdlib.h>

#include "datasets/token_cache.h"

/* Which records of which files become a list. */
typedef struct selection {
    const token_file *file;
    int n_file;
    split_kind split;
} selection;

static uint64_t count_records(const token_file *f, split_kind split) {
    uint64_t n = 0;
    for (split_kind s = SPLIT_TRAIN; s <= SPLIT_TEST; s++)
        n += split_is_wanted(split, s) ? f->n_of_split[s] : 0;
    return n;
}

static void add_sequence(sequences *s, const token_record *r) {
    s->entry[s->n++] = (sequence){r->token, r->n, r->n_target};
    s->n_token += r->n;
    s->n_target += r->n_target;
    if (s->n == 1 || r->n < s->shortest) s->shortest = r->n;
    if (r->n > s->longest) s->longest = r->n;
    if (r->n_target > s->most_targets) s->most_targets = r->n_target;
}

static void add_file(sequences *s, const token_file *f, split_kind split) {
    enum { PIECE = 16 << 20 };
    size_t released = 0;
    for (size_t at = 0; at < f->bytes;) {
        const token_record *r = (const token_record *)(const void *)(f->record + at);
        if (split_is_wanted(split, (split_kind)r->split)) add_sequence(s, r);
        at += token_record_bytes(r->n);
        if (at - released < PIECE) continue;
        token_file_release(f);
        released = at;
    }
    token_file_release(f);
}

static status select_sequences(const selection *c, sequences *out, error *err) {
    uint64_t n = 0;
    for (int i = 0; i < c->n_file; i++) n += count_records(&c->file[i], c->split);
    if (n > INT_MAX)
        return error_set(err, STATUS_DATA, "%llu examples, at most %d can be trained on",
                         (unsigned long long)n, INT_MAX);
    out->entry = malloc(sizeof *out->entry * (n + 1));
    out->n_of_file = calloc((size_t)c->n_file + 1, sizeof *out->n_of_file);
    if (!out->entry || !out->n_of_file) return error_memory(err, "examples");
    for (int i = 0; i < c->n_file; i++) {
        out->n_of_file[i] = (int)count_records(&c->file[i], c->split);
        add_file(out, &c->file[i], c->split);
    }
    return STATUS_OK;
}

static status load_files(const data_options *o, loss_kind loss, const char *const *files, int n,
                         sequence_data *d, error *err) {
    for (int i = 0; i < n; i++) {
        TRY(token_cache_read(o, loss, files[i], &d->file[d->n_file], err));
        d->n_file++;
    }
    return STATUS_OK;
}

static status load(const data_options *o, loss_kind loss, const char *const *train, int n_train,
                   const char *const *valid, int n_valid, sequence_data *d, error *err) {
    uint64_t n_read = 0;
    split_kind wanted = n_valid ? SPLIT_ANY : SPLIT_TRAIN;
    d->file = calloc((size_t)n_train + (size_t)n_valid + 1, sizeof *d->file);
    if (!d->file) return error_memory(err, "files");
    TRY(load_files(o, loss, train, n_train, d, err));
    TRY(select_sequences(&(selection){d->file, n_train, wanted}, &d->train, err));
    for (int i = 0; i < n_train; i++) n_read += d->file[i].n_read;
    if (d->train.n == 0) return data_nothing_left(o, "example", train, n_train, wanted, (int64_t)n_read, err);
    if (!n_valid) return select_sequences(&(selection){d->file, n_train, SPLIT_VALID}, &d->valid, err);
    TRY(load_files(o, loss, valid, n_valid, d, err));
    TRY(select_sequences(&(selection){d->file + n_train, n_valid, SPLIT_ANY}, &d->valid, err));
    if (d->valid.n) return STATUS_OK;
    return data_nothing_left(o, "example", valid, n_valid, SPLIT_ANY, (int64_t)d->file[n_train].n_read, err);
}

status sequences_load(const data_options *o, loss_kind loss, const char *const *train, int n_train,
                      const char *const *valid, int n_valid, sequence_data *out, error *err) {
    *out = (sequence_data){0};
    status s = load(o, loss, train, n_train, valid, n_valid, out, err);
    if (s != STATUS_OK) sequences_free(out);
    return s;
}

static void free_list(sequences *s) {
    free(s->entry);
    free(s->n_of_file);
}

void sequences_free(sequence_data *d) {
    free_list(&d->train);
    free_list(&d->valid);
    for (int i = 0; i < d->n_file; i++) token_file_close(&d->file[i]);
    free(d->file);
    *d = (sequence_data){0};
}

size_t sequences_bytes(const sequence_data *d) {
    size_t bytes = sizeof(sequence) * ((size_t)d->train.n + (size_t)d->valid.n);
    for (int i = 0; i < d->n_file; i++) bytes += d->file[i].memory.len;
    return bytes;
}

void sequences_release(const sequence_data *d) {
    for (int i = 0; i < d->n_file; i++) token_file_release(&d->file[i]);
}
