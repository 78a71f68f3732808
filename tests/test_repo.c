/* Opening repositories and folders, revisions, contents, and what differs from HEAD. */
#include <linux/capability.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cmocka.h>

#include "tests/repo_fixture.h"

struct place {
    char folder[4096];
    struct repo *repo;
    struct error error;
};

static void place_make(struct place *place, const char *script)
{
    *place = (struct place){0};
    fixture_make_folder(place->folder, sizeof place->folder);
    fixture_run(place->folder, script);
}

static enum status place_open(struct place *place, const char *inside)
{
    char path[8192];
    snprintf(path, sizeof path, "%s/%s", place->folder, inside);
    repo_free(place->repo);
    place->repo = NULL;
    return repo_open(path, &place->repo, &place->error);
}

static void place_end(struct place *place)
{
    repo_free(place->repo);
    fixture_remove_folder(place->folder);
}

static struct repo_files walk(struct place *place, const char *revision)
{
    struct repo_files files;
    if (repo_walk(place->repo, &(struct repo_walk_options){.revision = revision}, &files, &place->error) != STATUS_OK)
        fail_msg("%s", place->error.text);
    return files;
}

/* The paths, with a space between them; those that are skipped with their reason. */
static void describe(const struct repo_files *files, struct buffer *out)
{
    buffer_clear(out);
    for (size_t i = 0; i < files->n; i++) {
        buffer_append_text(out, i ? " " : "");
        buffer_append_text(out, files->files[i].path);
        if (files->files[i].skip)
            buffer_printf(out, ":%s", repo_skip_name(files->files[i].skip));
    }
}

static void assert_list(struct repo_files files, const char *should)
{
    struct buffer text = {0};
    describe(&files, &text);
    assert_string_equal(buffer_text(&text), should);
    buffer_deinit(&text);
    repo_files_deinit(&files);
}

/* ---- opening ---- */

static void opens_what_a_path_lies_in(void **state)
{
    struct place place;
    char name[16], expected[8192];
    (void)state;
    place_make(&place, "mkdir -p g/sub/deep; git -C g init -q; touch g/sub/deep/file; ln -s g/sub/deep/file link; "
                       "mkdir plain; touch plain/f");
    const char *const paths[] = {"g", "g/", "g/sub/deep", "g/sub/deep/file", "link", "g/.git"};
    snprintf(expected, sizeof expected, "%s/g", place.folder);
    for (size_t i = 0; i < sizeof paths / sizeof *paths; i++) {
        assert_int_equal(place_open(&place, paths[i]), STATUS_OK);
        assert_string_equal(repo_root(place.repo), expected);
        assert_non_null(repo_git_folder(place.repo));
        assert_false(repo_is_bare(place.repo));
        repo_branch_name(place.repo, name, sizeof name);
        assert_string_equal(name, "");
    }
    assert_int_equal(place_open(&place, "plain/f"), STATUS_OK);
    snprintf(expected, sizeof expected, "%s/plain", place.folder);
    assert_string_equal(repo_root(place.repo), expected);
    assert_null(repo_git_folder(place.repo));
    assert_int_equal(place_open(&place, "nowhere"), STATUS_NOT_FOUND);
    assert_null(place.repo);
    assert_non_null(strstr(place.error.text, "nowhere"));
    place_end(&place);
}

static void names_the_branch(void **state)
{
    struct place place;
    char name[8];
    (void)state;
    place_make(&place, "git init -q; git checkout -q -b feature/long-name; git commit -q --allow-empty -m one");
    assert_int_equal(place_open(&place, ""), STATUS_OK);
    repo_branch_name(place.repo, name, sizeof name);
    assert_string_equal(name, "feature");
    fixture_run(place.folder, "git checkout -q --detach");
    repo_branch_name(place.repo, name, sizeof name);
    assert_string_equal(name, "HEAD");
    place_end(&place);
}

