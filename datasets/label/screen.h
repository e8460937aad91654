/* datasets/label/screen: texts of strangers on a terminal, wrapped and printable (core/base/printable.h), and
   none of their lines can pass for one of ours. */
#ifndef RLHF_LABEL_SCREEN_H
#define RLHF_LABEL_SCREEN_H

#include <stddef.h>

#include "core/base/buffer.h"

/* Columns of the terminal behind fd; 80 where it is none. */
int screen_width(int fd);
/* Appends the text in lines of at most `width` columns, each behind the prefix (columns of its own). */
void screen_text(buffer *out, const char *prefix, int width, const char *text, size_t len);

#endif
