#include "rlhf/partial.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* A record: this head, tokens, log-probabilities, and the first bytes of the SHA-256 of all that. The file
   begins with the hash of what the answers follow from. It is read by the program that wrote it alone. */
typedef struct head {
    int32_t answer, n_token, finished;
} head;
enum { SEAL = 8 };

static status failed(const partial *p, const char *what, error *err) {
    return error_set(err, STATUS_FAILED, "%s: cannot %s: %s", p->path, what, strerror(errno));
}

/* ---- reading */

/* Reads the next record into a; 0 where there is none, or a damaged one. */
static int read_record(FILE *in, buffer *record, answers *a) {
    head h;
    if (fread(&h, sizeof h, 1, in) != 1) return 0;
    if (h.answer < 0 || h.answer >= a->n_prompt * a->k || h.n_token < 1 || h.n_token > a->max_tokens)
        return 0;
    size_t n = (size_t)h.n_token, body = n * (sizeof *a->token + sizeof *a->logprob);
    buffer_clear(record);
    buffer_append(record, &h, sizeof h);
    if (!buffer_reserve(record, body)) return 0;
    char *at = record->data + sizeof h;
    uint8_t seal[SEAL];
    if (fread(at, 1, body, in) != body || fread(seal, 1, SEAL, in) != SEAL) return 0;
    hash sum = hash_bytes(record->data, sizeof h + body);
    if (memcmp(sum.byte, seal, SEAL) != 0) return 0;
    size_t to = (size_t)h.answer * (size_t)a->max_tokens;
    memcpy(a->token + to, at, n * sizeof *a->token);
    memcpy(a->logprob + to, at + n * sizeof *a->token, n * sizeof *a->logprob);
    a->n_token[h.answer] = h.n_token;
    a->finished[h.answer] = h.finished;
    return 1;
}

/* Returns the length of what is whole. */
static off_t read_all(FILE *in, buffer *record, const hash *of, answers *a) {
    hash was;
    if (fread(&was, sizeof was, 1, in) != 1 || !hash_equal(&was, of)) return 0;
    off_t whole = sizeof was;
    while (read_record(in, record, a)) whole = ftello(in);
    return whole;
}

/* A prompt that lacks an answer is asked again for all of them. */
static int64_t mark_prompts(answers *a) {
    int64_t n = 0;
    for (int p = 0; p < a->n_prompt; p++) {
        int have = 0;
        for (int k = 0; k < a->k; k++) have += a->n_token[p * a->k + k] > 0;
        a->there[p] = have == a->k;
        n += a->there[p] ? a->k : 0;
    }
    return n;
}

static status write_all(const partial *p, const void *data, size_t len, error *err) {
    for (size_t done = 0; done < len;) {
        ssize_t n = write(p->file, (const char *)data + done, len - done);
        if (n < 0 && errno == EINTR) continue;
        if (n < 0) return failed(p, "write", err);
        done += (size_t)n;
    }
    return STATUS_OK;
}

/* ---- the file */

status partial_open(const char *path, const hash *of, answers *a, partial *out, int64_t *n, error *err) {
    *out = (partial){.path = path, .file = open(path, O_RDWR | O_CREAT | O_APPEND | O_CLOEXEC, 0666)};
    if (out->file < 0) return failed(out, "write", err);
    FILE *in = fopen(path, "rbe");
    if (!in) return failed(out, "read", err);
    off_t whole = read_all(in, &out->record, of, a);
    fclose(in);
    *n = mark_prompts(a);
    TRY(buffer_check(&out->record, err));
    if (ftruncate(out->file, whole) != 0) return failed(out, "cut", err);
    return whole ? STATUS_OK : write_all(out, of, sizeof *of, err);
}

status partial_add(partial *p, const answers *a, int i, error *err) {
    head h = {i, a->n_token[i], a->finished[i]};
    size_t n = (size_t)h.n_token;
    buffer_clear(&p->record);
    buffer_append(&p->record, &h, sizeof h);
    buffer_append(&p->record, answer_tokens(a, i), n * sizeof *a->token);
    buffer_append(&p->record, answer_logprobs(a, i), n * sizeof *a->logprob);
    TRY(buffer_check(&p->record, err));
    hash sum = hash_bytes(p->record.data, p->record.len);
    buffer_append(&p->record, sum.byte, SEAL);
    TRY(buffer_check(&p->record, err));
    return write_all(p, p->record.data, p->record.len, err);
}

void partial_close(partial *p) {
    if (p->file >= 0) close(p->file);
    p->file = -1;
    buffer_free(&p->record);
}

status partial_remove(partial *p, error *err) {
    partial_close(p);
    return unlink(p->path) == 0 ? STATUS_OK : failed(p, "remove", err);
}
