/* Tests of repo/index*: refreshes in every order, damaged files, two at once; what it answers about names and places.
 * Truth is a fresh index, and plain strings. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <fcntl.h>
#include <ftw.h>
#include <pthread.h>
#include <sqlite3.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "repo/index_store.h"

static char base[] = "/tmp/fathom-index-XXXXXX", root[64], cache[64];
static struct languages *languages;

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
    strcpy(base, "/tmp/fathom-index-XXXXXX");
    if (!mkdtemp(base))
        return -1;
    snprintf(root, sizeof root, "%s/root", base);
    snprintf(cache, sizeof cache, "%s/cache", base);
    return mkdir(root, 0700) || mkdir(cache, 0700);
}

static int tear_down(void **state)
{
    (void)state;
    return nftw(base, remove_one, 16, FTW_DEPTH | FTW_PHYS);
}

static void write_file(const char *path, const char *text)
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
    assert_int_equal(fwrite(text, 1, strlen(text), file), strlen(text));
    assert_int_equal(fclose(file), 0);
}

static void remove_file(const char *path)
{
    char full[512];
    snprintf(full, sizeof full, "%s/%s", root, path);
    assert_int_equal(unlink(full), 0);
}

static struct index *open_index(void)
{
    struct index *index = NULL;
    struct error error = {0};
    if (index_open(cache, root, &index, &error) != STATUS_OK)
        fail_msg("%s", error.text);
    return index;
}

static struct repo *open_repo(void)
{
    struct repo *repo = NULL;
    struct error error = {0};
    if (repo_open(root, &repo, &error) != STATUS_OK)
        fail_msg("%s", error.text);
    return repo;
}

static struct index_report refresh_of(struct index *index, struct repo *repo, const char *const *paths, size_t n,
                                      int n_threads)
{
    struct index_options options = {.languages = languages, .n_threads = n_threads};
    struct index_report report;
    struct error error = {0};
    enum status status = paths ? index_refresh_paths(index, repo, paths, n, &options, &report, &error)
                               : index_refresh(index, repo, &options, &report, &error);
    if (status != STATUS_OK)
        fail_msg("%s", error.text);
    return report;
}

static struct index_report refresh_with(struct index *index, const char *const *paths, size_t n, int n_threads)
{
    struct repo *repo = open_repo();
    struct index_report report = refresh_of(index, repo, paths, n, n_threads);
    repo_free(repo);
    return report;
}

static struct index_report refresh(struct index *index)
{
    return refresh_with(index, NULL, 0, 2);
}

/* ---- everything that the index says, in an order of its own ---- */

struct lines {
    char **items;
    size_t n, capacity;
};

static void add_line(struct lines *lines, const struct buffer *line)
{
    if (lines->n == lines->capacity) {
        lines->capacity = lines->capacity * 2 + 64;
        lines->items = realloc(lines->items, lines->capacity * sizeof *lines->items);
        assert_non_null(lines->items);
    }
    lines->items[lines->n++] = strdup(buffer_text(line));
}

static int compare_lines(const void *a, const void *b)
{
    return strcmp(*(char *const *)a, *(char *const *)b);
}

static void put_hex(struct buffer *out, const void *bytes, size_t size)
{
    for (size_t i = 0; i < size; i++)
        buffer_printf(out, "%02x", ((const uint8_t *)bytes)[i]);
}

/* Name of a content that doesn't depend on its number. */
static void name_content(struct index *index, int64_t content, struct buffer *out)
{
    sqlite3_stmt *row = index_statement(index, INDEX_CONTENT, NULL);
    sqlite3_bind_int64(row, 1, content);
    if (sqlite3_step(row) == SQLITE_ROW)
        put_hex(out, sqlite3_column_blob(row, 1), (size_t)sqlite3_column_bytes(row, 1));
    sqlite3_reset(row);
}

static bool is_live(struct index *index, int64_t content)
{
    sqlite3_stmt *row = index_statement(index, INDEX_PATHS_OF, NULL);
    sqlite3_bind_int64(row, 1, content);
    sqlite3_bind_int(row, 2, 1);
    bool is_there = sqlite3_step(row) == SQLITE_ROW;
    sqlite3_reset(row);
    return is_there;
}

