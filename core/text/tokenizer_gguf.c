#include "core/text/tokenizer_gguf.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "core/text/gguf_pipeline.h"
#include "core/text/gguf_vocabulary.h"
#include "core/text/piece_merges.h"
#include "core/text/tokenizer_parts.h"

/* The tokenizer is printed as tokenizer.json and then read like any other: there is one way in. Whatever
   returns an int or a json_t returns 0 or NULL when memory ran out. */

static json_t *text_of(gguf_text text) { return json_stringn(text.data, text.len); }

/* These take value over. */
static int set(json_t *object, const char *key, json_t *value) {
    return json_object_set_new(object, key, value) == 0;
}
static int append(json_t *array, json_t *value) { return json_array_append_new(array, value) == 0; }

/* ---- tokens ---- */

static int is_special(const gguf_vocabulary *v, int i) {
    return v->type[i] == GGUF_TOKEN_CONTROL || v->type[i] == GGUF_TOKEN_UNKNOWN;
}

static json_t *make_added(const gguf_vocabulary *v) {
    json_t *added = json_array();
    for (int i = 0; i < v->n; i++) {
        if (!is_special(v, i) && v->type[i] != GGUF_TOKEN_USER_DEFINED) continue;
        json_t *one = json_pack("{s:i, s:o, s:b, s:b, s:b, s:b, s:b}", "id", i, "content",
                                text_of(v->token[i]), "single_word", 0, "lstrip", 0, "rstrip", 0,
                                "normalized", 0, "special", is_special(v, i));
        if (append(added, one)) continue;
        json_decref(added);
        return NULL;
    }
    return added;
}

static json_t *make_vocab(const gguf_vocabulary *v) {
    json_t *vocab = json_object();
    for (int i = 0; i < v->n; i++) {
        const gguf_text *t = &v->token[i];
        if (v->type[i] == GGUF_TOKEN_UNUSED) continue;
        if (json_object_setn_new(vocab, t->data, t->len, json_integer(i)) == 0) continue;
        json_decref(vocab);
        return NULL;
    }
    return vocab;
}

/* ---- what is put before and behind a text ---- */

static int append_special(json_t *sequence, gguf_text token, int type) {
    return append(sequence,
                  json_pack("{s:{s:o, s:i}}", "SpecialToken", "id", text_of(token), "type_id", type));
}

/* Around each of n texts. */
static json_t *make_sequence(const gguf_vocabulary *v, const gguf_pipeline *p, int n) {
    static const char *const names[] = {"A", "B"};
    json_t *sequence = json_array();
    int good = sequence != NULL;
    for (int i = 0; i < n; i++) {
        if (p->add_bos) good &= append_special(sequence, v->token[v->bos], i);
        good &= append(sequence, json_pack("{s:{s:s, s:i}}", "Sequence", "id", names[i], "type_id", i));
        if (p->add_eos) good &= append_special(sequence, v->token[v->eos], i);
    }
    if (good) return sequence;
    json_decref(sequence);
    return NULL;
}

static int set_special(json_t *specials, gguf_text token, int id) {
    json_t *one = json_pack("{s:o, s:[i], s:[o]}", "id", text_of(token), "ids", id, "tokens", text_of(token));
    return json_object_setn_new(specials, token.data, token.len, one) == 0;
}

static json_t *make_post_processor(const gguf_vocabulary *v, const gguf_pipeline *p) {
    if (!p->add_bos && !p->add_eos) return json_null();
    json_t *specials = json_object();
    int good = specials != NULL;
    if (p->add_bos) good &= set_special(specials, v->token[v->bos], v->bos);
    if (p->add_eos) good &= set_special(specials, v->token[v->eos], v->eos);
    if (good)
        return json_pack("{s:s, s:o, s:o, s:o}", "type", "TemplateProcessing", "single",
                         make_sequence(v, p, 1), "pair", make_sequence(v, p, 2), "special_tokens", specials);
    json_decref(specials);
    return NULL;
}

