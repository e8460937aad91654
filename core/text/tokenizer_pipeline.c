#include <stdlib.h>
#include <string.h>

#include "core/text/tokenizer_parts.h"

/* Reading normalizer, pre_tokenizer, decoder and post_processor of tokenizer.json. What would change ids or
   text and is not done here is refused by name; what cannot is passed over (offsets). */

static const char no_memory[] = "tokenizer.json";

status tokenizer_refuse(const char *place, const char *part, const json_t *value, const char *taken,
                        error *err) {
    const char *name = json_string_value(json_object_get(value, "type"));
    if (!name) name = json_is_string(value) ? json_string_value(value) : json_kind(value);
    return error_set(err, STATUS_DATA, "%s: %s: %.80s is not supported (%s)", place, part, name, taken);
}

int json_is_absent(const json_t *value) { return !value || json_is_null(value); }

int json_has_type(const json_t *value, const char *type) {
    const char *name = json_string_value(json_object_get(value, "type"));
    return name && strcmp(name, type) == 0;
}

static int is_on(const json_t *object, const char *key) { return json_is_true(json_object_get(object, key)); }

/* Every part may be a Sequence of such parts. read is called for each; NULL is none. */
typedef status (*read_part)(tokenizer *t, const json_t *part, const char *place, error *err);

static status read_parts(tokenizer *t, const json_t *part, const char *list, const char *place,
                         read_part read, error *err) {
    if (json_is_absent(part)) return STATUS_OK;
    if (!json_has_type(part, "Sequence")) return read(t, part, place, err);
    const json_t *items = json_object_get(part, list), *item;
    size_t i;
    if (!json_is_array(items))
        return error_set(err, STATUS_DATA, "%s: a Sequence's \"%s\" must be an array, not %s", place, list,
                         json_kind(items));
    json_array_foreach(items, i, item) TRY(read_parts(t, item, list, place, read, err));
    return STATUS_OK;
}

static status check_steps(const char *part, int n, const char *place, error *err) {
    enum { MOST = 64 };
    if (n < MOST) return STATUS_OK;
    return error_set(err, STATUS_DATA, "%s: %s: more than %d steps are too many", place, part, MOST);
}

/* A pattern is {"String": text} or {"Regex": expression}. */
static status read_pattern(const json_t *object, const char *place, const char *part, pattern **out,
                           error *err) {
    const json_t *given = json_object_get(object, "pattern");
    const char *text = json_string_value(json_object_get(given, "String"));
    const char *regex = json_string_value(json_object_get(given, "Regex"));
    char where[160];
    snprintf(where, sizeof where, "%.100s: %s", place, part);
    if (regex && json_string_length(json_object_get(given, "Regex")) == strlen(regex))
        return pattern_compile(regex, where, out, err);
    if (text && *text && json_string_length(json_object_get(given, "String")) == strlen(text))
        return pattern_compile_text(text, where, out, err);
    return error_set(err, STATUS_DATA, "%s: \"pattern\" must have a \"String\" or a \"Regex\"", where);
}

/* A text of the file that may hold no zero byte, copied. */
static status read_text(const json_t *object, const char *key, const char *place, char **out, error *err) {
    const char *text;
    TRY(json_field_text(object, key, place, &text, err));
    *out = strdup(text);
    return *out ? STATUS_OK : error_memory(err, no_memory);
}

/* ------------------------------------------------------------------------------------------- normalizer */

