/* What a watch tells of changes: each kind, folders that appear and move, bursts, git's own, and where it must say that it
 * doesn't know. */
#include <poll.h>
#include <sched.h>
#include <setjmp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "repo/watch.h"
#include "tests/repo_fixture.h"

struct place {
    char folder[4096];
    struct repo *repo;
    struct watch *watch;
};

static void place_make(struct place *place, const char *script, const char *ignore)
{
    struct error error;
    fixture_make_folder(place->folder, sizeof place->folder);
    fixture_run(place->folder, script);
    if (repo_open(place->folder, &place->repo, &error) != STATUS_OK ||
        watch_open(place->repo, &(struct repo_walk_options){.ignore = ignore}, &place->watch, &error) != STATUS_OK)
        fail_msg("%s", error.text);
}

static void place_end(struct place *place)
{
    watch_close(place->watch);
    repo_free(place->repo);
    fixture_remove_folder(place->folder);
}

static bool is_readable(const struct place *place)
{
    struct pollfd poller = {.fd = watch_fd(place->watch), .events = POLLIN};
    return poll(&poller, 1, 0) == 1;
}

static struct watch_changes take(struct place *place)
{
    struct watch_changes changes;
    struct error error;
    if (watch_take(place->watch, &changes, &error) != STATUS_OK)
        fail_msg("%s", error.text);
    return changes;
}

/* Runs the script and looks at what is told, once: paths with a space between them. */
static void assert_told(struct place *place, const char *script, const char *should)
{
    struct buffer is = {0};
    fixture_run(place->folder, script);
    struct watch_changes changes = take(place);
    for (size_t i = 0; i < changes.n; i++)
        buffer_printf(&is, "%s%s", i ? " " : "", changes.paths[i]);
    if (changes.is_partial)
        buffer_append_text(&is, " [partial]");
    if (changes.git_changed)
        buffer_append_text(&is, " [git]");
    if (strcmp(buffer_text(&is), should) != 0)
        fail_msg("%s:\n\"%s\" instead of \"%s\"", script, buffer_text(&is), should);
    buffer_deinit(&is);
    assert_false(is_readable(place));
}

static void tells_every_kind_of_change(void **state)
{
    struct place place;
    (void)state;
    place_make(&place,
               "git init -q; mkdir -p d/e empty ign vendor; touch a b d/x d/e/y ign/z vendor/v; echo ign/ >.gitignore",
               NULL);
    assert_false(is_readable(&place));
    assert_told(&place, ":", "");
    fixture_run(place.folder, "echo x >a");
    assert_true(is_readable(&place));
    assert_told(&place, ":", "a");
    assert_told(&place, "echo x >>d/e/y; touch d/x; rm b; touch empty/new; ln -s a link; chmod +x a",
                "a b d/e/y d/x empty/new link");
    assert_told(&place, "mv a d/a2; mv d/e/y y", "a d/a2 d/e/y y");
    assert_told(&place, "for i in $(seq 1 500); do echo $i >d/x; done", "d/x");
    /* As editors save: a new file takes the name. */
    assert_told(&place, "echo x >d/.x.swp; mv d/.x.swp d/x", "d/.x.swp d/x");
    assert_told(&place, "touch ign/z ign/y vendor/v", "");
    assert_told(&place, "cat d/x >/dev/null; ls -R >/dev/null", "");
    assert_told(&place, "touch \"$(printf 'n\\nl\\377')\"", "n\nl\377");
    place_end(&place);
}

