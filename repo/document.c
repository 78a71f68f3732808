/* document: one text's tree, kept between edits; its colours and scopes.
 *
 * An edit costs what tree-sitter has to parse anew, mostly well under a millisecond.  Colours come from the names of
 * the grammar's nodes, by rules that hold for all grammars (string, comment, number...), and from the tag query, which
 * knows functions and types by what they are.  They are asked for a range, such as a screen, and cost what lies in it. */
#include "repo/syntax_private.h"

#include <stdlib.h>
#include <string.h>

enum { NOT_PAINTED = HL_N /* a node that leaves its bytes as they are */ };

struct document {
    const struct language *language;
    struct syntax *syntax; /* for its scratch memory */
    TSParser *parser;
    TSTree *tree; /* NULL: no grammar, or given up */
    struct buffer text;
    uint8_t *paint;
    size_t n_paint;
    struct list spans; /* highlight_span */
};

/* ---- colours by node names ---- */

static bool has_part(const char *name, const char *part)
{
    return strstr(name, part) != NULL;
}

static bool has_any_part(const char *name, const char *const *parts)
{
    for (; *parts; parts++)
        if (has_part(name, *parts))
            return true;
    return false;
}

static bool is_one_of(const char *name, const char *const *names)
{
    for (; *names; names++)
        if (strcmp(name, *names) == 0)
            return true;
    return false;
}

static uint8_t colour_of_named(const char *name)
{
    static const char *const code[] = {"interpolation", "substitution", "expansion", NULL};
    static const char *const types[] = {
        "type_identifier", "primitive_type", "predefined_type", "integral_type",        "floating_point_type",
        "boolean_type",    "void_type",      "builtin_type",    "sized_type_specifier", NULL};
    static const char *const texts[] = {
        "string",   "char_literal", "character",          "heredoc_body", "attribute_value",
        "raw_text", "code_span",    "code_fence_content", "quote_scalar", NULL};
    static const char *const numbers[] = {"number", "integer", "float_literal", "float_scalar", NULL};
    static const char *const constants[] = {"true",
                                            "false",
                                            "null",
                                            "nil",
                                            "none",
                                            "undefined",
                                            "null_literal",
                                            "boolean_literal",
                                            "this",
                                            "self",
                                            "boolean",
                                            "boolean_scalar",
                                            "null_scalar",
                                            "iota",
                                            "float",
                                            "nullptr",
                                            "escape_sequence",
                                            NULL};
    if (has_any_part(name, code))
        return HL_PLAIN;
    if (has_part(name, "comment"))
        return HL_COMMENT;
    if (is_one_of(name, types))
        return HL_TYPE;
    if (is_one_of(name, constants))
        return HL_CONSTANT;
    if (has_part(name, "heading"))
        return HL_HEADING;
    if (has_any_part(name, texts))
        return HL_STRING;
    if (has_any_part(name, numbers))
        return HL_NUMBER;
    if (strcmp(name, "preproc_directive") == 0)
        return HL_PREPROCESSOR;
    if (strcmp(name, "tag_name") == 0)
        return HL_KEYWORD;
    return strcmp(name, "attribute_name") == 0 || strcmp(name, "property_name") == 0 ? HL_TYPE : NOT_PAINTED;
}

/* A token: a word is a keyword; quotes and brackets are what they stand in. */
static uint8_t colour_of_token(const char *name)
{
    bool is_word = *name != 0;
    if (name[0] == '#' && name[1] >= 'a' && name[1] <= 'z')
        return HL_PREPROCESSOR;
    for (const char *c = name; *c; c++)
        is_word = is_word && ((*c >= 'a' && *c <= 'z') || (*c >= 'A' && *c <= 'Z') || *c == '_' || *c == ' ');
    if (is_word)
        return HL_KEYWORD;
    return strpbrk(name, "\"'`()[]{},;:.\n") ? NOT_PAINTED : HL_OPERATOR;
}

