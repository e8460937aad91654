/* core/ops: tensor operations on one device. Ops know matrices, not models; one op table per backend (cpu/,
   far/) is the only indirection.

   A call reads   op(dev, linear, .y = y, .x = x, .w = w, .bias = b);
   and takes a struct of operands by name. Operands are device memory: callers never dereference them, and
   carry their extents, so that a backend can check them (far/ does). Ops cannot fail; what a device finds
   wrong is reported by the next download or sync. Work may be queued: host memory given to upload must not
   change before the next download or sync.

   The rule of one arithmetic: the bytes of a row's result depend on that row's own operands only, never on
   the other rows, the number of rows, the tiling, the threads or the vector width. A sum is defined by its
   order (docs/architecture.md):

   linear: one fma chain in ascending k from 0 inside each block of K (512 if K <= 1024, else 1024), blocks
   added in order; of bf16 the second of each pair of k before the first

   linear_dw: rows in blocks of 512 counted from row 0: ((previous + b0) + b1) + ...

   a row sum: 16 lanes, then a tree of 8, 4, then (a0 + a2) + (a1 + a3); a short row is filled with zeros

   attention: keys in blocks of 64 from position 0, online softmax, one continuing chain over keys

   Sums are f32 whatever the elements are, and a result is rounded once, where it is written. */
#ifndef RLHF_OPS_OPS_H
#define RLHF_OPS_OPS_H

#include <stddef.h>
#include <stdint.h>

#include "core/base/error.h"
#include "core/base/random.h"

enum { KV_PAGE = 64 };     /* positions in a page of keys and values, and keys in a block of attention */
enum { ROW_BLOCK = 512 };  /* rows in a block of a weight gradient, and in a slab of the vocabulary head */
enum { VOCAB_TILE = 256 }; /* columns in a tile of the running log-softmax */
enum { SUMSQ_CHUNK = 16384 };

/* What the elements of a matrix are: f32, or the upper 16 bits of one (bfloat16). Activations and their
   gradients, and pages, are of either type, all of one call of the same; a weight's packed copies are of that
   type too. Everything else is f32: parameters and their gradients, statistics, scores, vectors. */
typedef enum dtype { TYPE_F32, TYPE_BF16 } dtype;
static inline size_t dtype_size(dtype type) { return type == TYPE_BF16 ? 2 : 4; }

/* Row-major: element (r, c) at data[r * ld + c], or bf16[...]. */
typedef struct mat {
    union {
        float *data;
        uint16_t *bf16;
    };
    int rows, cols;
    int64_t ld;
    dtype type;
} mat;
typedef struct vec {
    float *data;
    int64_t n;
} vec;
typedef struct ivec {
    int32_t *data;
    int64_t n;
} ivec;
typedef struct lvec {
    uint64_t *data;
    int64_t n;
} lvec;

/* A weight matrix [n, k] and the copies of it that products read. The format of the copies belongs to the
   backend; they are stale after each change of w until weights_pack. backward.n = 0: never differentiated.
   type: of the copies, and so of the activations that are multiplied with them; w itself is f32. */
typedef struct weight {
    mat w;
    vec forward, backward;
    dtype type;
} weight;

static inline mat mat_typed(dtype type, void *data, int rows, int cols) {
    return (mat){.data = data, .rows = rows, .cols = cols, .ld = cols, .type = type};
}
static inline mat mat_of(float *data, int rows, int cols) { return mat_typed(TYPE_F32, data, rows, cols); }
/* The address of an element; NULL of an absent matrix. */
static inline void *mat_at(mat m, int64_t row, int64_t col) {
    return m.data ? (char *)m.data + (row * m.ld + col) * (int64_t)dtype_size(m.type) : NULL;
}
static inline mat mat_columns(mat m, int first, int cols) {
    m.data = mat_at(m, 0, first), m.cols = cols;
    return m;
}
static inline mat mat_rows(mat m, int first, int rows) {
    m.data = mat_at(m, first, 0), m.rows = rows;
    return m;
}

typedef enum norm_kind { NORM_LAYER, NORM_RMS } norm_kind;

