/* Tests of repo/index_tidy: segments stay few whatever the timing of the writer, whoever is cut off, and what is asked has
 * the same answers before and after a merge.  Truth is an index that was written in one batch. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <ftw.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "repo/index_store.h"
#include "repo/search.h"

enum { N_FILES = 90 };

static char base[] = "/tmp/fathom-merge-XXXXXX", root[64], cache[64];
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
    strcpy(base, "/tmp/fathom-merge-XXXXXX");
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

static uint32_t random_next(uint32_t *seed)
{
    *seed = *seed * 1664525u + 1013904223u;
    return *seed >> 8;
}

static void write_file(int i, uint32_t seed)
{
    char path[128];
    snprintf(path, sizeof path, "%s/file%02d.%s", root, i, i % 3 ? "c" : "txt");
    FILE *file = fopen(path, "w");
    assert_non_null(file);
    for (uint32_t n = random_next(&seed) % 20 + 1; n; n--)
        fprintf(file, "/* of word%u */\nint call_%u(int x)\n{\n    return call_%u(x) + LIMIT_%u;\n}\n",
                random_next(&seed) % 40, random_next(&seed) % 90, random_next(&seed) % 90, random_next(&seed) % 9);
    assert_int_equal(fclose(file), 0);
}

static void write_files(void)
{
    for (int i = 0; i < N_FILES; i++)
        write_file(i, (uint32_t)i * 7919u);
    usleep(100000); /* stamps of files that were just written aren't trusted, which would make more work later */
}

static size_t count_segments(struct index *index)
{
    const struct segment *segments;
    size_t n;
    assert_int_equal(segment_list(index->segments, &segments, &n, NULL), STATUS_OK);
    return n;
}

static enum status refresh(struct index_options options, const char *const *paths, size_t n)
{
    struct index_report report;
    struct error error = {0};
    options.languages = languages;
    options.n_threads = 1; /* so that contents have the same numbers each time */
    enum status status = paths ? index_refresh_paths(index_, repo, paths, n, &options, &report, &error)
                               : index_refresh(index_, repo, &options, &report, &error);
    if (status != STATUS_OK && status != STATUS_CANCELLED)
        fail_msg("%s", error.text);
    return status;
}

/* ---- everything that is asked, as one text; but for letters in order, which are looked for as long as there is time ---- */

static bool add_name(void *context, const struct index_name *name)
{
    struct buffer *out = context;
    buffer_printf(out, "%.*s:", (int)name->size, name->name);
    for (size_t i = 0; i < name->n_definers; i++)
        buffer_printf(out, " %u/%u", name->definers[i], name->kinds[i]);
    for (size_t i = 0; i < name->n_users; i++)
        buffer_printf(out, " %u*%u", name->users[i], name->weights[i]);
    buffer_append_byte(out, '\n');
    return true;
}

static bool add_reference(void *context, const struct index_reference *reference)
{
    buffer_printf(context, " %.*s:%u", (int)reference->path_size, reference->path, reference->line);
    return true;
}

static void add_search(struct buffer *out, const char *query)
{
    struct search_options options = {.query = query, .max = 50, .now_ns = 1};
    struct search_results results;
    struct error error = {0};
    if (search_run(index_, repo, &options, &results, &error) != STATUS_OK)
        fail_msg("%s: %s", query, error.text);
    buffer_printf(out, "%s\n", query);
    for (size_t i = 0; i < results.n; i++)
        buffer_printf(out, "  %s:%u-%u %s %s %.17g\n", results.hits[i].path, results.hits[i].line,
                      results.hits[i].end_line, results.hits[i].kind, results.hits[i].name, results.hits[i].score);
    search_results_deinit(&results);
}

static char *ask_everything(void)
{
    static const char *const queries[] = {"word7",       "word3 word9",  "call_12",    "call_5 LIMIT_3",
                                          "call",        "word",         "return",     "def:call_3",
                                          "ref:LIMIT_2", "\"of word1\"", "/word1\\d/", "limit path:file1"};
    struct buffer out = {0};
    assert_int_equal(index_each_name(index_, add_name, &out, NULL, NULL), STATUS_OK);
    for (size_t i = 0; i < sizeof queries / sizeof *queries; i++)
        add_search(&out, queries[i]);
    for (int i = 0; i < 90; i += 7) {
        struct index_definitions definitions;
        char name[16];
        snprintf(name, sizeof name, "call_%d", i);
        assert_int_equal(index_definitions(index_, name, NULL, 100, &definitions, NULL), STATUS_OK);
        for (size_t k = 0; k < definitions.n; k++)
            buffer_printf(&out, "%s %s:%u\n", name, definitions.items[k].path, definitions.items[k].line);
        index_definitions_deinit(&definitions);
        assert_int_equal(index_references(index_, name, NULL, add_reference, &out, NULL), STATUS_OK);
    }
    assert_true(out.size > 10000);
    char *text = strdup(buffer_text(&out));
    buffer_deinit(&out);
    return text;
}

