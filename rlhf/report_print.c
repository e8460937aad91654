#include <math.h>
#include <string.h>

#include "rlhf/report.h"
#include "rlhf/report_read.h"

static void print_number(FILE *out, const json_t *stage, const char *key, int width, double scale,
                         int decimals, const char *unit) {
    double value = report_number(stage, key);
    if (fabs(scale * value) < 0.5 * pow(10, -decimals)) value = 0; /* no "-0.00" */
    if (isfinite(value))
        fprintf(out, "  %*.*f%s", width, decimals, scale * value, unit);
    else
        fprintf(out, "  %*s", width + (int)strlen(unit), "-");
}

status report_print(const char *rounds_directory, FILE *out, error *err) {
    json_t *summary, *stage;
    size_t i;
    TRY(report_read_summary(rounds_directory, &summary, err));
    fprintf(out, "%-10s  %6s  %7s  %6s  %6s  %8s  %8s\n", "stage", "gold", "reward", "KL", "length",
            "wins/SFT", "RM right");
    json_array_foreach(summary, i, stage) {
        fprintf(out, "%-10s", json_string_value(json_object_get(stage, "stage")));
        print_number(out, stage, "gold", 6, 1, 2, "");
        print_number(out, stage, "reward", 7, 1, 2, "");
        print_number(out, stage, "kl", 6, 1, 2, "");
        print_number(out, stage, "length", 6, 1, 1, "");
        print_number(out, stage, "win_rate_vs_sft", 7, 100, 1, "%");
        print_number(out, stage, "rm_accuracy", 7, 100, 1, "%");
        fprintf(out, "\n");
    }
    json_decref(summary);
    return STATUS_OK;
}
