/* Any bytes as a line of training data, linked with datasets: refused with its place, or token ids and
   targets that fit. The first byte chooses the loss, the template and what becomes of lines that are too
   long. */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "core/base/json.h"
#include "datasets/example.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* One tokenizer for all inputs. */
static const tokenizer *tokens_of_tests(void) {
    static tokenizer *t;
    const char *special[] = {TOKEN_END_OF_TEXT, "<|im_start|>", "<|im_end|>"};
    const char *text = "the user asks, the assistant answers: the answer ends";
    tokenizer_text texts[] = {{text, strlen(text)}};
    error err = {0};
    if (!t && tokenizer_train(texts, 1, 264, special, 3, &t, &err) != STATUS_OK) abort();
    return t;
}

static void check(const data_options *o, loss_kind loss, const ints *tokens, const ints *target) {
    int n_target = 0;
    if (tokens->len != target->len) abort();
    for (size_t i = 0; i < tokens->len; i++) {
        if (tokens->data[i] < 0 || tokens->data[i] >= tokenizer_vocab(o->tok)) abort();
        if (target->data[i] != 0 && target->data[i] != 1) abort();
        n_target += target->data[i];
    }
    if (loss == LOSS_ALL && (size_t)n_target + 1 < tokens->len) abort();
    if (tokens->len && target->data[0]) abort(); /* no state predicts the first token */
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    if (size == 0) return 0;
    static const char *const name[] = {"plain", "chatml"};
    static const loss_kind kind[] = {LOSS_ALL, LOSS_COMPLETION, LOSS_ASSISTANT};
    bad_lines bad = {.quiet = 1};
    data_options o = {.tok = tokens_of_tests(), .max_length = 48, .bad = &bad};
    loss_kind loss = kind[data[0] % 3];
    error err = {0};
    ints tokens = {0}, target = {0};
    example_info info;
    if (data[0] & 32) o.system = "be kind";
    if (template_choose(name[(data[0] >> 6) & 1], o.tok, &o.chat, &err) != STATUS_OK) abort();
    buffer line = {0};
    buffer_append(&line, data + 1, size - 1);
    json_t *root = NULL;
    status s = parse_json_object(line.data ? line.data : "", line.len, "f:1", &root, &err);
    if (s == STATUS_OK) s = example_tokens(&o, loss, root, "f:1", &tokens, &target, &info, &err);
    json_decref(root);
    if (s == STATUS_OK && !info.is_document)
        check(&o, loss, &tokens, &target);
    else if (s != STATUS_OK && (s != STATUS_DATA || strncmp(err.message, "f:1: ", 5)))
        abort();
    ints_free(&tokens);
    ints_free(&target);
    buffer_free(&line);
    return 0;
}
