#include <stdlib.h>
#include <string.h>

#include "core/text/alphabet.h"
#include "core/text/tokenizer_parts.h"

/* Reading tokenizer.json. What would change ids and is not done here is refused by name; what cannot is
   passed over: version, truncation and padding (the caller cuts), post-processing by ByteLevel (offsets
   only), the flags of added tokens on how they are found in text (they never are). */

static status refuse(const char *place, const char *part, const json_t *value, const char *taken,
                     error *err) {
    const char *name = json_string_value(json_object_get(value, "type"));
    if (!name) name = json_is_string(value) ? json_string_value(value) : json_kind(value);
    return error_set(err, STATUS_DATA, "%s: %s: %.80s is not supported (%s is)", place, part, name, taken);
}

static int is_absent(const json_t *value) { return !value || json_is_null(value); }

static int has_type(const json_t *value, const char *type) {
    const char *name = json_string_value(json_object_get(value, "type"));
    return name && strcmp(name, type) == 0;
}

/* The model's switches must all be off. */
static status check_model(const json_t *model, const char *place, error *err) {
    static const char *const switches[] = {"byte_fallback", "ignore_merges"};
    static const char *const texts[] = {"continuing_subword_prefix", "end_of_word_suffix"};
    if (!json_is_object(model))
        return error_set(err, STATUS_DATA, "%s: \"model\" must be an object, not %s", place,
                         json_kind(model));
    if (json_object_get(model, "type") && !has_type(model, "BPE"))
        return refuse(place, "model", model, "BPE", err);
    for (size_t i = 0; i < sizeof switches / sizeof *switches; i++)
        if (json_is_true(json_object_get(model, switches[i])))
            return error_set(err, STATUS_DATA, "%s: model: \"%s\" is not supported", place, switches[i]);
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++) {
        const json_t *value = json_object_get(model, texts[i]);
        if (!is_absent(value) && json_string_length(value) != 0)
            return error_set(err, STATUS_DATA, "%s: model: \"%s\" is not supported", place, texts[i]);
    }
    const json_t *dropout = json_object_get(model, "dropout");
    if (!is_absent(dropout) && json_number_value(dropout) != 0)
        return error_set(err, STATUS_DATA, "%s: model: \"dropout\" is not supported", place);
    return STATUS_OK;
}

static status check_level(const json_t *level, const char *place, error *err) {
    if (json_is_true(json_object_get(level, "add_prefix_space")))
        return error_set(err, STATUS_DATA,
                         "%s: pre_tokenizer: ByteLevel with add_prefix_space is not supported", place);
    return STATUS_OK;
}

/* ByteLevel, or Sequence [Split by Regex, ByteLevel without its own pattern]. */
static status read_pattern(const json_t *pre, const char *place, const char **pattern, error *err) {
    static const char taken[] =
        "ByteLevel, or a Sequence of one Split by Regex and ByteLevel without use_regex";
    if (has_type(pre, "ByteLevel")) {
        if (json_is_false(json_object_get(pre, "use_regex")))
            return error_set(err, STATUS_DATA,
                             "%s: pre_tokenizer: ByteLevel alone without use_regex is not supported", place);
        *pattern = words_gpt2_pattern;
        return check_level(pre, place, err);
    }
    const json_t *parts = json_object_get(pre, "pretokenizers");
    const json_t *split = json_array_get(parts, 0), *level = json_array_get(parts, 1);
    if (!has_type(pre, "Sequence") || !json_is_array(parts))
        return refuse(place, "pre_tokenizer", pre, taken, err);
    if (!has_type(split, "Split")) return refuse(place, "pre_tokenizer", split, taken, err);
    if (json_array_size(parts) != 2 || !has_type(level, "ByteLevel") ||
        !json_is_false(json_object_get(level, "use_regex")))
        return error_set(err, STATUS_DATA, "%s: pre_tokenizer: this Sequence is not supported (%s is)", place,
                         taken);
    *pattern = json_string_value(json_object_get(json_object_get(split, "pattern"), "Regex"));
    const char *behavior = json_string_value(json_object_get(split, "behavior"));
    if (!*pattern || !behavior || strcmp(behavior, "Isolated") != 0 ||
        json_is_true(json_object_get(split, "invert")))
        return error_set(err, STATUS_DATA,
                         "%s: pre_tokenizer: this Split is not supported (by Regex, Isolated, is)", place);
    return check_level(level, place, err);
}