static status read_normalizer(tokenizer *t, const json_t *part, const char *place, error *err) {
    normalizers *all = &t->normalizers;
    TRY(check_steps("normalizer", all->n, place, err));
    normalizer *more = realloc(all->step, ((size_t)all->n + 1) * sizeof *more);
    if (!more) return error_memory(err, no_memory);
    all->step = more;
    normalizer *step = &more[all->n++];
    *step = (normalizer){0};
    if (json_has_type(part, "NFC")) {
        step->kind = NORMALIZER_NFC;
    } else if (json_has_type(part, "Lowercase")) {
        step->kind = NORMALIZER_LOWERCASE;
    } else if (json_has_type(part, "Prepend")) {
        step->kind = NORMALIZER_PREPEND;
        return read_text(part, "prepend", place, &step->content, err);
    } else if (json_has_type(part, "Replace")) {
        step->kind = NORMALIZER_REPLACE;
        TRY(read_pattern(part, place, "normalizer", &step->pattern, err));
        return read_text(part, "content", place, &step->content, err);
    } else {
        return tokenizer_refuse(place, "normalizer", part,
                                "NFC, Lowercase, Prepend, Replace and Sequence are", err);
    }
    return STATUS_OK;
}

/* ---------------------------------------------------------------------------------------- pre_tokenizer */

static status read_split(const json_t *part, const char *place, cut_step *step, error *err) {
    static const char *const behaviors[] = {"Isolated", "Removed", "MergedWithPrevious", "MergedWithNext",
                                            "Contiguous"};
    const char *behavior;
    TRY(json_field_string(part, "behavior", place, &behavior, err));
    int i = 0;
    while (i < 5 && strcmp(behaviors[i], behavior) != 0) i++;
    if (i == 5)
        return error_set(err, STATUS_DATA, "%s: pre_tokenizer: Split's behavior \"%.40s\" is not supported",
                         place, behavior);
    step->behavior = (cut_behavior)i;
    step->invert = is_on(part, "invert");
    return read_pattern(part, place, "pre_tokenizer", &step->pattern, err);
}

static status read_digits(const json_t *part, cut_step *step, error *err) {
    step->behavior = is_on(part, "individual_digits") ? CUT_ISOLATED : CUT_CONTIGUOUS;
    return pattern_compile("\\p{N}", "Digits", &step->pattern, err);
}

static status read_byte_level(const json_t *part, cut_step *step, error *err) {
    const json_t *prefix = json_object_get(part, "add_prefix_space"),
                 *regex = json_object_get(part, "use_regex");
    if (!prefix || json_is_true(prefix)) {
        step->prefix = PREFIX_ALWAYS;
        step->mark = strdup(" ");
        if (!step->mark) return error_memory(err, no_memory);
    }
    if (json_is_false(regex)) return STATUS_OK;
    return pattern_compile(cut_gpt2_pattern, "ByteLevel", &step->pattern, err);
}

/* Older files say add_prefix_space, newer ones prepend_scheme. */
static status read_scheme(const json_t *part, const char *place, cut_prefix *out, error *err) {
    static const char *const schemes[] = {"never", "first", "always"};
    const char *scheme = json_string_value(json_object_get(part, "prepend_scheme"));
    int i = PREFIX_ALWAYS;
    if (json_is_false(json_object_get(part, "add_prefix_space"))) i = PREFIX_NEVER;
    for (i = scheme ? 0 : i; scheme && i < 3 && strcmp(schemes[i], scheme) != 0;) i++;
    if (i == 3)
        return error_set(err, STATUS_DATA, "%s: Metaspace's prepend_scheme \"%.40s\" is not supported", place,
                         scheme);
    *out = (cut_prefix)i;
    return STATUS_OK;
}

static status read_metaspace(const json_t *part, const char *place, cut_step *step, error *err) {
    TRY(read_scheme(part, place, &step->prefix, err));
    TRY(read_text(part, "replacement", place, &step->mark, err));
    if (!*step->mark) return error_set(err, STATUS_DATA, "%s: Metaspace's replacement is empty", place);
    step->replaces_space = 1;
    step->behavior = CUT_MERGED_WITH_NEXT;
    if (json_is_false(json_object_get(part, "split"))) return STATUS_OK;
    return pattern_compile_text(step->mark, "Metaspace", &step->pattern, err);
}

