#include "datasets/session.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "core/base/file.h"
#include "core/base/signal.h"
#include "core/base/waiting.h"

int stage_main(const char *name, const struct config_program *program, int argc, char **argv,
               const stage_options *options, stage_run *run) {
    struct config_options command = {0};
    struct config config = {0};
    error err = {0};
    file_open_standard();
    waiting_make_passive(argv);
    signal_install();
    status s = config_load(program, argc, argv, &command, &config, &err);
    if (s == STATUS_OK && !command.help) s = run(&config, options, &err);
    if (s == STATUS_OK) s = file_flush_output(&err);
    if (s != STATUS_OK) error_print(name, &err);
    config_free(&command, &config);
    return status_exit_code(s);
}

status stage_open_run(const struct config *config, const char *kind, const char *const *sections,
                      const stage_options *options, int keep_checkpoints, run **out, run_state *state,
                      error *err) {
    run_options o = {.directory = config->run,
                     .kind = kind,
                     .round = options->round,
                     .seed = (uint64_t)config->seed,
                     .table = &CONFIG_TABLE,
                     .values = config,
                     .sections = sections,
                     .resume = options->resume,
                     .keep_checkpoints = keep_checkpoints};
    return run_open(&o, out, state, err);
}

stage_pause stage_between(int save_every, int64_t step, int64_t steps) {
    int scheduled = stage_is_due(save_every, step, steps), stop = step < steps && signal_stop_requested();
    return (stage_pause){.save = scheduled || stop, .stop = stop, .scheduled = scheduled};
}

status stage_interrupted(const char *unit, int64_t step, error *err) {
    return error_set(err, STATUS_INTERRUPTED, "stopped by a signal at %s %" PRId64 "; --resume goes on", unit,
                     step);
}

data_options session_held_out_data(const session *s, bad_lines *quiet) {
    data_options again = s->data;
    *quiet = (bad_lines){.most = s->bad.most, .quiet = 1};
    again.bad = quiet;
    again.may_be_empty = 1;
    return again;
}

/* An adapter's directory may leave the tokenizer to that of its weights. *out is malloc'd. */
static status find_tokenizer(const char *model_directory, char **out, error *err) {
    char *own = path_join(model_directory, "tokenizer.json"), *base = NULL;
    status s = own ? STATUS_OK : error_memory(err, "a path");
    if (s == STATUS_OK && !path_exists(own)) s = model_find_base(model_directory, &base, err);
    free(own);
    TRY(s);
    *out = base ? base : strdup(model_directory);
    return *out ? STATUS_OK : error_memory(err, "a path");
}

static status open_tokenizer(session *s, const char *model_directory, error *err) {
    const char *path = s->config->tokenizer.path;
    if (!path && !model_directory && !s->tok)
        return config_refuse_key(
            s->config->source, "tokenizer.path", STATUS_USAGE, err,
            "is not set, and there is no model that brings a tokenizer: name a directory that "
            "`rlhf tokenizer` made, or a model to start from");
    char *found = NULL;
    if (!path && !s->tok) TRY(find_tokenizer(model_directory, &found, err));
    status st = s->tok ? STATUS_OK : tokenizer_load(path ? path : found, &s->tok, err);
    free(found);
    TRY(st);
    TRY(template_choose(CONFIG_TEMPLATES[s->config->data.template], s->tok, &s->chat, err));
    s->end_token = template_end_token(s->chat, s->tok);
    s->n_vocab = tokenizer_vocab(s->tok);
    if (s->end_token < 0)
        return error_set(err, STATUS_DATA, "%s: the tokenizer has no %s, which ends an answer of template %s",
                         path              ? path
                         : model_directory ? model_directory
                                           : "a new tokenizer",
                         template_end_of(s->chat, s->tok), template_name(s->chat));
    return STATUS_OK;
}

status session_check_tokenizer(const session *s, const char *model_directory, error *err) {
    char *path = path_join(model_directory, "tokenizer.json");
    hash theirs, ours = tokenizer_hash(s->tok);
    uint64_t bytes;
    if (!path) return error_memory(err, "a path");
    status st = STATUS_OK;
    if (path_exists(path)) {
        st = hash_file(path, &theirs, &bytes, err);
        if (st == STATUS_OK && !hash_equal(&theirs, &ours))
            st = error_set(err, STATUS_DATA,
                           "%s: another tokenizer than the one in use: its ids would mean other words", path);
    }
    free(path);
    return st;
}

