/* core/base/path: names of files as text. Nothing here looks at the disk, so "a/.." is nothing even if a is a
 * link. */
#ifndef RLHF_BASE_PATH_H
#define RLHF_BASE_PATH_H

/* Without "//", "/./" and "x/.."; "." for what is empty. Returns malloc'd text, NULL when out of memory. */
char *path_normal(const char *path);
/* Normal, and joined to the working directory when it is not absolute. malloc'd; NULL when out of memory or
   when the working directory cannot be read. */
char *path_absolute(const char *path);
/* path as seen from directory ("../data/x"), both relative to the working directory or absolute. malloc'd,
 * NULL as above. */
char *path_relative(const char *directory, const char *path);

#endif