static void dump_segment(struct index *index, const struct segment *segment, struct lines *out)
{
    struct segment_cursor cursor = {0};
    struct buffer line = {0}, lengths = {0};
    assert_int_equal(segment_lengths(index->segments, segment, &lengths, NULL), STATUS_OK);
    assert_int_equal(segment_seek(&cursor, index->segments, segment, "", 0, NULL), STATUS_OK);
    for (; !cursor.is_done; assert_int_equal(segment_next(&cursor, NULL), STATUS_OK)) {
        struct posting_list list = cursor.list;
        uint32_t n = 0;
        while (posting_next(&list)) {
            int64_t content = list.document, chunk = -1;
            n++;
            if (cursor.key.bytes[0] == KEY_TERM) {
                sqlite3_stmt *row = index_statement(index, INDEX_CONTENT_AT, NULL);
                sqlite3_bind_int64(row, 1, list.document);
                assert_int_equal(sqlite3_step(row), SQLITE_ROW);
                content = sqlite3_column_int64(row, 0);
                chunk = list.document - sqlite3_column_int64(row, 1);
                bool is_within = chunk < sqlite3_column_int64(row, 2);
                sqlite3_reset(row);
                if (!is_within)
                    continue;
            }
            if (!is_live(index, content))
                continue;
            buffer_clear(&line);
            put_hex(&line, cursor.key.bytes, cursor.key.size);
            buffer_printf(&line, " %u %u ", list.low, list.has_extra ? list.extra : 0);
            name_content(index, content, &line);
            if (chunk >= 0)
                buffer_printf(&line, " %lld length %u", (long long)chunk,
                              (uint8_t)lengths.data[list.document - segment->first_chunk]);
            add_line(out, &line);
        }
        assert_int_equal(n, cursor.list.n);
        assert_false(list.reader.failed);
    }
    segment_cursor_deinit(&cursor);
    buffer_deinit(&line);
    buffer_deinit(&lengths);
}

static void dump(struct index *index, struct lines *out)
{
    static const char *const queries[] = {
        "SELECT path, content, skip, symbols, refs, bytes, stem FROM files",
        "SELECT id, blob, language, bytes, contents.chunks, contents.definitions, contents.refs, flags, facts.chunks, "
        "imports, facts.definitions, facts.refs FROM contents JOIN facts USING (id)",
    };
    struct buffer line = {0};
    for (int i = 0; i < 2; i++) {
        sqlite3_stmt *rows = NULL;
        assert_int_equal(sqlite3_prepare_v2(index->database, queries[i], -1, &rows, NULL), SQLITE_OK);
        while (sqlite3_step(rows) == SQLITE_ROW) {
            if (i == 1 && !is_live(index, sqlite3_column_int64(rows, 0)))
                continue;
            buffer_clear(&line);
            for (int column = 0; column < sqlite3_column_count(rows); column++) {
                buffer_append_byte(&line, ' ');
                if (column == (i == 0 ? 1 : 0))
                    name_content(index, sqlite3_column_int64(rows, column), &line);
                else
                    put_hex(&line, sqlite3_column_blob(rows, column), (size_t)sqlite3_column_bytes(rows, column));
            }
            add_line(out, &line);
        }
        sqlite3_finalize(rows);
    }
    const struct segment *list;
    size_t n;
    assert_int_equal(segment_list(index->segments, &list, &n, NULL), STATUS_OK);
    struct segment *segments = calloc(n + 1, sizeof *segments);
    if (n)
        memcpy(segments, list, n * sizeof *segments);
    for (size_t i = 0; i < n; i++)
        dump_segment(index, &segments[i], out);
    free(segments);
    buffer_deinit(&line);
    qsort(out->items, out->n, sizeof *out->items, compare_lines);
}

static void free_lines(struct lines *lines)
{
    for (size_t i = 0; i < lines->n; i++)
        free(lines->items[i]);
    free(lines->items);
    *lines = (struct lines){0};
}

/* The index says what one that is made now says. */
static void assert_fresh(struct index *index)
{
    char kept[sizeof cache];
    struct lines is = {0}, wanted = {0};
    strcpy(kept, cache);
    snprintf(cache, sizeof cache, "%s/fresh", base);
    mkdir(cache, 0700);
    struct index *fresh = open_index();
    refresh(fresh);
    dump(index, &is);
    dump(fresh, &wanted);
    index_close(fresh);
    assert_int_equal(nftw(cache, remove_one, 16, FTW_DEPTH | FTW_PHYS), 0);
    strcpy(cache, kept);
    for (size_t i = 0; i < is.n && i < wanted.n; i++)
        assert_string_equal(is.items[i], wanted.items[i]);
    assert_int_equal(is.n, wanted.n);
    assert_true(is.n > 0);
    free_lines(&is);
    free_lines(&wanted);
}

