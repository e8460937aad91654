#include "tests/support/speaking_model.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

#include "core/base/file.h"
#include "core/text/tokenizer.h"
#include "tests/support/model_cases.h"

static void make(const char *directory, const char *chat_template, int context, uint64_t seed, int scores) {
    static const char *const special[] = {TOKEN_END_OF_TEXT, TOKEN_TURN_START, TOKEN_TURN_END};
    int n_special = strcmp(chat_template, "plain") == 0 ? 1 : 3;
    tokenizer *tok;
    OK(path_make_directories(directory, err));
    OK(tokenizer_train(NULL, 0, 256 + n_special, special, n_special, &tok, err));
    OK(tokenizer_save(tok, chat_template, directory, err));
    model_config c = model_config_of_family(FAMILY_LLAMA);
    c.vocab_size = c.n_vocab = tokenizer_vocab(tok);
    c.context = context;
    c.d_model = 32;
    c.n_layer = 2;
    c.n_head = 2;
    c.n_kv_head = 1;
    c.head_dim = 16;
    c.d_ff = 64;
    c.language_head = !scores;
    c.n_score = scores;
    device *dev = case_device(DEVICE_CPU, 1, NULL);
    model *m = case_model(dev, &c, seed, 0);
    OK(model_save(m, NULL, directory, err));
    model_free(m);
    device_close(dev);
    tokenizer_free(tok);
}

void make_speaking_model(const char *directory, const char *chat_template, int context, uint64_t seed) {
    make(directory, chat_template, context, seed, 0);
}

void make_reward_model(const char *directory, const char *chat_template, int context, uint64_t seed) {
    make(directory, chat_template, context, seed, 1);
}