/* Everything beside the model and the tokens. */
static status read_pipeline(tokenizer *t, const json_t *root, const char *place, error *err) {
    const json_t *normalizer = json_object_get(root, "normalizer");
    const json_t *post = json_object_get(root, "post_processor"), *decoder = json_object_get(root, "decoder");
    t->nfc = has_type(normalizer, "NFC");
    if (!is_absent(normalizer) && !t->nfc) return refuse(place, "normalizer", normalizer, "NFC", err);
    if (!is_absent(post) && !has_type(post, "ByteLevel"))
        return refuse(place, "post_processor", post, "ByteLevel", err);
    if (!has_type(decoder, "ByteLevel")) return refuse(place, "decoder", decoder, "ByteLevel", err);
    const char *pattern = NULL;
    TRY(read_pattern(json_object_get(root, "pre_tokenizer"), place, &pattern, err));
    return word_pattern_compile(pattern, place, &t->words, err);
}

/* The id, which must be whole and leave no more holes than a padded vocabulary has. */
static status read_id(const json_t *value, const char *place, const char *name, size_t n, int *out,
                      error *err) {
    if (!json_is_integer(value))
        return error_set(err, STATUS_DATA, "%s: token \"%.80s\": its id must be a whole number, not %s",
                         place, name, json_kind(value));
    long long id = json_integer_value(value);
    if (id < 0 || id >= TOKENIZER_MAX_VOCAB || (size_t)id >= 2 * n + 1024)
        return error_set(err, STATUS_DATA, "%s: token \"%.80s\": id %lld is out of range for %zu tokens",
                         place, name, id, n);
    *out = (int)id;
    return STATUS_OK;
}

static status grow_tokens(tokenizer *t, int vocab, error *err) {
    if (vocab <= t->vocab) return STATUS_OK;
    token *more = realloc(t->tokens, (size_t)vocab * sizeof *more);
    if (!more) return error_memory(err, "a vocabulary");
    memset(more + t->vocab, 0, (size_t)(vocab - t->vocab) * sizeof *more);
    t->tokens = more;
    t->vocab = vocab;
    return STATUS_OK;
}

/* names: of those before it. n: tokens of the whole file, which bounds ids. */
static status read_added_one(tokenizer *t, const json_t *one, const json_t *vocab, size_t n, bytes_map *names,
                             const char *place, error *err) {
    const char *name;
    int id;
    TRY(json_field_string(one, "content", place, &name, err));
    TRY(read_id(json_object_get(one, "id"), place, name, n, &id, err));
    size_t len = strlen(name);
    if (len == 0) return error_set(err, STATUS_DATA, "%s: added_tokens: id %d has no content", place, id);
    if (id < t->vocab && t->tokens[id].kind != TOKEN_NONE)
        return error_set(err, STATUS_DATA, "%s: added_tokens: two tokens have id %d", place, id);
    if (bytes_map_get(names, name, len) >= 0)
        return error_set(err, STATUS_DATA, "%s: added_tokens: \"%.80s\" stands twice", place, name);
    const json_t *same = json_object_get(vocab, name);
    if (same && json_integer_value(same) != id)
        return error_set(err, STATUS_DATA, "%s: added token \"%.80s\" has id %d, and %lld in the vocabulary",
                         place, name, id, (long long)json_integer_value(same));
    TRY(grow_tokens(t, id + 1, err));
    if (!bytes_map_add(names, name, len, id)) return error_memory(err, "added tokens");
    token_kind kind = json_is_true(json_object_get(one, "special")) ? TOKEN_SPECIAL : TOKEN_ADDED;
    t->tokens[id] = (token){t->pool.len, (uint32_t)len, kind};
    buffer_string(&t->pool, name);
    ints_push(&t->added, id);
    return STATUS_OK;
}

static status read_added(tokenizer *t, const json_t *added, const json_t *vocab, size_t n, const char *place,
                         error *err) {
    bytes_map names = {0};
    status s = STATUS_OK;
    for (size_t i = 0; i < json_array_size(added) && s == STATUS_OK; i++)
        s = read_added_one(t, json_array_get(added, i), vocab, n, &names, place, err);
    bytes_map_free(&names);
    if (s == STATUS_OK) s = ints_check(&t->added, err);
    return s == STATUS_OK ? buffer_check(&t->pool, err) : s;
}