/* ---- merges ---- */

/* "a b", as the file has them. */
static status copy_merges(const gguf *g, json_t *merges, error *err) {
    gguf_array all;
    TRY(gguf_get_texts(g, GGUF_TOKENIZER("merges"), &all, err));
    for (size_t i = 0; i < all.n; i++) {
        gguf_text merge = gguf_next_text(&all);
        if (!gguf_text_is_utf8(merge))
            return error_set(err, STATUS_DATA, "%s: merge %zu is not UTF-8", gguf_path(g), i);
        if (!append(merges, text_of(merge))) return error_memory(err, "merges");
    }
    return STATUS_OK;
}

/* pieces [n] */
static status fill_pieces(const gguf_vocabulary *v, scored_piece *pieces, error *err) {
    gguf_array scores;
    TRY(gguf_get_floats(v->file, GGUF_TOKENIZER("scores"), &scores, err));
    if (scores.n != (size_t)v->n)
        return error_set(err, STATUS_DATA, "%s: %zu scores, there are %d tokens", gguf_path(v->file),
                         scores.n, v->n);
    for (int i = 0; i < v->n; i++) {
        float score = gguf_next_float(&scores);
        pieces[i] = (scored_piece){v->token[i].data, v->token[i].len, score, v->type[i] == GGUF_TOKEN_NORMAL};
        if (isnan(score))
            return error_set(err, STATUS_DATA, "%s: the score of token %d is not a number",
                             gguf_path(v->file), i);
        if (pieces[i].len > PIECE_MAX_BYTES)
            return error_set(err, STATUS_DATA, "%s: token %d has %zu bytes, at most %d are read",
                             gguf_path(v->file), i, pieces[i].len, PIECE_MAX_BYTES);
    }
    return STATUS_OK;
}

static status make_merges(const gguf_vocabulary *v, json_t *merges, error *err) {
    scored_piece *pieces = calloc((size_t)v->n, sizeof *pieces);
    piece_merge *all = NULL;
    size_t n = 0;
    status s = pieces ? fill_pieces(v, pieces, err) : error_memory(err, "a vocabulary");
    if (s == STATUS_OK) s = piece_merges(pieces, v->n, &all, &n, err);
    for (size_t i = 0; i < n && s == STATUS_OK; i++) {
        json_t *pair = json_pack("[o, o]", text_of(v->token[all[i].left]), text_of(v->token[all[i].right]));
        if (!append(merges, pair)) s = error_memory(err, "merges");
    }
    free(all);
    free(pieces);
    return s;
}

/* ---- the files ---- */

static json_t *parse_part(const char *text) { return json_loads(text, JSON_DECODE_ANY, NULL); }

static json_t *make_root(const gguf_vocabulary *v, const gguf_pipeline *p, json_t *merges) {
    json_t *unk = p->byte_fallback && v->unk >= 0 ? text_of(v->token[v->unk]) : json_null();
    json_t *model = json_pack("{s:s, s:n, s:o, s:n, s:n, s:b, s:b, s:b, s:o, s:O}", "type", "BPE", "dropout",
                              "unk_token", unk, "continuing_subword_prefix", "end_of_word_suffix", "fuse_unk",
                              p->byte_fallback, "byte_fallback", p->byte_fallback, "ignore_merges",
                              p->ignore_merges, "vocab", make_vocab(v), "merges", merges);
    return json_pack("{s:s, s:n, s:n, s:o, s:o, s:o, s:o, s:o, s:o}", "version", "1.0", "truncation",
                     "padding", "added_tokens", make_added(v), "normalizer", parse_part(p->normalizer),
                     "pre_tokenizer", parse_part(p->pre_tokenizer), "post_processor",
                     make_post_processor(v, p), "decoder", parse_part(p->decoder), "model", model);
}

