/* index_refresh: what differs between the files and the index, and bringing the index up to it (index.h).
 *
 * A file whose stamp is the one that was stored has not changed.  A stamp that is as young as the walk itself proves
 * nothing, since the file may change again without it, so it isn't stored.  Of the others the content's id decides: known
 * content, from wherever, costs a row. */
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "repo/index_refresh.h"

enum {
    FEW_KNOWN = 8,   /* files for which not all contents are looked up in advance */
    EDITS_MOST = 64, /* that change at once; more were not typed, but checked out or made */
    LARGE = 16,      /* a part of the files that is large: one in so many */
};

struct work {
    const struct repo_file *file;
    uint32_t old_content;
    enum repo_skip old_skip;
    int64_t old_edited_ns;
    bool had_row, same_stamp;
};

struct deferred {
    size_t work;
    struct repo_id id;
    int language;
};

struct refresh {
    struct index *index;
    struct repo *repo;
    const struct index_options *options;
    struct index_report *report;
    struct index_writer writer;
    int64_t walked_ns; /* wall clock when the walk began */
    struct work *work;
    const struct repo_file **to_read; /* of the pipe; index into work in read_work */
    size_t *read_work;
    struct deferred *deferred; /* files whose content was being parsed for another one */
    size_t n_work, work_capacity, n_read, n_deferred, n_done;
    struct known known;
    struct buffer gone_paths;             /* size, path, ... */
    const struct work *edits[EDITS_MOST]; /* files of another content */
    size_t n_edits;                       /* may be more */
    bool is_outdated;                     /* by other grammars than are there now */
    bool was_whole;                       /* a refresh of all files had come to its end before */
};

static bool is_cancelled(const struct refresh *refresh)
{
    return refresh->options->cancel && atomic_load(refresh->options->cancel);
}

static enum status out_of_memory(struct error *error)
{
    return error_set(error, STATUS_MEMORY, "out of memory");
}

static uint64_t thread_now_ns(void)
{
    struct timespec now;
    return clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now) == 0
               ? (uint64_t)now.tv_sec * UINT64_C(1000000000) + (uint64_t)now.tv_nsec
               : 0;
}

static bool stamps_equal(const struct repo_stamp *a, const struct repo_stamp *b)
{
    return a->size == b->size && a->mtime_ns == b->mtime_ns && a->ctime_ns == b->ctime_ns && a->inode == b->inode &&
           a->mode == b->mode;
}

static bool stamp_is_known(const struct repo_stamp *stamp)
{
    return stamp->mtime_ns || stamp->inode;
}

/* File systems tell times by steps: of the kernel's clock, or of whole seconds where both times show none smaller. */
static bool is_young(const struct refresh *refresh, const struct repo_stamp *stamp)
{
    const int64_t second = 1000000000;
    int64_t step = stamp->mtime_ns % second == 0 && stamp->ctime_ns % second == 0 ? 2 * second : second / 20;
    int64_t before = refresh->walked_ns - step;
    return stamp->mtime_ns > before || stamp->ctime_ns > before;
}

/* ---- what differs ---- */

static enum status add_work(struct refresh *refresh, const struct repo_file *file, const struct index_file_row *row,
                            struct error *error)
{
    if (refresh->n_work == refresh->work_capacity) {
        size_t capacity = refresh->work_capacity ? refresh->work_capacity * 2 : 64;
        struct work *moved = realloc(refresh->work, capacity * sizeof *moved);
        if (!moved)
            return out_of_memory(error);
        refresh->work = moved;
        refresh->work_capacity = capacity;
    }
    refresh->work[refresh->n_work++] = (struct work){.file = file,
                                                     .old_content = row ? row->content : 0,
                                                     .old_skip = row ? row->skip : REPO_KEEP,
                                                     .old_edited_ns = row ? row->edited_ns : 0,
                                                     .had_row = row != NULL,
                                                     .same_stamp = row && stamps_equal(&row->stamp, &file->stamp)};
    return STATUS_OK;
}

