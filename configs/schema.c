#include "configs/schema.h"

#include <limits.h>
#include <math.h>
#include <string.h>

#include "core/base/shape_limits.h"

/* ---- how a row of the table is written ---- */

#define KEY(NAME, TYPE, FIELD, FALLBACK, LOW, HIGH, UNIT, HELP)                                              \
    { NAME, TYPE, offsetof(struct config, FIELD), FALLBACK, LOW, HIGH, NULL, UNIT, false, HELP }
#define NEUTRAL(NAME, TYPE, FIELD, FALLBACK, LOW, HIGH, UNIT, HELP)                                          \
    { NAME, TYPE, offsetof(struct config, FIELD), FALLBACK, LOW, HIGH, NULL, UNIT, true, HELP }
#define INT(NAME, FIELD, FALLBACK, LOW, HIGH, UNIT, HELP)                                                    \
    KEY(NAME, CONFIG_INT, FIELD, FALLBACK, LOW, HIGH, UNIT, HELP)
#define FLOAT(NAME, FIELD, FALLBACK, LOW, HIGH, UNIT, HELP)                                                  \
    KEY(NAME, CONFIG_FLOAT, FIELD, FALLBACK, LOW, HIGH, UNIT, HELP)
#define BOOL(NAME, FIELD, FALLBACK, HELP) KEY(NAME, CONFIG_BOOL, FIELD, FALLBACK, 0, 0, "", HELP)
#define TEXT(NAME, FIELD, FALLBACK, HELP) KEY(NAME, CONFIG_STRING, FIELD, FALLBACK, 0, 0, "", HELP)
#define PATH(NAME, FIELD, HELP)           KEY(NAME, CONFIG_PATH, FIELD, NULL, 0, 0, "", HELP)
#define TEXTS(NAME, FIELD, HELP)          KEY(NAME, CONFIG_STRINGS, FIELD, NULL, 0, 0, "", HELP)
#define PATHS(NAME, FIELD, HELP)          KEY(NAME, CONFIG_PATHS, FIELD, NULL, 0, 0, "", HELP)
#define WORD(NAME, FIELD, WORDS, FALLBACK, HELP)                                                             \
    { NAME, CONFIG_WORD, offsetof(struct config, FIELD), FALLBACK, 0, 0, WORDS, "", false, HELP }
#define NEUTRAL_WORD(NAME, FIELD, WORDS, FALLBACK, HELP)                                                     \
    { NAME, CONFIG_WORD, offsetof(struct config, FIELD), FALLBACK, 0, 0, WORDS, "", true, HELP }

enum { MANY = 1000000000 };

const char *const CONFIG_TEMPLATES[] = {"auto",       "plain",  "chatml", "qwen2",    "qwen2.5",
                                        "smollm2",    "llama2", "llama3", "llama3.1", "mistral",
                                        "mistral-v3", "zephyr", "gemma",  NULL};

int config_find_template(const char *name) {
    for (int i = 0; CONFIG_TEMPLATES[i]; i++)
        if (!name || strcmp(CONFIG_TEMPLATES[i], name) == 0) return i;
    return -1;
}

/* In the order of the enums of schema.h. */
static const char *const DEVICE[] = {"auto", "cpu", NULL};
static const char *const DTYPE[] = {"f32", "bf16", NULL};
static const char *const FAMILY[] = {"gpt2", "llama", "mistral", "qwen2", "qwen3", "gemma", NULL};
static const char *const NORM[] = {"layer", "rms", NULL};
static const char *const POSITION[] = {"learned", "rope", NULL};
static const char *const ACTIVATION[] = {"gelu", "swiglu", "geglu", NULL};
static const char *const TOO_LONG[] = {"error", "cut", NULL};
static const char *const SCHEDULE[] = {"constant", "linear", "cosine", NULL};
static const char *const ADAM_EPS[] = {"torch", "tf1", NULL};
static const char *const KEEP[] = {"all", "layer", NULL};
static const char *const LOSS[] = {"all", "completion", "assistant", NULL};
static const char *const TIES[] = {"skip", "half", NULL};
static const char *const WEIGHT[] = {"prompt", "pair", NULL};
static const char *const NORMALISE[] = {"none", "mean", "mean_std", NULL};
static const char *const JUDGE[] = {"model", "rule", "command", NULL};
static const char *const UNFINISHED[] = {"replace", "subtract", "keep", NULL};
static const char *const AGGREGATE[] = {"token-mean", NULL};
static const char *const SPLIT[] = {"all", "train", "valid", "test", NULL};
static const char *const COLLECT[] = {"simulated", "people", NULL};
static const char *const ORIGIN[] = {"sft", "previous", NULL};
static const char *const NORMALISE_ON[] = {"demonstrations", "samples", NULL};
static const char *const PPO_PRESET[] = {"none", "instructgpt", "summarize", "demo", NULL};