uint8_t *highlight_table_new(const TSLanguage *grammar)
{
    uint32_t n = ts_language_symbol_count(grammar);
    uint8_t *table = calloc(n + 1, 1);
    for (uint32_t i = 0; table && i < n; i++) {
        const char *name = ts_language_symbol_name(grammar, (TSSymbol)i);
        TSSymbolType type = ts_language_symbol_type(grammar, (TSSymbol)i);
        table[i] = NOT_PAINTED;
        if (name && type == TSSymbolTypeRegular)
            table[i] = colour_of_named(name);
        else if (name && type == TSSymbolTypeAnonymous)
            table[i] = colour_of_token(name);
    }
    return table;
}

/* ---- the text ---- */

enum status document_new(struct languages *languages, int language, struct document **out, struct error *error)
{
    struct document *document = calloc(1, sizeof *document);
    if (!document)
        return error_set(error, STATUS_MEMORY, "no memory for a document");
    document->spans = (struct list){.size = sizeof(struct highlight_span), .most = SIZE_MAX};
    if (language >= 0 && language < languages_count())
        document->language = languages_get(languages, language);
    document->parser = ts_parser_new();
    if (!document->parser || syntax_new(languages, &document->syntax, NULL)) {
        document_free(document);
        return error_set(error, STATUS_MEMORY, "no memory for a document");
    }
    *out = document;
    return STATUS_OK;
}

void document_free(struct document *document)
{
    if (!document)
        return;
    if (document->tree)
        ts_tree_delete(document->tree);
    if (document->parser)
        ts_parser_delete(document->parser);
    syntax_free(document->syntax);
    buffer_deinit(&document->text);
    list_deinit(&document->spans);
    free(document->paint);
    free(document);
}

static TSPoint point_of(const char *text, uint32_t at)
{
    TSPoint point = {0, 0};
    const char *begin = text, *end = text + at, *newline;
    while (begin < end && (newline = memchr(begin, '\n', (size_t)(end - begin)))) {
        point.row++;
        begin = newline + 1;
    }
    point.column = (uint32_t)(end - begin);
    return point;
}

/* Whether the edit can be what happened to the last text; one that can't is taken for a new text. */
static bool edit_fits(const struct document *document, const struct document_edit *edit, size_t size)
{
    size_t old = document->text.size;
    return edit && document->tree && edit->begin <= edit->old_end && edit->begin <= edit->new_end &&
           edit->old_end <= old && edit->new_end <= size && old - edit->old_end == size - edit->new_end;
}

enum status document_update(struct document *document, const struct document_edit *edit, const char *text, size_t size,
                            struct error *error)
{
    bool is_edit = edit_fits(document, edit, size);
    TSTree *tree = NULL;
    if (is_edit) {
        TSInputEdit change = {
            .start_byte = edit->begin,
            .old_end_byte = edit->old_end,
            .new_end_byte = edit->new_end,
            .start_point = point_of(text, edit->begin),
            .old_end_point = point_of(document->text.data ? document->text.data : "", edit->old_end),
            .new_end_point = point_of(text, edit->new_end),
        };
        ts_tree_edit(document->tree, &change);
    }
    if (document->language && document->language->grammar && size <= SYNTAX_MAX_TEXT)
        tree = syntax_parse(document->parser, document->language->grammar, is_edit ? document->tree : NULL, text,
                            (uint32_t)size, 0);
    if (document->tree)
        ts_tree_delete(document->tree);
    document->tree = tree;
    buffer_clear(&document->text);
    document->text.failed = false;
    buffer_append(&document->text, text, size);
    if (document->text.failed && document->tree) {
        ts_tree_delete(document->tree);
        document->tree = NULL;
    }
    return buffer_status(&document->text, error);
}

/* ---- colours ---- */

static void paint(struct document *document, struct span range, struct span span, uint8_t colour)
{
    if (span.begin < range.begin)
        span.begin = range.begin;
    if (span.end > range.end)
        span.end = range.end;
    if (span.begin < span.end)
        memset(document->paint + (span.begin - range.begin), colour, span.end - span.begin);
}

