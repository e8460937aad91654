/* core/text/nfc: Unicode's normalization form C (UAX #15), which some tokenizers put first. */
#ifndef RLHF_TEXT_NFC_H
#define RLHF_TEXT_NFC_H

#include <stddef.h>
#include <stdint.h>

#include "core/base/buffer.h"
#include "core/text/traced.h"

/* Appends NFC(text). Bytes that are not UTF-8 stay as they are, and nothing is moved across them. What was
   changed comes from the whole run of characters that changed each other. */
status nfc_normalize(stretch text, traced *out, error *err);

/* The tables of nfc_table.c, which make_nfc_table.py prints. */
typedef struct nfc_class_range {
    int32_t first, last; /* characters */
    uint8_t class;       /* canonical combining class, not 0 */
} nfc_class_range;

typedef struct nfc_decomposition {
    int32_t character, first, second; /* second 0: there is one only */
} nfc_decomposition;

typedef struct nfc_range {
    int32_t first, last; /* characters */
} nfc_range;

extern const nfc_class_range nfc_classes[]; /* sorted by character, as is the next */
extern const int nfc_n_class;
extern const nfc_decomposition nfc_decompositions[];
extern const int nfc_n_decomposition;
extern const uint16_t
    nfc_compositions[]; /* indices of decompositions that compose again, sorted by (first, second) */
extern const int nfc_n_composition;
extern const nfc_range
    nfc_active[]; /* characters that change, move, or compose with one before them; sorted */
extern const int nfc_n_active;

#endif