static void refuses_in_one_line(void **state)
{
    static const struct {
        const char *script, *word;
    } cases[] = {
        {"git init -q --object-format=sha256; touch a; git add a", "SHA-256"},
        {"git init -q; mkdir in out; touch in/a out/b; git add .; git commit -qm one; git sparse-checkout init --cone "
         "--sparse-index; "
         "git sparse-checkout set in",
         "sparse index"},
        {"git init -q; touch a; git add a; git update-index --split-index", "split index"},
        {"git init -q; git config core.repositoryFormatVersion 1; git config extensions.compactHeads true",
         "can't be read"},
        {"git init -q; git config core.repositoryFormatVersion 7", "can't be read"},
        {"git init -q; touch a; git add a; printf 'DIRC\\0\\0\\0\\2\\377\\377\\377\\377' >.git/index", "index"},
    };
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct place place;
        place_make(&place, cases[i].script);
        enum status status = place_open(&place, "");
        if (status == STATUS_OK || !strstr(place.error.text, cases[i].word) || strchr(place.error.text, '\n'))
            fail_msg("%s: %d, %s", cases[i].script, (int)status, place.error.text);
        assert_true(i >= 5 || status == STATUS_UNSUPPORTED);
        place_end(&place);
    }
}

/* Whose repository it is matters before any of it is read.  Only root can be somebody else for a moment; then it needs the
 * right to pass the folders above, which are its own. */
static void refuses_what_belongs_to_another(void **state)
{
    struct place place;
    (void)state;
    place_make(&place, "mkdir g; git -C g init -q; touch g/a");
    if (geteuid() == 0) {
        struct __user_cap_header_struct header = {.version = _LINUX_CAPABILITY_VERSION_3};
        struct __user_cap_data_struct caps[2];
        assert_int_equal(syscall(SYS_capget, &header, caps), 0);
        assert_int_equal(seteuid(12345), 0);
        caps[0].effective = 1u << CAP_DAC_READ_SEARCH;
        caps[1].effective = 0;
        long granted = syscall(SYS_capset, &header, caps);
        enum status status = place_open(&place, "g");
        assert_int_equal(seteuid(0), 0);
        assert_int_equal(granted, 0);
        assert_int_equal(status, STATUS_UNSUPPORTED);
        assert_non_null(strstr(place.error.text, "safe.directory"));
    }
    assert_int_equal(place_open(&place, "g"), STATUS_OK);
    place_end(&place);
}

/* ---- revisions ---- */

static void lists_revisions(void **state)
{
    struct place place;
    struct repo_files files;
    struct buffer is = {0}, should = {0};
    (void)state;
    place_make(&place, "git init -q g; cd g; mkdir -p d/e vendor; touch d/e/x a-b a.c a \"$(printf 'n\\nl')\" vendor/v "
                       ".env; mkdir q; touch q/1; "
                       "ln -s a link; head -c 1048577 /dev/zero >big; printf '*.gen linguist-generated\\n' "
                       ">.gitattributes; touch x.gen\n"
                       "git add .; git commit -qm one; git tag -a -m t v1; echo two >a; git rm -q q/1; git commit -qam "
                       "two; touch untracked\n"
                       "cd ..; git clone -q --bare g b.git; git clone -q --depth 1 \"file://$PWD/g\" shallow");
    assert_int_equal(place_open(&place, "g"), STATUS_OK);
    const char *const revisions[] = {"HEAD", "HEAD~1", "v1", "main", "main^{tree}"};
    for (size_t i = 0; i < sizeof revisions / sizeof *revisions; i++) {
        char script[256];
        snprintf(script, sizeof script, "git -C g ls-tree -rz --name-only '%s'", revisions[i]);
        fixture_output(place.folder, script, &should);
        files = walk(&place, revisions[i]);
        fixture_paths(&files, &is);
        assert_int_equal(is.size, should.size);
        assert_memory_equal(is.data, should.data, is.size);
        assert_int_equal(fixture_file(&files, ".env")->skip, REPO_SKIP_SECRET);
        assert_int_equal(fixture_file(&files, "link")->skip, REPO_SKIP_LINK);
        assert_int_equal(fixture_file(&files, "big")->skip, REPO_SKIP_LARGE);
        assert_int_equal(fixture_file(&files, "vendor/v")->skip, REPO_SKIP_VENDORED);
        assert_int_equal(fixture_file(&files, "a")->skip, REPO_KEEP);
        /* A tree alone has no attributes. */
        assert_int_equal(fixture_file(&files, "x.gen")->skip, i < 4 ? REPO_SKIP_GENERATED : REPO_KEEP);
        repo_files_deinit(&files);
    }
    assert_int_equal(repo_walk(place.repo, &(struct repo_walk_options){.revision = "nothing"}, &files, &place.error),
                     STATUS_NOT_FOUND);
    assert_null(files.files);
    assert_int_equal(repo_walk(place.repo, &(struct repo_walk_options){.revision = "HEAD:a"}, &files, NULL),
                     STATUS_NOT_FOUND);

    const char *const bare[] = {"b.git", "shallow"};
    for (size_t i = 0; i < 2; i++) {
        assert_int_equal(place_open(&place, bare[i]), STATUS_OK);
        assert_int_equal(repo_is_bare(place.repo), i == 0);
        files = walk(&place, i == 0 ? NULL : "HEAD");
        fixture_output(place.folder, "git -C g ls-tree -rz --name-only HEAD", &should);
        fixture_paths(&files, &is);
        assert_int_equal(is.size, should.size);
        assert_memory_equal(is.data, should.data, is.size);
        repo_files_deinit(&files);
    }
    buffer_deinit(&is);
    buffer_deinit(&should);
    place_end(&place);
}

