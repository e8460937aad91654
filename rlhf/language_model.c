#include "rlhf/language_model.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static status find_template(const char *name, int *out, error *err) {
    const chat_template *unused;
    *out = config_find_template(name);
    return *out < 0 ? template_find(name, &unused, err) : STATUS_OK;
}

static status check_head(const char *directory, error *err) {
    model_config shape;
    TRY(model_config_load(directory, &shape, err));
    if (shape.language_head) return STATUS_OK;
    return error_set(err, STATUS_DATA, "%s: is a reward or value model, which writes no text", directory);
}

status language_model_open(const char *directory, int threads, const char *dtype, const char *template,
                           const char *system, language_model *out, error *err) {
    int word;
    char setting[64];
    const char *const settings[] = {setting};
    snprintf(setting, sizeof setting, "dtype=%s", dtype ? dtype : "f32");
    *out = (language_model){0};
    TRY(find_template(template, &word, err));
    TRY(check_head(directory, err));
    TRY(config_load_file(NULL, settings, 1, &out->config, err));
    out->config.threads = threads;
    out->config.data.template = word;
    out->config.data.system = system;
    TRY(session_open(&out->config, directory, NULL, &out->session, err));
    model_options o = {.language_head = 1, .n_vocab = out->session.n_vocab, .compute = out->session.compute};
    TRY(model_load(out->session.dev, directory, &o, &out->model, err));
    session_set_length(&out->session, model_get_config(out->model)->context);
    return STATUS_OK;
}

void language_model_close(language_model *m) {
    model_free(m->model);
    session_close(&m->session);
    config_free(NULL, &m->config);
    m->model = NULL;
}

enum { PACK_TOKENS = 2048 };

status text_reader_open(const language_model *m, int longest, text_reader *out, error *err) {
    int most = longest > PACK_TOKENS ? longest : PACK_TOKENS;
    limits l = {.max_token = most, .max_row = most, .max_seq = most, .max_len = longest};
    *out = (text_reader){.most = most};
    TRY(workspace_create(m->session.dev, model_get_config(m->model), &l, &out->ws, err));
    TRY(pack_create(&l, &out->pack, err));
    out->logprob = calloc((size_t)most, sizeof *out->logprob);
    return out->logprob ? STATUS_OK : error_memory(err, "rows");
}

status text_reader_read(text_reader *r, const language_model *m, float temperature, error *err) {
    if (r->pack.b.n_row == 0) return STATUS_OK;
    TRY(model_forward(m->model, r->ws, &r->pack.b, &(forward_options){.temperature = temperature}, err));
    return model_read(m->model, r->ws, &(row_values){.logprob = r->logprob}, err);
}

void text_reader_close(text_reader *r) {
    pack_free(&r->pack);
    workspace_free(r->ws);
    free(r->logprob);
    *r = (text_reader){0};
}
