/* The list of a repository's files is what `git ls-files --cached --others --exclude-standard` says, byte for byte, on odd
 * repositories; and what is skipped of it, and why. */
#include <setjmp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "tests/repo_fixture.h"

#define LIST "git ls-files -z --cached --others --exclude-standard | LC_ALL=C sort -z -u"

/* ---- odd repositories ---- */

struct odd {
    const char *name, *script;
    const char *inside; /* the folder of the repository that is meant; "" is the one the script runs in */
    const char *skips;  /* "REASON PATH" a line, of all that is skipped; control bytes as '?' */
};

static const struct odd odd_repositories[] = {
    {"names", // newline, ESC, bytes that are no UTF-8, quotes, spaces, and how '/' sorts among them
     "git init -q\n"
     "touch -- \"$(printf 'a\\nb')\" \"$(printf 'esc\\033[31m')\" \"$(printf 'bad\\377\\200')\" \"$(printf "
     "'tab\\tx')\" "
     "'qu\"ote' \"it's\" ' lead' 'trail ' '-dash' '\\back' 'a' 'ä'\n"
     "mkdir d d-e d.f 'd e' D; touch d/x d-e/x d.f/x 'd e/x' D/x d0\n"
     "git add d d0 a D; touch d/y D/y",
     "", ""},
    {"nested ignores", // deeper lists win, negation, folders that stay closed, order of the three sources
     "git init -q\n"
     "printf "
     "'*.log\\nbuild/\\n!keep.log\\n/top\\nsub/only\\n**/deep/*.x\\nfoo/**/bar\\n\\\\#hash\\n\\\\!bang\\nspace\\\\ "
     "\\n' >.gitignore\n"
     "mkdir -p a/b build/in a/build sub foo/1/2 deep x/deep/y a/top c\n"
     "printf '!*.log\\nonly-here\\n' >a/.gitignore; printf '*.log\\n!.gitignore\\n*\\n!kept\\n' >a/b/.gitignore\n"
     "touch x.log keep.log a/y.log a/b/z.log a/b/kept a/b/lost build/in/f a/build/f top a/top/f sub/only sub/other "
     "foo/bar "
     "foo/1/bar foo/1/2/bar deep/q.x x/deep/p.x x/deep/y/r.x '#hash' '!bang' 'space ' a/only-here c/only-here c/e.bak\n"
     "printf '*.bak\\n!c/e.bak\\n*.mine\\n' >.git/info/exclude\n"
     "touch f.mine g.user h.user\n"
     "printf '*.user\\n!f.mine\\n' >.git/user-ignores; git config core.excludesFile .git/user-ignores",
     "", ""},
    {"tracked below ignored", // and untracked beside it isn't shown
     "git init -q\n"
     "mkdir -p out/a out/b; touch out/a/kept out/a/lost out/b/lost out/.gitignore\n"
     "printf 'out/\\n' >.gitignore; git add -f out/a/kept; touch out/a/new",
     "", ""},
    {"ignores without case", //
     "git init -q; git config core.ignoreCase true\n"
     "printf '*.LOG\\nBuild/\\n[A-C]x\\n' >.gitignore; mkdir -p bUILD sub; touch a.log b.Log bUILD/f sub/x ax Bx cx "
     "dx\n"
     "touch Name; git add Name sub; touch NAME nAme SUB; mkdir sUb; touch sUb/X sUb/y",
     "", ""},
    {"nested repositories", // untracked ones are one name; what isn't quite one isn't
     "git init -q\n"
     "git init -q inner; touch inner/f; git init -q deep/er/inner; touch deep/er/inner/f deep/g\n"
     "mkdir -p fake/.git; touch fake/.git/config fake/f; mkdir -p empty/.git; touch empty/f\n"
     "mkdir file; echo 'gitdir: ../inner/.git' >file/.git; touch file/f\n"
     "mkdir lost; echo 'gitdir: ../nowhere' >lost/.git; touch lost/f\n"
     "git init -q --bare bare.git; git init -q ignored; echo ignored/ >.gitignore; touch z\n"
     "git init -q mixed; touch mixed/f; git -C mixed -c commit.gpgsign=false commit -q --allow-empty -m x\n"
     "mkdir inner2; touch inner2/tracked; git add inner2; git init -q inner2; touch inner2/other",
     "", "submodule deep/er/inner/\nsubmodule file/\nsubmodule inner/\nsubmodule mixed/\n"},
    {"submodules", // listed, not entered
     "git init -q lib; touch lib/f; git -C lib add f; git -C lib commit -qm one\n"
     "git init -q app; cd app; touch main.c; git add main.c; git submodule --quiet add ../lib vendor/lib\n"
     "git commit -qm one; touch vendor/lib/untracked; git submodule --quiet add ../lib gone; rm -rf gone; mkdir gone\n"
     "git submodule --quiet add ../lib filed; rm -rf filed; echo x >filed",
     "app", "submodule gone\nsubmodule vendor/lib\n"},
    {"linked worktree", //
     "git init -q m; cd m; touch a b; printf 'skipme\\n' >.git/info/exclude; git add a b; git commit -qm one\n"
     "git worktree add -q ../w -b side; cd ../w; touch c skipme; git rm -q --cached b; git worktree add -q ./inside -b "
     "third",
     "w", "submodule inside/\n"},
    {"linked worktree's main", //
     "git init -q; touch a; git add a; git commit -qm one; git worktree add -q ./w -b side; touch w/x", "",
     "submodule w/\n"},
    {"sparse checkout", // a .gitignore that only the index has holds, too
     "git init -q; mkdir -p in/sub out; touch top in/a in/sub/b out/c; printf '*.o\\n' >in/.gitignore; git add -A; git "
     "commit -qm one\n"
     "git sparse-checkout set --no-cone '/top' '/out'; mkdir -p in; touch in/x.o in/y new.o",
     "", "gone in/.gitignore\ngone in/a\ngone in/sub/b\n"},
    {"sparse checkout by cone", // with extensions.worktreeConfig
     "git init -q; mkdir -p in/sub out; touch top in/a in/sub/b out/c; git add -A; git commit -qm one\n"
     "git sparse-checkout init --cone --no-sparse-index; git sparse-checkout set out; git config "
     "extensions.worktreeConfig true\n"
     "git config --worktree core.excludesFile .git/mine; echo '*.x' >.git/mine; touch p.x q.y",
     "", "gone in/a\ngone in/sub/b\n"},
    {"shallow", //
     "git init -q m; cd m; for i in 1 2 3; do echo $i >f$i; git add .; git commit -qm $i; done; cd ..\n"
     "git clone -q --depth 1 \"file://$PWD/m\" s; touch s/new",
     "s", ""},
    {"unborn", "git init -q; touch a b; git add a", "", ""},
    {"empty", "git init -q", "", ""},
    {"detached", "git init -q; touch a; git add a; git commit -qm one; git checkout -q --detach; touch b", "", ""},
    {"conflict", // each path once
     "git init -q; echo 0 >f; echo 0 >g; echo 0 >h; git add .; git commit -qm base; git branch other\n"
     "echo 1 >f; git rm -q g; git commit -qam ours; git checkout -q other; echo 2 >f; echo 2 >g; git commit -qam "
     "theirs\n"
     "git checkout -q main; git merge -q other >merge.log || true",
     "", ""},
    {"file against folder", // a conflict between a file and a folder of one name
     "git init -q; echo 0 >base; git add .; git commit -qm base; git checkout -q -b other; mkdir x; echo 1 >x/y; git "
     "add .; "
     "git commit -qm folder\n"
     "git checkout -q main; echo 2 >x; git add .; git commit -qm file; git merge -q other >merge.log || true",
     "", ""},
    {"intent to add", "git init -q; echo x >a; echo y >b; git add -N a; git add b; touch c; git add -N c; rm c", "",
     "gone c\n"},
    {"deleted", //
     "git init -q; mkdir -p d/e f; touch a d/e/x d/y f/z; git add .; git commit -qm one; rm -r a d/e f", "",
     "gone a\ngone d/e/x\ngone f/z\n"},
    {"links", // never followed: neither a file's nor a folder's
     "git init -q; mkdir d; touch d/f t; ln -s t file-link; ln -s d folder-link; ln -s nowhere dangling; ln -s . self\n"
     "git add d t file-link folder-link; rm -r d; mkdir real; touch real/f; ln -s real d; ln -s /etc etc",
     "", "link d\ngone d/f\nlink dangling\nlink etc\nlink file-link\nlink folder-link\nlink self\n"},
    {"files become folders", // and back
     "git init -q; mkdir b; touch a b/x c; git add .; git commit -qm one; rm a; mkdir a; touch a/n; rm -r b; touch b\n"
     "rm c; mkdir c",
     "", "gone a\ngone b/x\ngone c\n"},
    {"pipes and sockets", // untracked, they don't exist for git; tracked, they are no file any more
     "git init -q; touch a; git add a; rm a; mkfifo a; mkfifo pipe; touch f; mkdir d; mkfifo d/p", "", "special a\n"},
    {"skips", // every reason that shows in name, mode and size
     "git init -q; mkdir -p node_modules/x app/vendor/y src; head -c 1048577 /dev/zero >big; head -c 1048576 /dev/zero "
     ">fits\n"
     "touch .env .env.local .env.example conf.env id_rsa server.pem node_modules/x/i.js app/vendor/y/z.go yarn.lock "
     "Cargo.lock "
     "a.pb.go a.min.js src/secrets.py src/keys.c\n"
     "git add big .env app",
     "",
     "secret .env\nsecret .env.local\ngenerated Cargo.lock\nminified a.min.js\ngenerated a.pb.go\n"
     "vendored app/vendor/y/z.go\nlarge big\nsecret conf.env\nsecret id_rsa\nvendored node_modules/x/i.js\n"
     "secret server.pem\ngenerated yarn.lock\n"},
    {"attributes", // of the worktree, nested, by macro
     "git init -q; mkdir -p gen lib/own vendor/mine; touch gen/a.c gen/b.c lib/x.c lib/own/y.c vendor/mine/z.c "
     "vendor/w.c p.dat q.dat "
     "t.bin package-lock.json\n"
     "printf 'gen/* linguist-generated\\nlib/** linguist-vendored\\n*.dat binary\\nvendor/mine/* -linguist-vendored\\n"
     "[attr]mine linguist-generated=true\\nt.bin mine\\npackage-lock.json linguist-generated=false\\n' "
     ">.gitattributes\n"
     "printf 'b.c -linguist-generated\\n' >gen/.gitattributes; printf '* -linguist-vendored\\n' "
     ">lib/own/.gitattributes\n"
     "printf 'q.dat diff -binary\\n' >.git/info/attributes",
     "",
     "generated gen/.gitattributes\ngenerated gen/a.c\nvendored lib/x.c\nbinary p.dat\ngenerated t.bin\nvendored "
     "vendor/w.c\n"},
    {"deep", // more folders than may be open at once
     "git init -q; p=.; for i in $(seq 1 300); do p=$p/d$((i % 7)); mkdir $p; touch $p/f $p/z; done; git add "
     "\"d1/d2/d3\"",
     "", ""},
    {"strange settings", // none of them is run
     "git init -q; touch a b; git add a; echo '*.md filter=evil diff=evil' >.gitattributes; touch x.md; git add x.md; "
     "echo y >x.md\n"
     "for key in core.fsmonitor core.pager core.editor core.sshCommand filter.evil.clean filter.evil.smudge "
     "filter.evil.process diff.evil.command diff.evil.textconv core.hooksPath alias.ls-files; do git config $key "
     "'touch ran; false'; done\n"
     "git config core.fsmonitor false",
     "", ""},
};

