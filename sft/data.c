#include "sft/data.h"

#include <stdlib.h>

static status load(session *s, const struct config_sft *c, sft_data *d, error *err) {
    static const loss_kind loss_of[] = {LOSS_ALL, LOSS_COMPLETION, LOSS_ASSISTANT};
    loss_kind loss = loss_of[c->loss];
    const config_strings *train = &c->train, *valid = &c->valid;
    TRY(sequences_load(&s->data, loss, valid->n ? SPLIT_ANY : SPLIT_TRAIN, train->value, train->n, &d->train,
                       err));
    if (valid->n) return sequences_load(&s->data, loss, SPLIT_ANY, valid->value, valid->n, &d->valid, err);
    bad_lines quiet;
    data_options again = session_held_out_data(s, &quiet);
    return sequences_load(&again, loss, SPLIT_VALID, train->value, train->n, &d->valid, err);
}

/* Examples of a step, at most: a step in tokens takes at least one token an example. */
static int most_examples(const sft_data *d, const struct config_sft *c) {
    if (c->batch) return c->batch;
    int shortest = d->train.longest;
    for (int i = 0; i < d->train.n; i++)
        if (sequence_length(&d->train, i) < shortest) shortest = sequence_length(&d->train, i);
    return c->batch_tokens / shortest + 1;
}

/* Examples until the epochs end. */
static int64_t examples_left(const sft_data *d, const struct config_sft *c) {
    return ((int64_t)c->epochs - d->order.epoch) * d->train.n - d->order.next;
}

void sft_data_step(sft_data *d, const struct config_sft *c) {
    int64_t tokens = 0;
    d->n_index = 0;
    d->n_target = 0;
    while ((c->batch ? d->n_index < c->batch : tokens < c->batch_tokens) &&
           (c->steps || examples_left(d, c) > 0)) {
        int i = order_next(&d->order);
        d->id[d->n_index] = (uint64_t)d->order.epoch << 32 | (uint64_t)i;
        d->index[d->n_index++] = i;
        d->n_target += sequence_targets(&d->train, i);
        tokens += sequence_length(&d->train, i);
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
    status st = load(s, c, out, err);
    if (st == STATUS_OK)
        st = order_create(out->train.n, (uint64_t)s->config->seed, RANDOM_SHUFFLE, round, &out->order, err);
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
    sequences_free(&d->train);
    sequences_free(&d->valid);
    order_free(&d->order);
    free(d->index);
    free(d->id);
    *d = (sft_data){0};
}

limits sft_limits(const sft_data *d, const struct config_sft *c) {
    int longest = d->train.longest > d->valid.longest ? d->train.longest : d->valid.longest;
    int most = c->micro_tokens > longest ? c->micro_tokens : longest;
    return (limits){.max_token = most,
                    .max_row = most,
                    .max_seq = most,
                    .max_len = longest,
                    .backward = 1,
                    .keep = c->keep == CONFIG_KEEP_ALL ? KEEP_ALL : KEEP_LAYER_INPUT};
}
