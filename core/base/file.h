/* core/base/file: whole files in, whole files out. What is written appears by one rename after its bytes
   reached the disk, or not at all; a kill leaves at most a name ending in FILE_TEMPORARY. */
#ifndef RLHF_BASE_FILE_H
#define RLHF_BASE_FILE_H

#include <stdint.h>
#include <stdio.h>

#include "core/base/buffer.h"
#include "core/base/error.h"

#define FILE_TEMPORARY ".tmp-rlhf"

/* Reads the file into out (replaced). STATUS_DATA when it is missing, unreadable or longer than limit bytes.
 */
status file_read(const char *path, size_t limit, buffer *out, error *err);

/* Writes the file whole: temporary name, write, sync, rename, sync of the directory. A link stays, and the
   file that it leads to is written. On failure (STATUS_FAILED, the path and the system's reason) the old file
   is untouched and the temporary is removed; a device or a pipe is refused, as it would be replaced. */
status file_write(const char *path, const void *data, size_t len, error *err);

/* The same in pieces: begin, any number of puts, then commit (the file appears) or abandon. A failed put is
   remembered and reported by commit, which then abandons. After commit or abandon the writer is empty.
   file_begin_output: to standard output instead, which commit flushes; that whoever reads a pipe had enough
   (failed is EPIPE) is no failure. */
typedef struct file_writer {
    FILE *stream;
    char *path, *temporary; /* NULL: standard output */
    uint64_t bytes;         /* put so far */
    int failed;             /* errno of the first failure */
} file_writer;
status file_begin(file_writer *w, const char *path, error *err);
void file_begin_output(file_writer *w);
void file_put(file_writer *w, const void *data, size_t len);
status file_commit(file_writer *w, error *err);
void file_abandon(file_writer *w);
/* Writes all of it, behind what was printed before, to standard output, by such a writer. */
status file_print(const void *data, size_t len, error *err);

/* At a program's beginning: gives /dev/null to standard streams that are closed, so that no file which is
   opened later gets what is meant for them. */
void file_open_standard(void);
/* At a program's end: STATUS_FAILED when anything printed to standard output was not written. */
status file_flush_output(error *err);

/* Appends to an open log-like file and syncs nothing: for metrics, which a checkpoint cuts back by offset. */
status file_append(FILE *stream, const char *path, const void *data, size_t len, error *err);

/* A directory that appears whole: begin makes a temporary one beside it (what a kill left there is removed
   first), to be filled; commit syncs and renames it, or else removes it; abandon removes it. Both free its
   name. STATUS_USAGE when the directory is there already. */
status directory_begin(const char *directory, char **temporary, error *err);
status directory_commit(char *temporary, const char *directory, error *err);
void directory_abandon(char *temporary);

int path_exists(const char *path);
int path_is_directory(const char *path);
/* "a/b" from "a" and "b"; b alone when it is absolute. Returns malloc'd text, NULL when out of memory. */
char *path_join(const char *directory, const char *name);
/* The directory part ("." when there is none), malloc'd. */
char *path_directory(const char *path);
status path_make_directories(const char *path, error *err);       /* like mkdir -p */
status path_remove_tree(const char *path, error *err);            /* a missing path is STATUS_OK */
status path_rename(const char *from, const char *to, error *err); /* and syncs the directory of `to` */
status path_sync_tree(const char *path, error *err); /* fsync of every file and directory below */
/* Names in a directory, sorted by bytes, without "." and "..". Free with path_free_list. */
status path_list(const char *directory, char ***names, int *n, error *err);
void path_free_list(char **names, int n);
/* Removes what a kill left: every entry below directory whose name ends in FILE_TEMPORARY. */
status path_remove_temporaries(const char *directory, error *err);

#endif
