/* search_symbol: symbols by name: exact, with other case, as a prefix, and by letters in order (search.h).
 *
 * Names lie sorted in the segments, lower-case first, so exact names and prefixes are a look-up.  Letters in order are
 * tried among the names that begin with the same two letters, then the same one, for a few milliseconds at most. */
#include <stdlib.h>
#include <string.h>

#include "repo/search_private.h"

enum {
    MAX_NAMES = 256,  /* that begin with a word */
    MAX_PLACES = 512, /* of such a name */
    MAX_FUZZY = 64,   /* places of a name whose letters fit, in each segment */
    ENOUGH = 12,      /* found: no need to try letters in order */
    EQUALS_MOST = 16, /* places of a name that are told apart by who can mean them */
};
/* For letters in order; less where the word is a name, since then it's likely what was meant. */
static const uint64_t fuzzy_ns = 3000000, fuzzy_beside_ns = 1000000;
/* Measured on names that 17 packages define in their tests and outside, too: the one outside is first for 74 % of 301, and
 * without for 58 %.  Where words are the text around a place, neither better nor worse comes of it. */
static const double imported_gain = 0.3, local_share = 0.7;

/* ---- letters in order ---- */

static bool begins_word(const char *name, size_t i)
{
    bool is_upper = name[i] >= 'A' && name[i] <= 'Z', was_upper = i && name[i - 1] >= 'A' && name[i - 1] <= 'Z';
    return i == 0 || name[i - 1] == '_' || name[i - 1] == '$' || (is_upper && !was_upper);
}

static char lower(char c)
{
    return c >= 'A' && c <= 'Z' ? (char)(c | 0x20) : c;
}

/* 0: the letters aren't there; else more for letters at the beginnings of words and in a row, less for long names.  A
 * letter that begins a word is taken before one that doesn't where the rest still fits behind it. */
static double fuzzy_score(const char *name, size_t size, const char *word, size_t n)
{
    double score = 0;
    size_t at = 0, last = SIZE_MAX - 1;
    for (size_t k = 0; k < n; k++) {
        size_t plain = SIZE_MAX, start = SIZE_MAX;
        for (size_t i = at; i < size && start == SIZE_MAX; i++)
            if (lower(name[i]) == word[k]) {
                if (plain == SIZE_MAX)
                    plain = i;
                if (begins_word(name, i) || i == last + 1)
                    start = i;
            }
        if (plain == SIZE_MAX)
            return 0;
        size_t chosen = plain;
        if (start != SIZE_MAX && start != plain) { /* does the rest fit behind it? */
            size_t rest = k + 1;
            for (size_t i = start + 1; i < size && rest < n; i++)
                rest += lower(name[i]) == word[rest];
            if (rest == n)
                chosen = start;
        }
        score += begins_word(name, chosen) ? 1 : chosen == last + 1 ? 0.8 : 0.1;
        last = chosen;
        at = chosen + 1;
    }
    return score / (double)n * (double)n / ((double)n + 0.15 * (double)size);
}

/* ---- names ---- */

static struct slice exact_name(const struct code_name *key)
{
    const char *begin = key->bytes + 1, *nul = memchr(begin, 0, key->size - 1);
    size_t lower_size = nul ? (size_t)(nul - begin) : key->size - 1;
    return nul && lower_size + 2 < key->size ? (struct slice){nul + 1, key->size - lower_size - 2}
                                             : (struct slice){begin, lower_size};
}

static double kind_weight(unsigned kind)
{
    switch (kind) {
    case TAG_PROTOTYPE:
        return 0.6;
    case TAG_FIELD:
    case TAG_KEY:
    case TAG_HEADING:
    case TAG_TARGET:
        return 0.75;
    case TAG_VARIABLE:
    case TAG_ENUMERATOR:
        return 0.85;
    default:
        return 1;
    }
}

/* At most *left, which becomes less. */
static enum status add_places(struct search *search, struct slice name, struct posting_list list, double quality,
                              size_t *left, struct candidates *out, struct error *error)
{
    const char *copy = NULL;
    while (*left && posting_next(&list)) {
        unsigned kind = list.extra & 31;
        if (search->query.kinds && !(search->query.kinds >> kind & 1))
            continue;
        if (search->contents && (list.document >= search->n_contents || !search->contents[list.document]))
            continue;
        copy = copy ? copy : arena_copy_text(search->arena, name.data, name.size);
        struct candidate *it = copy ? candidates_add(out) : NULL;
        if (!it)
            return error_set(error, STATUS_MEMORY, "out of memory");
        it->content = list.document;
        it->ordinal = list.extra >> 5;
        it->kind = (int)kind;
        it->name = copy;
        it->quality = quality * kind_weight(kind);
        --*left;
    }
    return STATUS_OK;
}

