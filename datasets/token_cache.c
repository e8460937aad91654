#include "datasets/token_cache.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <unistd.h>

#include "core/base/signal.h"
#include "datasets/tokenise.h"

/* A file of examples and its place in the cache. */
typedef struct entry {
    const data_options *o;
    loss_kind loss;
    const char *path;
    hash key;
    char *cached; /* DIRECTORY/KEY.tokens */
} entry;

static void put_text(buffer *b, const char *text) {
    if (text)
        buffer_json_string(b, text, strlen(text));
    else
        buffer_string(b, "null");
    buffer_string(b, "\n");
}

static status make_key(entry *e, error *err) {
    const data_options *o = e->o;
    hash content, tokenizer = tokenizer_hash(o->tok);
    uint64_t bytes;
    char hex[2 * HASH_BYTES + 1];
    buffer b = {0};
    TRY(hash_file(e->path, &content, &bytes, err));
    hash_hex(&content, hex);
    buffer_format(&b, "tokens 1\n%s\n", hex);
    hash_hex(&tokenizer, hex);
    buffer_format(&b, "%s\n%s\n", hex, template_name(o->chat));
    put_text(&b, o->system);
    put_text(&b, lines_is_text_file(e->path) ? o->separator : NULL);
    buffer_format(&b, "%d %d %d %d\n", lines_is_text_file(e->path), (int)e->loss, o->max_length, o->cut);
    status s = buffer_check(&b, err);
    if (s == STATUS_OK) e->key = hash_bytes(b.data, b.len);
    buffer_free(&b);
    return s;
}

static status name_entry(entry *e, error *err) {
    char hex[2 * HASH_BYTES + 1], name[2 * HASH_BYTES + 16];
    hash_hex(&e->key, hex);
    snprintf(name, sizeof name, "%s.tokens", hex);
    e->cached = path_join(e->o->cache, name);
    return e->cached ? STATUS_OK : error_memory(err, "a path");
}

/* ---- reading ---- */

/* The bad lines that were met when the file was tokenised, again with the name that it has now. */
static status repeat_bad_lines(const entry *e, const token_file *f, error *err) {
    for (size_t at = 0; at < f->bad.len;) {
        const char *message = f->bad.data + at;
        TRY(bad_lines_add(e->o->bad, (error_set(err, STATUS_DATA, "%s%s", e->path, message), err)));
        at += strlen(message) + 1;
    }
    return STATUS_OK;
}

/* *found: 0 when it is not there or not to be trusted, which is said. */
static status find(const entry *e, token_file *out, int *found, error *err) {
    error why = {0};
    *found = 0;
    if (!path_exists(e->cached)) return STATUS_OK;
    status s = token_file_open(e->cached, &e->key, tokenizer_vocab(e->o->tok), out, &why);
    if (s == STATUS_DATA) {
        log_warning(e->o->bad->log, "%s: %s is tokenised again", why.message, e->path);
        return STATUS_OK;
    }
    if (s != STATUS_OK) return error_set(err, s, "%s", why.message);
    *found = 1;
    s = repeat_bad_lines(e, out, err);
    if (s != STATUS_OK) token_file_close(out);
    return s;
}

/* ---- making ---- */

/* Messages without the file's name, which they begin with. */
static status strip_names(const entry *e, const buffer *messages, buffer *out, error *err) {
    size_t name = strlen(e->path);
    for (size_t at = 0; at < messages->len;) {
        const char *message = messages->data + at;
        size_t len = strlen(message), skip = strncmp(message, e->path, name) == 0 ? name : 0;
        buffer_append(out, message + skip, len + 1 - skip);
        at += len + 1;
    }
    return buffer_check(out, err);
}

static status write_records(const entry *e, file_writer *file, error *err) {
    token_writer w;
    bad_lines *bad = e->o->bad;
    buffer messages = {0}, stripped = {0};
    token_writer_begin(&w, file);
    bad->kept = &messages;
    status s = tokenise_file(e->o, e->loss, e->path, &w, err);
    bad->kept = NULL;
    if (s == STATUS_OK) s = buffer_check(&messages, err);
    if (s == STATUS_OK) s = strip_names(e, &messages, &stripped, err);
    if (s == STATUS_OK) s = token_writer_finish(&w, &e->key, &stripped, err);
    token_writer_free(&w);
    buffer_free(&messages);
    buffer_free(&stripped);
    return s;
}

static status make(const entry *e, token_file *out, error *err) {
    file_writer file;
    error why = {0};
    TRY(file_begin(&file, e->cached, err));
    status s = write_records(e, &file, err);
    if (s != STATUS_OK) {
        file_abandon(&file);
        return s;
    }
    TRY(file_commit(&file, err));
    log_line(e->o->bad->log, "%s: tokenised into %s", e->path, e->cached);
    if (token_file_open(e->cached, &e->key, tokenizer_vocab(e->o->tok), out, &why) == STATUS_OK)
        return STATUS_OK;
    return error_set(err, STATUS_FAILED, "%s: just written, and it does not read back", why.message);
}

/* One program at a time fills the directory. */
static status take_lock(const entry *e, int lock, error *err) {
    for (int waited = 0; flock(lock, LOCK_EX | LOCK_NB) != 0; waited++) {
        if (errno != EWOULDBLOCK && errno != EINTR)
            return error_set(err, STATUS_FAILED, "%s: cannot lock: %s", e->o->cache, strerror(errno));
        if (signal_stop_requested())
            return error_set(err, STATUS_INTERRUPTED, "stopped by a signal while waiting for %s",
                             e->o->cache);
        if (!waited) log_line(e->o->bad->log, "%s: waiting for another program that fills it", e->o->cache);
        usleep(100000);
    }
    return STATUS_OK;
}

/* Under the lock; another program may have made it meanwhile. */
static status find_or_make(const entry *e, token_file *out, error *err) {
    int found;
    TRY(path_remove_temporaries(e->o->cache, err));
    TRY(find(e, out, &found, err));
    return found ? STATUS_OK : make(e, out, err);
}

static status fill(const entry *e, token_file *out, error *err) {
    TRY(path_make_directories(e->o->cache, err));
    char *path = path_join(e->o->cache, "lock");
    if (!path) return error_memory(err, "a path");
    int lock = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0666);
    status s = lock < 0 ? error_set(err, STATUS_FAILED, "%s: cannot open: %s", path, strerror(errno))
                        : take_lock(e, lock, err);
    if (s == STATUS_OK) s = find_or_make(e, out, err);
    if (lock >= 0) close(lock);
    free(path);
    return s;
}

/* ---- both ---- */

static status read_cached(entry *e, token_file *out, error *err) {
    int found;
    TRY(make_key(e, err));
    TRY(name_entry(e, err));
    if (access(e->cached, R_OK) == 0) {
        TRY(find(e, out, &found, err));
        if (found) return STATUS_OK;
    }
    return fill(e, out, err);
}

static status read_into_memory(const entry *e, token_file *out, error *err) {
    token_writer w;
    token_writer_begin(&w, NULL);
    status s = tokenise_file(e->o, e->loss, e->path, &w, err);
    if (s == STATUS_OK) s = token_writer_take(&w, out, err);
    token_writer_free(&w);
    return s;
}

status token_cache_read(const data_options *o, loss_kind loss, const char *path, token_file *out,
                        error *err) {
    entry e = {.o = o, .loss = loss, .path = path};
    *out = (token_file){0};
    status s = o->cache ? read_cached(&e, out, err) : read_into_memory(&e, out, err);
    free(e.cached);
    return s;
}