static status read_pre_tokenizer(tokenizer *t, const json_t *part, const char *place, error *err) {
    if (t->bpe.is_byte_level)
        return tokenizer_refuse(place, "pre_tokenizer", part, "nothing behind ByteLevel is", err);
    TRY(check_steps("pre_tokenizer", t->steps.n, place, err));
    cut_step *more = realloc(t->steps.step, ((size_t)t->steps.n + 1) * sizeof *more);
    if (!more) return error_memory(err, no_memory);
    t->steps.step = more;
    cut_step *step = &more[t->steps.n++];
    *step = (cut_step){0};
    if (json_has_type(part, "Split")) return read_split(part, place, step, err);
    if (json_has_type(part, "Digits")) return read_digits(part, step, err);
    if (json_has_type(part, "Metaspace")) return read_metaspace(part, place, step, err);
    if (!json_has_type(part, "ByteLevel"))
        return tokenizer_refuse(place, "pre_tokenizer", part,
                                "Split, Digits, ByteLevel, Metaspace and Sequence are", err);
    t->bpe.is_byte_level = 1;
    return read_byte_level(part, step, err);
}

/* ---------------------------------------------------------------------------------------------- decoder */

static status set_replaced(decoding *d, const char *replaced, const char *by, const char *place, error *err) {
    enum { GROWTH = 16 };
    if (d->replaced)
        return error_set(err, STATUS_DATA, "%s: decoder: two of Replace and Metaspace are not supported",
                         place);
    if (strlen(by) > GROWTH * strlen(replaced))
        return error_set(err, STATUS_DATA, "%s: decoder: a Replace by more than %d times the bytes", place,
                         GROWTH);
    d->replaced = strdup(replaced);
    d->by = strdup(by);
    return d->replaced && d->by ? STATUS_OK : error_memory(err, no_memory);
}

static status read_replace_decoder(decoding *d, const json_t *part, const char *place, error *err) {
    const char *text = json_string_value(json_object_get(json_object_get(part, "pattern"), "String"));
    const char *by = json_string_value(json_object_get(part, "content"));
    if (!text || !*text || !by)
        return error_set(err, STATUS_DATA, "%s: decoder: a Replace must have a \"String\" and a \"content\"",
                         place);
    return set_replaced(d, text, by, place, err);
}

static status read_metaspace_decoder(decoding *d, const json_t *part, const char *place, error *err) {
    const char *mark;
    cut_prefix prefix;
    TRY(read_scheme(part, place, &prefix, err));
    TRY(json_field_text(part, "replacement", place, &mark, err));
    d->drops_first_spaces = prefix != PREFIX_NEVER;
    return *mark ? set_replaced(d, mark, " ", place, err)
                 : error_set(err, STATUS_DATA, "%s: Metaspace's replacement is empty", place);
}

static status read_strip(decoding *d, const json_t *part, const char *place, error *err) {
    const char *content = json_string_value(json_object_get(part, "content"));
    long long start, stop;
    TRY(json_field_int(part, "start", place, 0, 1 << 20, &start, err));
    TRY(json_field_int(part, "stop", place, 0, 1 << 20, &stop, err));
    if (!content || strcmp(content, " ") != 0 || stop != 0 || d->strip)
        return error_set(err, STATUS_DATA,
                         "%s: decoder: this Strip is not supported (of spaces at the start is)", place);
    d->strip = (int)start;
    return STATUS_OK;
}

/* Replace and ByteFallback are done to each token, Strip to the text that Fuse makes of them. */
static status read_decoder(tokenizer *t, const json_t *part, const char *place, error *err) {
    static const char taken[] =
        "ByteLevel, Metaspace, and Replace, ByteFallback, Fuse, Strip in this order are";
    decoding *d = &t->decoding;
    if (d->is_byte_level) return tokenizer_refuse(place, "decoder", part, taken, err);
    if (json_has_type(part, "ByteLevel")) {
        d->is_byte_level = 1;
        return d->replaced || d->byte_fallback || d->is_fused
                   ? tokenizer_refuse(place, "decoder", part, taken, err)
                   : STATUS_OK;
    }
    if (json_has_type(part, "Strip") && d->is_fused) return read_strip(d, part, place, err);
    if (json_has_type(part, "Fuse")) {
        d->is_fused = 1;
        return STATUS_OK;
    }
    if (d->is_fused) return tokenizer_refuse(place, "decoder", part, taken, err);
    if (json_has_type(part, "Replace")) return read_replace_decoder(d, part, place, err);
    if (json_has_type(part, "Metaspace")) return read_metaspace_decoder(d, part, place, err);
    if (!json_has_type(part, "ByteFallback")) return tokenizer_refuse(place, "decoder", part, taken, err);
    d->byte_fallback = 1;
    return STATUS_OK;
}

