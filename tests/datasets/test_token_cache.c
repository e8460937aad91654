/* The cache of tokenised examples: the records of memory, found again by all that they depend on, and never
   trusted when something is wrong with them. */
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>
#include <zlib.h>

#include <cmocka.h>

#include "datasets/sequences.h"
#include "datasets/token_cache.h"
#include "tests/support/data_cases.h"
#include "tests/support/places.h"

#define OK(call)                                                                                             \
    do {                                                                                                     \
        error err_ = {0}, *err = &err_;                                                                      \
        if ((call) != STATUS_OK) fail_msg("%s", err_.message);                                               \
    } while (0)

static tokenizer *tok;

static int setup(void **state) {
    (void)state;
    tok = bytes_tokenizer();
    return 0;
}
static int teardown(void **state) {
    (void)state;
    tokenizer_free(tok);
    return 0;
}

/* How a test reads, what is said meanwhile, and where its cache is. */
typedef struct place {
    char *directory, *cache;
    logger log;
    bad_lines bad;
    data_options o;
} place;

static place open_place(char *directory) {
    place p = {.directory = directory, .cache = strdup(path_in(directory, "cache"))};
    p.log = (logger){.quiet = true, .file = fopen(path_in(directory, "log"), "w+")};
    return p;
}

static void point(place *p) {
    p->bad = (bad_lines){.most = 10, .log = &p->log};
    p->o = bytes_options(tok, "plain", 40, &p->bad);
    p->o.cache = p->cache;
}

static void close_place(place *p) {
    fclose(p->log.file);
    free(p->cache);
}

/* What was said since the last time. */
static char *said(place *p) {
    static char text[8192];
    rewind(p->log.file);
    text[fread(text, 1, sizeof text - 1, p->log.file)] = 0;
    assert_int_equal(ftruncate(fileno(p->log.file), 0), 0);
    rewind(p->log.file);
    return text;
}

static const char *examples(place *p, const char *name) {
    buffer text = {0};
    for (int i = 0; i < 300; i++) {
        buffer_format(&text, "{\"prompt\": \"question %d\", \"completion\": \" answer %d\"}\n", i, i * i);
        if (i % 100 == 50)
            buffer_format(&text, "{\"text\": \"a document that is longer than forty bytes %d\"}\n", i);
    }
    const char *path = data_file(p->directory, name, text.data);
    buffer_free(&text);
    return path;
}

static void expect_same(const token_file *a, const token_file *b) {
    assert_int_equal(a->bytes, b->bytes);
    assert_memory_equal(a->record, b->record, a->bytes);
    assert_memory_equal(a->n_of_split, b->n_of_split, sizeof a->n_of_split);
    assert_int_equal(a->n_read, b->n_read);
}

/* Reads without a cache and with it; gives the number of files in the cache. */
static int read_both(place *p, const char *file) {
    token_file plain, cached;
    data_options o = p->o;
    o.cache = NULL;
    p->bad.n = 0;
    OK(token_cache_read(&o, LOSS_COMPLETION, file, &plain, err));
    int n_bad = p->bad.n;
    p->bad.n = 0;
    OK(token_cache_read(&p->o, LOSS_COMPLETION, file, &cached, err));
    assert_int_equal(p->bad.n, n_bad);
    assert_null(plain.mapped.data);
    assert_non_null(cached.mapped.data);
    expect_same(&plain, &cached);
    token_file_close(&plain);
    token_file_close(&cached);
    char **names;
    int n, n_tokens = 0;
    OK(path_list(p->cache, &names, &n, err));
    for (int i = 0; i < n; i++) n_tokens += strlen(names[i]) == 2 * HASH_BYTES + strlen(".tokens");
    assert_int_equal(n, n_tokens + 1); /* and the lock */
    path_free_list(names, n);
    return n_tokens;
}

/* The one file of the cache. */
static const char *only_file(const place *p) {
    char **names;
    int n;
    OK(path_list(p->cache, &names, &n, err));
    assert_int_equal(n, 2);
    assert_string_equal(names[1], "lock");
    const char *path = path_in(p->cache, names[0]);
    path_free_list(names, n);
    return path;
}

static long inode(const char *path) {
    struct stat st;
    assert_int_equal(stat(path, &st), 0);
    return (long)st.st_ino;
}

