/* tags: one walk over a tree that collects what the tag query's patterns find: definitions, names, comments, imports,
 * and for each line how deep the node lies that begins it.
 *
 * Most nodes cost a look into two tables by symbol.  Where a pattern begins, its children are looked for with cursors
 * of their own, one a level, so that depth is bounded by the pattern's, never by the tree's. */
#include "repo/syntax_private.h"

#include <stdlib.h>
#include <string.h>

struct match {
    const struct pattern *definition; /* the pattern's node that is @definition.KIND */
    TSNode whole;                     /* what it stands for */
    struct span doc;
    uint16_t rank;
};

struct tag_walk {
    TSTreeCursor tree, levels[PATTERN_MAX_DEPTH + 2];
    const struct tag_query *query;
    const char *text;
    uint32_t size;
    struct found *found;
};

void *list_add(struct list *list)
{
    if (list->n == list->capacity) {
        size_t capacity = list->capacity ? list->capacity * 2 : 64;
        if (list->n >= list->most)
            return NULL;
        void *items = realloc(list->items, capacity * list->size);
        if (!items) {
            list->failed = true;
            return NULL;
        }
        list->items = items;
        list->capacity = capacity;
    }
    void *item = (char *)list->items + list->n++ * list->size;
    memset(item, 0, list->size);
    return item;
}

void list_clear(struct list *list)
{
    list->n = 0;
    list->failed = false;
}

void list_deinit(struct list *list)
{
    free(list->items);
    list->items = NULL;
    list->n = list->capacity = 0;
}

enum status tag_walk_new(struct tag_walk **out, struct error *error)
{
    struct tag_walk *walk = calloc(1, sizeof *walk);
    if (!walk)
        return error_set(error, STATUS_MEMORY, "no memory to walk syntax trees");
    *out = walk;
    return STATUS_OK;
}

/* Cursors that were never used have no memory of their own. */
void tag_walk_free(struct tag_walk *walk)
{
    if (!walk)
        return;
    ts_tree_cursor_delete(&walk->tree);
    for (size_t i = 0; i < sizeof walk->levels / sizeof *walk->levels; i++)
        ts_tree_cursor_delete(&walk->levels[i]);
    free(walk);
}

/* The node's bytes; empty where a grammar says what is not within the text. */
static struct span span_of(const struct tag_walk *walk, TSNode node)
{
    struct span span = {ts_node_start_byte(node), ts_node_end_byte(node)};
    if (span.begin > span.end || span.end > walk->size)
        span.begin = span.end = 0;
    return span;
}

static bool text_fits(const struct tag_walk *walk, const struct pattern *pattern, TSNode node)
{
    struct span span = span_of(walk, node);
    for (uint16_t i = 0; i < pattern->n_texts; i++) {
        struct slice text = walk->query->texts[pattern->texts + i];
        if (text.size == span.end - span.begin && memcmp(text.data, walk->text + span.begin, text.size) == 0)
            return true;
    }
    return pattern->n_texts == 0;
}

/* Whether the node is what the pattern's own line says; its children are not looked at. */
static bool node_fits(const struct tag_walk *walk, const struct pattern *pattern, TSNode node, TSFieldId field)
{
    if (pattern->any ? !ts_node_is_named(node) : ts_node_symbol(node) != pattern->symbol)
        return false;
    if (pattern->field && pattern->field != field)
        return false;
    if (pattern->absent && !ts_node_is_null(ts_node_child_by_field_id(node, pattern->absent)))
        return false;
    return text_fits(walk, pattern, node);
}

static const struct pattern *pattern_at(const struct tag_walk *walk, uint16_t index)
{
    return index ? &walk->query->patterns[index] : NULL;
}

/* Without white space and quotes at its ends. */
static struct span trim_name(const struct tag_walk *walk, struct span span)
{
    while (span.end - span.begin > 1 && strchr(" \t\r\n\"'", walk->text[span.end - 1]) && walk->text[span.end - 1])
        span.end--;
    while (span.end - span.begin > 1 && strchr(" \t\r\n\"':", walk->text[span.begin]) && walk->text[span.begin])
        span.begin++;
    return span;
}

/* The body that a signature ends before: of the node, or of what it gives a name to (`const f = (x) => {...}`). */
static TSNode body_of(const struct tag_query *query, TSNode node)
{
    TSNode body = {.id = NULL};
    if (query->body)
        body = ts_node_child_by_field_id(node, query->body);
    for (size_t i = 0; i < sizeof query->values / sizeof *query->values && ts_node_is_null(body); i++) {
        TSNode value = {.id = NULL};
        if (query->body && query->values[i])
            value = ts_node_child_by_field_id(node, query->values[i]);
        if (!ts_node_is_null(value))
            body = ts_node_child_by_field_id(value, query->body);
    }
    return body;
}

