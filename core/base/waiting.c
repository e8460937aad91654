#include "core/base/waiting.h"

#include <stdlib.h>
#include <unistd.h>

void waiting_make_passive(char **argv) {
    if (getenv("OMP_WAIT_POLICY") || getenv("GOMP_SPINCOUNT")) return;
    if (setenv("OMP_WAIT_POLICY", "passive", 1) == 0) execv("/proc/self/exe", argv);
    /* Without a second start the threads spin: slower beside other work, the same bytes. */
}