/* ---- refreshes ---- */

static uint32_t random_next(uint32_t *seed)
{
    *seed = *seed * 1664525u + 1013904223u;
    return *seed >> 8;
}

static const char adder[] =
    "#include \"deep/shapes.h\"\n\n/* Adds. */\nint add_numbers(int a, int b)\n{\n    return a + b;\n}\n";
static const char shapes[] = "struct Shape {\n    int side;\n};\nint add_numbers(int a, int b);\n#define SIDES 4\n";
static const char user[] =
    "#include \"deep/shapes.h\"\n\nint use(void)\n{\n    return add_numbers(SIDES, 2) + add_numbers(1, 2);\n}\n";

static void write_project(void)
{
    write_file("adder.c", adder);
    write_file("deep/shapes.h", shapes);
    write_file("deep/user.c", user);
    write_file("notes.txt", "plain words about getUserPages\n");
    write_file("same.c", adder);
}

static void counts_are_right(void **state)
{
    (void)state;
    write_project();
    write_file("binary.bin", "x\x01");
    char full[128];
    snprintf(full, sizeof full, "%s/binary.bin", root);
    FILE *file = fopen(full, "wb");
    fwrite("a\0b", 1, 3, file);
    fclose(file);
    struct index *index = open_index();
    struct index_report report = refresh(index);
    assert_int_equal(report.n_files, 5);
    assert_int_equal(report.n_skipped, 1);
    assert_int_equal(report.skipped[REPO_SKIP_BINARY], 1);
    assert_int_equal(report.n_changed, 6);
    assert_int_equal(report.n_bytes, 2 * strlen(adder) + strlen(shapes) + strlen(user) + 31);
    assert_true(report.n_symbols >= 7);
    struct index_report again = refresh(index);
    assert_int_equal(again.n_changed, 0);
    assert_int_equal(again.n_files, 5);
    assert_int_equal(again.n_symbols, report.n_symbols);
    assert_int_equal(again.n_references, report.n_references);
    assert_int_equal(again.skipped[REPO_SKIP_BINARY], 1);
    index_close(index);
}

static void changes_of_all_kinds_are_followed(void **state)
{
    (void)state;
    static const char *const names[] = {"a.c", "b.c", "c/d.c", "c/e.py", "f.txt", "c", "g.h", "c.c"};
    static const char *const texts[] = {adder, shapes, user, "def f(x):\n    return f(x)\n", "words\n", "", "int x;\n"};
    uint32_t seed = 3;
    struct index *index = open_index();
    write_project();
    refresh(index);
    for (int turn = 0; turn < 60; turn++) {
        for (int k = 0; k < 3; k++) {
            const char *name = names[random_next(&seed) % 8];
            char full[512];
            struct stat about;
            snprintf(full, sizeof full, "%s/%s", root, name);
            uint32_t what = random_next(&seed) % 3;
            bool is_there = lstat(full, &about) == 0;
            if (is_there && what == 0) {
                assert_int_equal(nftw(full, remove_one, 16, FTW_DEPTH | FTW_PHYS), 0);
            } else if (!is_there || S_ISREG(about.st_mode)) {
                char folder[512];
                snprintf(folder, sizeof folder, "%s/c", root);
                if (name[1] == '/' && lstat(folder, &about) == 0 && S_ISREG(about.st_mode))
                    unlink(folder);
                write_file(name, texts[random_next(&seed) % 7]);
            }
        }
        if (turn % 3 == 2) {
            static const char *const paths[] = {"a.c", "b.c", "c", "c.c", "c/", "c/d.c", "c/e.py", "f.txt", "g.h"};
            refresh_with(index, paths, 9, 1);
        } else {
            refresh(index);
        }
        if (turn % 10 == 9)
            assert_fresh(index);
    }
    assert_fresh(index);
    index_close(index);
}

/* More files than those whose parse costs less than looking all contents up. */
enum { MANY = 10 };

