/* datasets/store/chat: prompts as the store keeps them: canonical chats, and the split that follows from the
   opening turn. Readers of other data use the same rule, so that a validation prompt is one everywhere. */
#ifndef RLHF_STORE_CHAT_H
#define RLHF_STORE_CHAT_H

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>

#include "core/base/buffer.h"
#include "core/base/error.h"
#include "core/base/hash.h"

/* Appends an array of messages as canonical JSON: [{"role":"user","content":"..."}], no spaces, only these
   two keys, one spelling of each string. Roles: system, user, assistant. STATUS_DATA "PLACE: message 2: ..."
   otherwise. */
status chat_canonical(const json_t *messages, const char *place, buffer *out, error *err);
/* The same, and the last message must be of the user. */
status chat_canonical_prompt(const json_t *messages, const char *place, buffer *out, error *err);

/* SHA-256 of the opening turn: the whole text of a text prompt, the content of a chat's first user message.
 */
status prompt_opening(bool chat, const char *body, size_t len, hash *out, error *err);
/* "valid" (2 of 16), "test" (1 of 16) or "train", by the hash's first hexadecimal digit. */
const char *split_of_opening(const hash *opening);
/* "train", "valid" and "test" alone are splits. */
bool split_is_known(const char *name);

#endif