static status dump(const json_t *root, buffer *out, error *err) {
    char *text = root ? json_dumps(root, JSON_INDENT(2)) : NULL;
    if (text) {
        buffer_string(out, text);
        buffer_string(out, "\n");
    }
    free(text);
    return text ? buffer_check(out, err) : error_memory(err, "a tokenizer");
}

static status make_json(const gguf_vocabulary *v, const gguf_pipeline *p, buffer *out, error *err) {
    json_t *merges = json_array(), *root = NULL;
    status s = p->byte_fallback ? make_merges(v, merges, err) : copy_merges(v->file, merges, err);
    if (s == STATUS_OK) root = make_root(v, p, merges);
    if (s == STATUS_OK) s = dump(root, out, err);
    json_decref(root);
    json_decref(merges);
    return s;
}

static int set_token(json_t *config, const gguf_vocabulary *v, const char *key, int id) {
    return id < 0 || set(config, key, text_of(v->token[id]));
}

static status make_config(const gguf_vocabulary *v, const gguf_pipeline *p, json_t *config, error *err) {
    static const char key[] = "tokenizer.chat_template";
    gguf_text chat = {0};
    if (gguf_has(v->file, key)) {
        TRY(gguf_get_text(v->file, key, &chat, err));
        if (!gguf_text_is_utf8(chat) || memchr(chat.data, 0, chat.len))
            return error_set(err, STATUS_DATA, "%s: metadata \"%s\" is no text in UTF-8", gguf_path(v->file),
                             key);
    }
    int good = set(config, "tokenizer_class", json_string("PreTrainedTokenizerFast")) &&
               set(config, "clean_up_tokenization_spaces", json_false()) &&
               set(config, "add_bos_token", json_boolean(p->add_bos)) &&
               set(config, "add_eos_token", json_boolean(p->add_eos)) &&
               set_token(config, v, "bos_token", v->bos) && set_token(config, v, "eos_token", v->eos) &&
               set_token(config, v, "unk_token", v->unk) && set_token(config, v, "pad_token", v->pad) &&
               (!chat.data || set(config, "chat_template", text_of(chat)));
    return good ? STATUS_OK : error_memory(err, "tokenizer_config.json");
}

static status check_ends(const gguf_vocabulary *v, const gguf_pipeline *p, error *err) {
    const char *missing = p->add_bos && v->bos < 0 ? "bos" : p->add_eos && v->eos < 0 ? "eos" : NULL;
    if (!missing) return STATUS_OK;
    return error_set(
        err, STATUS_DATA,
        "%s: texts get an added %s token, and metadata \"" GGUF_TOKENIZER("%s_token_id") "\" is missing",
        gguf_path(v->file), missing, missing);
}

static status make_tokenizer(const gguf_vocabulary *v, json_t *config, buffer *json, tokenizer **out,
                             error *err) {
    gguf_pipeline p;
    TRY(gguf_pipeline_read(v->file, &p, err));
    TRY(check_ends(v, &p, err));
    TRY(make_config(v, &p, config, err));
    TRY(make_json(v, &p, json, err));
    if (tokenizer_parse(json->data, json->len, "its tokenizer", out, err) != STATUS_OK)
        return error_context(err, "%s", gguf_path(v->file));
    (*out)->config = json_incref(config);
    return dump(config, &(*out)->config_text, err);
}

status tokenizer_from_gguf(const gguf *file, tokenizer **out, error *err) {
    gguf_vocabulary v;
    buffer json = {0};
    json_t *config = json_object();
    *out = NULL;
    status s = gguf_vocabulary_read(file, &v, err);
    if (s == STATUS_OK) s = make_tokenizer(&v, config, &json, out, err);
    if (s != STATUS_OK) {
        tokenizer_free(*out);
        *out = NULL;
    }
    json_decref(config);
    buffer_free(&json);
    gguf_vocabulary_free(&v);
    return s;
}
