/* Reviews by a scripted model: what it says wrongly is dropped and counted, what it says once is kept, what is dismissed stays so,
 * and secrets never come before it. */
#include "tests/command_fixture.h"

#include <dirent.h>
#include <math.h>
#include <stdio.h>
#include <sys/stat.h>

#include "app/json_read.h"
#include "app/review_private.h"

static char kept_folder[64];

/* Two hunks of one file. */
static const char two_hunks[] =
    "--- a/src/sum.c\n+++ b/src/sum.c\n"
    "@@ -1,3 +1,4 @@\n int sum(int n)\n {\n-    return n;\n+    int total = add(n);\n+    return "
    "total;\n }\n"
    "@@ -20,2 +21,3 @@\n int last(void)\n+{ return helper(7); }\n end\n";
static const char one_hunk[] =
    "--- a/src/sum.c\n+++ b/src/sum.c\n"
    "@@ -1,3 +1,4 @@\n int sum(int n)\n {\n-    return n;\n+    int total = add(n);\n+    return "
    "total;\n }\n";

#define SAID(severity, line, end, title, detail, symbols)                                                              \
    "{\"severity\":\"" severity "\",\"line\":" #line ",\"end_line\":" #end ",\"title\":\"" title                       \
    "\",\"detail\":\"" detail "\",\"symbols\":[" symbols "]}"

/* ---- running it ---- */

struct reviewed {
    struct diff *diff;
    struct engine *engine;
    struct review_result result;
};

static struct review_request request_of(struct reviewed *reviewed, const char *diff)
{
    struct error error;
    struct engine_options options = {.model_path = model_path};
    assert_int_equal(diff_parse(diff, strlen(diff), &reviewed->diff, &error), STATUS_OK);
    assert_int_equal(engine_open(&options, &reviewed->engine, &error), STATUS_OK);
    return (struct review_request){.diff = reviewed->diff,
                                   .engine = reviewed->engine,
                                   .sampling = sampler_options_default(),
                                   .budget = 4000,
                                   .n_predict = 2000,
                                   .session = {.n_ctx = 8000, .cancel = &cancel},
                                   .cancel = &cancel};
}

static void run_request(struct reviewed *reviewed, const struct review_request *request)
{
    struct error error = {0};
    assert_int_equal(review_run(request, &reviewed->result, &error), STATUS_OK);
}

static struct reviewed review_by(const char *diff, const char *const *answers, size_t n)
{
    struct reviewed reviewed = {0};
    struct review_request request = request_of(&reviewed, diff);
    fake_engine.answers = answers;
    fake_engine.n_answers = n;
    fake_engine.n_syncs = 0;
    request.kept_folder = *kept_folder ? kept_folder : NULL;
    run_request(&reviewed, &request);
    return reviewed;
}

static struct reviewed review_one(const char *answer)
{
    return review_by(one_hunk, &answer, 1);
}

static void free_reviewed(struct reviewed *reviewed)
{
    review_result_deinit(&reviewed->result);
    diff_free(reviewed->diff);
    engine_close(reviewed->engine);
}

static void expect_counts(const char *answer, size_t n_findings, enum review_drop drop, size_t n_dropped)
{
    struct reviewed reviewed = review_one(answer);
    assert_int_equal(reviewed.result.n_findings, n_findings);
    for (int i = 0; i < REVIEW_N_DROPS; i++)
        assert_int_equal(reviewed.result.dropped[i], i == (int)drop ? n_dropped : 0);
    assert_int_equal(reviewed.result.n_read, 1);
    free_reviewed(&reviewed);
}

static int set_up(void **state)
{
    *kept_folder = 0;
    return reset(state);
}

/* ---- good answers ---- */

static void an_empty_list_is_good(void **state)
{
    (void)state;
    expect_counts("]}", 0, REVIEW_DROP_MALFORMED, 0);
}

