/* Tests of repo/syntax: what is found in a sample of every language, our matching of tag queries against tree-sitter's
 * own, C that doesn't parse, limits, chunks, colours after edits. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <dirent.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "repo/syntax_private.h"

static const char *const GRAMMARS[] = {"build/lib", NULL}, *const QUERIES[] = {"assets/tags", NULL};

static struct languages *open_languages(void)
{
    struct languages *languages = NULL;
    assert_int_equal(languages_new(GRAMMARS, QUERIES, &languages, NULL), STATUS_OK);
    return languages;
}

static void read_file(const char *path, struct buffer *out)
{
    char block[4096];
    size_t n;
    FILE *file = fopen(path, "rb");
    assert_non_null(file);
    while ((n = fread(block, 1, sizeof block, file)) > 0)
        buffer_append(out, block, n);
    fclose(file);
    assert_false(out->failed);
}

static struct syntax_result read_text(struct syntax *syntax, int language, const char *text, size_t size)
{
    struct syntax_result result;
    assert_int_equal(syntax_read(syntax, language, text, size, 0, &result, NULL), STATUS_OK);
    return result;
}

/* ---- samples ---- */

static void print_span(struct buffer *out, const char *text, struct span span)
{
    for (uint32_t i = span.begin; i < span.end; i++)
        buffer_append_byte(out, text[i] == '\n' ? '|' : text[i]);
}

/* All that was found, a line each. */
static void print_result(struct buffer *out, const char *text, const struct syntax_result *result)
{
    for (size_t i = 0; i < result->n_definitions; i++) {
        const struct definition *each = &result->definitions[i];
        buffer_printf(out, "%s ", tag_kind_name(each->kind));
        print_span(out, text, each->name);
        buffer_printf(out, " %u-%u in %d: ", each->line, each->end_line, each->parent);
        print_span(out, text, each->signature);
        if (each->doc.end > each->doc.begin) {
            buffer_append_text(out, " ;; ");
            print_span(out, text, each->doc);
        }
        buffer_append_byte(out, '\n');
    }
    for (size_t i = 0; i < result->n_imports; i++) {
        buffer_printf(out, "%s %u: ", result->imports[i].is_system ? "import-system" : "import",
                      result->imports[i].line);
        print_span(out, text, result->imports[i].target);
        buffer_append_byte(out, '\n');
    }
    for (size_t i = 0; i < result->n_references; i++) {
        const struct reference *each = &result->references[i];
        buffer_printf(out, "%s %u in %d: ", each->is_call ? "call" : "use", each->line, each->scope);
        print_span(out, text, each->name);
        buffer_append_byte(out, '\n');
    }
    for (size_t i = 0; i < result->n_chunks; i++)
        buffer_printf(out, "chunk %u-%u of %d\n", result->chunks[i].line, result->chunks[i].end_line,
                      result->chunks[i].scope);
}

static void test_samples(void **state)
{
    (void)state;
    struct languages *languages = open_languages();
    struct syntax *syntax = NULL;
    struct dirent **entries = NULL;
    int n = scandir("tests/golden/syntax", &entries, NULL, alphasort), n_samples = 0;
    assert_true(n > 0);
    assert_int_equal(syntax_new(languages, &syntax, NULL), STATUS_OK);
    for (int i = 0; i < n; i++) {
        const char *dot = strrchr(entries[i]->d_name, '.');
        if (strncmp(entries[i]->d_name, "sample", 6) == 0 && strcmp(dot, ".found") != 0) {
            struct buffer path = {0}, text = {0}, expected = {0}, out = {0};
            buffer_printf(&path, "tests/golden/syntax/%s", entries[i]->d_name);
            read_file(path.data, &text);
            int language = language_of(path.data, text.data, text.size);
            assert_true(language >= 0);
            struct syntax_result result = read_text(syntax, language, text.data, text.size);
            assert_false(result.is_text);
            print_result(&out, text.data, &result);
            buffer_append_text(&path, ".found");
            if (getenv("SYNTAX_WRITE_FOUND")) { /* for whoever changes a query: writes what is then to be read */
                FILE *file = fopen(path.data, "wb");
                assert_non_null(file);
                fputs(buffer_text(&out), file);
                fclose(file);
            }
            read_file(path.data, &expected);
            assert_string_equal(buffer_text(&out), buffer_text(&expected));
            n_samples++;
            buffer_deinit(&path);
            buffer_deinit(&text);
            buffer_deinit(&expected);
            buffer_deinit(&out);
        }
        free(entries[i]);
    }
    free(entries);
    assert_true(n_samples > languages_count());
    syntax_free(syntax);
    languages_free(languages);
}

