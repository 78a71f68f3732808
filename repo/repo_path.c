/* repo_path: which paths may be written to at all. */
#include <limits.h>
#include <string.h>
#include <strings.h>

#include "repo/journal_internal.h"

/* As git's verify_path does with core.protectNTFS and core.protectHFS, but that names with code points which HFS+ ignores are asked only
 * for the commonest. */
static bool is_git_step(const char *step, size_t size)
{
    char plain[16] = {0};
    size_t n = 0;
    for (size_t i = 0; i < size && n < sizeof plain - 1; i++) {
        unsigned char c = (unsigned char)step[i];
        if (c == 0xe2 && i + 2 < size && ((unsigned char)step[i + 1] == 0x80 || (unsigned char)step[i + 1] == 0x81)) {
            i += 2; /* U+2000 to U+207F: what HFS+ ignores is among them */
            continue;
        }
        if (c == 0xef && i + 2 < size && (unsigned char)step[i + 1] == 0xbb && (unsigned char)step[i + 2] == 0xbf) {
            i += 2;
            continue;
        }
        plain[n++] = (char)c;
    }
    while (n && (plain[n - 1] == ' ' || plain[n - 1] == '.'))
        n--;
    const char *colon = memchr(plain, ':', n);
    if (colon)
        n = (size_t)(colon - plain);
    return (n == 4 && strncasecmp(plain, ".git", 4) == 0) || (n == 5 && strncasecmp(plain, "git~1", 5) == 0);
}

bool repo_is_safe_path(const char *path, size_t size)
{
    if (size == 0 || size >= PATH_MAX || memchr(path, 0, size))
        return false;
    for (size_t at = 0; at <= size;) {
        const char *slash = at < size ? memchr(path + at, '/', size - at) : NULL;
        size_t n = slash ? (size_t)(slash - (path + at)) : size - at;
        if (n == 0 || (n == 1 && path[at] == '.') || (n == 2 && path[at] == '.' && path[at + 1] == '.') ||
            is_git_step(path + at, n))
            return false;
        at += n + 1;
    }
    return true;
}
