#include "rlhf/choice_results.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

const char *const choice_norm_name[CHOICE_NORMS] = {"raw", "per_token", "per_byte"};

/* ---- figures ---- */

/* 1 / m where the right choice is among the m longest, else 0. */
static double longest_is_right(const question *q) {
    size_t most = 0;
    int ties = 0;
    for (int i = 0; i < q->n_choice; i++) {
        size_t len = strlen(question_choice(q, i));
        ties = len > most ? 1 : ties + (len == most);
        if (len > most) most = len;
    }
    return strlen(question_choice(q, q->label)) == most ? 1.0 / ties : 0;
}

void choice_results_begin(choice_results *r, const questions *asked, const int32_t *index, int n) {
    r->n = n;
    r->n_file = asked->n;
    r->chance = r->longest = 0;
    for (int i = 0; i < n; i++) {
        r->chance += 1.0 / asked->list[index[i]].n_choice / n;
        r->longest += longest_is_right(&asked->list[index[i]]) / n;
    }
}

static int best_choice(const double *logprob, const int *divisor, int n) {
    int best = 0;
    for (int i = 1; i < n; i++) {
        double a = divisor ? logprob[i] / divisor[i] : logprob[i],
               b = divisor ? logprob[best] / divisor[best] : logprob[best];
        if (a > b) best = i;
    }
    return best;
}

status choice_results_add(choice_results *r, const questions *asked, const int32_t *index, const char *model,
                          int shots, int n_cut, const double *logprob, const int *length, const int *bytes,
                          error *err) {
    const int *const divisor[CHOICE_NORMS] = {NULL, length, bytes};
    choice_result *to = &r->result[r->n_result++];
    *to = (choice_result){.model = model, .shots = shots, .n_cut = n_cut};
    for (int norm = 0; norm < CHOICE_NORMS; norm++) {
        to->right[norm] = calloc((size_t)r->n, 1);
        if (!to->right[norm]) return error_memory(err, "results");
        for (int i = 0, at = 0; i < r->n; i++) {
            const question *q = &asked->list[index[i]];
            const int *by = divisor[norm] ? divisor[norm] + at : NULL;
            to->right[norm][i] = best_choice(logprob + at, by, q->n_choice) == q->label;
            at += q->n_choice;
        }
    }
    return STATUS_OK;
}

void choice_results_free(choice_results *r) {
    for (int i = 0; i < r->n_result; i++)
        for (int norm = 0; norm < CHOICE_NORMS; norm++) free(r->result[i].right[norm]);
    free(r->result);
    *r = (choice_results){0};
}

interval choice_accuracy(const choice_results *r, const choice_result *of, choice_norm norm) {
    int n = 0;
    for (int i = 0; i < r->n; i++) n += of->right[norm][i];
    return interval_wilson((double)n / r->n, r->n);
}

/* The first model's result with as many shots: results stand by model, each with the same list of shots. */
static const choice_result *first_of(const choice_results *r, const choice_result *of) {
    return &r->result[(of - r->result) % r->n_shots];
}

interval choice_difference(const choice_results *r, const choice_result *of, choice_norm norm) {
    const char *a = of->right[norm], *b = first_of(r, of)->right[norm];
    interval_pairs pairs = {0};
    for (int i = 0; i < r->n; i++) {
        pairs.both += a[i] && b[i];
        pairs.first += a[i] && !b[i];
        pairs.second += !a[i] && b[i];
        pairs.neither += !a[i] && !b[i];
    }
    return interval_paired_difference(&pairs);
}

/* ---- as a table ---- */

enum { CELL = 22 };

static void put_cell(buffer *out, interval v, const char *format) {
    char text[64];
    snprintf(text, sizeof text, format, 100 * v.value, 100 * v.low, 100 * v.high);
    buffer_format(out, "  %-*s", CELL, text);
}

static void end_line(buffer *out) {
    while (out->len && out->data[out->len - 1] == ' ') out->len--;
    buffer_string(out, "\n");
}

static void put_row(const choice_results *r, const choice_result *of, int width, const char *format,
                    interval (*figure)(const choice_results *, const choice_result *, choice_norm),
                    buffer *out) {
    buffer_format(out, "%-*s  %5d", width, of->model, of->shots);
    for (int norm = 0; norm < CHOICE_NORMS; norm++) put_cell(out, figure(r, of, (choice_norm)norm), format);
    end_line(out);
}