static void test_every_language_has_grammar_and_query(void **state)
{
    (void)state;
    struct languages *languages = open_languages();
    for (int i = 0; i < languages_count(); i++) {
        struct error error = {0};
        if (languages_check(languages, i, &error) != STATUS_OK)
            fail_msg("%s: %s", language_name(i), error.text);
        assert_int_equal(language_by_name(language_name(i)), i);
    }
    languages_free(languages);
}

static void test_language_of(void **state)
{
    (void)state;
    static const struct {
        const char *path, *text, *language;
    } cases[] = {
        {"a/b.c", "", "c"},
        {"x.h", "int f(void);", "c"},
        {"x.h", "#pragma once\nclass A;\n", "cpp"},
        {"x.hpp", "", "cpp"},
        {"k.cu", "", "cuda"},
        {"dir.py/script", "#!/usr/bin/env python3.11\n", "python"},
        {"run", "#!/bin/sh -e\n", "bash"},
        {"run", "#! /usr/bin/env -S node --x\n", "javascript"},
        {"Makefile", "", "make"},
        {"sub/Makefile.am", "", "make"},
        {"a.tsx", "", "tsx"},
        {"Gemfile", "", "ruby"},
        {"README.md", "", "markdown"},
        {"x.unknown", "text", ""},
        {"", "", ""},
        {"noext", "#!", ""},
        {"a.", "", ""},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
        assert_string_equal(language_name(language_of(cases[i].path, cases[i].text, strlen(cases[i].text))),
                            cases[i].language);
    assert_string_equal(language_name(language_by_name("py")), "python");
    assert_string_equal(language_name(language_by_name("c++")), "cpp");
    assert_string_equal(language_name(language_by_name("shell")), "bash");
    assert_int_equal(language_by_name("klingon"), -1);
    assert_int_equal(language_by_name(""), -1);
}

/* ---- our matching against tree-sitter's ---- */

struct place {
    uint32_t begin, end;
    char what; /* n name, c call, i import, l local */
};

struct places {
    struct place items[4096];
    size_t n;
};

static void add_place(struct places *places, uint32_t begin, uint32_t end, char what)
{
    for (size_t i = 0; i < places->n; i++)
        if (places->items[i].begin == begin && places->items[i].end == end && places->items[i].what == what)
            return;
    assert_true(places->n < sizeof places->items / sizeof *places->items);
    places->items[places->n++] = (struct place){begin, end, what};
}

static int compare_places(const void *left, const void *right)
{
    const struct place *a = left, *b = right;
    if (a->begin != b->begin)
        return a->begin < b->begin ? -1 : 1;
    return a->what != b->what ? a->what - b->what : (int)a->end - (int)b->end;
}

/* #eq? and #any-of?, which tree-sitter's cursor leaves to its caller. */
static bool predicates_hold(const TSQuery *query, const TSQueryMatch *match, const char *text)
{
    uint32_t n, length;
    const TSQueryPredicateStep *steps = ts_query_predicates_for_pattern(query, match->pattern_index, &n);
    for (uint32_t i = 0; i < n;) {
        TSNode node = {.id = NULL};
        bool holds = false;
        uint32_t capture = steps[i + 1].value_id;
        for (uint16_t k = 0; k < match->capture_count; k++)
            if (match->captures[k].index == capture)
                node = match->captures[k].node;
        for (i += 2; steps[i].type != TSQueryPredicateStepTypeDone; i++) {
            const char *value = ts_query_string_value_for_id(query, steps[i].value_id, &length);
            if (!ts_node_is_null(node) && ts_node_end_byte(node) - ts_node_start_byte(node) == length &&
                memcmp(text + ts_node_start_byte(node), value, length) == 0)
                holds = true;
        }
        i++;
        if (!holds)
            return false;
    }
    return true;
}

static void collect_theirs(const TSQuery *query, TSNode root, const char *text, struct places *out)
{
    static const struct {
        const char *name;
        char what;
    } captures[] = {{"name", 'n'}, {"reference.call", 'c'}, {"import", 'i'}, {"local", 'l'}};
    TSQueryCursor *cursor = ts_query_cursor_new();
    TSQueryMatch match;
    ts_query_cursor_exec(cursor, query, root);
    while (ts_query_cursor_next_match(cursor, &match)) {
        if (!predicates_hold(query, &match, text))
            continue;
        for (uint16_t i = 0; i < match.capture_count; i++) {
            uint32_t length, begin = ts_node_start_byte(match.captures[i].node),
                             end = ts_node_end_byte(match.captures[i].node);
            const char *name = ts_query_capture_name_for_id(query, match.captures[i].index, &length);
            for (size_t k = 0; k < sizeof captures / sizeof *captures; k++)
                if (strlen(captures[k].name) == length && memcmp(captures[k].name, name, length) == 0 && end > begin)
                    add_place(out, begin, end, captures[k].what);
        }
    }
    ts_query_cursor_delete(cursor);
}

static void collect_ours(struct syntax *syntax, const struct language *language, TSNode root, const char *text,
                         uint32_t size, struct places *out)
{
    syntax_clear(syntax);
    tag_walk_run(syntax->walk, language->tags, root, text, size, (struct span){0, size}, &syntax->found);
    const struct found_definition *definitions = syntax->found.definitions.items;
    for (size_t i = 0; i < syntax->found.definitions.n; i++)
        add_place(out, definitions[i].definition.name.begin, definitions[i].definition.name.end, 'n');
    const struct found_name *names = syntax->found.names.items;
    for (size_t i = 0; i < syntax->found.names.n; i++) {
        if ((names[i].captures & CAPTURE_CALL) && !(names[i].captures & CAPTURE_REFERENCE))
            add_place(out, names[i].span.begin, names[i].span.end, 'c');
        if (names[i].captures & CAPTURE_LOCAL)
            add_place(out, names[i].span.begin, names[i].span.end, 'l');
    }
    const struct import *imports = syntax->found.imports.items;
    for (size_t i = 0; i < syntax->found.imports.n; i++)
        add_place(out, imports[i].target.begin, imports[i].target.end, 'i');
}

/* The name as we cut it: without white space and quotes at its ends. */
static void trim_theirs(struct places *places, const char *text)
{
    for (size_t i = 0; i < places->n; i++) {
        struct place *each = &places->items[i];
        while (each->what == 'n' && each->end - each->begin > 1 && strchr(" \t\r\n\"'", text[each->end - 1]))
            each->end--;
        while (each->what == 'n' && each->end - each->begin > 1 && strchr(" \t\r\n\"':", text[each->begin]))
            each->begin++;
    }
}

static void compare_matching(struct languages *languages, struct syntax *syntax, const char *path)
{
    struct buffer text = {0}, query_text = {0};
    read_file(path, &text);
    int index = language_of(path, text.data, text.size);
    const struct language *language = languages_get(languages, index);
    if (!language->grammar) { /* markdown, lua */
        buffer_deinit(&text);
        return;
    }
    assert_true(languages_query_text(languages, index, &query_text));
    uint32_t at = 0;
    TSQueryError problem = TSQueryErrorNone;
    TSQuery *query = ts_query_new(language->grammar, query_text.data, (uint32_t)query_text.size, &at, &problem);
    if (!query)
        fail_msg("%s: tree-sitter refuses the query (%d) at: %.60s", path, (int)problem, query_text.data + at);
    TSTree *tree = NULL;
    assert_true(ts_parser_set_language(syntax->parser, language->grammar));
    tree = ts_parser_parse_string(syntax->parser, NULL, text.data, (uint32_t)text.size);
    assert_non_null(tree);
    struct places *ours = calloc(2, sizeof *ours), *theirs = ours + 1;
    assert_non_null(ours);
    collect_theirs(query, ts_tree_root_node(tree), text.data, theirs);
    trim_theirs(theirs, text.data);
    collect_ours(syntax, language, ts_tree_root_node(tree), text.data, (uint32_t)text.size, ours);
    qsort(ours->items, ours->n, sizeof *ours->items, compare_places);
    qsort(theirs->items, theirs->n, sizeof *theirs->items, compare_places);
    for (size_t i = 0, k = 0; i < ours->n || k < theirs->n;) {
        const struct place *a = &ours->items[i], *b = &theirs->items[k];
        int order = i == ours->n ? 1 : k == theirs->n ? -1 : compare_places(a, b);
        if (order > 0)
            fail_msg("%s: theirs alone %c %u-%u", path, b->what, b->begin, b->end);
        /* Of `a, b` under one field, its cursor may give only the first. */
        if (order < 0 && !(a->begin > 2 && memcmp(text.data + a->begin - 2, ", ", 2) == 0))
            fail_msg("%s: ours alone %c %u-%u", path, a->what, a->begin, a->end);
        i++;
        k += order == 0;
    }
    free(ours);
    ts_tree_delete(tree);
    ts_query_delete(query);
    buffer_deinit(&text);
    buffer_deinit(&query_text);
}

static void test_matching_is_that_of_tree_sitter(void **state)
{
    (void)state;
    struct languages *languages = open_languages();
    struct syntax *syntax = NULL;
    struct dirent **entries = NULL;
    assert_int_equal(syntax_new(languages, &syntax, NULL), STATUS_OK);
    int n = scandir("tests/golden/syntax", &entries, NULL, alphasort);
    /* tree-sitter takes its time to compile a query, and much more of it under a sanitizer: there, three languages. */
    const char *slow = getenv("TEST_SLOWNESS");
    bool is_slow = slow && atoi(slow) > 1;
    for (int i = 0; i < n; i++) {
        struct buffer path = {0};
        buffer_printf(&path, "tests/golden/syntax/%s", entries[i]->d_name);
        const char *suffix = strrchr(path.data, '.');
        bool is_tried =
            !is_slow || strcmp(suffix, ".c") == 0 || strcmp(suffix, ".py") == 0 || strcmp(suffix, ".go") == 0;
        if (is_tried && strncmp(entries[i]->d_name, "sample", 6) == 0 && !strstr(entries[i]->d_name, ".found"))
            compare_matching(languages, syntax, path.data);
        buffer_deinit(&path);
        free(entries[i]);
    }
    free(entries);
    compare_matching(languages, syntax, "repo/syntax.c");
    compare_matching(languages, syntax, "tools/fetch.py");
    syntax_free(syntax);
    languages_free(languages);
}

static void test_a_query_that_is_wrong_is_refused(void **state)
{
    (void)state;
    static const struct {
        const char *text, *said;
    } cases[] = {
        {"(identifier", "line 1"},
        {"\n(no_such_node) @reference", "line 2: the grammar has no such node"},
        {"(call_expression nofield: (identifier) @reference)", "no such field"},
        {"(call_expression (#match? @x \"a\"))", "only #eq? and #any-of?"},
        {"(call_expression function: (identifier) @x (#eq? @y \"a\"))", "no such capture"},
        {"((((((((((((((((((((((((((((((((", "nested too deeply"},
        {"[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[", "nested too deeply"},
        {"(_) @name", "can't begin with (_)"},
        {"[]", "no alternatives"},
        {"\"(", "doesn't end"},
    };
    struct languages *languages = open_languages();
    const TSLanguage *grammar = languages_get(languages, language_by_name("c"))->grammar;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct tag_query *query = NULL;
        struct error error = {0};
        assert_int_equal(tag_query_new(grammar, slice_from(cases[i].text), &query, &error), STATUS_FORMAT);
        if (!strstr(error.text, cases[i].said))
            fail_msg("%s: said %s", cases[i].text, error.text);
    }
    languages_free(languages);
}

