#include "rlhf/report_parts.h"

#include <stdio.h>
#include <string.h>

#include "rlhf/report_html.h"

enum { SHORT_HASH = 8 }; /* digits */

/* The run whose outputs have this hash, -1: none. */
static int find_maker(const report *r, const char *sha256) {
    for (int i = 0; i < r->n_run; i++) {
        size_t j;
        json_t *made;
        json_array_foreach(json_object_get(r->run[i].lineage, "out"), j, made) {
            const char *hash = json_string_value(json_object_get(made, "sha256"));
            if (hash && strcmp(hash, sha256) == 0) return i;
        }
    }
    return -1;
}

static void append_artifact(buffer *out, const report *r, const json_t *artifact, int link) {
    const char *role = json_string_value(json_object_get(artifact, "role"));
    const char *sha256 = json_string_value(json_object_get(artifact, "sha256"));
    if (!sha256) return;
    int maker = link ? find_maker(r, sha256) : -1;
    buffer_string(out, "<li>");
    html_text(out, role ? role : "file");
    buffer_string(out, " ");
    if (maker >= 0) buffer_format(out, "<a href=\"#run-%d\">", maker);
    buffer_string(out, "<code title=\"");
    html_text(out, sha256);
    buffer_string(out, "\">");
    html_text_bytes(out, sha256, strnlen(sha256, SHORT_HASH));
    buffer_string(out, "</code>");
    if (maker >= 0) buffer_string(out, "</a>");
    buffer_string(out, "</li>");
}

static void append_artifacts(buffer *out, const report *r, const json_t *list, const char *label, int link) {
    size_t i;
    json_t *artifact;
    buffer_format(out, "<td data-label=\"%s\"><ul>", label);
    json_array_foreach(list, i, artifact) append_artifact(out, r, artifact, link);
    buffer_string(out, "</ul></td>");
}

void report_append_lineage(buffer *out, const report *r) {
    int n = 0;
    for (int i = 0; i < r->n_run; i++) n += r->run[i].lineage != NULL;
    if (!n) return;
    buffer_string(
        out,
        "<section>\n<h2>Lineage</h2>\n<p class=\"note\">Which files made which, by the first digits of their "
        "SHA-256. A linked one leads to the run that made it.</p>\n<table class=\"lineage\">\n<thead><tr>"
        "<th>Run</th><th>Made from</th><th>Made</th></tr></thead>\n<tbody>\n");
    for (int i = 0; i < r->n_run; i++) {
        const json_t *lineage = r->run[i].lineage;
        if (!lineage) continue;
        buffer_format(out, "<tr id=\"run-%d\"><th scope=\"row\">", i);
        html_text(out, r->run[i].title);
        buffer_string(out, " <small>");
        html_text(out, r->run[i].path);
        buffer_string(out, "</small></th>");
        append_artifacts(out, r, json_object_get(lineage, "in"), "from", 1);
        append_artifacts(out, r, json_object_get(lineage, "out"), "made", 0);
        buffer_string(out, "</tr>\n");
    }
    buffer_string(out, "</tbody></table>\n</section>\n");
}
