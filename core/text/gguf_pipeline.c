#include "core/text/gguf_pipeline.h"

#include "core/text/gguf_vocabulary.h"

#define BYTE_LEVEL(use_regex)                                                                                \
    "{\"type\": \"ByteLevel\", \"add_prefix_space\": false, \"trim_offsets\": false, "                       \
    "\"use_regex\": " use_regex "}"
#define SPLIT(regex)                                                                                         \
    "{\"type\": \"Sequence\", \"pretokenizers\": [{\"type\": \"Split\", \"pattern\": {\"Regex\": \"" regex   \
    "\"}, \"behavior\": \"Isolated\", \"invert\": false}, " BYTE_LEVEL("false") "]}"

/* GPT-2's words of what lies between digits, each of which is alone. */
#define DIGITS_APART                                                                                         \
    "{\"type\": \"Sequence\", \"pretokenizers\": [{\"type\": \"Digits\", \"individual_digits\": "            \
    "true}, " BYTE_LEVEL("true") "]}"

/* A regular expression, escaped for JSON inside C: the words of Llama 3 and Qwen 2, which differ in how many
 * digits stay together: */
#define RECENT_WORDS(digits)                                                                                 \
    "(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\\\\r\\\\n\\\\p{L}\\\\p{N}]?\\\\p{L}+|" digits                           \
    "| ?[^\\\\s\\\\p{L}\\\\p{N}]+[\\\\r\\\\n]*|\\\\s*[\\\\r\\\\n]+|\\\\s+(?!\\\\S)|\\\\s+"

#define NFC "{\"type\": \"NFC\"}"
#define REPLACE(from, to)                                                                                    \
    "{\"type\": \"Replace\", \"pattern\": {\"String\": \"" from "\"}, \"content\": \"" to "\"}"
#define SPACE "\xe2\x96\x81" /* U+2581, a space in SentencePiece's pieces */

static const struct split {
    const char *name, *normalizer, *pre_tokenizer;
    int ignore_merges;
} splits[] = {
    {"gpt-2", "null", BYTE_LEVEL("true"), 0},
    {"smollm", "null", DIGITS_APART, 0},
    {"llama-bpe", "null", SPLIT(RECENT_WORDS("\\\\p{N}{1,3}")), 1},
    {"qwen2", NFC, SPLIT(RECENT_WORDS("\\\\p{N}")), 0},
};

static int least(size_t a, int b) { return a < (size_t)b ? (int)a : b; }

static status read_byte_level(const gguf *g, gguf_pipeline *out, error *err) {
    gguf_text name;
    TRY(gguf_get_text(g, GGUF_TOKENIZER("pre"), &name, err));
    for (size_t i = 0; i < sizeof splits / sizeof *splits; i++) {
        const struct split *s = &splits[i];
        if (!gguf_text_is(name, s->name)) continue;
        *out = (gguf_pipeline){.normalizer = s->normalizer,
                               .pre_tokenizer = s->pre_tokenizer,
                               .decoder = BYTE_LEVEL("true"),
                               .ignore_merges = s->ignore_merges,
                               .add_bos = s->ignore_merges};
        return STATUS_OK;
    }
    return error_set(
        err, STATUS_DATA,
        "%s: metadata \"" GGUF_TOKENIZER("pre") "\" is \"%.*s\"; gpt-2, smollm, llama-bpe and qwen2 are "
                                                "known",
        gguf_path(g), least(name.len, 80), name.data);
}

/* Spaces become a character of their own, by default with one more before the text. */
static const gguf_pipeline pieces = {
    .normalizer = "{\"type\": \"Sequence\", \"normalizers\": [{\"type\": \"Prepend\", \"prepend\": \"" SPACE
                  "\"}, " REPLACE(" ", SPACE) "]}",
    .pre_tokenizer = "null",
    .decoder = "{\"type\": \"Sequence\", \"decoders\": [" REPLACE(
        SPACE,
        " ") ", {\"type\": \"ByteFallback\"}, "
             "{\"type\": \"Fuse\"}, {\"type\": \"Strip\", \"content\": \" \", \"start\": 1, \"stop\": 0}]}",
    .byte_fallback = 1,
    .add_bos = 1,
};
static const gguf_pipeline pieces_without_prefix = {
    .normalizer = REPLACE(" ", SPACE),
    .pre_tokenizer = "null",
    .decoder =
        "{\"type\": \"Sequence\", \"decoders\": [" REPLACE(SPACE, " ") ", {\"type\": \"ByteFallback\"}, "
                                                                       "{\"type\": \"Fuse\"}]}",
    .byte_fallback = 1,
    .add_bos = 1,
};

/* Left as it is where the key is missing. */
static status read_flag(const gguf *g, const char *key, int *flag, error *err) {
    return gguf_has(g, key) ? gguf_get_bool(g, key, flag, err) : STATUS_OK;
}

status gguf_pipeline_read(const gguf *g, gguf_pipeline *out, error *err) {
    gguf_text model;
    int prefix = 1;
    TRY(gguf_get_text(g, GGUF_TOKENIZER("model"), &model, err));
    if (gguf_text_is(model, "gpt2")) {
        TRY(read_byte_level(g, out, err));
    } else if (gguf_text_is(model, "llama")) {
        TRY(read_flag(g, GGUF_TOKENIZER("add_space_prefix"), &prefix, err));
        *out = prefix ? pieces : pieces_without_prefix;
    } else {
        return error_set(
            err, STATUS_DATA,
            "%s: metadata \"" GGUF_TOKENIZER("model") "\" is \"%.*s\"; gpt2 (byte-level BPE) and llama "
                                                      "(SentencePiece) are known",
            gguf_path(g), least(model.len, 80), model.data);
    }
    TRY(read_flag(g, GGUF_TOKENIZER("add_bos_token"), &out->add_bos, err));
    return read_flag(g, GGUF_TOKENIZER("add_eos_token"), &out->add_eos, err);
}
