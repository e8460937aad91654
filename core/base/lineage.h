/* core/base/lineage: lineage.json, what a run was made from and what it made (docs/formats.md). */
#ifndef RLHF_BASE_LINEAGE_H
#define RLHF_BASE_LINEAGE_H

#include <stdbool.h>
#include <stdint.h>

#include "core/base/error.h"
#include "core/base/hash.h"

enum { LINEAGE_UUID = 37 }; /* bytes of "xxxxxxxx-xxxx-7xxx-yxxx-xxxxxxxxxxxx" and its zero */

typedef struct lineage_artifact {
    char *role;   /* "model", "tokenizer", "snapshot", "prompts", "answers" ... */
    int64_t step; /* of the checkpoint or iteration; -1: none (null) */
    char *path;   /* relative to the run directory */
    hash sha256;
    uint64_t bytes;
} lineage_artifact;

typedef struct lineage {
    char uuid[LINEAGE_UUID]; /* version 7 */
    char *kind, *code;       /* code: the program's version */
    int round;               /* 0: null */
    hash config_sha256;
    uint64_t seed;
    int attempt;                  /* 1, one more at each resume */
    int64_t started_ms, ended_ms; /* since 1970, UTC; ended_ms 0: not finished (null) */
    int n_in, n_out;
    lineage_artifact *in, *out;
} lineage;

/* A fresh version 7 uuid: clock and the system's random numbers. */
status lineage_make_uuid(char out[LINEAGE_UUID], error *err);
int64_t lineage_now_ms(void);

void lineage_free(lineage *l);
status lineage_read(const char *path, lineage *out, error *err);
status lineage_write(const char *path, const lineage *l, error *err);

/* Hashes a file or a model directory and adds it; one with the same role, step and path is replaced. `path`
   is where it lies for this process, `directory` the run directory that the recorded path is made relative
   to. */
status lineage_add_in(lineage *l, const char *directory, const char *role, int64_t step, const char *path,
                      error *err);
status lineage_add_out(lineage *l, const char *directory, const char *role, int64_t step, const char *path,
                       error *err);

/* SHA-256 and size of a file; of a directory the SHA-256 over the sorted "sha256  name" lines of config.json,
   *.safetensors, *.index.json, tokenizer*.json, generation_config.json, adapter_config.json and base.json in
   it (STATUS_DATA if there are none). */
status hash_artifact(const char *path, hash *out, uint64_t *bytes, error *err);

#endif