/* Trees that git add never makes. */
static void refuses_impossible_names(void **state)
{
    static const char *const names[] = {"..", ".", ".git", "a/b", ".GIT"};
    (void)state;
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        struct place place;
        struct repo_files files;
        char script[512];
        snprintf(script, sizeof script,
                 "git init -q; id=$(echo x | git hash-object -w --stdin);\n"
                 "python3 -c \"import sys; sys.stdout.buffer.write(b'100644 %s\\\\0' + bytes.fromhex('$id'))\" >t\n"
                 "tree=$(git hash-object --literally -w -t tree t); git update-ref refs/heads/main $(git commit-tree "
                 "-m x $tree)",
                 names[i]);
        place_make(&place, script);
        assert_int_equal(place_open(&place, ""), STATUS_OK);
        enum status status =
            repo_walk(place.repo, &(struct repo_walk_options){.revision = "HEAD"}, &files, &place.error);
        assert_true(status == STATUS_FORMAT || status == STATUS_IO);
        place_end(&place);
    }
}

/* ---- plain folders ---- */

static void lists_a_plain_folder(void **state)
{
    struct place place;
    (void)state;
    place_make(&place, "mkdir -p d/e g; touch a d/b d/e/c .hidden; echo 'a' >.gitignore; ln -s a link; ln -s / root; "
                       "mkfifo p; git -C g init -q; touch g/f");
    assert_int_equal(place_open(&place, ""), STATUS_OK);
    assert_list(walk(&place, NULL), ".gitignore .hidden a d/b d/e/c g/f link:link p:special root:link");
    struct repo_files files;
    assert_int_equal(repo_walk(place.repo, &(struct repo_walk_options){.revision = "HEAD"}, &files, NULL),
                     STATUS_NOT_FOUND);
    assert_int_equal(repo_changed(place.repo, NULL, &files, NULL), STATUS_OK);
    assert_int_equal(files.n, 0);
    place_end(&place);
}

/* ---- a list of ignores that the user trusts; single paths; stamps ---- */

static void drops_what_a_trusted_list_names(void **state)
{
    struct place place;
    struct repo_files files;
    (void)state;
    place_make(&place, "git init -q; mkdir -p docs/api vendor/own vendor/x; touch docs/a docs/api/b src.c vendor/own/c "
                       "vendor/x/d .env yarn.lock; git add docs");
    assert_int_equal(place_open(&place, ""), STATUS_OK);
    const char *ignore = "docs/\n!vendor/own/\n!yarn.lock\n!.env\n";
    assert_int_equal(repo_walk(place.repo, &(struct repo_walk_options){.ignore = ignore}, &files, NULL), STATUS_OK);
    assert_list(files,
                ".env:secret docs/a:ignored docs/api/b:ignored src.c vendor/own/c vendor/x/d:vendored yarn.lock");
    place_end(&place);
}

