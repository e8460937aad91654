#include <stdio.h>
#include <string.h>

#include "core/base/lineage.h"
#include "datasets/store/internal.h"

static const char *const kind_names[] = {"human", "simulated", "rule", "any"};
static const char *const verdict_names[] = {"ranked", "all_bad", "cannot_judge", "withdrawn"};

const char *labeller_kind_name(labeller_kind kind) { return kind_names[kind]; }
const char *store_verdict_name(store_verdict verdict) { return verdict_names[verdict]; }

bool labeller_kind_parse(const char *name, labeller_kind *out) {
    for (int i = 0; i <= LABELLER_ANY; i++) {
        if (strcmp(name, kind_names[i]) != 0) continue;
        *out = (labeller_kind)i;
        return true;
    }
    return false;
}

void ranks_make_dense(int *rank, int n) {
    int dense[STORE_ANSWERS];
    for (int i = 0; i < n; i++) {
        dense[i] = 1;
        for (int j = 0; j < n; j++) {
            bool first = true; /* of its value */
            for (int k = 0; k < j; k++) first = first && rank[k] != rank[j];
            dense[i] += first && rank[j] < rank[i];
        }
    }
    memcpy(rank, dense, (size_t)n * sizeof *rank);
}

char *ranks_print(const int *rank, int n, char *digits) {
    for (int i = 0; i < n; i++) digits[i] = (char)('0' + rank[i]);
    digits[n] = 0;
    return digits;
}

status uuid_make(uint8_t out[STORE_UUID], error *err) {
    char text[LINEAGE_UUID];
    TRY(lineage_make_uuid(text, err));
    uuid_parse(text, out);
    return STATUS_OK;
}

void uuid_print(const uint8_t uuid[STORE_UUID], char out[STORE_UUID_TEXT]) {
    char *p = out;
    for (int i = 0; i < STORE_UUID; i++) {
        if (i == 4 || i == 6 || i == 8 || i == 10) *p++ = '-';
        p += sprintf(p, "%02x", uuid[i]);
    }
}

static int hex_digit(char c) {
    if (c >= '0' && c <= '9') return c - '0';
    if (c >= 'a' && c <= 'f') return c - 'a' + 10;
    if (c >= 'A' && c <= 'F') return c - 'A' + 10;
    return -1;
}

bool uuid_parse(const char *text, uint8_t out[STORE_UUID]) {
    if (strlen(text) != STORE_UUID_TEXT - 1) return false;
    int n = 0;
    for (int i = 0; i < STORE_UUID_TEXT - 1; i++) {
        if (i == 8 || i == 13 || i == 18 || i == 23) {
            if (text[i] != '-') return false;
            continue;
        }
        int digit = hex_digit(text[i]);
        if (digit < 0) return false;
        out[n / 2] = (uint8_t)(n % 2 ? out[n / 2] << 4 | digit : digit);
        n++;
    }
    return true;
}
