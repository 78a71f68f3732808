/* tagquery: compiles a tag query (assets/tags/LANG.scm) into tables by node symbol, for tags.c.
 *
 * The dialect is a part of tree-sitter's query language, so that ts_query_new takes the same files (a test holds our
 * matches against those of tree-sitter's own cursor):
 *
 *     (node field: (child) @name (child) !field) @definition.function   named nodes, fields, absent fields
 *     (_)  [(a) (b)]  "token"                                          any named node, alternatives, tokens
 *     (node . (child))                                                 the first of the named children
 *     (#eq? @x "text") (#any-of? @x "a" "b")                           what a captured node's text must be
 *
 * A pattern's children may come in any order; a child without @name and the like stands for the first node that fits.
 * Captures: @definition.KIND (KIND as tag_kind_name says), @name, @doc, @comment, @reference, @reference.call,
 * @reference.words, @reference.member, @import, @local; others only serve (#...). */
#include "repo/syntax_private.h"

#include <stdlib.h>
#include <string.h>

enum { MAX_PATTERNS = 4096, MAX_TEXTS = 1024, MAX_NAMED = 16 };

struct reader {
    const TSLanguage *grammar;
    struct slice text;
    size_t at;
    struct tag_query *query;
    const char *problem; /* NULL: none so far */
    size_t problem_at;
    struct { /* captures of the pattern that is being read, for (#...) */
        struct slice name;
        uint16_t pattern;
    } named[MAX_NAMED];
    size_t n_named;
};

static uint16_t fail(struct reader *reader, const char *problem)
{
    if (!reader->problem) {
        reader->problem = problem;
        reader->problem_at = reader->at;
    }
    return 0;
}

static char peek(struct reader *reader)
{
    while (reader->at < reader->text.size) {
        char c = reader->text.data[reader->at];
        if (c == ';') {
            while (reader->at < reader->text.size && reader->text.data[reader->at] != '\n')
                reader->at++;
        } else if (c == ' ' || c == '\n' || c == '\t' || c == '\r') {
            reader->at++;
        } else {
            return c;
        }
    }
    return 0;
}

static bool take(struct reader *reader, char c)
{
    if (peek(reader) != c)
        return false;
    reader->at++;
    return true;
}

static struct slice take_word(struct reader *reader)
{
    peek(reader);
    size_t begin = reader->at;
    while (reader->at < reader->text.size) {
        char c = reader->text.data[reader->at];
        bool is_word = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_' ||
                       c == '.' || c == '-' || c == '?';
        if (!is_word)
            break;
        reader->at++;
    }
    return (struct slice){reader->text.data + begin, reader->at - begin};
}

/* A text in quotes; \" and \\ stand for themselves. */
static struct slice take_quoted(struct reader *reader)
{
    if (!take(reader, '"')) {
        fail(reader, "expected a text in quotes");
        return (struct slice){"", 0};
    }
    size_t begin = reader->at, n = 0;
    char *out = arena_alloc(&reader->query->arena, reader->text.size - begin + 1);
    while (reader->at < reader->text.size && reader->text.data[reader->at] != '"') {
        if (reader->text.data[reader->at] == '\\' && reader->at + 1 < reader->text.size)
            reader->at++;
        if (out)
            out[n++] = reader->text.data[reader->at];
        reader->at++;
    }
    if (!take(reader, '"') || !out)
        fail(reader, "a text that doesn't end");
    return (struct slice){out ? out : "", n};
}

static uint16_t add_pattern(struct reader *reader)
{
    struct tag_query *query = reader->query;
    if (query->n_patterns == MAX_PATTERNS)
        return fail(reader, "too many patterns");
    return (uint16_t)query->n_patterns++;
}

static TSSymbol symbol_of(struct reader *reader, struct slice name, bool is_named)
{
    TSSymbol symbol = ts_language_symbol_for_name(reader->grammar, name.data, (uint32_t)name.size, is_named);
    if (symbol == 0)
        fail(reader, "the grammar has no such node");
    return symbol;
}

static TSFieldId field_of(struct reader *reader, struct slice name)
{
    TSFieldId field = ts_language_field_id_for_name(reader->grammar, name.data, (uint32_t)name.size);
    if (field == 0)
        fail(reader, "the grammar has no such field");
    return field;
}

static const struct {
    const char *name;
    uint16_t capture;
} CAPTURES[] = {
    {"name", CAPTURE_NAME},
    {"doc", CAPTURE_DOC},
    {"comment", CAPTURE_COMMENT},
    {"reference", CAPTURE_REFERENCE},
    {"reference.call", CAPTURE_CALL},
    {"reference.words", CAPTURE_WORDS},
    {"reference.member", CAPTURE_REFERENCE | CAPTURE_MEMBER},
    {"import", CAPTURE_IMPORT},
    {"local", CAPTURE_LOCAL},
};