/* ---- limits ---- */

static char *repeat(const char *part, size_t n, size_t *size)
{
    size_t length = strlen(part);
    char *text = malloc(length * n + 1);
    assert_non_null(text);
    for (size_t i = 0; i < n; i++)
        memcpy(text + i * length, part, length);
    text[length * n] = 0;
    *size = length * n;
    return text;
}

/* Chunks take every line that isn't blank, in order, whole, and no longer than they may be. */
static void check_chunks(const struct syntax_result *result, const char *text, size_t size)
{
    size_t at = 0, counted = 0;
    uint32_t line = 1;
    for (size_t i = 0; i <= result->n_chunks; i++) {
        size_t begin = i < result->n_chunks ? result->chunks[i].text.begin : size;
        if (at > begin)
            fail_msg("chunks overlap");
        for (; at < begin; at++)
            if ((unsigned char)text[at] > ' ')
                fail_msg("a byte in no chunk");
        if (i == result->n_chunks)
            break;
        const struct chunk *chunk = &result->chunks[i];
        at = chunk->text.end;
        bool is_one_line = chunk->line == chunk->end_line;
        assert_true(at - begin <= (is_one_line ? SYNTAX_CHUNK_LINE : SYNTAX_CHUNK));
        if (!is_one_line)
            assert_true((begin == 0 || text[begin - 1] == '\n') && (at == size || text[at - 1] == '\n'));
        for (; counted < begin; counted++)
            line += text[counted] == '\n';
        assert_int_equal(line, chunk->line);
    }
}