static void test_a_file_is_made_once(void **state) {
    place p = open_place(*state);
    point(&p);
    const char *file = examples(&p, "a.jsonl");
    assert_int_equal(read_both(&p, file), 1);
    assert_non_null(strstr(said(&p), "a.jsonl: tokenised into "));
    long made = inode(only_file(&p));
    assert_int_equal(read_both(&p, file), 1);
    assert_string_equal(said(&p), "");
    /* By its content, whatever it is called. */
    assert_int_equal(read_both(&p, examples(&p, "b.jsonl")), 1);
    assert_int_equal(inode(only_file(&p)), made);
    /* Zipped it has other bytes, and the same records. */
    buffer text = read_all(file);
    gzFile zip = gzopen(path_in(*state, "a.jsonl.gz"), "wb");
    gzwrite(zip, text.data, (unsigned)text.len);
    gzclose(zip);
    assert_int_equal(read_both(&p, path_in(*state, "a.jsonl.gz")), 2);
    buffer_free(&text);
    /* Nothing in it. */
    assert_int_equal(read_both(&p, data_file(*state, "empty.jsonl", "")), 3);
    assert_int_equal(read_both(&p, data_file(*state, "empty.jsonl", "")), 3);
    close_place(&p);
}

/* Everything that changes a record changes the name. */
static void test_what_records_depend_on(void **state) {
    place p = open_place(*state);
    point(&p);
    const char *file = examples(&p, "a.jsonl");
    int n = 0;
    assert_int_equal(read_both(&p, file), ++n);
    p.o.max_length = 30;
    p.o.cut = 1;
    assert_int_equal(read_both(&p, file), ++n);
    p.o.cut = 0;
    assert_int_equal(read_both(&p, file), ++n);
    p.o.max_length = 200;
    assert_int_equal(read_both(&p, file), ++n);
    OK(template_find("chatml", &p.o.chat, err));
    assert_int_equal(read_both(&p, file), ++n);
    p.o.system = "";
    assert_int_equal(read_both(&p, file), ++n);
    p.o.system = "be kind";
    assert_int_equal(read_both(&p, file), ++n);
    /* Separators are of documents alone. */
    p.o.separator = "a";
    assert_int_equal(read_both(&p, file), n);
    const char *documents = data_file(*state, "a.txt", "a b a c a d");
    assert_int_equal(read_both(&p, documents), ++n);
    p.o.separator = "b";
    assert_int_equal(read_both(&p, documents), ++n);
    p.o.separator = NULL;
    assert_int_equal(read_both(&p, documents), ++n);
    assert_int_equal(read_both(&p, data_file(*state, "a.txt", "a b a c a e")), ++n);
    /* The loss, and the tokenizer. */
    token_file f;
    OK(token_cache_read(&p.o, LOSS_ALL, file, &f, err));
    token_file_close(&f);
    assert_int_equal(read_both(&p, file), ++n);
    static const char *const special[] = {TOKEN_END_OF_TEXT, TOKEN_TURN_START, TOKEN_TURN_END};
    tokenizer_text text = {"question question question", 26};
    tokenizer *other;
    OK(tokenizer_train(&text, 1, 262, special, 3, &other, err));
    p.o.tok = other;
    assert_int_equal(read_both(&p, file), ++n);
    tokenizer_free(other);
    close_place(&p);
}

static void test_bad_lines_are_told_again(void **state) {
    place p = open_place(*state);
    point(&p);
    const char *text = "{\"text\": \"one\"}\n[]\n{\"text\": 3}\n{\"text\": \"two\"}\n";
    read_both(&p, data_file(*state, "a.jsonl", text));
    said(&p);
    token_file f;
    p.bad.n = 0;
    OK(token_cache_read(&p.o, LOSS_COMPLETION, data_file(*state, "renamed.jsonl", text), &f, err));
    token_file_close(&f);
    assert_int_equal(p.bad.n, 2);
    char *log = said(&p);
    assert_non_null(strstr(log, "renamed.jsonl:2: must be an object, not an array (line left out)"));
    assert_non_null(strstr(log, "renamed.jsonl:3: \"text\" must be a string, not a number (line left out)"));
    assert_null(strstr(log, "tokenised into"));
    /* Fewer are allowed now. */
    error err;
    p.bad = (bad_lines){.most = 1, .log = &p.log};
    assert_int_equal(token_cache_read(&p.o, LOSS_COMPLETION, path_in(*state, "a.jsonl"), &f, &err),
                     STATUS_DATA);
    assert_non_null(strstr(err.message, "a.jsonl:3: \"text\" must be a string"));
    assert_non_null(strstr(err.message, "data.max_bad allows 1"));
    /* A file with too many makes none. */
    p.bad = (bad_lines){.most = 0, .log = &p.log};
    p.cache = strcat(realloc(p.cache, strlen(p.cache) + 3), "-2");
    p.o.cache = p.cache;
    assert_int_equal(token_cache_read(&p.o, LOSS_COMPLETION, path_in(*state, "a.jsonl"), &f, &err),
                     STATUS_DATA);
    char **names;
    int n;
    OK(path_list(p.cache, &names, &n, err));
    assert_int_equal(n, 1); /* the lock */
    path_free_list(names, n);
    close_place(&p);
}

