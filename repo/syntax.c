/* syntax: reads a text: parses it within its limits, and puts in order what the walk over its tree found.
 *
 * What the walk gives is sorted by place; names that two patterns found are kept once, definitions get their parents by
 * what lies within what, comments go to the definitions behind them, and names of parameters and local variables are
 * taken out of the references. */
#include "repo/syntax_private.h"

#include <stdlib.h>
#include <string.h>
#include <time.h>

enum { DEFAULT_LIMIT_MS = 2000, MAX_DOC = 8192, MAX_LEVELS = 8, INPUT_PIECE = 1024 /* bytes */ };

struct found_local {
    uint64_t hash; /* of the name */
    int32_t scope; /* the outermost function */
};

enum status syntax_new(struct languages *languages, struct syntax **out, struct error *error)
{
    struct syntax *syntax = calloc(1, sizeof *syntax);
    if (!syntax)
        return error_set(error, STATUS_MEMORY, "no memory for a parser");
    syntax->languages = languages;
    syntax->parser = ts_parser_new();
    syntax->found.definitions = (struct list){.size = sizeof(struct found_definition), .most = SYNTAX_MAX_DEFINITIONS};
    syntax->found.names = (struct list){.size = sizeof(struct found_name), .most = SYNTAX_MAX_REFERENCES};
    syntax->found.comments = (struct list){.size = sizeof(struct found_name), .most = SYNTAX_MAX_REFERENCES};
    syntax->found.imports = (struct list){.size = sizeof(struct import), .most = SYNTAX_MAX_IMPORTS};
    syntax->found.rows = (struct list){.size = 1, .most = SYNTAX_MAX_TEXT};
    syntax->definitions = (struct list){.size = sizeof(struct definition), .most = SYNTAX_MAX_DEFINITIONS};
    syntax->references = (struct list){.size = sizeof(struct reference), .most = SYNTAX_MAX_REFERENCES};
    syntax->chunks = (struct list){.size = sizeof(struct chunk), .most = SIZE_MAX};
    syntax->locals = (struct list){.size = sizeof(struct found_local), .most = SYNTAX_MAX_REFERENCES};
    if (!syntax->parser || tag_walk_new(&syntax->walk, NULL)) {
        syntax_free(syntax);
        return error_set(error, STATUS_MEMORY, "no memory for a parser");
    }
    *out = syntax;
    return STATUS_OK;
}

void syntax_free(struct syntax *syntax)
{
    if (!syntax)
        return;
    struct list *lists[] = {&syntax->found.definitions, &syntax->found.names, &syntax->found.comments,
                            &syntax->found.imports,     &syntax->found.rows,  &syntax->definitions,
                            &syntax->references,        &syntax->chunks,      &syntax->locals};
    for (size_t i = 0; i < sizeof lists / sizeof *lists; i++)
        list_deinit(lists[i]);
    if (syntax->parser)
        ts_parser_delete(syntax->parser);
    tag_walk_free(syntax->walk);
    free(syntax);
}

static uint64_t thread_ns(void)
{
    struct timespec now;
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now);
    return (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
}

/* ---- definitions ---- */

static int compare_u32(uint32_t a, uint32_t b)
{
    return (a > b) - (a < b);
}

static int by_name(const void *left, const void *right)
{
    const struct found_definition *a = left, *b = right;
    int order = compare_u32(a->definition.name.begin, b->definition.name.begin);
    return order ? order : compare_u32(a->rank, b->rank);
}

static int by_place(const void *left, const void *right)
{
    const struct found_definition *a = left, *b = right;
    int order = compare_u32(a->definition.whole.begin, b->definition.whole.begin);
    order = order ? order : compare_u32(b->definition.whole.end, a->definition.whole.end);
    return order ? order : compare_u32(a->definition.name.begin, b->definition.name.begin);
}

static void sort(struct list *list, int (*compare)(const void *, const void *))
{
    if (list->n > 1)
        qsort(list->items, list->n, list->size, compare);
}

static bool is_class(enum tag_kind kind)
{
    return kind == TAG_CLASS || kind == TAG_STRUCT || kind == TAG_UNION || kind == TAG_INTERFACE || kind == TAG_ENUM;
}

static bool is_function(enum tag_kind kind)
{
    return kind == TAG_FUNCTION || kind == TAG_METHOD;
}

