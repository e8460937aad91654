/* configs/schema: every setting of every program, in one struct. Names, defaults and units stand in schema.c
   (and so in
   --help and docs/config.md); the values that papers used are explained where each stage uses them. */
#ifndef RLHF_CONFIGS_SCHEMA_H
#define RLHF_CONFIGS_SCHEMA_H

#include "core/base/config.h"

enum { CONFIG_MOST_ROUNDS = 999 };

enum config_device { CONFIG_DEVICE_AUTO, CONFIG_DEVICE_CPU };
enum config_dtype { CONFIG_DTYPE_F32, CONFIG_DTYPE_BF16 };
enum config_family {
    CONFIG_FAMILY_GPT2,
    CONFIG_FAMILY_LLAMA,
    CONFIG_FAMILY_MISTRAL,
    CONFIG_FAMILY_QWEN2,
    CONFIG_FAMILY_QWEN3,
    CONFIG_FAMILY_GEMMA
};
enum config_norm { CONFIG_NORM_LAYER, CONFIG_NORM_RMS };
enum config_position { CONFIG_POSITION_LEARNED, CONFIG_POSITION_ROPE };
enum config_activation { CONFIG_ACTIVATION_GELU, CONFIG_ACTIVATION_SWIGLU, CONFIG_ACTIVATION_GEGLU };
enum config_too_long { CONFIG_TOO_LONG_ERROR, CONFIG_TOO_LONG_CUT };
enum config_schedule { CONFIG_SCHEDULE_CONSTANT, CONFIG_SCHEDULE_LINEAR, CONFIG_SCHEDULE_COSINE };
enum config_adam_eps { CONFIG_ADAM_EPS_TORCH, CONFIG_ADAM_EPS_TF1 };
enum config_keep { CONFIG_KEEP_ALL, CONFIG_KEEP_LAYER };
enum config_loss { CONFIG_LOSS_ALL, CONFIG_LOSS_COMPLETION, CONFIG_LOSS_ASSISTANT };
enum config_ties { CONFIG_TIES_SKIP, CONFIG_TIES_HALF };
enum config_weight { CONFIG_WEIGHT_PROMPT, CONFIG_WEIGHT_PAIR };
enum config_normalise { CONFIG_NORMALISE_NONE, CONFIG_NORMALISE_MEAN, CONFIG_NORMALISE_MEAN_STD };
enum config_judge_kind { CONFIG_JUDGE_MODEL, CONFIG_JUDGE_RULE, CONFIG_JUDGE_COMMAND };
enum config_unfinished { CONFIG_UNFINISHED_REPLACE, CONFIG_UNFINISHED_SUBTRACT, CONFIG_UNFINISHED_KEEP };
enum config_aggregate { CONFIG_AGGREGATE_TOKEN_MEAN };
enum config_split { CONFIG_SPLIT_ALL, CONFIG_SPLIT_TRAIN, CONFIG_SPLIT_VALID, CONFIG_SPLIT_TEST };
enum config_collect { CONFIG_COLLECT_SIMULATED, CONFIG_COLLECT_PEOPLE };
enum config_origin {
    CONFIG_ORIGIN_SFT,
    CONFIG_ORIGIN_PREVIOUS
}; /* of a round's policy, and of its reference */
enum config_normalise_on { CONFIG_NORMALISE_ON_DEMONSTRATIONS, CONFIG_NORMALISE_ON_SAMPLES };

/* AdamW, clipping and schedule. The rate of a step (in PPO of an iteration) is lr times schedule_factor
   (core/train/schedule.h): up over warmup steps, 1 until the share `flat` of all steps, then down to
   lr_final. */
struct config_optimizer {
    float lr, lr_final, flat, warmup_from;
    int warmup;   /* steps */
    int schedule; /* enum config_schedule */
    float beta1, beta2, eps;
    int adam_eps;       /* enum config_adam_eps */
    float weight_decay; /* on matrices and embeddings */
    float clip;         /* largest norm of the gradient; 0: off */
};

/* Low-rank adaptation (core/model/model.h). */
struct config_lora {
    int rank; /* 0: the weights themselves are trained */
    float alpha;
    config_strings targets; /* PEFT's names; none: all matrices */
    bool merge;             /* results are whole models instead of adapters */
};

/* A new model's shape; a model that is loaded brings its own. */
struct config_model {
    int family; /* enum config_family: Hugging Face's names and layout, and the preset of the next six */
    int norm, position, activation;
    bool bias, tied;
    float norm_eps;
    int d_model, n_layer, n_head;
    int n_kv_head; /* 0: n_head */
    int head_dim;  /* 0: d_model / n_head */
    int d_ff;      /* 0: 4 d_model; of a gated MLP 8/3 d_model, rounded up to a multiple of 64 */
    int context;   /* tokens */
    int window;    /* tokens; 0: none */
    float rope_theta;
};

