/* The metadata of a GGUF file as a model's shape. */
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "core/base/shape_limits.h"
#include "core/model/from_gguf.h"
#include "core/model/from_gguf_names.h"
#include "core/model/internal.h"
#include "core/text/gguf_vocabulary.h"

typedef struct reader {
    const gguf *file;
    char architecture[81];
    error *err;
} reader;

enum { KEY_SIZE = 128 };

/* "llama.block_count" */
static const char *key_of(const reader *r, const char *name, char key[KEY_SIZE]) {
    snprintf(key, KEY_SIZE, "%s.%s", r->architecture, name);
    return key;
}

static status read_int(const reader *r, const char *name, int *out) {
    char key[KEY_SIZE];
    int64_t value;
    TRY(gguf_get_int(r->file, key_of(r, name, key), 1, 1 << 30, &value, r->err));
    *out = (int)value;
    return STATUS_OK;
}

/* Left as it is where the key is missing. */
static status read_optional_int(const reader *r, const char *name, int *out) {
    char key[KEY_SIZE];
    return gguf_has(r->file, key_of(r, name, key)) ? read_int(r, name, out) : STATUS_OK;
}

static status read_optional_float(const reader *r, const char *name, float *out) {
    char key[KEY_SIZE];
    double value;
    if (!gguf_has(r->file, key_of(r, name, key))) return STATUS_OK;
    TRY(gguf_get_number(r->file, key, &value, r->err));
    *out = (float)value;
    return STATUS_OK;
}

/* A value that must be this one where it is there at all. */
static status expect_int(const reader *r, const char *name, int wanted) {
    char key[KEY_SIZE];
    int value = wanted;
    TRY(read_optional_int(r, name, &value));
    if (value == wanted) return STATUS_OK;
    return error_set(r->err, STATUS_DATA,
                     "%s: metadata \"%s\" is %d, which this program cannot compute (%d it can)",
                     gguf_path(r->file), key_of(r, name, key), value, wanted);
}

static status bad_value(const reader *r, const char *key, gguf_text value) {
    return error_set(r->err, STATUS_DATA,
                     "%s: metadata \"%s\" is \"%.*s\", which this program cannot compute", gguf_path(r->file),
                     key, value.len < 80 ? (int)value.len : 80, value.data);
}

static status read_scaling(const reader *r, rope_scaling *s) {
    char key[KEY_SIZE];
    gguf_text kind;
    if (!gguf_has(r->file, key_of(r, "rope.scaling.type", key))) return STATUS_OK;
    TRY(gguf_get_text(r->file, key, &kind, r->err));
    if (gguf_text_is(kind, "none")) return STATUS_OK;
    if (!gguf_text_is(kind, "linear")) return bad_value(r, key, kind);
    *s = (rope_scaling){.kind = ROPE_LINEAR, .factor = 1};
    return read_optional_float(r, "rope.scaling.factor", &s->factor);
}

/* Llama 3.1's scaling is stored as what it divides each frequency by; its largest factor is the one, the rest
   are the same in all published models. */
static status read_divisors(const reader *r, model_config *c) {
    const gguf_tensor *t = gguf_find(r->file, GGUF_ROPE_DIVISORS);
    float divisor[SHAPE_MOST_HEAD_DIM / 2], largest = 1;
    int n = c->head_dim / 2;
    if (!t) return STATUS_OK;
    if (t->type != GGUF_F32 || t->n_dim != 1 || t->shape[0] != n || n > SHAPE_MOST_HEAD_DIM / 2)
        return error_set(r->err, STATUS_DATA, "%s: tensor \"%s\" does not hold %d numbers of type F32",
                         gguf_path(r->file), t->name, n);
    memcpy(divisor, t->data, t->bytes);
    for (int i = 0; i < n; i++) largest = fmaxf(largest, divisor[i]);
    model_config plain = *c;
    if (largest > 1) c->rope_scaling = (rope_scaling){ROPE_LLAMA3, largest, 1, 4, 8192};
    for (int i = 0; i < n; i++) {
        double wanted = model_rope_frequency(&plain, i) / model_rope_frequency(c, i);
        if (!(fabs((double)divisor[i] - wanted) <= 1e-4 * wanted))
            return error_set(r->err, STATUS_DATA,
                             "%s: tensor \"%s\": element %d is %g, %g in Llama 3.1's scaling by %g",
                             gguf_path(r->file), t->name, i, (double)divisor[i], wanted, (double)largest);
    }
    return STATUS_OK;
}

