/* core/base/printable: texts of strangers where people read them, on a terminal or in a log. Nothing in them
   can move the cursor, change a colour, turn the direction of writing or hide. */
#ifndef RLHF_BASE_PRINTABLE_H
#define RLHF_BASE_PRINTABLE_H

#include <stddef.h>
#include <stdio.h>

/* How one character is shown. */
typedef struct printable {
    char bytes[16]; /* [len] */
    size_t len;
    int columns; /* of a terminal */
    size_t used; /* bytes of the text that it stands for */
} printable;

/* The character at text, len > 0: control characters (a newline too) as their pictures, invisible ones by
   their numbers, a byte that belongs to no character of UTF-8 as U+FFFD. */
printable printable_character(const char *text, size_t len);
/* Writes a text so; newlines and tabs stand as they are. */
void printable_write(FILE *out, const char *text);
/* The same, further lines indented: nothing that a message quotes passes for a message of its own. */
void printable_write_message(FILE *out, const char *text);

#endif