static void follows_folders(void **state)
{
    struct place place;
    (void)state;
    place_make(&place, "git init -q; mkdir -p d/e/f; touch d/e/f/x; echo out/ >.gitignore", NULL);
    size_t before = watch_count(place.watch, NULL);
    assert_told(&place, "mkdir -p n/m/o; touch n/1 n/m/2 n/m/o/3", "n/");
    assert_int_equal(watch_count(place.watch, NULL), before + 3);
    assert_told(&place, "touch n/m/o/4; mkdir n/m/o/p", "n/m/o/4 n/m/o/p/");
    assert_told(&place, "touch n/m/o/p/5", "n/m/o/p/5");
    assert_told(&place, "mv d/e g", "d/e/ g/");
    assert_told(&place, "echo x >g/f/x; touch g/y", "g/f/x g/y");
    assert_told(&place, "mkdir d/e; touch d/e/z", "d/e/");
    assert_told(&place, "touch d/e/z", "d/e/z");
    assert_told(&place, "rm -r n", "n/ n/1 n/m/ n/m/2 n/m/o/ n/m/o/3 n/m/o/4 n/m/o/p/ n/m/o/p/5");
    assert_told(&place, "mkdir out; touch out/x", "out/");
    assert_told(&place, "touch out/x", "");
    assert_told(&place, "mkdir -p ../moved.$$/in; touch ../moved.$$/in/f; mv ../moved.$$ in", "in/");
    assert_told(&place, "touch in/in/f", "in/in/f");
    assert_told(&place, "ln -s d link", "link");
    assert_told(&place, "touch link/new", "d/new");
    place_end(&place);
}

static void mark_seen(const struct repo_files *files, bool *seen)
{
    for (size_t i = 0; i < files->n; i++) {
        const char *number = strrchr(files->files[i].path, 'v');
        if (number && strncmp(files->files[i].path, "t", 1) == 0)
            seen[atoi(number + 1)] = true;
    }
}

/* Folders that come into being while they are looked for: whatever exists in the end is either told or below what is told,
 * and watched. */
static void misses_nothing_that_appears(void **state)
{
    struct place place;
    struct buffer out = {0};
    (void)state;
    place_make(&place, "git init -q", NULL);
    fixture_run(place.folder, "(for i in $(seq 1 300); do mkdir -p t$((i % 7))/u$((i % 11))/v$i; echo x >t$((i % "
                              "7))/u$((i % 11))/v$i/f; done; touch done) >/dev/null 2>&1 &");
    bool is_done = false, seen[301] = {false};
    for (int patience = 0; patience < 6000 && !is_done; patience++) {
        struct watch_changes changes = take(&place);
        for (size_t i = 0; i < changes.n; i++) {
            struct repo_files files;
            is_done = is_done || strcmp(changes.paths[i], "done") == 0;
            assert_int_equal(
                repo_walk_paths(place.repo, &(struct repo_walk_options){0}, &changes.paths[i], 1, &files, NULL),
                STATUS_OK);
            mark_seen(&files, seen);
            repo_files_deinit(&files);
        }
        /* On a machine that is busy elsewhere folders may come faster than they are found: then it says so. */
        if (changes.is_partial) {
            struct repo_files files;
            assert_int_equal(repo_walk(place.repo, &(struct repo_walk_options){0}, &files, NULL), STATUS_OK);
            mark_seen(&files, seen);
            repo_files_deinit(&files);
        }
        if (changes.n == 0)
            usleep(5000);
    }
    assert_true(is_done);
    for (int i = 1; i <= 300; i++)
        if (!seen[i])
            fail_msg("v%d was never told", i);
    fixture_output(place.folder, "find . -type d ! -path './.git*' | wc -l", &out);
    assert_int_equal(watch_count(place.watch, NULL), atoi(out.data) + 2);
    buffer_deinit(&out);
    place_end(&place);
}

static void tells_of_git(void **state)
{
    struct place place;
    (void)state;
    place_make(&place, "git init -q; echo 1 >a; git add a; git commit -qm one; git branch other", NULL);
    assert_told(&place, "echo 2 >a; git add a", "a [git]");
    assert_told(&place, "git commit -qm two", " [git]");
    assert_told(&place, "git checkout -q other", "a [git]");
    assert_told(&place, "git log >log.txt", "log.txt");
    /* What is ignored may now be another set of files. */
    assert_told(&place, "echo x >.git/info/exclude", " [partial]");
    assert_told(&place, "mkdir -p o/p; touch o/p/f; echo o/ >.gitignore", ".gitignore o/ [partial]");
    assert_told(&place, "touch o/p/f", "");
    assert_told(&place, "rm .gitignore", ".gitignore [partial]");
    assert_told(&place, "touch o/p/f", "o/p/f");
    assert_told(&place, "git init -q o", " [partial]");
    place_end(&place);
}

