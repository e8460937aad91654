#!/usr/bin/env python3
"""Prints core/text/nfc_table.c from Python's Unicode data: make_nfc_table.py > nfc_table.c"""
import sys
import unicodedata as u

WIDTH = 108


def rows(items):
    line = "   "
    for item in items:
        if len(line) + 1 + len(item) > WIDTH:
            yield line
            line = "   "
        line += " " + item
    yield line


def table(declaration, items):
    items = list(items)
    print(f"\n{declaration}[] = {{")
    print("\n".join(rows(f"{item}," for item in items)))
    print("};")
    return len(items)


def class_ranges():
    ranges = []
    for c in range(sys.maxunicode + 1):
        k = u.combining(chr(c))
        if not k:
            continue
        if ranges and ranges[-1][1] == c - 1 and ranges[-1][2] == k:
            ranges[-1][1] = c
        else:
            ranges.append([c, c, k])
    return ranges


def decompositions():
    for c in range(sys.maxunicode + 1):
        d = u.decomposition(chr(c))
        if d and not d.startswith("<"):
            parts = [int(x, 16) for x in d.split()] + [0]
            yield c, parts[0], parts[1]


def active_ranges(seconds):
    """Characters that NFC may change, move, or compose with what stands before them."""
    hangul = set(range(0x1161, 0x1176)) | set(range(0x11A8, 0x11C3))
    ranges = []
    for c in range(sys.maxunicode + 1):
        if not (u.combining(chr(c)) or c in seconds or c in hangul or u.normalize("NFC", chr(c)) != chr(c)):
            continue
        if ranges and ranges[-1][1] == c - 1:
            ranges[-1][1] = c
        else:
            ranges.append([c, c])
    return ranges


found = list(decompositions())
# A pair composes again unless Unicode excludes it: then the normal form is not the character itself.
pairs = [i for i, (c, a, b) in enumerate(found) if b and u.normalize("NFC", chr(c)) == chr(c)]
pairs.sort(key=lambda i: found[i][1:])
print(f"""#include "core/text/nfc.h"

/* Unicode {u.unidata_version}, printed by core/text/make_nfc_table.py. Hangul is computed instead. */

/* clang-format off */""")
n = table("const nfc_class_range nfc_classes", (f"{{{a},{b},{k}}}" for a, b, k in class_ranges()))
print(f"const int nfc_n_class = {n};")
n = table("const nfc_decomposition nfc_decompositions", (f"{{{c},{a},{b}}}" for c, a, b in found))
print(f"const int nfc_n_decomposition = {n};")
n = table("const uint16_t nfc_compositions", map(str, pairs))
print(f"const int nfc_n_composition = {n};")
n = table("const nfc_range nfc_active", (f"{{{a},{b}}}" for a, b in active_ranges({found[i][2] for i in pairs})))
print(f"const int nfc_n_active = {n};")
