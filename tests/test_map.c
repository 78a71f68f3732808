/* The map: never a token over its budget, the same each time, led by what is asked for, and from a saved graph as from a
 * new one. */
#include <setjmp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "repo/map_graph.h"
#include "repo/map.h"
#include "tests/repo_fixture.h"

struct place {
    char folder[4096], cache[4200];
    struct repo *repo;
    struct languages *languages;
    struct index *index;
};

static const char sources[] =
    "git init -q; mkdir -p core app cache; echo cache >.git/info/exclude\n"
    "printf 'int engine_start(int speed);\\nint engine_stop(void);\\nint rarely_used_thing(void);\\n' >core/engine.h\n"
    "printf '#include \"engine.h\"\\nint engine_start(int speed)\\n{\\n    return speed;\\n}\\nint "
    "engine_stop(void)\\n{\\n    return 0;\\n}\\n"
    "int rarely_used_thing(void)\\n{\\n    return 1;\\n}\\n' >core/engine.c\n"
    "for i in 1 2 3 4 5 6; do printf \"int app_part_$i(void)\\n{\\n    return engine_start($i) + "
    "engine_stop();\\n}\\n\" >app/part$i.c; done\n"
    "printf 'int odd_helper(int odd_value)\\n{\\n    return odd_value;\\n}\\n' >app/odd.c\n"
    "printf 'int lonely_main(void)\\n{\\n    int x = 1;\\n\\n\\n\\n\\n\\n\\n\\n\\n\\n\\n\\n\\n\\n\\n\\n\\n\\n\\n\\n    "
    "return odd_helper(x);\\n}\\n' >app/lonely.c\n"
    "printf 'int in_odd_name(void)\\n{\\n    return odd_helper(2);\\n}\\n' >\"$(printf 'app/new\\nline.c')\"\n";

static void refresh(struct place *place)
{
    struct index_report report;
    struct error error;
    if (index_refresh(place->index, place->repo, &(struct index_options){.languages = place->languages, .n_threads = 1},
                      &report, &error) != STATUS_OK)
        fail_msg("%s", error.text);
    assert_true(report.n_symbols > 0);
}

static void place_make(struct place *place)
{
    struct error error;
    char beside[4096], above[4096];
    const char *program = getenv("FATHOM_PROGRAM");
    fixture_make_folder(place->folder, sizeof place->folder);
    fixture_run(place->folder, sources);
    snprintf(place->cache, sizeof place->cache, "%s/cache", place->folder);
    snprintf(beside, sizeof beside, "%.*s/lib", program ? (int)(strrchr(program, '/') - program) : 5,
             program ? program : "build");
    snprintf(above, sizeof above, "%.*s/../lib", (int)strlen(beside) - 4, beside);
    const char *const grammars[] = {beside, above, NULL}, *const queries[] = {"assets/tags", NULL};
    if (repo_open(place->folder, &place->repo, &error) != STATUS_OK ||
        languages_new(grammars, queries, &place->languages, &error) != STATUS_OK ||
        index_open(place->cache, repo_root(place->repo), &place->index, &error) != STATUS_OK)
        fail_msg("%s", error.text);
    refresh(place);
}

static void place_end(struct place *place)
{
    index_close(place->index);
    languages_free(place->languages);
    repo_free(place->repo);
    fixture_remove_folder(place->folder);
}

/* Pairs of bytes, words apart: like a tokenizer's, tokens of a text aren't the sum of its lines'. */
static size_t count_pairs(void *context, const char *text, size_t size)
{
    size_t *calls = context, n = 0;
    (*calls)++;
    for (size_t i = 0; i < size; n++)
        i += i + 1 < size && text[i] != ' ' && text[i + 1] != ' ' ? 2 : 1;
    return n;
}

static struct map_result make_map(struct place *place, const struct map_request *request)
{
    struct map *map;
    struct map_result result = {0};
    struct error error;
    size_t calls = 0;
    struct map_request asked = *request;
    if (!asked.count) {
        asked.count = count_pairs;
        asked.context = &calls;
    }
    if (map_open(place->index, NULL, &map, &error) != STATUS_OK ||
        map_make(map, place->repo, &asked, &result, &error) != STATUS_OK)
        fail_msg("%s", error.text);
    map_close(map);
    return result;
}

static char *text_of(struct place *place, const struct map_request *request)
{
    struct map_result result = make_map(place, request);
    char *text = strdup(buffer_text(&result.text));
    assert_non_null(text);
    map_result_deinit(&result);
    return text;
}