/* Fails with the first line that differs; frees is. */
static void assert_same(char *is, const char *wanted)
{
    size_t at = 0, begin = 0;
    for (; is[at] && is[at] == wanted[at]; at++)
        if (is[at] == '\n')
            begin = at + 1;
    if (is[at] != wanted[at])
        fail_msg("%.*s\ninstead of\n%.*s", (int)strcspn(is + begin, "\n"), is + begin,
                 (int)strcspn(wanted + begin, "\n"), wanted + begin);
    free(is);
}

/* ---- the choice ---- */

/* Rows of sizes as a writer may leave them, however odd: the bound holds, and what is written again stays in proportion. */
static void any_row_of_sizes_ends_below_the_bound(void **state)
{
    (void)state;
    enum { N_KINDS = 6, N_WRITES = 3000 };
    static const double most_again[N_KINDS] = {6, 12, 6, 6, 8, 8};
    uint32_t seed = 1;
    for (int kind = 0; kind < N_KINDS; kind++) {
        struct segment segments[SEGMENTS_EVER + 3] = {{.n_bytes = kind == 1 ? 300u << 20 : 0}};
        uint64_t n_written = 0, n_again = 0;
        size_t n = kind == 1;
        for (int turn = 0; turn < N_WRITES; turn++) {
            uint64_t bytes = (uint64_t[]){27u << 20,
                                          2000 + random_next(&seed) % 80000,
                                          (uint64_t)1000 << random_next(&seed) % 15,
                                          turn % 2 ? 30u << 20 : 10000,
                                          (uint64_t)(300u << 20) >> turn % 20,
                                          (uint64_t)100 << turn % 20}[kind];
            segments[n++].n_bytes = bytes;
            n_written += bytes;
            enum tidy how = turn % 500 == 100 ? TIDY_PACK : TIDY_MERGE;
            for (struct merge it; (it = index_merge_choose(segments, n, how)).run > 0;) {
                assert_true(it.run >= 2 && it.first + it.run <= n);
                for (size_t i = it.first + 1; i < it.first + it.run; i++)
                    segments[it.first].n_bytes += segments[i].n_bytes;
                n_again += segments[it.first].n_bytes;
                n -= it.run - 1;
                for (size_t i = it.first + 1; i < n; i++)
                    segments[i] = segments[i + it.run - 1];
            }
            assert_true(n <= (how == TIDY_PACK ? SEGMENTS_PACKED : SEGMENTS_MOST));
        }
        if ((double)n_again > most_again[kind] * (double)n_written)
            fail_msg("kind %d: %.2f times", kind, (double)n_again / (double)n_written);
    }
    struct segment same[SEGMENTS_EVER + 1];
    for (size_t i = 0; i <= SEGMENTS_EVER; i++)
        same[i] = (struct segment){.n_bytes = 27u << 20};
    assert_int_equal(index_merge_choose(same, 0, TIDY_PACK).run, 0);
    assert_int_equal(index_merge_choose(same, SEGMENTS_PACKED, TIDY_PACK).run, 0);
    assert_int_equal(index_merge_choose(same, SEGMENTS_MOST, TIDY_COLLECT).run, 0);
    assert_int_equal(index_merge_choose(same, SEGMENTS_EVER, TIDY_BRIEF).run, 0);
    assert_true(index_merge_choose(same, SEGMENTS_EVER + 1, TIDY_BRIEF).run >= 2);
    assert_true(index_merge_choose(same, SEGMENTS_MOST + 1, TIDY_MERGE).run >= 2);
    same[4].n_bytes = same[5].n_bytes = 1 << 20;
    struct merge merge = index_merge_choose(same, SEGMENTS_PACKED + 1, TIDY_PACK);
    assert_true(merge.first == 4 && merge.run == 2);
}

/* ---- the index ---- */

static void look(void *context, const char *what, uint64_t done, uint64_t total)
{
    (void)what;
    (void)done;
    (void)total;
    assert_true(count_segments(context) <= SEGMENTS_MOST);
}

/* A batch may end after any file. */
static void segments_are_few_whatever_the_timing(void **state)
{
    (void)state;
    static const uint64_t batches[] = {1, 200000, 1000000, 4000000};
    write_files();
    assert_int_equal(refresh((struct index_options){0}, NULL, 0), STATUS_OK);
    assert_int_equal(count_segments(index_), 1);
    char *wanted = ask_everything();
    for (size_t i = 0; i < sizeof batches / sizeof *batches; i++) {
        struct index *other;
        assert_int_equal(index_make_anew(index_, NULL), STATUS_OK);
        assert_int_equal(index_open(cache, root, &other, NULL), STATUS_OK);
        struct index_options options = {.batch_ns = batches[i], .progress = look, .context = other};
        assert_int_equal(refresh(options, NULL, 0), STATUS_OK);
        size_t n = count_segments(index_);
        assert_true(n <= SEGMENTS_MOST && (i || n > 1));
        assert_same(ask_everything(), wanted);
        index_close(other);
    }
    free(wanted);
}