/* Outer nodes first, so that inner ones paint over them. */
static void paint_nodes(struct document *document, struct span range)
{
    const struct language *language = document->language;
    uint32_t n_symbols = ts_language_symbol_count(language->grammar);
    TSTreeCursor cursor = ts_tree_cursor_new(ts_tree_root_node(document->tree));
    for (bool is_done = false; !is_done;) {
        TSNode node = ts_tree_cursor_current_node(&cursor);
        struct span span = {ts_node_start_byte(node), ts_node_end_byte(node)};
        TSSymbol symbol = ts_node_symbol(node);
        bool is_inside = span.end > range.begin && span.begin < range.end;
        uint8_t colour = symbol < n_symbols ? language->colours[symbol] : (uint8_t)NOT_PAINTED;
        /* `unsigned long` is one type, whatever its words are. */
        bool is_whole = colour == HL_TYPE || colour == HL_COMMENT || colour == HL_NUMBER;
        if (is_inside && colour != NOT_PAINTED)
            paint(document, range, span, colour);
        if (is_inside && !is_whole && ts_tree_cursor_goto_first_child(&cursor))
            continue;
        while (!ts_tree_cursor_goto_next_sibling(&cursor))
            if (!ts_tree_cursor_goto_parent(&cursor)) {
                is_done = true;
                break;
            }
    }
    ts_tree_cursor_delete(&cursor);
}

static uint8_t colour_of_kind(enum tag_kind kind)
{
    switch (kind) {
    case TAG_FUNCTION:
    case TAG_METHOD:
    case TAG_PROTOTYPE:
    case TAG_TARGET:
        return HL_FUNCTION;
    case TAG_CLASS:
    case TAG_STRUCT:
    case TAG_UNION:
    case TAG_ENUM:
    case TAG_TYPE:
    case TAG_INTERFACE:
    case TAG_MODULE:
    case TAG_KEY:
        return HL_TYPE;
    case TAG_MACRO:
    case TAG_CONSTANT:
    case TAG_ENUMERATOR:
        return HL_CONSTANT;
    case TAG_HEADING:
        return HL_HEADING;
    default:
        return HL_PLAIN;
    }
}

static void read_range(struct document *document, struct span range)
{
    syntax_clear(document->syntax);
    syntax_read_tree(document->syntax, document->language, ts_tree_root_node(document->tree),
                     buffer_text(&document->text), (uint32_t)document->text.size, range);
}

static void paint_found(struct document *document, struct span range)
{
    const struct reference *references = document->syntax->references.items;
    for (size_t i = 0; i < document->syntax->references.n; i++)
        if (references[i].is_call)
            paint(document, range, references[i].name, HL_FUNCTION);
    const struct definition *definitions = document->syntax->definitions.items;
    for (size_t i = 0; i < document->syntax->definitions.n; i++) {
        uint8_t colour = colour_of_kind(definitions[i].kind);
        if (colour != HL_PLAIN)
            paint(document, range, definitions[i].name, colour);
    }
}

/* Markdown and Lua: what is known of them without a tree. */
static void paint_plain(struct document *document, struct span range)
{
    struct list code = {.size = sizeof(struct found_name), .most = SYNTAX_MAX_REFERENCES};
    struct syntax *syntax = document->syntax;
    syntax_clear(syntax);
    syntax_read_plain(syntax, document->language, buffer_text(&document->text), (uint32_t)document->text.size, &code);
    const struct found_name *spans = code.items, *comments = syntax->found.comments.items;
    for (size_t i = 0; i < code.n; i++)
        paint(document, range, spans[i].span, HL_STRING);
    for (size_t i = 0; i < syntax->found.comments.n; i++)
        paint(document, range, comments[i].span, HL_COMMENT);
    list_deinit(&code);
    paint_found(document, range);
    const struct definition *definitions = syntax->definitions.items;
    for (size_t i = 0; i < syntax->definitions.n; i++)
        if (definitions[i].kind == TAG_HEADING)
            paint(document, range, definitions[i].signature, HL_HEADING);
}

static bool is_plain(const struct document *document)
{
    return document->language && (document->language->is_markdown || document->language->is_lua) &&
           document->text.size <= SYNTAX_MAX_TEXT;
}

static enum status make_spans(struct document *document, struct span range, struct error *error)
{
    for (uint32_t i = 0; i < range.end - range.begin;) {
        uint32_t begin = i;
        while (i < range.end - range.begin && document->paint[i] == document->paint[begin])
            i++;
        if (document->paint[begin] == HL_PLAIN)
            continue;
        struct highlight_span *span = list_add(&document->spans);
        if (!span)
            return error_set(error, STATUS_MEMORY, "no memory for colours");
        *span = (struct highlight_span){{range.begin + begin, range.begin + i}, document->paint[begin]};
    }
    return STATUS_OK;
}