static void skips_of(const struct repo_files *files, struct buffer *out)
{
    buffer_clear(out);
    for (size_t i = 0; i < files->n; i++) {
        if (!files->files[i].skip)
            continue;
        buffer_printf(out, "%s %s\n", repo_skip_name(files->files[i].skip), files->files[i].path);
    }
}

static void assert_same_list(const char *name, const struct buffer *is, const struct buffer *should)
{
    if (is->size == should->size && (is->size == 0 || memcmp(is->data, should->data, is->size) == 0))
        return;
    for (size_t i = 0; i < is->size; i++)
        if (!is->data[i])
            is->data[i] = '\n';
    for (size_t i = 0; i < should->size; i++)
        if (!should->data[i])
            should->data[i] = '\n';
    fail_msg("%s: the list is\n%s\nand should be\n%s", name, buffer_text(is), buffer_text(should));
}

static void walks_like_git(void **state)
{
    const struct odd *odd = *state;
    char folder[4096];
    struct buffer inside = {0}, is = {0}, should = {0};
    struct repo *repo;
    struct repo_files files;
    struct error error = {0};
    fixture_make_folder(folder, sizeof folder);
    fixture_run(folder, odd->script);
    buffer_printf(&inside, "%s/%s", folder, odd->inside);
    fixture_output(inside.data, LIST, &should);
    if (repo_open(inside.data, &repo, &error) != STATUS_OK)
        fail_msg("%s: %s", odd->name, error.text);
    if (repo_walk(repo, &(struct repo_walk_options){0}, &files, &error) != STATUS_OK)
        fail_msg("%s: %s", odd->name, error.text);
    fixture_paths(&files, &is);
    assert_same_list(odd->name, &is, &should);
    skips_of(&files, &is);
    assert_string_equal(buffer_text(&is), odd->skips);
    repo_files_deinit(&files);
    repo_free(repo);
    buffer_deinit(&inside);
    buffer_deinit(&is);
    buffer_deinit(&should);
    fixture_remove_folder(folder);
}

