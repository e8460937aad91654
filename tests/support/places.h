/* tests/support/places: where tests find and leave files. */
#ifndef RLHF_TESTS_PLACES_H
#define RLHF_TESTS_PLACES_H

#include "core/base/buffer.h"

/* cmocka's setup and teardown of a test: *state is the path (char *) of a fresh, empty directory. */
int directory_setup(void **state);
int directory_teardown(void **state);

/* "DIRECTORY/NAME" in memory that the next 31 calls leave alone. */
const char *path_in(const char *directory, const char *name);

/* The path of a file of the shared data (RLHF_SHARED, else ../shared), which is no part of the project. Skips
   the test with a word when it is not there. Kept like path_in's. */
const char *shared_path(const char *name);

/* The path of a published model (RLHF_MODELS, filled by tests/real/fetch.sh). Skips the test with a word when
   it is not there. Kept like path_in's. */
const char *model_path(const char *name);

/* Skips the test with a word where the machine has no pseudo-terminals (a container without /dev/pts). */
void terminal_needed(void);

/* Lets this process write files of at most so many bytes, as a disk that is full would; disk_is_free ends
 * that. */
void disk_holds(size_t bytes);
void disk_is_free(void);

/* The whole file, or the test fails. Release with buffer_free. */
buffer read_all(const char *path);
/* Fails the test where a file is there that nobody may write (shared data), even for root. */
void write_all(const char *path, const void *data, size_t len);

#endif
