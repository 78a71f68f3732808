/* search_scan: phrases and regular expressions, by a scan of the files (search.h).
 *
 * A word within a phrase that has its borders there must be a term of the file: the inverted list of the rarest one says
 * which files to read.  Without one all files are read: a gigabyte in a second or two, since memmem and PCRE2's JIT are
 * faster than what opens the files.  Of several patterns a file must hold all; lines are those of the first. */
#define PCRE2_CODE_UNIT_WIDTH 8
#include <pcre2.h>
#include <stdlib.h>
#include <string.h>

#include "repo/repo_internal.h"
#include "repo/search_private.h"

enum { LINES_OF_FILE = 5, MAX_HITS = 2000, MATCH_LIMIT = 1000000 };
static const uint64_t default_ns = UINT64_C(10000000000);

struct scan {
    struct search *search;
    struct candidates *out;
    pcre2_code *codes[SEARCH_MAX_WORDS];
    pcre2_match_data *match;
    pcre2_match_context *limits;
    struct buffer text;
    uint8_t *wanted; /* contents that may hold the phrases; NULL: all */
    uint32_t n_wanted;
    uint64_t deadline_ns;
};

static enum status out_of_memory(struct error *error)
{
    return error_set(error, STATUS_MEMORY, "out of memory");
}

static enum status compile(struct scan *scan, struct error *error)
{
    const struct search_query *query = &scan->search->query;
    scan->limits = pcre2_match_context_create(NULL);
    scan->match = pcre2_match_data_create(1, NULL);
    if (!scan->limits || !scan->match)
        return out_of_memory(error);
    pcre2_set_match_limit(scan->limits, MATCH_LIMIT);
    pcre2_set_heap_limit(scan->limits, 65536);
    for (size_t i = 0; i < query->n_expressions; i++) {
        int code;
        PCRE2_SIZE at;
        scan->codes[i] = pcre2_compile((PCRE2_SPTR)query->expressions[i].data, query->expressions[i].size,
                                       PCRE2_MULTILINE | PCRE2_NEVER_BACKSLASH_C, &code, &at, NULL);
        if (!scan->codes[i]) {
            unsigned char text[128];
            pcre2_get_error_message(code, text, sizeof text);
            return error_set(error, STATUS_ARGUMENT, "the expression /%.*s/: %s, at byte %zu",
                             query->expressions[i].size > 60 ? 60 : (int)query->expressions[i].size,
                             query->expressions[i].data, (const char *)text, (size_t)at + 1);
        }
        (void)pcre2_jit_compile(scan->codes[i], PCRE2_JIT_COMPLETE); /* without it, it is slower */
    }
    return STATUS_OK;
}

/* ---- which files ---- */

/* The rarest word with both its borders in a phrase: key gets its term. */
static enum status choose_word(struct scan *scan, char key[80], size_t *key_size, struct error *error)
{
    const struct search_query *query = &scan->search->query;
    struct segment_store *store = scan->search->index->segments;
    const struct segment *segments;
    size_t n;
    uint64_t least = UINT64_MAX;
    *key_size = 0;
    enum status status = segment_list(store, &segments, &n, error);
    for (size_t i = 0; status == STATUS_OK && i < query->n_phrases; i++) {
        struct slice phrase = query->phrases[i], word;
        size_t at = 0;
        while (status == STATUS_OK && facts_next_word(phrase.data, phrase.size, &at, &word)) {
            char term[80];
            uint64_t count = 0;
            if (word.data == phrase.data || word.data + word.size == phrase.data + phrase.size)
                continue;
            term[0] = KEY_TERM;
            facts_lower(term + 1, word.data, word.size);
            for (size_t k = 0; status == STATUS_OK && k < n; k++) {
                struct posting_list list;
                status = segment_find(store, &segments[k], term, word.size + 1, 0, &list, error);
                count += list.n;
            }
            if (count < least) {
                least = count;
                memcpy(key, term, word.size + 1);
                *key_size = word.size + 1;
            }
        }
    }
    return status;
}

/* Marks the contents whose chunks hold the term. */
static enum status mark_wanted(struct scan *scan, const char *key, size_t key_size, struct error *error)
{
    struct index *index = scan->search->index;
    const struct segment *segments;
    size_t n;
    enum status status = segment_list(index->segments, &segments, &n, error);
    if (status != STATUS_OK || !n)
        return status;
    uint32_t n_chunks = segments[n - 1].end_chunk;
    scan->n_wanted = segments[n - 1].last_content + 1;
    uint8_t *chunks = calloc((size_t)n_chunks + 1, 1);
    scan->wanted = calloc((size_t)scan->n_wanted + 1, 1);
    if (!chunks || !scan->wanted)
        status = out_of_memory(error);
    for (size_t i = 0; status == STATUS_OK && i < n; i++) {
        struct posting_list list;
        status = segment_find(index->segments, &segments[i], key, key_size, 0, &list, error);
        while (status == STATUS_OK && posting_next(&list))
            if (list.document < n_chunks)
                chunks[list.document] = 1;
    }
    uint32_t end = 0;
    int64_t content = 0;
    for (uint32_t i = 0; status == STATUS_OK && i < n_chunks; i++) {
        if (!chunks[i])
            continue;
        if (i >= end) {
            sqlite3_stmt *row = index_statement(index, INDEX_CONTENT_AT, error);
            if (!row) {
                status = index_failed(index, error);
                break;
            }
            sqlite3_bind_int64(row, 1, i);
            content = 0;
            if (sqlite3_step(row) == SQLITE_ROW) {
                int64_t last = sqlite3_column_int64(row, 1) + sqlite3_column_int64(row, 2);
                content = sqlite3_column_int64(row, 0);
                end = last > i && last <= n_chunks ? (uint32_t)last : i + 1;
            }
            sqlite3_reset(row);
        }
        if (content > 0 && content < scan->n_wanted)
            scan->wanted[content] = 1;
    }
    free(chunks);
    return status;
}

