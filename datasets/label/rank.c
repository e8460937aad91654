#include "datasets/label/rank.h"

#include <ctype.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "core/base/json.h"
#include "datasets/label/screen.h"
#include "datasets/label/terminal.h"

enum { LINE = 4096 };

typedef struct session {
    store *s;
    const label_rank_options *options;
    terminal terminal;
    store_task task;
    store_lease lease;
    struct timespec shown; /* when */
    int64_t *skipped;
    int n_skipped, capacity;
    int64_t n, undone;
    bool has_lease, over;
} session;

/* ---- showing */

static const char *bold(const session *x, bool on) {
    return !x->terminal.bold ? "" : on ? "\033[1m" : "\033[0m";
}

static void show_text(session *x, buffer *out, const char *text, size_t len) {
    screen_text(out, "  | ", x->terminal.width, text, len);
}

static status show_chat(session *x, buffer *out, error *err) {
    json_t *messages, *message;
    size_t i;
    TRY(parse_json(x->task.prompt, x->task.prompt_len, "the prompt", &messages, err));
    json_array_foreach(messages, i, message) {
        const json_t *content = json_object_get(message, "content");
        buffer_format(out, "%s%s:%s\n", bold(x, true), json_string_value(json_object_get(message, "role")),
                      bold(x, false));
        show_text(x, out, json_string_value(content), json_string_length(content));
    }
    json_decref(messages);
    return STATUS_OK;
}

static status show_task(session *x, error *err) {
    buffer out = {0};
    store_progress progress;
    status result = STATUS_OK;
    TRY(store_read_progress(x->s, x->task.round, &progress, err));
    buffer_format(&out, "\n%sround %lld, task %lld%s (%lld of %lld rankings done)\n", bold(x, true),
                  (long long)x->task.round, (long long)x->task.id, bold(x, false), (long long)progress.ranked,
                  (long long)progress.wanted);
    if (x->task.chat)
        result = show_chat(x, &out, err);
    else
        show_text(x, &out, x->task.prompt, x->task.prompt_len);
    for (int i = 0; i < x->task.n_answer; i++) {
        const store_answer *a = &x->task.answer[x->lease.shown[i] - '1'];
        buffer_format(&out, "%s%c)%s%s\n", bold(x, true), 'A' + i, bold(x, false),
                      a->finished ? "" : " (cut off)");
        show_text(x, &out, a->text, a->len);
    }
    if (result == STATUS_OK) result = buffer_check(&out, err);
    if (result == STATUS_OK) fwrite(out.data, 1, out.len, x->terminal.out);
    buffer_free(&out);
    clock_gettime(CLOCK_MONOTONIC, &x->shown);
    return result;
}

static void show_help(const session *x) {
    fprintf(x->terminal.out, "Give each answer its rank, in the order shown: 1 is best, equal digits tie. "
                             "\"1 2 2 3\" or \"1223\" says that A"
                             " is best, then B and C alike, then D.\n"
                             "  u  undo the ranking before, and rank it again\n"
                             "  s  skip this one\n"
                             "  c  cannot judge\n"
                             "  b  all are bad\n"
                             "  q  quit (also Ctrl-C, Ctrl-D); what was recorded stays\n");
}

static void ask(const session *x) {
    fprintf(x->terminal.out, "ranks of A to %c, or u s c b q ? > ", 'A' + x->task.n_answer - 1);
    fflush(x->terminal.out);
}

/* ---- tasks in hand */

static status hand_back(session *x, error *err) {
    if (!x->has_lease) return STATUS_OK;
    x->has_lease = false;
    return store_renew_lease(x->s, x->lease.uuid, 0, err);
}

static status take_task(session *x, error *err) {
    store_task_free(&x->task);
    x->has_lease = true;
    TRY(store_read_task(x->s, x->lease.task_id, &x->task, err));
    return show_task(x, err);
}

static status next_task(session *x, error *err) {
    bool found;
    const label_rank_options *o = x->options;
    TRY(store_lease_next(x->s, o->labeller, o->round, x->skipped, x->n_skipped, o->seed, o->lease_ms,
                         &x->lease, &found, err));
    if (found) return take_task(x, err);
    x->over = true;
    fprintf(x->terminal.out, "\nNothing more is open for you");
    if (x->n_skipped) fprintf(x->terminal.out, " but what you skipped (%d)", x->n_skipped);
    fprintf(x->terminal.out, ".\n");
    return STATUS_OK;
}

/* ---- what was said */

static status record(session *x, store_verdict verdict, const int *given, error *err) {
    struct timespec now;
    store_outcome outcome;
    clock_gettime(CLOCK_MONOTONIC, &now);
    int64_t tenths = (now.tv_sec - x->shown.tv_sec) * 10 + (now.tv_nsec - x->shown.tv_nsec) / 100000000;
    store_ranking r = {.verdict = verdict, .seconds = (double)tenths / 10};
    memcpy(r.uuid, x->lease.uuid, STORE_UUID);
    memcpy(r.lease, x->lease.uuid, STORE_UUID);
    if (given) r.n_rank = x->task.n_answer;
    for (int i = 0; i < r.n_rank; i++) r.rank[x->lease.shown[i] - '1'] = given[i];
    TRY(store_add_ranking(x->s, &r, &outcome, NULL, err));
    x->has_lease = false;
    x->n++;
    fprintf(x->terminal.out, "recorded: %s",
            given                        ? ""
            : verdict == VERDICT_ALL_BAD ? "all bad"
                                         : "cannot judge");
    int dense[STORE_ANSWERS] = {0};
    if (given) memcpy(dense, given, (size_t)r.n_rank * sizeof *given);
    if (given) ranks_make_dense(dense, r.n_rank);
    for (int i = 0; i < r.n_rank; i++) fprintf(x->terminal.out, "%s%c %d", i ? ", " : "", 'A' + i, dense[i]);
    fprintf(x->terminal.out, "\n");
    return next_task(x, err);
}

