/* rlhf chat: talking with a model, at a terminal or through a pipe. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "datasets/label/arguments.h"
#include "rlhf/chat_input.h"
#include "rlhf/commands.h"
#include "rlhf/conversation.h"
#include "rlhf/speech.h"

/* ---- the chat ---- */

typedef struct chat {
    language_model lm;
    conversation talk;
    speech speech;
    chat_input in;
    int is_terminal; /* both ends are */
} chat;

static int read_line(chat *c) {
    if (c->is_terminal) {
        fputs("> ", stdout);
        fflush(stdout);
    }
    if (chat_input_read(&c->in)) return 1;
    if (c->is_terminal) puts("");
    return 0;
}

static status answer(chat *c, error *err) {
    int done = 0;
    int32_t token;
    while (!done && !chat_input_stops()) {
        TRY(conversation_next(&c->talk, &token, &done, err));
        TRY(speech_token(&c->speech, token, err));
    }
    TRY(speech_end(&c->speech, err));
    if (!done) fputs("(stopped)\n", stderr);
    return conversation_end(&c->talk, err);
}

/* A message that cannot be read is told, and the chat goes on. */
static status say(chat *c, error *err) {
    error told = {0};
    status s = conversation_ask(&c->talk, c->in.line.data, &told);
    if (s == STATUS_DATA) {
        fprintf(stderr, "(%s)\n", told.message);
        return STATUS_OK;
    }
    if (s != STATUS_OK) return error_set(err, s, "%s", told.message);
    if (c->talk.dropped)
        fprintf(stderr,
                "(the context is full: the model no longer sees the oldest %d of your messages and their "
                "answers)\n",
                c->talk.dropped);
    return answer(c, err);
}

static status talk(chat *c, error *err) {
    while (chat_input_stops() < 2 && read_line(c)) {
        const char *line = c->in.line.len ? c->in.line.data : "";
        line += strspn(line, " \t");
        if (strcmp(line, "/quit") == 0) break;
        if (strcmp(line, "/reset") == 0) {
            conversation_reset(&c->talk);
            if (c->is_terminal) puts("(a new chat)");
        } else if (line[0] == '/')
            fprintf(stderr, "(there are /reset and /quit)\n");
        else if (line[0])
            TRY(say(c, err));
        if (chat_input_stops() == 1) chat_input_forget_stops();
    }
    return STATUS_OK;
}

static void greet(const chat *c, const char *directory) {
    const model_config *shape = model_get_config(c->lm.model);
    if (!c->is_terminal) return;
    printf("%s: %.1fM parameters, context %d tokens, template %s.\n"
           "/reset begins a new chat, /quit ends; Ctrl-C stops an answer.\n",
           directory, (double)model_count_parameters(shape) / 1e6, shape->context,
           template_name(c->lm.session.chat));
}

/* ---- the command ---- */

typedef struct chat_options {
    const char *model, *dtype, *template, *system, *format;
    double temperature, top_p;
    int64_t max_tokens, seed, threads, top_k;
    bool greedy;
} chat_options;

static status open_and_talk(chat *c, const chat_options *o, error *err) {
    sampling how = {.temperature = (float)o->temperature,
                    .greedy = o->greedy,
                    .top_k = (int)o->top_k,
                    .top_p = (float)o->top_p,
                    .key = random_make_key((uint64_t)o->seed, RANDOM_SAMPLE, 0, 0)};
    TRY(language_model_open(o->model, (int)o->threads, o->dtype, o->template, o->system, &c->lm, err));
    TRY(conversation_open(&c->lm, &how, (int)o->max_tokens, o->format, &c->talk, err));
    c->speech = (speech){.tok = c->lm.session.tok, .out = stdout};
    c->is_terminal = isatty(STDIN_FILENO) && isatty(STDOUT_FILENO);
    TRY(chat_input_open(&c->in, err));
    greet(c, o->model);
    return talk(c, err);
}

static void close_chat(chat *c) {
    conversation_close(&c->talk);
    language_model_close(&c->lm);
    speech_free(&c->speech);
    chat_input_close(&c->in);
}

static status run_chat(const command_line *line, void *options, error *err) {
    const chat_options *o = options;
    chat c = {0};
    TRY(need_argument(line, "--model", o->model, err));
    if (o->format && !strstr(o->format, "{}"))
        return error_set(err, STATUS_USAGE, "chat: --format is \"%s\", must hold {} where each line goes",
                         o->format);
    status s = open_and_talk(&c, o, err);
    close_chat(&c);
    return s;
}

status chat_command(int argc, char **argv, error *err) {
    chat_options o = {.temperature = 1, .top_p = 1, .max_tokens = 256, .seed = 1};
    const argument arguments[] = {
        {"--model", ARGUMENT_TEXT, &o.model, 0, 0},
        {"--temperature", ARGUMENT_NUMBER, &o.temperature, 0.01, 100},
        {"--greedy", ARGUMENT_FLAG, &o.greedy, 0, 0},
        {"--top-k", ARGUMENT_INT, &o.top_k, 0, 1e9},
        {"--top-p", ARGUMENT_NUMBER, &o.top_p, 1e-6, 1},
        {"--max-tokens", ARGUMENT_INT, &o.max_tokens, 1, 1e9},
        {"--seed", ARGUMENT_INT, &o.seed, 0, 9e15},
        {"--system", ARGUMENT_TEXT, &o.system, 0, 0},
        {"--template", ARGUMENT_TEXT, &o.template, 0, 0},
        {"--format", ARGUMENT_TEXT, &o.format, 0, 0},
        {"--dtype", ARGUMENT_TEXT, &o.dtype, 0, 0},
        {"--threads", ARGUMENT_INT, &o.threads, 0, 1024},
    };
    command_line line = {
        .command = "chat",
        .example = "--model runs/sft/model",
        .usage =
            "usage: rlhf chat --model DIR [options]\n"
            "  Talks with a model: each line of standard input is a message. /reset begins a new chat,\n"
            "  /quit or the end of the input ends it, Ctrl-C stops an answer.\n"
            "  --temperature T   (1)\n"
            "  --greedy          the likeliest token each time\n"
            "  --top-k N         only the likeliest N tokens; 0: all (0)\n"
            "  --top-p P         only the likeliest tokens that together have P (1)\n"
            "  --max-tokens N    of an answer (256)\n"
            "  --seed N          the same messages get the same answers (1)\n"
            "  --system TEXT     system prompt\n"
            "  --template NAME   plain (Human and Assistant), chatml, llama3 ... (as the tokenizer says)\n"
            "  --format TEXT     no chat: each line is a prompt of its own, as TEXT with {} for the line\n"
            "                    and \\n for a newline. The demo's models want 'Q: {}\\nA:'\n"
            "  --dtype NAME      computes in f32 or bf16 (f32)\n"
            "  --threads N       0: all (0)",
        .arguments = arguments,
        .n = sizeof arguments / sizeof *arguments};
    return run_with_arguments(&line, argc, argv, run_chat, &o, err);
}
