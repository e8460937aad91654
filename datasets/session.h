/* datasets/session: what every stage opens first: the device, the tokenizer, the template, and how data is
 * read. */
#ifndef RLHF_DATASETS_SESSION_H
#define RLHF_DATASETS_SESSION_H

#include "configs/schema.h"
#include "core/base/run.h"
#include "core/model/model.h"
#include "core/train/optimizer.h"
#include "core/train/schedule.h"
#include "datasets/example.h"

/* ---- stages ---- */

/* How a stage is started, beside its config. */
typedef struct stage_options {
    int round; /* 0: of no round; part of every counter's key */
    bool resume, dry_run;
    const char *trace; /* ppo: directory of traces; NULL: none */
    logger *log;       /* where a front command writes; NULL: the run's own */
} stage_options;

/* The whole of a stage's program: reads the command line and config, runs the stage unless help was asked
   for, prints what went wrong behind `name` ("rlhf-sft"), and returns the exit code. The program's own
   options fill *options. */
typedef status stage_run(const struct config *config, const stage_options *options, error *err);
int stage_main(const char *name, const struct config_program *program, int argc, char **argv,
               const stage_options *options, stage_run *run);

/* Opens the run directory config->run for a stage of this kind. */
status stage_open_run(const struct config *config, const char *kind, const char *const *sections,
                      const stage_options *options, int keep_checkpoints, run **out, run_state *state,
                      error *err);
/* Every `every` steps (0: never) and at the end. */
static inline int stage_is_due(int every, int64_t step, int64_t steps) {
    return step == steps || (every && step % every == 0);
}
/* What to do between two steps: whether a checkpoint is due, or a signal asks to stop (which makes one due).
 */
typedef struct stage_pause {
    int save, stop;
    int scheduled; /* the checkpoint is due without the signal too */
} stage_pause;
stage_pause stage_between(int save_every, int64_t step, int64_t steps);
/* STATUS_INTERRUPTED with the words for it. unit: "step". */
status stage_interrupted(const char *unit, int64_t step, error *err);

/* ---- sessions ---- */

typedef struct session {
    const struct config *config;
    int merge; /* adapters are merged when models are saved */
    device *dev;
    dtype compute; /* what models compute in */
    dist *ranks;
    tokenizer *tok;
    const chat_template *chat;
    int end_token, n_vocab;
    logger *log;
    bad_lines bad;
    data_options data;
} session;

/* Opens the device and the tokenizer: tokenizer.path, or the one in model_directory (NULL: none).
   data.max_length is `context` unless the config says less. */
status session_open(const struct config *config, const char *model_directory, logger *log, session *out,
                    error *err);
/* The same with a tokenizer that is in memory; the session takes it, also when it fails. */
status session_open_with(const struct config *config, tokenizer *tok, logger *log, session *out, error *err);
/* STATUS_DATA when the model directory brings another tokenizer than the session's: its ids would mean other
 * words. */
status session_check_tokenizer(const session *s, const char *model_directory, error *err);
/* Of a loss that is not finite at a run's step (from 1), after `what` ("the loss is nan over 3 rankings"): it
   is the model's broken weights at the first, else what the key `lr` or the data did. STATUS_FAILED.
   directory: what the model came from; NULL: it was made anew. */
status session_refuse_loss(const model *m, const char *directory, int64_t step, const char *what,
                           const char *lr, error *err);
void session_set_length(session *s, int context);
/* device_peak_flops for what models compute in. */
double session_peak_flops(const session *s);
/* One line of timing.jsonl: flops: what the step's products needed. line is scratch. */
status session_write_timing(const session *s, run *r, int64_t step, double seconds, int64_t tokens,
                            double flops, buffer *line, error *err);
void session_close(session *s);
/* How files are read a second time, for their held-out part: their bad lines have been reported and counted,
   and there may be no such part. */
data_options session_held_out_data(const session *s, bad_lines *quiet);

/* The config's word. */
dtype session_dtype(const struct config *config);
/* The shape that config.model describes, with a vocabulary of so many ids. STATUS_USAGE: one that makes no
   sense. */
status session_shape(const struct config *config, int n_vocab, model_config *out, error *err);
/* The same with this tokenizer's ids. */
status session_model_config(const session *s, model_config *out, error *err);

/* The config's optimizer as the rooms below take it. */
struct optimizer_options optimizer_options_of(const struct config_optimizer *c, float ema, dist *ranks);
enum schedule_kind schedule_kind_of(int config_schedule);
struct schedule schedule_of(const struct config_optimizer *c, int64_t steps);

/* Puts the tokenizer's files and generation_config.json beside a model that was just saved, so that its
 * directory is whole. */
status session_save_tokenizer(const session *s, const char *directory, error *err);

/* The config's adapters as core/model takes them; NULL: rank 0, none. out holds them. */
const lora_options *session_lora(const struct config_lora *c, lora_options *out);

/* Adds a model directory to a run's inputs; of an adapter also its weights (role "base"), whose hash must be
   the one that it was trained over. */
status session_add_model(run *r, const char *role, const char *directory, const model *m, error *err);

/* What model_load took, for plans. with_base: an adapted model's frozen weights are its own. */
status session_plan_model(const session *s, const model *m, int with_base, const char *owner,
                          memory_plan *plan, error *err);

/* Saves a model with its tokenizer as DIRECTORY/NAME of a run, whole or not at all. parameters: NULL or an
   average. With s->merge an adapted model as a whole one. */
status session_save_model(const session *s, run *r, const char *name, const model *m, const float *parameters,
                          error *err);

/* The same as what the run made, for its lineage: DIRECTORY/NAME in a role; nothing where there is none. */
status session_add_result(run *r, const char *role, int64_t step, const char *name, error *err);

/* What lies outside the arenas, estimated: the program and its libraries, `data` bytes of examples (with the
   room they grew in), and the largest model file while it is read or written. model: a directory, or NULL. */
size_t session_outside(size_t data, const char *model);
/* Prints a memory plan: bytes by purpose, their sum, and what lies outside (0: not told). */
void session_print_plan(const memory_plan *plan, size_t outside, FILE *stream);

#endif