enum status document_highlight(struct document *document, uint32_t begin, uint32_t end,
                               const struct highlight_span **spans, size_t *n, struct error *error)
{
    struct span range = {begin, end < document->text.size ? end : (uint32_t)document->text.size};
    *spans = NULL;
    *n = 0;
    list_clear(&document->spans);
    if ((!document->tree && !is_plain(document)) || range.begin >= range.end)
        return STATUS_OK;
    if (document->n_paint < range.end - range.begin) {
        uint8_t *more = realloc(document->paint, range.end - range.begin);
        if (!more)
            return error_set(error, STATUS_MEMORY, "no memory for colours");
        document->paint = more;
        document->n_paint = range.end - range.begin;
    }
    memset(document->paint, HL_PLAIN, range.end - range.begin);
    if (is_plain(document)) {
        paint_plain(document, range);
    } else if (document->language->colours) {
        paint_nodes(document, range);
        if (document->language->tags) {
            read_range(document, range);
            paint_found(document, range);
        }
    }
    enum status status = make_spans(document, range, error);
    if (status == STATUS_OK) {
        *spans = document->spans.items;
        *n = document->spans.n;
    }
    return status;
}

/* ---- scopes ---- */

size_t document_scopes(struct document *document, uint32_t at, struct definition *scopes, size_t max)
{
    size_t n = 0;
    if (at >= document->text.size || (!is_plain(document) && (!document->tree || !document->language->tags)))
        return 0;
    if (is_plain(document)) {
        syntax_clear(document->syntax);
        syntax_read_plain(document->syntax, document->language, buffer_text(&document->text),
                          (uint32_t)document->text.size, NULL);
    } else {
        read_range(document, (struct span){at, at + 1});
    }
    const struct definition *all = document->syntax->definitions.items;
    for (size_t i = document->syntax->definitions.n; i-- > 0 && n < max;)
        if (all[i].whole.begin <= at && at < all[i].whole.end) {
            scopes[n] = all[i];
            scopes[n++].parent = -1; /* what encloses it comes next */
        }
    return n;
}

/* ---- errors and ends ---- */

static const TSSymbol ERROR_SYMBOL = (TSSymbol)-1; /* of every grammar */

long document_count_errors(const struct document *document)
{
    if (!document->tree)
        return -1;
    long n = 0;
    TSTreeCursor cursor = ts_tree_cursor_new(ts_tree_root_node(document->tree));
    for (bool is_done = false; !is_done;) {
        TSNode node = ts_tree_cursor_current_node(&cursor);
        n += ts_node_symbol(node) == ERROR_SYMBOL || ts_node_is_missing(node);
        if (ts_node_has_error(node) && ts_tree_cursor_goto_first_child(&cursor))
            continue;
        while (!ts_tree_cursor_goto_next_sibling(&cursor) && !is_done)
            is_done = !ts_tree_cursor_goto_parent(&cursor);
    }
    ts_tree_cursor_delete(&cursor);
    return n;
}

/* It ends by a token that is its own, is there, and is a bracket or a word. */
static bool has_own_end(const struct document *document, TSNode node)
{
    uint32_t n = ts_node_child_count(node);
    TSNode last = n > 1 ? ts_node_child(node, n - 1) : node;
    if (n < 2 || ts_node_is_named(last) || ts_node_is_missing(last) || ts_node_has_error(node))
        return false;
    const char *text = document->text.data + ts_node_start_byte(last);
    char first = ts_node_end_byte(last) > ts_node_start_byte(last) ? *text : 0;
    return first == '}' || first == ')' || first == ']' || (first >= 'a' && first <= 'z');
}

bool document_closes(const struct document *document, uint32_t at, uint32_t *end)
{
    if (!document->tree || at >= document->text.size)
        return false;
    TSNode node = ts_node_descendant_for_byte_range(ts_tree_root_node(document->tree), at, at);
    for (; !ts_node_is_null(node); node = ts_node_parent(node))
        if (ts_node_start_byte(node) < at && ts_node_end_byte(node) > at && has_own_end(document, node)) {
            *end = ts_node_end_byte(node);
            return true;
        }
    return false;
}