/* Variables, constants and prototypes within a function are its own affair. */
static bool is_local(const struct definition *definition, const struct definition *all)
{
    enum tag_kind kind = definition->kind;
    if (kind != TAG_VARIABLE && kind != TAG_CONSTANT && kind != TAG_PROTOTYPE)
        return false;
    int32_t at = definition->parent;
    while (at >= 0 && !is_function(all[at].kind) && !is_class(all[at].kind))
        at = all[at].parent;
    return at >= 0 && is_function(all[at].kind);
}

static uint64_t hash_of(const char *text, struct span span)
{
    uint64_t hash = 0xcbf29ce484222325u;
    for (uint32_t i = span.begin; i < span.end; i++)
        hash = (hash ^ (unsigned char)text[i]) * 0x100000001b3u;
    return hash;
}

/* The innermost of the definitions before n that holds the byte, from a guess on outwards. */
static int32_t around(const struct definition *all, int32_t guess, uint32_t at)
{
    while (guess >= 0 && all[guess].whole.end <= at)
        guess = all[guess].parent;
    return guess;
}

static int32_t outermost_function(const struct definition *all, int32_t at)
{
    int32_t found = -1;
    for (; at >= 0; at = all[at].parent)
        if (is_function(all[at].kind))
            found = at;
    return found;
}

static void add_local(struct syntax *syntax, const char *text, struct span name, int32_t scope)
{
    struct found_local *local = scope >= 0 ? list_add(&syntax->locals) : NULL;
    if (local)
        *local = (struct found_local){hash_of(text, name), scope};
}

static int by_begin(const void *left, const void *right)
{
    const struct found_definition *a = left, *b = right;
    int order = compare_u32(a->definition.whole.begin, b->definition.whole.begin);
    return order ? order : compare_u32(a->rank, b->rank);
}

/* Functions of C don't lie in one another, nor typedefs: what the tree takes for one within one that the lexical look
 * found is an error of the tree's. */
static void drop_errors(struct list *found, const char *text)
{
    struct found_definition *items = found->items;
    size_t n = 0;
    uint32_t function_end = 0, type_end = 0;
    size_t last_of_tree = SIZE_MAX; /* the last function that only the tree has */
    sort(found, by_begin);
    for (size_t i = 0; i < found->n; i++) {
        const struct definition *definition = &items[i].definition;
        bool is_fn = definition->kind == TAG_FUNCTION, is_type = definition->kind == TAG_TYPE;
        if (items[i].rank == LEXICAL_RANK) {
            if (is_fn && last_of_tree < n && items[last_of_tree].definition.whole.end > definition->whole.begin) {
                memmove(items + last_of_tree, items + last_of_tree + 1, (n - last_of_tree - 1) * sizeof *items);
                n--;
                last_of_tree = SIZE_MAX;
            }
            function_end = is_fn ? definition->whole.end : function_end;
            type_end = is_type ? definition->whole.end : type_end;
        } else if ((is_type && definition->name.begin < type_end) || (is_fn && definition->name.begin < function_end) ||
                   (is_fn && lexical_c_is_keyword(text, definition->name))) {
            continue;
        } else if (is_fn) {
            last_of_tree = n;
        }
        items[n++] = items[i];
    }
    found->n = n;
}

static int heading_level(const char *text, const struct definition *heading)
{
    int level = 0;
    struct span whole = heading->whole;
    while (whole.begin < whole.end && text[whole.begin] == '#') {
        whole.begin++;
        level++;
    }
    if (level == 0) /* underlined */
        level = whole.end > whole.begin && text[whole.end - 1] == '=' ? 1 : 2;
    return level < MAX_LEVELS ? level : MAX_LEVELS - 1;
}

/* A heading stands for its section: up to the next heading of its level or above.  The list is in order. */
static void extend_headings(struct list *found, const char *text, uint32_t size)
{
    struct found_definition *items = found->items;
    uint32_t ends[MAX_LEVELS], lines[MAX_LEVELS], n_lines = 0;
    for (size_t i = found->n; i-- > 0;) {
        struct definition *heading = &items[i].definition;
        if (heading->kind != TAG_HEADING)
            continue;
        if (n_lines == 0) {
            for (const char *at = text; (at = memchr(at, '\n', size - (size_t)(at - text))); at++)
                n_lines++;
            n_lines += size && text[size - 1] != '\n';
            for (int level = 0; level < MAX_LEVELS; level++) {
                ends[level] = size;
                lines[level] = n_lines;
            }
        }
        int level = heading_level(text, heading);
        heading->signature = heading->whole;
        uint32_t begin = heading->whole.begin, line = heading->line;
        if (ends[level] > heading->whole.end) {
            heading->whole.end = ends[level];
            heading->end_line = lines[level];
        }
        for (int below = level; below < MAX_LEVELS; below++) {
            ends[below] = begin;
            lines[below] = line - 1;
        }
    }
}