static void move_many(const char *from, const char *to)
{
    for (int i = 0; i < MANY; i++) {
        char path[64], text[64];
        snprintf(text, sizeof text, "int number_%d;\n", i);
        snprintf(path, sizeof path, "%s/%d.c", to, i);
        write_file(path, text);
        snprintf(path, sizeof path, "%s/%d.c", from ? from : "", i);
        if (from)
            remove_file(path);
    }
}

/* A rename, a copy and a content that comes back are rows: nothing is parsed. */
static void known_contents_cost_a_row(void **state)
{
    (void)state;
    write_project();
    move_many(NULL, "many");
    struct index *index = open_index();
    refresh(index);
    write_file("copied/adder.c", adder);
    remove_file("adder.c");
    move_many("many", "moved");
    struct index_report report = refresh(index);
    assert_int_equal(report.n_changed, 2 + 2 * MANY);
    assert_int_equal(report.parse_ns, 0);
    write_file("deep/user.c", "int other;\n");
    assert_true(refresh(index).parse_ns > 0);
    write_file("deep/user.c", user);
    report = refresh(index);
    assert_int_equal(report.n_changed, 1);
    assert_fresh(index);
    index_close(index);
}

/* Written again within one tick of the clock, with the same size: the stamp alone would not tell. */
static void young_files_are_read_again(void **state)
{
    (void)state;
    struct index *index = open_index();
    for (int turn = 0; turn < 40; turn++) {
        char text[32];
        snprintf(text, sizeof text, "int v%02d;\n", turn);
        write_file("young.c", text);
        refresh(index);
        snprintf(text, sizeof text, "v%02d", turn);
        struct index_definitions found;
        assert_int_equal(index_definitions(index, text, NULL, 5, &found, NULL), STATUS_OK);
        assert_int_equal(found.n, 1);
        index_definitions_deinit(&found);
    }
    index_close(index);
}

static void index_path(char out[256])
{
    struct index *index = open_index();
    snprintf(out, 256, "%s", buffer_text(&index->path));
    index_close(index);
}

static void damaged_files_are_made_anew(void **state)
{
    (void)state;
    char path[256];
    uint32_t seed = 11;
    write_project();
    struct index *index = open_index();
    refresh(index);
    index_close(index);
    index_path(path);
    FILE *file = fopen(path, "rb");
    static char good[1 << 20];
    size_t size = fread(good, 1, sizeof good, file);
    fclose(file);
    assert_true(size > 8192 && size < sizeof good);
    for (int turn = 0; turn < 40; turn++) {
        static char bad[1 << 20];
        size_t n = size;
        memcpy(bad, good, size);
        if (turn == 0)
            n = 0;
        else if (turn == 1)
            memset(bad, 'x', n);
        else if (turn == 2)
            n = size / 2;
        else if (turn == 3)
            bad[63] = 99; /* user_version */
        else
            for (int k = 0; k < 1 << turn % 8; k++) {
                size_t at = random_next(&seed) % n;
                bad[at] = (char)random_next(&seed);
            }
        file = fopen(path, "wb");
        fwrite(bad, 1, n, file);
        fclose(file);
        index = open_index();
        refresh(index);
        struct index_definitions found;
        struct error error;
        /* Bytes within a row may be other ones and still make sense, so only what notices is held to be right. */
        enum status status = index_definitions(index, "add_numbers", NULL, 5, &found, &error);
        assert_true(status == STATUS_OK || status == STATUS_FORMAT);
        index_definitions_deinit(&found);
        status = index_scopes_at(index, &(struct index_place){"adder.c", 5}, &found, &error);
        assert_true(status == STATUS_OK || status == STATUS_FORMAT);
        index_definitions_deinit(&found);
        if (turn < 4)
            assert_fresh(index);
        index_close(index);
    }
}

struct beside {
    struct repo *repo; /* opened by the main thread: repo_open is for one at a time */
    enum status status;
};

static void *refresh_beside(void *context)
{
    struct beside *beside = context;
    struct index *index = open_index();
    struct index_options options = {.languages = languages, .n_threads = 2};
    struct index_report report;
    for (int i = 0; beside->status == STATUS_OK && i < 5; i++)
        beside->status = index_refresh(index, beside->repo, &options, &report, NULL);
    index_close(index);
    return NULL;
}