/* ---- keys that several sections share ---- */

#define OPTIMIZER(S, F, LR, SCHEDULE_, FINAL, WARMUP, WARMUP_FROM, DECAY)                                    \
    FLOAT(S ".lr", F.lr, LR, 0, 10, "", "Largest learning rate."),                                           \
        WORD(S ".schedule", F.schedule, SCHEDULE, SCHEDULE_, "How the learning rate falls after warm-up."),  \
        INT(S ".warmup", F.warmup, WARMUP, 0, MANY, "",                                                      \
            "Steps (ppo: iterations) over which the learning rate rises."),                                  \
        FLOAT(S ".warmup_from", F.warmup_from, WARMUP_FROM, 0, 1, "",                                        \
              "Share of lr that warm-up starts from."),                                                      \
        FLOAT(S ".flat", F.flat, "0", 0, 1, "", "Share of all steps before the schedule begins to fall."),   \
        FLOAT(S ".lr_final", F.lr_final, FINAL, 0, 1, "",                                                    \
              "Share of lr that is left at the end of the schedule."),                                       \
        FLOAT(S ".beta1", F.beta1, "0.9", 0, 0.9999, "", "Adam's decay of the mean gradient."),              \
        FLOAT(S ".beta2", F.beta2, "0.95", 0, 0.99999, "", "Adam's decay of the mean squared gradient."),    \
        FLOAT(S ".eps", F.eps, "1e-8", 0, 1, "", "Adam's epsilon."),                                         \
        WORD(S ".adam_eps", F.adam_eps, ADAM_EPS, "torch",                                                   \
             "Epsilon after the bias correction (torch) or before it (tf1: 31.6 times larger at step 1)."),  \
        FLOAT(S ".weight_decay", F.weight_decay, DECAY, 0, 10, "",                                           \
              "AdamW's decay, of matrices and embeddings."),                                                 \
        FLOAT(S ".clip", F.clip, "1", 0, INFINITY, "", "Largest norm of the gradient; 0: not clipped.")

#define MEMORY(S, F)                                                                                         \
    INT(S ".micro_tokens", F.micro_tokens, "4096", 1, MANY, "tokens",                                        \
        "Tokens of one forward pass: bounds memory."),                                                       \
        NEUTRAL_WORD(S ".keep", F.keep, KEEP, "all",                                                         \
                     "Activations kept for the backward pass; what is not kept is computed again, to the "   \
                     "same bytes.")

#define SAVING(S, F, UNIT)                                                                                   \
    INT(S ".save_every", F.save_every, "0", 0, MANY, UNIT,                                                   \
        "Between checkpoints; 0: only when stopped and at the end."),                                        \
        INT(S ".keep_checkpoints", F.keep_checkpoints, "1", 1, MANY, "", "Checkpoints that are kept.")

#define LORA(S, F)                                                                                           \
    INT(S ".lora_rank", F.lora.rank, "0", 0, 256, "",                                                        \
        "Trains low-rank adapters of so many columns over frozen weights; 0: the weights themselves."),      \
        FLOAT(S ".lora_alpha", F.lora.alpha, "32", 1e-6, 1e6, "",                                            \
              "What adapters add is scaled by lora_alpha / lora_rank."),                                     \
        TEXTS(S ".lora_targets", F.lora.targets,                                                             \
              "Matrices that are adapted, by the ends of their names (q_proj, c_attn); none: all."),         \
        BOOL(S ".lora_merge", F.lora.merge, "false",                                                         \
             "Saves whole models with the adapter merged in, instead of adapters (PEFT directories).")