static void put_definitions(struct syntax *syntax, const char *text, uint32_t size)
{
    struct list *found = &syntax->found.definitions;
    struct found_definition *items = found->items;
    size_t n = 0;
    sort(found, by_name);
    for (size_t i = 0; i < found->n; i++)
        if (n == 0 || items[i].definition.name.begin != items[n - 1].definition.name.begin)
            items[n++] = items[i];
    found->n = n;
    if (syntax->found.is_lexical)
        drop_errors(found, text);
    sort(found, by_place);
    extend_headings(found, text, size);
    n = found->n;
    int32_t parent = -1;
    for (size_t i = 0; i < n; i++) {
        struct definition *definition = &items[i].definition;
        const struct definition *all = syntax->definitions.items;
        parent = around(all, parent, definition->whole.begin);
        /* The names of `int a, b;` lie side by side, though each is said to be the whole line. */
        while (parent >= 0 && all[parent].whole.end < definition->whole.end)
            parent = all[parent].parent;
        while (parent >= 0 && all[parent].kind == definition->kind &&
               all[parent].whole.begin == definition->whole.begin && all[parent].whole.end == definition->whole.end)
            parent = all[parent].parent;
        definition->parent = parent;
        if (definition->kind == TAG_FUNCTION && parent >= 0 && is_class(all[parent].kind))
            definition->kind = TAG_METHOD;
        if (is_local(definition, all)) {
            add_local(syntax, text, definition->name, outermost_function(all, parent));
            continue;
        }
        struct definition *next = list_add(&syntax->definitions);
        if (!next)
            return;
        *next = *definition;
        parent = (int32_t)syntax->definitions.n - 1;
    }
}

static bool is_space(char c)
{
    return c == ' ' || c == '\t' || c == '\n' || c == '\r' || c == '\f';
}

/* A signature is one declaration without its body: no more than some lines, no spaces at its end. */
/* Words before a definition on its line that say what it is: export default, type, const. */
static uint32_t begin_of_signature(const char *text, uint32_t begin)
{
    uint32_t at = begin;
    while (at > 0 && begin - at < 64) {
        char c = text[at - 1];
        if (!(c >= 'a' && c <= 'z') && c != ' ')
            break;
        at--;
    }
    bool is_line_begin = at == 0 || text[at - 1] == '\n' || text[at - 1] == '\t';
    while (is_line_begin && at < begin && text[at] == ' ')
        at++;
    return is_line_begin ? at : begin;
}

static void trim_signatures(struct list *definitions, const char *text)
{
    struct definition *all = definitions->items;
    for (size_t i = 0; i < definitions->n; i++) {
        struct span *signature = &all[i].signature;
        signature->begin = begin_of_signature(text, signature->begin);
        if (signature->end - signature->begin > SYNTAX_MAX_SIGNATURE) {
            signature->end = signature->begin + SYNTAX_MAX_SIGNATURE;
            while (signature->end > signature->begin && ((unsigned char)text[signature->end] & 0xc0) == 0x80)
                signature->end--;
        }
        bool has_body = signature->end < all[i].whole.end;
        const char *newline = memchr(text + signature->begin, '\n', signature->end - signature->begin);
        if (!has_body && newline && (uint32_t)(newline - text) > all[i].name.end)
            signature->end = (uint32_t)(newline - text);
        while (
            signature->end > all[i].name.end &&
            (is_space(text[signature->end - 1]) || text[signature->end - 1] == '{' || text[signature->end - 1] == '\\'))
            signature->end--;
    }
}

/* Bytes between two places are blank, with at most one line end. */
static bool is_close(const char *text, uint32_t from, uint32_t to)
{
    int n_lines = 0;
    for (uint32_t i = from; i < to; i++) {
        n_lines += text[i] == '\n';
        if (!is_space(text[i]) || n_lines > 1)
            return false;
    }
    return true;
}