static void count_file(struct index_report *report, uint32_t content, enum repo_skip skip, uint64_t n_symbols,
                       uint64_t n_references, uint64_t n_bytes)
{
    if (!content) {
        report->n_skipped++;
        report->skipped[skip]++;
        return;
    }
    report->n_files++;
    report->n_symbols += n_symbols;
    report->n_references += n_references;
    report->n_bytes += n_bytes;
}

static enum status meet(struct refresh *refresh, const struct repo_file *file, const struct index_file_row *row,
                        struct error *error)
{
    struct index_report *report = refresh->report;
    if (file && file->skip != REPO_KEEP) {
        report->n_skipped++;
        report->skipped[file->skip]++;
    }
    bool is_wanted = file && file->skip == REPO_KEEP;
    if (row && !is_wanted) {
        code_put(&refresh->gone_paths, row->path_size);
        buffer_append(&refresh->gone_paths, row->path, row->path_size);
        report->n_changed++;
    }
    if (!is_wanted)
        return STATUS_OK;
    if (row && stamp_is_known(&file->stamp) && stamps_equal(&row->stamp, &file->stamp)) {
        count_file(report, row->content, row->skip, row->n_symbols, row->n_references, row->n_bytes);
        return STATUS_OK;
    }
    return add_work(refresh, file, row, error);
}

/* Both are sorted by path. */
static enum status compare(struct refresh *refresh, sqlite3_stmt *rows, const struct repo_file *files, size_t n,
                           struct error *error)
{
    enum status status = STATUS_OK;
    size_t i = 0;
    int code = sqlite3_step(rows);
    while (status == STATUS_OK && (code == SQLITE_ROW || i < n)) {
        struct index_file_row row;
        int order = code == SQLITE_ROW ? 0 : -1;
        if (code == SQLITE_ROW) {
            index_file_row_read(rows, &row);
            order = i < n ? code_compare(files[i].path, files[i].path_size, row.path, row.path_size) : 1;
        }
        status = meet(refresh, order <= 0 ? &files[i] : NULL, order >= 0 ? &row : NULL, error);
        i += order <= 0;
        if (order >= 0)
            code = sqlite3_step(rows);
        if (code != SQLITE_ROW && code != SQLITE_DONE)
            break;
    }
    if (status == STATUS_OK && code != SQLITE_DONE)
        status = index_failed(refresh->index, error);
    sqlite3_reset(rows);
    return status == STATUS_OK ? buffer_status(&refresh->gone_paths, error) : status;
}

/* ---- what is known already ---- */

static bool read_known(struct refresh *refresh, sqlite3_stmt *row)
{
    struct repo_id id;
    int64_t content = sqlite3_column_int64(row, 0);
    const char *language = (const char *)sqlite3_column_text(row, 2);
    int number = language_by_name(language ? language : "");
    if (sqlite3_column_bytes(row, 1) != sizeof id.bytes || content <= 0 || content >= UINT32_MAX ||
        (uint64_t)sqlite3_column_int64(row, 6) != languages_version(refresh->options->languages, number))
        return true;
    memcpy(id.bytes, sqlite3_column_blob(row, 1), sizeof id.bytes);
    return known_put(&refresh->known, &id, number, (uint32_t)content, (uint32_t)sqlite3_column_int64(row, 3),
                     (uint32_t)sqlite3_column_int64(row, 4));
}