/* ---- files that are not what they were ---- */

static void test_damage(void **state) {
    place p = open_place(*state);
    point(&p);
    const char *file = examples(&p, "a.jsonl");
    read_both(&p, file);
    char *path = strdup(only_file(&p));
    buffer sound = read_all(path);
    for (size_t i = 0; i < 60; i++) {
        size_t at = sound.len * i / 60;
        buffer b = {0};
        buffer_append(&b, sound.data, sound.len);
        if (i % 3 == 0) b.data[at] ^= 1;
        if (i % 3 == 1) b.len = at;
        if (i % 3 == 2) buffer_append(&b, "x", 1);
        write_all(path, b.data, b.len);
        buffer_free(&b);
        said(&p);
        assert_int_equal(read_both(&p, file), 1);
        char *log = said(&p);
        assert_non_null(strstr(log, "a.jsonl is tokenised again"));
        assert_non_null(strstr(log, "a.jsonl: tokenised into"));
    }
    /* Each byte of the end. */
    for (size_t back = 1; back <= 130; back++) {
        write_all(path, sound.data, sound.len);
        buffer b = read_all(path);
        b.data[b.len - back] ^= 0x10;
        write_all(path, b.data, b.len);
        buffer_free(&b);
        assert_int_equal(read_both(&p, file), 1);
        assert_non_null(strstr(said(&p), "tokenised again"));
    }
    /* Another file's records under this name. */
    read_both(&p, data_file(*state, "b.jsonl", "{\"text\": \"b\"}\n"));
    char **names;
    int n;
    OK(path_list(p.cache, &names, &n, err));
    for (int i = 0; i < n - 1; i++) {
        const char *other = path_in(p.cache, names[i]);
        if (strcmp(other, path) != 0) assert_int_equal(rename(other, path), 0);
    }
    path_free_list(names, n);
    said(&p);
    assert_int_equal(read_both(&p, file), 1);
    assert_non_null(strstr(said(&p), "was made of other data: "));
    /* And all is as it was. */
    buffer again = read_all(path);
    assert_int_equal(again.len, sound.len);
    assert_memory_equal(again.data, sound.data, sound.len);
    buffer_free(&again);
    buffer_free(&sound);
    free(path);
    close_place(&p);
}

/* A file with the right checksum is still not believed. */
static void test_hostile_records(void **state) {
    static const int32_t huge[] = {1, 2, 300, 4}, target[] = {1, 1, 1, 1};
    const char *path = path_in(*state, "x.tokens");
    hash key = hash_bytes("key", 3);
    for (int which = 0; which < 6; which++) {
        file_writer file;
        token_writer w;
        buffer none = {0};
        token_file f;
        error err;
        OK(file_begin(&file, path, err));
        token_writer_begin(&w, &file);
        if (which == 0) OK(token_writer_add(&w, huge, target, 4, SPLIT_TRAIN, err));
        OK(token_writer_add(&w, huge, target, 2, SPLIT_TRAIN, err));
        token_record r = {.n = 2, .n_target = 1, .split = SPLIT_VALID};
        if (which == 1) r.n = INT32_MAX;
        if (which == 2) r.n = -1;
        if (which == 3) r.n_target = 2;
        if (which == 4) r.split = 4;
        int32_t tail[3] = {1, 2, 1 << 8};
        hash_add(&w.sum, &r, sizeof r);
        file_put(&file, &r, sizeof r);
        hash_add(&w.sum, tail, sizeof tail);
        file_put(&file, tail, sizeof tail);
        w.bytes += sizeof r + sizeof tail;
        w.n_of_split[SPLIT_VALID] += which != 5;
        OK(token_writer_finish(&w, &key, &none, err));
        OK(file_commit(&file, err));
        token_writer_free(&w);
        assert_int_equal(token_file_open(path, &key, 256, &f, &err), STATUS_DATA);
        assert_non_null(strstr(err.message, which == 5 ? "counts other records" : "begins no record"));
        assert_null(f.mapped.data);
    }
}