struct hunt {
    struct search *search;
    struct candidates *out;
    char key[CODE_NAME_MAX]; /* KEY_DEFINITION and the word in lower case */
    size_t key_size;
    struct slice word;
    double weight;
    uint64_t deadline_ns;
    bool is_name; /* the word, but for its case */
};

/* The cursor that stands on the first of the names that begin with the word. */
static const struct segment_cursor *first_name(const struct hunt *hunt, const struct segment_cursor *cursors, size_t n)
{
    const struct segment_cursor *first = NULL;
    for (size_t i = 0; i < n; i++)
        if (!cursors[i].is_done && cursors[i].key.size > hunt->key_size &&
            memcmp(cursors[i].key.bytes, hunt->key, hunt->key_size) == 0 &&
            (!first || code_compare(cursors[i].key.bytes, cursors[i].key.size, first->key.bytes, first->key.size) < 0))
            first = &cursors[i];
    return first;
}

/* Names that are the word, or begin with it, through all segments at once: what is found is the same however they were
 * merged. */
static enum status hunt_prefix(struct hunt *hunt, struct segment_cursor *cursors, size_t n, bool exact_only,
                               struct error *error)
{
    enum status status = STATUS_OK;
    const struct segment_cursor *first;
    size_t n_word = hunt->key_size - 1;
    for (int turn = 0; status == STATUS_OK && turn < MAX_NAMES && (first = first_name(hunt, cursors, n)); turn++) {
        struct code_name key = {.size = first->key.size};
        memcpy(key.bytes, first->key.bytes, key.size);
        struct slice name = exact_name(&key);
        bool is_exact = name.size == n_word;
        if (exact_only && !is_exact)
            break;
        hunt->is_name = hunt->is_name || is_exact;
        double quality = is_exact && memcmp(name.data, hunt->word.data, name.size) == 0 ? 1
                         : is_exact                                                     ? 0.9
                                    : 0.4 + 0.3 * (double)n_word / (double)(name.size ? name.size : 1);
        size_t left = MAX_PLACES;
        for (size_t i = 0; status == STATUS_OK && i < n; i++) {
            if (cursors[i].is_done || code_compare(cursors[i].key.bytes, cursors[i].key.size, key.bytes, key.size) != 0)
                continue;
            status = add_places(hunt->search, name, cursors[i].list, quality * hunt->weight, &left, hunt->out, error);
            if (status == STATUS_OK)
                status = segment_next(&cursors[i], error);
        }
    }
    return status;
}

/* Names that begin with the first n_first letters and hold the others in order. */
static enum status hunt_letters(struct hunt *hunt, struct segment_cursor *cursor, size_t n_first, struct error *error)
{
    enum status status = STATUS_OK;
    for (unsigned turn = 0; status == STATUS_OK && !cursor->is_done && cursor->key.size > n_first &&
                            memcmp(cursor->key.bytes, hunt->key, n_first + 1) == 0;
         turn++) {
        struct slice name = exact_name(&cursor->key);
        bool is_prefix =
            cursor->key.size >= hunt->key_size && memcmp(cursor->key.bytes, hunt->key, hunt->key_size) == 0;
        double score = is_prefix ? 0 : fuzzy_score(name.data, name.size, hunt->key + 1, hunt->key_size - 1);
        size_t left = MAX_FUZZY;
        if (score > 0.35)
            status = add_places(hunt->search, name, cursor->list, 0.4 * score * hunt->weight, &left, hunt->out, error);
        if (turn % 64 == 63 && clock_now_ns() > hunt->deadline_ns)
            break;
        if (status == STATUS_OK)
            status = segment_next(cursor, error);
    }
    return status;
}