static void two_may_refresh_at_once(void **state)
{
    (void)state;
    char name[64], text[64];
    for (int i = 0; i < 60; i++) {
        snprintf(name, sizeof name, "many/%d.c", i);
        snprintf(text, sizeof text, "int function_%d(void)\n{\n    return %d;\n}\n", i / 2, i / 2);
        write_file(name, text);
    }
    struct index *index = open_index();
    refresh(index);
    pthread_t thread;
    struct beside beside = {.repo = open_repo()};
    struct repo *repo = open_repo();
    assert_int_equal(pthread_create(&thread, NULL, refresh_beside, &beside), 0);
    for (int turn = 0; turn < 5; turn++) {
        snprintf(name, sizeof name, "many/%d.c", turn);
        write_file(name, "int changed;\n");
        refresh_of(index, repo, NULL, 0, 2);
    }
    pthread_join(thread, NULL);
    assert_int_equal(beside.status, STATUS_OK);
    repo_free(beside.repo);
    repo_free(repo);
    refresh(index);
    assert_fresh(index);
    index_close(index);
}

struct stop {
    atomic_bool cancel;
    uint64_t at;
};

static void stop_at(void *context, const char *what, uint64_t done, uint64_t total)
{
    struct stop *stop = context;
    (void)what;
    (void)total;
    if (done >= stop->at)
        atomic_store(&stop->cancel, true);
}

static void what_was_done_is_kept(void **state)
{
    (void)state;
    char name[64], text[64];
    for (int i = 0; i < 40; i++) {
        snprintf(name, sizeof name, "%d.c", i);
        snprintf(text, sizeof text, "int function_%d;\n", i);
        write_file(name, text);
    }
    struct index *index = open_index();
    struct repo *repo = open_repo();
    struct stop stop = {.at = 10};
    struct index_options options = {
        .languages = languages, .n_threads = 2, .cancel = &stop.cancel, .progress = stop_at, .context = &stop};
    struct index_report report;
    struct error error = {0};
    assert_int_equal(index_refresh(index, repo, &options, &report, &error), STATUS_CANCELLED);
    repo_free(repo);
    index_close(index);
    index = open_index();
    report = refresh(index);
    assert_true(report.n_changed > 0 && report.n_changed <= 30);
    assert_fresh(index);
    index_close(index);
}

/* What no file names any more goes once it is large, and its postings, too. */
static void dead_contents_are_collected(void **state)
{
    (void)state;
    enum { SIZE = 900000 };
    char *text = malloc(SIZE + 1);
    struct index *index = open_index();
    for (int turn = 0; turn < 40; turn++) {
        size_t n = 0;
        for (int word = 0; n + 40 < SIZE; word++)
            n += (size_t)sprintf(text + n, "word%d of turn%d\n", word % 50, turn);
        write_file("large.txt", text);
        write_file("small.c", adder);
        refresh(index);
    }
    free(text);
    int64_t n_contents = 0;
    sqlite3_stmt *row = NULL;
    assert_int_equal(sqlite3_prepare_v2(index->database, "SELECT count(*) FROM contents", -1, &row, NULL), SQLITE_OK);
    assert_int_equal(sqlite3_step(row), SQLITE_ROW);
    n_contents = sqlite3_column_int64(row, 0);
    sqlite3_finalize(row);
    assert_true(n_contents > 2 && n_contents < 30); /* 41 were stored */
    assert_int_equal(sqlite3_prepare_v2(index->database, "SELECT count(*) FROM facts", -1, &row, NULL), SQLITE_OK);
    assert_int_equal(sqlite3_step(row), SQLITE_ROW);
    assert_int_equal(sqlite3_column_int64(row, 0), n_contents);
    sqlite3_finalize(row);
    assert_fresh(index);
    index_close(index);
}

