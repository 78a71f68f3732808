/* ask: how long an index takes to answer, for tests/measure_index.py:  ask CACHE ROOT GRAMMARS QUERIES
 *
 * Reads questions a line, "define NAME", "search WORDS", "refresh PATH", and answers each with the milliseconds it took and
 * how much was found.  Index and repository stay open, as in the server and on the screen. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "repo/search.h"

struct asked {
    struct languages *languages;
    struct repo *repo;
    struct index *index;
};

static enum status define(struct asked *asked, const char *name, size_t *n, struct error *error)
{
    struct index_definitions found;
    enum status status = index_definitions(asked->index, name, NULL, 20, &found, error);
    if (status == STATUS_OK) {
        *n = found.n;
        index_definitions_deinit(&found);
    }
    return status;
}

static enum status search(struct asked *asked, const char *words, size_t *n, struct error *error)
{
    struct search_options options = {.query = words};
    struct search_results found;
    enum status status = search_run(asked->index, asked->repo, &options, &found, error);
    if (status == STATUS_OK) {
        *n = found.n;
        search_results_deinit(&found);
    }
    return status;
}

static enum status refresh(struct asked *asked, const char *path, size_t *n, struct error *error)
{
    struct index_options options = {.languages = asked->languages, .n_threads = 2};
    struct index_report report;
    enum status status = index_refresh_paths(asked->index, asked->repo, &path, 1, &options, &report, error);
    *n = (size_t)report.n_changed;
    return status;
}

static const struct {
    const char *word;
    enum status (*run)(struct asked *asked, const char *argument, size_t *n, struct error *error);
} questions[] = {{"define ", define}, {"search ", search}, {"refresh ", refresh}};

static enum status answer(struct asked *asked, const char *line, struct error *error)
{
    for (size_t i = 0; i < sizeof questions / sizeof *questions; i++) {
        size_t size = strlen(questions[i].word), n = 0;
        if (strncmp(line, questions[i].word, size) != 0)
            continue;
        uint64_t started = clock_now_ns();
        enum status status = questions[i].run(asked, line + size, &n, error);
        printf("%.3f %zu\n", (double)(clock_now_ns() - started) / 1e6, n);
        fflush(stdout);
        return status;
    }
    return error_set(error, STATUS_ARGUMENT, "what is \"%s\"?", line);
}

int main(int argc, char **argv)
{
    struct asked asked = {0};
    struct error error = {0};
    char line[4096];
    if (argc != 5) {
        fprintf(stderr, "ask CACHE ROOT GRAMMARS QUERIES\n");
        return 2;
    }
    const char *grammars[] = {argv[3], NULL}, *tags[] = {argv[4], NULL};
    enum status status = languages_new(grammars, tags, &asked.languages, &error);
    if (status == STATUS_OK)
        status = repo_open(argv[2], &asked.repo, &error);
    if (status == STATUS_OK)
        status = index_open(argv[1], repo_root(asked.repo), &asked.index, &error);
    while (status == STATUS_OK && fgets(line, sizeof line, stdin)) {
        line[strcspn(line, "\n")] = 0;
        status = answer(&asked, line, &error);
    }
    index_close(asked.index);
    if (asked.repo)
        repo_free(asked.repo);
    if (asked.languages)
        languages_free(asked.languages);
    if (status != STATUS_OK)
        fprintf(stderr, "ask: %s\n", error.text);
    return status == STATUS_OK ? 0 : 1;
}