static void take_target(struct tag_walk *walk, const struct match *match, const struct pattern *pattern, TSNode node)
{
    struct span span = span_of(walk, node);
    uint32_t line = ts_node_start_point(node).row + 1;
    if (span.begin == span.end || ts_node_is_missing(node))
        return;
    if (pattern->captures & CAPTURE_NAME) {
        if (!match->definition)
            return;
        struct found_definition *found = list_add(&walk->found->definitions);
        if (!found)
            return;
        struct definition *definition = &found->definition;
        struct span body = {0, 0};
        definition->name = trim_name(walk, span);
        definition->whole = span_of(walk, match->whole);
        definition->line = ts_node_start_point(match->whole).row + 1;
        definition->end_line = ts_node_end_point(match->whole).row + 1;
        /* Some grammars count the line's end to the node. */
        while (definition->whole.end > span.end && (unsigned char)walk->text[definition->whole.end - 1] <= ' ')
            definition->end_line -= walk->text[--definition->whole.end] == '\n';
        definition->kind = match->definition->kind;
        definition->doc = match->doc;
        found->rank = match->rank;
        TSNode node_body = body_of(walk->query, match->whole);
        if (!ts_node_is_null(node_body))
            body = span_of(walk, node_body);
        definition->signature = definition->whole;
        if (body.end > body.begin && body.begin >= span.end)
            definition->signature.end = body.begin;
    } else if (pattern->captures & CAPTURE_IMPORT) {
        struct import *import = list_add(&walk->found->imports);
        if (import) {
            import->target = span;
            import->line = line;
        }
    } else {
        struct found_name *name = list_add(&walk->found->names);
        if (name) {
            name->span = span;
            name->line = line;
            name->captures = pattern->captures;
        }
    }
}

static bool match_rest(struct tag_walk *walk, const struct pattern *pattern, TSNode node, struct match *match,
                       int level);

/* Whether one of the alternatives, which hold no target, stands among the node's children. */
static bool child_fits(struct tag_walk *walk, uint16_t alternatives, TSNode node, struct match *match, int level)
{
    TSTreeCursor *cursor = &walk->levels[level];
    size_t n_named = 0;
    ts_tree_cursor_reset(cursor, node);
    if (!ts_tree_cursor_goto_first_child(cursor))
        return false;
    do {
        TSNode child = ts_tree_cursor_current_node(cursor);
        TSFieldId field = ts_tree_cursor_current_field_id(cursor);
        bool is_first = n_named == 0;
        n_named += ts_node_is_named(child);
        for (const struct pattern *each = pattern_at(walk, alternatives); each; each = pattern_at(walk, each->other))
            if ((is_first || !each->is_first) && node_fits(walk, each, child, field) &&
                match_rest(walk, each, child, match, level + 1))
                return true;
    } while (ts_tree_cursor_goto_next_sibling(cursor));
    return false;
}

/* Whether everything below that holds no target is there.  Recursion goes down the pattern. */
static bool match_rest(struct tag_walk *walk, const struct pattern *pattern, TSNode node, struct match *match,
                       int level)
{
    if (pattern->captures & CAPTURE_DOC)
        match->doc = span_of(walk, node);
    for (const struct pattern *child = pattern_at(walk, pattern->child); child; child = pattern_at(walk, child->next)) {
        if (!child->leads && !child_fits(walk, (uint16_t)(child - walk->query->patterns), node, match, level))
            return false;
    }
    return true;
}

/* Takes the target in every place below the node where the pattern finds it.  Recursion goes down the pattern. */
static void match_targets(struct tag_walk *walk, const struct pattern *pattern, TSNode node, struct match *match,
                          int level)
{
    size_t n_named = 0;
    if (pattern->captures & CAPTURE_DEFINITION) {
        match->definition = pattern;
        match->whole = node;
    }
    if (!match_rest(walk, pattern, node, match, level))
        return;
    if (pattern->captures & CAPTURE_TARGETS)
        take_target(walk, match, pattern, node);
    for (const struct pattern *child = pattern_at(walk, pattern->child); child; child = pattern_at(walk, child->next)) {
        TSTreeCursor *cursor = &walk->levels[level];
        if (!child->leads)
            continue;
        ts_tree_cursor_reset(cursor, node);
        if (!ts_tree_cursor_goto_first_child(cursor))
            continue;
        n_named = 0;
        do {
            TSNode next = ts_tree_cursor_current_node(cursor);
            TSFieldId field = ts_tree_cursor_current_field_id(cursor);
            bool is_first = n_named == 0;
            n_named += ts_node_is_named(next);
            for (const struct pattern *each = child; each; each = pattern_at(walk, each->other))
                if (each->has_target && (is_first || !each->is_first) && node_fits(walk, each, next, field))
                    match_targets(walk, each, next, match, level + 1);
        } while (ts_tree_cursor_goto_next_sibling(cursor));
    }
}