static void merges_change_no_answer(void **state)
{
    (void)state;
    uint32_t seed = 9;
    write_files();
    assert_int_equal(refresh((struct index_options){.batch_ns = 1}, NULL, 0), STATUS_OK);
    char *wanted = ask_everything();
    for (size_t n; (n = count_segments(index_)) > 1;) {
        size_t first = random_next(&seed) % (n - 1), run = 2 + random_next(&seed) % 2;
        if (run > n - first)
            run = n - first;
        assert_int_equal(segment_merge(index_->segments, first, run, NULL, NULL, NULL), STATUS_OK);
        assert_int_equal(count_segments(index_), n - run + 1);
        assert_same(ask_everything(), wanted);
    }
    free(wanted);
}

static void edits_leave_few(void **state)
{
    (void)state;
    write_files();
    assert_int_equal(refresh((struct index_options){.batch_ns = 1}, NULL, 0), STATUS_OK);
    for (int i = 0; i < 60; i++) {
        const char *path = "file01.c";
        write_file(1, (uint32_t)i * 31u);
        assert_int_equal(refresh((struct index_options){0}, &path, 1), STATUS_OK);
        assert_true(count_segments(index_) <= SEGMENTS_MOST); /* all are small */
    }
    char *is = ask_everything();
    assert_int_equal(refresh((struct index_options){0}, NULL, 0), STATUS_OK);
    assert_same(ask_everything(), is);
    free(is);
}

struct cut {
    atomic_bool *cancel;
    uint64_t after;
};

static void cut_off(void *context, const char *what, uint64_t done, uint64_t total)
{
    struct cut *cut = context;
    (void)what;
    (void)total;
    if (done >= cut->after)
        atomic_store(cut->cancel, true);
}

/* Runs that are cancelled keep what they did and merge nothing at their end; the next ones do. */
static void runs_that_are_cut_off_leave_few(void **state)
{
    (void)state;
    write_files();
    int n_cut = 0;
    enum status status = STATUS_CANCELLED;
    while (status == STATUS_CANCELLED) {
        atomic_bool cancel = false;
        struct cut cut = {&cancel, 2};
        status = refresh((struct index_options){.cancel = &cancel, .progress = cut_off, .context = &cut}, NULL, 0);
        n_cut += status == STATUS_CANCELLED;
        assert_true(n_cut <= N_FILES);
        assert_in_range(count_segments(index_), 0, SEGMENTS_MOST + 1);
    }
    assert_true(n_cut > SEGMENTS_EVER);
    assert_true(count_segments(index_) <= SEGMENTS_MOST);
    char *is = ask_everything();
    assert_int_equal(index_make_anew(index_, NULL), STATUS_OK);
    assert_int_equal(refresh((struct index_options){0}, NULL, 0), STATUS_OK);
    assert_same(ask_everything(), is);
    free(is);
}

/* One that is cancelled within leaves all as it was, and a refresh that finds nothing changed ends it. */
static void a_merge_that_is_cancelled_is_done_later(void **state)
{
    (void)state;
    write_files();
    assert_int_equal(refresh((struct index_options){.batch_ns = 1}, NULL, 0), STATUS_OK);
    for (int i = 0; count_segments(index_) <= SEGMENTS_MOST; i++) {
        atomic_bool cancel = false;
        struct cut cut = {&cancel, 1};
        write_file(1, (uint32_t)i);
        write_file(2, (uint32_t)i + 1000);
        refresh((struct index_options){.cancel = &cancel, .progress = cut_off, .context = &cut}, NULL, 0);
        assert_true(i < 2 * SEGMENTS_EVER);
    }
    size_t before = count_segments(index_);
    atomic_bool cancel = true;
    struct error error;
    char *wanted = ask_everything();
    assert_int_equal(index_tidy(index_, TIDY_MERGE, &cancel, &error), STATUS_CANCELLED);
    assert_int_equal(count_segments(index_), before);
    assert_same(ask_everything(), wanted);
    assert_int_equal(index_tidy(index_, TIDY_MERGE, NULL, NULL), STATUS_OK);
    assert_true(count_segments(index_) <= SEGMENTS_MOST);
    assert_same(ask_everything(), wanted);
    free(wanted);
}

/* Killed at 50 random moments of a run that commits after each file, so mostly in a transaction or a merge: what was
 * committed is kept, segments are few, and going on ends equal to a run that nobody disturbed. */
