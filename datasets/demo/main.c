/* demo-write DIRECTORY: writes the demo's texts, as they stand in datasets/demo. */
#include <stdio.h>

#include "datasets/demo/write.h"

int main(int argc, char **argv) {
    error err;
    if (argc != 2) {
        fprintf(stderr,
                "usage: demo-write DIRECTORY (writes stories.txt, demonstrations.jsonl and prompts.jsonl)\n");
        return status_exit_code(STATUS_USAGE);
    }
    if (demo_write(argv[1], &err) == STATUS_OK) return 0;
    fprintf(stderr, "demo-write: %s\n", err.message);
    return status_exit_code(err.code);
}
