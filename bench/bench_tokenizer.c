/* Encoding and decoding on one thread: MB of text a second of processor time, beside cutting the text into
   words alone and copying it. Usage: bench_tokenizer [TOKENIZER [TEXT]]: a tokenizer.json or its directory,
   and a text file; default both are made here: words of a made-up language, the frequent ones short. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "core/base/file.h"
#include "core/base/random.h"
#include "core/text/tokenizer.h"
#include "core/text/tokenizer_parts.h"

enum { MADE = 8 << 20, TRAINED = 1 << 20, VOCAB = 8192, REPEAT = 5, N_WORD = 20000 };

static double seconds(void) {
    struct timespec t;
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

static int fail(const error *err) {
    fprintf(stderr, "bench_tokenizer: %s\n", err->message);
    return 1;
}

/* The word of a rank: syllables drawn by its number, more of them the rarer it is. */
static void put_word(buffer *out, uint64_t rank) {
    static const char *const syllable[] = {"ta", "re", "no", "sil", "an",  "ver",
                                           "mo", "ek", "lu", "str", "ing", "ou"};
    random_key key = random_make_key(7, RANDOM_TEST, 0, 0);
    uint32_t n = 1;
    for (uint64_t r = rank; r > 8; r /= 8) n++;
    for (uint32_t i = 0; i < n; i++) buffer_string(out, syllable[random_below(key, rank, i, 12)]);
}

/* Words by Zipf's law, with numbers, signs and lines. */
static void make_text(buffer *out) {
    random_key key = random_make_key(8, RANDOM_TEST, 0, 0);
    for (uint64_t i = 0; out->len < MADE; i++) {
        uint64_t r = random_below(key, i, 0, 1 << 20), rank = N_WORD;
        while (rank > 1 && random_below(key, i, (uint32_t)rank, 4)) rank = rank * 3 / 5;
        if (r % 50 == 0) buffer_format(out, " %llu", (unsigned long long)r);
        buffer_string(out, " ");
        put_word(out, rank + r % (rank / 2 + 1));
        if (r % 8 == 0) buffer_string(out, r % 16 ? "," : ".");
        if (r % 90 == 0) buffer_string(out, "\n");
    }
}

static status open_tokenizer(const char *path, const buffer *text, tokenizer **out, error *err) {
    static const char *const special[] = {TOKEN_END_OF_TEXT};
    tokenizer_text one = {text->data, text->len < TRAINED ? text->len : TRAINED};
    if (path) return tokenizer_load(path, out, err);
    return tokenizer_train(&one, 1, VOCAB, special, 1, out, err);
}

typedef struct job {
    const tokenizer *t;
    const buffer *text;
    ints ids;
    buffer back;
    size_t n_word;
} job;

static status encode_whole(job *j, error *err) {
    ints_clear(&j->ids);
    return tokenizer_encode(j->t, j->text->data, j->text->len, &j->ids, err);
}

static status encode_lines(job *j, error *err) {
    ints_clear(&j->ids);
    for (size_t at = 0, n; at < j->text->len; at += n) {
        const char *line = j->text->data + at, *end = memchr(line, '\n', j->text->len - at);
        n = end ? (size_t)(end + 1 - line) : j->text->len - at;
        TRY(tokenizer_encode(j->t, line, n, &j->ids, err));
    }
    return STATUS_OK;
}

static status decode(job *j, error *err) {
    buffer_clear(&j->back);
    return tokenizer_decode(j->t, j->ids.data, j->ids.len, 1, &j->back, err);
}

static status count_word(void *context, stretch word, error *err) {
    (void)word, (void)err;
    ((job *)context)->n_word++;
    return STATUS_OK;
}

static status cut_words(job *j, error *err) {
    cutter c;
    status s = cut_begin(&c, &j->t->steps, err);
    if (s == STATUS_OK)
        s = cut_each(&c, (stretch){j->text->data, j->text->len, NULL}, PLACE_FIRST, count_word, j, err);
    cut_end(&c);
    return s;
}

static status copy(job *j, error *err) {
    buffer_clear(&j->back);
    buffer_append(&j->back, j->text->data, j->text->len);
    return buffer_check(&j->back, err);
}

/* The best of some runs. */
static status measure(const char *name, status (*run)(job *, error *), job *j, error *err) {
    double best = 0;
    for (int i = 0; i < REPEAT; i++) {
        double start = seconds();
        TRY(run(j, err));
        double rate = (double)j->text->len / (seconds() - start);
        if (rate > best) best = rate;
    }
    printf("%-24s %8.1f MB/s\n", name, best * 1e-6);
    return STATUS_OK;
}

int main(int argc, char **argv) {
    buffer text = {0};
    tokenizer *t = NULL;
    error err;
    if (argc < 3) make_text(&text);
    if (argc >= 3 && file_read(argv[2], (size_t)1 << 30, &text, &err) != STATUS_OK) return fail(&err);
    double start = seconds();
    if (open_tokenizer(argc > 1 ? argv[1] : NULL, &text, &t, &err) != STATUS_OK) return fail(&err);
    printf("%s in %.3f s: %d tokens; %.1f MB of text\n", argc > 1 ? "loaded" : "trained", seconds() - start,
           tokenizer_vocab(t), (double)text.len * 1e-6);
    job j = {.t = t, .text = &text};
    status s = measure("encode, as one text", encode_whole, &j, &err);
    if (s == STATUS_OK) s = measure("encode, line by line", encode_lines, &j, &err);
    if (s == STATUS_OK) s = measure("cut into words alone", cut_words, &j, &err);
    if (s == STATUS_OK) s = measure("decode", decode, &j, &err);
    if (s == STATUS_OK) s = measure("copy the text", copy, &j, &err);
    printf("%.2f bytes a token\n", j.ids.len ? (double)text.len / (double)j.ids.len : 0.0);
    ints_free(&j.ids);
    buffer_free(&j.back);
    buffer_free(&text);
    tokenizer_free(t);
    return s == STATUS_OK ? 0 : fail(&err);
}
