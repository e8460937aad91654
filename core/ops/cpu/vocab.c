/* The vocabulary head: log-probabilities and entropies of rows, and the gradient. Rows go through in slabs
   whose logits are kept, so that the backward reads them once more instead of computing them again. */
#include "core/ops/cpu/vocab.h"

#include <math.h>

#include "core/ops/cpu/gemm.h"
#include "core/ops/cpu/threads.h"

enum { TILE_VECS = VOCAB_TILE / LANES, SOFTMAX_WORK = 4 /* of an element, in floats moved */ };

static int64_t slab_ld(int64_t n_vocab) { return round_up(n_vocab, VOCAB_TILE) + LANES; }

int64_t ELEM_NAME(cpu_slab_size)(int64_t rows, int64_t n_vocab) {
    return min_of(rows, ROW_BLOCK) * slab_ld(n_vocab);
}

int64_t ELEM_NAME(cpu_vocab_scratch)(int n_thread, int max_row, int width, int vocab, int backward) {
    if (max_row <= 0) return 0;
    int64_t rows = min_of(max_row, ROW_BLOCK), behind = 0; /* the slab: dhidden's sums, then what dw needs */
    if (backward) behind = ELEM_NAME(cpu_linear_dw_scratch)(n_thread, (int)rows, width);
    if (backward && !ELEM_IS_F32) behind = max_of(behind, rows * width);
    return ELEM_NAME(cpu_slab_size)(max_row, vocab) + behind;
}

struct slab ELEM_NAME(cpu_slab_fill)(const device *dev, mat hidden, weight w, int n_vocab, float temperature,
                                     float *memory) {
    struct slab slab = {memory, slab_ld(n_vocab), hidden.rows, n_vocab, 1.0f / temperature};
    struct product p = {.sum = slab.logits,
                        .ld_out = slab.ld,
                        .a = elem_data(hidden),
                        .ld_a = hidden.ld,
                        .panels = (const void *)w.forward.data,
                        .panel_stride = PANEL * units_of(w.w.cols),
                        .rows = hidden.rows,
                        .cols = n_vocab,
                        .depth = hidden.cols,
                        .block = product_block(hidden.cols)};
    ELEM_NAME(cpu_product)(dev, &p);
    for (int64_t r = 0; r < slab.rows; r++)
        for (int64_t v = n_vocab; v < round_up(n_vocab, VOCAB_TILE); v++)
            slab.logits[r * slab.ld + v] = -INFINITY;
    return slab;
}

struct softmax ELEM_NAME(cpu_softmax_row)(const struct slab *slab, int row) {
    const float *logits = slab->logits + row * slab->ld;
    v16 scale = v_set(slab->inverse_temperature), m = v_set(-1e30f), l = v_set(0), t = v_set(0);
    for (int64_t v = 0; v < slab->n_vocab; v += VOCAB_TILE, logits += VOCAB_TILE) {
        v16 top = m;
        for (int j = 0; j < TILE_VECS; j++) top = v_max(top, slab_z(v_load(logits + j * LANES), scale));
        v16 drop = v_sub(m, top), shrink = v_exp(drop);
        t = v_mul(v_fma(l, drop, t), shrink);
        l = v_mul(l, shrink);
        m = top;
        for (int j = 0; j < TILE_VECS; j++) {
            v16 below = v_sub(slab_z(v_load(logits + j * LANES), scale), m), e = v_exp(below);
            l = v_add(l, e);
            t = v_fma(e, below, t);
        }
    }
    float maximum = v_maximum(m);
    v16 drop = v_sub(m, v_set(maximum)), shrink = v_exp(drop);
    float sum = v_sum(v_mul(l, shrink)), spread = v_sum(v_mul(shrink, v_fma(l, drop, t)));
    float log_sum = sum > 0 ? f_log(sum) : NAN; /* NaN logits stay NaN */
    return (struct softmax){maximum + log_sum, log_sum - spread / sum};
}

static void write_if(vec v, int64_t i, float value) {
    if (v.data) v.data[i] = value;
}

void ELEM_NAME(cpu_vocab)(device *dev, const struct op_vocab *o) {
    for (int first = 0; first < o->hidden.rows; first += ROW_BLOCK) {
        mat hidden = mat_rows(o->hidden, first, (int)min_of(ROW_BLOCK, o->hidden.rows - first));
        struct slab slab =
            ELEM_NAME(cpu_slab_fill)(dev, hidden, o->w, o->n_vocab, o->temperature, o->scratch.data);
        int n_thread = threads_for(dev, SOFTMAX_WORK * (int64_t)slab.rows * slab.n_vocab);
#pragma omp parallel for num_threads(n_thread) schedule(dynamic) if (n_thread > 1)
        for (int r = 0; r < slab.rows; r++) {
            flush_denormals();
            struct softmax s = ELEM_NAME(cpu_softmax_row)(&slab, r);
            write_if(o->lse, first + r, s.lse);
            write_if(o->entropy, first + r, s.entropy);
            if (o->target.data && o->logprob.data)
                o->logprob.data[first + r] = slab_z_at(&slab, r, o->target.data[first + r]) - s.lse;
        }
    }
}

/* ---- the gradient ---- */

/* [rows, n_vocab] in the slab's memory. */
static mat slab_gradient(const struct slab *slab) {
    mat m = mat_typed(ELEM_TYPE, slab->logits, slab->rows, slab->n_vocab);
    m.ld = slab->ld * UNIT;
    return m;
}

