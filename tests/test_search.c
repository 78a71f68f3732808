/* Tests of repo/search*: queries, BM25 against a plain computation of the same formula, names by letters in order, scans
 * against memmem, filters, and what hostile files and queries do. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <ftw.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <sys/stat.h>
#include <unistd.h>

#include "repo/search_private.h"

static char base[] = "/tmp/fathom-search-XXXXXX", root[64], cache[64];
static struct languages *languages;
static struct repo *repo;
static struct index *index_;

static int remove_one(const char *path, const struct stat *about, int kind, struct FTW *walk)
{
    (void)about;
    (void)kind;
    (void)walk;
    return remove(path);
}

static int set_up(void **state)
{
    (void)state;
    strcpy(base, "/tmp/fathom-search-XXXXXX");
    if (!mkdtemp(base))
        return -1;
    snprintf(root, sizeof root, "%s/root", base);
    snprintf(cache, sizeof cache, "%s/cache", base);
    if (mkdir(root, 0700) || mkdir(cache, 0700) || repo_open(root, &repo, NULL) != STATUS_OK)
        return -1;
    return index_open(cache, root, &index_, NULL) == STATUS_OK ? 0 : -1;
}

static int tear_down(void **state)
{
    (void)state;
    index_close(index_);
    repo_free(repo);
    return nftw(base, remove_one, 16, FTW_DEPTH | FTW_PHYS);
}

static void write_bytes(const char *path, const char *text, size_t size)
{
    char full[512];
    snprintf(full, sizeof full, "%s/%s", root, path);
    for (char *slash = full + strlen(root) + 1; (slash = strchr(slash, '/')); slash++) {
        *slash = 0;
        mkdir(full, 0700);
        *slash = '/';
    }
    FILE *file = fopen(full, "wb");
    assert_non_null(file);
    assert_int_equal(fwrite(text, 1, size, file), size);
    assert_int_equal(fclose(file), 0);
}

static void write_file(const char *path, const char *text)
{
    write_bytes(path, text, strlen(text));
}

static void refresh(void)
{
    struct index_options options = {.languages = languages, .n_threads = 2};
    struct index_report report;
    struct error error = {0};
    if (index_refresh(index_, repo, &options, &report, &error) != STATUS_OK)
        fail_msg("%s", error.text);
}

static struct search_results run(struct search_options options)
{
    struct search_results results;
    struct error error = {0};
    if (search_run(index_, repo, &options, &results, &error) != STATUS_OK)
        fail_msg("%s: %s", options.query, error.text);
    return results;
}

static void refuses(const char *query, const char *part)
{
    struct search_options options = {.query = query};
    struct search_results results;
    struct error error = {0};
    assert_int_equal(search_run(index_, repo, &options, &results, &error), STATUS_ARGUMENT);
    assert_non_null(strstr(error.text, part));
    assert_int_equal(results.n, 0);
    search_results_deinit(&results);
}

static void queries_are_parsed(void **state)
{
    (void)state;
    struct arena arena = {0};
    struct search_query query;
    assert_int_equal(
        search_parse("get_page  \"a b\" /x\\/y+/ path:mm path:*.c lang:py kind:function kind:text a/b \"open", &arena,
                     &query, NULL),
        STATUS_OK);
    static const char *const words[] = {"get_page", "a", "b", "a", "b", "open"};
    assert_int_equal(query.n_words, 6);
    for (int i = 0; i < 6; i++)
        assert_true(slice_equals(query.words[i], words[i]));
    assert_int_equal(query.n_phrases, 1);
    assert_true(slice_equals(query.phrases[0], "a b"));
    assert_int_equal(query.n_expressions, 1);
    assert_true(slice_equals(query.expressions[0], "x\\/y+"));
    assert_int_equal(query.n_paths, 2);
    assert_int_equal(query.n_languages, 1);
    assert_string_equal(language_name(query.languages[0]), "python");
    assert_int_equal(query.kinds, 1u << TAG_FUNCTION);
    assert_true(query.wants_text);
    assert_true(search_path_fits(&query, "a/mm/b.h", 8));
    assert_true(search_path_fits(&query, "x/y.c", 5));
    assert_false(search_path_fits(&query, "x/y.h", 5));
    arena_deinit(&arena);
    refuses("", "no word");
    refuses("  ...  ", "no word");
    refuses("kind:nonsense x", "kind:nonsense");
    refuses("lang:nonsense x", "lang:nonsense");
    refuses("def:", "def:");
    refuses("/a(/", "a(");
    refuses("a b c d e f g h i j k l m n o p q r s t u v w x y z a b c d e f g h i", "too many");
    char *text = malloc(10000);
    memset(text, 'x', 9999);
    text[9999] = 0;
    refuses(text, "longer");
    free(text);
}

/* ---- BM25 ---- */