/* tok: the tokenizer, owned; NULL: to be loaded. */
static status open_with(const struct config *config, const char *model_directory, tokenizer *tok, logger *log,
                        session *out, error *err) {
    *out = (session){.config = config,
                     .tok = tok,
                     .compute = session_dtype(config),
                     .log = log,
                     .bad = {.most = config->data.max_bad, .log = log}};
    status s = model_directory ? model_check_directory(model_directory, err) : STATUS_OK;
    if (s == STATUS_OK) s = device_open_cpu(config->threads, &out->dev, err);
    if (s == STATUS_OK) s = dist_open_single(&out->ranks, err);
    if (s == STATUS_OK) s = open_tokenizer(out, model_directory, err);
    if (s == STATUS_OK && model_directory && config->tokenizer.path)
        s = session_check_tokenizer(out, model_directory, err);
    if (s != STATUS_OK) {
        session_close(out);
        return s;
    }
    out->data = (data_options){.tok = out->tok,
                               .chat = out->chat,
                               .system = config->data.system,
                               .separator = config->data.separator,
                               .cache = config->data.cache,
                               .cut = config->data.too_long == CONFIG_TOO_LONG_CUT,
                               .max_length = config->data.max_length,
                               .bad = &out->bad};
    return STATUS_OK;
}

status session_refuse_loss(const model *m, const char *directory, int64_t step, const char *what,
                           const char *lr, error *err) {
    const char *name = NULL;
    float value = 0;
    if (step == 1 && directory) TRY(model_find_not_finite(m, &name, &value, err));
    if (name)
        return error_set(err, STATUS_FAILED,
                         "step 1: %s: the weights of %s are broken: %s holds %g; take another model", what,
                         directory, name, (double)value);
    return error_set(err, STATUS_FAILED, "step %lld: %s: no weight was changed; lower %s or look at the data",
                     (long long)step, what, lr);
}

status session_open(const struct config *config, const char *model_directory, logger *log, session *out,
                    error *err) {
    return open_with(config, model_directory, NULL, log, out, err);
}

status session_open_with(const struct config *config, tokenizer *tok, logger *log, session *out, error *err) {
    return open_with(config, NULL, tok, log, out, err);
}

void session_set_length(session *s, int context) {
    int most = s->config->data.max_length;
    s->data.max_length = most > 0 && most < context ? most : context;
}

double session_peak_flops(const session *s) { return device_peak_flops(s->dev, s->compute); }

status session_write_timing(const session *s, run *r, int64_t step, double seconds, int64_t tokens,
                            double flops, buffer *line, error *err) {
    buffer_clear(line);
    buffer_format(line,
                  "{\"step\":%" PRId64 ",\"seconds\":%.6f,\"tokens\":%" PRId64
                  ",\"tokens_per_s\":%.1f,\"share_of_peak\":%.4f}",
                  step, seconds, tokens, (double)tokens / seconds, flops / seconds / session_peak_flops(s));
    return run_timing(r, line, err);
}

void session_close(session *s) {
    tokenizer_free(s->tok);
    if (s->dev) device_close(s->dev);
    dist_close(s->ranks);
    s->ranks = NULL;
    s->tok = NULL;
    s->dev = NULL;
}

dtype session_dtype(const struct config *config) {
    return config->dtype == CONFIG_DTYPE_BF16 ? TYPE_BF16 : TYPE_F32;
}

status session_shape(const struct config *config, int n_vocab, model_config *out, error *err) {
    const struct config_model *c = &config->model;
    static const model_family family[] = {
        [CONFIG_FAMILY_GPT2] = FAMILY_GPT2,       [CONFIG_FAMILY_LLAMA] = FAMILY_LLAMA,
        [CONFIG_FAMILY_MISTRAL] = FAMILY_MISTRAL, [CONFIG_FAMILY_QWEN2] = FAMILY_QWEN2,
        [CONFIG_FAMILY_QWEN3] = FAMILY_QWEN3,     [CONFIG_FAMILY_GEMMA] = FAMILY_GEMMA};
    static const activation_kind activation[] = {[CONFIG_ACTIVATION_GELU] = ACTIVATION_GELU,
                                                 [CONFIG_ACTIVATION_SWIGLU] = ACTIVATION_SWIGLU,
                                                 [CONFIG_ACTIVATION_GEGLU] = ACTIVATION_GEGLU};
    *out = model_config_of_family(family[c->family]);
    out->compute = session_dtype(config);
    out->norm = c->norm == CONFIG_NORM_RMS ? NORM_RMS : NORM_LAYER;
    out->position = c->position == CONFIG_POSITION_ROPE ? POSITION_ROPE : POSITION_LEARNED;
    out->activation = activation[c->activation];
    model_config_set_bias(out, c->bias);
    out->window = c->window;
    out->tied = c->tied;
    out->norm_eps = c->norm_eps;
    out->rope_theta = c->rope_theta;
    out->vocab_size = out->n_vocab = n_vocab;
    out->context = c->context;
    out->d_model = c->d_model;
    out->n_layer = c->n_layer;
    out->n_head = c->n_head;
    out->n_kv_head = c->n_kv_head ? c->n_kv_head : c->n_head;
    out->head_dim = c->head_dim ? c->head_dim : c->d_model / c->n_head;
    out->d_ff = c->d_ff;
    if (!out->d_ff)
        out->d_ff = out->activation == ACTIVATION_GELU ? 4 * c->d_model : (c->d_model * 8 / 3 + 63) / 64 * 64;
    return model_config_check(out, 1, err);
}