static void never_exceeds_its_budget(void **state)
{
    struct place place;
    size_t before = 0, calls = 0;
    (void)state;
    place_make(&place);
    for (size_t budget = 0; budget < 420; budget++) {
        struct map_result result = make_map(&place, &(struct map_request){.budget = budget});
        assert_true(result.n_tokens <= budget);
        assert_int_equal(count_pairs(&calls, buffer_text(&result.text), result.text.size), result.n_tokens);
        /* It uses what it is given: a line is at most so long. */
        assert_true(result.n_tokens + 40 >= budget || result.n_tokens >= before);
        before = result.n_tokens;
        /* The text is what the files and lines say. */
        struct buffer again = {0};
        for (size_t i = 0; i < result.n_files; i++) {
            buffer_append_text(&again, strchr(result.files[i].path, '\n') ? "app/new?line.c" : result.files[i].path);
            buffer_append_text(&again, ":\n");
            assert_true(result.files[i].n_lines > 0);
            for (size_t k = 0; k < result.files[i].n_lines; k++)
                buffer_printf(&again, "%u: %s\n", result.files[i].lines[k].line, result.files[i].lines[k].text);
            assert_true(i == 0 || result.files[i].rank <= result.files[i - 1].rank);
        }
        assert_string_equal(buffer_text(&again), buffer_text(&result.text));
        buffer_deinit(&again);
        map_result_deinit(&result);
    }
    assert_true(before > 200);
    place_end(&place);
}

static size_t count_nothing(void *context, const char *text, size_t size)
{
    (void)context;
    (void)text;
    (void)size;
    return SIZE_MAX;
}

static void passes_on_a_failed_count(void **state)
{
    struct place place;
    struct map *map;
    struct map_result result;
    struct error error;
    (void)state;
    place_make(&place);
    assert_int_equal(map_open(place.index, NULL, &map, &error), STATUS_OK);
    assert_int_equal(
        map_make(map, place.repo, &(struct map_request){.budget = 100, .count = count_nothing}, &result, &error),
        STATUS_IO);
    assert_null(result.files);
    assert_null(result.text.data);
    map_close(map);
    place_end(&place);
}

static void ranks_what_is_used_first(void **state)
{
    struct place place;
    (void)state;
    place_make(&place);
    struct map_result result = make_map(&place, &(struct map_request){.budget = 60});
    assert_true(result.n_files >= 1);
    assert_string_equal(result.files[0].path, "core/engine.c");
    /* Once: not the prototype, too. */
    char *text = text_of(&place, &(struct map_request){.budget = 2000});
    char *first = strstr(text, "engine_start(int speed)");
    assert_non_null(first);
    assert_null(strstr(first + 1, "engine_start(int speed)"));
    assert_true(first < strstr(text, "rarely_used_thing"));
    free(text);
    map_result_deinit(&result);
    place_end(&place);
}

/* One is there, and the other isn't before it. */
static bool leads(const char *text, const char *one, const char *other)
{
    const char *a = strstr(text, one), *b = strstr(text, other);
    return a && (!b || a < b);
}

static void follows_what_is_asked_for(void **state)
{
    struct place place;
    const struct index_place file = {"app/lonely.c", 0}, line = {"app/lonely.c", 23}, nowhere = {"no/such.c", 7};
    const char *const names[] = {"odd_helper"}, *const files[] = {"app/odd.c"};
    (void)state;
    place_make(&place);
    char *general = text_of(&place, &(struct map_request){.budget = 40}),
         *all = text_of(&place, &(struct map_request){.budget = 400});
    if (!leads(all, "engine_start(", "odd_helper("))
        fail_msg("of all there is:\n%s", all);
    const struct map_request requests[] = {
        {.budget = 75, .near = &file},
        {.budget = 75, .near = &line},
        {.budget = 75, .names = names, .n_names = 1},
        {.budget = 75, .files = files, .n_files = 1},
    };
    for (size_t i = 0; i < sizeof requests / sizeof *requests; i++) {
        char *text = text_of(&place, &requests[i]), *again = text_of(&place, &requests[i]);
        if (!leads(text, "odd_helper(", "engine_start("))
            fail_msg("request %zu gives:\n%s", i, text);
        assert_string_equal(text, again);
        free(text);
        free(again);
    }
    char *text = text_of(&place, &(struct map_request){.budget = 40, .near = &nowhere});
    assert_string_equal(text, general);
    free(text);
    free(all);
    free(general);
    place_end(&place);
}

