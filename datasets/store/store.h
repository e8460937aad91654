/* datasets/store: the SQLite database of prompts, answers, rankings, rounds and lineage. What people gave is
   true here and append-only; what machines made is imported from run directories, any number of times. No
   acknowledged ranking is lost, doubled or attributed to the wrong answer. docs/store.md explains it,
   0001_store.sql defines it. */
#ifndef RLHF_STORE_STORE_H
#define RLHF_STORE_STORE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "core/base/buffer.h"
#include "core/base/error.h"
#include "core/base/hash.h"

enum { STORE_ANSWERS = 9, STORE_UUID = 16, STORE_UUID_TEXT = 37 };

typedef struct store store;
typedef enum store_mode { STORE_READER, STORE_WRITER } store_mode;

/* ---- the file. Every function below is one transaction: it did all or nothing. A writer's transaction holds
   an flock on FILE.lock; when another holds it for longer than the patience (10 s), STATUS_FAILED names that
   process. A disk that is full or broken is STATUS_FAILED. What the schema refuses is STATUS_DATA with its
   reason. */

/* A writer makes a missing file and migrates an older one (after a backup to FILE.backup-vN); a reader does
   neither and cannot write. STATUS_DATA: missing (reader), no SQLite file, another program's, or made by a
   newer version. */
status store_open(const char *path, store_mode mode, store **out, error *err);
void store_close(store *s); /* NULL is allowed; rolls back an open group */
const char *store_path(const store *s);
/* How long to wait for another writer, in milliseconds. */
void store_set_patience(store *s, int milliseconds);
/* Fixes the clock at a time in ms since 1970; 0: the system's clock. For tests and for replays. */
void store_set_clock(store *s, int64_t now_ms);
int64_t store_now(const store *s);

/* Groups the calls in between into one transaction: faster, and nothing of it counts before the commit. Not
 * nested. */
status store_begin(store *s, error *err);
status store_commit(store *s, error *err);
void store_rollback(store *s);

/* ---- prompts, rounds, labellers */

typedef struct store_prompt {
    const char *body; /* a text, or a chat as canonical JSON (chat_canonical) that ends with a user turn */
    size_t len;
    bool chat;
    const char
        *split; /* given by a data set: "train", "valid", "test"; NULL: by the hash of the opening turn */
    const char *source; /* "seed", a data set's name ... */
} store_prompt;

/* Adds a prompt, or finds it. The first to come fixes the split of all prompts with the same opening turn;
 *differs (may be NULL) tells that the given split is another than that. */
status store_add_prompt(store *s, const store_prompt *p, int64_t *id, bool *differs, error *err);

/* Opening an open round again is nothing; a closed round stays closed (STATUS_DATA). round >= 1; round 0, for
   what came from elsewhere, is always there once used and always closed. */
status store_open_round(store *s, int64_t round, error *err);
status store_close_round(store *s, int64_t round, error *err);

typedef enum labeller_kind { LABELLER_HUMAN, LABELLER_SIMULATED, LABELLER_RULE, LABELLER_ANY } labeller_kind;
const char *labeller_kind_name(labeller_kind kind); /* "human", "simulated", "rule", "any" */
bool labeller_kind_parse(const char *name, labeller_kind *out);

/* Adds a labeller or finds him. spec: JSON that tells how a simulated one decides, NULL for a human.
   STATUS_DATA: the name is in use with another kind or spec, is empty, longer than 64 bytes or holds control
   characters. */
status store_add_labeller(store *s, const char *name, labeller_kind kind, const char *spec, int64_t *id,
                          error *err);
/* STATUS_DATA when there is none of this name. */
status store_find_labeller(store *s, const char *name, int64_t *id, labeller_kind *kind, error *err);

/* ---- runs, tasks */

typedef struct store_imported {
    int64_t added;         /* answers or rankings that are new */
    int64_t present;       /* that were there already */
    int64_t bad;           /* lines that were skipped */
    int64_t split_differs; /* whose given split is not the one the store had fixed */
    int64_t weighted;      /* rankings with a weight other than 1, which the store does not keep */
} store_imported;

/* Called for each line that is skipped, with "file:line: what is wrong". */
typedef void (*store_report)(void *context, const char *message);

/* Imports a run directory: lineage.json, and answers.jsonl where there is one. Again is nothing; what
   contradicts the first import is refused. STATUS_DATA: missing or bad files, with file:line. */
status store_import_run(store *s, const char *directory, store_imported *out, error *err);

typedef struct store_task_options {
    int64_t round;
    int answers;       /* K: 2 to 9 different texts a prompt; fewer than two make no task */
    int want;          /* labellers wanted, 1 to 999 */
    int part;          /* n-th set of K of a prompt's different texts, from 0 */
    const char *split; /* only prompts of this split; NULL: all */
    int64_t limit;     /* at most so many tasks of this round, part and split; 0: no limit */
    int fewest_first;  /* prompts with the fewest tasks of earlier rounds come first; else by prompt id alone
                        */
} store_task_options;