/* ---- random patterns ---- */

static uint32_t next_random(uint32_t *seed)
{
    *seed = *seed * 1664525u + 1013904223u;
    return *seed >> 8;
}

static void append_random(struct buffer *out, uint32_t *seed, const char *const *pieces, uint32_t n_pieces,
                          uint32_t most)
{
    uint32_t n = 1 + next_random(seed) % most;
    for (uint32_t i = 0; i < n; i++)
        buffer_append_text(out, pieces[next_random(seed) % n_pieces]);
}

/* Hundreds of lists of patterns made by chance, over files whose names give them much to meet. */
static void ignores_like_git(void **state)
{
    static const char *const pieces[] = {"a",  "b",    "A",     "*",    "**",    "/",           "**/", "/**",
                                         "?",  "[ab]", "[!a]",  "\\a",  "[a-b]", "[[:upper:]]", "\\*", "[]a]",
                                         "ab", "*/",   "[A-Z]", "/**/", "[[:x]", "[b",          "***", "[^b-]"};
    static const char *const ends[] = {"\n", "/\n", " \n", "\\ \n", "\r\n"};
    bool folds = *state != NULL;
    char folder[4096];
    uint32_t seed = folds ? 7 : 3;
    struct buffer text = {0}, script = {0}, is = {0}, should = {0}, path = {0};
    struct repo *repo;
    struct repo_files files;
    fixture_make_folder(folder, sizeof folder);
    fixture_run(folder,
                "git init -q\n"
                "for d in . a b ab A a/a a/b b/a b/ab ab/a a/a/b a/b/a b/a/b b/a/b/a A/B; do mkdir -p $d; done\n"
                "for d in $(find . -type d ! -path '*/.git*'); do for f in a b ab B ba aab '*' '[b' 'b ' -; do [ -d "
                "$d/\"$f\" ] || echo >$d/\"$f\"; done; done");
    if (folds)
        fixture_run(folder, "git config core.ignoreCase true");
    assert_int_equal(repo_open(folder, &repo, NULL), STATUS_OK);
    for (int round = 0; round < 150; round++) {
        buffer_clear(&text);
        uint32_t lines = 1 + next_random(&seed) % 4;
        for (uint32_t i = 0; i < lines; i++) {
            if (i && next_random(&seed) % 3 == 0)
                buffer_append_byte(&text, '!');
            append_random(&text, &seed, pieces, sizeof pieces / sizeof *pieces, 5);
            buffer_append_text(&text, ends[next_random(&seed) % 16 < 11 ? 0 : next_random(&seed) % 5]);
        }
        buffer_clear(&path);
        buffer_printf(&path, "%s/%s.gitignore", folder, round % 3 == 2 ? "a/" : "");
        FILE *file = fopen(path.data, "wb");
        assert_non_null(file);
        assert_int_equal(fwrite(text.data, 1, text.size, file), text.size);
        assert_int_equal(fclose(file), 0);
        fixture_output(folder, LIST, &should);
        assert_int_equal(repo_walk(repo, &(struct repo_walk_options){0}, &files, NULL), STATUS_OK);
        fixture_paths(&files, &is);
        assert_same_list(buffer_text(&text), &is, &should);
        repo_files_deinit(&files);
    }
    repo_free(repo);
    buffer_deinit(&text);
    buffer_deinit(&script);
    buffer_deinit(&is);
    buffer_deinit(&should);
    buffer_deinit(&path);
    fixture_remove_folder(folder);
}