static enum status hunt_word(struct search *search, struct slice word, double weight, bool exact_only,
                             struct candidates *out, struct error *error)
{
    struct hunt hunt = {.search = search, .out = out, .word = word, .weight = weight};
    const struct segment *segments;
    size_t n, before = out->n;
    if (word.size > FACT_NAME_MAX)
        return STATUS_OK;
    hunt.key[0] = KEY_DEFINITION;
    facts_lower(hunt.key + 1, word.data, word.size);
    hunt.key_size = word.size + 1;
    enum status status = segment_list(search->index->segments, &segments, &n, error);
    struct segment_cursor *cursors = status == STATUS_OK ? calloc(n + 1, sizeof *cursors) : NULL;
    if (status == STATUS_OK && !cursors)
        status = error_set(error, STATUS_MEMORY, "out of memory");
    struct segment_store *store = search->index->segments;
    for (size_t i = 0; status == STATUS_OK && i < n; i++)
        status = segment_seek(&cursors[i], store, &segments[i], hunt.key, hunt.key_size, error);
    if (status == STATUS_OK)
        status = hunt_prefix(&hunt, cursors, n, exact_only, error);
    if (!exact_only && word.size >= 3 && out->n - before < ENOUGH) {
        uint64_t now = clock_now_ns(), time = hunt.is_name ? fuzzy_beside_ns : fuzzy_ns;
        for (size_t first = 2; first >= 1; first--)
            for (size_t i = 0; status == STATUS_OK && i < n; i++) {
                /* Every segment gets its share of the time; the newest, where work goes on, first. */
                hunt.deadline_ns = now + time * (2 - first + 1) / 2 * (i + 1) / n;
                status = segment_seek(&cursors[n - 1 - i], store, &segments[n - 1 - i], hunt.key, first + 1, error);
                if (status == STATUS_OK)
                    status = hunt_letters(&hunt, &cursors[n - 1 - i], first, error);
            }
    }
    for (size_t i = 0; cursors && i < n; i++)
        segment_cursor_deinit(&cursors[i]);
    free(cursors);
    return status;
}

/* ---- places ---- */

/* The least number of a definition from least on that candidates of this content ask for; UINT32_MAX: none. */
static uint32_t next_asked(const struct candidate *items, size_t n, uint32_t content, uint32_t least)
{
    uint32_t next = UINT32_MAX;
    for (size_t i = 0; i < n; i++)
        if (items[i].content == content && !items[i].line && items[i].ordinal >= least && items[i].ordinal < next)
            next = items[i].ordinal;
    return next;
}

/* Lines of the first of n candidates, and of those of the same content: once through its definitions, which may be tens of
 * thousands.  Its path is NULL where it is gone. */
static enum status find_lines(struct search *search, struct candidate *items, size_t n, struct buffer *blob,
                              uint32_t *blob_of, struct error *error)
{
    enum status status = STATUS_OK;
    uint32_t content = items->content, asked = next_asked(items, n, content, 0);
    if (*blob_of != content)
        status = search_copy_blob(search->index, INDEX_DEFINITIONS, content, blob, error);
    *blob_of = content;
    struct fact_definitions list = {.reader = code_reader_make(blob->data, blob->size)};
    bool is_in_function = false; /* one was met, and where the last of them ends */
    uint32_t function_end = 0;
    while (status == STATUS_OK && asked != UINT32_MAX && facts_next_definition(&list)) {
        bool is_function = list.now.kind == TAG_FUNCTION || list.now.kind == TAG_METHOD;
        if (list.now.ordinal == asked) {
            for (size_t i = 0; i < n; i++)
                if (items[i].content == content && items[i].ordinal == asked && !items[i].line) {
                    items[i].line = list.now.line;
                    items[i].end_line = list.now.end_line;
                    items[i].is_local = is_in_function && list.now.whole.begin < function_end;
                }
            asked = next_asked(items, n, content, asked + 1);
        }
        if (is_function && list.now.whole.end > function_end) {
            is_in_function = true;
            function_end = list.now.whole.end;
        }
    }
    if (!items->line)
        items->path = NULL;
    return status;
}

static enum status find_importers(struct search *search, struct candidate *it, struct error *error)
{
    struct buffer path = {0};
    buffer_append(&path, it->path, it->path_size);
    enum status status = buffer_status(&path, error);
    if (status == STATUS_OK)
        status = index_is_imported(search->index, path.data, &it->is_imported, error);
    buffer_deinit(&path);
    return status;
}

static size_t folder_size(const struct candidate *it)
{
    size_t size = it->path_size;
    while (size && it->path[size - 1] != '/')
        size--;
    return size;
}

/* Declared in a file beside it that others import. */
static bool is_declared_beside(const struct candidates *list, const struct candidate *it)
{
    size_t size = folder_size(it);
    for (size_t i = 0; i < list->n; i++) {
        const struct candidate *other = &list->items[i];
        if (other->path && other->kind == TAG_PROTOTYPE && other->is_imported && folder_size(other) == size &&
            memcmp(other->path, it->path, size) == 0 && strcmp(other->name, it->name) == 0)
            return true;
    }
    return false;
}

/* Of things of one name those that others can mean come first: not what lies within a function, rather what lies in a file
 * that is imported, or is declared in one beside it. */
