"""Writes the outputs that docs/by-hand.md shows again: by_hand.py DOCUMENT OUTPUT, called by test_by_hand.sh when
RLHF_WRITE_DOCS is set. Each line of a block takes the place of the line of the same form that the commands above it
printed; what is cut by "..." stays cut, what was typed stays. The document changes as a whole or not at all."""
import difflib
import os
import re
import sys


def form(line):
    """What is left of a line without its numbers, hashes and spacing."""
    line = re.sub(r"[0-9a-f-]{8,}", "H", line)
    line = re.sub(r"[0-9][0-9.,:]*", "N", line)
    return re.sub(r"\s+", " ", line).rstrip()


def sections(output):
    """The printed lines of each block of commands, from 1."""
    out = [[]]
    for line in output.splitlines():
        line = re.sub(r"\x1b\[[0-9]*m|\r", "", line).rstrip()
        if re.fullmatch(r"=== \d+", line):
            out.append([])
        elif not line.startswith("+ "):
            out[-1] += [line.partition("? > ")[2]] if "? > " in line else [line]
    return out


def cut_like(line, shown):
    """The printed line, shortened where the shown one was."""
    kept, dots, _ = shown.partition("...")
    if not dots:
        return line
    if kept != kept.rstrip():
        words = re.match(r"\s*" + r"\S+\s+" * (len(kept.split()) - 1) + r"\S+", line)
        return (words.group(0) if words else line) + " ..."
    return line[: len(kept)] + "..."


def likeness(a, b):
    return difflib.SequenceMatcher(None, a, b, autojunk=False).ratio()


def find(printed, start, shown):
    """Index, from start on, of the line most like the shown one; lines of its form come first."""
    kept = shown.partition("...")[0]
    here = range(start, len(printed))
    alike = [i for i in here if form(printed[i]).startswith(form(kept))]
    best = max(alike or here, key=lambda i: (likeness(printed[i][: len(kept)], kept), -i), default=None)
    if best is None or (not alike and likeness(printed[best], kept) < 0.3):
        sys.exit(f"nothing was printed that looks like: {shown}")
    return best


def rewrite(document, output):
    printed, done, block, n, at = sections(output), [], None, 0, 0
    for line in document.splitlines():
        if line.startswith("```"):
            block = line[3:] or "plain" if block is None else None
            if block == "sh":
                n, at = n + 1, 0
        elif block in ("text", "plain", "console") and line not in ("", "...") and "? > " not in line:
            i = find(printed[n], at, line)
            line, at = cut_like(printed[n][i], line), i + 1
        done.append(line)
    return "\n".join(done) + "\n"


path, output = sys.argv[1:3]
with open(path, encoding="utf-8") as document, open(output, encoding="utf-8", errors="replace") as printed:
    text = rewrite(document.read(), printed.read())
with open(path + ".new", "w", encoding="utf-8") as file:
    file.write(text)
os.replace(path + ".new", path)