static bool begins_line(const char *text, uint32_t at)
{
    while (at > 0 && (text[at - 1] == ' ' || text[at - 1] == '\t'))
        at--;
    return at == 0 || text[at - 1] == '\n';
}

/* The comment that ends right before a definition, with those that end right before it; both lists are in order. */
static uint32_t line_begin(const char *text, uint32_t at)
{
    while (at > 0 && text[at - 1] != '\n')
        at--;
    while (text[at] == ' ' || text[at] == '\t')
        at++;
    return at;
}

/* Where a comment on a definition has to end: before the line it begins in, which may have words of its own (export,
 * type), and before lines above that belong to it: attributes, decorators, what a template depends on. */
static uint32_t place_of_doc(const char *text, uint32_t begin)
{
    uint32_t at = line_begin(text, begin);
    if (at > begin)
        return begin;
    for (int i = 0; i < 8; i++) {
        uint32_t end = at;
        while (end > 0 && text[end - 1] != '\n')
            end--;
        if (end == 0)
            break;
        uint32_t above = line_begin(text, end - 1);
        if (above >= end || (text[above] != '@' && strncmp(text + above, "#[", 2) != 0 &&
                             (end - above < 10 || memcmp(text + above, "template", 8) != 0)))
            break;
        at = above;
    }
    return at;
}

static void find_docs(struct syntax *syntax, const char *text)
{
    const struct found_name *comments = syntax->found.comments.items;
    struct definition *all = syntax->definitions.items;
    size_t behind = 0;
    for (size_t i = 0; i < syntax->definitions.n; i++) {
        while (behind < syntax->found.comments.n && comments[behind].span.end <= all[i].whole.begin)
            behind++;
        if (all[i].doc.end > all[i].doc.begin)
            continue;
        uint32_t begin = all[i].whole.begin, end = 0;
        if (all[i].parent < 0 || all[all[i].parent].line != all[i].line) /* not what begins on its line */
            begin = place_of_doc(text, begin);
        size_t last = behind;
        while (last > 0 && comments[last - 1].span.end > begin)
            last--;
        for (size_t k = last; k > 0 && begins_line(text, comments[k - 1].span.begin); k--) {
            struct span comment = comments[k - 1].span;
            uint32_t stop = comment.end;
            while (stop > comment.begin && text[stop - 1] == '\n')
                stop--; /* some grammars count the line's end to the comment */
            if (!is_close(text, stop, begin) || (end && end - comment.begin > MAX_DOC))
                break;
            begin = comment.begin;
            end = end ? end : stop;
        }
        if (end)
            all[i].doc = (struct span){begin, end};
    }
}

/* ---- references ---- */

static int by_span(const void *left, const void *right)
{
    const struct found_name *a = left, *b = right;
    int order = compare_u32(a->span.begin, b->span.begin);
    return order ? order : compare_u32(a->span.end, b->span.end);
}

static int by_hash(const void *left, const void *right)
{
    const struct found_local *a = left, *b = right;
    if (a->scope != b->scope)
        return (a->scope > b->scope) - (a->scope < b->scope);
    return (a->hash > b->hash) - (a->hash < b->hash);
}

static int by_position(const void *left, const void *right)
{
    return compare_u32(*(const uint32_t *)left, *(const uint32_t *)right);
}

/* Where definitions have their names, in order; NULL where memory ran out. */
static uint32_t *name_places(const struct list *definitions)
{
    const struct definition *all = definitions->items;
    uint32_t *places = malloc((definitions->n + 1) * sizeof *places);
    for (size_t i = 0; places && i < definitions->n; i++)
        places[i] = all[i].name.begin;
    if (places && definitions->n > 1)
        qsort(places, definitions->n, sizeof *places, by_position);
    return places;
}

/* Calls f with each name found, once a place, all its captures together, and the definition it stands in. */
static void each_name(struct syntax *syntax, const char *text,
                      void (*take)(struct syntax *, const char *, const struct found_name *, int32_t scope))
{
    const struct found_name *names = syntax->found.names.items;
    const struct definition *all = syntax->definitions.items;
    size_t next = 0;
    int32_t scope = -1;
    for (size_t i = 0; i < syntax->found.names.n;) {
        struct found_name name = names[i++];
        while (i < syntax->found.names.n && names[i].span.begin == name.span.begin) {
            name.captures |= names[i].captures;
            name.span.end = names[i++].span.end;
        }
        for (; next < syntax->definitions.n && all[next].whole.begin <= name.span.begin; next++)
            scope = (int32_t)next;
        scope = around(all, scope, name.span.begin);
        take(syntax, text, &name, scope);
    }
}