/* Pre-training and SFT. */
#define SFT(S, F, LOSS_, EPOCHS, BATCH, BATCH_TOKENS)                                                        \
    PATH(S ".init", F.init, "Model directory to start from; none: a new model of the section model."),       \
        LORA(S, F), PATHS(S ".train", F.train, "Files to train on (JSONL, .gz, .txt)."),                     \
        KEY(S ".weights", CONFIG_INTS, F.weights, NULL, 1, 1000000, "",                                      \
            "Mixture: shares of the files of train, one whole number each; none: every example once an "     \
            "epoch."),                                                                                       \
        PATHS(S ".valid", F.valid,                                                                           \
              "Files to validate on; none: the examples of train whose split is valid."),                    \
        WORD(S ".loss", F.loss, LOSS, LOSS_,                                                                 \
             "Tokens that are learned: all, the completion, or every turn of the assistant."),               \
        INT(S ".epochs", F.epochs, EPOCHS, 1, 1000000, "", "Times through the data."),                       \
        INT(S ".steps", F.steps, "0", 0, MANY, "steps",                                                      \
            "Exactly so many steps instead of epochs; 0: epochs decide."),                                   \
        INT(S ".batch", F.batch, BATCH, 0, 1 << 20, "examples",                                              \
            "Examples a step; 0: batch_tokens decides."),                                                    \
        INT(S ".batch_tokens", F.batch_tokens, BATCH_TOKENS, 1, MANY, "tokens",                              \
            "Tokens a step when batch is 0."),                                                               \
        MEMORY(S, F), FLOAT(S ".dropout", F.dropout, "0", 0, 0.9, "", "Residual and embedding dropout."),    \
        FLOAT(S ".ema", F.ema, "0", 0, 0.99999, "",                                                          \
              "Decay a step of the average of the weights, saved as model-ema; 0: off.")

#define SFT_LOOP(S, F)                                                                                       \
    INT(S ".eval_every", F.eval_every, "0", 0, MANY, "steps", "Between validations; 0: only at the end."),   \
        SAVING(S, F, "steps"),                                                                               \
        INT(S ".sample_every", F.sample_every, "0", 0, MANY, "steps",                                        \
            "Between samples in log.txt; 0: none."),                                                         \
        INT(S ".sample_count", F.sample_count, "4", 1, 1000, "prompts",                                      \
            "Held-out prompts that are answered then."),                                                     \
        INT(S ".sample_tokens", F.sample_tokens, "64", 1, MANY, "tokens", "Longest of these answers.")

#define JUDGE_KEYS(S, KIND, F, FALLBACK, WHO)                                                                \
    WORD(S "." KIND, F.kind, JUDGE, FALLBACK, WHO),                                                          \
        TEXT(S ".rule", F.rule, NULL,                                                                        \
             "Name of the rule, where a rule judges: demo, or final_number (1 for the number behind "        \
             "#### in the reference answer, 0.1 for another, 0 for none)."),                                 \
        TEXT(S ".command", F.command, NULL,                                                                  \
             "Shell command that reads and writes JSON lines, where a command judges."),                     \
        NEUTRAL(S ".timeout_s", CONFIG_FLOAT, F.timeout, "60", 0.001, 1e6, "seconds",                        \
                "Time the command has for a line.")

#define SAMPLING(S, F, MAX_TOKENS)                                                                           \
    FLOAT(S ".temperature", F.temperature, "1", 0.01, 100, "", "Softmax of logits / temperature."),          \
        INT(S ".max_tokens", F.max_tokens, MAX_TOKENS, 1, MANY, "tokens", "Longest answer.")

/* ---- the table ---- */

static const config_section SECTION[] = {
    {"", ""},
    {"model", "The shape of a new model. One that is loaded brings its own."},
    {"data", "How files are read, by every stage."},
    {"tokenizer", "The byte-level BPE that turns text into tokens."},
    {"pretrain", "Pre-training: next-token loss on documents. In `rlhf rounds` it is done where "
                 "pretrain.train is given."},
    {"sft", "Supervised fine-tuning on demonstrations (`rlhf sft`; with `loss: all` also pre-training)."},
    {"reward", "The reward model, from rankings (`rlhf reward`)."},
    {"ppo", "Reinforcement learning against the reward model (`rlhf ppo`)."},
    {"generate", "Sampling answers (`rlhf generate`, and the sampling of `rlhf rounds`)."},
    {"label", "Collecting rankings (`rlhf label`, and the simulated labeller of `rlhf rounds`)."},
    {"rounds", "The whole: sample, collect, reward, ppo, evaluate, several times (`rlhf rounds`)."},
    {"eval", "Held-out judging (`rlhf eval`, and the evaluation of `rlhf rounds`)."},
};