static void the_least_used_indexes_go(void **state)
{
    (void)state;
    struct index *opened[4];
    char roots[4][64], paths[4][256], kept[sizeof root];
    uint64_t n_removed;
    strcpy(kept, root);
    for (int i = 0; i < 4; i++) {
        snprintf(roots[i], sizeof roots[i], "%s/root%d", base, i);
        assert_int_equal(mkdir(roots[i], 0700), 0);
        strcpy(root, roots[i]);
        write_project();
        opened[i] = open_index();
        refresh(opened[i]);
        snprintf(paths[i], sizeof paths[i], "%s", buffer_text(&opened[i]->path));
        index_close(opened[i]);
    }
    struct stat about;
    assert_int_equal(stat(paths[0], &about), 0);
    uint64_t size = (uint64_t)about.st_size;
    strcpy(root, roots[0]);
    opened[0] = open_index(); /* now 1 is the oldest */
    assert_int_equal(index_prune(cache, 4 * size + size / 2, NULL, &n_removed, NULL), STATUS_OK);
    assert_int_equal(n_removed, 0);
    strcpy(root, roots[2]);
    opened[2] = open_index();
    assert_int_equal(index_lock(opened[2], NULL, NULL), STATUS_OK);
    assert_int_equal(index_prune(cache, 0, opened[0], &n_removed, NULL), STATUS_OK);
    assert_int_equal(n_removed, 2);
    for (int i = 0; i < 4; i++)
        assert_int_equal(access(paths[i], F_OK), i % 2 ? -1 : 0);
    index_unlock(opened[2]);
    index_close(opened[0]);
    index_close(opened[2]);
    strcpy(root, roots[1]);
    opened[1] = open_index();
    assert_int_equal(refresh(opened[1]).n_files, 5);
    index_close(opened[1]);
    strcpy(root, kept);
}

/* ---- answers ---- */

static bool count_reference(void *context, const struct index_reference *reference)
{
    struct buffer *out = context;
    buffer_printf(out, "%.*s:%u%s ", (int)reference->path_size, reference->path, reference->line,
                  reference->is_call ? "()" : "");
    return true;
}

static bool list_import(void *context, const char *path, size_t size, uint32_t line)
{
    struct buffer *out = context;
    buffer_printf(out, "%.*s:%u ", (int)size, path, line);
    return true;
}

static bool list_importer(void *context, const char *path, size_t size)
{
    struct buffer *out = context;
    buffer_printf(out, "%.*s ", (int)size, path);
    return true;
}

static void names_and_places_are_found(void **state)
{
    (void)state;
    write_project();
    remove_file("same.c");
    struct index *index = open_index();
    refresh(index);
    struct index_definitions found;
    assert_int_equal(index_definitions(index, "add_numbers", NULL, 5, &found, NULL), STATUS_OK);
    assert_int_equal(found.n, 2);
    assert_string_equal(found.items[0].path, "adder.c"); /* a body before a prototype */
    assert_int_equal(found.items[0].kind, TAG_FUNCTION);
    assert_int_equal(found.items[0].line, 4);
    assert_int_equal(found.items[0].end_line, 7);
    assert_int_equal(memcmp(adder + found.items[0].doc.begin, "/* Adds. */", 11), 0);
    assert_int_equal(found.items[1].kind, TAG_PROTOTYPE);
    index_definitions_deinit(&found);
    assert_int_equal(index_definitions(index, "Add_numbers", NULL, 5, &found, NULL), STATUS_OK);
    assert_int_equal(found.n, 0);
    index_definitions_deinit(&found);
    assert_int_equal(index_scopes_at(index, &(struct index_place){"deep/shapes.h", 2}, &found, NULL), STATUS_OK);
    assert_true(found.n >= 1);
    assert_string_equal(found.items[0].name, "Shape");
    index_definitions_deinit(&found);
    assert_int_equal(index_scopes_at(index, &(struct index_place){"nowhere.c", 2}, &found, NULL), STATUS_OK);
    assert_int_equal(found.n, 0);
    index_definitions_deinit(&found);

    struct buffer text = {0};
    assert_int_equal(index_references(index, "add_numbers", NULL, count_reference, &text, NULL), STATUS_OK);
    assert_string_equal(buffer_text(&text), "deep/user.c:5() deep/user.c:5() ");
    buffer_clear(&text);
    assert_int_equal(index_imports(index, "adder.c", list_import, &text, NULL), STATUS_OK);
    assert_string_equal(buffer_text(&text), "deep/shapes.h:1 ");
    buffer_clear(&text);
    assert_int_equal(index_importers(index, "deep/shapes.h", list_importer, &text, NULL), STATUS_OK);
    assert_true(strstr(buffer_text(&text), "adder.c") && strstr(buffer_text(&text), "deep/user.c"));
    buffer_deinit(&text);

    struct index_nearness *near;
    assert_int_equal(index_nearness_new(index, "adder.c", &near, NULL), STATUS_OK);
    double same = index_nearness_of(near, "adder.c", 7), imported = index_nearness_of(near, "deep/shapes.h", 13);
    double other = index_nearness_of(near, "deep/user.c", 11);
    assert_true(same > imported && imported > other);
    index_nearness_free(near);

    struct index_chunk chunks[8];
    size_t n;
    assert_int_equal(index_chunks_at(index, &(struct index_place){"adder.c", 6}, 1, 1, chunks, 8, &n, NULL), STATUS_OK);
    assert_true(n >= 1);
    bool is_held = false;
    for (size_t i = 0; i < n; i++)
        is_held = is_held || (chunks[i].line <= 6 && 6 <= chunks[i].end_line);
    assert_true(is_held);
    index_close(index);
}

