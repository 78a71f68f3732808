/* repo_fixture: see repo_fixture.h. */
#include "tests/repo_fixture.h"

#include <limits.h>
#include <setjmp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

void fixture_make_folder(char *path, size_t size)
{
    char made[PATH_MAX], resolved[PATH_MAX];
    const char *base = getenv("TMPDIR");
    snprintf(made, sizeof made, "%s/repo.XXXXXX", base ? base : "/tmp");
    assert_non_null(mkdtemp(made));
    assert_non_null(realpath(made, resolved));
    assert_true(strlen(resolved) < size);
    memcpy(path, resolved, strlen(resolved) + 1);
}

void fixture_remove_folder(const char *path)
{
    fixture_run(path, "chmod -R u+rwX . && rm -rf \"$PWD\"");
}

/* In the child: runs the script. */
static void run_script(const char *folder, const char *script)
{
    if (chdir(folder) != 0)
        _exit(126);
    setenv("GIT_AUTHOR_NAME", "A", 1);
    setenv("GIT_AUTHOR_EMAIL", "a@example.org", 1);
    setenv("GIT_COMMITTER_NAME", "A", 1);
    setenv("GIT_COMMITTER_EMAIL", "a@example.org", 1);
    setenv("GIT_CONFIG_COUNT", "3", 1);
    setenv("GIT_CONFIG_KEY_0", "init.defaultBranch", 1);
    setenv("GIT_CONFIG_VALUE_0", "main", 1);
    setenv("GIT_CONFIG_KEY_1", "protocol.file.allow", 1);
    setenv("GIT_CONFIG_VALUE_1", "always", 1);
    setenv("GIT_CONFIG_KEY_2", "advice.detachedHead", 1);
    setenv("GIT_CONFIG_VALUE_2", "false", 1);
    execl("/bin/sh", "sh", "-euc", script, (char *)NULL);
    _exit(127);
}

void fixture_output(const char *folder, const char *script, struct buffer *out)
{
    int ends[2], outcome;
    char piece[4096];
    ssize_t n;
    buffer_clear(out);
    assert_int_equal(pipe(ends), 0);
    fflush(NULL);
    pid_t child = fork();
    assert_true(child >= 0);
    if (child == 0) {
        dup2(ends[1], 1);
        close(ends[0]);
        close(ends[1]);
        run_script(folder, script);
    }
    close(ends[1]);
    while ((n = read(ends[0], piece, sizeof piece)) > 0)
        buffer_append(out, piece, (size_t)n);
    close(ends[0]);
    assert_int_equal(waitpid(child, &outcome, 0), child);
    if (!WIFEXITED(outcome) || WEXITSTATUS(outcome) != 0)
        fail_msg("a script failed:\n%s\nit wrote: %s", script, buffer_text(out));
    assert_false(out->failed);
}

void fixture_run(const char *folder, const char *script)
{
    struct buffer out = {0};
    fixture_output(folder, script, &out);
    buffer_deinit(&out);
}

void fixture_paths(const struct repo_files *files, struct buffer *out)
{
    buffer_clear(out);
    for (size_t i = 0; i < files->n; i++) {
        assert_int_equal(strlen(files->files[i].path), files->files[i].path_size);
        buffer_append(out, files->files[i].path, files->files[i].path_size + 1);
    }
    assert_false(out->failed);
}

const struct repo_file *fixture_file(const struct repo_files *files, const char *path)
{
    for (size_t i = 0; i < files->n; i++)
        if (strcmp(files->files[i].path, path) == 0)
            return &files->files[i];
    fail_msg("%s is not in the list", path);
    return NULL;
}

/* Called by LeakSanitizer: libgit2 1.5 leaks a little of PCRE2's where it opens a repository of format 1. */
const char *__lsan_default_suppressions(void);
const char *__lsan_default_suppressions(void)
{
    return "leak:libpcre2-8.so\n";
}
