/* ignore: see ignore.h. */
#include "repo/ignore.h"

#include <limits.h>
#include <stdlib.h>
#include <string.h>

enum { PATH_LIMIT = 4096 };

struct pattern {
    const char *text; /* within the list's copy; not terminated */
    size_t size;
    size_t literal;   /* so many bytes at its start are no wildcards */
    bool is_negative; /* began with '!' */
    bool is_folder;   /* ended with '/': matches folders alone */
    bool is_name;     /* without '/' within: matches the last component */
    bool is_ending;   /* '*' and no other wildcard behind it */
};

struct ignore_list {
    struct pattern *patterns;
    size_t n;
    bool folds;
    char *text;
};

/* ---- bytes ---- */

static unsigned char lower(unsigned char c)
{
    return c >= 'A' && c <= 'Z' ? (unsigned char)(c + ('a' - 'A')) : c;
}

static bool is_same(const char *a, const char *b, size_t size, bool folds)
{
    if (!folds)
        return memcmp(a, b, size) == 0;
    for (size_t i = 0; i < size; i++)
        if (lower((unsigned char)a[i]) != lower((unsigned char)b[i]))
            return false;
    return true;
}

static bool is_wildcard(char c)
{
    return c == '*' || c == '?' || c == '[' || c == '\\';
}

/* ---- wildcards ----
 * A pattern is taken element by element; reach[i] says whether what was taken so far can match the first i bytes of the
 * text.  So it costs no more than pattern times text, where trying one way after the other would take forever on
 * "*a*a*a*a*b". */

struct reach {
    const unsigned char *text;
    size_t size;
    bool is_path; /* '*' and '?' don't match '/' */
    bool folds;
    unsigned char at[PATH_LIMIT + 1];
};

static unsigned char text_byte(const struct reach *reach, size_t i)
{
    return reach->folds ? lower(reach->text[i]) : reach->text[i];
}

static void reach_byte(struct reach *reach, unsigned char c)
{
    for (size_t i = reach->size; i > 0; i--)
        reach->at[i] = reach->at[i - 1] && text_byte(reach, i - 1) == c;
    reach->at[0] = 0;
}

static void reach_set(struct reach *reach, const bool set[256])
{
    for (size_t i = reach->size; i > 0; i--) {
        unsigned char c = text_byte(reach, i - 1);
        reach->at[i] = reach->at[i - 1] && set[c] && !(reach->is_path && c == '/');
    }
    reach->at[0] = 0;
}

static void reach_star(struct reach *reach, bool crosses)
{
    for (size_t i = 1; i <= reach->size; i++)
        if (reach->at[i - 1] && (crosses || reach->text[i - 1] != '/'))
            reach->at[i] = 1;
}

/* Two stars and a slash: nothing, or anything that ends with a slash. */
static void reach_folders(struct reach *reach)
{
    bool seen = false;
    for (size_t i = 0; i <= reach->size; i++) {
        bool here = reach->at[i];
        if (seen && reach->text[i - 1] == '/')
            reach->at[i] = 1;
        seen = seen || here;
    }
}

/* Takes a run of stars at p and what belongs to it; returns what follows. */
static const char *take_stars(struct reach *reach, const char *start, const char *p, const char *end)
{
    const char *run = p;
    while (p < end && *p == '*')
        p++;
    /* Git looks at the byte before the run within what it hasn't matched literally: at the start there is none. */
    bool stands_alone =
        (run == start || run[-1] == '/') && (p == end || *p == '/' || (*p == '\\' && p + 1 < end && p[1] == '/'));
    bool crosses = !reach->is_path || (p - run >= 2 && stands_alone);
    if (reach->is_path && crosses && p < end && *p == '/') {
        reach_folders(reach);
        return p + 1;
    }
    reach_star(reach, crosses);
    return p;
}

static bool class_holds(struct slice name, unsigned char c, bool folds, bool *is_known)
{
    bool is_upper = c >= 'A' && c <= 'Z', is_lower = c >= 'a' && c <= 'z', is_digit = c >= '0' && c <= '9';
    bool is_printed = c >= 0x20 && c < 0x7f;
    *is_known = true;
    if (slice_equals(name, "alnum"))
        return is_upper || is_lower || is_digit;
    if (slice_equals(name, "alpha"))
        return is_upper || is_lower;
    if (slice_equals(name, "blank"))
        return c == ' ' || c == '\t';
    if (slice_equals(name, "cntrl"))
        return c < 0x20 || c == 0x7f;
    if (slice_equals(name, "digit"))
        return is_digit;
    if (slice_equals(name, "graph"))
        return is_printed && c != ' ';
    if (slice_equals(name, "lower"))
        return is_lower;
    if (slice_equals(name, "print"))
        return is_printed;
    if (slice_equals(name, "punct"))
        return is_printed && c != ' ' && !is_upper && !is_lower && !is_digit;
    if (slice_equals(name, "space"))
        return c == ' ' || (c >= '\t' && c <= '\r');
    if (slice_equals(name, "upper"))
        return is_upper || (folds && is_lower);
    if (slice_equals(name, "xdigit"))
        return is_digit || (c >= 'a' && c <= 'f') || (c >= 'A' && c <= 'F');
    *is_known = false;
    return false;
}