static void a_finding_has_place_and_confidence(void **state)
{
    (void)state;
    struct reviewed reviewed =
        review_one(SAID("high", 3, 4, "total may overflow", "add(n) is unchecked", "\"add\",\"total\"") "]}");
    assert_int_equal(reviewed.result.n_findings, 1);
    const struct review_finding *finding = &reviewed.result.findings[0];
    assert_int_equal(finding->severity, REVIEW_HIGH);
    assert_int_equal(finding->line, 3);
    assert_int_equal(finding->end_line, 4);
    assert_false(finding->is_old);
    assert_string_equal(finding->title, "total may overflow");
    assert_string_equal(finding->detail, "add(n) is unchecked");
    assert_int_equal(strlen(finding->id), 16);
    /* The wanted byte has logit 10, each other word's first byte 0. */
    double opened = exp(10) / (exp(10) + 1), severe = exp(10) / (exp(10) + 3);
    assert_true(fabs(finding->confidence - opened * severe) < 1e-6);
    free_reviewed(&reviewed);
}

static void at_most_three_are_taken(void **state)
{
    (void)state;
    struct reviewed reviewed = review_one(
        SAID("low", 3, 3, "title one", "a", "\"sum\"") "," SAID("low", 3, 3, "title two", "b", "\"sum\"") "," SAID(
            "critical", 4, 4, "title three", "c", "\"sum\"") "," SAID("low", 3, 3, "title four", "d", "\"sum\"") "]}");
    assert_int_equal(reviewed.result.n_findings, 3);
    assert_string_equal(reviewed.result.findings[2].title, "title three");
    free_reviewed(&reviewed);
}

static void the_diff_is_read_once_for_all_hunks(void **state)
{
    (void)state;
    struct reviewed reviewed = review_by(two_hunks,
                                         (const char *const[]){"", SAID("low", 3, 3, "first", "", "\"sum\"") "]}",
                                                               SAID("low", 22, 22, "second", "", "\"helper\"") "]}"},
                                         3);
    assert_int_equal(reviewed.result.n_findings, 2);
    assert_int_equal(reviewed.result.findings[0].hunk, 0);
    assert_int_equal(reviewed.result.findings[1].hunk, 1);
    assert_int_equal(reviewed.result.findings[1].line, 22);
    assert_int_equal(fake_engine.n_syncs, 3);
    assert_true(reviewed.result.n_reused > 400); /* the system's text and the change, of both prompts */
    free_reviewed(&reviewed);
}

/* ---- bad answers ---- */

static void what_is_wrong_is_dropped_and_counted(void **state)
{
    (void)state;
    /* Lines in their wrong order. */
    expect_counts(SAID("low", 4, 3, "title", "", "\"sum\"") "]}", 0, REVIEW_DROP_RANGE, 1);
    expect_counts(SAID("low", 3, 3, "title", "", "\"1.1.1\"") "]}", 0, REVIEW_DROP_SYMBOL, 1);
    /* A name that is nowhere: among the symbols, as a word of a path, in backquotes, as a call. */
    expect_counts(SAID("low", 3, 3, "title", "", "\"subtract\"") "]}", 0, REVIEW_DROP_SYMBOL, 1);
    expect_counts(SAID("low", 3, 3, "title", "", "\"total.subtract\"") "]}", 0, REVIEW_DROP_SYMBOL, 1);
    expect_counts(SAID("low", 3, 3, "title", "call `subtract` instead", "\"sum\"") "]}", 0, REVIEW_DROP_SYMBOL, 1);
    expect_counts(SAID("low", 3, 3, "subtract() is missing", "", "\"sum\"") "]}", 0, REVIEW_DROP_SYMBOL, 1);
    expect_counts(SAID("low", 3, 3, "title", "`add` and sum() and (n) are known", "\"sum\"") "]}", 1,
                  REVIEW_DROP_SYMBOL, 0);
    /* The same twice, written otherwise. */
    expect_counts(SAID("low", 3, 3, "Total overflows", "a", "\"sum\"") "," SAID("high", 4, 4, "total OVERFLOWS!", "b",
                                                                                "\"sum\"") "]}",
                  1, REVIEW_DROP_DUPLICATE, 1);
    expect_counts(
        SAID("low", 3, 3, "one thing", "why", "\"sum\"") "," SAID("low", 3, 3, "another", "why", "\"sum\"") "]}", 1,
        REVIEW_DROP_DUPLICATE, 1);
    /* A title without a word. */
    expect_counts(SAID("low", 3, 3, "....", "", "\"sum\"") "]}", 0, REVIEW_DROP_MALFORMED, 1);
}

