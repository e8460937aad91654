/* core/base/utf8: characters in and out of bytes (RFC 3629). */
#ifndef RLHF_BASE_UTF8_H
#define RLHF_BASE_UTF8_H

#include <stddef.h>
#include <stdint.h>

#include "core/base/buffer.h"

/* The character at text, len > 0, and its length in bytes; -1 (*step 1) when there is no valid one:
   overlong forms, surrogates and what is above U+10FFFF are not. */
int32_t utf8_read(const char *text, size_t len, size_t *step);
/* Bytes, at most 4, written to out. */
size_t utf8_bytes(int32_t character, char *out);
void utf8_write(buffer *out, int32_t character);
/* Where the last character of text begins, len > 0; a byte that belongs to none stands for itself. */
size_t utf8_last(const char *text, size_t len);
/* Bytes at the beginning of text that are valid, or (valid 0) that are not. */
size_t utf8_prefix(const char *text, size_t len, int valid);
/* The length of text cut to at most so many bytes, between two characters: for messages. */
int utf8_cut(const char *text, size_t len, int most);
/* Unicode's White_Space. */
int utf8_is_space(int32_t character);

#endif
