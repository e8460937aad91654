/* rlhf/chat_input: messages from standard input, and Ctrl-C. One for the process, as its signals are. */
#ifndef RLHF_RLHF_CHAT_INPUT_H
#define RLHF_RLHF_CHAT_INPUT_H

#include "core/base/buffer.h"

typedef struct chat_input {
    buffer pending; /* read, not yet asked for */
    buffer line;    /* without its newline */
    int ended;
} chat_input;

/* From now on SIGINT counts one stop, SIGTERM two, instead of ending the process; a third does end it. */
status chat_input_open(chat_input *in, error *err);
void chat_input_close(chat_input *in);

/* Waits for a line: 1, in->line. 0: the end of the input, or a stop. */
int chat_input_read(chat_input *in);
int chat_input_stops(void);
void chat_input_forget_stops(void);

#endif
