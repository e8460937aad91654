#include "reward/data.h"

#include <stdlib.h>

static status load(session *s, const struct config_reward *c, reward_data *d, error *err) {
    const config_strings *train = &c->train, *valid = &c->valid;
    TRY(rankings_load(&s->data, valid->n ? SPLIT_ANY : SPLIT_TRAIN, train->value, train->n, &d->train, err));
    if (valid->n) return rankings_load(&s->data, SPLIT_ANY, valid->value, valid->n, &d->valid, err);
    bad_lines quiet;
    data_options again = session_held_out_data(s, &quiet);
    return rankings_load(&again, SPLIT_VALID, train->value, train->n, &d->valid, err);
}

status reward_data_open(session *s, const struct config_reward *c, int round, reward_data *out, error *err) {
    *out = (reward_data){0};
    status st = load(s, c, out, err);
    if (st == STATUS_OK && c->normalise != CONFIG_NORMALISE_NONE && c->normalise_on.n)
        st = answer_list_load(&s->data, SPLIT_ANY, c->normalise_on.value, c->normalise_on.n,
                              &out->normalise_on, err);
    if (st == STATUS_OK)
        st = order_create(out->train.n, (uint64_t)s->config->seed, RANDOM_SHUFFLE, round, &out->order, err);
    if (st == STATUS_OK) {
        out->steps = c->steps ? c->steps : ((int64_t)c->epochs * out->train.n + c->batch - 1) / c->batch;
        out->index = calloc((size_t)c->batch, sizeof *out->index);
        if (!out->index) st = error_memory(err, "a step's rankings");
    }
    if (st != STATUS_OK) reward_data_close(out);
    return st;
}

void reward_data_close(reward_data *d) {
    rankings_free(&d->train);
    rankings_free(&d->valid);
    answer_list_free(&d->normalise_on);
    order_free(&d->order);
    free(d->index);
    *d = (reward_data){0};
}

void reward_data_step(reward_data *d, const struct config_reward *c, const struct reward_loss *how) {
    d->totals = (struct reward_totals){0};
    int64_t left = ((int64_t)c->epochs - d->order.epoch) * d->train.n - d->order.next;
    int n = c->steps || left > c->batch ? c->batch
                                        : (int)left; /* the last step of the epochs takes what is left */
    for (d->n_index = 0; d->n_index < n;) {
        int i = order_next(&d->order);
        const ranking *r = &d->train.entry[i];
        d->index[d->n_index++] = i;
        reward_loss_count(how, r->n_answer, r->rank, r->weight, &d->totals);
    }
}

int reward_fill_pack(pack *p, const rankings *from, const int32_t *index, int n, int *next) {
    int first = *next;
    pack_clear(p);
    for (; *next < n; (*next)++) {
        int i = index ? index[*next] : *next;
        const ranking *r = &from->entry[i];
        int tokens = (int)(r->start[r->n_answer] - r->start[0]);
        if (p->b.n_token + tokens > p->limits.max_token || p->b.n_seq + r->n_answer > p->limits.max_seq)
            break;
        for (int a = 0; a < r->n_answer; a++) {
            pack_add(p, (uint64_t)i * RANKING_ANSWERS + (uint64_t)a, from->token.data + r->start[a],
                     (int)(r->start[a + 1] - r->start[a]));
            pack_row_of_end(p);
        }
    }
    return *next - first;
}

limits reward_limits(const reward_data *d, const struct config_reward *c) {
    int whole = d->train.most_tokens > d->valid.most_tokens ? d->train.most_tokens : d->valid.most_tokens;
    int most = c->micro_tokens > whole ? c->micro_tokens : whole;
    int longest = d->train.longest > d->valid.longest ? d->train.longest : d->valid.longest;
    if (d->normalise_on.longest > longest) longest = d->normalise_on.longest;
    if (longest > most) most = longest;
    return (limits){.max_token = most,
                    .max_row = most,
                    .max_seq = most,
                    .max_len = longest,
                    .backward = 1,
                    .keep = c->keep == CONFIG_KEEP_ALL ? KEEP_ALL : KEEP_LAYER_INPUT};
}
