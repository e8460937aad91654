/* Sampling by Gumbel's maximum: argmax z + g is distributed as softmax z, in one pass and without a
   cumulative sum. top-k and top-p first find the smallest z that stays, by radix selection. */
#include <math.h>
#include <string.h>

#include "core/ops/cpu/philox.h"
#include "core/ops/cpu/threads.h"
#include "core/ops/cpu/vocab.h"

enum { SAMPLE_WORK = 16 /* of an element, in floats moved */ };

/* The ids that stay: z above the threshold, or equal to it with an id up to last. */
struct cut {
    float z;
    int32_t last;
};

/* ---- selection ---- */

enum { LEVELS = 3, BINS = 2048 };
static const int level_shift[LEVELS] = {21, 10, 0}, level_bits[LEVELS] = {11, 11, 10};

/* Bits that order as z does; -0 counts as 0. */
static uint32_t order_of(float z) {
    uint32_t bits;
    z += 0.0f;
    memcpy(&bits, &z, sizeof bits);
    return bits & 0x80000000u ? ~bits : bits | 0x80000000u;
}

static float z_of_order(uint32_t order) {
    uint32_t bits = order & 0x80000000u ? order ^ 0x80000000u : ~order;
    float z;
    memcpy(&z, &bits, sizeof z);
    return z;
}

static int stays(struct cut cut, float z, int32_t id) { return z > cut.z || (z == cut.z && id <= cut.last); }

/* A row's ids with their weights: 1 each (top-k), or e^(z - lse) (top-p); 0 where an earlier cut fell. */
struct candidates {
    const float *logits;
    int n_vocab, by_mass;
    float inverse_temperature, lse;
    struct cut cut;
};

/* z and weight of ids v .. v + 15. */
static void candidates_load(const struct candidates *c, int v, float z[LANES], float weight[LANES]) {
    v16 values = slab_z(v_load(c->logits + v), v_set(c->inverse_temperature));
    v_store(z, values);
    v_store(weight, c->by_mass ? v_exp(v_sub(values, v_set(c->lse))) : v_set(1));
    for (int j = 0; j < LANES; j++)
        if (v + j >= c->n_vocab || !stays(c->cut, z[j], v + j)) weight[j] = -1;
}

/* Weight by bin of the candidates whose order agrees with `order` above the level's bits. */
static void fill_bins(const struct candidates *c, int level, uint32_t order, double bin[BINS]) {
    float z[LANES], weight[LANES];
    int shift = level_shift[level], above = shift + level_bits[level];
    memset(bin, 0, BINS * sizeof *bin);
    for (int v = 0; v < c->n_vocab; v += LANES) {
        candidates_load(c, v, z, weight);
        for (int j = 0; j < LANES; j++) {
            uint32_t key = order_of(z[j]);
            if (weight[j] <= 0 || (level > 0 && key >> above != order >> above)) continue;
            bin[(key >> shift) & ((1u << level_bits[level]) - 1)] += (double)weight[j];
        }
    }
}

/* The shortest list in descending z (ties by ascending id) whose weights reach `share` of the total, or
   `target` where share is 0. */
static struct cut cut_at(const struct candidates *c, double share, double target) {
    double bin[BINS], before = 0;
    uint32_t order = 0;
    for (int level = 0; level < LEVELS; level++) {
        fill_bins(c, level, order, bin);
        if (level == 0 && share > 0) {
            double total = 0;
            for (int b = BINS - 1; b >= 0; b--) total += bin[b];
            target = share * total;
        }
        int b = (1 << level_bits[level]) - 1;
        while (b >= 0 && (bin[b] == 0 || !(before + bin[b] >= target))) before += bin[b--];
        if (b < 0) return c->cut; /* all of them: rounding at the end of the list, or fewer than k */
        order |= (uint32_t)b << level_shift[level];
    }
    struct cut cut = {z_of_order(order), 0};
    float z[LANES], weight[LANES];
    for (int v = 0; v < c->n_vocab; v += LANES) {
        candidates_load(c, v, z, weight);
        for (int j = 0; j < LANES; j++) {
            if (weight[j] < 0 || z[j] != cut.z) continue;
            cut.last = v + j;
            before += (double)weight[j];
            if (before >= target) return cut;
        }
    }
    return cut;
}

