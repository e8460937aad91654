#include <stdlib.h>
#include <string.h>

#include "core/base/utf8.h"
#include "core/text/alphabet.h"
#include "core/text/tokenizer_parts.h"

/* Reading tokenizer.json: its model, that is vocabulary and merges. What would change ids and is not done
   here is refused by name; what cannot is passed over: version, truncation and padding (the caller cuts). */

enum { MAX_JSON = 1 << 28 }; /* bytes; the largest published ones have 33 million */

/* The model's switches that are not done must all be off. */
static status check_model(const json_t *model, const char *place, error *err) {
    static const char *const texts[] = {"continuing_subword_prefix", "end_of_word_suffix"};
    if (!json_is_object(model))
        return error_set(err, STATUS_DATA, "%s: \"model\" must be an object, not %s", place,
                         json_kind(model));
    if (json_object_get(model, "type") && !json_has_type(model, "BPE"))
        return tokenizer_refuse(place, "model", model, "BPE is", err);
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++) {
        const json_t *value = json_object_get(model, texts[i]);
        if (!json_is_absent(value) && json_string_length(value) != 0)
            return error_set(err, STATUS_DATA, "%s: model: \"%s\" is not supported", place, texts[i]);
    }
    const json_t *dropout = json_object_get(model, "dropout");
    if (!json_is_absent(dropout) && json_number_value(dropout) != 0)
        return error_set(err, STATUS_DATA, "%s: model: \"dropout\" is not supported", place);
    return STATUS_OK;
}

/* ------------------------------------------------------------------------------------------- vocabulary */

static status read_vocab(tokenizer *t, json_t *vocab, size_t n, const char *place, error *err) {
    const char *name;
    size_t len;
    json_t *value;
    json_object_keylen_foreach(vocab, name, len, value) {
        int id;
        TRY(tokenizer_read_id(value, place, name, n, &id, err));
        TRY(tokenizer_grow(t, id + 1, err));
        const token *one = &t->tokens[id];
        if (len == 0) return error_set(err, STATUS_DATA, "%s: vocab: id %d is an empty token", place, id);
        if (one->kind == TOKEN_NONE)
            TRY(tokenizer_set_token(t, id, name, len, TOKEN_ORDINARY, err));
        else if (one->kind == TOKEN_ORDINARY || one->name_len != len ||
                 memcmp(t->pool.data + one->name, name, len) != 0)
            return error_set(err, STATUS_DATA, "%s: vocab: \"%.80s\" has id %d, which another token has too",
                             place, name, id);
    }
    return STATUS_OK;
}

/* How the vocabulary's tokens are found in words: as bytes, or as they are written. A control token is not,
   unless it is a single symbol, which text may have, too. */
static status add_to_bpe(tokenizer *t, int32_t id, const char *name, size_t len, buffer *bytes, error *err) {
    bpe *b = &t->bpe;
    size_t step = 1;
    buffer_clear(bytes);
    if (b->is_byte_level) {
        if (!alphabet_read(bytes, name, len)) return STATUS_OK;
    } else {
        buffer_append(bytes, name, len);
        utf8_read(name, len, &step);
    }
    TRY(buffer_check(bytes, err));
    if (t->tokens[id].kind == TOKEN_SPECIAL && bytes->len > step) return STATUS_OK;
    if (b->is_byte_level && bytes->len == 1) b->byte_token[(uint8_t)bytes->data[0]] = id;
    return bpe_add(b, id, bytes->data, bytes->len, err);
}

static status read_bytes(tokenizer *t, const json_t *vocab, const json_t *model, const char *place,
                         error *err) {
    t->bpe.byte_fallback = !t->bpe.is_byte_level && json_is_true(json_object_get(model, "byte_fallback"));
    for (int i = 0; i < 256 && t->bpe.byte_fallback; i++) {
        char name[8];
        snprintf(name, sizeof name, "<0x%02X>", i);
        const json_t *id = json_object_get(vocab, name);
        if (!id)
            return error_set(err, STATUS_DATA, "%s: model: \"byte_fallback\" without a token %s", place,
                             name);
        t->bpe.byte_token[i] = (int32_t)json_integer_value(id);
    }
    return STATUS_OK;
}