static const config_key TABLE[] = {
    NEUTRAL("run", CONFIG_PATH, run, NULL, 0, 0, "", "The run directory that everything is written to."),
    KEY("seed", CONFIG_INT64, seed, "1", 0, 9.2e18, "", "All random numbers follow from it."),
    NEUTRAL_WORD("device", device, DEVICE, "auto", "Where to compute."),
    NEUTRAL("threads", CONFIG_INT, threads, "0", 0, 1024, "",
            "Threads; 0: all processors. Changes no result."),
    WORD("dtype", dtype, DTYPE, "f32",
         "Type of activations, cached keys and values, and weights in products. Parameters, their gradients "
         "and moments, sums, norms, softmax and losses are f32."),

    WORD("model.family", model.family, FAMILY, "gpt2",
         "Names and layout of the files, and preset of the next six keys."),
    WORD("model.norm", model.norm, NORM, "layer", "Normalisation: LayerNorm or RMSNorm."),
    WORD("model.position", model.position, POSITION, "learned",
         "Positions: a learned table, or rotations of q and k."),
    WORD("model.activation", model.activation, ACTIVATION, "gelu",
         "Of the MLP: GELU (tanh form), gated SiLU or gated GELU."),
    BOOL("model.bias", model.bias, "true",
         "Biases in linear maps, where the family has them (qwen2: of q, k and v)."),
    BOOL("model.tied", model.tied, "true", "Input and output embedding are one matrix."),
    FLOAT("model.norm_eps", model.norm_eps, "1e-5", 1e-12, 1, "", "Added to the variance in normalisation."),
    INT("model.d_model", model.d_model, "768", 1, SHAPE_MOST_WIDTH, "", "Width of the residual stream."),
    INT("model.n_layer", model.n_layer, "12", 1, SHAPE_MOST_LAYERS, "", "Blocks."),
    INT("model.n_head", model.n_head, "12", 1, SHAPE_MOST_HEADS, "", "Attention heads."),
    INT("model.n_kv_head", model.n_kv_head, "0", 0, SHAPE_MOST_HEADS, "",
        "Heads of keys and values; 0: n_head."),
    INT("model.head_dim", model.head_dim, "0", 0, SHAPE_MOST_HEAD_DIM, "",
        "Width of a head; 0: d_model / n_head."),
    INT("model.d_ff", model.d_ff, "0", 0, SHAPE_MOST_MLP, "",
        "Width of the MLP; 0: 4 d_model, of a gated one 8/3 d_model rounded up to a multiple of "
        "64."),
    INT("model.context", model.context, "1024", 1, SHAPE_MOST_CONTEXT, "tokens", "Longest sequence."),
    INT("model.window", model.window, "0", 0, SHAPE_MOST_CONTEXT, "tokens",
        "A token attends to so many, itself the last; 0: to all before it. For mistral, qwen2 "
        "and qwen3."),
    FLOAT("model.rope_theta", model.rope_theta, "10000", 1, 1e9, "", "Base of the rotations' frequencies."),

    WORD("data.template", data.template, CONFIG_TEMPLATES, "auto",
         "How prompts and chats become tokens; auto: as tokenizer_config.json says, else plain."),
    TEXT("data.system", data.system, NULL, "System prompt of chats that have none."),
    TEXT("data.separator", data.separator, NULL,
         "Text that splits a .txt file into documents; none: one document a file."),
    INT("data.max_bad", data.max_bad, "0", 0, MANY, "lines",
        "Bad lines tolerated in the files of a stage together."),
    WORD("data.too_long", data.too_long, TOO_LONG, "error",
         "An example over max_length: a bad line, or cut at its end."),
    INT("data.max_length", data.max_length, "0", 0, SHAPE_MOST_CONTEXT, "tokens",
        "Longest example; 0: the model's context."),
    NEUTRAL(
        "data.cache", CONFIG_PATH, data.cache, NULL, 0, 0, "",
        "Directory where examples of pre-training, SFT and PPO-ptx are kept tokenised and read from, so that "
        "memory stays flat; runs can share it. None: they are held in memory."),

    PATH("tokenizer.path", tokenizer.path,
         "tokenizer.json or its directory; none: the model's, or (rounds) a new one."),
    INT("tokenizer.vocab", tokenizer.vocab, "32768", 257, SHAPE_MOST_VOCAB, "",
        "Entries of a new tokenizer."),
    PATHS("tokenizer.texts", tokenizer.texts,
          "Files a new one is trained on; none: those of pretrain and sft."),

    SFT("pretrain", pretrain, "all", "1", "0", "32768"),
    OPTIMIZER("pretrain", pretrain.optimizer, "6e-4", "cosine", "0.1", "100", "0", "0.1"),
    SFT_LOOP("pretrain", pretrain),

    SFT("sft", sft, "completion", "2", "32", "8192"),
    OPTIMIZER("sft", sft.optimizer, "9.65e-6", "cosine", "0.1", "0", "0", "0"),
    SFT_LOOP("sft", sft),

    PATH("reward.init", reward.init, "Directory of the model to start from: the SFT model."),
    LORA("reward", reward),
    PATHS("reward.train", reward.train, "Files of rankings: snapshots or JSONL."),
    PATHS("reward.valid", reward.valid,
          "Files to validate on; none: the rankings of train whose split is valid."),
    WORD("reward.ties", reward.ties, TIES, "skip", "A tie is no pair, or half a pair each way."),
    WORD("reward.weight", reward.weight, WEIGHT, "prompt", "Each ranking counts the same, or each pair."),
    FLOAT("reward.centering", reward.centering, "0", 0, 10, "", "c of the term c (r_w + r_l)^2; 0: off."),
    WORD("reward.normalise", reward.normalise, NORMALISE, "mean",
         "Fit reward_mean, or also reward_std, after training on the answers of normalise_on."),
    PATHS("reward.normalise_on", reward.normalise_on,
          "Demonstrations or answers.jsonl; none: the answers of the training rankings."),
    INT("reward.epochs", reward.epochs, "1", 1, 1000000, "", "Times through the rankings."),
    INT("reward.steps", reward.steps, "0", 0, MANY, "steps",
        "Exactly so many steps instead of epochs; 0: epochs decide."),
    INT("reward.batch", reward.batch, "64", 1, 1 << 20, "rankings",
        "Rankings a step, each with all its answers."),
    MEMORY("reward", reward),
    OPTIMIZER("reward", reward.optimizer, "9e-6", "cosine", "0.1", "0", "0", "0"),
    INT("reward.eval_every", reward.eval_every, "0", 0, MANY, "steps",
        "Between validations; 0: only at the end."),
    SAVING("reward", reward, "steps"),

    WORD("ppo.preset", ppo.preset, PPO_PRESET, "none",
         "A recipe by its name: sets the keys listed under Presets."),
    PATH("ppo.policy", ppo.policy, "Model directory that the policy starts from."),
    PATH("ppo.reference", ppo.reference, "Model directory that KL is measured to; none: ppo.policy."),
    PATH("ppo.reward", ppo.reward, "Reward model's directory; none where a rule or a command scores."),
    PATH("ppo.value", ppo.value,
         "Model directory that the value model starts from; none: the reward model, else the "
         "policy."),
    LORA("ppo", ppo),
    PATHS("ppo.prompts", ppo.prompts,
          "Files of prompts; those of split valid are only answered for evaluation."),
    JUDGE_KEYS("ppo", "score", ppo.score, "model",
               "What scores an answer: the reward model, a rule or a command."),
    KEY("ppo.iterations", CONFIG_INTS, ppo.iterations, "[100]", 0, MANY, "",
        "Iterations; in rounds one entry a round, the last for all later ones."),
    INT("ppo.batch", ppo.batch, "512", 1, 1 << 18, "prompts", "Prompts an iteration."),
    INT("ppo.samples_per_prompt", ppo.samples_per_prompt, "1", 1, 1024, "",
        "Answers sampled for each of them."),
    INT("ppo.epochs", ppo.epochs, "1", 1, 1000, "", "Times through the answers of an iteration."),
    INT("ppo.minibatches", ppo.minibatches, "8", 1, 1 << 18, "", "Optimizer steps an epoch."),
    MEMORY("ppo", ppo),
    SAMPLING("ppo", ppo, "128"),
    WORD("ppo.unfinished", ppo.unfinished, UNFINISHED, "replace",
         "An answer that did not end: its score is replaced by unfinished_score, lowered by it, "
         "or kept."),
    FLOAT("ppo.unfinished_score", ppo.unfinished_score, "-1", -INFINITY, INFINITY, "", "See unfinished."),
    FLOAT("ppo.score_clip", ppo.score_clip, "0", 0, INFINITY, "", "Scores are cut to [-clip, clip]; 0: not."),
    FLOAT("ppo.kl_coef", ppo.kl_coef, "0.02", 0, 1000, "",
          "beta: weight of the KL penalty in each token's reward."),
    BOOL("ppo.kl_adaptive", ppo.kl_adaptive, "false", "Let kl_coef follow kl_target (Ziegler et al. 2019)."),
    FLOAT("ppo.kl_target", ppo.kl_target, "6", 0.000001, 1e6, "nats",
          "KL an answer that the controller aims at."),
    FLOAT("ppo.kl_horizon", ppo.kl_horizon, "10000", 1, 1e9, "answers", "Slowness of the controller."),
    FLOAT("ppo.gamma", ppo.gamma, "1", 0, 1, "", "Discount a token."),
    FLOAT("ppo.lambda", ppo.lambda, "0.95", 0, 1, "", "Of generalised advantage estimation."),
    BOOL("ppo.whiten_rewards", ppo.whiten_rewards, "false",
         "Scale the rewards to variance 1, keeping their mean."),
    BOOL("ppo.whiten_advantages", ppo.whiten_advantages, "true",
         "Advantages to mean 0 and variance 1, over the iteration."),
    FLOAT("ppo.clip_low", ppo.clip_low, "0.2", 0, 1, "", "Ratios are clipped below 1 - clip_low."),
    FLOAT("ppo.clip_high", ppo.clip_high, "0.2", 0, 1000, "", "Ratios are clipped above 1 + clip_high."),
    FLOAT("ppo.value_clip", ppo.value_clip, "0.2", 0, INFINITY, "",
          "Values move at most so far from the old ones; 0: off."),
    FLOAT("ppo.vf_coef", ppo.vf_coef, "1", 0, 1000, "", "Weight of the value loss."),
    WORD("ppo.aggregate", ppo.aggregate, AGGREGATE, "token-mean",
         "How token losses become one: mean over all answer tokens."),
    OPTIMIZER("ppo", ppo.optimizer, "5e-6", "constant", "0.1", "10", "0.1", "0"),
    FLOAT("ppo.value_lr", ppo.value_lr, "9e-6", 0, 10, "", "Largest learning rate of the value model."),
    WORD("ppo.value_schedule", ppo.value_schedule, SCHEDULE, "constant", "schedule, of the value model."),
    FLOAT("ppo.ema", ppo.ema, "0.992", 0, 0.99999, "",
          "Decay a step of the average saved as policy-ema; 0: off."),
    FLOAT("ppo.ptx_coef", ppo.ptx_coef, "0", 0, 1e6, "",
          "gamma_ptx: weight of the pre-training loss; 0: off."),
    PATHS("ppo.ptx", ppo.ptx, "Files of pre-training documents."),
    INT("ppo.ptx_per_answer", ppo.ptx_per_answer, "8", 1, 1000, "examples",
        "Pre-training examples per answer."),
    INT("ppo.ptx_length", ppo.ptx_length, "0", 0, 1 << 24, "tokens",
        "Longest such example; 0: the model's context."),
    INT("ppo.eval_every", ppo.eval_every, "0", 0, MANY, "iterations",
        "Between answers to held-out prompts; 0: at the end."),
    INT("ppo.eval_prompts", ppo.eval_prompts, "64", 0, MANY, "prompts",
        "Held-out prompts that are answered then."),
    SAVING("ppo", ppo, "iterations"),

    PATH("generate.model", generate.model, "Model directory."),
    PATHS("generate.prompts", generate.prompts, "Files of prompts."),
    WORD("generate.split", generate.split, SPLIT, "all", "Which of them."),
    INT("generate.samples", generate.samples, "1", 1, 1 << 16, "", "Answers a prompt."),
    NEUTRAL("generate.slots", CONFIG_INT, generate.slots, "64", 1, 1 << 16, "",
            "Sequences in flight, in every program that samples. Changes no result."),
    SAMPLING("generate", generate, "128"),
    BOOL("generate.greedy", generate.greedy, "false",
         "The likeliest token each time; temperature only scales logprob."),
    INT("generate.top_k", generate.top_k, "0", 0, MANY, "tokens", "Only the likeliest k; 0: all."),
    FLOAT("generate.top_p", generate.top_p, "1", 0.000001, 1, "",
          "Only the likeliest that together have p; 1: all."),

    JUDGE_KEYS("label", "judge", label.judge, "rule", "What the simulated labeller judges by."),
    PATH("label.model", label.judge.model, "Reward model's directory, where a model judges."),
    FLOAT("label.noise", label.noise, "0", 0, 1000, "", "Scale of the Gumbel noise added to each score."),
    FLOAT("label.flip", label.flip, "0", 0, 1, "", "Chance that two neighbours in the order change places."),
    TEXT("label.labeller", label.labeller, "simulated", "The simulated labeller's name."),
    INT("label.want", label.want, "1", 1, 999, "", "Labellers wanted for a task."),

    INT("rounds.count", rounds.count, "2", 1, CONFIG_MOST_ROUNDS, "", "Rounds."),
    PATHS("rounds.prompts", rounds.prompts,
          "Files of prompts: train for sampling and ppo, valid for evaluation."),
    INT("rounds.answers", rounds.answers, "4", 2, 9, "", "K: answers of a ranking."),
    KEY("rounds.rankings", CONFIG_INTS, rounds.rankings, "[1000]", 1, MANY, "",
        "Rankings of training prompts to collect, one entry a round, the last for all later "
        "ones; up to two "
        "of each held-out prompt come on top."),
    WORD("rounds.collect", rounds.collect, COLLECT, "simulated",
         "Who ranks: a simulated labeller, or people (exit code 75)."),
    FLOAT("rounds.sft_share", rounds.sft_share, "0", 0, 1, "",
          "Share of the sets of answers to rank that the SFT model gives from round 2 on: to "
          "each prompt as "
          "many, what remains to prompts that are drawn."),
    WORD("rounds.start", rounds.start, ORIGIN, "sft", "What each round's policy starts from."),
    WORD("rounds.reference", rounds.reference, ORIGIN, "sft", "What each round's KL is measured to."),
    WORD("rounds.normalise_on", rounds.normalise_on, NORMALISE_ON, "demonstrations",
         "What reward.normalise is fitted on: the files of sft, or answers of the SFT model."),

    JUDGE_KEYS("eval", "judge", eval.judge, "rule", "Who judges held-out answers."),
    PATH("eval.model", eval.judge.model, "Reward model's directory, where a model judges."),
    PATHS("eval.prompts", eval.prompts, "Files of prompts; none in rounds: rounds.prompts."),
    WORD("eval.split", eval.split, SPLIT, "valid", "Which of them."),
    INT("eval.samples", eval.samples, "1", 1, 1 << 16, "", "Answers a prompt."),
    SAMPLING("eval", eval, "128"),
    BOOL("eval.greedy", eval.greedy, "false", "The likeliest token each time."),
};

