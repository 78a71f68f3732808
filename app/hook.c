/* hook: see hook.h. */
#include "app/hook.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "app/sha256.h"

#define MARK   "# Written by `fathom hook install`; `fathom hook remove` takes it back. "
#define BEFORE ".before-fathom"

enum { SUM = 16, HOOK_BYTES = 64 << 10 };

const char *hook_name(enum hook_kind kind)
{
    return kind == HOOK_PRE_COMMIT ? "pre-commit" : "prepare-commit-msg";
}

bool hook_find(const char *name, enum hook_kind *kind)
{
    for (int i = 0; i < HOOK_N_KINDS; i++)
        if (strcmp(name, hook_name((enum hook_kind)i)) == 0) {
            *kind = (enum hook_kind)i;
            return true;
        }
    return false;
}

const char *hook_state_name(enum hook_state state)
{
    static const char *const names[] = {[HOOK_ABSENT] = "not installed",
                                        [HOOK_OURS] = "installed",
                                        [HOOK_EDITED] = "installed, and edited since",
                                        [HOOK_OTHER] = "another program's"};
    return names[state];
}

/* ---- the script ---- */

/* In single quotes, as sh reads them. */
static void append_quoted(struct buffer *out, const char *text)
{
    buffer_append_byte(out, '\'');
    for (; *text; text++)
        if (*text == '\'')
            buffer_append_text(out, "'\\''");
        else
            buffer_append_byte(out, *text);
    buffer_append_byte(out, '\'');
}

/* All but the first two lines. */
static void write_body(enum hook_kind kind, const struct hook_options *options, struct buffer *out)
{
    const char *name = hook_name(kind);
    buffer_printf(out,
                  "before=\"${0%%/*}/%s%s\"\n"
                  "if [ -x \"$before\" ]; then \"$before\" \"$@\" || exit; fi\n"
                  "fathom=",
                  name, BEFORE);
    append_quoted(out, options->program);
    buffer_printf(out,
                  "\n[ -x \"$fathom\" ] || fathom=$(command -v fathom) || {\n"
                  "    echo 'fathom: %s: the program is gone, so this hook does nothing' >&2\n"
                  "    exit 0\n"
                  "}\n",
                  name);
    if (kind == HOOK_PRE_COMMIT)
        buffer_printf(out,
                      "\"$fathom\" review --staged --fail-on %s >&2\n"
                      "case $? in\n"
                      "1)\n"
                      "    echo 'fathom: the commit was stopped; git commit --no-verify commits all the same' >&2\n"
                      "    exit 1\n"
                      "    ;;\n"
                      "130) exit 130 ;;\n"
                      "*) exit 0 ;; # a review that fails stops nobody\n"
                      "esac\n",
                      options->severity);
    else
        buffer_append_text(out, "[ -z \"$2\" ] || exit 0 # there is a message already\n"
                                "text=$(\"$fathom\" commit --quiet </dev/null 2>/dev/null) || exit 0\n"
                                "[ -n \"$text\" ] || exit 0\n"
                                "rest=$(cat \"$1\") || exit 0\n"
                                "printf '%s\\n%s\\n' \"$text\" \"$rest\" >\"$1\"\n");
}

/* Of the script without its second line. */
static void sum_of(const char *first, size_t first_size, const char *body, size_t body_size, char out[SUM + 1])
{
    struct sha256 hash;
    uint8_t bytes[SHA256_SIZE];
    sha256_init(&hash);
    sha256_add(&hash, first, first_size);
    sha256_add(&hash, body, body_size);
    sha256_end(&hash, bytes);
    for (size_t i = 0; i < SUM / 2; i++)
        snprintf(out + 2 * i, 3, "%02x", bytes[i]);
}

static void write_script(enum hook_kind kind, const struct hook_options *options, struct buffer *out)
{
    static const char first[] = "#!/bin/sh\n";
    struct buffer body = {0};
    char sum[SUM + 1];
    write_body(kind, options, &body);
    sum_of(first, strlen(first), buffer_text(&body), body.size, sum);
    buffer_printf(out, "%s%s%s\n", first, MARK, sum);
    buffer_append(out, buffer_text(&body), body.size);
    out->failed |= body.failed;
    buffer_deinit(&body);
}

static enum hook_state judge(const char *text, size_t size)
{
    char sum[SUM + 1];
    const char *second = memchr(text, '\n', size), *end = text + size;
    if (!second || (size_t)(end - ++second) < strlen(MARK) + SUM + 1 || memcmp(second, MARK, strlen(MARK)) != 0)
        return memmem(text, size, MARK, strlen(MARK)) ? HOOK_EDITED : HOOK_OTHER;
    const char *theirs = second + strlen(MARK), *body = theirs + SUM + 1;
    sum_of(text, (size_t)(second - text), body, (size_t)(end - body), sum);
    return memcmp(theirs, sum, SUM) == 0 && theirs[SUM] == '\n' ? HOOK_OURS : HOOK_EDITED;
}

/* ---- files ---- */

struct paths {
    struct buffer hook, before, part;
};

static enum status make_paths(const char *folder, enum hook_kind kind, struct paths *out, struct error *error)
{
    *out = (struct paths){0};
    buffer_printf(&out->hook, "%s/%s", folder, hook_name(kind));
    buffer_printf(&out->before, "%s/%s%s", folder, hook_name(kind), BEFORE);
    buffer_printf(&out->part, "%s/%s.fathom-%ld", folder, hook_name(kind), (long)getpid());
    enum status status = buffer_status(&out->hook, error);
    if (!status)
        status = buffer_status(&out->before, error);
    return status ? status : buffer_status(&out->part, error);
}