/* This process's computing, whatever else the machine does. */
static uint64_t computed_ns(void)
{
    struct timespec spent;
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &spent);
    return (uint64_t)spent.tv_sec * 1000000000u + (uint64_t)spent.tv_nsec;
}

static void test_hostile_texts_end_in_time(void **state)
{
    (void)state;
    static const char *const parts[] = {"(",  "{",  "[",       "<",  "a(", "if(x){", "\"",
                                        "/*", "\n", "#if X\n", "- ", "# ", "\xff",   "`"};
    struct languages *languages = open_languages();
    struct syntax *syntax = NULL;
    const char *slow = getenv("TEST_SLOWNESS");
    uint64_t allowed = 2000000000u * (uint64_t)(slow ? atoi(slow) : 1);
    assert_int_equal(syntax_new(languages, &syntax, NULL), STATUS_OK);
    for (int language = 0; language < languages_count(); language++)
        for (size_t i = 0; i < sizeof parts / sizeof *parts; i++) {
            struct syntax_result result;
            size_t size;
            char *text = repeat(parts[i], 12000, &size);
            uint64_t begin = computed_ns();
            assert_int_equal(syntax_read(syntax, language, text, size, 100000000, &result, NULL), STATUS_OK);
            uint64_t spent = computed_ns() - begin;
            if (spent > allowed)
                fail_msg("%s, %s: %.1f s", language_name(language), parts[i], (double)spent / 1e9);
            check_chunks(&result, text, size);
            free(text);
        }
    syntax_free(syntax);
    languages_free(languages);
}

