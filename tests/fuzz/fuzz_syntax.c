/* fuzz_syntax: any bytes as a text of any language: read, cut, coloured and edited within the limits, whatever the
 * grammars make of them (build/lib, which `make test` fills).
 *
 * Input: one byte that chooses the language ('A' is the first), two that choose an edit, then the text.  Checked:
 * every span lies within the text, lists are in order, parents come before their children and hold them, chunks take
 * every line that isn't blank and don't overlap, and a parse ends within its time limit.  With FATHOM_PLANT_BUG names
 * must be ASCII, which they mostly are.  The fuzzer must find one that isn't. */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "repo/syntax.h"

enum { LIMIT_MS = 500, SLACK_MS = 4500 /* sanitizers */ };

static void require(bool holds, const char *what)
{
    if (holds)
        return;
    fprintf(stderr, "fuzz_syntax: not so: %s\n", what);
    abort();
}

static uint64_t thread_ns(void) /* its own time: the machine may do other things */
{
    struct timespec now;
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now);
    return (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
}

static bool is_within(struct span span, size_t size)
{
    return span.begin <= span.end && span.end <= size;
}

static void check_definitions(const struct syntax_result *result, const char *text, size_t size)
{
    for (size_t i = 0; i < result->n_definitions; i++) {
        const struct definition *definition = &result->definitions[i];
        require(is_within(definition->name, size) && is_within(definition->whole, size), "definition within the text");
        require(is_within(definition->signature, size) && is_within(definition->doc, size),
                "signature within the text");
        require(definition->name.begin < definition->name.end, "a definition has a name");
        require(definition->whole.begin <= definition->name.begin && definition->name.end <= definition->whole.end,
                "a definition holds its name");
        require(definition->parent < (int32_t)i && definition->parent >= -1, "parents first");
        require(definition->line >= 1 && definition->line <= definition->end_line, "lines in order");
        require(definition->kind >= 0 && definition->kind < TAG_N_KINDS, "a kind that is one");
        if (i > 0)
            require(definition[-1].whole.begin <= definition->whole.begin, "definitions in order");
        if (definition->parent >= 0)
            require(result->definitions[definition->parent].whole.end >= definition->whole.end,
                    "parents hold children");
#ifdef FATHOM_PLANT_BUG
        for (uint32_t k = definition->name.begin; k < definition->name.end; k++)
            require((unsigned char)text[k] < 0x80, "names are ASCII");
#endif
    }
    (void)text;
}

static void check_names(const struct syntax_result *result, size_t size)
{
    for (size_t i = 0; i < result->n_references; i++) {
        const struct reference *reference = &result->references[i];
        require(is_within(reference->name, size) && reference->name.begin < reference->name.end,
                "reference in the text");
        require(reference->scope >= -1 && reference->scope < (int32_t)result->n_definitions, "scope of a reference");
        if (i > 0)
            require(reference[-1].name.begin < reference->name.begin, "references in order");
    }
    for (size_t i = 0; i < result->n_imports; i++)
        require(is_within(result->imports[i].target, size), "import within the text");
}

static void check_chunks(const struct syntax_result *result, const char *text, size_t size)
{
    size_t at = 0;
    for (size_t i = 0; i <= result->n_chunks; i++) {
        size_t begin = i < result->n_chunks ? result->chunks[i].text.begin : size;
        require(at <= begin && begin <= size, "chunks in order");
        for (; at < begin; at++)
            require((unsigned char)text[at] <= ' ', "chunks take every line");
        if (i < result->n_chunks) {
            require(result->chunks[i].text.begin < result->chunks[i].text.end, "no empty chunk");
            require(result->chunks[i].scope < (int32_t)result->n_definitions, "scope of a chunk");
            at = result->chunks[i].text.end;
        }
    }
}

static void check_highlight(struct document *document, size_t size)
{
    const struct highlight_span *spans = NULL;
    struct definition scopes[8];
    size_t n = 0;
    uint32_t at = 0;
    require(document_highlight(document, (uint32_t)(size / 3), (uint32_t)size, &spans, &n, NULL) == STATUS_OK,
            "memory");
    for (size_t i = 0; i < n; i++) {
        require(spans[i].text.begin >= at && is_within(spans[i].text, size), "colours in order");
        require(spans[i].kind > HL_PLAIN && spans[i].kind < HL_N, "a colour that is one");
        at = spans[i].text.end;
    }
    n = document_scopes(document, (uint32_t)(size / 2), scopes, 8);
    for (size_t i = 0; i < n; i++)
        require(scopes[i].whole.begin <= size / 2 && size / 2 < scopes[i].whole.end, "a scope holds its place");
}

/* The text, and what is left of it when a part is cut out. */
static void check_document(struct languages *languages, int language, const uint8_t *edit, const char *text,
                           size_t size)
{
    struct document *document = NULL;
    struct document_edit cut = {0};
    require(document_new(languages, language, &document, NULL) == STATUS_OK, "memory");
    require(document_update(document, NULL, text, size, NULL) == STATUS_OK, "memory");
    check_highlight(document, size);
    cut.begin = (uint32_t)(size * edit[0] / 256);
    cut.old_end = cut.begin + (uint32_t)((size - cut.begin) * edit[1] / 256);
    cut.new_end = cut.begin;
    char *rest = malloc(size + 1);
    require(rest != NULL, "memory");
    memcpy(rest, text, cut.begin);
    memcpy(rest + cut.begin, text + cut.old_end, size - cut.old_end);
    require(document_update(document, &cut, rest, size - (cut.old_end - cut.begin), NULL) == STATUS_OK, "memory");
    check_highlight(document, size - (cut.old_end - cut.begin));
    document_free(document);
    free(rest);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const char *const grammars[] = {"build/lib", NULL}, *const queries[] = {"assets/tags", NULL};
    static struct languages *languages;
    static struct syntax *syntax;
    struct syntax_result result;
    if (!languages) {
        require(languages_new(grammars, queries, &languages, NULL) == STATUS_OK, "languages");
        require(syntax_new(languages, &syntax, NULL) == STATUS_OK, "a parser");
        for (int i = 0; i < languages_count(); i++)
            require(languages_check(languages, i, NULL) == STATUS_OK, "a grammar (run `make grammars`)");
    }
    if (size < 3)
        return 0;
    int language = (data[0] + 256 - 'A') % 256 % languages_count();
    const uint8_t *edit = data + 1;
    /* A copy, so that a byte read beyond its end is seen. */
    size -= 3;
    char *text = malloc(size ? size : 1);
    require(text != NULL, "memory");
    memcpy(text, data + 3, size);
    /* Some parses are to be given up. */
    uint64_t begin = thread_ns(), limit_us = edit[0] % 4 ? LIMIT_MS * 1000 : 50 * (1u + edit[1]);
    require(syntax_read(syntax, language, text, size, limit_us * 1000, &result, NULL) == STATUS_OK, "memory");
    require(thread_ns() - begin < (LIMIT_MS + SLACK_MS) * UINT64_C(1000000), "within the time limit");
    check_definitions(&result, text, size);
    check_names(&result, size);
    check_chunks(&result, text, size);
    check_document(languages, language, edit, text, size);
    free(text);
    return 0;
}