/* ---- presets ---- */

static const char *const GPT2[] = {"model.norm=layer",
                                   "model.position=learned",
                                   "model.activation=gelu",
                                   "model.bias=true",
                                   "model.tied=true",
                                   "model.norm_eps=1e-5",
                                   NULL};
#define RMS_ROPE "model.norm=rms", "model.position=rope"
static const char *const LLAMA[] = {RMS_ROPE,           "model.activation=swiglu", "model.bias=false",
                                    "model.tied=false", "model.norm_eps=1e-5",     NULL};
static const char *const QWEN2[] = {RMS_ROPE,           "model.activation=swiglu", "model.bias=true",
                                    "model.tied=false", "model.norm_eps=1e-6",     NULL};
static const char *const QWEN3[] = {RMS_ROPE,           "model.activation=swiglu", "model.bias=false",
                                    "model.tied=false", "model.norm_eps=1e-6",     NULL};
static const char *const GEMMA[] = {RMS_ROPE,          "model.activation=geglu", "model.bias=false",
                                    "model.tied=true", "model.norm_eps=1e-6",    NULL};

/* Ouyang et al. 2022, appendix C: prompts and answers of up to 1k tokens. lr and value clipping are not
 * published. */
static const char *const INSTRUCTGPT[] = {"ppo.batch=512",
                                          "ppo.epochs=1",
                                          "ppo.minibatches=8",
                                          "ppo.kl_coef=0.02",
                                          "ppo.gamma=1",
                                          "ppo.lambda=0.95",
                                          "ppo.clip_low=0.2",
                                          "ppo.clip_high=0.2",
                                          "ppo.value_clip=0.2",
                                          "ppo.lr=5e-6",
                                          "ppo.value_lr=9e-6",
                                          "ppo.warmup=10",
                                          "ppo.warmup_from=0.1",
                                          "ppo.schedule=constant",
                                          "ppo.beta1=0.9",
                                          "ppo.beta2=0.95",
                                          "ppo.ema=0.992",
                                          "ppo.ptx_coef=27.8",
                                          "ppo.ptx_per_answer=8",
                                          "ppo.temperature=1",
                                          "ppo.max_tokens=1024",
                                          "ppo.iterations=500",
                                          NULL};

