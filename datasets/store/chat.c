#include "datasets/store/chat.h"

#include <string.h>

#include "core/base/json.h"

static bool role_is_known(const char *role) {
    return strcmp(role, "system") == 0 || strcmp(role, "user") == 0 || strcmp(role, "assistant") == 0;
}

static status append_message(const json_t *message, size_t i, const char *place, buffer *out, error *err) {
    const json_t *role = json_object_get(message, "role"), *content = json_object_get(message, "content");
    if (!json_is_object(message))
        return error_set(err, STATUS_DATA, "%s: message %zu must be an object, not %s", place, i + 1,
                         json_kind(message));
    if (!json_is_string(role) || !json_is_string(content))
        return error_set(err, STATUS_DATA, "%s: message %zu needs \"role\" and \"content\", both strings",
                         place, i + 1);
    if (json_string_length(role) != strlen(json_string_value(role)) ||
        !role_is_known(json_string_value(role)))
        return error_set(err, STATUS_DATA,
                         "%s: message %zu has the role \"%.40s\"; known are system, user, assistant", place,
                         i + 1, json_string_value(role));
    buffer_format(out, "%s{\"role\":\"%s\",\"content\":", i ? "," : "", json_string_value(role));
    buffer_json_string(out, json_string_value(content), json_string_length(content));
    buffer_string(out, "}");
    return STATUS_OK;
}

status chat_canonical(const json_t *messages, const char *place, buffer *out, error *err) {
    if (!json_is_array(messages) || json_array_size(messages) == 0)
        return error_set(err, STATUS_DATA, "%s: messages must be an array with at least one message, not %s",
                         place, json_is_array(messages) ? "an empty one" : json_kind(messages));
    buffer_string(out, "[");
    for (size_t i = 0; i < json_array_size(messages); i++)
        TRY(append_message(json_array_get(messages, i), i, place, out, err));
    buffer_string(out, "]");
    return buffer_check(out, err);
}

static bool is_of_user(const json_t *message) {
    const char *role = json_string_value(json_object_get(message, "role"));
    return role && strcmp(role, "user") == 0;
}

status chat_canonical_prompt(const json_t *messages, const char *place, buffer *out, error *err) {
    TRY(chat_canonical(messages, place, out, err));
    if (is_of_user(json_array_get(messages, json_array_size(messages) - 1))) return STATUS_OK;
    return error_set(err, STATUS_DATA, "%s: the prompt's last message must be of the user", place);
}

status prompt_opening(bool chat, const char *body, size_t len, hash *out, error *err) {
    if (!chat) {
        *out = hash_bytes(body, len);
        return STATUS_OK;
    }
    json_t *messages;
    TRY(parse_json(body, len, "a chat", &messages, err));
    status result = error_set(err, STATUS_DATA, "a chat without a user's message");
    for (size_t i = 0; i < json_array_size(messages); i++) {
        const json_t *content = json_object_get(json_array_get(messages, i), "content");
        if (!is_of_user(json_array_get(messages, i)) || !json_is_string(content)) continue;
        *out = hash_bytes(json_string_value(content), json_string_length(content));
        result = STATUS_OK;
        break;
    }
    json_decref(messages);
    return result;
}

const char *split_of_opening(const hash *opening) {
    int digit = opening->byte[0] >> 4;
    return digit < 2 ? "valid" : digit < 3 ? "test" : "train";
}

bool split_is_known(const char *name) {
    return strcmp(name, "train") == 0 || strcmp(name, "valid") == 0 || strcmp(name, "test") == 0;
}