/* A node of more than 65,535 children, which libtree-sitter counts in 16 bits and then frees what it never had.  In a
 * process of its own, for what is lost there stays lost. */
static void test_nodes_of_many_children(void **state)
{
    (void)state;
    static const struct {
        const char *part, *language;
        size_t n;
    } cases[] = {{"//\n", "c", 70000}, {"#\n", "python", 140000}, {"if(x){", "cpp", 30000}, {"x ", "json", 90000}};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        int status = 0, ends[2];
        char done = 0;
        assert_int_equal(pipe(ends), 0);
        pid_t child = fork();
        if (child == 0) {
            struct languages *languages = NULL;
            struct syntax *syntax = NULL;
            struct syntax_result result;
            size_t size;
            char *text = repeat(cases[i].part, cases[i].n, &size);
            if (languages_new(GRAMMARS, QUERIES, &languages, NULL) || syntax_new(languages, &syntax, NULL) ||
                syntax_read(syntax, language_by_name(cases[i].language), text, size, 60000000000u, &result, NULL) ||
                result.is_text)
                _exit(1);
            syntax_free(syntax);
            if (write(ends[1], "y", 1) == 1)
                raise(SIGKILL); /* before anybody counts what was lost */
            _exit(2);
        }
        close(ends[1]);
        assert_true(child > 0 && waitpid(child, &status, 0) == child);
        if (read(ends[0], &done, 1) != 1 || done != 'y')
            fail_msg("%s: status %d", cases[i].language, status);
        close(ends[0]);
    }
}