/* Makes the tasks of one part of a round from the answers of the round's runs in the order of
   run and sample; opens the round if it is new. Again makes those that are missing. *made (may be NULL)
   counts the new ones. */
status store_make_tasks(store *s, const store_task_options *options, int64_t *made, error *err);

/* What tasks of a round, part and split can be made of: the prompts that the round's runs answered, and of
   these those that have their task, and those that get none because fewer than two different texts are left.
 */
typedef struct store_supply {
    int64_t prompts, with_task, alike;
} store_supply;
status store_read_supply(store *s, const store_task_options *options, store_supply *out, error *err);

typedef struct store_answer {
    char *text; /* [len], and a zero byte */
    size_t len;
    bool finished;   /* not cut by the length limit */
    int32_t *tokens; /* [n_token], end token included; NULL: unknown */
    int n_token;
    bool has_tokenizer;
    hash tokenizer; /* of the tokens */
} store_answer;

typedef struct store_task {
    int64_t id, round, prompt_id;
    bool chat;
    char *prompt; /* [prompt_len], as in store_prompt */
    size_t prompt_len;
    int n_answer;
    store_answer answer[STORE_ANSWERS]; /* by slot - 1 */
} store_task;

status store_read_task(store *s, int64_t id, store_task *out, error *err);
void store_task_free(store_task *t); /* leaves an empty task */

/* ---- leases and rankings */

typedef struct store_lease {
    uint8_t uuid[STORE_UUID]; /* the idempotency key of the first answer */
    int64_t id, task_id;
    char shown[STORE_ANSWERS + 1]; /* slots in the order shown: "3142" */
    int64_t expires_ms;
} store_lease;

/* Ids of open tasks that this labeller could be handed next, best first, not those in skip[n_skip]. round -1:
   of all open rounds. *n is at most the given capacity. Hands out nothing. */
status store_open_tasks(store *s, int64_t labeller, int64_t round, const int64_t *skip, int n_skip,
                        int64_t *ids, int *n, error *err);
/* Hands a task out for ttl_ms. The order shown is a permutation by counter: RANDOM_SHOWN keyed by (seed,
   round), sequence id = task, position = labeller. */
status store_lease_task(store *s, int64_t labeller, int64_t task, uint64_t seed, int64_t ttl_ms,
                        store_lease *out, error *err);
/* The first of store_open_tasks, leased. *found false: nothing is open for this labeller. */
status store_lease_next(store *s, int64_t labeller, int64_t round, const int64_t *skip, int n_skip,
                        uint64_t seed, int64_t ttl_ms, store_lease *out, bool *found, error *err);
/* Prolongs a lease to ttl_ms from now; 0 hands it back. Unknown or replaced by a later one: STATUS_DATA. */
status store_renew_lease(store *s, const uint8_t uuid[STORE_UUID], int64_t ttl_ms, error *err);
/* Hands back all live leases of a labeller that have no answer. */
status store_hand_back(store *s, int64_t labeller, error *err);

typedef enum store_verdict {
    VERDICT_RANKED,
    VERDICT_ALL_BAD,
    VERDICT_CANNOT_JUDGE,
    VERDICT_WITHDRAWN
} store_verdict;
const char *store_verdict_name(store_verdict verdict);

typedef struct store_ranking {
    uint8_t uuid[STORE_UUID];  /* the lease's for its first answer; a fresh one for what supersedes */
    uint8_t lease[STORE_UUID]; /* the lease that this answers */
    const uint8_t *supersedes; /* [STORE_UUID] the lease's last ranking; NULL: none */
    store_verdict verdict;
    int n_rank;              /* 0: no ranks; else the task's number of answers */
    int rank[STORE_ANSWERS]; /* by slot - 1, 1 best, equal: tie; gaps are closed */
    double seconds;          /* looked at; negative: not measured */
    const char *note;        /* NULL: none */
} store_ranking;

typedef enum store_outcome {
    STORE_RECORDED,
    STORE_ALREADY,  /* the same ranking under the same uuid: it was recorded before */
    STORE_CONFLICT, /* another ranking has this uuid, or supersedes the same one */
    STORE_UNKNOWN,  /* no such lease */
    STORE_INVALID,  /* the ranking fits no task: number of ranks, verdict without its parts */
} store_outcome;

/* Records what a labeller said. However late: an expired lease or a closed round refuses nothing.
   STORE_RECORDED and STORE_ALREADY are STATUS_OK, after the commit reached the disk; the others STATUS_DATA.
   id may be NULL. */
status store_add_ranking(store *s, const store_ranking *r, store_outcome *outcome, int64_t *id, error *err);

/* Withdraws a ranking, by its uuid: a new row, and training skips all of its lease. Again is nothing. */
status store_withdraw(store *s, const uint8_t uuid[STORE_UUID], const char *note, error *err);
/* The labeller's latest ranking that counts, in open rounds. */
status store_last_ranking(store *s, int64_t labeller, uint8_t uuid[STORE_UUID], int64_t *task, bool *found,
                          error *err);

