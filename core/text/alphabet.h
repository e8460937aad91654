/* core/text/alphabet: GPT-2's letters for bytes. A vocabulary file is text, tokens are bytes: each of the
   256 bytes has a printable character that stands for it there, itself where it is printable, else one from
   U+0100 on. */
#ifndef RLHF_TEXT_ALPHABET_H
#define RLHF_TEXT_ALPHABET_H

#include <stddef.h>
#include <stdint.h>

#include "core/base/buffer.h"

/* The i-th byte in the order of the letters: GPT-2's vocabulary begins with the bytes in this order. 0 <= i
   < 256. */
uint8_t alphabet_byte(int i);
/* Appends the letters of len bytes. */
void alphabet_write(buffer *out, const void *bytes, size_t len);
/* Appends the bytes of len bytes of letters. 0, and out as it was, when something in them is no letter. */
int alphabet_read(buffer *out, const char *letters, size_t len);

#endif