static void runs_that_are_killed_leave_few(void **state)
{
    (void)state;
    uint32_t seed = 11;
    int n_killed = 0, n_ended = 0;
    write_files();
    assert_int_equal(refresh((struct index_options){0}, NULL, 0), STATUS_OK);
    char *wanted = ask_everything();
    assert_int_equal(index_make_anew(index_, NULL), STATUS_OK);
    for (int turn = 0; turn < 50; turn++) {
        index_close(index_);
        pid_t child = fork();
        assert_true(child >= 0);
        if (child == 0) {
            struct index_report report;
            struct index_options options = {.languages = languages, .n_threads = 1, .batch_ns = 1};
            bool is_done = index_open(cache, root, &index_, NULL) == STATUS_OK &&
                           index_refresh(index_, repo, &options, &report, NULL) == STATUS_OK;
            _exit(is_done ? 0 : 1);
        }
        usleep(2000 + random_next(&seed) % 80000);
        kill(child, SIGKILL);
        int status;
        assert_int_equal(waitpid(child, &status, 0), child);
        assert_true(WIFSIGNALED(status) || WEXITSTATUS(status) == 0);
        n_killed += WIFSIGNALED(status);
        assert_int_equal(index_open(cache, root, &index_, NULL), STATUS_OK);
        assert_in_range(count_segments(index_), 0, SEGMENTS_EVER + 1);
        if (turn % 10 == 9 || !WIFSIGNALED(status)) {
            assert_int_equal(refresh((struct index_options){0}, NULL, 0), STATUS_OK);
            assert_in_range(count_segments(index_), 1, SEGMENTS_MOST);
            assert_same(ask_everything(), wanted);
            assert_int_equal(index_make_anew(index_, NULL), STATUS_OK);
            n_ended++;
        }
    }
    assert_true(n_killed >= 10 && n_ended >= 5);
    free(wanted);
}

/* A collection that was cut off after its first step: contents are gone, their postings aren't. */
static void a_collection_goes_on(void **state)
{
    (void)state;
    write_files();
    assert_int_equal(refresh((struct index_options){.batch_ns = 1}, NULL, 0), STATUS_OK);
    for (int i = 0; i < N_FILES; i += 2)
        write_file(i, (uint32_t)i + 5000);
    assert_int_equal(refresh((struct index_options){.batch_ns = 1}, NULL, 0), STATUS_OK);
    char *wanted = ask_everything();
    assert_int_equal(sqlite3_exec(index_->database,
                                  "DELETE FROM facts WHERE id NOT IN (SELECT content FROM files);"
                                  "DELETE FROM contents WHERE id NOT IN (SELECT content FROM files);"
                                  "INSERT INTO meta VALUES ('collected', 0);",
                                  NULL, NULL, NULL),
                     SQLITE_OK);
    uint64_t before = 0, after = 0;
    const struct segment *segments;
    size_t n;
    assert_int_equal(segment_list(index_->segments, &segments, &n, NULL), STATUS_OK);
    for (size_t i = 0; i < n; i++)
        before += segments[i].n_bytes;
    assert_int_equal(refresh((struct index_options){0}, NULL, 0), STATUS_OK); /* nothing has changed */
    assert_int_equal(segment_list(index_->segments, &segments, &n, NULL), STATUS_OK);
    for (size_t i = 0; i < n; i++)
        after += segments[i].n_bytes;
    assert_true(after < before * 4 / 5);
    sqlite3_stmt *row = index_statement(index_, INDEX_GET_META, NULL);
    sqlite3_bind_text(row, 1, "collected", -1, SQLITE_STATIC);
    assert_int_equal(sqlite3_step(row), SQLITE_DONE);
    sqlite3_reset(row);
    assert_int_equal(index_make_anew(index_, NULL), STATUS_OK);
    free(wanted);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(any_row_of_sizes_ends_below_the_bound),
        cmocka_unit_test_setup_teardown(segments_are_few_whatever_the_timing, set_up, tear_down),
        cmocka_unit_test_setup_teardown(merges_change_no_answer, set_up, tear_down),
        cmocka_unit_test_setup_teardown(edits_leave_few, set_up, tear_down),
        cmocka_unit_test_setup_teardown(runs_that_are_cut_off_leave_few, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_merge_that_is_cancelled_is_done_later, set_up, tear_down),
        cmocka_unit_test_setup_teardown(runs_that_are_killed_leave_few, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_collection_goes_on, set_up, tear_down),
    };
    const char *grammars[] = {"build/lib", NULL}, *tags[] = {"assets/tags", NULL};
    if (languages_new(grammars, tags, &languages, NULL) != STATUS_OK)
        return 2;
    int failed = cmocka_run_group_tests(tests, NULL, NULL);
    languages_free(languages);
    return failed;
}
