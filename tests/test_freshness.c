/* Tests of app/freshness: an index that is kept right by a thread, told of by a descriptor, stopped at any moment. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "app/freshness.h"
#include "tests/repo_fixture.h"

struct place {
    char folder[4096], cache[4200];
    struct languages *languages;
    struct settings settings;
};

static void place_make(struct place *place, int n_files)
{
    char script[512];
    fixture_make_folder(place->folder, sizeof place->folder);
    snprintf(script, sizeof script,
             "git init -q; mkdir cache; echo cache >.git/info/exclude; for i in $(seq %d); do printf \"int "
             "function_$i(void);\\n\" "
             ">f$i.c; done",
             n_files);
    fixture_run(place->folder, script);
    snprintf(place->cache, sizeof place->cache, "%s/cache", place->folder);
    const char *const grammars[] = {"build/lib", NULL}, *const queries[] = {"assets/tags", NULL};
    assert_int_equal(languages_new(grammars, queries, &place->languages, NULL), STATUS_OK);
    assert_int_equal(settings_init(&place->settings, NULL), STATUS_OK);
}

static void place_end(struct place *place)
{
    settings_deinit(&place->settings);
    languages_free(place->languages);
    fixture_remove_folder(place->folder);
}

static struct freshness *start(struct place *place)
{
    struct freshness *freshness;
    struct error error;
    if (freshness_start(&(struct freshness_options){.root = place->folder,
                                                    .cache_folder = place->cache,
                                                    .settings = &place->settings,
                                                    .languages = place->languages,
                                                    .n_threads = 2},
                        &freshness, &error) != STATUS_OK)
        fail_msg("%s", error.text);
    return freshness;
}

/* Waits until the thread has told of n refreshes that found something. */
static struct freshness_state wait_for(struct freshness *freshness, uint64_t n, uint64_t *n_changed)
{
    struct freshness_state state;
    do {
        struct pollfd fd = {.fd = freshness_fd(freshness), .events = POLLIN};
        if (poll(&fd, 1, 60000) != 1)
            fail_msg("no news");
        freshness_take(freshness, &state);
        *n_changed += state.n_changed;
        assert_int_equal(state.error.status, STATUS_OK);
    } while (state.n_refreshes < n || !state.has_whole);
    return state;
}

static bool is_known(struct place *place, const char *name)
{
    struct index *index;
    struct index_definitions found;
    assert_int_equal(index_open(place->cache, place->folder, &index, NULL), STATUS_OK);
    assert_int_equal(index_definitions(index, name, NULL, 1, &found, NULL), STATUS_OK);
    bool is_it = found.n == 1;
    index_definitions_deinit(&found);
    index_close(index);
    return is_it;
}

static void keeps_an_index_right(void **state)
{
    struct place place;
    uint64_t n_changed = 0;
    (void)state;
    place_make(&place, 20);
    struct freshness *freshness = start(&place);
    struct freshness_state now = wait_for(freshness, 1, &n_changed);
    assert_int_equal(now.whole.n_files, 20);
    assert_int_equal(n_changed, 20);
    assert_true(is_known(&place, "function_7"));
    for (int i = 0; i < 5; i++) {
        char script[128], name[32];
        snprintf(script, sizeof script, "printf 'int edited_%d(void);\\n' >f7.c", i);
        snprintf(name, sizeof name, "edited_%d", i);
        fixture_run(place.folder, script);
        now = wait_for(freshness, now.n_refreshes + 1, &n_changed);
        while (!is_known(&place, name)) /* it was seen empty, before it was written */
            now = wait_for(freshness, now.n_refreshes + 1, &n_changed);
    }
    assert_false(is_known(&place, "function_7"));
    assert_true(n_changed >= 25 && n_changed <= 30);
    assert_false(now.is_untrusted);
    freshness_stop(freshness);
    place_end(&place);
}

static void stops_at_any_moment(void **state)
{
    struct place place;
    (void)state;
    place_make(&place, 200);
    for (int i = 0; i < 12; i++) {
        struct freshness *one = start(&place), *other = start(&place); /* of one index */
        poll(NULL, 0, i * 4);
        freshness_stop(one);
        freshness_stop(other);
    }
    freshness_stop(NULL);
    place_end(&place);
}

static void tells_what_is_wrong_and_goes_on(void **state)
{
    struct place place;
    struct freshness_state now;
    (void)state;
    place_make(&place, 3);
    fixture_run(place.folder, "mv cache away");
    struct freshness *freshness = start(&place);
    struct pollfd fd = {.fd = freshness_fd(freshness), .events = POLLIN};
    assert_int_equal(poll(&fd, 1, 60000), 1);
    freshness_take(freshness, &now);
    assert_int_equal(now.error.status, STATUS_IO);
    assert_false(now.has_whole);
    fixture_run(place.folder, "mv away cache");
    while (!now.has_whole) { /* it tries again every two seconds */
        assert_int_equal(poll(&fd, 1, 60000), 1);
        freshness_take(freshness, &now);
    }
    assert_int_equal(now.error.status, STATUS_OK);
    assert_int_equal(now.whole.n_files, 3);
    freshness_stop(freshness);
    place_end(&place);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(keeps_an_index_right),
        cmocka_unit_test(stops_at_any_moment),
        cmocka_unit_test(tells_what_is_wrong_and_goes_on),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