/* ---- products ---- */
struct op_linear { /* y[m, n] = x[m, k] w^T + bias[n] + add[m, n]; bias and add may be absent (data NULL) */
    mat y, x;
    weight w;
    vec bias;
    mat add;
};
struct op_linear_dx { /* dx[m, k] = dy[m, n] w + add[m, k]; add may be absent, or dx */
    mat dx, dy;
    weight w;
    mat add;
};
struct op_linear_dw { /* dw[n, k] += dy^T x, db[n] += column sums of dy (absent: data NULL). scratch:
                         ops->scratch */
    mat dw, dy, x;
    vec db, scratch;
};
struct op_weights_pack { /* fills w.forward and, where present, w.backward from w.w */
    weight w;
};

/* ---- rows ---- */
struct op_norm { /* y = (x - mean) rstd (gain + offset) + bias; rms: y = x rstd (gain + offset), mean
                    untouched. Per row of x[m, d] */
    mat y, x;
    vec gain, bias; /* bias absent: none */
    vec mean, rstd; /* [m], kept for norm_dx; absent: not kept */
    norm_kind kind;
    float eps, offset;
};
struct op_norm_dx { /* dx += , dgain += , dbias += (dgain, dbias absent: frozen) */
    mat dx, dy, x;
    vec gain, dgain, dbias, mean, rstd;
    norm_kind kind;
    float offset;
};
struct op_head_norm { /* RMS norm of each head alone (QK-norm, Henry et al. 2020): for h < n_head, with x[m, h
                         head_dim ...] of d = head_dim columns: y = x rstd gain, rstd = 1 / sqrt(mean x^2 +
                         eps). y may be x */
    mat y, x;         /* [m, n_head head_dim] */
    vec gain;         /* [head_dim], the same for all heads */
    mat rstd;         /* [m, n_head], kept for head_norm_dx; absent: not kept */
    int n_head;
    float eps;
};
struct op_head_norm_dx { /* dx = , dgain += (absent: frozen): per column a chain over the heads of a row, rows
                            in blocks of 512 as in linear_dw. dx may be dy */
    mat dx, dy, x, rstd;
    vec gain, dgain;
    int n_head;
};
struct op_gelu { /* y = gelu(x), the tanh form, as x / (1 + exp(-2u)), u = sqrt(2/pi) (x + 0.044715 x^3) */
    mat y, x;
};
struct op_gelu_dx { /* dx = dy gelu'(x); dx may be dy */
    mat dx, dy, x;
};
typedef enum glu_kind { GLU_SILU, GLU_GELU } glu_kind;
struct op_glu { /* y[m, f] = act(x[:, 0:f]) * x[:, f:2f], x[m, 2f] = [gate | up]; act silu, or gelu as above
                 */
    mat y, x;
    glu_kind kind;
};
struct op_glu_dx { /* dx[m, 2f] from dy[m, f] */
    mat dx, dy, x;
    glu_kind kind;
};
struct op_rope { /* in place: turns the first n_rotated heads of x[m, n_rotated * head_dim ...] at
                    position[m]; the pairs are (i, i + head_dim / 2), as Hugging Face stores Llama. cosine,
                    sine [n_position, head_dim / 2]. inverse: turns back (the gradient) */
    mat x, cosine, sine;
    ivec position;
    int n_rotated, head_dim, inverse;
};
struct op_add { /* out = a + dropout(b): b kept with probability 1 - dropout and divided by it, by counter
                   (key, sequence id, position, block = (site * cols + column) / 4): uniform >= dropout keeps.
                   a absent: out = dropout(b). dropout 0: plain sum. out may be a or b */
    mat out, a, b;
    float dropout;
    random_key key;
    int site;      /* which dropout of the model: layer and place */
    lvec sequence; /* [m] sequence id of each row; absent with dropout 0 */
    ivec position; /* [m] */
};
struct op_scale { /* y = factor x; y may be x */
    mat y, x;
    float factor;
};
struct op_embed { /* out[m, d] = token_table[token] + position_table[position] (position_table absent: none)
                   */
    mat out, token_table, position_table;
    ivec token, position;
};
struct op_embed_dw { /* d_table[id[i]] += dout[i] for all i, in ascending i within an id. order: the indices i
                        sorted by (id, i), made on the host */
    mat d_table, dout;
    ivec id, order;
};
struct op_rows_gather { /* out[r] = x[index[r]] */
    mat out, x;
    ivec index;
};
struct op_rows_add { /* x[index[r]] += in[r]; index non-decreasing, equal ones added in order */
    mat x, in;
    ivec index;
};

