/* A reward model as a judge. */
#include <stdlib.h>
#include <string.h>

#include "core/model/model.h"
#include "datasets/example.h"
#include "datasets/judge/internal.h"
#include "datasets/pack.h"

enum { PACK_TOKENS = 1024 };

typedef struct model_judge {
    judge base;
    model *model;
    workspace *ws;
    tokenizer *tok;
    pack pack;
    hash tokenizer;
    bad_lines bad;
    data_options data;
    ints token; /* of one item */
} model_judge;

static status item_tokens(model_judge *j, const judge_item *item, int number, error *err) {
    prompt_text p = {.text = item->prompt, .messages = item->messages};
    const data_options *o = &j->data;
    ints_clear(&j->token);
    TRY(example_prompt(o, &p, "an item to be judged", &j->token, err));
    if (item->token && item->tokenizer && hash_equal(item->tokenizer, &j->tokenizer))
        ints_append(&j->token, item->token, (size_t)item->n_token);
    else
        TRY(template_answer(o->chat, o->tok, item->answer.data, item->answer.len, &j->token, err));
    TRY(ints_check(&j->token, err));
    if ((int)j->token.len > o->max_length)
        return error_set(err, STATUS_DATA,
                         "answer %d: %zu tokens with its prompt, the judging model's context is %d", number,
                         j->token.len, o->max_length);
    return STATUS_OK;
}

static status flush(model_judge *j, float *score, error *err) {
    const model_config *c = model_get_config(j->model);
    forward_options o = {.temperature = 1};
    row_values values = {.score = score};
    if (j->pack.b.n_token == 0) return STATUS_OK;
    TRY(model_forward(j->model, j->ws, &j->pack.b, &o, err));
    TRY(model_read(j->model, j->ws, &values, err));
    for (int r = 0; r < j->pack.b.n_row; r++) score[r] = (score[r] - c->reward_mean) / c->reward_std;
    pack_clear(&j->pack);
    return STATUS_OK;
}

static status score_items(judge *base, const judge_item *items, int n, float *score, error *err) {
    model_judge *j = (model_judge *)base;
    int first = 0;
    pack_clear(&j->pack);
    for (int i = 0; i < n; i++) {
        TRY(item_tokens(j, &items[i], i, err));
        if (!pack_fits(&j->pack, (int)j->token.len, 1)) {
            TRY(flush(j, score + first, err));
            first = i;
        }
        pack_add(&j->pack, (uint64_t)i, j->token.data, (int)j->token.len);
        pack_row_of_end(&j->pack);
    }
    return flush(j, score + first, err);
}

static void close_model(judge *base) {
    model_judge *j = (model_judge *)base;
    pack_free(&j->pack);
    workspace_free(j->ws);
    model_free(j->model);
    tokenizer_free(j->tok);
    ints_free(&j->token);
    free(j);
}

static status open_all(model_judge *j, device *dev, const char *directory, const char *system, dtype compute,
                       error *err) {
    const chat_template *chat;
    model_config stored;
    TRY(model_config_load(directory, &stored, err));
    if (!stored.n_score)
        return error_set(err, STATUS_DATA, "%s: is no reward model: it has no score head", directory);
    TRY(tokenizer_load(directory, &j->tok, err));
    TRY(template_choose(NULL, j->tok, &chat, err));
    model_options o = {.language_head = 0,
                       .n_score = -1,
                       .score_bias = -1,
                       .n_vocab = tokenizer_vocab(j->tok),
                       .compute = compute};
    TRY(model_load(dev, directory, &o, &j->model, err));
    const model_config *c = model_get_config(j->model);
    int most = c->context > PACK_TOKENS ? c->context : PACK_TOKENS;
    limits l = {.max_token = most, .max_row = most, .max_seq = most, .max_len = c->context};
    TRY(workspace_create(dev, c, &l, &j->ws, err));
    TRY(pack_create(&l, &j->pack, err));
    j->tokenizer = tokenizer_hash(j->tok);
    j->data = (data_options){
        .tok = j->tok, .chat = chat, .system = system, .max_length = c->context, .bad = &j->bad};
    return STATUS_OK;
}

status judge_open_model(device *dev, const char *directory, const char *system, dtype compute, judge **out,
                        error *err) {
    *out = NULL;
    model_judge *j = calloc(1, sizeof *j);
    if (!j) return error_memory(err, "a judge");
    j->base = (judge){.score = score_items, .close = close_model};
    status s = open_all(j, dev, directory, system, compute, err);
    if (s != STATUS_OK) {
        close_model(&j->base);
        return s;
    }
    *out = &j->base;
    return STATUS_OK;
}
