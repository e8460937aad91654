#include "rlhf/speech.h"

#include <string.h>

#include "core/base/printable.h"

/* Whether more bytes could make a character of these, of which there is at least one. */
static int is_cut(const unsigned char *p, size_t len) {
    size_t n = p[0] >= 0xf0 && p[0] < 0xf5   ? 4
               : p[0] >= 0xe0 && p[0] < 0xf0 ? 3
               : p[0] >= 0xc2 && p[0] < 0xe0 ? 2
                                             : 1;
    for (size_t i = 1; i < len && i < n; i++)
        if ((p[i] & 0xc0) != 0x80) return 0;
    return len < n;
}

static int is_space(char c) { return c == ' ' || c == '\n' || c == '\t' || c == '\r'; }

/* Moves characters from pending to shown; all: also one that is cut. */
static void show(speech *s, int all) {
    buffer *b = &s->pending;
    size_t at = 0;
    while (at < b->len && (all || !is_cut((unsigned char *)b->data + at, b->len - at))) {
        char c = b->data[at];
        if (!s->begun && is_space(c)) {
            at++;
            continue;
        }
        s->begun = 1;
        if (c == '\n' || c == '\t')
            buffer_string(&s->shown, b->data[at++] == '\n' ? "\n" : "    ");
        else {
            printable p = printable_character(b->data + at, b->len - at);
            buffer_append(&s->shown, p.bytes, p.len);
            at += p.used;
        }
    }
    if (at) memmove(b->data, b->data + at, b->len - at);
    b->len -= at;
}

static status print(speech *s, error *err) {
    TRY(buffer_check(&s->pending, err));
    TRY(buffer_check(&s->shown, err));
    size_t len = s->shown.len;
    int failed = len && fwrite(s->shown.data, 1, len, s->out) != len;
    buffer_clear(&s->shown);
    if (!failed && fflush(s->out) == 0) return STATUS_OK;
    return error_set(err, STATUS_FAILED, "the answer cannot be written");
}

status speech_token(speech *s, int32_t token, error *err) {
    size_t len;
    const char *bytes = tokenizer_token_bytes(s->tok, token, &len);
    if (!tokenizer_is_special(s->tok, token) && len) buffer_append(&s->pending, bytes, len);
    show(s, 0);
    return print(s, err);
}

status speech_end(speech *s, error *err) {
    show(s, 1);
    s->begun = 0;
    buffer_string(&s->shown, "\n");
    return print(s, err);
}

void speech_free(speech *s) {
    buffer_free(&s->pending);
    buffer_free(&s->shown);
}