static enum status load_known(struct refresh *refresh, struct error *error)
{
    struct index *index = refresh->index;
    bool is_few = refresh->n_work <= FEW_KNOWN;
    size_t n = is_few ? refresh->n_work : 1;
    for (size_t i = 0; i < n; i++) {
        sqlite3_stmt *rows = index_statement(index, is_few ? INDEX_CONTENT : INDEX_EACH_CONTENT, error);
        if (!rows)
            return index_failed(index, error);
        if (is_few)
            sqlite3_bind_int64(rows, 1, refresh->work[i].old_content);
        int code;
        while ((code = sqlite3_step(rows)) == SQLITE_ROW)
            if (!read_known(refresh, rows)) {
                sqlite3_reset(rows);
                return out_of_memory(error);
            }
        sqlite3_reset(rows);
        if (code != SQLITE_DONE)
            return index_failed(index, error);
    }
    return STATUS_OK;
}

/* ---- writing ---- */

static enum status put_row(struct refresh *refresh, const struct work *work, uint32_t content, enum repo_skip skip,
                           uint64_t n_symbols, uint64_t n_references, uint64_t n_bytes, struct error *error)
{
    struct index_file_row row = {.path = work->file->path,
                                 .path_size = work->file->path_size,
                                 .content = content,
                                 .skip = skip,
                                 .stamp = work->file->stamp,
                                 .n_symbols = n_symbols,
                                 .n_references = n_references,
                                 .n_bytes = n_bytes,
                                 .edited_ns = work->old_edited_ns};
    bool is_same = work->had_row && work->old_content == content && work->old_skip == skip;
    count_file(refresh->report, content, skip, n_symbols, n_references, n_bytes);
    refresh->report->n_changed += !is_same;
    refresh->n_done++;
    if (is_same && work->same_stamp)
        return STATUS_OK;
    if (!is_same && refresh->n_edits++ < EDITS_MOST)
        refresh->edits[refresh->n_edits - 1] = work;
    if (stamp_is_known(&row.stamp) && is_young(refresh, &row.stamp))
        row.stamp = (struct repo_stamp){0};
    return writer_put_file(&refresh->writer, &row, error);
}

static enum status put_known(struct refresh *refresh, const struct work *work, const struct known_entry *entry,
                             struct error *error)
{
    uint64_t n_bytes = work->file->stamp.size;
    return put_row(refresh, work, entry->content, REPO_KEEP, entry->n_definitions, entry->n_references, n_bytes, error);
}

/* A content that another refresh stored, and that wasn't looked up in advance. */
static enum status find_stored(struct refresh *refresh, const struct facts *facts, uint32_t *content,
                               struct error *error)
{
    *content = 0;
    if (refresh->n_work > FEW_KNOWN)
        return STATUS_OK;
    sqlite3_stmt *row = index_statement(refresh->index, INDEX_FIND_CONTENT, error);
    if (!row)
        return index_failed(refresh->index, error);
    sqlite3_bind_blob(row, 1, facts->id.bytes, sizeof facts->id.bytes, SQLITE_STATIC);
    sqlite3_bind_text(row, 2, language_name(facts->language), -1, SQLITE_STATIC);
    sqlite3_bind_int64(row, 3, (int64_t)languages_version(refresh->options->languages, facts->language));
    int code = sqlite3_step(row);
    if (code == SQLITE_ROW)
        *content = (uint32_t)sqlite3_column_int64(row, 0);
    sqlite3_reset(row);
    return code == SQLITE_ROW || code == SQLITE_DONE ? STATUS_OK : index_failed(refresh->index, error);
}

/* STATUS_NOT_FOUND where the content's facts have yet to come, for another file. */
static enum status store_result(struct refresh *refresh, const struct pipe_result *result, struct error *error)
{
    const struct work *work = &refresh->work[refresh->read_work[result->work]];
    const struct facts *facts = &result->facts;
    refresh->report->parse_ns += result->parse_ns;
    refresh->report->query_ns += result->query_ns;
    refresh->report->store_ns += result->store_ns;
    if (result->skip != REPO_KEEP)
        return put_row(refresh, work, 0, result->skip, 0, 0, 0, error);
    if (!result->has_facts) {
        const struct known_entry *entry = known_find(&refresh->known, &facts->id, facts->language);
        if (entry)
            return put_known(refresh, work, entry, error);
        return STATUS_NOT_FOUND;
    }
    uint32_t content;
    enum status status = find_stored(refresh, facts, &content, error);
    if (status == STATUS_OK && !content)
        status = writer_put_content(&refresh->writer, facts,
                                    languages_version(refresh->options->languages, facts->language), &content, error);
    if (status == STATUS_OK &&
        !known_put(&refresh->known, &facts->id, facts->language, content, facts->n_definitions, facts->n_references))
        status = out_of_memory(error);
    if (status == STATUS_OK)
        status = put_row(refresh, work, content, REPO_KEEP, facts->n_definitions, facts->n_references, facts->n_bytes,
                         error);
    return status;
}

