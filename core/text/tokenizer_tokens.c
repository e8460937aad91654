#include <stdlib.h>
#include <string.h>

#include "core/base/utf8.h"
#include "core/text/alphabet.h"
#include "core/text/tokenizer_parts.h"

/* Tokens and their bytes, and the added ones: what they are called, what they are decoded to, how they are
   found. */

/* The id, which must be whole and leave no more holes than a padded vocabulary has. */
status tokenizer_read_id(const json_t *value, const char *place, const char *name, size_t n, int *out,
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

status tokenizer_grow(tokenizer *t, int vocab, error *err) {
    if (vocab <= t->vocab) return STATUS_OK;
    token *more = realloc(t->tokens, (size_t)vocab * sizeof *more);
    if (!more) return error_memory(err, "a vocabulary");
    memset(more + t->vocab, 0, (size_t)(vocab - t->vocab) * sizeof *more);
    t->tokens = more;
    t->vocab = vocab;
    return STATUS_OK;
}

/* -------------------------------------------------------------------------------------- bytes of tokens */

/* The byte of a name "<0x0A>", or -1. */
static int named_byte(const char *name, size_t len) {
    static const char digits[] = "0123456789ABCDEF";
    if (len != 6 || memcmp(name, "<0x", 3) != 0 || name[5] != '>') return -1;
    const char *high = memchr(digits, name[3], 16), *low = memchr(digits, name[4], 16);
    return high && low ? (int)(16 * (high - digits) + (low - digits)) : -1;
}

/* Appends what a name without ByteLevel's letters is decoded to. */
static void append_replaced(const decoding *d, const char *name, size_t len, buffer *out) {
    int byte = d->byte_fallback ? named_byte(name, len) : -1;
    size_t n = d->replaced ? strlen(d->replaced) : 0;
    if (byte >= 0) {
        char c = (char)byte;
        buffer_append(out, &c, 1);
        return;
    }
    for (const char *found; n && (found = memmem(name, len, d->replaced, n)) != NULL;) {
        buffer_append(out, name, (size_t)(found - name));
        buffer_string(out, d->by);
        len -= (size_t)(found - name) + n;
        name = found + n;
    }
    buffer_append(out, name, len);
}

/* What a token is decoded to. A ByteLevel name that is not in its letters stands for itself. name may lie
   in the pool. */
static status set_bytes(tokenizer *t, int id, const char *name, size_t len, error *err) {
    buffer bytes = {0};
    if (!t->decoding.is_byte_level)
        append_replaced(&t->decoding, name, len, &bytes);
    else if (!alphabet_read(&bytes, name, len))
        buffer_append(&bytes, name, len);
    status s = buffer_check(&bytes, err);
    if (s == STATUS_OK && t->pool.len + bytes.len > UINT32_MAX)
        s = error_set(err, STATUS_DATA, "token %d: the tokens' bytes are more than 4 GiB", id);
    t->tokens[id].bytes = (uint32_t)t->pool.len;
    t->tokens[id].bytes_len = (uint32_t)bytes.len;
    buffer_append(&t->pool, bytes.data, bytes.len);
    buffer_free(&bytes);
    return s == STATUS_OK ? buffer_check(&t->pool, err) : s;
}

status tokenizer_set_token(tokenizer *t, int id, const char *name, size_t len, token_kind kind, error *err) {
    t->tokens[id] = (token){.name = (uint32_t)t->pool.len, .name_len = (uint32_t)len, .kind = kind};
    buffer_append(&t->pool, name, len);
    return set_bytes(t, id, name, len, err);
}

/* ----------------------------------------------------------------------------------------- added tokens */

/* names: of those before it. n: tokens of the whole file, which bounds ids. */
static status read_added_one(tokenizer *t, const json_t *one, const json_t *vocab, size_t n, bytes_map *names,
                             const char *place, error *err) {
    const char *name;
    int id;
    TRY(json_field_string(one, "content", place, &name, err));
    TRY(tokenizer_read_id(json_object_get(one, "id"), place, name, n, &id, err));
    size_t len = json_string_length(json_object_get(one, "content"));
    if (len == 0) return error_set(err, STATUS_DATA, "%s: added_tokens: id %d has no content", place, id);
    if (id < t->vocab && t->tokens[id].kind != TOKEN_NONE)
        return error_set(err, STATUS_DATA, "%s: added_tokens: two tokens have id %d", place, id);
    if (bytes_map_get(names, name, len) >= 0)
        return error_set(err, STATUS_DATA, "%s: added_tokens: \"%.80s\" stands twice", place, name);
    const json_t *same = json_object_getn(vocab, name, len);
    if (same && json_integer_value(same) != id)
        return error_set(err, STATUS_DATA, "%s: added token \"%.80s\" has id %d, and %lld in the vocabulary",
                         place, name, id, (long long)json_integer_value(same));
    TRY(tokenizer_grow(t, id + 1, err));
    if (!bytes_map_add(names, name, len, id)) return error_memory(err, "added tokens");
    ints_push(&t->added, id);
    return tokenizer_set_token(
        t, id, name, len, json_is_true(json_object_get(one, "special")) ? TOKEN_SPECIAL : TOKEN_ADDED, err);
}

status tokenizer_read_added(tokenizer *t, const json_t *added, const json_t *vocab, size_t n,
                            const char *place, error *err) {
    bytes_map names = {0};
    status s = STATUS_OK;
    for (size_t i = 0; i < json_array_size(added) && s == STATUS_OK; i++)
        s = read_added_one(t, json_array_get(added, i), vocab, n, &names, place, err);
    bytes_map_free(&names);
    return s == STATUS_OK ? ints_check(&t->added, err) : s;
}

static int is_space(const char *text, size_t len) {
    size_t step;
    for (; len > 0; text += step, len -= step)
        if (!utf8_is_space(utf8_read(text, len, &step))) return 0;
    return 1;
}

/* A token that reads otherwise than it is written (a byte's) is left to programs. */
static unsigned kind_of(const tokenizer *t, const token *one, int normalized) {
    const char *name = t->pool.data + one->name, *bytes = t->pool.data + one->bytes;
    int reads = one->bytes_len == one->name_len && memcmp(name, bytes, one->name_len) == 0;
    if (one->kind == TOKEN_SPECIAL || (!reads && !normalized)) return ADDED_SPECIAL;
    return is_space(name, one->name_len) ? ADDED_SPACE : ADDED_OTHER;
}

static int is_normalized(const json_t *added, size_t i) {
    return json_is_true(json_object_get(json_array_get(added, i), "normalized"));
}

/* Puts the normalized name into the pool, at *start; it is what is decoded, too: it may hold a space. */
static status normalize_name(tokenizer *t, int32_t id, bpe_text *out, error *err) {
    stretch normal, name = {t->pool.data + t->tokens[id].name, t->tokens[id].name_len, NULL};
    normalizing work = {0};
    buffer copy = {0};
    status s = normalize(&t->normalizers, name, PLACE_FIRST, &work, &normal, err);
    if (s == STATUS_OK) buffer_append(&copy, normal.text, normal.len);
    normalizing_end(&work);
    *out = (bpe_text){(uint32_t)t->pool.len, (uint32_t)copy.len};
    buffer_append(&t->pool, copy.data, copy.len);
    if (s == STATUS_OK) s = buffer_check(&copy, err);
    if (s == STATUS_OK) s = set_bytes(t, id, copy.data ? copy.data : "", copy.len, err);
    buffer_free(&copy);
    return s;
}

static status push_added(tokenizer *t, int32_t id, const json_t *one, bpe_text normal, error *err) {
    const token *named = &t->tokens[id];
    int normalized = json_is_true(json_object_get(one, "normalized"));
    added_token a = {.text = t->pool.data + (normalized ? normal.start : named->name),
                     .len = normalized ? normal.len : named->name_len,
                     .id = id,
                     .kind = kind_of(t, named, normalized),
                     .single_word = json_is_true(json_object_get(one, "single_word")),
                     .lstrip = json_is_true(json_object_get(one, "lstrip")),
                     .rstrip = json_is_true(json_object_get(one, "rstrip"))};
    added_token by_name = a;
    by_name.text = t->pool.data + named->name;
    by_name.len = named->name_len;
    by_name.single_word = 0;
    if (!added_push(&t->names, by_name)) return error_memory(err, "added tokens");
    if (a.len == 0) return STATUS_OK;
    return added_push(normalized ? &t->normalized : &t->raw, a) ? STATUS_OK
                                                                : error_memory(err, "added tokens");
}

/* How added tokens are found in text. The pool is complete before anything points into it. */
status tokenizer_find_added(tokenizer *t, const json_t *added, error *err) {
    size_t n = t->added.len;
    bpe_text *normal = calloc(n + 1, sizeof *normal);
    status s = normal ? STATUS_OK : error_memory(err, "added tokens");
    for (size_t i = 0; i < n && s == STATUS_OK; i++)
        if (is_normalized(added, i)) s = normalize_name(t, t->added.data[i], &normal[i], err);
    for (size_t i = 0; i < n && s == STATUS_OK; i++)
        s = push_added(t, t->added.data[i], json_array_get(added, i), normal[i], err);
    free(normal);
    if (s == STATUS_OK) s = added_complete(&t->names, err);
    if (s == STATUS_OK) s = added_complete(&t->raw, err);
    return s == STATUS_OK ? added_complete(&t->normalized, err) : s;
}