static void walks_single_paths(void **state)
{
    struct place place;
    struct repo_files files;
    (void)state;
    place_make(&place, "git init -q; mkdir -p d/e f gone; touch a b d/x d/e/y d/e/z f/w gone/1 gone/2 gone3; echo "
                       "'*.o' >.gitignore; echo z >d/.gitignore\n"
                       "git add .; rm -r gone gone3; touch d/new.o d/new.c f/u; mkdir vendor; touch vendor/v");
    assert_int_equal(place_open(&place, ""), STATUS_OK);
    static const struct {
        const char *paths[4], *should;
    } cases[] = {
        {{"a"}, "a"},
        {{"a", "d/e/y", "d/new.c", "d/new.o"}, "a d/e/y d/new.c"},
        {{"d", "nowhere", "nowhere/x"}, ""},
        {{"d/e/z"}, ""},
        {{"d/"}, "d/.gitignore d/e/y d/new.c d/x"},
        {{"d/e/", "f/u"}, "d/e/y f/u"},
        {{"gone/", "gone3"}, "gone/1:gone gone/2:gone gone3:gone"},
        {{"gone/2"}, "gone/2:gone"},
        {{"vendor/v"}, "vendor/v:vendored"},
        {{".git/config"}, ""},
        {{"../x", "/etc/passwd"}, ""},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        size_t n = 0;
        while (n < 4 && cases[i].paths[n])
            n++;
        assert_int_equal(repo_walk_paths(place.repo, &(struct repo_walk_options){0}, cases[i].paths, n, &files, NULL),
                         STATUS_OK);
        assert_list(files, cases[i].should);
    }
    place_end(&place);
}

static void trusts_stamps_that_prove_something(void **state)
{
    struct place place;
    struct repo_files files;
    struct buffer id = {0};
    (void)state;
    place_make(&place, "git init -q; echo one >old; echo one >edited; echo one >young; : >empty; echo x >meant; sleep "
                       "0.05; git add old edited young empty\n"
                       "git add -N meant; echo two >edited\n"
                       /* In the very moment of the index, same size: a stamp can't tell. */
                       "echo two >young; touch -r .git/index young; git update-index -q --assume-unchanged old");
    assert_int_equal(place_open(&place, ""), STATUS_OK);
    files = walk(&place, NULL);
    assert_true(fixture_file(&files, "old")->has_id);
    assert_true(fixture_file(&files, "empty")->has_id);
    assert_false(fixture_file(&files, "edited")->has_id);
    assert_false(fixture_file(&files, "young")->has_id);
    assert_false(fixture_file(&files, "meant")->has_id);
    fixture_output(place.folder, "git hash-object old", &id);
    for (int i = 0; i < 20; i++) {
        char hex[3];
        snprintf(hex, sizeof hex, "%02x", fixture_file(&files, "old")->id.bytes[i]);
        assert_memory_equal(hex, id.data + 2 * i, 2);
    }
    repo_files_deinit(&files);
    /* Where git turns line ends, what it stored isn't what lies there. */
    fixture_run(place.folder,
                "echo '*.t text eol=crlf' >.gitattributes; printf 'a\\r\\n' >x.t; sleep 0.05; git add x.t");
    files = walk(&place, NULL);
    assert_true(fixture_file(&files, "x.t")->is_clean);
    assert_false(fixture_file(&files, "x.t")->has_id);
    repo_files_deinit(&files);
    buffer_deinit(&id);
    place_end(&place);
}

static void stops_when_told(void **state)
{
    struct place place;
    struct repo_files files;
    atomic_bool cancel = true;
    (void)state;
    place_make(&place, "git init -q; touch a; git add a; git commit -qm one");
    assert_int_equal(place_open(&place, ""), STATUS_OK);
    assert_int_equal(repo_walk(place.repo, &(struct repo_walk_options){.cancel = &cancel}, &files, NULL),
                     STATUS_CANCELLED);
    assert_null(files.files);
    assert_int_equal(
        repo_walk(place.repo, &(struct repo_walk_options){.cancel = &cancel, .revision = "HEAD"}, &files, NULL),
        STATUS_CANCELLED);
    assert_int_equal(repo_changed(place.repo, &cancel, &files, NULL), STATUS_CANCELLED);
    place_end(&place);
}

/* ---- contents ---- */