static void lines_outside_are_impossible(void **state)
{
    (void)state;
    /* The grammar holds the model to the hunk's lines, 1 to 5: "99" can't be said. */
    struct reviewed reviewed = review_one(SAID("low", 99, 99, "title", "", "\"sum\"") "]}");
    for (size_t i = 0; i < reviewed.result.n_findings; i++)
        assert_in_range(reviewed.result.findings[i].line, 1, 5);
    free_reviewed(&reviewed);
}

static void an_answer_cut_off_is_malformed(void **state)
{
    (void)state;
    struct reviewed reviewed = {0};
    struct review_request request = request_of(&reviewed, one_hunk);
    const char *answer =
        SAID("low", 3, 3, "title", "", "\"sum\"") "," SAID("low", 4, 4, "another title", "", "\"sum\"") "]}";
    fake_engine.answers = &answer;
    fake_engine.n_answers = 1;
    request.n_predict = (int64_t)strlen(SAID("low", 3, 3, "title", "", "\"sum\"")) + 50;
    run_request(&reviewed, &request);
    assert_int_equal(reviewed.result.n_findings, 1);
    assert_int_equal(reviewed.result.dropped[REVIEW_DROP_MALFORMED], 1);
    free_reviewed(&reviewed);
}

static void texts_of_all_kinds_are_judged(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        int drop; /* -1: right */
    } cases[] = {
        {SAID("low", 3, 3, "title", "", "\"sum\""), -1},
        {"{\"severity\":\"low\",\"line\":3,\"title\":\"no end, no detail\",\"symbols\":[\"sum\"]}", -1},
        {"{\"severity\":\"low\",\"line\":3,\"title\":\"no symbols\"}", REVIEW_DROP_MALFORMED},
        {SAID("low", 3, 3, "none of them", "", ""), REVIEW_DROP_MALFORMED},
        {"", REVIEW_DROP_MALFORMED},
        {"null", REVIEW_DROP_MALFORMED},
        {"[]", REVIEW_DROP_MALFORMED},
        {"{\"severity\":\"low\",\"line\":3,\"title\":\"cut", REVIEW_DROP_MALFORMED},
        {SAID("low", 3, 3, "title", "", "\"sum\"") "x", REVIEW_DROP_MALFORMED},
        {SAID("awful", 3, 3, "title", "", "\"sum\""), REVIEW_DROP_MALFORMED},
        {SAID("low", "3", 3, "title", "", "\"sum\""), REVIEW_DROP_MALFORMED},
        {SAID("low", 3.5, 4, "title", "", "\"sum\""), REVIEW_DROP_MALFORMED},
        {SAID("low", 3, null, "title", "", "\"sum\""), -1},
        {SAID("low", 3, 3, "", "", "\"sum\""), REVIEW_DROP_MALFORMED},
        {SAID("low", 3, 3, "title", "", "1"), REVIEW_DROP_MALFORMED},
        {SAID("low", 3, 3, "title", "", "\"a\",\"b\",\"c\",\"d\",\"e\""), REVIEW_DROP_MALFORMED},
        {"{\"line\":3,\"title\":\"no severity\"}", REVIEW_DROP_MALFORMED},
        {"{\"severity\":\"low\",\"title\":\"no line\"}", REVIEW_DROP_MALFORMED},
        {"{\"severity\":\"low\",\"line\":3}", REVIEW_DROP_MALFORMED},
        {"{\"severity\":\"low\",\"line\":3,\"title\":\"\\u0000\"}", REVIEW_DROP_MALFORMED},
        {SAID("low", 0, 3, "title", "", "\"sum\""), REVIEW_DROP_RANGE},
        {SAID("low", 1, 3, "title", "", "\"sum\""), REVIEW_DROP_RANGE},
        {SAID("low", 3, 6, "title", "", "\"sum\""), REVIEW_DROP_RANGE},
        {SAID("low", 4, 3, "title", "", "\"sum\""), REVIEW_DROP_RANGE},
        {SAID("low", -3, 3, "title", "", "\"sum\""), REVIEW_DROP_RANGE},
        {SAID("low", 3, 9007199254740991, "title", "", "\"sum\""), REVIEW_DROP_RANGE},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct arena arena = {0};
        struct review_said said;
        enum review_drop drop;
        enum status status = review_read_said(cases[i].text, strlen(cases[i].text), 2, 5, &arena, &said, &drop);
        assert_int_equal(status, cases[i].drop < 0 ? STATUS_OK : STATUS_FORMAT);
        if (cases[i].drop >= 0)
            assert_int_equal(drop, cases[i].drop);
        arena_deinit(&arena);
    }
}