static status read_vocab(tokenizer *t, json_t *vocab, size_t n, const char *place, error *err) {
    const char *letters;
    json_t *value;
    json_object_foreach(vocab, letters, value) {
        int id;
        TRY(read_id(value, place, letters, n, &id, err));
        TRY(grow_tokens(t, id + 1, err));
        token *one = &t->tokens[id];
        if (one->kind == TOKEN_ORDINARY ||
            (one->kind != TOKEN_NONE &&
             (one->len != strlen(letters) || memcmp(t->pool.data + one->start, letters, one->len) != 0)))
            return error_set(err, STATUS_DATA, "%s: vocab: \"%.80s\" has id %d, which another token has too",
                             place, letters, id);
        if (one->kind != TOKEN_NONE) continue;
        size_t start = t->pool.len;
        if (!alphabet_read(&t->pool, letters, strlen(letters)))
            return error_set(err, STATUS_DATA,
                             "%s: vocab: \"%.80s\" (id %d) is not written in ByteLevel's letters", place,
                             letters, id);
        *one = (token){start, (uint32_t)(t->pool.len - start), TOKEN_ORDINARY};
        if (one->len == 0)
            return error_set(err, STATUS_DATA, "%s: vocab: id %d is an empty token", place, id);
        if (one->len == 1) t->byte_token[(uint8_t)t->pool.data[start]] = id;
    }
    return buffer_check(&t->pool, err);
}

static int32_t vocab_id(const json_t *vocab, const char *letters, size_t len) {
    const json_t *id = json_object_getn(vocab, letters, len);
    return id ? (int32_t)json_integer_value(id) : -1;
}

/* A merge is "a b" or ["a", "b"]. */
static int read_parts(const json_t *merge, const char **left, size_t *left_len, const char **right) {
    *left = json_string_value(json_is_array(merge) ? json_array_get(merge, 0) : merge);
    if (!*left) return 0;
    if (json_is_array(merge)) {
        *left_len = strlen(*left);
        *right = json_string_value(json_array_get(merge, 1));
        return *right && json_array_size(merge) == 2;
    }
    const char *space = strchr(*left, ' ');
    if (!space || strchr(space + 1, ' ')) return 0;
    *left_len = (size_t)(space - *left);
    *right = space + 1;
    return 1;
}

static status read_merge(tokenizer *t, const json_t *vocab, const json_t *merge, int rank, buffer *joined,
                         const char *place, error *err) {
    const char *left, *right;
    size_t left_len;
    if (!read_parts(merge, &left, &left_len, &right))
        return error_set(err, STATUS_DATA, "%s: merges: merge %d is neither \"a b\" nor [\"a\", \"b\"]",
                         place, rank);
    buffer_clear(joined);
    buffer_append(joined, left, left_len);
    buffer_string(joined, right);
    TRY(buffer_check(joined, err));
    int32_t a = vocab_id(vocab, left, left_len), b = vocab_id(vocab, right, strlen(right));
    int32_t c = vocab_id(vocab, joined->data, joined->len);
    if (a < 0 || b < 0 || c < 0 || left_len == 0 || *right == 0)
        return error_set(err, STATUS_DATA,
                         "%s: merges: merge %d, \"%.*s\" and \"%.80s\": %s is not in the vocabulary", place,
                         rank, (int)(left_len < 80 ? left_len : 80), left, right,
                         a < 0   ? "the first"
                         : b < 0 ? "the second"
                                 : "what they make");
    if (pair_map_get(&t->merges, a, b) >= 0)
        return error_set(err, STATUS_DATA, "%s: merges: merge %d repeats merge %d", place, rank,
                         pair_map_get(&t->merges, a, b));
    if (!pair_map_add(&t->merges, a, b, rank)) return error_memory(err, "merges");
    t->merged[rank] = c;
    return STATUS_OK;
}

static status read_merges(tokenizer *t, const json_t *vocab, const json_t *merges, const char *place,
                          error *err) {
    size_t n = json_array_size(merges);
    if (n >= TOKENIZER_MAX_VOCAB)
        return error_set(err, STATUS_DATA, "%s: merges: %zu are too many", place, n);
    t->merged = malloc((n + 1) * sizeof *t->merged);
    if (!t->merged || !pair_map_reserve(&t->merges, n)) return error_memory(err, "merges");
    buffer joined = {0};
    status s = STATUS_OK;
    for (size_t i = 0; i < n && s == STATUS_OK; i++)
        s = read_merge(t, vocab, json_array_get(merges, i), (int)i, &joined, place, err);
    t->n_merge = (int)n;
    buffer_free(&joined);
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
    if (!is_absent(added) && !json_is_array(added))
        return error_set(err, STATUS_DATA, "%s: \"added_tokens\" must be an array", place);
    TRY(read_pipeline(t, root, place, err));
    size_t n = json_object_size(vocab) + json_array_size(added);
    TRY(read_added(t, added, vocab, n, place, err));
    TRY(read_vocab(t, vocab, n, place, err));
    return read_merges(t, vocab, merges, place, err);
}

status tokenizer_parse(const char *json, size_t len, const char *place, tokenizer **out, error *err) {
    *out = NULL;
    tokenizer *t = calloc(1, sizeof *t);
    if (!t) return error_memory(err, "a tokenizer");
    memset(t->byte_token, -1, sizeof t->byte_token);
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