static enum status drop_gone(struct refresh *refresh, struct error *error)
{
    struct code_reader reader = code_reader_make(refresh->gone_paths.data, refresh->gone_paths.size);
    enum status status = STATUS_OK;
    while (status == STATUS_OK && reader.at < reader.end) {
        size_t size = (size_t)code_get(&reader);
        const uint8_t *path = code_get_bytes(&reader, size);
        if (path)
            status = writer_drop_file(&refresh->writer, (const char *)path, size, error);
    }
    return status;
}

/* Rows for what is known by git's own id; the rest is to be read. */
static enum status put_by_id(struct refresh *refresh, struct error *error)
{
    refresh->to_read = calloc(refresh->n_work + 1, sizeof(struct repo_file *));
    refresh->read_work = calloc(refresh->n_work + 1, sizeof *refresh->read_work);
    refresh->deferred = calloc(refresh->n_work + 1, sizeof *refresh->deferred);
    if (!refresh->to_read || !refresh->read_work || !refresh->deferred)
        return out_of_memory(error);
    for (size_t i = 0; i < refresh->n_work; i++) {
        const struct repo_file *file = refresh->work[i].file;
        int language = file->has_id ? language_of(file->path, NULL, 0) : -1;
        const struct known_entry *entry = language >= 0 ? known_find(&refresh->known, &file->id, language) : NULL;
        enum status status = STATUS_OK;
        if (entry) {
            status = put_known(refresh, &refresh->work[i], entry, error);
        } else {
            refresh->to_read[refresh->n_read] = file;
            refresh->read_work[refresh->n_read++] = i;
        }
        if (status != STATUS_OK)
            return status;
    }
    return STATUS_OK;
}

static void tell(const struct refresh *refresh)
{
    if (refresh->options->progress)
        refresh->options->progress(refresh->options->context, "indexing", refresh->n_done, refresh->n_work);
}

static enum status take_all(struct refresh *refresh, struct pipe *pipe, struct error *error)
{
    for (;;) {
        struct pipe_result *result;
        enum status status = pipe_take(pipe, &result, error);
        if (status != STATUS_OK || !result)
            return status;
        uint64_t started = thread_now_ns();
        struct error inner;
        status = store_result(refresh, result, &inner);
        if (status == STATUS_NOT_FOUND) {
            refresh->deferred[refresh->n_deferred++] =
                (struct deferred){refresh->read_work[result->work], result->facts.id, result->facts.language};
            status = STATUS_OK;
        }
        pipe_give(pipe, result);
        if (status == STATUS_OK && writer_is_full(&refresh->writer)) {
            status = writer_commit(&refresh->writer, &inner);
            if (status == STATUS_OK)
                status = index_tidy(refresh->index, TIDY_MERGE, refresh->options->cancel, &inner);
        }
        refresh->report->store_ns += thread_now_ns() - started;
        if (status != STATUS_OK)
            return error_set(error, status, "%s", inner.text);
        if (is_cancelled(refresh))
            return error_set(error, STATUS_CANCELLED, "cancelled");
        tell(refresh);
    }
}