static void long_titles_are_malformed(void **state)
{
    (void)state;
    struct arena arena = {0};
    struct review_said said;
    enum review_drop drop;
    for (int n = REVIEW_TITLE_MOST; n <= REVIEW_TITLE_MOST + 1; n++) {
        struct buffer text = {0};
        buffer_append_text(&text, "{\"severity\":\"low\",\"line\":2,\"symbols\":[\"x\"],\"title\":\"");
        for (int i = 0; i < n; i++)
            buffer_append_text(&text, "\xc3\xa9"); /* characters count, not bytes */
        buffer_append_text(&text, "\"}");
        assert_int_equal(review_read_said(text.data, text.size, 2, 5, &arena, &said, &drop),
                         n > REVIEW_TITLE_MOST ? STATUS_FORMAT : STATUS_OK);
        buffer_deinit(&text);
    }
    arena_deinit(&arena);
}

/* ---- what is kept ---- */

static void make_kept_folder(void)
{
    strcpy(kept_folder, "/tmp/fathom-review-XXXXXX");
    assert_non_null(mkdtemp(kept_folder));
}

static void remove_kept_folder(void)
{
    DIR *folder = opendir(kept_folder);
    assert_non_null(folder);
    for (struct dirent *entry; (entry = readdir(folder)) != NULL;)
        if (*entry->d_name != '.')
            assert_int_equal(unlinkat(dirfd(folder), entry->d_name, 0), 0);
    closedir(folder);
    assert_int_equal(rmdir(kept_folder), 0);
}

static void only_changed_hunks_are_read_again(void **state)
{
    (void)state;
    static const char moved[] =
        "--- a/src/sum.c\n+++ b/src/sum.c\n"
        "@@ -11,3 +15,4 @@\n int sum(int n)\n {\n-    return n;\n+    int total = add(n);\n+    "
        "return total;\n }\n";
    const char *first =
        SAID("high", 3, 4, "total overflows", "", "\"sum\"") "," SAID("low", 3, 3, "unknown()", "", "\"sum\"") "]}";
    const char *other = "]}";
    make_kept_folder();
    struct reviewed a = review_by(one_hunk, &first, 1), b = review_by(one_hunk, &other, 1),
                    c = review_by(moved, &other, 1);
    fake_engine.key = "another model";
    struct reviewed d = review_by(one_hunk, &other, 1);
    fake_engine.key = NULL;
    assert_int_equal(a.result.n_read, 1);
    assert_int_equal(b.result.n_kept, 1);
    assert_int_equal(b.result.n_read, 0);
    assert_int_equal(b.result.n_answered, 0);
    assert_int_equal(b.result.n_findings, 1);
    assert_int_equal(b.result.dropped[REVIEW_DROP_SYMBOL], 1);
    assert_string_equal(b.result.findings[0].id, a.result.findings[0].id);
    assert_true(fabs(b.result.findings[0].confidence - a.result.findings[0].confidence) < 1e-6);
    /* The same hunk somewhere else: the same finding, on its lines. */
    assert_int_equal(c.result.n_kept, 1);
    assert_string_equal(c.result.findings[0].id, a.result.findings[0].id);
    assert_int_equal(c.result.findings[0].line, 17);
    assert_int_equal(c.result.findings[0].end_line, 18);
    assert_int_equal(d.result.n_read, 1);
    assert_int_equal(d.result.n_findings, 0);
    free_reviewed(&a);
    free_reviewed(&b);
    free_reviewed(&c);
    free_reviewed(&d);
    remove_kept_folder();
}