static void set_range(bool set[256], unsigned char first, unsigned char last, bool folds)
{
    for (unsigned c = first; c <= last; c++)
        set[c] = true;
    for (unsigned c = 'a'; folds && c <= 'z'; c++)
        if (c - 'a' + 'A' >= first && c - 'a' + 'A' <= last)
            set[c] = true;
}

/* "[:name:]" at p, which is its '[': sets its bytes and returns its last byte, the ']'; p itself where it is none, and
 * NULL where the pattern can't match anything. */
static const char *take_class(bool set[256], const char *p, const char *end, bool folds)
{
    const char *name = p + 2, *close = name;
    while (close < end && *close != ']')
        close++;
    if (close == end)
        return NULL;
    if (close - name < 1 || close[-1] != ':')
        return p;
    for (unsigned c = 0; c < 256; c++) {
        bool is_known;
        if (class_holds((struct slice){name, (size_t)(close - name - 1)}, (unsigned char)c, folds, &is_known))
            set[c] = true;
        if (!is_known)
            return NULL;
    }
    return close;
}

/* A set in brackets at p, which is its '['.  Returns what follows; NULL where it isn't closed or names no class: then the
 * pattern matches nothing. */
static const char *take_set(struct reach *reach, const char *p, const char *end)
{
    bool set[256] = {false};
    bool is_negative = ++p < end && (*p == '!' || *p == '^');
    if (is_negative)
        p++;
    unsigned char before = 0; /* what a range may begin with */
    for (bool is_first = true; p < end && (is_first || *p != ']'); p++, is_first = false) {
        unsigned char c = (unsigned char)*p;
        if (c == '\\') {
            if (++p == end)
                return NULL;
            c = (unsigned char)*p;
            set[c] = true;
        } else if (c == '-' && before && p + 1 < end && p[1] != ']') {
            if (*++p == '\\' && ++p == end)
                return NULL;
            set_range(set, before, (unsigned char)*p, reach->folds);
            c = 0;
        } else if (c == '[' && p + 1 < end && p[1] == ':') {
            const char *last = take_class(set, p, end, reach->folds);
            if (!last)
                return NULL;
            if (last == p)
                set['['] = true;
            else
                c = 0;
            p = last;
        } else {
            set[c] = true;
        }
        before = c;
    }
    if (p >= end)
        return NULL;
    for (size_t i = 0; is_negative && i < 256; i++)
        set[i] = !set[i];
    reach_set(reach, set);
    return p + 1;
}

static bool wild_match(const char *pattern, size_t pattern_size, const char *text, size_t size, bool is_path,
                       bool folds)
{
    struct reach reach;
    if (size > PATH_LIMIT)
        return false;
    reach.text = (const unsigned char *)text;
    reach.size = size;
    reach.is_path = is_path;
    reach.folds = folds;
    memset(reach.at, 0, size + 1);
    reach.at[0] = 1;
    const char *end = pattern + pattern_size;
    /* Every element but stars takes a byte: a pattern that is much longer than the text soon reaches nothing. */
    for (const char *p = pattern; p && p < end && memchr(reach.at, 1, size + 1);) {
        if (*p == '*') {
            p = take_stars(&reach, pattern, p, end);
        } else if (*p == '[') {
            p = take_set(&reach, p, end);
        } else if (*p == '?') {
            bool all[256];
            memset(all, 1, sizeof all);
            reach_set(&reach, all);
            p++;
        } else if (*p == '\\') {
            if (++p == end)
                return false;
            reach_byte(&reach, (unsigned char)*p++); /* an escaped byte is not folded: so does git */
        } else {
            reach_byte(&reach, folds ? lower((unsigned char)*p) : (unsigned char)*p);
            p++;
        }
        if (!p)
            return false;
    }
    return reach.at[size] != 0;
}

/* ---- patterns ---- */