/* The same from a saved graph, from none, and from one that is damaged in any byte. */
static void trusts_no_saved_graph(void **state)
{
    struct place place;
    struct buffer size = {0};
    (void)state;
    place_make(&place);
    const struct map_request request = {.budget = 300};
    char *text = text_of(&place, &request);
    fixture_output(place.folder, "cd cache; cp *.map ../saved; stat -c %s ../saved", &size);
    int bytes = atoi(size.data);
    assert_true(bytes > 100);
    for (int at = 0; at <= bytes; at += at < 80 ? 1 : 97) {
        char script[256];
        if (at == bytes)
            snprintf(script, sizeof script, "cd cache; rm *.map");
        else if (at % 2)
            snprintf(script, sizeof script, "cd cache; for f in *.map; do head -c %d ../saved >$f; done", at);
        else
            snprintf(script, sizeof script,
                     "cd cache; for f in *.map; do cp ../saved $f; printf '\\377\\376\\375\\374' | dd of=$f bs=1 "
                     "seek=%d conv=notrunc 2>/dev/null; done",
                     at);
        fixture_run(place.folder, script);
        char *again = text_of(&place, &request);
        assert_string_equal(again, text);
        free(again);
    }
    free(text);
    buffer_deinit(&size);
    place_end(&place);
}

static void follows_changes(void **state)
{
    struct place place;
    (void)state;
    place_make(&place);
    const struct map_request request = {.budget = 1000};
    char *before = text_of(&place, &request);
    /* Changed since it was indexed: what stands where nobody knows isn't shown. */
    fixture_run(place.folder, "printf 'int other(void)\\n{\\n    return 0;\\n}\\n' >core/engine.c");
    char *stale = text_of(&place, &request);
    assert_null(strstr(stale, "core/engine.c"));
    refresh(&place);
    char *fresh = text_of(&place, &request);
    assert_non_null(strstr(fresh, "int other(void)"));
    fixture_run(place.folder, "rm core/engine.c app/part*.c");
    refresh(&place);
    char *less = text_of(&place, &request);
    assert_null(strstr(less, "app_part"));
    free(before);
    free(stale);
    free(fresh);
    free(less);
    place_end(&place);
}

/* ---- the graph by what changed ---- */

static uint32_t random_below(uint32_t *seed, uint32_t n)
{
    *seed = *seed * 1664525u + 1013904223u;
    return (*seed >> 8) % n;
}

/* A file of definitions and uses of names from one pool, so that files share them. */
static void write_source(const struct place *place, const char *name, uint32_t *seed)
{
    enum { POOL = 90 };
    char path[4300];
    snprintf(path, sizeof path, "%s/%s", place->folder, name);
    FILE *file = fopen(path, "wb");
    assert_non_null(file);
    for (uint32_t n = 1 + random_below(seed, 6); n; n--)
        switch (random_below(seed, 4)) {
        case 0:
            fprintf(file, "struct shape_%u {\n    int x;\n};\n", random_below(seed, POOL));
            break;
        case 1:
            fprintf(file, "#define LIMIT_%u 1\n", random_below(seed, POOL));
            break;
        default:
            fprintf(file, "int call_%u(void)\n{\n", random_below(seed, POOL));
            for (uint32_t k = random_below(seed, 9); k; k--)
                fprintf(file, "    call_%u(LIMIT_%u);\n", random_below(seed, POOL), random_below(seed, POOL));
            fprintf(file, "    struct shape_%u *s;\n    return 0;\n}\n", random_below(seed, POOL));
        }
    assert_int_equal(fclose(file), 0);
}

static void source_name(uint32_t i, char out[32])
{
    snprintf(out, 32, "%s/f%02u.%c", i % 3 ? "app" : "core", i, i % 4 ? 'c' : 'h');
}

static void change_something(struct place *place, uint32_t *seed)
{
    enum { FILES = 60 };
    char name[32], other[32], script[256];
    source_name(random_below(seed, FILES), name);
    source_name(random_below(seed, FILES), other);
    switch (random_below(seed, 6)) {
    case 0:
        snprintf(script, sizeof script, "rm -f %s", name);
        break;
    case 1:
        snprintf(script, sizeof script, "[ ! -e %s ] || [ %s = %s ] || mv %s %s", name, name, other, name, other);
        break;
    case 2:
        snprintf(script, sizeof script, "[ ! -e %s ] || [ %s = %s ] || cp %s %s", name, name, other, name, other);
        break;
    default:
        write_source(place, name, seed);
        return;
    }
    fixture_run(place->folder, script);
}