/* Stiennon et al. 2020, appendix B, 1.3B. */
static const char *const SUMMARIZE[] = {"ppo.batch=512",
                                        "ppo.epochs=4",
                                        "ppo.minibatches=1",
                                        "ppo.kl_coef=0.05",
                                        "ppo.gamma=1",
                                        "ppo.lambda=0.95",
                                        "ppo.lr=1.5e-5",
                                        "ppo.value_lr=1.5e-5",
                                        "ppo.warmup=0",
                                        "ppo.schedule=linear",
                                        "ppo.value_schedule=linear",
                                        "ppo.lr_final=0",
                                        "ppo.unfinished=keep",
                                        "ppo.iterations=1953",
                                        "ppo.ema=0",
                                        "ppo.temperature=1",
                                        NULL};

/* The bundled demo: a model of 0.9M parameters. */
static const char *const DEMO[] = {
    "ppo.batch=64",       "ppo.epochs=4",      "ppo.minibatches=2",       "ppo.kl_coef=0.1",
    "ppo.gamma=1",        "ppo.lambda=0.95",   "ppo.clip_low=0.2",        "ppo.clip_high=0.2",
    "ppo.value_clip=0.2", "ppo.lr=2e-4",       "ppo.value_lr=3e-4",       "ppo.warmup=5",
    "ppo.warmup_from=0",  "ppo.flat=0.6",      "ppo.schedule=linear",     "ppo.lr_final=0.1",
    "ppo.eps=1e-5",       "ppo.ema=0",         "ppo.unfinished=replace",  "ppo.unfinished_score=-3",
    "ppo.max_tokens=44",  "ppo.temperature=1", "ppo.iterations=[30, 20]", NULL};

