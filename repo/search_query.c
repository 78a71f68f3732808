/* search_query: from what was typed to words, phrases, expressions and filters; and which paths fit (search.h). */
#include <fnmatch.h>
#include <string.h>

#include "repo/search_private.h"

enum { MAX_QUERY = 4096 };

static enum status too_many(struct error *error)
{
    return error_set(error, STATUS_ARGUMENT, "the query has too many words (at most %d)", SEARCH_MAX_WORDS);
}

static enum status add_words(struct search_query *query, const char *text, size_t size, struct error *error)
{
    size_t at = 0;
    struct slice word;
    while (facts_next_word(text, size, &at, &word)) {
        if (query->n_words == SEARCH_MAX_WORDS)
            return too_many(error);
        query->words[query->n_words++] = word;
    }
    return STATUS_OK;
}

static enum status set_kind(struct search_query *query, const char *name, struct error *error)
{
    if (strcmp(name, "text") == 0) {
        query->wants_text = true;
        return STATUS_OK;
    }
    for (int kind = 0; kind < TAG_N_KINDS; kind++)
        if (strcmp(tag_kind_name((enum tag_kind)kind), name) == 0) {
            query->kinds |= 1u << kind;
            return STATUS_OK;
        }
    return error_set(error, STATUS_ARGUMENT, "kind:%s: no such kind (function, struct, macro, text and so on)", name);
}

/* key:value; false where it isn't a filter. */
static bool set_filter(struct search_query *query, const char *token, enum status *status, struct error *error)
{
    static const char *const keys[] = {"path:", "lang:", "kind:", "def:", "ref:"};
    for (int i = 0; i < 5; i++) {
        size_t size = strlen(keys[i]);
        const char *value = token + size;
        if (strncmp(token, keys[i], size) != 0)
            continue;
        if (!*value) {
            *status = error_set(error, STATUS_ARGUMENT, "%s: a value belongs behind it", keys[i]);
        } else if (i == 0 && query->n_paths < SEARCH_MAX_FILTERS) {
            query->paths[query->n_paths++] = value;
        } else if (i == 1 && query->n_languages < SEARCH_MAX_FILTERS) {
            int language = language_by_name(value);
            if (language < 0)
                *status = error_set(error, STATUS_ARGUMENT, "lang:%s: no such language", value);
            else
                query->languages[query->n_languages++] = language;
        } else if (i == 2) {
            *status = set_kind(query, value, error);
        } else if (i == 3) {
            query->definition = value;
        } else if (i == 4) {
            query->reference = value;
        } else {
            *status = too_many(error);
        }
        return true;
    }
    return false;
}

/* From an opening quote or slash to its end; size 0 where it isn't one.  A backslash lets the delimiter in. */
static size_t delimited(const char *text, size_t size)
{
    char mark = *text;
    if (size < 3 || (mark != '"' && mark != '/'))
        return 0;
    for (size_t i = 1; i < size; i++) {
        if (text[i] == '\\' && mark == '/')
            i++;
        else if (text[i] == mark)
            return i >= 2 && (i + 1 == size || text[i + 1] == ' ') ? i + 1 : 0;
    }
    return 0;
}

enum status search_parse(const char *text, struct arena *arena, struct search_query *query, struct error *error)
{
    size_t size = strlen(text);
    *query = (struct search_query){0};
    if (size > MAX_QUERY)
        return error_set(error, STATUS_ARGUMENT, "the query is longer than %d bytes", MAX_QUERY);
    const char *copy = arena_copy_text(arena, text, size);
    enum status status = copy ? STATUS_OK : error_set(error, STATUS_MEMORY, "out of memory");
    for (size_t at = 0; status == STATUS_OK && at < size;) {
        if (copy[at] == ' ' || copy[at] == '\t' || copy[at] == '\n') {
            at++;
            continue;
        }
        size_t n = delimited(copy + at, size - at);
        if (n) {
            struct slice inner = {copy + at + 1, n - 2};
            size_t *count = copy[at] == '"' ? &query->n_phrases : &query->n_expressions;
            struct slice *list = copy[at] == '"' ? query->phrases : query->expressions;
            if (*count == SEARCH_MAX_WORDS)
                return too_many(error);
            list[(*count)++] = inner;
            if (copy[at] == '"')
                status = add_words(query, inner.data, inner.size, error);
            at += n;
            continue;
        }
        while (at + n < size && !strchr(" \t\n", copy[at + n]))
            n++;
        char *token = arena_copy_text(arena, copy + at, n);
        if (!token)
            status = error_set(error, STATUS_MEMORY, "out of memory");
        else if (!set_filter(query, token, &status, error))
            status = add_words(query, token, n, error);
        at += n;
    }
    bool is_empty =
        !query->n_words && !query->n_phrases && !query->n_expressions && !query->definition && !query->reference;
    if (status == STATUS_OK && is_empty)
        status = error_set(error, STATUS_ARGUMENT, "the query holds no word to look for");
    return status;
}

bool search_path_fits(const struct search_query *query, const char *path, size_t size)
{
    char terminated[4097];
    if (!query->n_paths)
        return true;
    if (size >= sizeof terminated)
        return false;
    memcpy(terminated, path, size);
    terminated[size] = 0;
    for (size_t i = 0; i < query->n_paths; i++) {
        const char *wanted = query->paths[i];
        bool is_glob = strpbrk(wanted, "*?[") != NULL;
        const char *name = strrchr(terminated, '/');
        if (!is_glob && strstr(terminated, wanted))
            return true;
        if (is_glob && (fnmatch(wanted, terminated, 0) == 0 ||
                        (name && !strchr(wanted, '/') && fnmatch(wanted, name + 1, 0) == 0)))
            return true;
    }
    return false;
}