static enum repo_skip read_one(struct place *place, const struct repo_files *files, const char *path,
                               struct buffer *out)
{
    struct repo_id id;
    enum repo_skip skip;
    if (repo_read(place->repo, fixture_file(files, path), 1 << 20, out, &id, &skip, &place->error) != STATUS_OK)
        fail_msg("%s", place->error.text);
    return skip;
}

static void tells_contents_apart(void **state)
{
    static const struct {
        const char *name;
        enum repo_skip skip;
    } cases[] = {
        {"plain", REPO_KEEP},
        {"empty", REPO_KEEP},
        {"nul", REPO_SKIP_BINARY},
        {"late-nul", REPO_KEEP},
        {"early-nul", REPO_SKIP_BINARY},
        {"utf16", REPO_SKIP_BINARY},
        {"go", REPO_SKIP_GENERATED},
        {"at", REPO_SKIP_GENERATED},
        {"csharp", REPO_SKIP_GENERATED},
        {"lines", REPO_SKIP_GENERATED},
        {"maker.py", REPO_KEEP},
        {"late", REPO_KEEP},
        {"talk", REPO_KEEP},
        {"min", REPO_SKIP_MINIFIED},
        {"some-long", REPO_KEEP},
        {"key", REPO_SKIP_SECRET},
        {"cert", REPO_KEEP},
        {"said-text", REPO_KEEP},
        {"said-own", REPO_KEEP},
    };
    struct place place;
    struct buffer text = {0};
    (void)state;
    place_make(
        &place,
        "git init -q; echo hello >plain; : >empty; printf 'a\\0b' >nul; yes a | head -c 7999 >early-nul; cp early-nul "
        "late-nul\n"
        "printf '\\0' >>early-nul; printf 'b\\0' >>late-nul; printf '\\377\\376a' >utf16; printf '\\0x' >said-text\n"
        "printf '// Code generated by x. DO NOT EDIT.\\npackage x\\n' >go; printf '# @generated\\n' >at; cp at "
        "said-own\n"
        "printf '// <auto-generated>\\n' >csharp; printf '/*\\n * This file was generated by y.\\n\\n   Please do not "
        "edit it.\\n */\\n' >lines\n"
        "printf 'import os\\nprint(\"// Code generated. DO NOT EDIT.\")\\n' >maker.py\n"
        "(seq 1 40; echo '# generated, do not edit') >late; printf '# the generated code is fast\\n' >talk\n"
        "(printf 'var a;'; head -c 5000 /dev/zero | tr '\\0' x) >min; (cat min; seq 1 2000) >some-long\n"
        "printf -- '-----BEGIN OPENSSH PRIVATE KEY-----\\nx\\n' >key; printf -- '-----BEGIN CERTIFICATE-----\\nx\\n' "
        ">cert\n"
        "printf 'said-text diff\\nsaid-own -linguist-generated\\n' >.gitattributes; git add .; git commit -qm one");
    assert_int_equal(place_open(&place, ""), STATUS_OK);
    for (int of_revision = 0; of_revision < 2; of_revision++) {
        struct repo_files files = walk(&place, of_revision ? "HEAD" : NULL);
        for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
            if (read_one(&place, &files, cases[i].name, &text) != cases[i].skip)
                fail_msg("%s is not %s", cases[i].name, repo_skip_name(cases[i].skip));
        read_one(&place, &files, "plain", &text);
        assert_string_equal(text.data, "hello\n");
        repo_files_deinit(&files);
    }
    buffer_deinit(&text);
    place_end(&place);
}