static void take_local(struct syntax *syntax, const char *text, const struct found_name *name, int32_t scope)
{
    if (name->captures & CAPTURE_LOCAL)
        add_local(syntax, text, name->span, outermost_function(syntax->definitions.items, scope));
}

static void take_reference(struct syntax *syntax, const char *text, const struct found_name *name, int32_t scope)
{
    bool is_call = (name->captures & CAPTURE_CALL) != 0;
    if ((name->captures & CAPTURE_LOCAL) || (name->span.end - name->span.begin < 2 && !is_call))
        return;
    struct found_local key = {hash_of(text, name->span), outermost_function(syntax->definitions.items, scope)};
    if (key.scope >= 0 && syntax->locals.n && !(name->captures & CAPTURE_MEMBER) &&
        bsearch(&key, syntax->locals.items, syntax->locals.n, sizeof key, by_hash))
        return;
    struct reference *reference = list_add(&syntax->references);
    if (reference)
        *reference = (struct reference){name->span, name->line, is_call, scope};
}

static void put_references(struct syntax *syntax, const char *text)
{
    uint32_t *places = name_places(&syntax->definitions);
    if (!places) {
        syntax->references.failed = true;
        return;
    }
    sort(&syntax->found.names, by_span);
    struct found_name *names = syntax->found.names.items;
    size_t n = 0, next = 0;
    for (size_t i = 0; i < syntax->found.names.n; i++) {
        while (next < syntax->definitions.n && places[next] < names[i].span.begin)
            next++;
        if (next == syntax->definitions.n || places[next] != names[i].span.begin)
            names[n++] = names[i];
    }
    syntax->found.names.n = n;
    free(places);
    each_name(syntax, text, take_local);
    sort(&syntax->locals, by_hash);
    each_name(syntax, text, take_reference);
}

/* ---- imports ---- */

static void trim_imports(struct list *imports, const char *text)
{
    struct import *items = imports->items;
    size_t n = 0;
    for (size_t i = 0; i < imports->n; i++) {
        struct span span = items[i].target;
        items[i].is_system = text[span.begin] == '<';
        while (span.begin < span.end && strchr("\"'`<( \t\r\n", text[span.begin]) && text[span.begin])
            span.begin++;
        while (span.end > span.begin && strchr("\"'`>) ;\t\r\n", text[span.end - 1]) && text[span.end - 1])
            span.end--;
        items[i].target = span;
        if (span.end > span.begin && (n == 0 || items[n - 1].target.begin != span.begin))
            items[n++] = items[i];
    }
    imports->n = n;
}

/* ---- all of it ---- */

void syntax_clear(struct syntax *syntax)
{
    syntax->found.is_lexical = false;
    struct list *lists[] = {&syntax->found.definitions, &syntax->found.names, &syntax->found.comments,
                            &syntax->found.imports,     &syntax->found.rows,  &syntax->definitions,
                            &syntax->references,        &syntax->chunks,      &syntax->locals};
    for (size_t i = 0; i < sizeof lists / sizeof *lists; i++)
        list_clear(lists[i]);
}

struct input {
    const char *text;
    uint32_t size;
    uint64_t deadline_ns;
    bool is_late;
    char blank[INPUT_PIECE];
};

/* tree-sitter's reader.  Time is the thread's own, so that a busy machine finds what an idle one finds.  When it is up,
 * what is left of the text is blank, and soon read; a text that ended where it didn't end before would be more than the
 * library's lexer stands. */
static const char *read_input(void *payload, uint32_t at, TSPoint point, uint32_t *n)
{
    struct input *input = payload;
    (void)point;
    input->is_late = input->is_late || thread_ns() > input->deadline_ns;
    *n = 0;
    if (at >= input->size)
        return "";
    *n = input->size - at < INPUT_PIECE ? input->size - at : INPUT_PIECE;
    return input->is_late ? input->blank : input->text + at;
}

/* libtree-sitter 0.20.7 may release a token that isn't there when its own time limit or cancel flag ends a parse: so
 * they are not used. */