status tokenizer_read_pipeline(tokenizer *t, const json_t *root, const char *place, error *err) {
    const json_t *decoder = json_object_get(root, "decoder");
    TRY(read_parts(t, json_object_get(root, "normalizer"), "normalizers", place, read_normalizer, err));
    TRY(read_parts(t, json_object_get(root, "pre_tokenizer"), "pretokenizers", place, read_pre_tokenizer,
                   err));
    TRY(read_parts(t, decoder, "decoders", place, read_decoder, err));
    if (json_is_absent(decoder) || t->bpe.is_byte_level != t->decoding.is_byte_level)
        return tokenizer_refuse(place, "decoder", decoder,
                                t->bpe.is_byte_level
                                    ? "behind a ByteLevel pre_tokenizer ByteLevel is"
                                    : "without a ByteLevel pre_tokenizer Metaspace or Replace is",
                                err);
    return STATUS_OK;
}

/* --------------------------------------------------------------------------------------- post_processor */

/* The ids of a special token of TemplateProcessing. */
static status add_special(const tokenizer *t, const json_t *template, const json_t *name, const char *place,
                          ints *out, error *err) {
    const char *token = json_string_value(name);
    const json_t *special = json_object_get(json_object_get(template, "special_tokens"), token ? token : "");
    const json_t *ids = json_object_get(special, "ids"), *id;
    size_t i;
    if (!token || !json_is_array(ids))
        return error_set(err, STATUS_DATA, "%s: post_processor: \"special_tokens\" has no ids of \"%.80s\"",
                         place, token ? token : "");
    json_array_foreach(ids, i, id) {
        json_int_t value = json_is_integer(id) ? json_integer_value(id) : -1;
        if (value < 0 || value >= t->vocab || t->tokens[value].kind == TOKEN_NONE)
            return error_set(err, STATUS_DATA, "%s: post_processor: \"%.80s\": no token has id %lld", place,
                             token, (long long)value);
        ints_push(out, (int32_t)value);
    }
    return ints_check(out, err);
}

/* "single": special tokens, the text (Sequence A), special tokens. Pairs of texts are none of ours. */
static status read_template(tokenizer *t, const json_t *part, const char *place, error *err) {
    const json_t *single = json_object_get(part, "single"), *item;
    size_t i;
    int n_text = 0;
    json_array_foreach(single, i, item) {
        const json_t *special = json_object_get(item, "SpecialToken");
        if (special)
            TRY(add_special(t, part, json_object_get(special, "id"), place, n_text ? &t->behind : &t->before,
                            err));
        else
            n_text += json_object_get(item, "Sequence") != NULL;
    }
    if (n_text != 1)
        return error_set(err, STATUS_DATA,
                         "%s: post_processor: TemplateProcessing's \"single\" must name one text", place);
    return STATUS_OK;
}

static status read_post_processor(tokenizer *t, const json_t *part, const char *place, error *err) {
    if (json_has_type(part, "ByteLevel")) return STATUS_OK;
    if (json_has_type(part, "TemplateProcessing")) return read_template(t, part, place, err);
    return tokenizer_refuse(place, "post_processor", part, "ByteLevel, TemplateProcessing and Sequence are",
                            err);
}

status tokenizer_read_post_processor(tokenizer *t, const json_t *root, const char *place, error *err) {
    return read_parts(t, json_object_get(root, "post_processor"), "processors", place, read_post_processor,
                      err);
}
