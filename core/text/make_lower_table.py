#!/usr/bin/env python3
"""Prints core/text/lower_table.c from Python's Unicode data: make_lower_table.py > lower_table.c"""
import sys
import unicodedata

WIDTH = 108


def pairs():
    for c in range(sys.maxunicode + 1):
        if 0xD800 <= c <= 0xDFFF:
            continue
        lower = chr(c).lower()
        if lower != chr(c) and len(lower) == 1:
            yield c, ord(lower)


# Runs of characters at the same distance from each other and from their lower case: [first, last, step, delta].
runs = []
for c, lower in pairs():
    delta = lower - c
    last = runs[-1] if runs else None
    if last and last[3] == delta and (c - last[1] == last[2] or (last[0] == last[1] and c - last[1] <= 2)):
        last[2] = c - last[1]
        last[1] = c
    else:
        runs.append([c, c, 1, delta])

print(f"""#include "core/text/normalize.h"

/* Unicode {unicodedata.unidata_version}, printed by core/text/make_lower_table.py. U+0130 becomes two characters and stands in
   normalize.c. */

/* clang-format off */

const lower_run lower_runs[] = {{""")
line = "   "
for run in runs:
    item = " {%d,%d,%d,%d}," % tuple(run)
    if len(line) + len(item) > WIDTH:
        print(line)
        line = "   "
    line += item
print(line)
print(f"}};\nconst int lower_n_run = {len(runs)};")