TSTree *syntax_parse(TSParser *parser, const TSLanguage *grammar, const TSTree *old, const char *text, uint32_t size,
                     uint64_t limit_ns)
{
    struct input input = {.text = text, .size = size, .deadline_ns = thread_ns()};
    input.deadline_ns += limit_ns ? limit_ns : DEFAULT_LIMIT_MS * UINT64_C(1000000);
    memset(input.blank, ' ', sizeof input.blank);
    TSTree *tree = NULL;
    if (ts_parser_set_language(parser, grammar))
        tree = ts_parser_parse(parser, old, (TSInput){&input, read_input, TSInputEncodingUTF8});
    ts_parser_reset(parser);
    if (tree && input.is_late) {
        ts_tree_delete(tree);
        tree = NULL;
    }
    return tree;
}

void syntax_read_tree(struct syntax *syntax, const struct language *language, TSNode root, const char *text,
                      uint32_t size, struct span range)
{
    static const struct tag_query none;
    tag_walk_run(syntax->walk, language->tags ? language->tags : &none, root, text, size, range, &syntax->found);
    syntax->found.is_lexical = language->tags && (language->is_c || language->is_cpp) && ts_node_has_error(root);
    if (syntax->found.is_lexical)
        lexical_c_run(text, size, !language->is_c, &syntax->found.definitions);
    syntax_put(syntax, text, size);
}

void syntax_read_plain(struct syntax *syntax, const struct language *language, const char *text, uint32_t size,
                       struct list *code)
{
    if (language->is_markdown)
        markdown_read(text, size, &syntax->found, code);
    else
        lua_read(text, size, &syntax->found);
    syntax_put(syntax, text, size);
}

void syntax_put(struct syntax *syntax, const char *text, uint32_t size)
{
    put_definitions(syntax, text, size);
    find_docs(syntax, text);
    trim_signatures(&syntax->definitions, text);
    put_references(syntax, text);
    trim_imports(&syntax->found.imports, text);
}

static bool has_failed(const struct syntax *syntax)
{
    return syntax->found.definitions.failed || syntax->found.names.failed || syntax->found.comments.failed ||
           syntax->found.imports.failed || syntax->found.rows.failed || syntax->definitions.failed ||
           syntax->references.failed || syntax->chunks.failed || syntax->locals.failed;
}

enum status syntax_read(struct syntax *syntax, int language, const char *text, size_t size, uint64_t limit_ns,
                        struct syntax_result *out, struct error *error)
{
    const struct language *loaded =
        language >= 0 && language < languages_count() ? languages_get(syntax->languages, language) : NULL;
    TSTree *tree = NULL;
    uint32_t length = size < INT32_MAX ? (uint32_t)size : INT32_MAX;
    uint64_t begin = thread_ns(), parsed;
    syntax_clear(syntax);
    *out = (struct syntax_result){.is_text = true};
    if (loaded && loaded->grammar && length <= SYNTAX_MAX_TEXT)
        tree = syntax_parse(syntax->parser, loaded->grammar, NULL, text, length, limit_ns);
    parsed = thread_ns();
    if (loaded && (loaded->is_markdown || loaded->is_lua) && length <= SYNTAX_MAX_TEXT) {
        out->is_text = false;
        syntax_read_plain(syntax, loaded, text, length, NULL);
    }
    if (tree) {
        TSNode root = ts_tree_root_node(tree);
        out->is_text = false;
        out->has_errors = ts_node_has_error(root);
        syntax_read_tree(syntax, loaded, root, text, length, (struct span){0, length});
    }
    uint64_t walked = thread_ns();
    if (tree)
        ts_tree_delete(tree); /* counts as parsing */
    uint64_t deleted = thread_ns();
    chunk_text(text, length, syntax->definitions.items, syntax->definitions.n, tree ? syntax->found.rows.items : NULL,
               tree ? syntax->found.rows.n : 0, &syntax->chunks);
    if (has_failed(syntax))
        return error_set(error, STATUS_MEMORY, "no memory for what a text of %zu bytes holds", size);
    out->definitions = syntax->definitions.items;
    out->n_definitions = syntax->definitions.n;
    out->references = syntax->references.items;
    out->n_references = syntax->references.n;
    out->imports = syntax->found.imports.items;
    out->n_imports = syntax->found.imports.n;
    out->chunks = syntax->chunks.items;
    out->n_chunks = syntax->chunks.n;
    out->parse_ns = parsed - begin + (deleted - walked);
    out->query_ns = walked - parsed + (thread_ns() - deleted);
    return STATUS_OK;
}