static bool is_word_byte(unsigned char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_' || c >= 0x80;
}

/* The identifiers within a text that is one node to the grammar: the body of a macro.  A name before ( is a call. */
static void take_words(struct tag_walk *walk, TSNode node)
{
    struct span span = span_of(walk, node);
    uint32_t line = ts_node_start_point(node).row + 1;
    for (uint32_t i = span.begin; i < span.end; i++) {
        unsigned char c = (unsigned char)walk->text[i];
        if (c == '\n') {
            line++;
        } else if (c == '"' || c == '\'') {
            uint32_t k = i + 1;
            while (k < span.end && walk->text[k] != (char)c && walk->text[k] != '\n')
                k += walk->text[k] == '\\' && k + 1 < span.end && walk->text[k + 1] != '\n' ? 2 : 1;
            if (k < span.end && walk->text[k] == (char)c)
                i = k;
        } else if (c == '/' && i + 1 < span.end && walk->text[i + 1] == '*') {
            const char *end = memmem(walk->text + i + 2, span.end - i - 2, "*/", 2);
            uint32_t stop = end ? (uint32_t)(end - walk->text) + 1 : span.end - 1;
            for (; i < stop; i++)
                line += walk->text[i] == '\n';
        } else if (is_word_byte(c)) {
            uint32_t begin = i;
            while (i < span.end && is_word_byte((unsigned char)walk->text[i]))
                i++;
            if (!(c >= '0' && c <= '9')) {
                struct found_name *name = list_add(&walk->found->names);
                if (!name)
                    return;
                *name = (struct found_name){{begin, i}, line, CAPTURE_REFERENCE};
                if (i < span.end && walk->text[i] == '(')
                    name->captures |= CAPTURE_CALL;
            }
            i--;
        }
    }
}

static void take_leaf(struct tag_walk *walk, TSNode node, uint16_t captures)
{
    if (captures & CAPTURE_WORDS) {
        take_words(walk, node);
        return;
    }
    struct list *list = captures & CAPTURE_COMMENT ? &walk->found->comments : &walk->found->names;
    struct span span = span_of(walk, node);
    if (span.begin == span.end)
        return;
    struct found_name *name = list_add(list);
    if (name)
        *name = (struct found_name){span, ts_node_start_point(node).row + 1, captures};
}

static void take_node(struct tag_walk *walk, TSNode node)
{
    const struct tag_query *query = walk->query;
    TSSymbol symbol = ts_node_symbol(node);
    if (symbol >= query->n_symbols)
        return;
    if (query->leaves[symbol])
        take_leaf(walk, node, query->leaves[symbol]);
    for (uint16_t root = query->roots[symbol]; root; root = query->patterns[root].next) {
        struct match match = {NULL, node, {0, 0}, root};
        const struct pattern *pattern = &query->patterns[root];
        if (node_fits(walk, pattern, node, 0))
            match_targets(walk, pattern, node, &match, 0);
    }
}

/* Remembers for the row that the node begins in how deep it lies, when it is the first to do so. */
static void take_row(struct tag_walk *walk, TSNode node, uint32_t depth)
{
    struct list *rows = &walk->found->rows;
    uint32_t row = ts_node_start_point(node).row;
    if (row < rows->n)
        return;
    while (rows->n <= row) {
        uint8_t *place = list_add(rows);
        if (!place)
            return;
        *place = ROW_NONE;
    }
    if (ts_node_is_named(node))
        ((uint8_t *)rows->items)[row] = (uint8_t)(depth < ROW_NONE - 1 ? depth : ROW_NONE - 1);
}

void tag_walk_run(struct tag_walk *walk, const struct tag_query *query, TSNode root, const char *text, uint32_t size,
                  struct span range, struct found *found)
{
    uint32_t depth = 0;
    walk->query = query;
    walk->text = text;
    walk->size = size;
    walk->found = found;
    ts_tree_cursor_reset(&walk->tree, root);
    for (;;) {
        TSNode node = ts_tree_cursor_current_node(&walk->tree);
        bool is_inside = ts_node_end_byte(node) > range.begin && ts_node_start_byte(node) < range.end;
        if (is_inside && depth)
            take_row(walk, node, depth);
        if (is_inside)
            take_node(walk, node);
        if (is_inside && ts_tree_cursor_goto_first_child(&walk->tree)) {
            depth++;
            continue;
        }
        while (!ts_tree_cursor_goto_next_sibling(&walk->tree)) {
            if (!ts_tree_cursor_goto_parent(&walk->tree))
                return;
            depth--;
        }
    }
}