static enum status weigh_equals(struct search *search, const struct candidates *list, size_t n, struct buffer *blob,
                                uint32_t *blob_of, struct error *error)
{
    struct candidates equals = {list->items, n, 0};
    enum status status = STATUS_OK;
    for (size_t i = 0; status == STATUS_OK && i < n; i++) {
        struct candidate *it = &list->items[i];
        if (!it->line)
            status = find_lines(search, it, list->n - i, blob, blob_of, error);
        bool is_known = false;
        for (size_t k = 0; it->path && k < i && !is_known; k++) {
            const struct candidate *other = &list->items[k];
            is_known = other->path && other->content == it->content;
            it->is_imported = is_known && other->is_imported;
        }
        if (status == STATUS_OK && it->path && !is_known)
            status = find_importers(search, it, error);
    }
    for (size_t i = 0; status == STATUS_OK && i < n; i++) {
        struct candidate *it = &list->items[i];
        if (it->path && (it->is_imported || is_declared_beside(&equals, it)))
            it->quality += imported_gain;
        if (it->path && it->is_local)
            it->quality *= local_share;
    }
    return status;
}

/* The best get paths and lines; the rest, and those that no file has any more, go. */
static enum status finish(struct search *search, struct candidates *found, size_t begin, struct error *error)
{
    if (found->n == begin)
        return STATUS_OK;
    struct candidates list = {found->items + begin, found->n - begin, 0};
    struct buffer blob = {0};
    uint32_t blob_of = 0;
    size_t kept = 0, tried = 0, n_equals = 0;
    enum status status = STATUS_OK;
    candidates_sort(&list);
    double best = list.items[0].quality;
    for (size_t i = 0; status == STATUS_OK && i < list.n && tried < 4 * search_depth(search); i++) {
        struct candidate it = list.items[i];
        bool is_twice =
            kept && list.items[kept - 1].content == it.content && list.items[kept - 1].ordinal == it.ordinal;
        if (is_twice)
            continue;
        tried++;
        status = search_find_path(search, &it, error);
        n_equals += it.path && n_equals == kept && n_equals < EQUALS_MOST && it.quality >= best * 0.6;
        it.quality +=
            it.path ? search_nearness(search, it.path, it.path_size) + search_lift(search, it.path, it.path_size) : 0;
        if (it.path)
            list.items[kept++] = it;
    }
    list.n = kept;
    if (status == STATUS_OK && n_equals > 1 && search->query.n_words < SEARCH_MANY_WORDS)
        status = weigh_equals(search, &list, n_equals, &blob, &blob_of, error);
    candidates_sort(&list);
    kept = 0;
    for (size_t i = 0; status == STATUS_OK && i < list.n && kept < search_depth(search); i++) {
        struct candidate *it = &list.items[i];
        if (it->path && !it->line)
            status = find_lines(search, it, list.n - i, &blob, &blob_of, error);
        if (it->path) /* else gone meanwhile */
            list.items[kept++] = *it;
    }
    found->n = begin + kept;
    buffer_deinit(&blob);
    return status;
}

/* How likely a word means a symbol: _ or capitals within say so, a plain word among others may be just a word. */
static double weight_of(const struct search_query *query, struct slice word)
{
    struct slice parts[FACT_PARTS_MAX];
    if (query->n_words == 1)
        return 1;
    return facts_split(word, parts) > 1 ? 0.9 : 0.3;
}

enum status search_symbols(struct search *search, struct candidates *out, struct error *error)
{
    const struct search_query *query = &search->query;
    size_t begin = out->n;
    enum status status = STATUS_OK;
    if (query->definition)
        status = hunt_word(search, slice_from(query->definition), 1, true, out, error);
    for (size_t i = 0; status == STATUS_OK && !query->definition && i < query->n_words; i++)
        status = hunt_word(search, query->words[i], weight_of(query, query->words[i]), query->n_words > 1, out, error);
    /* Several words may be the parts of one name: get user pages. */
    if (status == STATUS_OK && !query->definition && query->n_words > 1 && query->n_words <= 6) {
        static const char *const joints[] = {"_", ""};
        for (int k = 0; status == STATUS_OK && k < 2; k++) {
            struct buffer joined = {0};
            for (size_t i = 0; i < query->n_words; i++) {
                buffer_append_text(&joined, i ? joints[k] : "");
                buffer_append(&joined, query->words[i].data, query->words[i].size);
            }
            status = buffer_status(&joined, error);
            if (status == STATUS_OK)
                status = hunt_word(search, (struct slice){joined.data, joined.size}, 1, false, out, error);
            buffer_deinit(&joined);
        }
    }
    return status == STATUS_OK ? finish(search, out, begin, error) : status;
}