static void put_head(int width, buffer *out) {
    buffer_format(out, "%-*s  %5s  %-*s  %-*s  %s\n", width, "model", "shots", CELL, "raw", CELL, "per token",
                  "per byte");
}

static void put_notes(const choice_results *r, buffer *out) {
    for (int i = 0; i < r->n_result; i++)
        if (r->result[i].n_cut)
            buffer_format(out, "%s, %d shots: %d of %d contexts were cut from the left to fit the model's.\n",
                          r->result[i].model, r->result[i].shots, r->result[i].n_cut, r->n);
}

void choice_results_table(const choice_results *r, buffer *out) {
    int width = (int)strlen("longest choice");
    for (int i = 0; i < r->n_result; i++)
        if ((int)strlen(r->result[i].model) > width) width = (int)strlen(r->result[i].model);
    buffer_format(out, "%s: %d of %d questions, seed %" PRIu64 ", form \"%s\"\n", r->file, r->n, r->n_file,
                  r->seed, r->form);
    buffer_string(out, "Right answers in %, with Wilson's 95 % interval\n\n");
    put_head(width, out);
    for (int i = 0; i < r->n_result; i++)
        put_row(r, &r->result[i], width, "%5.1f (%.1f to %.1f)", choice_accuracy, out);
    buffer_format(out, "%-*s  %5s  %5.1f\n", width, "chance", "", 100 * r->chance);
    buffer_format(out, "%-*s  %5s", width, "longest choice", "");
    put_cell(out, interval_wilson(r->longest, r->n), "%5.1f (%.1f to %.1f)");
    end_line(out);
    if (r->n_model > 1) {
        buffer_format(out,
                      "\nPoints above %s on the same questions, with Newcombe's paired 95 %% interval\n\n",
                      r->result[0].model);
        put_head(width, out);
    }
    for (int i = r->n_shots; i < r->n_result; i++)
        put_row(r, &r->result[i], width, "%+5.1f (%+.1f to %+.1f)", choice_difference, out);
    put_notes(r, out);
}

/* ---- as JSON ---- */

static void put_interval(buffer *out, const char *name, interval v) {
    buffer_format(out, ",\"%s\":{\"value\":", name);
    buffer_json_double(out, v.value);
    buffer_string(out, ",\"low\":");
    buffer_json_double(out, v.low);
    buffer_string(out, ",\"high\":");
    buffer_json_double(out, v.high);
    buffer_string(out, "}");
}

static void put_result(const choice_results *r, const choice_result *of, buffer *out) {
    buffer_string(out, "{\"model\":");
    buffer_json_string(out, of->model, strlen(of->model));
    buffer_format(out, ",\"shots\":%d,\"cut\":%d", of->shots, of->n_cut);
    for (int norm = 0; norm < CHOICE_NORMS; norm++)
        put_interval(out, choice_norm_name[norm], choice_accuracy(r, of, (choice_norm)norm));
    for (int norm = 0; norm < CHOICE_NORMS && of >= r->result + r->n_shots; norm++) {
        char name[32];
        snprintf(name, sizeof name, "%s_difference", choice_norm_name[norm]);
        put_interval(out, name, choice_difference(r, of, (choice_norm)norm));
    }
    buffer_string(out, "}");
}

void choice_results_json(const choice_results *r, buffer *out) {
    buffer_string(out, "{\"file\":");
    buffer_json_string(out, r->file, strlen(r->file));
    buffer_format(out, ",\"questions\":%d,\"of\":%d,\"seed\":%" PRIu64 ",\"form\":", r->n, r->n_file,
                  r->seed);
    buffer_json_string(out, r->form, strlen(r->form));
    buffer_string(out, ",\"chance\":");
    buffer_json_double(out, r->chance);
    put_interval(out, "longest_choice", interval_wilson(r->longest, r->n));
    buffer_string(out, ",\"results\":[");
    for (int i = 0; i < r->n_result; i++) {
        buffer_string(out, i ? "," : "");
        put_result(r, &r->result[i], out);
    }
    buffer_string(out, "]}\n");
}
