/* What the store's tests share: a fresh directory for each test, files, run directories, and checks that
 * print the error. */
#ifndef RLHF_TESTS_STORE_TEST_H
#define RLHF_TESTS_STORE_TEST_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "core/base/file.h"
#include "core/base/lineage.h"
#include "core/base/path.h"
#include "datasets/store/store.h"

#define OK(call)                                                                                             \
    do {                                                                                                     \
        error err = {0};                                                                                     \
        if ((call) != STATUS_OK) fail_msg("%s: %s", #call, err.message);                                     \
    } while (0)

/* The call fails with this status, and its message holds this text. */
#define FAILS(call, code_, text)                                                                             \
    do {                                                                                                     \
        error err = {0};                                                                                     \
        status got = (call);                                                                                 \
        if (got != (code_)) fail_msg("%s: status %d, wanted %d (%s)", #call, got, code_, err.message);       \
        if (!strstr(err.message, text))                                                                      \
            fail_msg("%s: \"%s\" does not say \"%s\"", #call, err.message, text);                            \
    } while (0)

typedef struct place {
    char directory[256];
    char path[16][320]; /* a ring of results of in() */
    int next;
} place;

static inline int place_make(void **state) {
    place *p = calloc(1, sizeof *p);
    const char *base = getenv("TMPDIR");
    snprintf(p->directory, sizeof p->directory, "%s/rlhf-store-XXXXXX", base ? base : "/tmp");
    *state = p;
    return mkdtemp(p->directory) ? 0 : -1;
}

static inline int place_remove(void **state) {
    place *p = *state;
    path_remove_tree(p->directory, NULL);
    free(p);
    return 0;
}

/* "DIRECTORY/NAME", good until sixteen more were asked for. */
static inline const char *in(place *p, const char *name) {
    char *out = p->path[p->next++ % 16];
    out[0] = 0;
    strcat(strcat(strcat(out, p->directory), "/"), name);
    return out;
}

/* Without syncing: tests need not survive a power failure. */
static inline void write_plain(const char *path, const char *text) {
    FILE *f = fopen(path, "wb");
    assert_non_null(f);
    assert_int_equal(fwrite(text, 1, strlen(text), f), strlen(text));
    assert_int_equal(fclose(f), 0);
}

static inline const char *write_text(place *p, const char *name, const char *text) {
    const char *path = in(p, name);
    write_plain(path, text);
    return path;
}

static inline store *open_store(place *p, const char *name) {
    store *s;
    OK(store_open(in(p, name), STORE_WRITER, &s, &err));
    return s;
}

static inline void assert_sound(store *s) {
    buffer problems = {0};
    int64_t n;
    OK(store_fsck(s, &problems, &n, &err));
    if (n) fail_msg("fsck: %s", problems.data);
    buffer_free(&problems);
}

/* A run directory of `rlhf generate`: answers is the text of answers.jsonl. The model's and tokenizer's bytes
   are their names. */
static inline const char *make_run(place *p, const char *name, int round, const char *model,
                                   const char *answers) {
    const char *directory = in(p, name);
    char path[400];
    lineage l = {.kind = strdup("generate"),
                 .code = strdup("test"),
                 .round = round,
                 .seed = 7,
                 .attempt = 1,
                 .started_ms = 1000,
                 .ended_ms = 2000};
    OK(path_make_directories(directory, &err));
    OK(lineage_make_uuid(l.uuid, &err));
    snprintf(path, sizeof path, "%s/tokenizer.bin", p->directory);
    write_plain(path, "tokenizer");
    OK(lineage_add_in(&l, directory, "tokenizer", -1, path, &err));
    snprintf(path, sizeof path, "%s/%s.bin", p->directory, model);
    write_plain(path, model);
    OK(lineage_add_in(&l, directory, "model", -1, path, &err));
    snprintf(path, sizeof path, "%s/answers.jsonl", directory);
    write_plain(path, answers);
    snprintf(path, sizeof path, "%s/lineage.json", directory);
    OK(lineage_write(path, &l, &err));
    lineage_free(&l);
    return directory;
}

/* answers.jsonl of n prompts "PREFIX i" with k answers each. */
static inline void make_answers(buffer *out, const char *prefix, int n, int k) {
    for (int i = 0; i < n; i++)
        for (int j = 0; j < k; j++)
            buffer_format(out,
                          "{\"prompt\":\"%s %d\",\"sample\":%d,\"seq_id\":%d,\"text\":\"answer %d to "
                          "%d\",\"tokens\":[%d,%d,0],"
                          "\"finish\":\"stop\",\"logprob\":[-1,-1,-1],\"split\":\"train\"}\n",
                          prefix, i, j, i * k + j, j, i, i + 1, j + 1);
}

/* A store with one round of n tasks of k answers and the labeller "ann". */
static inline store *store_with_tasks(place *p, const char *name, int n, int k, int want, int64_t *ann) {
    buffer answers = {0};
    store_imported count;
    int64_t made;
    store *s = open_store(p, name);
    make_answers(&answers, "prompt", n, k);
    char run[64];
    snprintf(run, sizeof run, "run-of-%s", name);
    OK(store_import_run(s, make_run(p, run, 1, "model", answers.data), &count, &err));
    store_task_options o = {.round = 1, .answers = k, .want = want};
    OK(store_make_tasks(s, &o, &made, &err));
    assert_int_equal(made, n);
    OK(store_add_labeller(s, "ann", LABELLER_HUMAN, NULL, ann, &err));
    buffer_free(&answers);
    return s;
}

/* A first answer to a lease: slot 1 best, slot 2 second ... */
static inline store_ranking first_answer(const store_lease *l) {
    store_ranking r = {.verdict = VERDICT_RANKED, .n_rank = (int)strlen(l->shown), .seconds = 1.5};
    memcpy(r.uuid, l->uuid, STORE_UUID);
    memcpy(r.lease, l->uuid, STORE_UUID);
    for (int i = 0; i < r.n_rank; i++) r.rank[i] = i + 1;
    return r;
}

#endif