static void assert_same_graph(const struct map_graph *one, const struct map_graph *other)
{
    assert_int_equal(one->n, other->n);
    assert_memory_equal(one->first_edge, other->first_edge, (one->n + 1) * sizeof *one->first_edge);
    assert_memory_equal(one->first_name, other->first_name, (one->n + 1) * sizeof *one->first_name);
    assert_memory_equal(one->edges, other->edges, one->first_edge[one->n] * sizeof *one->edges);
    assert_memory_equal(one->names, other->names, one->first_name[one->n] * sizeof *one->names);
    assert_memory_equal(one->rank, other->rank, one->n * sizeof *one->rank);
}

/* Whatever changed, and however often: what comes of the earlier graph is the graph made anew, ranks included. */
static void patched_is_anew(void **state)
{
    enum { ROUNDS = 150 };
    struct place place;
    char name[32];
    uint32_t seed = 7;
    int n_patched = 0;
    (void)state;
    place_make(&place);
    for (uint32_t i = 0; i < 60; i++) {
        source_name(i, name);
        write_source(&place, name, &seed);
    }
    refresh(&place);
    struct map_graph old, anew, patched;
    assert_int_equal(map_graph_nodes(place.index, &old, NULL), STATUS_OK);
    assert_int_equal(map_graph_build(place.index, &old, NULL, NULL), STATUS_OK);
    assert_true(old.first_edge[old.n] > 100 && old.first_name[old.n] > 50);
    for (int round = 0; round < ROUNDS; round++) {
        bool is_patched = false;
        for (uint32_t n = 1 + random_below(&seed, 3); n; n--)
            change_something(&place, &seed);
        refresh(&place);
        assert_int_equal(map_graph_nodes(place.index, &anew, NULL), STATUS_OK);
        assert_int_equal(map_graph_build(place.index, &anew, NULL, NULL), STATUS_OK);
        assert_int_equal(map_graph_nodes(place.index, &patched, NULL), STATUS_OK);
        assert_int_equal(map_graph_patch(place.index, &patched, &old, NULL, &is_patched, NULL), STATUS_OK);
        if (is_patched)
            assert_same_graph(&anew, &patched);
        n_patched += is_patched;
        map_graph_deinit(&old);
        old = is_patched ? patched : anew;
        map_graph_deinit(is_patched ? &anew : &patched);
    }
    assert_true(n_patched > ROUNDS / 2);
    map_graph_deinit(&old);
    place_end(&place);
}

/* An index that was made anew numbers its contents otherwise: the map is the same. */
static void numbers_do_not_matter(void **state)
{
    struct place place;
    char name[32];
    uint32_t seed = 3;
    (void)state;
    place_make(&place);
    for (uint32_t i = 60; i; i--) { /* one at a time, the last first */
        source_name(i - 1, name);
        write_source(&place, name, &seed);
        if (i % 5 == 0)
            refresh(&place);
    }
    refresh(&place);
    const struct map_request request = {.budget = 700};
    struct map_graph grown, fresh;
    assert_int_equal(map_graph_nodes(place.index, &grown, NULL), STATUS_OK);
    assert_int_equal(map_graph_build(place.index, &grown, NULL, NULL), STATUS_OK);
    char *text = text_of(&place, &request);
    index_close(place.index);
    fixture_run(place.folder, "rm -f cache/*");
    assert_int_equal(index_open(place.cache, repo_root(place.repo), &place.index, NULL), STATUS_OK);
    refresh(&place);
    assert_int_equal(map_graph_nodes(place.index, &fresh, NULL), STATUS_OK);
    assert_int_equal(map_graph_build(place.index, &fresh, NULL, NULL), STATUS_OK);
    assert_same_graph(&grown, &fresh);
    char *again = text_of(&place, &request);
    assert_string_equal(text, again);
    free(text);
    free(again);
    map_graph_deinit(&grown);
    map_graph_deinit(&fresh);
    place_end(&place);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(never_exceeds_its_budget), cmocka_unit_test(passes_on_a_failed_count),
        cmocka_unit_test(ranks_what_is_used_first), cmocka_unit_test(follows_what_is_asked_for),
        cmocka_unit_test(trusts_no_saved_graph),    cmocka_unit_test(follows_changes),
        cmocka_unit_test(patched_is_anew),          cmocka_unit_test(numbers_do_not_matter),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
