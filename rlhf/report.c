#include "rlhf/report.h"

#include <stdlib.h>

#include "core/base/file.h"
#include "rlhf/report_html.h"
#include "rlhf/report_parts.h"

/* rlhf/report.css and rlhf/report.js, put into the program at build time. */
extern const char report_css[], report_js[];

static void append_page(buffer *out, const report *r) {
    buffer_string(
        out, "<!doctype html>\n<html lang=\"en\">\n<meta charset=\"utf-8\">\n<meta name=\"viewport\" "
             "content=\"width=device-width, initial-scale=1\">\n<meta name=\"color-scheme\" content=\"light "
             "dark\">\n<title>");
    html_text(out, r->name);
    buffer_string(out, " · rlhf.c report</title>\n<style>\n");
    buffer_string(out, report_css);
    buffer_string(out, "</style>\n<main>\n");
    report_append_overview(out, r);
    report_append_stages(out, r);
    report_append_answers(out, r);
    report_append_time(out, r);
    report_append_lineage(out, r);
    buffer_string(out, "<footer>Written by rlhf.c " RLHF_VERSION ".</footer>\n</main>\n<script>\n");
    buffer_string(out, report_js);
    buffer_string(out, "</script>\n</html>\n");
}

status report_write(const char *rounds_directory, error *err) {
    report r;
    buffer page = {0};
    TRY(report_read(rounds_directory, &r, err));
    append_page(&page, &r);
    char *path = path_join(rounds_directory, "report.html");
    status s = path ? buffer_check(&page, err) : error_memory(err, "a path");
    if (s == STATUS_OK) s = file_write(path, page.data, page.len, err);
    free(path);
    buffer_free(&page);
    report_free(&r);
    return s;
}