static enum status put_deferred(struct refresh *refresh, struct error *error)
{
    enum status status = STATUS_OK;
    for (size_t i = 0; status == STATUS_OK && i < refresh->n_deferred; i++) {
        const struct deferred *it = &refresh->deferred[i];
        const struct known_entry *entry = known_find(&refresh->known, &it->id, it->language);
        if (entry)
            status = put_known(refresh, &refresh->work[it->work], entry, error);
    }
    return status;
}

/* When files that differ were written: as their stamps say, if that can be. */
static enum status put_edits(struct refresh *refresh, struct error *error)
{
    enum status status = STATUS_OK;
    if (refresh->n_edits > EDITS_MOST || refresh->is_outdated)
        return STATUS_OK;
    for (size_t i = 0; status == STATUS_OK && i < refresh->n_edits; i++) {
        const struct repo_file *file = refresh->edits[i]->file;
        int64_t mtime_ns = file->stamp.mtime_ns;
        bool can_be = mtime_ns > 0 && mtime_ns < refresh->walked_ns;
        status = writer_put_edit(&refresh->writer, file->path, file->path_size, can_be ? mtime_ns : refresh->walked_ns,
                                 error);
    }
    return status;
}

static enum status read_files(struct refresh *refresh, struct error *error)
{
    struct pipe_options options = {.repo = refresh->repo,
                                   .languages = refresh->options->languages,
                                   .work = refresh->to_read,
                                   .n = refresh->n_read,
                                   .large = refresh->options->large ? refresh->options->large : 1 << 20,
                                   .n_threads = refresh->options->n_threads,
                                   .known = &refresh->known};
    struct pipe *pipe;
    if (!refresh->n_read)
        return STATUS_OK;
    enum status status = pipe_new(&options, &pipe, error);
    if (status != STATUS_OK)
        return status;
    status = take_all(refresh, pipe, error);
    pipe_free(pipe);
    return status;
}

/* Whether all files were indexed once: before, one that is met for the first time wasn't edited lately. */
static enum status get_whole(struct refresh *refresh, struct error *error)
{
    sqlite3_stmt *row = index_statement(refresh->index, INDEX_GET_META, error);
    if (!row)
        return index_failed(refresh->index, error);
    sqlite3_bind_text(row, 1, "whole", -1, SQLITE_STATIC);
    int code = sqlite3_step(row);
    refresh->was_whole = code == SQLITE_ROW;
    sqlite3_reset(row);
    return code == SQLITE_ROW || code == SQLITE_DONE ? STATUS_OK : index_failed(refresh->index, error);
}

static enum status set_whole(struct refresh *refresh, struct error *error)
{
    if (refresh->was_whole)
        return STATUS_OK;
    sqlite3_stmt *row = index_statement(refresh->index, INDEX_PUT_META, error);
    if (!row)
        return index_failed(refresh->index, error);
    sqlite3_bind_text(row, 1, "whole", -1, SQLITE_STATIC);
    sqlite3_bind_int(row, 2, 1);
    return index_run(refresh->index, row, error);
}

/* Writes what compare found.  Where that is nothing, a merge that was interrupted may be left. */
static enum status write_all(struct refresh *refresh, bool is_whole, struct error *error)
{
    const atomic_bool *cancel = refresh->options->cancel;
    struct error inner;
    if (!refresh->n_work && !refresh->gone_paths.size)
        return is_whole ? index_tidy(refresh->index, TIDY_MERGE, cancel, error) : STATUS_OK;
    /* First, too: runs that are cut off never get to the end, where segments are merged. */
    enum status status = index_tidy(refresh->index, TIDY_BRIEF, cancel, &inner);
    if (status == STATUS_OK)
        status = writer_init(&refresh->writer, refresh->index, refresh->options->batch_ns, &inner);
    if (status == STATUS_OK)
        status = load_known(refresh, &inner);
    if (status == STATUS_OK)
        status = drop_gone(refresh, &inner);
    if (status == STATUS_OK)
        status = put_by_id(refresh, &inner);
    if (status == STATUS_OK)
        status = read_files(refresh, &inner);
    if (status == STATUS_OK)
        status = put_deferred(refresh, &inner);
    if (status == STATUS_OK && refresh->was_whole)
        status = put_edits(refresh, &inner);
    uint64_t started = thread_now_ns();
    if (status == STATUS_OK || status == STATUS_CANCELLED) {
        enum status committed = writer_commit(&refresh->writer, status == STATUS_OK ? &inner : NULL);
        status = status == STATUS_OK ? committed : status;
    }
    if (status == STATUS_OK)
        status = index_tidy(refresh->index,
                            !is_whole                                            ? TIDY_BRIEF
                            : refresh->n_read > refresh->report->n_files / LARGE ? TIDY_PACK
                                                                                 : TIDY_COLLECT,
                            cancel, &inner);
    refresh->report->store_ns += thread_now_ns() - started;
    writer_deinit(&refresh->writer);
    return status == STATUS_OK ? status : error_set(error, status, "%s", inner.text);
}

