/* An external command as a judge: one process, a JSON line for each question, a JSON line back. */
#include <errno.h>
#include <fcntl.h>
#include <math.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "core/base/buffer.h"
#include "core/base/json.h"
#include "datasets/judge/internal.h"

enum { REPLY_LIMIT = 1 << 20, FAREWELL_MS = 1000, CLOSE_MS = 200, QUOTED = 300 };

typedef struct command_judge {
    judge base;
    char *command;
    double timeout_s;
    pid_t pid; /* and its group's, of it and what it started; 0: not started */
    int to, from;
    long line; /* questions asked */
    buffer question, reply;
} command_judge;

static double now(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

/* Waits for the process until then. Whether it is over, and how. It stays as what it was until close_command
   takes it off, so that its number, which is its group's, is nobody else's. */
static int is_over(const command_judge *j, double until, siginfo_t *how) {
    for (;;) {
        how->si_pid = 0;
        int failed = waitid(P_PID, (id_t)j->pid, how, WEXITED | WNOHANG | WNOWAIT);
        if (failed || how->si_pid || now() >= until) return !failed && how->si_pid;
        usleep(10000);
    }
}

/* Bytes of the question, without its end of line, that a message quotes. */
static int shown(const command_judge *j) {
    return j->question.len > QUOTED ? QUOTED : j->question.len ? (int)j->question.len - 1 : 0;
}

/* What became of a process that closed its pipe: waits for it shortly. */
static status died(command_judge *j, error *err) {
    siginfo_t how;
    int over = is_over(j, now() + 1e-3 * FAREWELL_MS, &how);
    if (over && how.si_code == CLD_EXITED)
        return error_set(err, STATUS_FAILED, "command \"%s\" ended with exit code %d at question %ld: %.*s",
                         j->command, how.si_status, j->line, shown(j), j->question.data);
    if (over)
        return error_set(err, STATUS_FAILED, "command \"%s\" was killed by signal %d at question %ld: %.*s",
                         j->command, how.si_status, j->line, shown(j), j->question.data);
    return error_set(err, STATUS_FAILED, "command \"%s\" closed its output at question %ld: %.*s", j->command,
                     j->line, shown(j), j->question.data);
}

/* Waits until the descriptor is ready. */
static status wait_ready(command_judge *j, int fd, short events, double until, error *err) {
    struct pollfd p = {.fd = fd, .events = events};
    for (;;) {
        double left = until - now();
        int n = left > 0 ? poll(&p, 1, (int)(left * 1000) + 1) : 0;
        if (n > 0) return STATUS_OK;
        if (n < 0 && errno == EINTR && left > 0) continue;
        return error_set(err, STATUS_FAILED, "command \"%s\" did not answer question %ld in %g seconds: %.*s",
                         j->command, j->line, j->timeout_s, shown(j), j->question.data);
    }
}

/* An answer too many: it would be taken for the next question's, and all later ones would be shifted. */
static status said_too_much(const command_judge *j, const char *text, size_t len, error *err) {
    size_t n = 0;
    while (n < len && n < 200 && text[n] && !strchr("\r\n", text[n])) n++;
    return error_set(
        err, STATUS_FAILED,
        "command \"%s\" wrote \"%.*s\" %s question %ld: it must write one line for each question", j->command,
        (int)n, text, j->line ? "beside its answer to" : "before it was asked", j->line ? j->line : 1);
}

/* Nothing may stand in the pipe before a question. */
static status check_nothing_said(const command_judge *j, error *err) {
    char piece[4096];
    ssize_t n = read(j->from, piece, sizeof piece);
    /* One that ended is found when it is to answer. */
    return n > 0 ? said_too_much(j, piece, (size_t)n, err) : STATUS_OK;
}

static status send_question(command_judge *j, double until, error *err) {
    for (size_t done = 0; done < j->question.len;) {
        TRY(wait_ready(j, j->to, POLLOUT, until, err));
        ssize_t n = write(j->to, j->question.data + done, j->question.len - done);
        if (n > 0)
            done += (size_t)n;
        else if (errno != EINTR && errno != EAGAIN)
            return died(j, err);
    }
    return STATUS_OK;
}

static status read_reply(command_judge *j, double until, error *err) {
    char piece[4096];
    buffer_clear(&j->reply);
    for (;;) {
        TRY(wait_ready(j, j->from, POLLIN, until, err));
        ssize_t n = read(j->from, piece, sizeof piece);
        if (n < 0 && (errno == EINTR || errno == EAGAIN)) continue;
        if (n <= 0) return died(j, err);
        buffer_append(&j->reply, piece, (size_t)n);
        if (memchr(piece, '\n', (size_t)n)) break;
        if (j->reply.len > REPLY_LIMIT)
            return error_set(err, STATUS_FAILED, "command \"%s\": the answer to question %ld has no end",
                             j->command, j->line);
    }
    TRY(buffer_check(&j->reply, err));
    const char *end = memchr(j->reply.data, '\n', j->reply.len);
    size_t len = (size_t)(end - j->reply.data), behind = j->reply.len - len - 1;
    if (behind) return said_too_much(j, end + 1, behind, err);
    if (len && j->reply.data[len - 1] == '\r') len--;
    j->reply.data[j->reply.len = len] = 0;
    return STATUS_OK;
}

static status ask(command_judge *j, json_t **reply, error *err) {
    double until = now() + j->timeout_s;
    TRY(check_nothing_said(j, err));
    j->line++;
    buffer_append(&j->question, "\n", 1);
    TRY(buffer_check(&j->question, err));
    TRY(send_question(j, until, err));
    TRY(read_reply(j, until, err));
    error why;
    if (parse_json(j->reply.data, j->reply.len, "reply", reply, &why) == STATUS_OK) return STATUS_OK;
    return error_set(err, STATUS_FAILED,
                     "command \"%s\" answered question %ld with \"%.200s\", which is not JSON", j->command,
                     j->line, j->reply.data);
}

static void begin_question(command_judge *j, const char *prompt, const char *messages) {
    buffer_clear(&j->question);
    if (messages) {
        buffer_format(&j->question, "{\"messages\":%s", messages);
        return;
    }
    buffer_string(&j->question, "{\"prompt\":");
    buffer_json_string(&j->question, prompt, strlen(prompt));
}

static status score_one(command_judge *j, const judge_item *item, float *score, error *err) {
    json_t *reply;
    begin_question(j, item->prompt, item->messages);
    buffer_string(&j->question, ",\"answer\":");
    buffer_json_string(&j->question, item->answer.data, item->answer.len);
    buffer_format(&j->question, ",\"finish\":\"%s\"", item->finished ? "stop" : "length");
    if (item->reference) {
        buffer_string(&j->question, ",\"reference\":");
        buffer_json_string(&j->question, item->reference, strlen(item->reference));
    }
    buffer_string(&j->question, "}");
    TRY(ask(j, &reply, err));
    int is_number = json_is_number(reply);
    *score = (float)json_number_value(reply);
    json_decref(reply);
    if (is_number && isfinite(*score)) return STATUS_OK;
    return error_set(err, STATUS_FAILED,
                     "command \"%s\" answered question %ld with \"%.200s\", which is no finite number",
                     j->command, j->line, j->reply.data);
}

static status score_items(judge *base, const judge_item *items, int n, float *score, error *err) {
    for (int i = 0; i < n; i++) TRY(score_one((command_judge *)base, &items[i], &score[i], err));
    return STATUS_OK;
}

static status rank_items(judge *base, const char *prompt, const char *messages, const text_span *answers,
                         int n, int *ranks, error *err) {
    command_judge *j = (command_judge *)base;
    json_t *reply;
    begin_question(j, prompt, messages);
    buffer_string(&j->question, ",\"answers\":[");
    for (int i = 0; i < n; i++) {
        if (i) buffer_string(&j->question, ",");
        buffer_json_string(&j->question, answers[i].data, answers[i].len);
    }
    buffer_string(&j->question, "]}");
    TRY(ask(j, &reply, err));
    const json_t *list = json_object_get(reply, "ranks");
    int good = json_array_size(list) == (size_t)n;
    for (int i = 0; good && i < n; i++) {
        const json_t *rank = json_array_get(list, (size_t)i);
        good = json_is_integer(rank) && json_integer_value(rank) >= 1 && json_integer_value(rank) <= 1000000;
        ranks[i] = (int)json_integer_value(rank);
    }
    json_decref(reply);
    if (good) return STATUS_OK;
    return error_set(
        err, STATUS_FAILED,
        "command \"%s\" answered question %ld with \"%.200s\", which is no {\"ranks\": [%d numbers "
        "from 1]}",
        j->command, j->line, j->reply.data, n);
}

/* Lets the command see the end of its input and waits a moment for what it still has to say, and for how it
   ends. */
static status finish_command(judge *base, error *err) {
    command_judge *j = (command_judge *)base;
    struct pollfd p = {.fd = j->from, .events = POLLIN};
    double until = now() + 1e-3 * FAREWELL_MS;
    siginfo_t how;
    close(j->to);
    j->to = -1;
    /* What it started may hold its output open: then how it ended is asked all the same. */
    if (poll(&p, 1, FAREWELL_MS) > 0) TRY(check_nothing_said(j, err));
    if (!is_over(j, until, &how) || (how.si_code == CLD_EXITED && how.si_status == 0)) return STATUS_OK;
    return error_set(
        err, STATUS_FAILED,
        "command \"%s\" %s %d after question %ld, the last one, and must end with exit code 0. Look "
        "at its answers: starting again goes on with those that were recorded",
        j->command, how.si_code == CLD_EXITED ? "ended with exit code" : "was killed by signal",
        how.si_status, j->line);
}

static void close_command(judge *base) {
    command_judge *j = (command_judge *)base;
    if (j->to >= 0) close(j->to);
    if (j->from >= 0) close(j->from);
    if (j->pid > 0) {
        /* It has seen the end of its input; one that goes on is ended, and what it started. */
        siginfo_t how;
        is_over(j, now() + 1e-3 * CLOSE_MS, &how);
        kill(-j->pid, SIGKILL);
        waitpid(j->pid, NULL, 0);
    }
    buffer_free(&j->question);
    buffer_free(&j->reply);
    free(j->command);
    free(j);
}

/* In the child: becomes the command. */
static void become(const command_judge *j, int in, int out, const char *log_path) {
    setpgid(0, 0);
    dup2(in, 0);
    dup2(out, 1);
    int log = log_path ? open(log_path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0666) : -1;
    if (log >= 0) dup2(log, 2);
    signal(SIGPIPE, SIG_DFL);
    signal(SIGINT, SIG_IGN); /* the run decides when it ends */
    execl("/bin/sh", "sh", "-c", j->command, (char *)NULL);
    _exit(127);
}

static status start(command_judge *j, const char *log_path, error *err) {
    int in[2] = {-1, -1}, out[2] = {-1, -1};
    if (pipe2(in, O_CLOEXEC) != 0 || pipe2(out, O_CLOEXEC) != 0 || (j->pid = fork()) < 0) {
        int reason = errno;
        for (int i = 0; i < 2; i++) {
            if (in[i] >= 0) close(in[i]);
            if (out[i] >= 0) close(out[i]);
        }
        j->pid = 0;
        return error_set(err, STATUS_FAILED, "cannot start command \"%s\": %s", j->command, strerror(reason));
    }
    if (j->pid == 0) become(j, in[0], out[1], log_path);
    close(in[0]);
    close(out[1]);
    j->to = in[1];
    j->from = out[0];
    fcntl(j->to, F_SETFL, O_NONBLOCK);
    fcntl(j->from, F_SETFL, O_NONBLOCK);
    return STATUS_OK;
}

status judge_open_command(const char *command, double timeout_s, int ranker, const char *log_path,
                          judge **out, error *err) {
    *out = NULL;
    if (!command || !*command) return error_set(err, STATUS_USAGE, "no command was given for the judge");
    command_judge *j = calloc(1, sizeof *j);
    if (!j) return error_memory(err, "a judge");
    j->base = (judge){.score = ranker ? NULL : score_items,
                      .rank = ranker ? rank_items : NULL,
                      .finish = finish_command,
                      .close = close_command};
    j->timeout_s = timeout_s;
    j->to = j->from = -1;
    j->command = strdup(command);
    status s = j->command ? start(j, log_path, err) : error_memory(err, "a judge");
    if (s != STATUS_OK) {
        close_command(&j->base);
        return s;
    }
    *out = &j->base;
    return STATUS_OK;
}