static void damaged_files_are_read_anew(void **state)
{
    (void)state;
    static const char *const texts[] = {"",
                                        "{",
                                        "{}",
                                        "[]",
                                        "{\"findings\":[[2,{}]]}",
                                        "{\"findings\":[[0.5]]}",
                                        "{\"findings\":[1]}",
                                        "{\"findings\":[[0.1,{}],[0.1,{}],[0.1,{}],[0.1,{}]]}"};
    const char *answer = SAID("low", 3, 3, "title", "", "\"sum\"") "]}";
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++) {
        make_kept_folder();
        struct reviewed first = review_by(one_hunk, &answer, 1);
        free_reviewed(&first);
        DIR *folder = opendir(kept_folder);
        for (struct dirent *entry; (entry = readdir(folder)) != NULL;) {
            char path[512];
            if (*entry->d_name == '.')
                continue;
            snprintf(path, sizeof path, "%s/%s", kept_folder, entry->d_name);
            FILE *file = fopen(path, "we");
            fputs(texts[i], file);
            fclose(file);
        }
        closedir(folder);
        struct reviewed again = review_by(one_hunk, &answer, 1);
        assert_int_equal(again.result.n_read, 1);
        assert_int_equal(again.result.n_findings, 1);
        free_reviewed(&again);
        remove_kept_folder();
    }
}

static void a_dismissed_finding_stays_so(void **state)
{
    (void)state;
    struct error error;
    const char *answer = SAID("high", 3, 4, "total overflows", "", "\"sum\"") "]}";
    make_kept_folder();
    struct reviewed a = review_by(one_hunk, &answer, 1);
    assert_int_equal(review_dismiss(kept_folder, "nonsense", &error), STATUS_ARGUMENT);
    assert_int_equal(review_dismiss(kept_folder, "../../../../etc", &error), STATUS_ARGUMENT);
    assert_int_equal(review_dismiss(kept_folder, a.result.findings[0].id, &error), STATUS_OK);
    fake_engine.key = "another model";
    struct reviewed b = review_by(one_hunk, &answer, 1);
    fake_engine.key = NULL;
    assert_int_equal(b.result.n_read, 1);
    assert_int_equal(b.result.n_findings, 0);
    assert_int_equal(b.result.n_dismissed, 1);
    free_reviewed(&a);
    free_reviewed(&b);
    remove_kept_folder();
}

/* ---- interruptions, secrets, sides ---- */

static void stop_at_150(size_t n)
{
    if (n == 150)
        atomic_store(&cancel, true);
}

static void an_interruption_gives_what_there_is(void **state)
{
    (void)state;
    fake_engine.on_append = stop_at_150;
    struct reviewed reviewed = review_one(SAID("low", 3, 3, "title", "", "\"sum\"") "," SAID(
        "low", 4, 4, "another title", "that is long", "\"sum\"") "]}");
    assert_true(reviewed.result.is_interrupted);
    assert_int_equal(reviewed.result.n_findings, 1);
    assert_int_equal(reviewed.result.n_read, 0);
    assert_int_equal(reviewed.result.hunks[0].state, REVIEW_UNREAD);
    free_reviewed(&reviewed);
}

static size_t n_seen;
static void look_for_secret(size_t done)
{
    (void)done;
    struct buffer text = {0};
    for (size_t i = 0; i < fake_engine.last_sync.n; i++)
        if (fake_engine.last_sync.ids[i] < 256)
            buffer_append_byte(&text, (char)fake_engine.last_sync.ids[i]);
    n_seen += strstr(buffer_text(&text), "hunter2") != NULL;
    buffer_deinit(&text);
}