/* 1 best: closes gaps, so that 1 3 3 9 becomes 1 2 2 3. n from 1 to STORE_ANSWERS. */
void ranks_make_dense(int *rank, int n);

status uuid_make(uint8_t out[STORE_UUID], error *err); /* version 7 */
void uuid_print(const uint8_t uuid[STORE_UUID], char out[STORE_UUID_TEXT]);
bool uuid_parse(const char *text, uint8_t out[STORE_UUID]);

/* ---- rankings in and out of JSONL */

typedef struct store_import_options {
    const char *source;   /* of lines without one; NULL: the file's name without its endings */
    const char *labeller; /* of lines without one; NULL: the source */
    labeller_kind kind;   /* of new labellers whose lines tell none */
    const char *split;    /* of lines without one; NULL: by the hash */
    int64_t max_bad;      /* one more bad line ends the import, and nothing is imported */
    store_report report;  /* of each that is left out; may be NULL */
    void *report_context;
} store_import_options;

/* Imports rankings, one JSON object a line, .gz or not, in the shapes of datasets/store/ranking_line.h. A
   line without a uuid gets one from its source and content, so that importing twice is nothing. */
status store_import_rankings(store *s, const char *path, const store_import_options *options,
                             store_imported *out, error *err);
/* Writes the rankings that count now, by ranking id, in the label export's shape; path "-": standard output.
   Imported into an empty store they are exported as the same bytes. round -1: all. */
status store_export(store *s, const char *path, int64_t round, int64_t *n, error *err);

typedef struct store_snapshot_options {
    const char *name;        /* "round-01" */
    int64_t round;           /* rankings of round 0 up to this one ... */
    int64_t from_round;      /* ... and not before this one */
    labeller_kind labellers; /* of this kind; LABELLER_ANY mixes them */
    bool close;              /* and closes the round, so that no work comes between the two */
} store_snapshot_options;

/* Freezes the rankings that may be trained on into snapshot.jsonl at path, and seals the snapshot with the
   file's hash. A sealed name writes the same bytes again; under other options it is refused. No ranking at
   all: STATUS_DATA. */
status store_snapshot(store *s, const char *path, const store_snapshot_options *options, hash *sha256,
                      int64_t *n, error *err);
/* How many rankings a snapshot that is not sealed yet would hold. */
status store_count_trainable(store *s, const store_snapshot_options *options, int64_t *n, error *err);
/* How far the store has gone on since the snapshot of this name was sealed: rankings that it would hold today
   and does not, and rankings in it that were undone or withdrawn. */
status store_compare_snapshot(store *s, const store_snapshot_options *options, int64_t *further,
                              int64_t *gone, error *err);

/* ---- looking */

/* Rankings still missing and there in a round's tasks (want summed; have counted up to want). */
typedef struct store_progress {
    int64_t tasks, wanted, ranked;
    bool closed;
} store_progress;
status store_read_progress(store *s, int64_t round, store_progress *out, error *err);

/* integrity_check, foreign_key_check and every view named fsck*: a line for each broken promise. *n 0: sound.
 */
status store_fsck(store *s, buffer *problems, int64_t *n, error *err);

/* Figures of the whole store as one JSON object: counts, agreement, per labeller. */
status store_stats(store *s, buffer *json, error *err);

typedef struct store_ids {
    int64_t *id; /* [n], ascending */
    int64_t n, capacity;
} store_ids;

/* What a weight or a ranking is connected with. */
typedef struct store_lineage {
    store_ids artifacts, runs, snapshots, rankings;
} store_lineage;
void store_lineage_free(store_lineage *l);

/* An artifact's id by the SHA-256 of its bytes, in hexadecimal, whole or its first 8 digits or more, when
 * only one begins so. */
status store_find_artifact(store *s, const char *hex, int64_t *id, error *err);
/* Backwards from an artifact: the runs that made it, what they read, and so on; a snapshot leads to its
   rankings, and these to the runs and models whose answers were ranked. */
status store_lineage_back(store *s, int64_t artifact, store_lineage *out, error *err);
/* Forwards from a ranking: the snapshots that hold it, the runs that read them, every artifact made from
 * those. */
status store_lineage_forward(store *s, int64_t ranking, store_lineage *out, error *err);
/* Appends one line about an artifact, run or snapshot: "reward 1234abcd... round-01/reward/model". */
status store_describe_artifact(store *s, int64_t id, buffer *out, error *err);
status store_describe_run(store *s, int64_t id, buffer *out, error *err);
status store_describe_snapshot(store *s, int64_t id, buffer *out, error *err);
/* A ranking's id by its uuid, or by the decimal id itself. STATUS_DATA when there is none. */
status store_find_ranking(store *s, const char *text, int64_t *id, error *err);

#endif