/* d/dlogit_v = (da (1[v = target] - p_v) - db p_v (log p_v + H)) / temperature, with log p = z - lse and H
   the entropy; here without the target's da. */
struct gradient {
    v16 scale, minus_scale, lse, entropy, da, db;
};

static v16 gradient_at(const struct gradient *g, v16 logits) {
    v16 logp = v_sub(slab_z(logits, g->scale), g->lse);
    return v_mul(v_mul(v_exp(logp), v_fma(g->db, v_add(logp, g->entropy), g->da)), g->minus_scale);
}

/* In place of the logits their gradient, as elements: a row of these begins where the row of logits does. */
static void gradient_row(const struct slab *slab, int row, struct softmax s, int target, float da, float db) {
    const float *logits = slab->logits + row * slab->ld;
    elem *out = elem_row(slab_gradient(slab), row);
    struct gradient g = {.scale = v_set(slab->inverse_temperature),
                         .minus_scale = v_set(-slab->inverse_temperature),
                         .lse = v_set(s.lse),
                         .entropy = v_set(s.entropy),
                         .da = v_set(da),
                         .db = v_set(db)};
    float at_target = 0;
    if (target >= 0)
        at_target = v_first(gradient_at(&g, v_set(logits[target]))) + da * slab->inverse_temperature;
    FOR_LANES(slab->n_vocab, v, n) e_store_n(out + v, gradient_at(&g, v_load(logits + v)), (int)n);
    if (target >= 0) e_store_n(out + target, v_set(at_target), 1);
}

/* The slab's row r is row i of the op. */
static void vocab_dx_row(const struct op_vocab_dx *o, const struct slab *slab, int r, int64_t i) {
    int target = o->target.data ? o->target.data[i] : -1;
    float da = o->dlogprob.data ? o->dlogprob.data[i] : 0, db = o->dentropy.data ? o->dentropy.data[i] : 0;
    struct softmax s;
    if (o->compute) {
        s = ELEM_NAME(cpu_softmax_row)(slab, r);
        write_if(o->lse, i, s.lse);
        write_if(o->entropy, i, s.entropy);
        if (target >= 0) write_if(o->logprob, i, slab_z_at(slab, r, target) - s.lse);
    } else {
        s = (struct softmax){o->lse.data[i], o->entropy.data ? o->entropy.data[i] : 0};
    }
    gradient_row(slab, r, s, target, da, db);
}

/* dhidden[rows, d] = dlogits w, one block of the vocabulary after another, so that a block of dlogits stays
   in the cache while all of d passes. The same bytes as one product. sum: f32 [rows, d], which may be dhidden
   itself if that is f32. */
static void slab_dhidden(const device *dev, mat dlogits, weight w, mat dhidden, float *sum) {
    int64_t block = product_block(dlogits.cols), ld_sum = sum == dhidden.data ? dhidden.ld : dhidden.cols;
    for (int64_t v = 0; v < dlogits.cols; v += block) {
        int last = v + block >= dlogits.cols;
        struct product p = {.sum = last ? NULL : sum,
                            .out = last ? elem_data(dhidden) : NULL,
                            .ld_out = last ? dhidden.ld : ld_sum,
                            .prior = v > 0 ? sum : NULL,
                            .ld_prior = ld_sum,
                            .a = elem_data(dlogits) + v,
                            .ld_a = dlogits.ld,
                            .panels = (const unit *)(const void *)w.backward.data + v / UNIT * PANEL,
                            .panel_stride = PANEL * units_of(w.w.rows),
                            .rows = dlogits.rows,
                            .cols = dhidden.cols,
                            .depth = min_of(block, dlogits.cols - v),
                            .block = block};
        ELEM_NAME(cpu_product)(dev, &p);
    }
}

void ELEM_NAME(cpu_vocab_dx)(device *dev, const struct op_vocab_dx *o) {
    for (int first = 0; first < o->hidden.rows; first += ROW_BLOCK) {
        mat hidden = mat_rows(o->hidden, first, (int)min_of(ROW_BLOCK, o->hidden.rows - first));
        struct slab slab =
            ELEM_NAME(cpu_slab_fill)(dev, hidden, o->w, o->n_vocab, o->temperature, o->scratch.data);
        int n_thread = threads_for(dev, 2 * SOFTMAX_WORK * (int64_t)slab.rows * slab.n_vocab);
#pragma omp parallel for num_threads(n_thread) schedule(dynamic) if (n_thread > 1)
        for (int r = 0; r < slab.rows; r++) {
            flush_denormals();
            vocab_dx_row(o, &slab, r, first + r);
        }
        vec behind = o->scratch;
        behind.data += ELEM_NAME(cpu_slab_size)(slab.rows, slab.n_vocab);
        mat dlogits = slab_gradient(&slab), dhidden = mat_rows(o->dhidden, first, slab.rows);
        if (o->dhidden.data)
            slab_dhidden(dev, dlogits, o->w, dhidden, ELEM_IS_F32 ? dhidden.data : behind.data);
        if (!o->dw.data) continue;
        mat dw = mat_rows(o->dw, 0, slab.n_vocab);
        ELEM_NAME(cpu_linear_dw)
        (dev, &(struct op_linear_dw){.dw = dw, .dy = dlogits, .x = hidden, .scratch = behind});
    }
}