static void imports_follow_plain_rules(void **state)
{
    (void)state;
    write_file("include/linux/fs.h", "int a;\n");
    write_file("other/linux/fs.h", "int b;\n");
    write_file("fs/core.c", "#include <linux/fs.h>\n#include \"own.h\"\n#include \"missing.h\"\n");
    write_file("fs/own.h", "int c;\n");
    write_file("own.h", "int d;\n");
    write_file("pkg/__init__.py", "");
    write_file("pkg/inner/mod.py", "import os\nfrom ..outer import name\nimport pkg.outer\n");
    write_file("pkg/outer.py", "name = 1\n");
    struct index *index = open_index();
    struct buffer text = {0};
    refresh(index);
    assert_int_equal(index_imports(index, "fs/core.c", list_import, &text, NULL), STATUS_OK);
    assert_string_equal(buffer_text(&text), "include/linux/fs.h:1 fs/own.h:2 ");
    buffer_clear(&text);
    assert_int_equal(index_imports(index, "pkg/inner/mod.py", list_import, &text, NULL), STATUS_OK);
    assert_string_equal(buffer_text(&text), "pkg/outer.py:2 pkg/outer.py:3 ");
    buffer_deinit(&text);
    index_close(index);
}

static bool collect_name(void *context, const struct index_name *name)
{
    struct buffer *out = context;
    buffer_printf(out, "%.*s:%zu/%zu ", (int)name->size, name->name, name->n_definers, name->n_users);
    return true;
}

static void the_graph_joins_names(void **state)
{
    (void)state;
    write_project();
    struct index *index = open_index();
    refresh(index);
    struct buffer text = {0};
    assert_int_equal(index_each_name(index, collect_name, &text, NULL, NULL), STATUS_OK);
    assert_non_null(strstr(buffer_text(&text), "add_numbers:2/1 "));
    assert_non_null(strstr(buffer_text(&text), "SIDES:1/1 "));
    assert_non_null(strstr(buffer_text(&text), "Shape:1/0 "));
    assert_null(strstr(buffer_text(&text), "getUserPages"));
    buffer_deinit(&text);
    index_close(index);
}

/* A definition of C++ that stands outside of its class belongs to it all the same. */
static void written_scopes_are_known(void **state)
{
    (void)state;
    static const char *const wanted[][2] = {{"plain", ""},     {"turn", "Wheel"},   {"roll", "Wheel"},
                                            {"push", "Stack"}, {"~Wheel", "Wheel"}, {"inner", "Wheel"},
                                            {"deep", "In"}};
    write_file("wheel.cpp", "struct Wheel {\n    int inner() { return 1; }\n};\n"
                            "int plain() { return 0; }\n"
                            "int Wheel::turn(int n) { return n; }\n"
                            "static_assert(1);\n"
                            "Wheel::~Wheel() {}\n"
                            "namespace cars {\nvoid Wheel::roll() {}\n}\n"
                            "template <class T> void Stack<T, Pair<T>>::push(T x) {}\n"
                            "int Out::In::deep() { return 2; }\n");
    struct index *index = open_index();
    refresh(index);
    for (size_t i = 0; i < sizeof wanted / sizeof *wanted; i++) {
        struct index_definitions found;
        assert_int_equal(index_definitions(index, wanted[i][0], NULL, 5, &found, NULL), STATUS_OK);
        if (found.n != 1)
            fail_msg("%s: %zu", wanted[i][0], found.n);
        assert_string_equal(found.items[0].scope, wanted[i][1]);
        index_definitions_deinit(&found);
    }
    index_close(index);
}