static status read_model(tokenizer *t, json_t *vocab, const json_t *model, const char *place, error *err) {
    const char *unknown = json_string_value(json_object_get(model, "unk_token"));
    const json_t *unknown_id = unknown ? json_object_get(vocab, unknown) : NULL, *value;
    const char *name;
    size_t len;
    buffer bytes = {0};
    memset(t->bpe.byte_token, -1, sizeof t->bpe.byte_token);
    t->bpe.unknown = unknown_id ? (int32_t)json_integer_value(unknown_id) : -1;
    t->bpe.fuse_unknown = json_is_true(json_object_get(model, "fuse_unk"));
    t->bpe.ignore_merges = json_is_true(json_object_get(model, "ignore_merges"));
    status s = bpe_begin(&t->bpe, t->vocab, err);
    if (s == STATUS_OK) s = read_bytes(t, vocab, model, place, err);
    json_object_keylen_foreach(vocab, name, len, value) {
        if (s != STATUS_OK) break;
        s = add_to_bpe(t, (int32_t)json_integer_value(value), name, len, &bytes, err);
    }
    buffer_free(&bytes);
    return s;
}

/* ----------------------------------------------------------------------------------------------- merges */

typedef struct text {
    const char *data;
    size_t len;
} text;

static text text_of(const json_t *value) {
    return (text){json_string_value(value), json_string_length(value)};
}

/* The id of a name of the vocabulary, or -1. Control tokens are not in bpe's index. bytes: scratch. */
static int32_t vocab_id(const tokenizer *t, const json_t *vocab, text name, buffer *bytes) {
    int32_t found = -1;
    buffer_clear(bytes);
    if (!t->bpe.is_byte_level)
        found = name.len ? bpe_find(&t->bpe, name.data, name.len) : -1;
    else if (alphabet_read(bytes, name.data, name.len) && bytes->len)
        found = bpe_find(&t->bpe, bytes->data, bytes->len);
    if (found >= 0) return found;
    const json_t *id = json_object_getn(vocab, name.data, name.len);
    return id ? (int32_t)json_integer_value(id) : -1;
}

/* A merge is "a b" or ["a", "b"]. */
static int read_pair(const json_t *merge, text *left, text *right) {
    if (json_is_array(merge)) {
        *left = text_of(json_array_get(merge, 0));
        *right = text_of(json_array_get(merge, 1));
        return left->data && right->data && json_array_size(merge) == 2;
    }
    *left = text_of(merge);
    const char *space = left->data ? memchr(left->data, ' ', left->len) : NULL;
    if (!space) return 0;
    *right = (text){space + 1, left->len - (size_t)(space + 1 - left->data)};
    left->len = (size_t)(space - left->data);
    return memchr(right->data, ' ', right->len) == NULL;
}

static int most(size_t len) { return len < 80 ? (int)len : 80; }

/* A merge that makes a control token is left out: text never becomes one. */
static status read_merge(tokenizer *t, const json_t *vocab, const json_t *merge, int rank, buffer *joined,
                         buffer *bytes, const char *place, error *err) {
    text left, right;
    if (!read_pair(merge, &left, &right))
        return error_set(err, STATUS_DATA, "%s: merges: merge %d is neither \"a b\" nor [\"a\", \"b\"]",
                         place, rank);
    buffer_clear(joined);
    buffer_append(joined, left.data, left.len);
    buffer_append(joined, right.data, right.len);
    TRY(buffer_check(joined, err));
    int32_t a = vocab_id(t, vocab, left, bytes), b = vocab_id(t, vocab, right, bytes);
    int32_t c = vocab_id(t, vocab, (text){joined->data, joined->len}, bytes);
    TRY(buffer_check(bytes, err));
    if (a < 0 || b < 0 || c < 0 || left.len == 0 || right.len == 0)
        return error_set(err, STATUS_DATA,
                         "%s: merges: merge %d, \"%.*s\" and \"%.*s\": %s is not in the vocabulary", place,
                         rank, most(left.len), left.data, most(right.len), right.data,
                         a < 0   ? "the first"
                         : b < 0 ? "the second"
                                 : "what they make");
    if (pair_map_get(&t->bpe.merges, a, b) >= 0)
        return error_set(err, STATUS_DATA, "%s: merges: merge %d repeats merge %d", place, rank,
                         pair_map_get(&t->bpe.merges, a, b));
    if (t->tokens[c].kind == TOKEN_SPECIAL) return STATUS_OK;
    return bpe_add_merge(&t->bpe, a, b, c, rank) ? STATUS_OK : error_memory(err, "merges");
}

