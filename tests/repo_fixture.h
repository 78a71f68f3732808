/* repo_fixture: folders and repositories that tests make with the shell and git.
 *
 * The program itself never runs git; here it is the truth that the program is held against. */
#ifndef FATHOM_TESTS_REPO_FIXTURE_H
#define FATHOM_TESTS_REPO_FIXTURE_H

#include "repo/repo.h"

/* A new folder below TMPDIR, its resolved path; and its end with all it holds. */
void fixture_make_folder(char *path, size_t size);
void fixture_remove_folder(const char *path);
/* Runs a script by sh -eu within the folder; git knows a name to commit by, and "main" is the first branch.  Fails the test
 * where the script does. */
void fixture_run(const char *folder, const char *script);
/* The same, and what it writes. */
void fixture_output(const char *folder, const char *script, struct buffer *out);
/* The paths of a list, each ended by a NUL, as `git ls-files -z` writes them. */
void fixture_paths(const struct repo_files *files, struct buffer *out);
/* The file of that path; fails the test where there is none. */
const struct repo_file *fixture_file(const struct repo_files *files, const char *path);

#endif