static void set_capture(struct reader *reader, uint16_t at, struct slice name)
{
    for (; at; at = reader->query->patterns[at].other) {
        struct pattern *pattern = &reader->query->patterns[at];
        bool is_known = false;
        for (size_t i = 0; i < sizeof CAPTURES / sizeof *CAPTURES; i++)
            if (slice_equals(name, CAPTURES[i].name)) {
                pattern->captures |= CAPTURES[i].capture;
                is_known = true;
            }
        for (int kind = 0; kind < TAG_N_KINDS && name.size > 11 && memcmp(name.data, "definition.", 11) == 0; kind++)
            if (slice_equals((struct slice){name.data + 11, name.size - 11}, tag_kind_name((enum tag_kind)kind))) {
                pattern->captures |= CAPTURE_DEFINITION;
                pattern->kind = (enum tag_kind)kind;
                is_known = true;
            }
        if (is_known)
            continue;
        if (reader->n_named == MAX_NAMED || name.size == 0) {
            fail(reader, "a capture without a name, or too many");
            return;
        }
        reader->named[reader->n_named].name = name;
        reader->named[reader->n_named++].pattern = at;
    }
}

/* (#eq? @x "a"), (#any-of? @x "a" "b"): after "(#". */
static void read_predicate(struct reader *reader)
{
    struct tag_query *query = reader->query;
    struct slice what = take_word(reader);
    if ((!slice_equals(what, "eq?") && !slice_equals(what, "any-of?")) || !take(reader, '@')) {
        fail(reader, "only #eq? and #any-of? of a capture are understood");
        return;
    }
    struct slice name = take_word(reader);
    size_t first = query->n_texts;
    while (!reader->problem && peek(reader) == '"') {
        if (query->n_texts == MAX_TEXTS) {
            fail(reader, "too many texts");
            return;
        }
        query->texts[query->n_texts++] = take_quoted(reader);
    }
    if (!take(reader, ')'))
        fail(reader, "expected )");
    bool is_used = false;
    for (size_t i = 0; i < reader->n_named; i++)
        if (reader->named[i].name.size == name.size && memcmp(reader->named[i].name.data, name.data, name.size) == 0) {
            query->patterns[reader->named[i].pattern].texts = (uint16_t)first;
            query->patterns[reader->named[i].pattern].n_texts = (uint16_t)(query->n_texts - first);
            is_used = true;
        }
    if (!is_used)
        fail(reader, "no such capture in this pattern, or one that has a meaning of its own");
}

static uint16_t read_node(struct reader *reader, int depth);

/* What stands between ( and ) after the node's name. */
static void read_children(struct reader *reader, uint16_t parent, int depth)
{
    struct tag_query *query = reader->query;
    uint16_t last = 0;
    while (!reader->problem && !take(reader, ')')) {
        if (take(reader, '!')) {
            query->patterns[parent].absent = field_of(reader, take_word(reader));
            continue;
        }
        if (peek(reader) == '(' && reader->at + 1 < reader->text.size && reader->text.data[reader->at + 1] == '#') {
            reader->at += 2;
            read_predicate(reader);
            continue;
        }
        TSFieldId field = 0;
        bool is_first = take(reader, '.');
        if (peek(reader) >= 'a' && peek(reader) <= 'z') {
            field = field_of(reader, take_word(reader));
            if (!take(reader, ':'))
                fail(reader, "expected : after a field");
        }
        uint16_t child = read_node(reader, depth + 1);
        if (!child)
            return;
        for (uint16_t at = child; at; at = query->patterns[at].other)
            query->patterns[at].field = field, query->patterns[at].is_first = is_first;
        if (last)
            query->patterns[last].next = child;
        else
            query->patterns[parent].child = child;
        last = child;
    }
}

static uint16_t read_alternatives(struct reader *reader, int depth)
{
    uint16_t first = 0, last = 0;
    while (!reader->problem && !take(reader, ']')) {
        uint16_t each = read_node(reader, depth + 1);
        if (!each)
            return 0;
        if (last)
            reader->query->patterns[last].other = each;
        else
            first = each;
        for (last = each; reader->query->patterns[last].other;)
            last = reader->query->patterns[last].other;
    }
    return first ? first : fail(reader, "no alternatives");
}

