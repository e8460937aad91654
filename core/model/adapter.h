/* core/model/adapter: low-rank adaptation (LoRA, Hu et al. 2021). A targeted matrix W [n, k] of frozen
   weights acts as W + (alpha / rank) B A with A [rank, k] and B [n, rank]; only A, B and a score head are
   trained. For core/model alone; what callers see of it stands in model.h. */
#ifndef RLHF_MODEL_ADAPTER_H
#define RLHF_MODEL_ADAPTER_H

#include "core/base/arena.h"
#include "core/files/safetensors.h"
#include "core/model/internal.h"

enum { LORA_NAME = 96 };

/* One matrix of the family's files that can be adapted: rows [first, first + n) of a product's weight [., k].
 */
typedef struct lora_target {
    const char *theirs; /* "model.layers.%d.self_attn.q_proj.weight" */
    adapter_site site;
    int first, n, k;
} lora_target;

/* All that the family has, in its order. Returns how many. */
int lora_list_targets(const model_config *config, lora_target out[LORA_TARGETS]);
/* The module's name, without ".weight"; layer < 0 leaves the %d. */
void lora_module_name(const lora_target *target, int layer, char *out, size_t size);
/* Bits of the targets that PEFT's names choose: a name is the end of a module's path ("q_proj",
   "attn.c_proj"); none, or "all-linear": all. STATUS_USAGE names the one that is no matrix of this model. */
status lora_choose_targets(const model_config *config, const lora_options *how, uint32_t *bits, error *err);

struct adapter {
    device *dev;
    model_config config; /* of the model: n_score and score_bias lie here */
    lora_options how;    /* its targets point to `name` */
    const char *name[LORA_TARGETS];
    int n_part;
    struct adapter_part {
        lora_target target;
        char name[LORA_NAME]; /* of the module, "%d" for the layer */
        int column;           /* of its rank columns among the site's */
    } part[LORA_TARGETS];
    int width[ADAPTER_SITES]; /* rank x parts at the site; 0: not adapted */
    flat flat;
    param *params;
    int trained;
    void *memory;
    weight *a; /* [n_layer, ADAPTER_SITES]: the site's As, one below the other: [width, k] */
    /* [n_layer, n_part]. Packs of so few columns are mostly padding, so all layers share the backward packs
       of a part: they are filled when backward comes to a layer. */
    weight *b;
    vec score, score_bias;
};

/* Memory without values. config: the model's. trained: with gradients. */
status adapter_make(device *dev, const model_config *config, const lora_options *how, int trained,
                    adapter **out, error *err);
void adapter_free(adapter *a);
/* A of variance 1 / (3 k), as PEFT's uniform ones have, B 0; the score head as weights draw it. */
status adapter_draw(adapter *a, uint64_t seed, int round, error *err);
void adapter_pack(adapter *a);

/* y += (alpha / rank) B A x for the targets at the site of layer l. low [rows, >= width] keeps
   (alpha / rank) A x for backward. */
void adapter_forward(const adapter *a, int l, adapter_site site, mat x, mat low, mat y);
/* Gradients of A and B, and dx += what comes through them. dlow: scratch like low. */
void adapter_backward(const adapter *a, int l, adapter_site site, mat x, mat low, mat dy, mat dlow, mat dx,
                      vec scratch);
/* "layer.%d.qkv.weight" and its like: which layer and site; 0 for a parameter that no adapter adds to. */
int adapter_find_site(const char *name, int *layer, adapter_site *site);
/* rows [n, k] on the host, rows [first, first + n) of the site's matrix in layer l, become those of
   W + (alpha / rank) B A, with A and B of parameters (as model_save's). Waits for the device. */
status adapter_merge_rows(const adapter *a, const float *parameters, int l, adapter_site site, int first,
                          int n, int k, float *rows, error *err);

/* ---- PEFT directories (adapter_files.c) ---- */

/* What a directory with adapter_config.json says. */
typedef struct adapter_source {
    char *base; /* directory of the frozen weights */
    lora_options how;
    char **name; /* [how.n_target] */
    int is_classifier;
} adapter_source;

int adapter_is_directory(const char *directory);
/* STATUS_DATA for whatever would change the arithmetic and is not known here, by name. */
status adapter_source_read(const char *directory, adapter_source *out, error *err);
void adapter_source_free(adapter_source *s);
/* adapter_model.safetensors into the adapter. A missing score head stays as it was drawn unless whole. */
status adapter_load(adapter *a, const char *directory, int whole, error *err);
/* score.weight and score.bias, behind a prefix, where the file has them. */
status adapter_take_head(adapter *a, const safetensors *file, const char *prefix, error *err);
/* adapter_config.json, base.json, adapter_model.safetensors. parameters as model_save's. */
status adapter_save(const adapter *a, const weights *base, const float *parameters, const char *directory,
                    error *err);

#endif