static struct cut find_cut(const struct op_sample *o, const struct slab *slab, int row, float lse) {
    struct candidates c = {.logits = slab->logits + row * slab->ld,
                           .n_vocab = slab->n_vocab,
                           .inverse_temperature = slab->inverse_temperature,
                           .lse = lse,
                           .cut = {-INFINITY, 0}};
    if (o->top_k > 0 && o->top_k < slab->n_vocab) c.cut = cut_at(&c, 0, o->top_k);
    c.by_mass = 1;
    if (o->top_p < 1) c.cut = cut_at(&c, fmax((double)o->top_p, 1e-30), 0);
    return c.cut;
}

/* ---- the choice ---- */

enum { PHILOX_VECS = PHILOX_NUMBERS / LANES };
#define GUMBEL_MOST 17.0f /* above -log(-log(1 - 2^-24)) */

/* -log(-log u): Gumbel's distribution. */
static v16 gumbel(v16 uniform) {
    v16 zero = v_set(0);
    return v_sub(zero, v_log(v_sub(zero, v_log(uniform))));
}

/* The first id with the largest z + g among those that stay; noise is read where it is not NULL. */
struct best {
    v16 value, id;
};

static void best_update(struct best *best, v16 z, const float *uniform, struct cut cut, int v) {
    v16 id = v_add(v_set((float)v), v_iota()), out = v_set(-INFINITY), threshold = v_set(cut.z);
    v16 value = uniform ? v_add(z, gumbel(v_load(uniform))) : z;
    v16 tied = v_where_less(v_set((float)cut.last), id, out, value);
    value = v_where_less(threshold, z, value, v_where_less(z, threshold, out, tied));
    best->id = v_where_less(best->value, value, id, best->id);
    best->value = v_where_less(best->value, value, value, best->value);
}

static int32_t best_id(const struct best *best, int n_vocab) {
    float value[LANES], id[LANES];
    int first = 0;
    v_store(value, best->value);
    v_store(id, best->id);
    for (int j = 1; j < LANES; j++)
        if (value[j] > value[first] || (value[j] == value[first] && id[j] < id[first])) first = j;
    return id[first] < (float)n_vocab ? (int32_t)id[first] : 0; /* a row of NaN has no best */
}

static int32_t choose(const struct op_sample *o, const struct slab *slab, int row, int64_t i,
                      struct cut cut) {
    const float *logits = slab->logits + row * slab->ld;
    struct best best = {v_set(-INFINITY), v_set(0)};
    float uniform[PHILOX_NUMBERS], reach = o->greedy ? 0 : GUMBEL_MOST;
    for (int v = 0; v < slab->n_vocab; v += PHILOX_NUMBERS) {
        v16 z[PHILOX_VECS], top = v_set(-INFINITY);
        for (int j = 0; j < PHILOX_VECS; j++) {
            z[j] = slab_z(v_load(logits + v + j * LANES), v_set(slab->inverse_temperature));
            top = v_max(top, z[j]);
        }
        if (v_maximum(top) + reach < v_maximum(best.value))
            continue; /* no number can make one of these win */
        if (!o->greedy)
            philox_uniform(o->key, o->sequence.data[i], (uint32_t)o->position.data[i], (uint32_t)v / 4,
                           uniform);
        for (int j = 0; j < PHILOX_VECS; j++)
            best_update(&best, z[j], o->greedy ? NULL : uniform + j * LANES, cut, v + j * LANES);
    }
    return best_id(&best, slab->n_vocab);
}

void ELEM_NAME(cpu_sample)(device *dev, const struct op_sample *o) {
    int cuts = !o->greedy && ((o->top_k > 0 && o->top_k < o->n_vocab) || o->top_p < 1);
    for (int first = 0; first < o->hidden.rows; first += ROW_BLOCK) {
        mat hidden = mat_rows(o->hidden, first, (int)min_of(ROW_BLOCK, o->hidden.rows - first));
        struct slab slab =
            ELEM_NAME(cpu_slab_fill)(dev, hidden, o->w, o->n_vocab, o->temperature, o->scratch.data);
        int n_thread = threads_for(dev, SAMPLE_WORK * (int64_t)slab.rows * slab.n_vocab);
#pragma omp parallel for num_threads(n_thread) schedule(dynamic) if (n_thread > 1)
        for (int r = 0; r < slab.rows; r++) {
            flush_denormals();
            float lse = ELEM_NAME(cpu_softmax_row)(&slab, r).lse;
            struct cut cut = cuts ? find_cut(o, &slab, r, lse) : (struct cut){-INFINITY, 0};
            int32_t token = choose(o, &slab, r, first + r, cut);
            o->token.data[first + r] = token;
            if (o->logprob.data) o->logprob.data[first + r] = slab_z_at(&slab, r, token) - lse;
        }
    }
}