enum { N_FILES = 200, N_WORDS = 26, MOST = 60 };

/* One chunk a file: few lines of few words. */
static void texts_rank_by_bm25(void **state)
{
    (void)state;
    static int counts[N_FILES][N_WORDS], lengths[N_FILES];
    uint32_t seed = 5;
    memset(counts, 0, sizeof counts);
    for (int i = 0; i < N_FILES; i++) {
        struct buffer text = {0};
        char name[32];
        lengths[i] = 4 + i % MOST;
        for (int k = 0; k < lengths[i]; k++) {
            seed = seed * 1664525u + 1013904223u;
            int word = (int)((seed >> 8) % N_WORDS);
            word = word * word / N_WORDS;
            counts[i][word]++;
            buffer_printf(&text, "%sword%c", k % 8 ? " " : k ? "\n" : "", 'A' + word);
        }
        buffer_append_byte(&text, '\n');
        snprintf(name, sizeof name, "%03d.txt", i);
        write_bytes(name, text.data, text.size);
        buffer_deinit(&text);
    }
    refresh();
    /* Lengths are kept in fours. */
    double mean = 0;
    for (int i = 0; i < N_FILES; i++)
        mean += lengths[i] / 4;
    mean = mean / N_FILES + 1;
    static const int queries[][3] = {{0, 5, 9}, {18, 15, -1}, {3, -1, -1}, {24, 0, 12}};
    for (int q = 0; q < 4; q++) {
        struct buffer query = {0};
        double scores[N_FILES] = {0};
        int held[N_FILES] = {0}, n_words = 0, n_found = 0;
        for (int w = 0; w < 3 && queries[q][w] >= 0; w++, n_words++)
            buffer_printf(&query, "%sword%c", w ? " " : "", 'a' + queries[q][w]);
        for (int w = 0; w < n_words; w++) {
            int n = 0;
            for (int i = 0; i < N_FILES; i++)
                n += counts[i][queries[q][w]] > 0;
            double idf = log(1 + (N_FILES - n + 0.5) / (n + 0.5));
            for (int i = 0; i < N_FILES; i++) {
                int times = counts[i][queries[q][w]] < 4 ? counts[i][queries[q][w]] : 4;
                double norm = 1.2 * (0.4 + 0.6 * (lengths[i] / 4 + 1) / mean);
                scores[i] += idf * times * 2.2 / (times + norm);
                held[i] += times > 0;
            }
        }
        for (int i = 0; i < N_FILES; i++) {
            scores[i] *= 0.3 + 0.7 * held[i] / n_words;
            n_found += held[i] > 0;
        }
        struct search_results results =
            run((struct search_options){.query = buffer_text(&query), .max = 30, .rank = SEARCH_RANK_TEXT});
        assert_int_equal(results.n, n_found < 30 ? n_found : 30);
        double last = INFINITY;
        int n_better = 0;
        for (size_t i = 0; i < results.n; i++) {
            double score = scores[atoi(results.hits[i].path)];
            assert_true(score > 0 && score <= last * (1 + 1e-5)); /* floats are summed in there */
            last = score;
        }
        for (int i = 0; i < N_FILES; i++)
            n_better += scores[i] > last * (1 + 1e-5);
        assert_true(n_better <= (int)results.n);
        search_results_deinit(&results);
        buffer_deinit(&query);
    }
}

/* ---- symbols ---- */