static status read_merges(tokenizer *t, const json_t *vocab, const json_t *merges, const char *place,
                          error *err) {
    size_t n = json_array_size(merges);
    if (n >= TOKENIZER_MAX_VOCAB)
        return error_set(err, STATUS_DATA, "%s: merges: %zu are too many", place, n);
    t->bpe.merged = malloc((n + 1) * sizeof *t->bpe.merged);
    if (!t->bpe.merged || !pair_map_reserve(&t->bpe.merges, n)) return error_memory(err, "merges");
    buffer joined = {0}, bytes = {0};
    status s = STATUS_OK;
    for (size_t i = 0; i < n && s == STATUS_OK; i++)
        s = read_merge(t, vocab, json_array_get(merges, i), (int)i, &joined, &bytes, place, err);
    buffer_free(&joined);
    buffer_free(&bytes);
    return s;
}

static status read_root(tokenizer *t, const json_t *root, const char *place, error *err) {
    const json_t *model = json_object_get(root, "model"), *added = json_object_get(root, "added_tokens");
    if (!json_is_object(root)) return error_set(err, STATUS_DATA, "%s: must be an object", place);
    TRY(check_model(model, place, err));
    json_t *vocab = json_object_get(model, "vocab");
    const json_t *merges = json_object_get(model, "merges");
    if (!json_is_object(vocab) || json_object_size(vocab) == 0)
        return error_set(err, STATUS_DATA, "%s: model: \"vocab\" must be an object of tokens and ids", place);
    if (!json_is_array(merges))
        return error_set(err, STATUS_DATA, "%s: model: \"merges\" must be an array", place);
    if (!json_is_absent(added) && !json_is_array(added))
        return error_set(err, STATUS_DATA, "%s: \"added_tokens\" must be an array", place);
    TRY(tokenizer_read_pipeline(t, root, place, err));
    size_t n = json_object_size(vocab) + json_array_size(added);
    TRY(tokenizer_read_added(t, added, vocab, n, place, err));
    TRY(read_vocab(t, vocab, n, place, err));
    TRY(read_model(t, vocab, model, place, err));
    TRY(read_merges(t, vocab, merges, place, err));
    bpe_complete(&t->bpe);
    TRY(tokenizer_find_added(t, added, err));
    return tokenizer_read_post_processor(t, root, place, err);
}

status tokenizer_parse(const char *json, size_t len, const char *place, tokenizer **out, error *err) {
    *out = NULL;
    if (len > MAX_JSON) return error_set(err, STATUS_DATA, "%s: %zu bytes are too many", place, len);
    tokenizer *t = calloc(1, sizeof *t);
    if (!t) return error_memory(err, "a tokenizer");
    buffer_append(&t->json, json, len);
    json_t *root = NULL;
    status s = buffer_check(&t->json, err);
    if (s == STATUS_OK) s = parse_json(json, len, place, &root, err);
    if (s == STATUS_OK) s = read_root(t, root, place, err);
    json_decref(root);
    if (s == STATUS_OK)
        *out = t;
    else
        tokenizer_free(t);
    return s;
}