/* Between the walk and the reading anything may happen to a file. */
static void reads_nothing_but_the_file(void **state)
{
    struct place place;
    struct buffer text = {0};
    struct repo_id id;
    enum repo_skip skip;
    (void)state;
    place_make(&place, "echo secret >outside; mkdir target; echo secret >target/f; mkdir -p g/d/e; cd g; git init -q; "
                       "mkdir real; echo secret >real/f\n"
                       "for f in link pipe folder gone grown shrunk a d/e/f; do echo text >$f; done; mkdir -p dir; "
                       "echo x >dir/f; mkdir -p dir2; echo x >dir2/f");
    assert_int_equal(place_open(&place, "g"), STATUS_OK);
    struct repo_files files = walk(&place, NULL);
    fixture_run(place.folder, "cd g; rm link pipe folder gone; ln -s ../outside link; mkfifo pipe; mkdir folder; rm -r "
                              "dir dir2 d/e; ln -s ../target dir; "
                              "ln -s real dir2; ln -s ../../target d/e; head -c 2000 /dev/zero >grown; : >shrunk");
    const char *const lost[] = {"link", "pipe", "folder", "gone", "dir/f", "dir2/f", "d/e/f"};
    for (size_t i = 0; i < sizeof lost / sizeof *lost; i++) {
        assert_int_equal(repo_read(place.repo, fixture_file(&files, lost[i]), 1000, &text, &id, &skip, &place.error),
                         STATUS_IO);
        assert_int_equal(skip, REPO_SKIP_UNREADABLE);
        assert_int_equal(text.size, 0);
    }
    assert_int_equal(repo_read(place.repo, fixture_file(&files, "grown"), 1000, &text, &id, &skip, &place.error),
                     STATUS_RANGE);
    assert_int_equal(skip, REPO_SKIP_LARGE);
    assert_int_equal(repo_read(place.repo, fixture_file(&files, "shrunk"), 1000, &text, &id, &skip, &place.error),
                     STATUS_OK);
    assert_int_equal(text.size, 0);
    /* Paths that no walk gives. */
    const char *const paths[] = {"../outside", "/etc/passwd", "d/../a",      "./a",   "",
                                 "d//e",       ".git/config", ".GIT/config", "real/", ".."};
    for (size_t i = 0; i < sizeof paths / sizeof *paths; i++) {
        struct repo_file file = *fixture_file(&files, "a");
        file.path = paths[i];
        file.path_size = (uint32_t)strlen(paths[i]);
        assert_int_equal(repo_read(place.repo, &file, 1000, &text, &id, &skip, &place.error), STATUS_IO);
    }
    repo_files_deinit(&files);
    buffer_deinit(&text);
    place_end(&place);
}

struct reader {
    pthread_t thread;
    struct repo *repo;
    const struct repo_files *files;
    size_t first;
    bool ok;
};

/* Every file, from another one on than the others do; each holds its own name a hundred times. */
static void *read_everything(void *context)
{
    struct reader *reader = context;
    struct buffer text = {0};
    reader->ok = true;
    for (size_t i = 0; i < reader->files->n; i++) {
        const struct repo_file *file = &reader->files->files[(i + reader->first) % reader->files->n];
        struct repo_id id;
        enum repo_skip skip;
        reader->ok = reader->ok && repo_read(reader->repo, file, 1 << 20, &text, &id, &skip, NULL) == STATUS_OK &&
                     skip == REPO_KEEP && text.size == 100 * ((size_t)file->path_size + 1) &&
                     memcmp(text.data, file->path, file->path_size) == 0 &&
                     (!file->has_id || memcmp(&id, &file->id, sizeof id) == 0);
    }
    buffer_deinit(&text);
    return NULL;
}

static void reads_by_several_threads(void **state)
{
    enum { THREADS = 4 };
    struct place place;
    (void)state;
    place_make(&place,
               "git init -q; for i in $(seq 1 150); do n=f$i; yes $n | head -n 100 >$n; done; git add .; git commit "
               "-qm one; git gc -q; "
               "for i in $(seq 151 200); do n=f$i; yes $n | head -n 100 >$n; done; git add .; git commit -qm two");
    assert_int_equal(place_open(&place, ""), STATUS_OK);
    for (int of_revision = 0; of_revision < 2; of_revision++) {
        struct repo_files files = walk(&place, of_revision ? "HEAD" : NULL);
        struct reader readers[THREADS];
        assert_int_equal(files.n, 200);
        for (size_t i = 0; i < THREADS; i++) {
            readers[i] = (struct reader){.repo = place.repo, .files = &files, .first = i * 37};
            assert_int_equal(pthread_create(&readers[i].thread, NULL, read_everything, &readers[i]), 0);
        }
        for (size_t i = 0; i < THREADS; i++) {
            assert_int_equal(pthread_join(readers[i].thread, NULL), 0);
            assert_true(readers[i].ok);
        }
        repo_files_deinit(&files);
    }
    place_end(&place);
}