static void minds_a_trusted_list(void **state)
{
    struct place place;
    (void)state;
    place_make(&place, "mkdir -p docs/a src; touch docs/a/x src/y", "docs/\n");
    assert_told(&place, "touch docs/a/x src/y; mkdir docs/b src/c", "src/c/ src/y");
    place_end(&place);
}

/* More than can be told one by one. */
static void gives_up_on_floods(void **state)
{
    struct place place;
    (void)state;
    place_make(&place, "git init -q; mkdir d", NULL);
    fixture_run(place.folder, "python3 -c 'for i in range(20000): open(\"d/%d\" % i, \"w\").close()'");
    bool is_partial = false;
    for (int i = 0; i < 100 && is_readable(&place); i++) {
        struct watch_changes changes = take(&place);
        is_partial = is_partial || changes.is_partial;
        assert_true(changes.n <= WATCH_PATHS);
    }
    assert_true(is_partial);
    assert_told(&place, "touch d/1", "d/1");
    place_end(&place);
}

/* In a process of its own, for which the system has few watches.  0: it said so; 1: it didn't; 2: not to be had here. */
static int run_short_of_watches(const char *folder)
{
    struct repo *repo;
    struct watch *watch;
    struct watch_changes changes;
    bool is_whole = true;
    if (unshare(CLONE_NEWUSER) != 0)
        return 2;
    FILE *limit = fopen("/proc/sys/user/max_inotify_watches", "w");
    bool is_set = limit && fputs("5", limit) >= 0;
    if (!limit || fclose(limit) != 0 || !is_set)
        return 2;
    if (repo_open(folder, &repo, NULL) != STATUS_OK ||
        watch_open(repo, &(struct repo_walk_options){0}, &watch, NULL) != STATUS_OK)
        return 1;
    bool ok = watch_count(watch, &is_whole) == 5 && !is_whole && watch_take(watch, &changes, NULL) == STATUS_OK &&
              changes.is_partial;
    watch_close(watch);
    repo_free(repo);
    return ok ? 0 : 1;
}

static void says_when_watches_run_out(void **state)
{
    char folder[4096];
    int outcome;
    (void)state;
    fixture_make_folder(folder, sizeof folder);
    fixture_run(folder, "mkdir 1 2 3 4 5 6 7 8 9");
    fflush(NULL);
    pid_t child = fork();
    assert_true(child >= 0);
    if (child == 0)
        _exit(run_short_of_watches(folder));
    assert_int_equal(waitpid(child, &outcome, 0), child);
    assert_true(WIFEXITED(outcome));
    assert_int_not_equal(WEXITSTATUS(outcome), 1);
    print_message("# watches run out: %s\n", WEXITSTATUS(outcome) ? "no namespace to try it in" : "tried");
    fixture_remove_folder(folder);
}

static void refuses_what_has_no_worktree(void **state)
{
    char folder[4096];
    struct repo *repo;
    struct watch *watch;
    struct error error;
    (void)state;
    fixture_make_folder(folder, sizeof folder);
    fixture_run(folder, "git init -q --bare");
    assert_int_equal(repo_open(folder, &repo, &error), STATUS_OK);
    assert_int_equal(watch_open(repo, &(struct repo_walk_options){0}, &watch, &error), STATUS_ARGUMENT);
    assert_null(watch);
    repo_free(repo);
    fixture_remove_folder(folder);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(tells_every_kind_of_change),  cmocka_unit_test(follows_folders),
        cmocka_unit_test(misses_nothing_that_appears), cmocka_unit_test(tells_of_git),
        cmocka_unit_test(minds_a_trusted_list),        cmocka_unit_test(gives_up_on_floods),
        cmocka_unit_test(says_when_watches_run_out),   cmocka_unit_test(refuses_what_has_no_worktree),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
