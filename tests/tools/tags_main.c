/* tags: what syntax_read finds in files, for comparing it with other programs: tags GRAMMARS QUERIES < LIST
 *
 * LIST names a file a line.  Prints "file KIND NAME LINE" for each definition, fields parted by tabs, and at last, to
 * stderr, how much was read in what time. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "repo/syntax.h"

struct totals {
    uint64_t files, bytes, parse_ns, query_ns, definitions, references, chunks, errors, texts;
};

static bool read_file(const char *path, struct buffer *out)
{
    char block[65536];
    size_t n;
    FILE *file = fopen(path, "rb");
    if (!file)
        return false;
    while ((n = fread(block, 1, sizeof block, file)) > 0)
        buffer_append(out, block, n);
    fclose(file);
    return !out->failed;
}

static void print_definitions(const char *path, const char *text, const struct syntax_result *result)
{
    uint32_t line = 1, at = 0;
    for (size_t i = 0; i < result->n_definitions; i++) {
        const struct definition *definition = &result->definitions[i];
        if (definition->name.begin < at) {
            at = definition->whole.begin;
            line = definition->line;
        }
        for (; at < definition->name.begin; at++)
            line += text[at] == '\n';
        printf("%s\t%s\t%.*s\t%u\n", path, tag_kind_name(definition->kind),
               (int)(definition->name.end - definition->name.begin), text + definition->name.begin, line);
    }
}

static void read_one(struct syntax *syntax, const char *path, struct totals *totals)
{
    struct buffer text = {0};
    struct syntax_result result;
    struct error error;
    if (!read_file(path, &text))
        return;
    int language = language_of(path, text.data, text.size);
    if (syntax_read(syntax, language, buffer_text(&text), text.size, 0, &result, &error)) {
        fprintf(stderr, "tags: %s: %s\n", path, error.text);
        exit(1);
    }
    print_definitions(path, buffer_text(&text), &result);
    totals->files++;
    totals->bytes += text.size;
    totals->parse_ns += result.parse_ns;
    totals->query_ns += result.query_ns;
    totals->definitions += result.n_definitions;
    totals->references += result.n_references;
    totals->chunks += result.n_chunks;
    totals->errors += result.has_errors;
    totals->texts += result.is_text;
    buffer_deinit(&text);
}

int main(int n, char **arguments)
{
    struct languages *languages = NULL;
    struct syntax *syntax = NULL;
    struct totals totals = {0};
    struct error error;
    char *line = NULL;
    size_t capacity = 0;
    if (n != 3) {
        fprintf(stderr, "usage: tags GRAMMARS QUERIES < LIST\n");
        return 2;
    }
    const char *const grammars[] = {arguments[1], NULL}, *const queries[] = {arguments[2], NULL};
    if (languages_new(grammars, queries, &languages, &error) || syntax_new(languages, &syntax, &error)) {
        fprintf(stderr, "tags: %s\n", error.text);
        return 3;
    }
    while (getline(&line, &capacity, stdin) > 0) {
        line[strcspn(line, "\n")] = 0;
        read_one(syntax, line, &totals);
    }
    free(line);
    syntax_free(syntax);
    languages_free(languages);
    fprintf(stderr,
            "%llu files, %.1f MB, parse %.2f MB/s, tags %.2f MB/s, %llu definitions, %llu references, %llu chunks, "
            "%llu files with errors, %llu as text\n",
            (unsigned long long)totals.files, (double)totals.bytes / 1e6,
            (double)totals.bytes * 1e3 / (double)(totals.parse_ns + 1),
            (double)totals.bytes * 1e3 / (double)(totals.query_ns + 1), (unsigned long long)totals.definitions,
            (unsigned long long)totals.references, (unsigned long long)totals.chunks, (unsigned long long)totals.errors,
            (unsigned long long)totals.texts);
    return 0;
}