static void refresh_deinit(struct refresh *refresh)
{
    free(refresh->work);
    free(refresh->to_read);
    free(refresh->read_work);
    free(refresh->deferred);
    known_deinit(&refresh->known);
    buffer_deinit(&refresh->gone_paths);
}

static int64_t wall_now_ns(void)
{
    struct timespec now;
    return clock_gettime(CLOCK_REALTIME, &now) == 0 ? (int64_t)now.tv_sec * 1000000000 + now.tv_nsec : INT64_MAX / 2;
}

static const struct repo_file *find_file(const struct repo_files *files, const char *path, size_t size)
{
    size_t low = 0, high = files->n;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        int order = code_compare(files->files[middle].path, files->files[middle].path_size, path, size);
        if (order == 0)
            return &files->files[middle];
        if (order < 0)
            low = middle + 1;
        else
            high = middle;
    }
    return NULL;
}

/* The rows of a path and of all below it.  seen has a byte for each file. */
static enum status compare_rows(struct refresh *refresh, sqlite3_stmt *rows, const struct repo_files *files, char *seen,
                                struct error *error)
{
    enum status status = STATUS_OK;
    int code;
    while (status == STATUS_OK && (code = sqlite3_step(rows)) == SQLITE_ROW) {
        struct index_file_row row;
        index_file_row_read(rows, &row);
        const struct repo_file *file = find_file(files, row.path, row.path_size);
        if (file && seen[file - files->files]++)
            continue;
        status = meet(refresh, file, &row, error);
    }
    if (status == STATUS_OK && code != SQLITE_DONE)
        status = index_failed(refresh->index, error);
    sqlite3_reset(rows);
    return status == STATUS_OK ? buffer_status(&refresh->gone_paths, error) : status;
}

static enum status compare_paths(struct refresh *refresh, const char *const *paths, size_t n,
                                 const struct repo_files *files, struct error *error)
{
    struct buffer bounds = {0}; /* PATH/ and PATH0, between which all below lies */
    char *seen = calloc(files->n + 1, 1);
    enum status status = seen ? STATUS_OK : out_of_memory(error);
    for (size_t i = 0; status == STATUS_OK && i < n; i++) {
        size_t size = strlen(paths[i]);
        while (size && paths[i][size - 1] == '/')
            size--;
        buffer_clear(&bounds);
        for (int k = 0; k < 2; k++) {
            buffer_append(&bounds, paths[i], size);
            buffer_append_byte(&bounds, (char)('/' + k));
        }
        sqlite3_stmt *rows = index_statement(refresh->index, INDEX_FILES_BELOW, error);
        status = rows ? buffer_status(&bounds, error) : index_failed(refresh->index, error);
        if (status == STATUS_OK) {
            sqlite3_bind_blob64(rows, 1, bounds.data, size, SQLITE_STATIC);
            sqlite3_bind_blob64(rows, 2, bounds.data, size + 1, SQLITE_STATIC);
            sqlite3_bind_blob64(rows, 3, bounds.data + size + 1, size + 1, SQLITE_STATIC);
            status = compare_rows(refresh, rows, files, seen, error);
        }
    }
    for (size_t i = 0; status == STATUS_OK && i < files->n; i++)
        if (!seen[i])
            status = meet(refresh, &files->files[i], NULL, error);
    free(seen);
    buffer_deinit(&bounds);
    return status;
}