static void free_paths(struct paths *paths)
{
    buffer_deinit(&paths->hook);
    buffer_deinit(&paths->before);
    buffer_deinit(&paths->part);
}

static enum status fail(const char *path, struct error *error)
{
    return error_set(error, STATUS_IO, "%s: %s", path, strerror(errno));
}

static bool is_there(const char *path)
{
    struct stat about;
    return lstat(path, &about) == 0;
}

/* A link, a folder, a long file: somebody else's. */
static enum status look(const struct paths *paths, struct hook_about *out, struct error *error)
{
    struct stat about;
    char text[HOOK_BYTES];
    *out = (struct hook_about){.has_before = is_there(paths->before.data)};
    if (lstat(paths->hook.data, &about) != 0)
        return errno == ENOENT || errno == ENOTDIR ? STATUS_OK : fail(paths->hook.data, error);
    out->state = HOOK_OTHER;
    if (!S_ISREG(about.st_mode) || about.st_size >= HOOK_BYTES)
        return STATUS_OK;
    int fd = open(paths->hook.data, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
    ssize_t n = fd < 0 ? -1 : read(fd, text, sizeof text);
    enum status status = n < 0 ? fail(paths->hook.data, error) : STATUS_OK;
    if (fd >= 0)
        close(fd);
    if (!status)
        out->state = judge(text, (size_t)n);
    return status;
}

enum status hook_look(const char *folder, enum hook_kind kind, struct hook_about *out, struct error *error)
{
    struct paths paths;
    enum status status = make_paths(folder, kind, &paths, error);
    if (!status)
        status = look(&paths, out, error);
    free_paths(&paths);
    return status;
}

static enum status write_part(const struct paths *paths, const struct buffer *script, struct error *error)
{
    int fd = open(paths->part.data, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0777);
    if (fd < 0)
        return fail(paths->part.data, error);
    bool is_written = write(fd, script->data, script->size) == (ssize_t)script->size;
    if (close(fd) != 0 || !is_written) {
        enum status status = fail(paths->part.data, error);
        unlink(paths->part.data);
        return status;
    }
    return STATUS_OK;
}

/* Puts the part in the hook's place; what is there already, and isn't ours, goes before it. */
static enum status put(const struct paths *paths, const struct hook_about *about, struct error *error)
{
    if (about->state == HOOK_OURS)
        return rename(paths->part.data, paths->hook.data) == 0 ? STATUS_OK : fail(paths->hook.data, error);
    bool moves = about->state == HOOK_OTHER;
    if (moves && renameat2(AT_FDCWD, paths->hook.data, AT_FDCWD, paths->before.data, RENAME_NOREPLACE) != 0)
        return fail(paths->before.data, error);
    if (renameat2(AT_FDCWD, paths->part.data, AT_FDCWD, paths->hook.data, RENAME_NOREPLACE) == 0)
        return STATUS_OK;
    enum status status = fail(paths->hook.data, error);
    if (moves)
        (void)renameat2(AT_FDCWD, paths->before.data, AT_FDCWD, paths->hook.data, RENAME_NOREPLACE);
    return status;
}

enum status hook_install(const char *folder, enum hook_kind kind, const struct hook_options *options,
                         struct error *error)
{
    struct paths paths;
    struct hook_about about = {0};
    struct buffer script = {0};
    enum status status = make_paths(folder, kind, &paths, error);
    if (!status && mkdir(folder, 0777) != 0 && errno != EEXIST)
        status = fail(folder, error);
    if (!status)
        status = look(&paths, &about, error);
    if (!status && about.state == HOOK_EDITED)
        status = error_set(error, STATUS_ARGUMENT, "%s: it was edited since it was installed, and is left as it is",
                           paths.hook.data);
    if (!status && about.has_before && about.state != HOOK_OURS)
        status = error_set(error, STATUS_ARGUMENT, "%s is in the way: nothing was installed", paths.before.data);
    if (!status) {
        write_script(kind, options, &script);
        status = buffer_status(&script, error);
    }
    if (!status)
        status = write_part(&paths, &script, error);
    if (!status) {
        status = put(&paths, &about, error);
        if (status)
            unlink(paths.part.data);
    }
    buffer_deinit(&script);
    free_paths(&paths);
    return status;
}

enum status hook_remove(const char *folder, enum hook_kind kind, struct error *error)
{
    struct paths paths;
    struct hook_about about = {0};
    enum status status = make_paths(folder, kind, &paths, error);
    if (!status)
        status = look(&paths, &about, error);
    if (!status && about.state == HOOK_EDITED)
        status = error_set(error, STATUS_ARGUMENT, "%s: it was edited since it was installed, and is left as it is",
                           paths.hook.data);
    if (!status && about.state != HOOK_OURS)
        status = error_set(error, STATUS_NOT_FOUND, "%s: %s", hook_name(kind), hook_state_name(about.state));
    if (!status && about.has_before && rename(paths.before.data, paths.hook.data) != 0)
        status = fail(paths.before.data, error);
    else if (!status && !about.has_before && unlink(paths.hook.data) != 0)
        status = fail(paths.hook.data, error);
    free_paths(&paths);
    return status;
}