static status skip(session *x, error *err) {
    if (x->n_skipped == x->capacity) {
        int capacity = x->capacity ? 2 * x->capacity : 16;
        int64_t *more = realloc(x->skipped, (size_t)capacity * sizeof *more);
        if (!more) return error_memory(err, "a list of tasks");
        x->skipped = more;
        x->capacity = capacity;
    }
    x->skipped[x->n_skipped++] = x->task.id;
    TRY(hand_back(x, err));
    fprintf(x->terminal.out, "skipped\n");
    return next_task(x, err);
}

/* Withdraws the last ranking and asks for it again. */
static status undo(session *x, error *err) {
    uint8_t last[STORE_UUID];
    int64_t task;
    bool found;
    const label_rank_options *o = x->options;
    TRY(store_last_ranking(x->s, o->labeller, last, &task, &found, err));
    if (!found) {
        fprintf(x->terminal.out, "there is nothing to undo\n");
        return STATUS_OK;
    }
    TRY(hand_back(x, err));
    TRY(store_withdraw(x->s, last, "undone by the labeller", err));
    x->undone++;
    fprintf(x->terminal.out, "undone: task %lld\n", (long long)task);
    TRY(store_lease_task(x->s, o->labeller, task, o->seed, o->lease_ms, &x->lease, err));
    x->over = false;
    return take_task(x, err);
}

int label_parse_ranks(const char *text, int n, int *rank) {
    int found = 0;
    for (const char *p = text; *p; p++) {
        if (*p == ' ' || *p == ',' || *p == '\t') continue;
        if (*p < '1' || *p > '9' || found == n) return 0;
        rank[found++] = *p - '0';
    }
    return found == n;
}

static char *trim(char *line) {
    size_t n = strlen(line);
    while (n && isspace((unsigned char)line[n - 1])) line[--n] = 0;
    while (isspace((unsigned char)*line)) line++;
    return line;
}

static status obey(session *x, char *text, error *err) {
    int rank[STORE_ANSWERS];
    const char *word = trim(text);
    char command = word[0] && !word[1] ? (char)tolower((unsigned char)word[0]) : 0;
    switch (command) {
    case 'u':
        return undo(x, err);
    case 's':
        return skip(x, err);
    case 'c':
        return record(x, VERDICT_CANNOT_JUDGE, NULL, err);
    case 'b':
        return record(x, VERDICT_ALL_BAD, NULL, err);
    case 'q':
        x->over = true;
        return STATUS_OK;
    case '?':
    case 'h':
        show_help(x);
        return STATUS_OK;
    default:
        break;
    }
    if (label_parse_ranks(word, x->task.n_answer, rank)) return record(x, VERDICT_RANKED, rank, err);
    fprintf(x->terminal.out, "%d digits are wanted, one for each answer; ? tells more\n", x->task.n_answer);
    return STATUS_OK;
}

/* Where nothing is open from the start, the last ranking can still be taken back. */
static status offer_undo(session *x, error *err) {
    char line[LINE];
    uint8_t last[STORE_UUID];
    int64_t task;
    bool found;
    TRY(store_last_ranking(x->s, x->options->labeller, last, &task, &found, err));
    if (!found) return STATUS_OK;
    fprintf(x->terminal.out, "u undoes your last ranking, q quits > ");
    fflush(x->terminal.out);
    terminal_event event;
    while ((event = terminal_read(&x->terminal, (int)(x->options->lease_ms / 3), line)) == TERMINAL_TIMEOUT)
        ;
    if (event == TERMINAL_STOP) return error_set(err, STATUS_INTERRUPTED, "stopped");
    return event == TERMINAL_LINE && strcmp(trim(line), "u") == 0 ? undo(x, err) : STATUS_OK;
}

static status run(session *x, error *err) {
    char line[LINE];
    TRY(store_hand_back(x->s, x->options->labeller, err)); /* what a killed session held */
    TRY(next_task(x, err));
    if (x->over) TRY(offer_undo(x, err));
    while (!x->over) {
        ask(x);
        terminal_event event;
        while ((event = terminal_read(&x->terminal, (int)(x->options->lease_ms / 3), line)) ==
               TERMINAL_TIMEOUT)
            TRY(store_renew_lease(x->s, x->lease.uuid, x->options->lease_ms, err));
        if (event == TERMINAL_STOP)
            return error_set(err, STATUS_INTERRUPTED, "stopped; what was recorded stays");
        if (event == TERMINAL_END) break;
        TRY(obey(x, line, err));
    }
    return STATUS_OK;
}

status label_rank(store *s, const label_rank_options *options, int64_t *n, error *err) {
    session x = {.s = s, .options = options};
    terminal_open(&x.terminal, options->in, options->out);
    status result = run(&x, err);
    status back = hand_back(&x, result == STATUS_OK ? err : NULL);
    fprintf(options->out, "\n%lld recorded", (long long)x.n);
    fprintf(options->out, x.undone ? ", %lld undone\n" : "\n", (long long)x.undone);
    fflush(options->out);
    if (n) *n = x.n - x.undone;
    store_task_free(&x.task);
    terminal_close(&x.terminal);
    free(x.skipped);
    return result == STATUS_OK ? back : result;
}