static enum status outdate(struct refresh *refresh, struct error *error)
{
    struct error inner;
    enum status status = writer_init(&refresh->writer, refresh->index, refresh->options->batch_ns, &inner);
    if (status == STATUS_OK)
        status = writer_outdate(&refresh->writer, refresh->options->languages, &refresh->is_outdated, &inner);
    writer_deinit(&refresh->writer);
    return status == STATUS_OK ? status : error_set(error, status, "%s", inner.text);
}

/* Once through: paths NULL is all of them. */
static enum status refresh_once(struct refresh *refresh, const char *const *paths, size_t n, struct error *error)
{
    struct repo_walk_options options = {
        .large = refresh->options->large, .ignore = refresh->options->ignore, .cancel = refresh->options->cancel};
    struct repo_files files = {0};
    refresh->walked_ns = wall_now_ns();
    enum status status = paths ? repo_walk_paths(refresh->repo, &options, paths, n, &files, error)
                               : repo_walk(refresh->repo, &options, &files, error);
    if (status == STATUS_OK && paths) {
        status = compare_paths(refresh, paths, n, &files, error);
    } else if (status == STATUS_OK) {
        status = outdate(refresh, error);
        sqlite3_stmt *rows = status == STATUS_OK ? index_statement(refresh->index, INDEX_EACH_FILE, error) : NULL;
        if (status != STATUS_OK) {
            repo_files_deinit(&files);
            return status;
        }
        status = rows ? compare(refresh, rows, files.files, files.n, error) : index_failed(refresh->index, error);
    }
    if (status == STATUS_OK)
        status = get_whole(refresh, error);
    if (status == STATUS_OK)
        status = write_all(refresh, !paths, error);
    if (status == STATUS_OK && !paths)
        status = set_whole(refresh, error);
    repo_files_deinit(&files);
    return status;
}

static enum status refresh_index(struct index *index, struct repo *repo, const char *const *paths, size_t n,
                                 const struct index_options *options, struct index_report *report, struct error *error)
{
    uint64_t started = clock_now_ns();
    struct error inner;
    memset(report, 0, sizeof *report);
    enum status status = index_lock(index, options->cancel, &inner);
    for (int turn = 0; turn < 2 && (turn == 0 || status == STATUS_FORMAT); turn++) {
        if (turn == 1) { /* damaged: whole, and from the beginning */
            status = index_make_anew(index, &inner);
            paths = NULL;
            if (status != STATUS_OK)
                break;
        }
        struct refresh refresh = {.index = index, .repo = repo, .options = options, .report = report};
        memset(report, 0, sizeof *report);
        if (status == STATUS_OK)
            status = refresh_once(&refresh, paths, n, &inner);
        refresh_deinit(&refresh);
    }
    index_unlock(index);
    report->total_ns = clock_now_ns() - started;
    return status == STATUS_OK ? status : error_set(error, status, "%s", inner.text);
}

enum status index_refresh(struct index *index, struct repo *repo, const struct index_options *options,
                          struct index_report *report, struct error *error)
{
    return refresh_index(index, repo, NULL, 0, options, report, error);
}

enum status index_refresh_paths(struct index *index, struct repo *repo, const char *const *paths, size_t n,
                                const struct index_options *options, struct index_report *report, struct error *error)
{
    if (!n) {
        memset(report, 0, sizeof *report);
        return STATUS_OK;
    }
    return refresh_index(index, repo, paths, n, options, report, error);
}