static void test_limits_make_a_text_of_it(void **state)
{
    (void)state;
    struct languages *languages = open_languages();
    struct syntax *syntax = NULL;
    struct syntax_result result;
    size_t size;
    assert_int_equal(syntax_new(languages, &syntax, NULL), STATUS_OK);
    char *text = repeat("int f(void) { return 1; }\n", 400000, &size);
    assert_true(size > SYNTAX_MAX_TEXT);
    result = read_text(syntax, 0, text, size);
    assert_true(result.is_text);
    assert_int_equal(result.n_definitions, 0);
    assert_true(result.n_chunks > 1000);
    /* A parse that takes too long is given up, and the parser is good for the next text. */
    assert_int_equal(syntax_read(syntax, 0, text, 4000000, 1000, &result, NULL), STATUS_OK);
    assert_true(result.is_text);
    check_chunks(&result, text, 4000000);
    result = read_text(syntax, 0, text, 26 * 3);
    assert_false(result.is_text);
    assert_int_equal(result.n_definitions, 3);
    result = read_text(syntax, -1, text, 26 * 3);
    assert_true(result.is_text);
    assert_int_equal(result.n_chunks, 1);
    result = read_text(syntax, 0, "", 0);
    assert_int_equal(result.n_chunks, 0);
    result = read_text(syntax, 0, "\n\n \t\n", 5);
    assert_int_equal(result.n_chunks, 0);
    result = read_text(syntax, 0, "int\0x;", 6);
    assert_int_equal(result.n_chunks, 1);
    free(text);
    syntax_free(syntax);
    languages_free(languages);
}

static void test_without_grammars_and_queries(void **state)
{
    (void)state;
    char folder[] = "/tmp/fathom-syntax-XXXXXX";
    struct buffer path = {0};
    assert_non_null(mkdtemp(folder));
    buffer_printf(&path, "%s/languages.so", folder);
    FILE *file = fopen(path.data, "wb");
    assert_non_null(file);
    fputs("no shared object", file);
    fclose(file);
    const char *const broken[] = {folder, NULL}, *const broken_first[] = {folder, "build/lib", NULL},
                      *const none[] = {NULL};
    const struct {
        const char *const *grammars, *const *queries;
        bool is_text;
        size_t n_definitions;
    } cases[] = {
        {none, QUERIES, true, 0},
        {broken, QUERIES, true, 0},
        {GRAMMARS, none, false, 0},
        {broken_first, QUERIES, false, 1},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct languages *languages = NULL;
        struct syntax *syntax = NULL;
        assert_int_equal(languages_new(cases[i].grammars, cases[i].queries, &languages, NULL), STATUS_OK);
        assert_int_equal(syntax_new(languages, &syntax, NULL), STATUS_OK);
        struct syntax_result result = read_text(syntax, 0, "int a;\n", 7);
        assert_int_equal(result.is_text, cases[i].is_text);
        assert_int_equal(result.n_definitions, cases[i].n_definitions);
        assert_int_equal(result.n_chunks, 1);
        syntax_free(syntax);
        languages_free(languages);
    }
    unlink(path.data);
    rmdir(folder);
    buffer_deinit(&path);
}

static void test_chunks_of_real_files(void **state)
{
    (void)state;
    static const char *const paths[] = {"repo/syntax.c",
                                        "README.md",
                                        "Makefile",
                                        "tools/fetch.py",
                                        "tools/fuzz.sh",
                                        "assets/tags/c.scm",
                                        "engine/cpu_vector_words.h",
                                        ".clang-tidy"};
    struct languages *languages = open_languages();
    struct syntax *syntax = NULL;
    assert_int_equal(syntax_new(languages, &syntax, NULL), STATUS_OK);
    for (size_t i = 0; i < sizeof paths / sizeof *paths; i++) {
        struct buffer text = {0};
        read_file(paths[i], &text);
        struct syntax_result result =
            read_text(syntax, language_of(paths[i], text.data, text.size), text.data, text.size);
        check_chunks(&result, text.data, text.size);
        /* A function that fits is one chunk. */
        for (size_t k = 0; k < result.n_definitions; k++) {
            const struct definition *each = &result.definitions[k];
            if (each->kind != TAG_FUNCTION || each->parent >= 0 || each->end_line < each->line + 2 ||
                each->whole.end - each->doc.begin > SYNTAX_CHUNK || each->doc.end == 0)
                continue;
            bool is_found = false;
            for (size_t c = 0; c < result.n_chunks; c++)
                is_found =
                    is_found || (result.chunks[c].text.begin <= each->doc.begin &&
                                 result.chunks[c].text.end >= each->whole.end && result.chunks[c].scope == (int32_t)k);
            if (!is_found && each->doc.begin < each->whole.begin)
                fail_msg("%s:%u is cut", paths[i], each->line);
        }
        buffer_deinit(&text);
    }
    syntax_free(syntax);
    languages_free(languages);
}