/* A pattern that would take a matcher by trial for ever. */
static void takes_no_pattern_long(void **state)
{
    char folder[4096];
    struct repo *repo;
    struct repo_files files;
    (void)state;
    fixture_make_folder(folder, sizeof folder);
    fixture_run(folder,
                "git init -q; n=$(printf 'a%.0s' $(seq 1 200)); mkdir -p $n/$n/$n/$n; touch $n $n/$n/$n/$n/$n || true\n"
                "p=$(printf 'a*%.0s' $(seq 1 60)); q=$(printf '**/a*%.0s' $(seq 1 60))\n"
                "printf '%sb\\n%s/b\\n' \"$p\" \"$q\" >.gitignore");
    uint64_t start = clock_now_ns();
    assert_int_equal(repo_open(folder, &repo, NULL), STATUS_OK);
    assert_int_equal(repo_walk(repo, &(struct repo_walk_options){0}, &files, NULL), STATUS_OK);
    assert_int_equal(files.n, 2);
    assert_true(clock_now_ns() - start < 5000000000u);
    repo_files_deinit(&files);
    repo_free(repo);
    fixture_remove_folder(folder);
}

int main(void)
{
    enum { ODD = sizeof odd_repositories / sizeof *odd_repositories };
    static bool yes = true;
    struct CMUnitTest tests[ODD + 3] = {0};
    for (size_t i = 0; i < ODD; i++)
        tests[i] =
            (struct CMUnitTest){odd_repositories[i].name, walks_like_git, NULL, NULL, (void *)&odd_repositories[i]};
    tests[ODD] = (struct CMUnitTest){"ignores_like_git", ignores_like_git, NULL, NULL, NULL};
    tests[ODD + 1] = (struct CMUnitTest){"ignores_like_git_without_case", ignores_like_git, NULL, NULL, &yes};
    tests[ODD + 2] = (struct CMUnitTest){"takes_no_pattern_long", takes_no_pattern_long, NULL, NULL, NULL};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
