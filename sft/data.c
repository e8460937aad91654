#include "sft/data.h"

#include <stdlib.h>

static status load(session *s, const struct config_sft *c, sft_data *d, error *err) {
    static const loss_kind loss_of[] = {LOSS_ALL, LOSS_COMPLETION, LOSS_ASSISTANT};
    return sequences_load(&s->data, loss_of[c->loss], c->train.value, c->train.n, c->valid.value, c->valid.n,
                          &d->data, err);
}

static status check_weights(const session *s, const struct config_sft *c, error *err) {
    const char *key = c == &s->config->pretrain ? "pretrain.weights" : "sft.weights";
    if (c->weights.n == 0 || c->weights.n == c->train.n) return STATUS_OK;
    return config_refuse_key(s->config->source, key, STATUS_USAGE, err,
                             "has %d numbers for %d files of train", c->weights.n, c->train.n);
}

static status open_order(const session *s, const struct config_sft *c, int round, sft_data *d, error *err) {
    uint64_t seed = (uint64_t)s->config->seed;
    const sequences *train = &d->data.train;
    if (c->weights.n == 0) return order_create(train->n, seed, RANDOM_SHUFFLE, round, &d->order, err);
    for (int i = 0; i < c->train.n; i++)
        if (train->n_of_file[i] == 0)
            return error_set(err, STATUS_DATA, "%s: has a weight and not one example to train on",
                             c->train.value[i]);
    return order_create_mixture(train->n_of_file, c->weights.value, c->train.n, seed, RANDOM_SHUFFLE, round,
                                &d->order, err);
}

/* Examples of a step, at most: a step in tokens takes at least one token an example. */
static int most_examples(const sft_data *d, const struct config_sft *c) {
    return c->batch ? c->batch : c->batch_tokens / d->data.train.shortest + 1;
}

/* Examples until the epochs end. */
static int64_t examples_left(const sft_data *d, const struct config_sft *c) {
    return ((int64_t)c->epochs - d->order.epoch) * d->data.train.n - d->order.next;
}

void sft_data_step(sft_data *d, const struct config_sft *c) {
    int64_t tokens = 0;
    d->n_index = 0;
    d->n_target = 0;
    while ((c->batch ? d->n_index < c->batch : tokens < c->batch_tokens) &&
           (c->steps || examples_left(d, c) > 0)) {
        int i = order_next(&d->order);
        /* In a mixture an example may come twice in an epoch: then its place is what tells them apart. */
        int which = c->weights.n ? d->order.next - 1 : i;
        d->id[d->n_index] = (uint64_t)d->order.epoch << 32 | (uint64_t)which;
        d->index[d->n_index++] = i;
        d->n_target += d->data.train.entry[i].n_target;
        tokens += d->data.train.entry[i].n;
    }
}

/* By going through the epochs once: steps in tokens are of different numbers of examples. */
static int64_t count_steps(sft_data *d, const struct config_sft *c) {
    int64_t steps = 0;
    if (c->steps) return c->steps;
    if (c->batch) return (examples_left(d, c) + c->batch - 1) / c->batch;
    for (; examples_left(d, c) > 0; steps++) sft_data_step(d, c);
    order_seek(&d->order, 0, 0);
    return steps;
}

status sft_data_open(session *s, const struct config_sft *c, int round, sft_data *out, error *err) {
    *out = (sft_data){0};
    status st = check_weights(s, c, err);
    if (st == STATUS_OK) st = load(s, c, out, err);
    if (st == STATUS_OK) st = open_order(s, c, round, out, err);
    if (st == STATUS_OK) {
        out->most_index = most_examples(out, c);
        out->index = calloc((size_t)out->most_index, sizeof *out->index);
        out->id = calloc((size_t)out->most_index, sizeof *out->id);
        if (!out->index || !out->id)
            st = error_memory(err, "a step's examples");
        else
            out->steps = count_steps(out, c);
    }
    if (st != STATUS_OK) sft_data_close(out);
    return st;
}

void sft_data_close(sft_data *d) {
    sequences_free(&d->data);
    order_free(&d->order);
    free(d->index);
    free(d->id);
    *d = (sft_data){0};
}

size_t sft_data_bytes(const sft_data *d) { return sequences_bytes(&d->data) + order_bytes(&d->order); }

limits sft_limits(const sft_data *d, const struct config_sft *c) {
    const sequences *train = &d->data.train, *valid = &d->data.valid;
    int longest = train->longest > valid->longest ? train->longest : valid->longest;
    int most = c->micro_tokens > longest ? c->micro_tokens : longest;
    return (limits){.max_token = most,
                    .max_row = most,
                    .max_seq = most,
                    .max_len = longest,
                    .backward = 1,
                    .keep = c->keep == CONFIG_KEEP_ALL ? KEEP_ALL : KEEP_LAYER_INPUT};
}