/* ---- documents ---- */

static void check_same_colours(struct document *document, struct languages *languages, int language, const char *text,
                               size_t size)
{
    struct document *fresh = NULL;
    const struct highlight_span *a = NULL, *b = NULL;
    size_t n = 0, m = 0;
    assert_int_equal(document_new(languages, language, &fresh, NULL), STATUS_OK);
    assert_int_equal(document_update(fresh, NULL, text, size, NULL), STATUS_OK);
    assert_int_equal(document_highlight(document, 0, (uint32_t)size, &a, &n, NULL), STATUS_OK);
    assert_int_equal(document_highlight(fresh, 0, (uint32_t)size, &b, &m, NULL), STATUS_OK);
    assert_int_equal(n, m);
    assert_true(n > 0);
    for (size_t i = 0; i < n; i++) {
        assert_int_equal(a[i].text.begin, b[i].text.begin);
        assert_int_equal(a[i].text.end, b[i].text.end);
        assert_int_equal(a[i].kind, b[i].kind);
    }
    document_free(fresh);
}

/* Statements go in and out of functions; after each the colours are those of the text parsed anew. */
static void test_colours_after_edits(void **state)
{
    (void)state;
    static const char statement[] = "\tx = call(\"text\", 12); /* said */\n";
    enum { N = 60, SIZE = sizeof statement - 1 };
    struct languages *languages = open_languages();
    struct document *document = NULL;
    struct buffer text = {0};
    int language = language_by_name("c");
    for (int i = 0; i < 20; i++)
        buffer_printf(&text, "int f%d(int x)\n{\n%s\treturn x;\n}\n", i, statement);
    assert_int_equal(document_new(languages, language, &document, NULL), STATUS_OK);
    assert_int_equal(document_update(document, NULL, text.data, text.size, NULL), STATUS_OK);
    for (uint32_t i = 0; i < N; i++) {
        const char *place = text.data;
        for (uint32_t k = 0; k <= i * 7 % 20; k++)
            place = strstr(place, "{\n") + 2;
        uint32_t at = (uint32_t)(place - text.data);
        bool is_removed = i % 3 == 2;
        struct document_edit edit = {at, is_removed ? at + SIZE : at, is_removed ? at : at + SIZE};
        struct buffer next = {0};
        buffer_append(&next, text.data, at);
        if (!is_removed)
            buffer_append_text(&next, statement);
        buffer_append(&next, text.data + edit.old_end, text.size - edit.old_end);
        if (is_removed && memcmp(place, statement, SIZE) != 0) {
            buffer_deinit(&next);
            continue;
        }
        assert_int_equal(document_update(document, &edit, next.data, next.size, NULL), STATUS_OK);
        check_same_colours(document, languages, language, next.data, next.size);
        buffer_deinit(&text);
        text = next;
    }
    /* An edit that can't be is taken for a new text. */
    struct document_edit wrong = {5, 2, 90};
    assert_int_equal(document_update(document, &wrong, "int y;\n", 7, NULL), STATUS_OK);
    check_same_colours(document, languages, language, "int y;\n", 7);
    document_free(document);
    buffer_deinit(&text);
    languages_free(languages);
}

static void expect_colour(struct document *document, const char *text, const char *word, enum highlight kind)
{
    const struct highlight_span *spans = NULL;
    size_t n = 0;
    const char *at = strstr(text, word);
    assert_non_null(at);
    uint32_t begin = (uint32_t)(at - text), end = begin + (uint32_t)strlen(word);
    assert_int_equal(document_highlight(document, begin, end, &spans, &n, NULL), STATUS_OK);
    if (kind == HL_PLAIN) {
        assert_int_equal(n, 0);
        return;
    }
    assert_int_equal(n, 1);
    assert_int_equal(spans[0].text.begin, begin);
    assert_int_equal(spans[0].text.end, end);
    if (spans[0].kind != kind)
        fail_msg("%s: colour %d", word, (int)spans[0].kind);
}