/* The index of the pattern, 0 where it isn't understood. */
static uint16_t read_node(struct reader *reader, int depth)
{
    struct tag_query *query = reader->query;
    uint16_t pattern = 0;
    if (depth > PATTERN_MAX_DEPTH)
        return fail(reader, "nested too deeply");
    if (take(reader, '[')) {
        pattern = read_alternatives(reader, depth);
    } else if (peek(reader) == '"') {
        pattern = add_pattern(reader);
        struct slice token = take_quoted(reader);
        if (pattern)
            query->patterns[pattern].symbol = symbol_of(reader, token, false);
    } else if (take(reader, '(')) {
        struct slice name = take_word(reader);
        pattern = add_pattern(reader);
        if (!pattern)
            return 0;
        if (slice_equals(name, "_"))
            query->patterns[pattern].any = true;
        else
            query->patterns[pattern].symbol = symbol_of(reader, name, true);
        read_children(reader, pattern, depth);
    } else {
        return fail(reader, "expected (, [ or a token");
    }
    while (pattern && !reader->problem && take(reader, '@'))
        set_capture(reader, pattern, take_word(reader));
    return reader->problem ? 0 : pattern;
}

/* Marks the way down to what is captured in every place it is found.  Children were read after their parents. */
static void mark_targets(struct tag_query *query, size_t from)
{
    for (size_t i = query->n_patterns; i-- > from;) {
        struct pattern *pattern = &query->patterns[i];
        pattern->has_target = (pattern->captures & CAPTURE_TARGETS) != 0;
        for (uint16_t child = pattern->child; child; child = query->patterns[child].next) {
            struct pattern *first = &query->patterns[child];
            for (uint16_t each = child; each; each = query->patterns[each].other)
                first->leads = first->leads || query->patterns[each].has_target;
            pattern->has_target = pattern->has_target || first->leads;
        }
    }
}

static void add_root(struct reader *reader, uint16_t root)
{
    struct tag_query *query = reader->query;
    while (root) {
        struct pattern *pattern = &query->patterns[root];
        uint16_t other = pattern->other;
        pattern->other = 0;
        if (pattern->any || pattern->symbol >= query->n_symbols) {
            fail(reader, "a pattern can't begin with (_)");
            return;
        }
        if (!pattern->child && !pattern->n_texts && !(pattern->captures & ~(unsigned)CAPTURE_LEAVES)) {
            query->leaves[pattern->symbol] |= pattern->captures;
        } else {
            uint16_t *end = &query->roots[pattern->symbol];
            while (*end)
                end = &query->patterns[*end].next;
            *end = root;
        }
        root = other;
    }
}

static void read_query(struct reader *reader)
{
    while (!reader->problem && peek(reader)) {
        size_t from = reader->query->n_patterns;
        reader->n_named = 0;
        uint16_t root = read_node(reader, 0);
        if (root) {
            mark_targets(reader->query, from);
            add_root(reader, root);
        }
    }
}

enum status tag_query_new(const TSLanguage *grammar, struct slice text, struct tag_query **out, struct error *error)
{
    struct tag_query *query = calloc(1, sizeof *query);
    if (!query)
        return error_set(error, STATUS_MEMORY, "no memory for a tag query");
    query->n_symbols = ts_language_symbol_count(grammar);
    query->patterns = arena_alloc(&query->arena, MAX_PATTERNS * sizeof *query->patterns);
    query->texts = arena_alloc(&query->arena, MAX_TEXTS * sizeof *query->texts);
    query->roots = arena_alloc(&query->arena, query->n_symbols * sizeof *query->roots);
    query->leaves = arena_alloc(&query->arena, query->n_symbols * sizeof *query->leaves);
    if (!query->patterns || !query->texts || !query->roots || !query->leaves) {
        tag_query_free(query);
        return error_set(error, STATUS_MEMORY, "no memory for a tag query");
    }
    query->n_patterns = 1; /* 0 ends lists */
    query->values[0] = ts_language_field_id_for_name(grammar, "value", 5);
    query->values[1] = ts_language_field_id_for_name(grammar, "right", 5);
    query->body = ts_language_field_id_for_name(grammar, "body", 4);
    struct reader reader = {.grammar = grammar, .text = text, .query = query};
    read_query(&reader);
    if (reader.problem) {
        size_t line = 1;
        for (size_t i = 0; i < reader.problem_at; i++)
            line += text.data[i] == '\n';
        tag_query_free(query);
        return error_set(error, STATUS_FORMAT, "line %zu: %s", line, reader.problem);
    }
    *out = query;
    return STATUS_OK;
}

void tag_query_free(struct tag_query *query)
{
    if (!query)
        return;
    arena_deinit(&query->arena);
    free(query);
}
