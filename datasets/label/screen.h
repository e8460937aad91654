/* datasets/label/screen: texts of strangers on a terminal. Nothing in them can move the cursor, change a
   colour, turn the direction of writing, hide, or pass for a line of ours. */
#ifndef RLHF_LABEL_SCREEN_H
#define RLHF_LABEL_SCREEN_H

#include <stddef.h>

#include "core/base/buffer.h"

/* Columns of the terminal behind fd; 80 where it is none. */
int screen_width(int fd);
/* Appends the text in lines of at most `width` columns, each behind the prefix (columns of its own). Control
   characters and invisible ones are shown by name, escape sequences so lose their power; bytes that are no
   UTF-8 as U+FFFD. */
void screen_text(buffer *out, const char *prefix, int width, const char *text, size_t len);
/* Appends the one character at text, len > 0, shown in the same way (a newline too is shown by name), and
   returns its length in bytes. */
size_t screen_character(buffer *out, const char *text, size_t len);

#endif