static bool name_matches(const struct pattern *pattern, const char *name, size_t size, bool folds)
{
    if (pattern->literal == pattern->size)
        return pattern->size == size && is_same(pattern->text, name, size, folds);
    if (pattern->is_ending) {
        size_t ending = pattern->size - 1;
        return ending <= size && is_same(pattern->text + 1, name + (size - ending), ending, folds);
    }
    return wild_match(pattern->text, pattern->size, name, size, false, folds);
}

static bool path_matches(const struct pattern *pattern, const char *path, size_t size, bool folds)
{
    const char *text = pattern->text;
    size_t rest = pattern->size, literal = pattern->literal;
    if (rest && *text == '/') {
        text++;
        rest--;
        literal -= literal > 0;
    }
    if (literal > size || !is_same(text, path, literal, folds))
        return false;
    if (literal == rest)
        return literal == size;
    return wild_match(text + literal, rest - literal, path + literal, size - literal, true, folds);
}

enum ignore_verdict ignore_list_match(const struct ignore_list *list, const char *path, size_t size, bool is_folder)
{
    if (!list || size > PATH_LIMIT)
        return IGNORE_UNSAID;
    const char *slash = size ? memrchr(path, '/', size) : NULL;
    const char *name = slash ? slash + 1 : path;
    size_t name_size = size - (size_t)(name - path);
    for (size_t i = list->n; i-- > 0;) {
        const struct pattern *pattern = &list->patterns[i];
        if (pattern->is_folder && !is_folder)
            continue;
        if (pattern->is_name ? name_matches(pattern, name, name_size, list->folds)
                             : path_matches(pattern, path, size, list->folds))
            return pattern->is_negative ? IGNORE_NO : IGNORE_YES;
    }
    return IGNORE_UNSAID;
}

/* ---- reading a list ---- */

/* Spaces at the end don't count unless a backslash stands before them. */
static size_t without_spaces(const char *line, size_t size)
{
    size_t end = 0; /* behind the last byte that counts */
    for (size_t i = 0; i < size; i++) {
        if (line[i] == '\\') {
            if (++i == size)
                return size;
            end = i + 1;
        } else if (line[i] != ' ') {
            end = i + 1;
        }
    }
    return end;
}

static void read_pattern(const char *line, size_t size, struct pattern *out)
{
    *out = (struct pattern){0};
    if (size && *line == '!') {
        out->is_negative = true;
        line++;
        size--;
    }
    if (size && line[size - 1] == '/') {
        out->is_folder = true;
        size--;
    }
    out->text = line;
    out->size = size;
    out->is_name = !size || !memchr(line, '/', size);
    while (out->literal < size && !is_wildcard(line[out->literal]))
        out->literal++;
    out->is_ending = size && *line == '*';
    for (size_t i = 1; i < size; i++)
        out->is_ending = out->is_ending && !is_wildcard(line[i]);
}

/* The next line from *at on that isn't a comment and not empty, as git takes it; false at the end. */
static bool next_line(const char *text, size_t size, size_t *at, const char **line, size_t *line_size)
{
    while (*at < size) {
        const char *begin = text + *at;
        const char *end = memchr(begin, '\n', size - *at);
        size_t length = end ? (size_t)(end - begin) : size - *at;
        *at += length + 1;
        if (length == 0 || *begin == '#')
            continue;
        if (begin[length - 1] == '\r')
            length--;
        length = strnlen(begin, length); /* for git, a NUL ends a pattern */
        length = without_spaces(begin, length);
        if (length == 0)
            continue;
        *line = begin;
        *line_size = length;
        return true;
    }
    return false;
}

enum status ignore_list_new(const char *text, size_t size, bool folds, struct ignore_list **out, struct error *error)
{
    const char *line;
    size_t line_size, n = 0;
    *out = NULL;
    if (size >= 3 && memcmp(text, "\xef\xbb\xbf", 3) == 0) {
        text += 3;
        size -= 3;
    }
    for (size_t at = 0; next_line(text, size, &at, &line, &line_size);)
        n++;
    if (n == 0)
        return STATUS_OK;
    struct ignore_list *list = calloc(1, sizeof *list);
    if (list) {
        list->folds = folds;
        list->text = malloc(size);
        list->patterns = calloc(n, sizeof *list->patterns);
    }
    if (!list || !list->text || !list->patterns) {
        ignore_list_free(list);
        return error_set(error, STATUS_MEMORY, "out of memory");
    }
    memcpy(list->text, text, size);
    for (size_t at = 0; list->n < n && next_line(list->text, size, &at, &line, &line_size);)
        read_pattern(line, line_size, &list->patterns[list->n++]);
    *out = list;
    return STATUS_OK;
}

void ignore_list_free(struct ignore_list *list)
{
    if (!list)
        return;
    free(list->patterns);
    free(list->text);
    free(list);
}