/* How files are read, for all stages. */
struct config_data {
    int template;          /* index into CONFIG_TEMPLATES */
    const char *system;    /* system prompt of chats without one; NULL: none */
    const char *separator; /* splits .txt files into documents; NULL: one document a file */
    int max_bad;           /* bad lines tolerated in all files of a stage together */
    int too_long;          /* enum config_too_long: an example over max_length is a bad line, or is cut */
    int max_length;        /* tokens; 0: the model's context */
    const char *cache;     /* directory of tokenised examples; NULL: none */
};

struct config_tokenizer {
    const char
        *path; /* tokenizer.json or a directory with one; NULL: that of the model, or (rounds) a new one */
    int vocab; /* entries of a new tokenizer, with its special tokens */
    config_strings texts; /* what a new one is trained on; empty (rounds): the files of pretrain and sft */
};

/* Pre-training and fine-tuning: the same program, two sections. */
struct config_sft {
    const char *init; /* model directory to start from; NULL: a new model of config_model's shape */
    config_strings train, valid; /* files; valid empty: the split of each example decides (formats.md) */
    config_ints weights;         /* shares of the files of train in a mixture; empty: none */
    struct config_lora lora;
    int loss; /* enum config_loss */
    int epochs;
    int steps; /* 0: as many as the epochs have; else exactly so many, through the data as often as needed */
    int batch; /* examples a step; 0: counted in tokens */
    int batch_tokens; /* tokens a step when batch is 0 */
    int micro_tokens; /* tokens of one forward: bounds memory */
    int keep;         /* enum config_keep */
    float dropout;
    float ema; /* decay per step; 0: off */
    struct config_optimizer optimizer;
    int eval_every; /* steps; 0: only at the end */
    int save_every; /* steps; 0: only at the end and when stopped */
    int keep_checkpoints;
    int sample_every; /* steps; 0: never */
    int sample_count; /* held-out prompts answered */
    int sample_tokens;
};

struct config_reward {
    const char *init; /* the SFT model's directory */
    struct config_lora lora;
    config_strings train, valid;
    int ties;        /* enum config_ties */
    int weight;      /* enum config_weight */
    float centering; /* c of c (r_w + r_l)^2; 0: off */
    int normalise;   /* enum config_normalise */
    config_strings
        normalise_on; /* demonstrations or answers.jsonl; empty: the answers of the training rankings */
    int epochs, steps;
    int batch; /* rankings a step, each with all its answers */
    int micro_tokens;
    int keep;
    struct config_optimizer optimizer;
    int eval_every, save_every, keep_checkpoints;
};

/* Who scores or ranks (datasets/judge). */
struct config_judge {
    int kind;          /* enum config_judge_kind */
    const char *rule;  /* name of a rule */
    const char *model; /* reward model's directory (ppo: ppo.reward instead) */
    const char *command;
    float timeout; /* seconds an answer may take */
};

struct config_ppo {
    int preset; /* enum config_ppo_preset */
    const char *policy;
    const char *reference; /* NULL: policy */
    const char *reward;    /* reward model's directory; NULL when a rule or command scores */
    const char *value;     /* NULL: reward; without one the policy with a head of zeros */
    struct config_lora lora;
    config_strings prompts;
    struct config_judge score; /* score.model is not used */
    config_ints iterations;    /* one a round */
    int batch;                 /* prompts an iteration */
    int samples_per_prompt;
    int epochs, minibatches;
    int micro_tokens;
    int keep;
    float temperature;
    int max_tokens;
    int unfinished; /* enum config_unfinished: what happens to the score of an answer that did not end */
    float unfinished_score; /* the score that replaces it (-1), or what is subtracted from it (a positive
                               number) */
    float score_clip;       /* scores are cut to [-clip, clip]; 0: off */
    float kl_coef;
    bool kl_adaptive;
    float kl_target, kl_horizon;
    float gamma, lambda;
    bool whiten_rewards, whiten_advantages;
    float clip_low, clip_high;
    float value_clip; /* 0: off */
    float vf_coef;
    int aggregate; /* enum config_aggregate */
    struct config_optimizer optimizer;
    float value_lr;
    int value_schedule; /* enum config_schedule, with the policy's warm-up, flat and lr_final */
    float ema;          /* of the policy, per step; 0: off */
    float ptx_coef;     /* 0: off */
    config_strings ptx; /* pre-training files */
    int ptx_per_answer; /* pre-training examples per answer of the minibatch */
    int ptx_length;     /* tokens of each; 0: the model's context */
    int eval_every;     /* iterations; 0: only at the end */
    int eval_prompts;   /* held-out prompts answered then */
    int save_every, keep_checkpoints;
};
enum config_ppo_preset {
    CONFIG_PPO_NONE,
    CONFIG_PPO_INSTRUCTGPT,
    CONFIG_PPO_SUMMARIZE,
    CONFIG_PPO_DEMO,
};