static bool note_edit(void *context, const char *path, size_t size, int64_t edited_ns)
{
    bool *is_edited = context;
    assert_true(size == 3 && memcmp(path, "a.c", 3) == 0 && edited_ns > 0 && !*is_edited);
    return *is_edited = true;
}

/* With another tag query, what depends on it is read anew, and nothing else; then the index is that of a fresh one. */
static void another_query_reads_again(void **state)
{
    (void)state;
    struct languages *others = NULL, *ours = languages;
    char queries[128], script[512];
    snprintf(queries, sizeof queries, "%s/tags", base);
    snprintf(script, sizeof script, "cp -r assets/tags %s && printf '\n; other\n' >>%s/python.scm", queries, queries);
    assert_int_equal(system(script), 0);
    const char *grammars[] = {"build/lib", NULL}, *tags[] = {queries, NULL};
    assert_int_equal(languages_new(grammars, tags, &others, NULL), STATUS_OK);
    assert_true(languages_version(ours, language_by_name("c")) == languages_version(others, language_by_name("c")));
    assert_true(languages_version(ours, language_by_name("python")) !=
                languages_version(others, language_by_name("python")));
    write_file("a.c", "int one(void)\n{\n    return 1;\n}\n");
    write_file("b.py", "def two():\n    return 2\n");
    write_file("copy.py", "def two():\n    return 2\n");
    write_file("c.txt", "plain\n");
    struct index *index = open_index();
    refresh(index);
    languages = others;
    assert_int_equal(refresh(index).n_changed, 2);
    assert_int_equal(refresh(index).n_changed, 0);
    languages = ours; /* known: read by these before */
    assert_int_equal(refresh(index).n_changed, 2);
    struct index_definitions found;
    assert_int_equal(index_definitions(index, "two", NULL, 10, &found, NULL), STATUS_OK);
    assert_int_equal(found.n, 1);
    index_definitions_deinit(&found);
    /* None of it was an edit. */
    bool is_edited = false;
    assert_int_equal(index_edited(index, 0, 10, note_edit, &is_edited, NULL), STATUS_OK);
    assert_false(is_edited);
    write_file("a.c", "int one(void)\n{\n    return 3;\n}\n");
    assert_int_equal(refresh(index).n_changed, 1);
    assert_int_equal(index_edited(index, 0, 10, note_edit, &is_edited, NULL), STATUS_OK);
    assert_true(is_edited);
    index_close(index);
    languages_free(others);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(counts_are_right, set_up, tear_down),
        cmocka_unit_test_setup_teardown(changes_of_all_kinds_are_followed, set_up, tear_down),
        cmocka_unit_test_setup_teardown(known_contents_cost_a_row, set_up, tear_down),
        cmocka_unit_test_setup_teardown(young_files_are_read_again, set_up, tear_down),
        cmocka_unit_test_setup_teardown(damaged_files_are_made_anew, set_up, tear_down),
        cmocka_unit_test_setup_teardown(two_may_refresh_at_once, set_up, tear_down),
        cmocka_unit_test_setup_teardown(what_was_done_is_kept, set_up, tear_down),
        cmocka_unit_test_setup_teardown(dead_contents_are_collected, set_up, tear_down),
        cmocka_unit_test_setup_teardown(the_least_used_indexes_go, set_up, tear_down),
        cmocka_unit_test_setup_teardown(names_and_places_are_found, set_up, tear_down),
        cmocka_unit_test_setup_teardown(imports_follow_plain_rules, set_up, tear_down),
        cmocka_unit_test_setup_teardown(the_graph_joins_names, set_up, tear_down),
        cmocka_unit_test_setup_teardown(written_scopes_are_known, set_up, tear_down),
        cmocka_unit_test_setup_teardown(another_query_reads_again, set_up, tear_down),
    };
    const char *grammars[] = {"build/lib", NULL}, *tags[] = {"assets/tags", NULL};
    if (languages_new(grammars, tags, &languages, NULL) != STATUS_OK)
        return 2;
    int failed = cmocka_run_group_tests(tests, NULL, NULL);
    languages_free(languages);
    return failed;
}
