/* tests/support/model_cases: small models of every kind, ragged batches and gradients for their rows, and the
   devices to run them on. Whatever fails ends the test. */
#ifndef RLHF_TESTS_MODEL_CASES_H
#define RLHF_TESTS_MODEL_CASES_H

#include "core/model/model.h"

/* ---- devices ---- */
enum device_kind { DEVICE_CPU, DEVICE_FAR, DEVICE_QUEUED };
/* isa: "avx2", "avx512", "avx512bf16" or NULL, the widest. NULL comes back, with a printed word, where the
 * machine lacks it.
 */
device *case_device(enum device_kind kind, int threads, const char *isa);

/* Runs visit on each: the instruction sets with 1, 2, 3 and 8 threads, far memory and queued far memory;
   under sanitizers on few of them. */
typedef void device_visit(device *dev, void *context);
void case_each_device(device_visit *visit, void *context);

/* ---- models ---- */
/* gpt2 and llama, then mixtures that no published family has, then the other families; heads of 8 to 64. Case
   CASES + i is case i computed in bf16. */
enum {
    CASE_GPT2,
    CASE_LLAMA,
    CASE_GPT2_HEADS_8,
    CASE_LLAMA_HEADS_64,
    CASE_MIXTURE,
    CASE_SCORE = 7,
    CASE_MISTRAL, /* a window, rope's frequencies divided */
    CASE_QWEN2,   /* biases of q, k and v alone, rope as Llama 3.1 */
    CASE_QWEN3,   /* norms of q and k */
    CASE_GEMMA,   /* GeGLU, scaled embedding */
    CASES
};
/* All have a score head, and all but CASE_SCORE a language head. */
const char *case_name(int which);
model_config case_config(int which);

/* Values that leave nothing small: every gain, bias and product matters. */
model *case_model(device *dev, const model_config *config, uint64_t seed, int trained);
/* The same body frozen in a directory that is written, under an adapter of rank CASE_RANK at every matrix,
   which is as large as the weights. */
enum { CASE_RANK = 3 };
model *case_adapted(device *dev, const model_config *config, uint64_t seed, int trained,
                    const char *directory);
/* One block of two heads of 2 (Llama: one key head), d 4, and a model of it in which element j of parameter i
   is i + j / 100. */
model_config case_tiny(model_family family);
model *case_numbered(device *dev, const model_config *config);
/* Host arrays of flat->count floats, malloc'd. */
float *case_parameters(const model *m);
float *case_gradients(const model *m);
void case_set_parameters(model *m, const float *values);

/* ---- batches ---- */
enum { CASE_TOKENS = 640, CASE_SEQS = 12 };

typedef struct case_batch {
    batch b; /* points into what follows */
    int32_t token[CASE_TOKENS], seq_start[CASE_SEQS + 1], row_pos[CASE_TOKENS], row_target[CASE_TOKENS];
    uint64_t seq_id[CASE_SEQS];
    float dlogprob[CASE_TOKENS], dentropy[CASE_TOKENS], dscore[CASE_TOKENS]; /* of each row */
} case_batch;

/* n_seq sequences of these lengths with random ids, tokens, targets and gradients. A row for every token. */
void case_draw(case_batch *cb, const model_config *config, uint64_t seed, int n_seq, const int *length);
/* Rows at random tokens instead, some of them twice. */
void case_draw_rows(case_batch *cb, const model_config *config, uint64_t seed, int n_row);
row_grads case_grads(const case_batch *cb,
                     const model_config *config); /* those that the model's heads take */

limits case_limits(const model_config *config, int backward, keep_kind keep);
workspace *case_workspace(device *dev, const model_config *config, int backward, keep_kind keep);

/* ---- what rows give ---- */
typedef struct case_values {
    float logprob[CASE_TOKENS], entropy[CASE_TOKENS], score[CASE_TOKENS];
} case_values;

row_values case_read(case_values *v, const model_config *config); /* those that the model's heads give */
/* Forward and read. */
void case_forward(const model *m, workspace *ws, const batch *b, const forward_options *o, case_values *out);

/* The same bytes, or the test fails and says where. */
void case_same(const char *what, const device *dev, const void *got, const void *want, int64_t n_float);

#define OK(call)                                                                                             \
    do {                                                                                                     \
        error err_;                                                                                          \
        error *err = &err_;                                                                                  \
        if ((call) != STATUS_OK) fail_msg("%s: %s", #call, err->message);                                    \
    } while (0)
/* The call gives this status and a message that contains the word. */
#define REFUSED(call, status_, word)                                                                         \
    do {                                                                                                     \
        error err_ = {0};                                                                                    \
        error *err = &err_;                                                                                  \
        assert_int_equal((call), (status_));                                                                 \
        if (!strstr(err->message, (word))) fail_msg("\"%s\" does not name \"%s\"", err->message, (word));    \
    } while (0)

#endif