status session_model_config(const session *s, model_config *out, error *err) {
    TRY(session_shape(s->config, s->n_vocab, out, err));
    out->eos_token = s->end_token;
    out->bos_token = tokenizer_special(s->tok, TOKEN_END_OF_TEXT);
    return STATUS_OK;
}

struct optimizer_options optimizer_options_of(const struct config_optimizer *c, float ema, dist *ranks) {
    return (struct optimizer_options){.beta1 = c->beta1,
                                      .beta2 = c->beta2,
                                      .eps = c->eps,
                                      .tf1 = c->adam_eps == CONFIG_ADAM_EPS_TF1,
                                      .weight_decay = c->weight_decay,
                                      .clip = c->clip,
                                      .ema = ema,
                                      .ranks = ranks};
}

enum schedule_kind schedule_kind_of(int config_schedule) {
    static const enum schedule_kind kind[] = {SCHEDULE_CONSTANT, SCHEDULE_LINEAR, SCHEDULE_COSINE};
    return kind[config_schedule];
}

struct schedule schedule_of(const struct config_optimizer *c, int64_t steps) {
    return (struct schedule){.kind = schedule_kind_of(c->schedule),
                             .steps = steps,
                             .warmup = c->warmup,
                             .warmup_from = c->warmup_from,
                             .flat = c->flat,
                             .final = c->lr_final};
}

status session_save_tokenizer(const session *s, const char *directory, error *err) {
    TRY(tokenizer_save(s->tok, template_name(s->chat), directory, err));
    char *path = path_join(directory, "generation_config.json");
    if (!path) return error_memory(err, "a path");
    buffer b = {0};
    buffer_format(&b, "{\"eos_token_id\": %d}\n", s->end_token);
    status st = buffer_check(&b, err);
    if (st == STATUS_OK) st = file_write(path, b.data, b.len, err);
    buffer_free(&b);
    free(path);
    return st;
}

status session_save_model(const session *s, run *r, const char *name, const model *m, const float *parameters,
                          error *err) {
    const char *directory;
    TRY(run_output_begin(r, name, &directory, err));
    status st = s->merge ? model_save_merged(m, parameters, directory, err)
                         : model_save(m, parameters, directory, err);
    if (st == STATUS_OK) st = session_save_tokenizer(s, directory, err);
    if (st == STATUS_OK) return run_output_commit(r, err);
    run_output_abandon(r);
    return st;
}

status session_add_result(run *r, const char *role, int64_t step, const char *name, error *err) {
    const char *path = run_path(r, name);
    if (!path) return error_memory(err, "a path");
    return path_exists(path) ? lineage_add_out(run_lineage(r), run_directory(r), role, step, path, err)
                             : STATUS_OK;
}

const lora_options *session_lora(const struct config_lora *c, lora_options *out) {
    *out = (lora_options){c->rank, c->alpha, c->targets.n, c->targets.value};
    return c->rank ? out : NULL;
}

status session_add_model(run *r, const char *role, const char *directory, const model *m, error *err) {
    TRY(lineage_add_in(run_lineage(r), run_directory(r), role, -1, directory, err));
    if (!model_base(m)) return STATUS_OK;
    TRY(model_check_base(m, directory, err));
    return lineage_add_in(run_lineage(r), run_directory(r), "base", -1, model_base(m), err);
}

status session_plan_model(const session *s, const model *m, int with_base, const char *owner,
                          memory_plan *plan, error *err) {
    const model_config *shape = model_get_config(m);
    int trained = model_flat(m)->grad != NULL;
    if (!model_lora(m)) return model_plan(s->dev, shape, trained, owner, plan, err);
    if (with_base) TRY(model_plan_base(s->dev, shape, trained, owner, plan, err));
    return model_plan_adapter(s->dev, shape, model_lora(m), trained, owner, plan, err);
}

size_t session_outside(size_t data, const char *model) {
    enum { PROGRAM = 12 << 20 };
    struct stat st = {0};
    char *path = model ? path_join(model, "model.safetensors") : NULL;
    size_t file = path && stat(path, &st) == 0 ? (size_t)st.st_size : 0;
    free(path);
    /* Read through a mapping, and one tensor at a time through two buffers. */
    return PROGRAM + 2 * data + 2 * file;
}

void session_print_plan(const memory_plan *plan, size_t outside, FILE *stream) {
    for (int i = 0; i < plan->n; i++)
        fprintf(stream, "%14zu  %s\n", plan->item[i].bytes, plan->item[i].purpose);
    fprintf(stream, "%14zu  bytes in all (%.1f MiB)\n", plan_total(plan),
            (double)plan_total(plan) / (1 << 20));
    if (outside)
        fprintf(
            stream,
            "%14zu  bytes outside, estimated: program, libraries, data, model files while they are read\n",
            outside);
}