/* Keys of the architecture that are not known may change what is computed. */
static status check_keys(const reader *r) {
    static const char *const known[] = {"block_count",
                                        "context_length",
                                        "embedding_length",
                                        "feed_forward_length",
                                        "vocab_size",
                                        "attention.head_count",
                                        "attention.head_count_kv",
                                        "attention.key_length",
                                        "attention.value_length",
                                        "attention.layer_norm_epsilon",
                                        "attention.layer_norm_rms_epsilon",
                                        "rope.dimension_count",
                                        "rope.freq_base",
                                        "rope.scaling.type",
                                        "rope.scaling.factor",
                                        NULL};
    size_t n = strlen(r->architecture);
    for (int i = 0; i < gguf_n_key(r->file); i++) {
        const char *key = gguf_key(r->file, i), *const *k = known;
        if (strncmp(key, r->architecture, n) != 0 || key[n] != '.') continue;
        while (*k && strcmp(key + n + 1, *k) != 0) k++;
        if (!*k)
            return error_set(r->err, STATUS_DATA,
                             "%s: metadata \"%s\" is not known: it might change what is computed",
                             gguf_path(r->file), key);
    }
    return STATUS_OK;
}

static const gguf_tensor *find_tensor(const reader *r, const char *ours, int part) {
    char name[GGUF_NAME_SIZE];
    return gguf_tensor_name(ours, part, 0, name) ? gguf_find(r->file, name) : NULL;
}

/* Whether the language head is the token embedding: there is none, or its bytes are the same. */
static int is_tied(const reader *r, const gguf_tensor *embedding) {
    const gguf_tensor *head = find_tensor(r, "head.weight", PART_ALL);
    return !head || (head->type == embedding->type && head->bytes == embedding->bytes &&
                     memcmp(head->data, embedding->data, head->bytes) == 0);
}

/* What only the tensors tell. */
static status read_tensors(const reader *r, model_config *c) {
    const gguf_tensor *embedding = find_tensor(r, "token.weight", PART_ALL);
    if (!embedding || embedding->n_dim != 2 || embedding->shape[0] > 1 << 24)
        return error_set(r->err, STATUS_DATA, "%s: tensor \"token_embd.weight\" is %s", gguf_path(r->file),
                         embedding ? "no matrix of tokens" : "missing");
    c->vocab_size = c->n_vocab = (int)embedding->shape[0];
    c->tied = is_tied(r, embedding);
    const family *f = family_of(c->family);
    if (f->free_attention_bias)
        c->qkv_bias = c->out_bias = find_tensor(r, "layer.%d.qkv.bias", PART_Q) != NULL;
    if (f->free_mlp_bias) c->mlp_bias = find_tensor(r, "layer.%d.up.bias", PART_GATE) != NULL;
    return expect_int(r, "vocab_size", c->vocab_size);
}

static status read_shape(const reader *r, model_config *c) {
    TRY(read_int(r, "block_count", &c->n_layer));
    TRY(read_int(r, "context_length", &c->context));
    TRY(read_int(r, "embedding_length", &c->d_model));
    TRY(read_int(r, "feed_forward_length", &c->d_ff));
    TRY(read_int(r, "attention.head_count", &c->n_head));
    c->n_kv_head = c->n_head;
    c->head_dim = c->d_model / c->n_head;
    TRY(read_optional_int(r, "attention.head_count_kv", &c->n_kv_head));
    TRY(read_optional_int(r, "attention.key_length", &c->head_dim));
    TRY(expect_int(r, "attention.value_length", c->head_dim));
    if (c->position == POSITION_ROPE) {
        TRY(expect_int(r, "rope.dimension_count", c->head_dim));
        TRY(read_optional_float(r, "rope.freq_base", &c->rope_theta));
        TRY(read_scaling(r, &c->rope_scaling));
        TRY(read_divisors(r, c));
    }
    return read_optional_float(
        r, c->norm == NORM_RMS ? "attention.layer_norm_rms_epsilon" : "attention.layer_norm_epsilon",
        &c->norm_eps);
}

static status read_config(reader *r, model_config *c) {
    static const char *const architectures[] = {"gpt2", "llama", "qwen2", "qwen3", "gemma", NULL};
    gguf_text name;
    TRY(gguf_get_text(r->file, "general.architecture", &name, r->err));
    snprintf(r->architecture, sizeof r->architecture, "%.*s", name.len < 80 ? (int)name.len : 80, name.data);
    const char *const *known = architectures;
    while (*known && !gguf_text_is(name, *known)) known++;
    if (!*known)
        return error_set(r->err, STATUS_DATA,
                         "%s: architecture \"%s\" is not known; gpt2, llama, qwen2, qwen3 and gemma are",
                         gguf_path(r->file), r->architecture);
    *c = model_config_of_family((model_family)family_named(*known));
    TRY(check_keys(r));
    TRY(read_shape(r, c));
    TRY(read_tensors(r, c));
    TRY(gguf_vocabulary_id(r->file, "bos", &c->bos_token, r->err));
    TRY(gguf_vocabulary_id(r->file, "padding", &c->pad_token, r->err));
    return gguf_vocabulary_id(r->file, "eos", &c->eos_token, r->err);
}

status model_config_from_gguf(const gguf *file, model_config *out, error *err) {
    TRY(read_config(&(reader){.file = file, .err = err}, out));
    if (model_config_check(out, 1, err) == STATUS_OK) return STATUS_OK;
    error_context(err, "%s", gguf_path(file));
    if (err) err->code = STATUS_DATA;
    return STATUS_DATA;
}
