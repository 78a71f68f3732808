/* Fuzz target of repo/ignore: what a list of patterns says of a path is what a plain matcher by trial says, which is
 * written here from gitignore(5) and git's own behaviour; and no list takes long.  Input: a byte of flags, the path, a NUL,
 * the list.  Where the plain matcher would take too long, it isn't asked.
 *
 * With FATHOM_PLANT_BUG it lets '?' match a slash. */
#include "repo/ignore.h"

#include <stdlib.h>
#include <string.h>

enum { STEPS = 200000, DEPTH = 400, PATH_MOST = 512 };

struct trial {
    bool is_path, folds, gave_up;
    int steps, depth;
};

static unsigned char fold(const struct trial *trial, char c)
{
    return trial->folds && c >= 'A' && c <= 'Z' ? (unsigned char)(c + 32) : (unsigned char)c;
}

static int matches(struct trial *trial, const char *p, const char *p_end, const char *t, const char *t_end);

static int matches_deeper(struct trial *trial, const char *p, const char *p_end, const char *t, const char *t_end)
{
    if (trial->depth >= DEPTH) {
        trial->gave_up = true;
        return 0;
    }
    trial->depth++;
    int result = matches(trial, p, p_end, t, t_end);
    trial->depth--;
    return result;
}

/* start: where the pattern begins for what looks back from a star. */
static int matches_from(struct trial *trial, const char *start, const char *p, const char *p_end, const char *t,
                        const char *t_end)
{
    for (; p < p_end; p++, t++) {
        if (++trial->steps > STEPS) {
            trial->gave_up = true;
            return 0;
        }
        if (*p == '*') {
            const char *run = p;
            while (p < p_end && *p == '*')
                p++;
            bool opens = run == start || run[-1] == '/';
            bool closes = p == p_end || *p == '/' || (*p == '\\' && p + 1 < p_end && p[1] == '/');
            bool crosses = !trial->is_path || (p - run > 1 && opens && closes);
            if (trial->is_path && crosses && p < p_end && *p == '/' && matches_deeper(trial, p + 1, p_end, t, t_end))
                return 1;
            for (;; t++) {
                if (trial->gave_up || matches_deeper(trial, p, p_end, t, t_end))
                    return !trial->gave_up;
                if (t == t_end || (*t == '/' && !crosses))
                    return 0;
            }
        }
        if (t == t_end)
            return 0;
        if (*p == '?') {
#ifndef FATHOM_PLANT_BUG
            if (trial->is_path && *t == '/')
                return 0;
#endif
            continue;
        }
        if (*p == '\\') {
            if (++p == p_end || (unsigned char)*p != fold(trial, *t))
                return 0;
            continue;
        }
        if (*p == '[') { /* sets are held against git itself by tests/test_repo_walk.c */
            trial->gave_up = true;
            return 0;
        }
        if (fold(trial, *p) != fold(trial, *t))
            return 0;
    }
    return t == t_end;
}

static int matches(struct trial *trial, const char *p, const char *p_end, const char *t, const char *t_end)
{
    return matches_from(trial, p, p, p_end, t, t_end);
}

/* Of one pattern without '!' and '/' at its end: in the form that git gives it. */
static int one_matches(struct trial *trial, const char *p, const char *p_end, const char *path, const char *end)
{
    if (!memchr(p, '/', (size_t)(p_end - p))) {
        const char *slash = memrchr(path, '/', (size_t)(end - path));
        trial->is_path = false;
        return matches(trial, p, p_end, slash ? slash + 1 : path, end);
    }
    trial->is_path = true;
    p += *p == '/';
    /* What stands before the first wildcard is compared first, and a star behind it doesn't look back at it. */
    for (; p < p_end && !strchr("*?[\\", *p); p++, path++)
        if (path == end || fold(trial, *p) != fold(trial, *path))
            return 0;
    return matches(trial, p, p_end, path, end);
}

/* A single line of plain bytes: the list's syntax is read by the code under test alone. */
static bool is_plain_line(const char *line, size_t size)
{
    if (size == 0 || line[0] == '#' || line[0] == '!' || line[size - 1] == '/' || strchr(" \\", line[size - 1]))
        return false;
    return !memchr(line, '\n', size) && !memchr(line, '\r', size) && !memchr(line, 0, size) &&
           memcmp(line, "\xef", 1) != 0;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size < 3)
        return 0;
    struct trial trial = {.folds = data[0] & 1};
    const char *path = (const char *)data + 1, *nul = memchr(path, 0, size - 1);
    if (!nul)
        return 0;
    const char *text = nul + 1;
    size_t path_size = (size_t)(nul - path), text_size = size - path_size - 2;
    struct ignore_list *list;
    if (ignore_list_new(text, text_size, trial.folds, &list, NULL) != STATUS_OK)
        return 0;
    enum ignore_verdict verdict = ignore_list_match(list, path, path_size, data[0] & 2);
    if (path_size && path_size <= PATH_MOST && path[0] != '/' && nul[-1] != '/' && is_plain_line(text, text_size)) {
        int should = one_matches(&trial, text, text + text_size, path, nul);
        if (!trial.gave_up && (verdict == IGNORE_YES) != (should != 0))
            abort();
    }
    ignore_list_free(list);
    return 0;
}
