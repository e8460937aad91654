/* rlhf convert: a GGUF file becomes a model directory. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/base/file.h"
#include "core/model/from_gguf.h"
#include "core/model/model.h"
#include "core/text/gguf_vocabulary.h"
#include "core/text/tokenizer_gguf.h"
#include "datasets/label/arguments.h"
#include "rlhf/commands.h"

static status find_dtype(const char *word, tensor_dtype *out, error *err) {
    static const struct {
        const char *word;
        tensor_dtype dtype;
    } all[] = {{"f32", DTYPE_F32}, {"bf16", DTYPE_BF16}, {"f16", DTYPE_F16}};
    for (size_t i = 0; i < sizeof all / sizeof *all; i++) {
        *out = all[i].dtype;
        if (strcmp(word, all[i].word) == 0) return STATUS_OK;
    }
    return error_set(err, STATUS_USAGE, "convert: --dtype is \"%s\", must be f32, bf16 or f16", word);
}

static void put_id(buffer *out, const char *key, int id) {
    if (id >= 0) buffer_format(out, "%s\"%s\": %d", out->len > 1 ? ", " : "", key, id);
}

/* Which tokens end an answer: that of a text, and that of a turn where it is another one. */
static status print_generation(const gguf *g, buffer *out, error *err) {
    int bos, eos, eot, pad;
    TRY(gguf_vocabulary_id(g, "bos", &bos, err));
    TRY(gguf_vocabulary_id(g, "eos", &eos, err));
    TRY(gguf_vocabulary_id(g, "eot", &eot, err));
    TRY(gguf_vocabulary_id(g, "padding", &pad, err));
    buffer_string(out, "{");
    put_id(out, "bos_token_id", bos);
    put_id(out, "pad_token_id", pad);
    if (eos >= 0 && eot >= 0 && eos != eot)
        buffer_format(out, "%s\"eos_token_id\": [%d, %d]", out->len > 1 ? ", " : "", eos, eot);
    else
        put_id(out, "eos_token_id", eos);
    buffer_string(out, "}\n");
    return buffer_check(out, err);
}

static status save_generation(const gguf *g, const char *directory, error *err) {
    char *path = path_join(directory, "generation_config.json");
    buffer text = {0};
    status s = path ? print_generation(g, &text, err) : error_memory(err, "a path");
    if (s == STATUS_OK) s = file_write(path, text.data, text.len, err);
    buffer_free(&text);
    free(path);
    return s;
}

static status check_vocabulary(const gguf *g, const tokenizer *tok, const model_config *c, error *err) {
    if (tokenizer_vocab(tok) <= c->vocab_size) return STATUS_OK;
    return error_set(err, STATUS_DATA, "%s: the tokenizer has ids up to %d, the model %d", gguf_path(g),
                     tokenizer_vocab(tok) - 1, c->vocab_size);
}

static status save_all(const gguf *g, const tokenizer *tok, const model_config *c, tensor_dtype dtype,
                       const char *directory, error *err) {
    char *temporary;
    TRY(directory_begin(directory, &temporary, err));
    status s = tokenizer_save(tok, NULL, temporary, err);
    if (s == STATUS_OK) s = save_generation(g, temporary, err);
    if (s == STATUS_OK) s = model_convert_gguf(g, c, dtype, temporary, err);
    if (s == STATUS_OK) return directory_commit(temporary, directory, err);
    directory_abandon(temporary);
    return s;
}

static status convert(const gguf *g, tensor_dtype dtype, const char *directory, error *err) {
    model_config config;
    tokenizer *tok;
    TRY(model_config_from_gguf(g, &config, err));
    TRY(tokenizer_from_gguf(g, &tok, err));
    status s = check_vocabulary(g, tok, &config, err);
    if (s == STATUS_OK) s = save_all(g, tok, &config, dtype, directory, err);
    if (s == STATUS_OK)
        printf("%s: %d layers, %.1f million parameters, a vocabulary of %d\n", directory, config.n_layer,
               (double)model_count_parameters(&config) * 1e-6, tokenizer_vocab(tok));
    tokenizer_free(tok);
    return s;
}

typedef struct convert_options {
    const char *dtype;
} convert_options;

static status run_convert(const command_line *line, void *options, error *err) {
    const convert_options *o = options;
    tensor_dtype dtype;
    gguf *g;
    TRY(find_dtype(o->dtype, &dtype, err));
    if (path_exists(line->words[1]))
        return error_set(err, STATUS_USAGE, "%s: is there already; name a new directory", line->words[1]);
    TRY(gguf_open(line->words[0], &g, err));
    status s = convert(g, dtype, line->words[1], err);
    gguf_close(g);
    return s;
}

status convert_command(int argc, char **argv, error *err) {
    convert_options o = {.dtype = "f32"};
    const argument arguments[] = {{"--dtype", ARGUMENT_TEXT, &o.dtype, 0, 0}};
    command_line line = {
        .command = "convert",
        .usage = "usage: rlhf convert FILE.gguf DIRECTORY [options]\n"
                 "  Reads a model in llama.cpp's format, quantized or not, and writes it with its tokenizer\n"
                 "  into a new directory as Hugging Face has it, which every command here takes.\n"
                 "  --dtype NAME   f32, bf16 or f16: how numbers are stored (f32)",
        .example = "SmolLM2-135M-Instruct.Q4_1.gguf models/SmolLM2-135M-Instruct",
        .arguments = arguments,
        .n = sizeof arguments / sizeof *arguments,
        .min_words = 2,
        .max_words = 2};
    return run_with_arguments(&line, argc, argv, run_convert, &o, err);
}