static void test_colours_and_scopes(void **state)
{
    (void)state;
    static const char c[] = "#include <x.h>\n/* Doc. */\nstatic long twice(struct pair *p)\n{\n\treturn p->field + "
                            "helper(0x12, \"te\\nxt\");\n}\n";
    static const char python[] =
        "class Shape:\n    def area(self):\n        def inner(): return None\n        return inner()\n";
    struct languages *languages = open_languages();
    struct document *document = NULL;
    assert_int_equal(document_new(languages, language_by_name("c"), &document, NULL), STATUS_OK);
    assert_int_equal(document_update(document, NULL, c, sizeof c - 1, NULL), STATUS_OK);
    expect_colour(document, c, "#include", HL_PREPROCESSOR);
    expect_colour(document, c, "<x.h>", HL_STRING);
    expect_colour(document, c, "/* Doc. */", HL_COMMENT);
    expect_colour(document, c, "static", HL_KEYWORD);
    expect_colour(document, c, "long", HL_TYPE);
    expect_colour(document, c, "twice", HL_FUNCTION);
    expect_colour(document, c, "pair", HL_TYPE);
    expect_colour(document, c, "helper", HL_FUNCTION);
    expect_colour(document, c, "0x12", HL_NUMBER);
    expect_colour(document, c, "field", HL_PLAIN);
    expect_colour(document, c, "te", HL_STRING);
    document_free(document);
    document = NULL;
    struct definition scopes[4];
    assert_int_equal(document_new(languages, language_by_name("python"), &document, NULL), STATUS_OK);
    assert_int_equal(document_update(document, NULL, python, sizeof python - 1, NULL), STATUS_OK);
    uint32_t at = (uint32_t)(strstr(python, "None") - python);
    assert_int_equal(document_scopes(document, at, scopes, 4), 3);
    assert_memory_equal(python + scopes[0].name.begin, "inner", 5);
    assert_memory_equal(python + scopes[1].name.begin, "area", 4);
    assert_memory_equal(python + scopes[2].name.begin, "Shape", 5);
    assert_int_equal(scopes[1].kind, TAG_METHOD);
    assert_int_equal(document_scopes(document, at, scopes, 1), 1);
    assert_int_equal(document_scopes(document, sizeof python, scopes, 4), 0);
    document_free(document);
    languages_free(languages);
}

/* ---- threads ---- */

static void *read_samples(void *languages)
{
    static const char *const paths[] = {"tests/golden/syntax/sample.c", "tests/golden/syntax/sample.py",
                                        "tests/golden/syntax/sample.rs", "tests/golden/syntax/sample.go"};
    struct syntax *syntax = NULL;
    uintptr_t n = 0;
    if (syntax_new(languages, &syntax, NULL) != STATUS_OK)
        return NULL;
    for (int round = 0; round < 5; round++)
        for (size_t i = 0; i < sizeof paths / sizeof *paths; i++) {
            struct buffer text = {0};
            struct syntax_result result;
            read_file(paths[i], &text);
            if (syntax_read(syntax, language_of(paths[i], text.data, text.size), text.data, text.size, 0, &result,
                            NULL))
                n = 0;
            n += result.n_definitions;
            buffer_deinit(&text);
        }
    syntax_free(syntax);
    return (void *)n; /* NOLINT(performance-no-int-to-ptr) */
}

static void test_threads_share_languages(void **state)
{
    (void)state;
    struct languages *languages = open_languages();
    pthread_t threads[4];
    void *counts[4];
    for (int i = 0; i < 4; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, read_samples, languages), 0);
    for (int i = 0; i < 4; i++)
        assert_int_equal(pthread_join(threads[i], &counts[i]), 0);
    assert_non_null(counts[0]);
    for (int i = 1; i < 4; i++)
        assert_ptr_equal(counts[0], counts[i]);
    languages_free(languages);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_every_language_has_grammar_and_query),
        cmocka_unit_test(test_language_of),
        cmocka_unit_test(test_samples),
        cmocka_unit_test(test_matching_is_that_of_tree_sitter),
        cmocka_unit_test(test_a_query_that_is_wrong_is_refused),
        cmocka_unit_test(test_hostile_texts_end_in_time),
        cmocka_unit_test(test_nodes_of_many_children),
        cmocka_unit_test(test_limits_make_a_text_of_it),
        cmocka_unit_test(test_without_grammars_and_queries),
        cmocka_unit_test(test_chunks_of_real_files),
        cmocka_unit_test(test_colours_after_edits),
        cmocka_unit_test(test_colours_and_scopes),
        cmocka_unit_test(test_threads_share_languages),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
