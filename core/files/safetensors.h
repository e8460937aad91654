/* core/files/safetensors: tensors by name in a file, as Hugging Face's safetensors has them: 8 bytes of
   header length, a JSON header, the tensors' bytes without gaps. Files are read by mmap and nothing in them
   is believed before it is checked. */
#ifndef RLHF_FILES_SAFETENSORS_H
#define RLHF_FILES_SAFETENSORS_H

#include <stddef.h>
#include <stdint.h>

#include "core/base/error.h"

enum { SAFETENSORS_MAX_DIM = 8 };

/* Every type of the format can be looked at; F32, F16, BF16 and I32 are written; the copies below say what
   they read. */
typedef enum tensor_dtype {
    DTYPE_F32,
    DTYPE_I32,
    DTYPE_BOOL,
    DTYPE_U8,
    DTYPE_I8,
    DTYPE_F8_E5M2,
    DTYPE_F8_E4M3,
    DTYPE_I16,
    DTYPE_U16,
    DTYPE_F16,
    DTYPE_BF16,
    DTYPE_U32,
    DTYPE_F64,
    DTYPE_I64,
    DTYPE_U64,
} tensor_dtype;

typedef struct tensor_entry {
    const char *name;
    tensor_dtype dtype;
    int n_dim; /* 0: a scalar, one element */
    int64_t shape[SAFETENSORS_MAX_DIM];
    const void *data; /* [product of shape], row-major, little-endian, aligned to nothing */
    size_t bytes;
} tensor_entry;

const char *tensor_dtype_name(tensor_dtype dtype); /* "F32" */
size_t tensor_dtype_bytes(tensor_dtype dtype);     /* per element */

typedef struct safetensors safetensors;

/* Opens a .safetensors file, or a directory with model.safetensors or else with model.safetensors.index.json
   and the shards it names. STATUS_DATA "FILE: tensor \"NAME\": what is wrong": a header that is cut, too long
   or not JSON, unknown types, shapes that overflow, offsets that overlap, leave gaps or pass the end, bytes
   that differ from dtype x shape, a name that stands twice, an index and shards that disagree. The file must
   not change while it is open. *out: safetensors_close. */
status safetensors_open(const char *path, safetensors **out, error *err);
void safetensors_close(safetensors *s);

int safetensors_count(const safetensors *s);
/* Entry i, 0 <= i < count, sorted by name. It and its data live as long as s. */
const tensor_entry *safetensors_entry(const safetensors *s, int i);
/* NULL when there is none of that name. */
const tensor_entry *safetensors_find(const safetensors *s, const char *name);
/* A text of the (first) file's __metadata__, or NULL. */
const char *safetensors_metadata(const safetensors *s, const char *key);
/* The path that was opened, for messages. */
const char *safetensors_path(const safetensors *s);

/* Finds the tensor and copies its elements (product of shape) out. F16 and BF16 become the same numbers in
   f32. STATUS_DATA naming file and tensor when it is missing, has another shape, or a dtype that is not read
   here. */
status safetensors_copy_f32(const safetensors *s, const char *name, int n_dim, const int64_t *shape,
                            float *out, error *err);
status safetensors_copy_i32(const safetensors *s, const char *name, int n_dim, const int64_t *shape,
                            int32_t *out, error *err);

/* Whether safetensors_copy_f32 would copy it. */
status safetensors_check_f32(const safetensors *s, const char *name, int n_dim, const int64_t *shape,
                             error *err);

/* Writes a whole file of n tensors (name, dtype F32, F16, BF16 or I32, n_dim, shape, data; bytes is
   computed), in that order, with the metadata {"format":"pt"}. It appears by one rename or not at all
   (core/base/file). */
status safetensors_write(const char *path, const tensor_entry *tensors, int n, error *err);

/* The same as a stream, for tensors that are not in memory in this form: begin declares them (data is not
   read), then each tensor's data is put in that order, in as many pieces as wanted, then commit, or abandon.
   Bytes that were put for another tensor than it is the turn of, too many or too few, are our own bug:
   STATUS_FAILED from commit, and no file. */
typedef struct safetensors_writer safetensors_writer;
status safetensors_begin(const char *path, const tensor_entry *tensors, int n, safetensors_writer **out,
                         error *err);
void safetensors_put(safetensors_writer *w, int tensor, const void *data, size_t bytes);
status safetensors_commit(safetensors_writer *w, error *err); /* frees w in either case */
void safetensors_abandon(safetensors_writer *w);              /* NULL-safe */

/* The same for a model's directory: DIRECTORY/model.safetensors, or, where that would hold more than
   shard_bytes of data, model-00001-of-0000N.safetensors ... with model.safetensors.index.json (a tensor is
   never cut). They appear at commit; then the files of another division are removed. The entries must live
   until then. */
#define SAFETENSORS_SHARD_BYTES UINT64_C(5000000000) /* what transformers 4 divides by */
typedef struct safetensors_shards safetensors_shards;
status safetensors_shards_begin(const char *directory, const tensor_entry *tensors, int n,
                                uint64_t shard_bytes, safetensors_shards **out, error *err);
void safetensors_shards_put(safetensors_shards *w, int tensor, const void *data, size_t bytes);
status safetensors_shards_commit(safetensors_shards *w, error *err); /* frees w in either case */
void safetensors_shards_abandon(safetensors_shards *w);              /* NULL-safe */

#endif