static void test_no_room(void **state) {
    place p = open_place(*state);
    point(&p);
    const char *file = examples(&p, "a.jsonl");
    token_file f;
    error err;
    disk_holds(4096);
    status s = token_cache_read(&p.o, LOSS_COMPLETION, file, &f, &err);
    disk_is_free();
    assert_int_equal(s, STATUS_FAILED);
    assert_non_null(strstr(err.message, ".tokens"));
    char **names;
    int n;
    OK(path_list(p.cache, &names, &n, err));
    assert_int_equal(n, 1); /* the lock */
    path_free_list(names, n);
    /* What a kill left is taken away. */
    write_all(path_in(p.cache, "0123.tokens" FILE_TEMPORARY), "half", 4);
    assert_int_equal(read_both(&p, file), 1);
    /* A place where nothing can be made. */
    p.o.cache = "/dev/null/cache";
    assert_int_equal(token_cache_read(&p.o, LOSS_COMPLETION, file, &f, &err), STATUS_FAILED);
    close_place(&p);
}

/* Programs that want the same file: one makes it, the others wait. */
static void test_programs_at_once(void **state) {
    place p = open_place(*state);
    point(&p);
    const char *file = examples(&p, "a.jsonl");
    pid_t child[6];
    for (int i = 0; i < 6; i++) {
        child[i] = fork();
        if (child[i]) continue;
        token_file f;
        error err;
        _exit(token_cache_read(&p.o, LOSS_COMPLETION, file, &f, &err) == STATUS_OK && f.n_read == 303 ? 0
                                                                                                      : 1);
    }
    for (int i = 0; i < 6; i++) {
        int code = 1;
        assert_int_equal(waitpid(child[i], &code, 0), child[i]);
        assert_int_equal(code, 0);
    }
    assert_int_equal(read_both(&p, file), 1);
    close_place(&p);
}

/* ---- lists of sequences ---- */

static void test_lists(void **state) {
    place p = open_place(*state);
    point(&p);
    char *files[] = {strdup(examples(&p, "a.jsonl")),
                     strdup(data_file(*state, "b.jsonl", "{\"text\": \"b\"}\n"))};
    const char *const train[] = {files[0], files[1]};
    sequence_data plain, cached;
    data_options o = p.o;
    o.cache = NULL;
    OK(sequences_load(&o, LOSS_ALL, train, 2, NULL, 0, &plain, err));
    OK(sequences_load(&p.o, LOSS_ALL, train, 2, NULL, 0, &cached, err));
    const sequences *a[] = {&plain.train, &plain.valid}, *b[] = {&cached.train, &cached.valid};
    for (int k = 0; k < 2; k++) {
        assert_true(a[k]->n == b[k]->n && a[k]->n > 0 && a[k]->n_token == b[k]->n_token);
        assert_true(a[k]->shortest == b[k]->shortest && a[k]->longest == b[k]->longest &&
                    a[k]->most_targets == b[k]->most_targets && a[k]->n_target == b[k]->n_target);
        for (int i = 0; i < a[k]->n; i++) {
            const sequence *x = &a[k]->entry[i], *y = &b[k]->entry[i];
            assert_true(x->n == y->n && x->n_target == y->n_target);
            sequences_release(&cached); /* what was given back is read again */
            assert_memory_equal(x->token, y->token, sizeof *x->token * (size_t)x->n);
            assert_memory_equal(sequence_targets(x), sequence_targets(y), (size_t)x->n);
        }
    }
    assert_int_equal(plain.train.n_of_file[0] + plain.train.n_of_file[1], plain.train.n);
    assert_true(sequences_bytes(&cached) < sequences_bytes(&plain));
    sequences_free(&plain);
    sequences_free(&cached);
    for (int i = 0; i < 2; i++) free(files[i]);
    close_place(&p);
}

#define DIRECTORY_TEST(name) cmocka_unit_test_setup_teardown(name, directory_setup, directory_teardown)

int main(void) {
    signal(SIGXFSZ, SIG_IGN); /* as every program does */
    const struct CMUnitTest tests[] = {
        DIRECTORY_TEST(test_a_file_is_made_once),      DIRECTORY_TEST(test_what_records_depend_on),
        DIRECTORY_TEST(test_bad_lines_are_told_again), DIRECTORY_TEST(test_damage),
        DIRECTORY_TEST(test_hostile_records),          DIRECTORY_TEST(test_no_room),
        DIRECTORY_TEST(test_programs_at_once),         DIRECTORY_TEST(test_lists),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