static const config_preset PRESET[] = {
    {"model.family", "gpt2", GPT2},
    {"model.family", "llama", LLAMA},
    {"model.family", "mistral", LLAMA},
    {"model.family", "qwen2", QWEN2},
    {"model.family", "qwen3", QWEN3},
    {"model.family", "gemma", GEMMA},
    {"ppo.preset", "instructgpt", INSTRUCTGPT},
    {"ppo.preset", "summarize", SUMMARIZE},
    {"ppo.preset", "demo", DEMO},
};

#define COUNT(array) (int)(sizeof(array) / sizeof(array)[0])

const config_table CONFIG_TABLE = {
    .size = sizeof(struct config),
    .section = SECTION,
    .n_section = COUNT(SECTION),
    .key = TABLE,
    .n_key = COUNT(TABLE),
    .preset = PRESET,
    .n_preset = COUNT(PRESET),
};

const char *const CONFIG_OF_PRETRAIN[] = {"", "model", "data", "tokenizer", "pretrain", NULL};
const char *const CONFIG_OF_SFT[] = {"", "model", "data", "tokenizer", "sft", NULL};
const char *const CONFIG_OF_REWARD[] = {"", "data", "reward", NULL};
const char *const CONFIG_OF_PPO[] = {"", "data", "ppo", "generate", NULL};
const char *const CONFIG_OF_GENERATE[] = {"", "data", "generate", NULL};
const char *const CONFIG_OF_EVALUATE[] = {"", "data", "eval", NULL};
const char *const CONFIG_OF_ROUNDS[] = {"",    "model",    "data",  "tokenizer", "pretrain", "sft", "reward",
                                        "ppo", "generate", "label", "rounds",    "eval",     NULL};