/* ---- attention, ragged and causal, grouped queries ----
   qkv[m, (n_head + 2 n_kv_head) head_dim] = [q | k | v] after rope. Query head h reads key head h / (n_head /
   n_kv_head). scale multiplies q first. With a window w a query at position p sees the keys at p - w + 1 .. p
   (Beltagy et al. 2020); blocks of keys that it does not see are skipped, which is the same bytes. A page
   holds, per key head, [k transposed: head_dim x 64 | v: 64 x head_dim]. */
struct attention_shape {
    int n_head, n_kv_head, head_dim;
    float scale;
    int window; /* 0: none */
};
struct op_attention { /* each sequence [start[s], start[s+1]) from its own position 0. out[m, n_head
                         head_dim], lse[m, n_head] */
    mat out, lse, qkv;
    ivec start;  /* [n_seq + 1] */
    int max_len; /* longest sequence */
    struct attention_shape shape;
    vec scratch;
};
struct op_attention_dx { /* dqkv = (all of it written) */
    mat dqkv, dout, out, lse, qkv;
    ivec start;
    int max_len;
    struct attention_shape shape;
    vec scratch;
};
struct op_kv_write { /* puts the k and v of qkv's rows into pages. Row i of sequence s has position cached[s]
                        + i - start[s] and lies in page page_table[slot[s], position / 64] */
    mat pages;       /* [n_page, 2 n_kv_head head_dim 64] of one layer */
    mat qkv;
    ivec start, slot, cached; /* [n_seq + 1], [n_seq], [n_seq] */
    ivec page_table;
    int table_width; /* [n_slot, table_width] */
    struct attention_shape shape;
};
struct op_attention_paged { /* prefill, chunk and decode: each row against all earlier positions of its slot
                               and itself */
    mat out, qkv, pages;
    ivec start, slot, cached, page_table;
    int table_width;
    struct attention_shape shape;
};

/* ---- heads: z = hidden w^T / temperature over the first n_vocab ids (w may have more rows), p = softmax z
 * ---- */
struct op_vocab { /* per row: logprob = z[target] - lse, entropy = lse - sum p z, lse. target, logprob,
                     entropy may be absent */
    mat hidden;   /* [m, d] */
    weight w;     /* [>= n_vocab, d] */
    int n_vocab;
    float temperature;
    ivec target;
    vec logprob, entropy, lse;
    vec scratch;
};
struct op_vocab_dx { /* dhidden = , dw += of sum(dlogprob logprob) + sum(dentropy entropy); dw absent: frozen.
                        compute: lse, entropy and logprob are written first (one pass over the logits); else
                        lse and entropy are read */
    mat dhidden, dw, hidden;
    weight w;
    int n_vocab;
    float temperature;
    ivec target;
    vec logprob, entropy, lse;
    vec dlogprob, dentropy; /* dentropy absent: 0 */
    int compute;
    vec scratch;
};
struct op_score { /* score[m] = hidden[m, d] . w[d] + bias[0] (absent: none) */
    vec score, w, bias;
    mat hidden;
};
struct op_score_dx { /* dhidden += , dw += , dbias += */
    mat dhidden, hidden;
    vec dw, dbias, w, dscore;
};
struct op_sample { /* token = argmax_v z[v] + g[v], g Gumbel by counter (key, sequence[r], position[r], v /
                      4), the first of equals; greedy: g = 0. top_k > 0, top_p < 1: only among those (ties by
                      lower id). logprob is always that of the full softmax, the same bytes as op_vocab's */
    ivec token;
    vec logprob;
    mat hidden;
    weight w;
    int n_vocab;
    float temperature;
    int greedy, top_k;
    float top_p;
    random_key key;
    lvec sequence; /* [m] */
    ivec position; /* [m] of the token being chosen */
    vec scratch;
};

/* ---- vectors ---- */
struct op_adamw { /* one pass: g' = g scale; m, v; decay first p -= lr decay p (Loshchilov & Hutter 2019);
                     torch: p -= lr (m / c1) / (sqrt(v / c2) + eps), tf1: p -= lr sqrt(c2) / c1 m / (sqrt(v) +
                     eps), c = 1 - beta^step. The gradient is left as it is */
    vec p, g, m, v;
    float lr, beta1, beta2, eps, decay, scale, c1, c2;
    int tf1;
};
struct op_sumsq { /* partial[i] = sum of squares of chunk i of SUMSQ_CHUNK values; the host adds them in f64,
                     ascending */
    vec partial, x;
};
struct op_axpby { /* y = a x + b y; b = 0 never reads y */
    vec y, x;
    float a, b;
};
struct op_lerp { /* y += t (x - y): an exponential moving average */
    vec y, x;
    float t;
};
struct op_fill {
    vec y;
    float value;
};