/* Files of rules that would make a reader wait. */
static void waits_for_no_rules(void **state)
{
    struct place place;
    (void)state;
    place_make(&place, "git init -q; mkdir d l; touch a d/b l/c; echo 'a linguist-generated' >.gitattributes; mkfifo "
                       "d/.gitignore d/.gitattributes\n"
                       "ln -s /dev/zero l/.gitattributes; ln -s /dev/zero l/.gitignore; git config core.excludesFile "
                       "/dev/zero; rm .git/info/exclude; mkfifo .git/info/exclude");
    assert_int_equal(place_open(&place, ""), STATUS_OK);
    assert_list(walk(&place, NULL), ".gitattributes a:generated d/b l/.gitattributes:link l/.gitignore:link l/c");
    place_end(&place);
}

/* ---- changes ---- */

static void finds_what_differs_from_head(void **state)
{
    struct place place;
    struct repo_files files;
    struct buffer is = {0}, should = {0};
    (void)state;
    place_make(&place, "git init -q; mkdir d; for f in same edited staged both gone unstaged-gone staged-back mode "
                       "touched d/x; do echo one >$f; done; ln -s a link; ln -s b link2\n"
                       "echo '*.t text' >.gitattributes; printf 'a\\r\\n' >crlf.t; echo ignored >.gitignore; git add . "
                       "2>/dev/null; git commit -qm one; sleep 0.05\n"
                       "echo two >edited; echo two >staged; git add staged; echo two >both; git add both; echo one "
                       ">both; git rm -q gone; rm unstaged-gone\n"
                       "git rm -q --cached staged-back; chmod +x mode; touch touched; echo new >new; echo new >added; "
                       "git add added; touch ignored; touch d/y; rm link2; ln -s c link2; git add -N d/y\n"
                       "git init -q nested; touch nested/f");
    assert_int_equal(place_open(&place, ""), STATUS_OK);
    assert_int_equal(repo_changed(place.repo, NULL, &files, &place.error), STATUS_OK);
    fixture_paths(&files, &is);
    fixture_output(place.folder,
                   "git status -z --porcelain --no-renames --untracked-files=all | cut -z -c4- | LC_ALL=C sort -zu",
                   &should);
    for (size_t i = 0; i < is.size; i++)
        is.data[i] = is.data[i] ? is.data[i] : ' ';
    for (size_t i = 0; i < should.size; i++)
        should.data[i] = should.data[i] ? should.data[i] : ' ';
    assert_string_equal(is.data, should.data);
    assert_int_equal(fixture_file(&files, "gone")->skip, REPO_SKIP_GONE);
    assert_int_equal(fixture_file(&files, "new")->is_tracked, false);
    repo_files_deinit(&files);
    fixture_run(place.folder,
                "git rm -q --cached d/y; git stash -q --include-untracked; git status --porcelain >/dev/null");
    assert_int_equal(repo_changed(place.repo, NULL, &files, &place.error), STATUS_OK);
    assert_list(files, "nested/:submodule");
    place_end(&place);

    place_make(&place, "git init -q; touch a b; git add a"); /* no commit yet */
    assert_int_equal(place_open(&place, ""), STATUS_OK);
    assert_int_equal(repo_changed(place.repo, NULL, &files, &place.error), STATUS_OK);
    assert_list(files, "a b");
    place_end(&place);
    buffer_deinit(&is);
    buffer_deinit(&should);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(opens_what_a_path_lies_in),
        cmocka_unit_test(names_the_branch),
        cmocka_unit_test(refuses_in_one_line),
        cmocka_unit_test(refuses_what_belongs_to_another),
        cmocka_unit_test(lists_revisions),
        cmocka_unit_test(refuses_impossible_names),
        cmocka_unit_test(lists_a_plain_folder),
        cmocka_unit_test(drops_what_a_trusted_list_names),
        cmocka_unit_test(walks_single_paths),
        cmocka_unit_test(trusts_stamps_that_prove_something),
        cmocka_unit_test(stops_when_told),
        cmocka_unit_test(tells_contents_apart),
        cmocka_unit_test(reads_nothing_but_the_file),
        cmocka_unit_test(reads_by_several_threads),
        cmocka_unit_test(waits_for_no_rules),
        cmocka_unit_test(finds_what_differs_from_head),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