struct config_generate {
    const char *model;
    config_strings prompts;
    int split;   /* enum config_split: which prompts */
    int samples; /* answers a prompt */
    int slots;   /* sequences in flight, of every program that samples */
    float temperature;
    bool greedy;
    int max_tokens;
    int top_k;   /* 0: off */
    float top_p; /* 1: off */
};

struct config_label {
    struct config_judge judge; /* the simulated labeller's taste */
    float noise;               /* scale of Gumbel noise added to each score */
    float flip;                /* share of rankings turned upside down */
    const char *labeller;      /* name of the simulated labeller */
    int want;                  /* labellers wanted per task */
};

struct config_rounds {
    int count;
    config_strings prompts;
    int answers;          /* K: answers a ranking */
    config_ints rankings; /* rankings to collect, one entry a round */
    int collect;          /* enum config_collect */
    float sft_share; /* of the answers to be ranked that the SFT model gives from round 2 on; the rest: the
                        policy */
    int start, reference; /* enum config_origin */
    int normalise_on;     /* enum config_normalise_on: what reward.normalise is fitted on */
};

struct config_eval {
    struct config_judge judge;
    config_strings prompts;
    int split; /* enum config_split */
    int samples;
    float temperature;
    bool greedy;
    int max_tokens;
};

struct config {
    config_source *source;
    const char *run; /* the run directory */
    int64_t seed;
    int device;  /* enum config_device */
    int threads; /* 0: all that the machine has */
    int dtype;   /* enum config_dtype: of activations, cached keys and values, and weights in products */
    struct config_model model;
    struct config_data data;
    struct config_tokenizer tokenizer;
    struct config_sft pretrain, sft;
    struct config_reward reward;
    struct config_ppo ppo;
    struct config_generate generate;
    struct config_label label;
    struct config_rounds rounds;
    struct config_eval eval;
};

/* The words of data.template: "auto", then the names of core/text/template.h; NULL behind the last. */
extern const char *const CONFIG_TEMPLATES[];
/* The index of one; NULL stands for auto. -1: there is none. */
int config_find_template(const char *name);

extern const config_table CONFIG_TABLE;

/* The sections that each program's run saves, hashes and compares. */
extern const char *const CONFIG_OF_PRETRAIN[];
extern const char *const CONFIG_OF_SFT[];
extern const char *const CONFIG_OF_REWARD[];
extern const char *const CONFIG_OF_PPO[];
extern const char *const CONFIG_OF_GENERATE[];
extern const char *const CONFIG_OF_EVALUATE[];
extern const char *const CONFIG_OF_ROUNDS[];

/* An option of one program. Without `value` it is a flag and *(bool *)to becomes true; else *(const char
 **)to is its text, or, with `key`, the text is a setting of that key. */
struct config_option {
    const char *name, *value; /* "--trace", "DIR" */
    const char *help;         /* one line */
    void *to;
    const char *key; /* "generate.model"; NULL: none */
};

/* What a program's command line takes, beside CONFIG, --set and --help. */
struct config_program {
    const char *name;            /* as it is typed: "rlhf sft" */
    const char *purpose;         /* lines for --help, each behind two spaces */
    const char *example;         /* what may stand behind the name */
    const char *const *sections; /* whose keys it reads, ends with NULL */
    const char *const *needed;   /* keys that must have a value, ends with NULL; NULL: none */
    const struct config_option *option;
    int n_option;
};

/* What was given, beside the program's own options. */
struct config_options {
    const char *file;
    const char **setting; /* [n_setting], into argv or text */
    int n_setting;
    bool help;
    char **text; /* [n_text], owned: settings that were options by other names */
    int n_text;
};

/* Options that several programs have. */
#define CONFIG_OPTION_RESUME(TO)                                                                             \
    { "--resume", NULL, "goes on with an unfinished run", TO, NULL }
#define CONFIG_OPTION_DRY_RUN(TO)                                                                            \
    { "--dry-run", NULL, "checks config and data, prints the memory plan; writes nothing", TO, NULL }

/* Reads a command line and its config. STATUS_USAGE on a bad one, with the usage in the message; without
   CONFIG there must be settings. With --help it prints the help on stdout, sets options->help and leaves *out
   zeroed: the caller ends with exit code 0. Free both with config_free. */
status config_load(const struct config_program *program, int argc, char **argv,
                   struct config_options *options, struct config *out, error *err);
/* The same without a command line. */
status config_load_file(const char *file, const char *const *settings, int n_setting, struct config *out,
                        error *err);
/* Defaults alone (file NULL is allowed in config_load_file too). */
void config_free(struct config_options *options, struct config *c);

#endif