static void names_are_found_by_letters(void **state)
{
    (void)state;
    static const char text[] =
        "int get_user_pages(void);\nint get_user_pages_fast(int x)\n{\n    return x;\n}\n"
        "int GetUserPages(int x)\n{\n    return x;\n}\nint gasp_upper(int y)\n{\n    return y;\n}\n"
        "#define GUP_LIMIT 4\nint unrelated(int y)\n{\n    return y;\n}\n";
    write_file("mm.c", text);
    refresh();
    static const char *const cases[][2] = {
        {"get_user_pages_fast", "get_user_pages_fast"},
        {"getuserpages", "GetUserPages"},
        {"GetUserPages", "GetUserPages"},
        {"gupf", "get_user_pages_fast"},
        {"getupf", "get_user_pages_fast"},
        {"gup_l", "GUP_LIMIT"},
        {"gasp", "gasp_upper"},
        {"get user pages fast", "get_user_pages_fast"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct search_results results = run((struct search_options){.query = cases[i][0]});
        assert_true(results.n > 0);
        assert_string_equal(results.hits[0].name, cases[i][1]);
        for (size_t k = 0; k + 1 < results.n; k++) {
            assert_true(results.hits[k].score >= results.hits[k + 1].score);
            assert_string_not_equal(results.hits[k].name, "unrelated");
        }
        search_results_deinit(&results);
    }
    struct search_results results = run((struct search_options){.query = "def:get_user_pages"});
    assert_int_equal(results.n, 1);
    assert_string_equal(results.hits[0].kind, "prototype");
    assert_int_equal(results.hits[0].line, 1);
    assert_string_equal(results.hits[0].text, "int get_user_pages(void);\n");
    search_results_deinit(&results);
}

/* ---- scans ---- */

static void scans_find_every_line(void **state)
{
    (void)state;
    uint32_t seed = 9;
    struct buffer texts[30] = {0};
    for (int i = 0; i < 30; i++) {
        char name[32];
        for (int k = 0; k < 200; k++) {
            seed = seed * 1664525u + 1013904223u;
            buffer_printf(&texts[i], "%s%s", (const char *[]){"foo", "bar", "(x)", "foo bar"}[(seed >> 9) % 4],
                          (seed >> 20) % 9 ? " " : "\n");
        }
        snprintf(name, sizeof name, "d%d/%d.txt", i % 3, i);
        write_bytes(name, texts[i].data, texts[i].size);
    }
    refresh();
    static const char *const phrases[] = {"foo bar foo", "(x) foo (x)", "bar\nfoo", "o b", "x) b", "absent thing here"};
    for (size_t p = 0; p < sizeof phrases / sizeof *phrases; p++) {
        struct buffer query = {0};
        size_t wanted = 0;
        for (int i = 0; i < 30; i++) {
            int of_file = 0;
            uint32_t line = 1, last = 0;
            for (const char *at = texts[i].data, *hit; (hit = strstr(at, phrases[p])) && of_file < 5;
                 at = hit + strlen(phrases[p])) {
                line = 1;
                for (const char *c = texts[i].data; c < hit; c++)
                    line += *c == '\n';
                of_file += line != last;
                last = line;
            }
            wanted += (size_t)of_file;
        }
        buffer_printf(&query, "\"%s\"", phrases[p]);
        struct search_results results = run((struct search_options){.query = buffer_text(&query), .max = 1000});
        assert_int_equal(results.n, wanted);
        assert_false(results.is_partial);
        for (size_t i = 0; i < results.n; i++)
            assert_non_null(strstr(results.hits[i].text, strchr(phrases[p], '\n') ? "bar\nfoo" : phrases[p]));
        search_results_deinit(&results);
        buffer_deinit(&query);
    }
    struct search_results results = run((struct search_options){.query = "/^foo .*\\(x\\)$/ path:d1/", .max = 1000});
    assert_true(results.n > 0);
    for (size_t i = 0; i < results.n; i++) {
        assert_int_equal(memcmp(results.hits[i].path, "d1/", 3), 0);
        assert_int_equal(memcmp(results.hits[i].text, "foo ", 4), 0);
    }
    search_results_deinit(&results);
    results = run((struct search_options){.query = "/(o+)+(r+)+$/"}); /* bounded, whatever it finds */
    search_results_deinit(&results);
    for (int i = 0; i < 30; i++)
        buffer_deinit(&texts[i]);
}

/* ---- what isn't as it was, or isn't text ---- */

static void changed_files_show_no_wrong_text(void **state)
{
    (void)state;
    write_file("a.c", "int first_name;\nint second_name;\n");
    write_file("b.c", "int third_name;\n");
    refresh();
    write_file("a.c", "something else entirely\n");
    struct search_results results = run((struct search_options){.query = "def:second_name"});
    assert_int_equal(results.n, 1);
    assert_int_equal(results.hits[0].line, 2);
    assert_string_equal(results.hits[0].text, "");
    search_results_deinit(&results);
    char path[128];
    snprintf(path, sizeof path, "%s/a.c", root);
    assert_int_equal(unlink(path), 0);
    assert_int_equal(symlink("/etc/passwd", path), 0);
    results = run((struct search_options){.query = "def:second_name"});
    assert_string_equal(results.hits[0].text, "");
    search_results_deinit(&results);
    results = run((struct search_options){.query = "\"root:\""});
    assert_int_equal(results.n, 0);
    search_results_deinit(&results);
}

static void pending_changes_and_near_files_come_first(void **state)
{
    (void)state;
    static const char text[] = "int setup_device(int x)\n{\n    return x;\n}\n";
    char name[32];
    for (int i = 0; i < 9; i++) {
        snprintf(name, sizeof name, "dir%d/dev.c", i);
        write_file(name, text);
        snprintf(name, sizeof name, "dir%d/other.c", i);
        write_file(name, "int x;\n");
    }
    refresh();
    for (int i = 0; i < 9; i++) {
        snprintf(name, sizeof name, "dir%d/other.c", i);
        struct index_place place = {name, 1};
        struct search_results results = run((struct search_options){.query = "setup_device", .near = &place});
        assert_true(results.n > 0);
        assert_int_equal(memcmp(results.hits[0].path, name, 5), 0);
        search_results_deinit(&results);
    }
    write_file("dir7/dev.c", "int setup_device(int y)\n{\n    return y;\n}\n"); /* of its own content */
    refresh();
    struct repo_file file = {.path = "dir7/dev.c", .path_size = 10};
    struct repo_files changed = {&file, 1, {0}};
    struct search_results results = run((struct search_options){.query = "setup_device", .changed = &changed});
    assert_string_equal(results.hits[0].path, "dir7/dev.c");
    search_results_deinit(&results);
}

/* What was edited since it was indexed first comes before its equals for some hours, and many files at once are no edit. */
static void recent_edits_come_first(void **state)
{
    (void)state;
    char name[32], text[64];
    struct timespec now;
    for (int i = 0; i < 100; i++) {
        snprintf(name, sizeof name, "dir%02d/dev.c", i);
        snprintf(text, sizeof text, "int setup_device(int x)\n{\n    return x;\n}\nint n%d;\n", i + 100);
        write_file(name, text);
    }
    refresh();
    struct search_results results = run((struct search_options){.query = "setup_device"});
    assert_string_not_equal(results.hits[0].path, "dir57/dev.c");
    search_results_deinit(&results);
    write_file("dir57/dev.c", "int setup_device(int x)\n{\n    return x;\n}\nint n999;\n");
    refresh();
    assert_int_equal(clock_gettime(CLOCK_REALTIME, &now), 0);
    const int64_t second = 1000000000, now_ns = now.tv_sec * second + now.tv_nsec;
    static const char *const queries[] = {"setup_device", "setup device", "def:setup_device", "setup_dev"};
    for (size_t i = 0; i < sizeof queries / sizeof *queries; i++) {
        results = run((struct search_options){.query = queries[i]});
        assert_string_equal(results.hits[0].path, "dir57/dev.c");
        search_results_deinit(&results);
        results = run((struct search_options){.query = queries[i], .now_ns = now_ns + 24 * 3600 * second});
        assert_string_not_equal(results.hits[0].path, "dir57/dev.c");
        search_results_deinit(&results);
        for (int rank = SEARCH_RANK_FLAT; rank <= SEARCH_RANK_NEAR; rank++) {
            if (rank == SEARCH_RANK_TEXT)
                continue; /* its order is that of words alone */
            results = run((struct search_options){.query = queries[i], .rank = (enum search_rank)rank});
            assert_string_not_equal(results.hits[0].path, "dir57/dev.c");
            search_results_deinit(&results);
        }
    }
    for (int i = 0; i < 100; i++) { /* a checkout */
        snprintf(name, sizeof name, "dir%02d/dev.c", i);
        snprintf(text, sizeof text, "int setup_device(int x)\n{\n    return x;\n}\nint n%d;\n", i + 300);
        write_file(name, text);
    }
    refresh();
    results = run((struct search_options){.query = "setup_device"});
    assert_string_equal(results.hits[0].path, "dir57/dev.c"); /* still: that it was typed stays known */
    for (size_t i = 1; i < results.n; i++)
        assert_true(results.hits[i].score < results.hits[0].score);
    search_results_deinit(&results);
}

/* Of several things of one name: not the one within a function, rather the one that others import or declare. */
static void what_others_can_mean_comes_first(void **state)
{
    (void)state;
    write_file("aside/check_it.py", "def check():\n    def render_page():\n        pass\n    return render_page\n");
    write_file("lib/page.py",
               "import os\n\n\ndef render_page(page, folder, options):\n    return os.path.join(folder, page, "
               "str(options))\n");
    write_file("bin/main.py", "from lib.page import render_page\n\nrender_page(1, 2, 3)\n");
    write_file("aside/fake.c", "#include \"../src/engine.h\"\nint engine_start(void)\n{\n    return 0;\n}\n");
    write_file("src/engine.h", "int engine_start(void);\n");
    write_file("src/engine_two.c",
               "#include \"engine.h\"\nint engine_start(void)\n{\n    int n = 0;\n    for (int i = 0; i < "
               "10; i++)\n        n += i;\n    return n;\n}\n");
    refresh();
    struct search_results results = run((struct search_options){.query = "render_page"});
    assert_string_equal(results.hits[0].path, "lib/page.py");
    search_results_deinit(&results);
    results = run((struct search_options){.query = "engine_start"});
    assert_string_equal(results.hits[0].path, "src/engine_two.c");
    search_results_deinit(&results);
}

static void an_empty_index_finds_nothing(void **state)
{
    (void)state;
    static const char *const queries[] = {"word", "\"phrase of it\"", "/x/", "def:x", "ref:x", "x path:y", "x lang:c"};
    for (int turn = 0; turn < 2; turn++) {
        for (size_t i = 0; i < sizeof queries / sizeof *queries; i++) {
            struct search_results results = run((struct search_options){.query = queries[i]});
            assert_int_equal(results.n, 0);
            search_results_deinit(&results);
        }
        refresh();
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(queries_are_parsed, set_up, tear_down),
        cmocka_unit_test_setup_teardown(texts_rank_by_bm25, set_up, tear_down),
        cmocka_unit_test_setup_teardown(names_are_found_by_letters, set_up, tear_down),
        cmocka_unit_test_setup_teardown(scans_find_every_line, set_up, tear_down),
        cmocka_unit_test_setup_teardown(changed_files_show_no_wrong_text, set_up, tear_down),
        cmocka_unit_test_setup_teardown(pending_changes_and_near_files_come_first, set_up, tear_down),
        cmocka_unit_test_setup_teardown(recent_edits_come_first, set_up, tear_down),
        cmocka_unit_test_setup_teardown(what_others_can_mean_comes_first, set_up, tear_down),
        cmocka_unit_test_setup_teardown(an_empty_index_finds_nothing, set_up, tear_down),
    };
    const char *grammars[] = {"build/lib", NULL}, *tags[] = {"assets/tags", NULL};
    if (languages_new(grammars, tags, &languages, NULL) != STATUS_OK)
        return 2;
    int failed = cmocka_run_group_tests(tests, NULL, NULL);
    languages_free(languages);
    return failed;
}