/* ---- one file ---- */

/* The next match of a pattern from a byte on. */
static bool find(struct scan *scan, size_t pattern, size_t from, size_t *begin, size_t *end)
{
    const struct search_query *query = &scan->search->query;
    const char *text = scan->text.data;
    if (from >= scan->text.size)
        return false;
    if (pattern < query->n_phrases) {
        struct slice phrase = query->phrases[pattern];
        const char *at = memmem(text + from, scan->text.size - from, phrase.data, phrase.size);
        if (at)
            *begin = (size_t)(at - text), *end = *begin + phrase.size;
        return at != NULL;
    }
    int n = pcre2_match(scan->codes[pattern - query->n_phrases], (PCRE2_SPTR)text, scan->text.size, from, 0,
                        scan->match, scan->limits);
    if (n < 0)
        return false;
    const PCRE2_SIZE *bounds = pcre2_get_ovector_pointer(scan->match);
    *begin = bounds[0] >= from ? bounds[0] : from; /* \K may put it before */
    *end = bounds[1] > *begin ? bounds[1] : *begin;
    return *begin < scan->text.size;
}

static enum status scan_file(struct scan *scan, const char *path, size_t size, uint32_t content, struct error *error)
{
    const struct search_query *query = &scan->search->query;
    size_t begin, end, n_patterns = query->n_phrases + query->n_expressions, at = 0, counted = 0;
    uint32_t line = 1, last = 0;
    for (size_t i = 1; i < n_patterns; i++)
        if (!find(scan, i, 0, &begin, &end))
            return STATUS_OK;
    const char *copy = NULL;
    for (int n = 0; n < LINES_OF_FILE && find(scan, 0, at, &begin, &end);) {
        for (const char *c = scan->text.data + counted;
             (c = memchr(c, '\n', (size_t)(scan->text.data + begin - c))) != NULL; c++)
            line++;
        counted = begin;
        at = end > begin ? end : begin + 1;
        if (line == last)
            continue;
        last = line;
        copy = copy ? copy : arena_copy_text(scan->search->arena, path, size);
        struct candidate *it = copy ? candidates_add(scan->out) : NULL;
        if (!it)
            return out_of_memory(error);
        uint32_t more = 0;
        for (size_t i = begin; i + 1 < end; i++)
            more += scan->text.data[i] == '\n';
        *it = (struct candidate){.path = copy,
                                 .path_size = (uint32_t)size,
                                 .content = content,
                                 .line = line,
                                 .end_line = line + more,
                                 .kind = -1,
                                 .name = "",
                                 .quality = index_nearness_of(scan->search->nearness, path, size) - 0.01 * n};
        n++;
    }
    return STATUS_OK;
}

static enum status scan_files(struct scan *scan, struct error *error)
{
    struct search *search = scan->search;
    sqlite3_stmt *rows = index_statement(search->index, INDEX_EACH_FILE, error);
    enum status status = rows ? STATUS_OK : index_failed(search->index, error);
    int code = SQLITE_DONE;
    while (status == STATUS_OK && (code = sqlite3_step(rows)) == SQLITE_ROW && scan->out->n < MAX_HITS) {
        struct index_file_row row;
        index_file_row_read(rows, &row);
        if (!row.content || (scan->wanted && (row.content >= scan->n_wanted || !scan->wanted[row.content])) ||
            (search->contents && (row.content >= search->n_contents || !search->contents[row.content])) ||
            !search_path_fits(&search->query, row.path, row.path_size))
            continue;
        if (search_is_cancelled(search) || clock_now_ns() > scan->deadline_ns) {
            search->is_partial = true;
            code = SQLITE_DONE;
            break;
        }
        bool is_read = true;
        if (search->repo->root_fd < 0) { /* bare: out of git's objects */
            struct candidate it = {.path = row.path, .path_size = (uint32_t)row.path_size, .content = row.content};
            status = search_read(search, &it, &scan->text, error);
        } else {
            struct repo_stamp stamp;
            is_read = search_read_file(search, row.path, row.path_size, &scan->text, &stamp);
        }
        if (status == STATUS_OK && is_read && scan->text.size)
            status = scan_file(scan, row.path, row.path_size, row.content, error);
    }
    if (rows)
        sqlite3_reset(rows);
    if (status == STATUS_OK && code != SQLITE_DONE && code != SQLITE_ROW)
        status = index_failed(search->index, error);
    return status;
}

enum status search_scan(struct search *search, struct candidates *out, struct error *error)
{
    const struct search_query *query = &search->query;
    struct scan scan = {.search = search, .out = out};
    if (!query->n_phrases && !query->n_expressions)
        return STATUS_OK;
    scan.deadline_ns = clock_now_ns() + (search->options->scan_ns ? search->options->scan_ns : default_ns);
    char key[80];
    size_t key_size = 0;
    enum status status = compile(&scan, error);
    if (status == STATUS_OK)
        status = choose_word(&scan, key, &key_size, error);
    if (status == STATUS_OK && key_size)
        status = mark_wanted(&scan, key, key_size, error);
    if (status == STATUS_OK)
        status = scan_files(&scan, error);
    candidates_sort(out);
    for (size_t i = 0; i < query->n_expressions; i++)
        pcre2_code_free(scan.codes[i]);
    pcre2_match_data_free(scan.match);
    pcre2_match_context_free(scan.limits);
    buffer_deinit(&scan.text);
    free(scan.wanted);
    return status;
}