static void secrets_never_come_before_the_model(void **state)
{
    (void)state;
    static const char diff[] = "--- a/.env\n+++ b/.env\n@@ -1 +1 @@\n-PASSWORD=old\n+PASSWORD=hunter2\n"
                               "--- a/b.c\n+++ b/b.c\n@@ -1 +1,2 @@\n int b;\n+int c;\n";
    struct reviewed reviewed = {0};
    struct review_request request = request_of(&reviewed, diff);
    const char *answer = "]}";
    fake_engine.answers = &answer;
    fake_engine.n_answers = 1;
    fake_engine.on_slice = look_for_secret;
    n_seen = 0;
    run_request(&reviewed, &request);
    assert_int_equal(n_seen, 0);
    assert_int_equal(reviewed.result.hunks[0].state, REVIEW_SKIPPED);
    assert_string_equal(reviewed.result.hunks[0].why, "secret");
    assert_int_equal(reviewed.result.hunks[1].state, REVIEW_READ);
    for (size_t i = 0; i < reviewed.result.n_lines; i++)
        assert_int_equal(reviewed.result.lines[i].hunk, 1);
    review_result_deinit(&reviewed.result);
    request.asked = (const char *const[]){".env"};
    request.n_asked = 1;
    run_request(&reviewed, &request);
    assert_true(n_seen > 0);
    assert_int_equal(reviewed.result.n_skipped, 0);
    free_reviewed(&reviewed);
}

static void what_only_goes_has_lines_of_the_old_side(void **state)
{
    (void)state;
    static const char diff[] = "--- a/b.c\n+++ /dev/null\n@@ -1,2 +0,0 @@\n-int b;\n-int c;\n";
    const char *answer = SAID("low", 2, 2, "c is gone", "", "\"c\"") "]}";
    struct reviewed reviewed = review_by(diff, &answer, 1);
    assert_int_equal(reviewed.result.n_findings, 1);
    assert_true(reviewed.result.findings[0].is_old);
    assert_int_equal(reviewed.result.findings[0].line, 2);
    assert_int_equal(reviewed.result.n_lines, 0);
    assert_false(reviewed.result.hunks[0].has_surprise);
    free_reviewed(&reviewed);
}

static void unusual_lines_are_ranked(void **state)
{
    (void)state;
    struct reviewed reviewed = review_by(two_hunks, (const char *const[]){"]}"}, 1);
    const struct review_result *result = &reviewed.result;
    assert_int_equal(result->n_lines, 3);
    for (size_t i = 0; i < result->n_lines; i++) {
        assert_int_equal(result->lines[i].rank, i + 1);
        assert_int_equal(result->lines[i].n_rank, 3);
        assert_true(i == 0 || result->lines[i].surprise <= result->lines[i - 1].surprise);
        /* The scripted model holds the byte behind the last one for likely: mostly it is wrong, by ln(258 + e^10) */
        assert_true(result->lines[i].surprise > 5 && result->lines[i].surprise < 10.02);
        assert_true(isnan(result->lines[i].deleted) == (result->lines[i].hunk == 1));
        assert_int_equal(result->lines[i].n_tokens, reviewed.diff->lines[result->lines[i].at].text.size);
    }
    assert_true(result->hunks[0].has_surprise && result->hunks[1].has_surprise);
    free_reviewed(&reviewed);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(an_empty_list_is_good, set_up),
        cmocka_unit_test_setup(a_finding_has_place_and_confidence, set_up),
        cmocka_unit_test_setup(at_most_three_are_taken, set_up),
        cmocka_unit_test_setup(the_diff_is_read_once_for_all_hunks, set_up),
        cmocka_unit_test_setup(what_is_wrong_is_dropped_and_counted, set_up),
        cmocka_unit_test_setup(lines_outside_are_impossible, set_up),
        cmocka_unit_test_setup(an_answer_cut_off_is_malformed, set_up),
        cmocka_unit_test_setup(texts_of_all_kinds_are_judged, set_up),
        cmocka_unit_test_setup(long_titles_are_malformed, set_up),
        cmocka_unit_test_setup(only_changed_hunks_are_read_again, set_up),
        cmocka_unit_test_setup(damaged_files_are_read_anew, set_up),
        cmocka_unit_test_setup(a_dismissed_finding_stays_so, set_up),
        cmocka_unit_test_setup(an_interruption_gives_what_there_is, set_up),
        cmocka_unit_test_setup(secrets_never_come_before_the_model, set_up),
        cmocka_unit_test_setup(what_only_goes_has_lines_of_the_old_side, set_up),
        cmocka_unit_test_setup(unusual_lines_are_ranked, set_up),
    };
    int fd = mkstemp(model_path);
    if (fd < 0)
        return 1;
    close(fd);
    int failed = cmocka_run_group_tests(tests, NULL, reset);
    unlink(model_path);
    return failed;
}