#define OPS_LIST(X)                                                                                          \
    X(linear)                                                                                                \
    X(linear_dx)                                                                                             \
    X(linear_dw)                                                                                             \
    X(weights_pack)                                                                                          \
    X(norm)                                                                                                  \
    X(norm_dx)                                                                                               \
    X(head_norm)                                                                                             \
    X(head_norm_dx)                                                                                          \
    X(gelu)                                                                                                  \
    X(gelu_dx)                                                                                               \
    X(glu)                                                                                                   \
    X(glu_dx)                                                                                                \
    X(rope)                                                                                                  \
    X(add)                                                                                                   \
    X(scale)                                                                                                 \
    X(embed)                                                                                                 \
    X(embed_dw)                                                                                              \
    X(rows_gather)                                                                                           \
    X(rows_add)                                                                                              \
    X(attention)                                                                                             \
    X(attention_dx)                                                                                          \
    X(kv_write)                                                                                              \
    X(attention_paged)                                                                                       \
    X(vocab) X(vocab_dx) X(score) X(score_dx) X(sample) X(adamw) X(sumsq) X(axpby) X(lerp) X(fill)

typedef struct device device;

/* What the ops with a scratch operand are called with, at most; 0 where such an op is never called. */
struct scratch_need {
    int max_token; /* rows of linear_dw */
    int max_cols;  /* widest x or dy of linear_dw */
    int max_len;   /* longest sequence of attention, attention_dx */
    int head_dim;
    int max_row;      /* rows of vocab, vocab_dx, sample */
    int width, vocab; /* columns and rows of the head's weight */
    int backward;     /* linear_dw, attention_dx and vocab_dx are called */
    dtype type;       /* of the activations */
};

#define OPS_MEMBER(name) void (*name)(device *, const struct op_##name *);
struct ops {
    OPS_LIST(OPS_MEMBER)
    /* Floats of a weight's packed copies, that is units of four bytes whatever their type. */
    int64_t (*forward_pack)(const device *, dtype type, int n, int k);
    int64_t (*backward_pack)(const device *, dtype type, int n, int k);
    /* Floats of scratch that covers every op for the need; one scratch serves all, one op at a time. */
    int64_t (*scratch)(const device *, const struct scratch_need *need);
    /* See device_peak_flops. */
    double (*measure_peak)(device *, dtype type);
    /* Memory, aligned to 64 bytes, of undefined content (touched, so that no page fault comes later). */
    status (*allocate)(device *, size_t bytes, void **out, error *err);
    void (*release)(device *, void *memory);
    void (*upload)(device *, void *to, const void *host, size_t bytes);
    void (*copy)(device *, void *to, const void *from, size_t bytes); /* within the device */
    status (*download)(device *, void *host, const void *from, size_t bytes,
                       error *err); /* waits for all before it */
    status (*sync)(device *, error *err);
    void (*close)(device *);
};

struct device {
    const struct ops *ops;
    const char *name; /* "cpu avx512, 2 threads" */
    int n_thread;
    double peak_flops[2]; /* by dtype; 0: not measured yet */
};

#define op(dev, name, ...) ((dev)->ops->name((dev), &(struct op_##name){__VA_ARGS__}))

/* The CPU. threads: 0 = all that the machine offers. The instruction set is the widest that the CPU has, or
   what RLHF_ISA forces; STATUS_USAGE when the CPU lacks it. */
status device_open_cpu(int threads, device **out, error *err);
/* The CPU behind far memory: callers hold addresses that crash when touched, every operand is checked against
   its allocation, fresh memory is NaN. queued: ops run only at download and sync. For tests. */
status device_open_far(int threads, int queued, device **out, error *err);
void device_close(device *dev);
/* Floating-point operations per second of independent multiply-adds (2 each) of the type's elements on all
   threads: what a share of peak refers to. Measured at the first call, in some 10 ms, with the device
   otherwise idle. */
double device_peak_flops(device *dev, dtype type);

/* Calls visit for each operand of an op's struct that is present, with the bytes from its first to its last
 * element. */
typedef enum op_id {
#define OPS_ID(name) OP_##name,
    OPS_LIST(OPS_ID)
#undef OPS_ID
        OP_COUNT
} op_id;
typedef void op_visit(void *context, void **pointer, size_t bytes);
void op_visit_operands(op_id id, void *operands, op_visit *visit, void *context);

#endif
