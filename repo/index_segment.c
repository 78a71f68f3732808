/* index_segment: inverted lists on disk: written, found, gone through, merged (index_segment.h). */
#include "repo/index_segment.h"

#include <stdlib.h>
#include <string.h>

enum { MAX_CHUNKS = 1 << 28 }; /* of an index: more is a damaged one */
enum { BLOCK = 8000 };         /* bytes after which a block ends: one page, mostly */

enum statement {
    LIST,
    ADD_SEGMENT,
    ADD_TERM,
    ADD_BLOCK,
    SET_SEGMENT,
    LENGTHS,
    DROP_SEGMENT,
    DROP_TERMS,
    DROP_BLOCKS,
    FIND, /* SEGMENT_SLOTS of them */
    N_STATEMENTS = FIND + SEGMENT_SLOTS,
};

static const char find_sql[] =
    "SELECT blocks.data FROM terms JOIN blocks ON blocks.id = terms.block WHERE segment = ?1 "
    "AND first <= ?2 ORDER BY first DESC LIMIT 1";
static const char each_sql[] =
    "SELECT blocks.data FROM terms JOIN blocks ON blocks.id = terms.block WHERE segment = ?1 "
    "AND first >= ifnull((SELECT max(first) FROM terms WHERE segment = ?1 AND first <= ?2), "
    "x'') ORDER BY first";

static const char *const sql[FIND] = {
    [LIST] = "SELECT id, first_content, last_content, first_chunk, end_chunk, bytes, words FROM segments ORDER BY 2",
    [ADD_SEGMENT] = "INSERT INTO segments SELECT NULL, ?1, ?2, ?3, ?4, 0, ?6, ?5",
    [ADD_TERM] = "INSERT INTO terms (segment, first, block) VALUES (?1, ?2, ?3)",
    [ADD_BLOCK] = "INSERT INTO blocks (id, data) VALUES (?1, ?2)",
    [SET_SEGMENT] = "UPDATE segments SET bytes = ?2 WHERE id = ?1",
    [LENGTHS] = "SELECT lengths FROM segments WHERE id = ?1",
    [DROP_SEGMENT] = "DELETE FROM segments WHERE id = ?1",
    [DROP_TERMS] = "DELETE FROM terms WHERE segment = ?1",
    [DROP_BLOCKS] = "DELETE FROM blocks WHERE id BETWEEN ?1 << 24 AND (?1 << 24) + 16777215",
};

struct segment_store {
    sqlite3 *database;
    sqlite3_stmt *statements[N_STATEMENTS];
    struct segment *segments;
    size_t n_segments, capacity;
};

static enum status failed(struct segment_store *store, struct error *error)
{
    int code = sqlite3_errcode(store->database);
    enum status status = code == SQLITE_NOMEM                              ? STATUS_MEMORY
                         : code == SQLITE_CORRUPT || code == SQLITE_NOTADB ? STATUS_FORMAT
                                                                           : STATUS_IO;
    return error_set(error, status, "the index: %s", sqlite3_errmsg(store->database));
}

static enum status damaged(struct error *error)
{
    return error_set(error, STATUS_FORMAT, "the index is damaged: an inverted list makes no sense");
}

enum status segment_store_new(sqlite3 *database, struct segment_store **out, struct error *error)
{
    struct segment_store *store = *out = calloc(1, sizeof **out);
    if (!store)
        return error_set(error, STATUS_MEMORY, "out of memory");
    store->database = database;
    for (int i = 0; i < N_STATEMENTS; i++)
        if (sqlite3_prepare_v3(database, i < FIND ? sql[i] : find_sql, -1, SQLITE_PREPARE_PERSISTENT,
                               &store->statements[i], NULL) != SQLITE_OK) {
            enum status status = failed(store, error);
            segment_store_free(store);
            *out = NULL;
            return status;
        }
    return STATUS_OK;
}

void segment_store_free(struct segment_store *store)
{
    if (!store)
        return;
    for (int i = 0; i < N_STATEMENTS; i++)
        sqlite3_finalize(store->statements[i]);
    free(store->segments);
    free(store);
}

/* Runs one that gives no rows, and is ready for another. */
static enum status run(struct segment_store *store, sqlite3_stmt *statement, struct error *error)
{
    int code = sqlite3_step(statement);
    enum status status = code == SQLITE_DONE || code == SQLITE_ROW ? STATUS_OK : failed(store, error);
    sqlite3_reset(statement);
    sqlite3_clear_bindings(statement);
    return status;
}

enum status segment_list(struct segment_store *store, const struct segment **segments, size_t *n, struct error *error)
{
    sqlite3_stmt *statement = store->statements[LIST];
    uint32_t after = 0, after_chunk = 0;
    int code;
    store->n_segments = 0;
    while ((code = sqlite3_step(statement)) == SQLITE_ROW) {
        int64_t values[7];
        for (int i = 0; i < 7; i++)
            values[i] = sqlite3_column_int64(statement, i);
        bool is_right = values[0] > 0 && values[0] < INT64_C(1) << 38 && values[1] > after && values[2] >= values[1] &&
                        values[2] < UINT32_MAX && values[3] >= after_chunk && values[4] >= values[3] &&
                        values[4] <= MAX_CHUNKS && values[5] >= 0 && values[6] >= 0;
        if (is_right && store->n_segments == store->capacity) {
            size_t capacity = store->capacity ? store->capacity * 2 : 16;
            struct segment *moved = realloc(store->segments, capacity * sizeof *moved);
            if (!moved) {
                sqlite3_reset(statement);
                return error_set(error, STATUS_MEMORY, "out of memory");
            }
            store->segments = moved;
            store->capacity = capacity;
        }
        if (!is_right) {
            sqlite3_reset(statement);
            return damaged(error);
        }
        store->segments[store->n_segments++] = (struct segment){.id = values[0],
                                                                .first_content = (uint32_t)values[1],
                                                                .last_content = after = (uint32_t)values[2],
                                                                .first_chunk = (uint32_t)values[3],
                                                                .end_chunk = after_chunk = (uint32_t)values[4],
                                                                .n_bytes = (uint64_t)values[5],
                                                                .n_words = (uint64_t)values[6]};
    }
    sqlite3_reset(statement);
    *segments = store->segments;
    *n = store->n_segments;
    return code == SQLITE_DONE ? STATUS_OK : failed(store, error);
}

enum status segment_lengths(struct segment_store *store, const struct segment *segment, struct buffer *out,
                            struct error *error)
{
    sqlite3_stmt *statement = store->statements[LENGTHS];
    sqlite3_bind_int64(statement, 1, segment->id);
    enum status status = STATUS_OK;
    buffer_clear(out);
    if (sqlite3_step(statement) != SQLITE_ROW)
        status = failed(store, error);
    else if ((uint64_t)sqlite3_column_bytes(statement, 0) != segment->end_chunk - segment->first_chunk)
        status = damaged(error);
    else
        buffer_append(out, sqlite3_column_blob(statement, 0), (size_t)sqlite3_column_bytes(statement, 0));
    sqlite3_reset(statement);
    return status == STATUS_OK ? buffer_status(out, error) : status;
}

/* ---- writing ---- */

struct block_writer {
    struct segment_store *store;
    int64_t segment, n_blocks;
    uint64_t n_bytes;
    struct buffer block;
    struct code_name last;
    char first[CODE_NAME_MAX];
    size_t first_size;
};

static enum status write_block(struct block_writer *writer, struct error *error)
{
    if (!writer->block.size)
        return STATUS_OK;
    if (writer->n_blocks >= 1 << 24)
        return error_set(error, STATUS_RANGE, "the index: a segment of more than 16,777,216 blocks");
    if (buffer_status(&writer->block, error) != STATUS_OK)
        return STATUS_MEMORY;
    int64_t id = (int64_t)((uint64_t)writer->segment << 24) + writer->n_blocks++;
    sqlite3_stmt *block = writer->store->statements[ADD_BLOCK], *term = writer->store->statements[ADD_TERM];
    sqlite3_bind_int64(block, 1, id);
    sqlite3_bind_blob64(block, 2, writer->block.data, writer->block.size, SQLITE_STATIC);
    sqlite3_bind_int64(term, 1, writer->segment);
    sqlite3_bind_blob(term, 2, writer->first, (int)writer->first_size, SQLITE_STATIC);
    sqlite3_bind_int64(term, 3, id);
    enum status status = run(writer->store, block, error);
    if (status == STATUS_OK)
        status = run(writer->store, term, error);
    writer->n_bytes += writer->block.size;
    buffer_clear(&writer->block);
    writer->last.size = 0;
    return status;
}

static enum status write_entry(struct block_writer *writer, const struct posting_entry *entry, struct error *error)
{
    if (!writer->block.size) {
        memcpy(writer->first, entry->key, entry->key_size);
        writer->first_size = entry->key_size;
    }
    code_put_name(&writer->block, &writer->last, entry->key, entry->key_size);
    code_put(&writer->block, entry->n);
    code_put(&writer->block, entry->last);
    code_put(&writer->block, entry->list.size);
    buffer_append(&writer->block, entry->list.data, entry->list.size);
    return writer->block.size >= BLOCK ? write_block(writer, error) : STATUS_OK;
}

/* The row of a new segment; sets id and n_words. */
static enum status add_segment(struct segment_store *store, struct segment *segment, const uint8_t *lengths,
                               struct error *error)
{
    sqlite3_stmt *statement = store->statements[ADD_SEGMENT];
    segment->n_words = 0;
    for (uint32_t i = 0; lengths && i < segment->end_chunk - segment->first_chunk; i++)
        segment->n_words += lengths[i];
    sqlite3_bind_int64(statement, 1, segment->first_content);
    sqlite3_bind_int64(statement, 2, segment->last_content);
    sqlite3_bind_int64(statement, 3, segment->first_chunk);
    sqlite3_bind_int64(statement, 4, segment->end_chunk);
    sqlite3_bind_blob64(statement, 5, lengths ? (const void *)lengths : "", segment->end_chunk - segment->first_chunk,
                        SQLITE_STATIC);
    sqlite3_bind_int64(statement, 6, (int64_t)segment->n_words);
    enum status status = run(store, statement, error);
    segment->id = sqlite3_last_insert_rowid(store->database);
    if (status == STATUS_OK && (segment->id <= 0 || segment->id >= INT64_C(1) << 38))
        return damaged(error);
    return status;
}

static enum status set_bytes(struct segment_store *store, const struct segment *segment, struct error *error)
{
    sqlite3_stmt *statement = store->statements[SET_SEGMENT];
    sqlite3_bind_int64(statement, 1, segment->id);
    sqlite3_bind_int64(statement, 2, (int64_t)segment->n_bytes);
    return run(store, statement, error);
}

enum status segment_write(struct segment_store *store, struct postings *postings, struct segment *segment,
                          const uint8_t *lengths, struct error *error)
{
    size_t n;
    enum status status = postings_sort(postings, &n, error);
    if (status == STATUS_OK)
        status = add_segment(store, segment, lengths, error);
    struct block_writer writer = {.store = store, .segment = segment->id};
    for (size_t i = 0; status == STATUS_OK && i < n; i++) {
        struct posting_entry entry;
        postings_entry(postings, i, &entry);
        status = entry.list.data ? write_entry(&writer, &entry, error)
                                 : error_set(error, STATUS_MEMORY, "out of memory while inverted lists were written");
    }
    if (status == STATUS_OK)
        status = write_block(&writer, error);
    segment->n_bytes = writer.n_bytes;
    buffer_deinit(&writer.block);
    return status == STATUS_OK ? set_bytes(store, segment, error) : status;
}

/* ---- reading ---- */

/* Most numbers have one byte. */
static inline uint64_t get_small(struct code_reader *reader)
{
    return reader->at < reader->end && *reader->at < 0x80 ? *reader->at++ : code_get(reader);
}

bool posting_next(struct posting_list *list)
{
    if (list->reader.at >= list->reader.end)
        return false;
    uint64_t value = get_small(&list->reader);
    uint64_t document = list->document + (value >> 2);
    if (list->has_extra)
        list->extra = code_get_32(&list->reader);
    if (list->reader.failed || document > UINT32_MAX) {
        list->reader.failed = true;
        list->reader.at = list->reader.end;
        return false;
    }
    list->document = (uint32_t)document;
    list->low = (unsigned)(value & POSTING_LOW_MAX);
    return true;
}

size_t posting_take(struct posting_list *list, struct posting *out, size_t n)
{
    size_t taken = 0;
    uint64_t document = list->document;
    while (taken < n && list->reader.at < list->reader.end) {
        uint64_t value = get_small(&list->reader);
        document += value >> 2;
        if (list->reader.failed || document > UINT32_MAX) {
            list->reader.failed = true;
            list->reader.at = list->reader.end;
            break;
        }
        out[taken++] = (struct posting){(uint32_t)document, (uint32_t)(value & POSTING_LOW_MAX)};
        list->document = (uint32_t)document;
    }
    return taken;
}

/* The entry that reader stands at. */
static bool read_entry(struct code_reader *reader, struct code_name *key, struct posting_list *list, uint32_t *last)
{
    if (!code_get_name(reader, key))
        return false;
    *list = (struct posting_list){.n = code_get_32(reader), .has_extra = key->size && key->bytes[0] == KEY_DEFINITION};
    *last = code_get_32(reader);
    uint64_t size = code_get(reader);
    const uint8_t *bytes = code_get_bytes(reader, (size_t)size);
    if (!bytes)
        return false;
    list->reader = code_reader_make(bytes, (size_t)size);
    return true;
}

/* The entry of a key in a block: false where there is none, or the block is damaged (reader->failed).  Keys are stored
 * without what they share with the one before, so that most can be passed over unread: one that shares more with the last
 * than the wanted key does lies before it, too; one that shares less lies behind it. */
static bool find_entry(struct code_reader *reader, const char *key, size_t size, struct posting_list *out)
{
    size_t matched = 0, last_size = 0; /* bytes of the last key that are the wanted one's */
    while (reader->at < reader->end) {
        uint64_t shared = get_small(reader), more = get_small(reader);
        if (shared > last_size || more > CODE_NAME_MAX - shared) {
            reader->failed = true;
            return false;
        }
        const uint8_t *bytes = code_get_bytes(reader, (size_t)more);
        uint32_t n = (uint32_t)get_small(reader);
        (void)get_small(reader); /* the last document */
        uint64_t list_size = get_small(reader);
        const uint8_t *list = code_get_bytes(reader, (size_t)list_size);
        if (!bytes || !list || reader->failed) {
            reader->failed = true;
            return false;
        }
        last_size = (size_t)(shared + more);
        if (shared < matched)
            return false;
        if (shared > matched)
            continue;
        size_t i = 0;
        while (i < more && matched < size && bytes[i] == (uint8_t)key[matched]) {
            i++;
            matched++;
        }
        if (i == more && matched == size) {
            *out = (struct posting_list){.n = n, .has_extra = size && key[0] == KEY_DEFINITION};
            out->reader = code_reader_make(list, (size_t)list_size);
            return true;
        }
        if (i < more && (matched == size || bytes[i] > (uint8_t)key[matched]))
            return false;
    }
    return false;
}

enum status segment_find(struct segment_store *store, const struct segment *segment, const char *key, size_t size,
                         unsigned slot, struct posting_list *out, struct error *error)
{
    sqlite3_stmt *statement = store->statements[FIND + (slot % SEGMENT_SLOTS)];
    *out = (struct posting_list){0};
    sqlite3_reset(statement);
    sqlite3_bind_int64(statement, 1, segment->id);
    sqlite3_bind_blob(statement, 2, key, (int)size, SQLITE_TRANSIENT);
    int code = sqlite3_step(statement);
    if (code != SQLITE_ROW)
        return code == SQLITE_DONE ? STATUS_OK : failed(store, error);
    const void *data = sqlite3_column_blob(statement, 0);
    struct code_reader reader = code_reader_make(data, (size_t)sqlite3_column_bytes(statement, 0));
    find_entry(&reader, key, size, out);
    return reader.failed ? damaged(error) : STATUS_OK;
}

/* The next entry, of whatever block. */
static enum status next_entry(struct segment_cursor *cursor, struct error *error)
{
    while (cursor->reader.at >= cursor->reader.end) {
        int code = sqlite3_step(cursor->blocks);
        if (code != SQLITE_ROW) {
            cursor->is_done = true;
            return code == SQLITE_DONE ? STATUS_OK : failed(cursor->store, error);
        }
        const void *data = sqlite3_column_blob(cursor->blocks, 0);
        cursor->reader = code_reader_make(data, (size_t)sqlite3_column_bytes(cursor->blocks, 0));
        cursor->key.size = 0;
    }
    if (!read_entry(&cursor->reader, &cursor->key, &cursor->list, &cursor->last))
        return damaged(error);
    return STATUS_OK;
}

enum status segment_next(struct segment_cursor *cursor, struct error *error)
{
    return cursor->is_done ? STATUS_OK : next_entry(cursor, error);
}

enum status segment_seek(struct segment_cursor *cursor, struct segment_store *store, const struct segment *segment,
                         const char *key, size_t size, struct error *error)
{
    cursor->store = store;
    cursor->segment = segment;
    cursor->is_done = false;
    cursor->reader = (struct code_reader){0};
    if (!cursor->blocks && sqlite3_prepare_v2(store->database, each_sql, -1, &cursor->blocks, NULL) != SQLITE_OK)
        return failed(store, error);
    sqlite3_reset(cursor->blocks);
    sqlite3_bind_int64(cursor->blocks, 1, segment->id);
    sqlite3_bind_blob(cursor->blocks, 2, key, (int)size, SQLITE_TRANSIENT);
    enum status status;
    do
        status = next_entry(cursor, error);
    while (status == STATUS_OK && !cursor->is_done && code_compare(cursor->key.bytes, cursor->key.size, key, size) < 0);
    return status;
}

void segment_cursor_deinit(struct segment_cursor *cursor)
{
    sqlite3_finalize(cursor->blocks);
    cursor->blocks = NULL;
    cursor->is_done = true;
}

/* ---- merging ---- */

/* Appends one list to another: the first document becomes a difference, the rest is copied as it is.  Where a filter drops
 * documents, posting by posting. */
static bool append_list(struct buffer *out, struct posting_entry *entry, const struct segment_cursor *cursor,
                        const struct segment_filter *filter)
{
    struct posting_list list = cursor->list;
    bool is_chunk = cursor->key.bytes[0] == KEY_TERM;
    const uint8_t *keep = !filter ? NULL : is_chunk ? filter->chunks : filter->contents;
    uint32_t n_keep = !filter ? 0 : is_chunk ? filter->n_chunks : filter->n_contents;
    while (posting_next(&list)) {
        if (keep && (list.document >= n_keep || !keep[list.document]))
            continue;
        if (list.document < entry->last)
            return false;
        code_put(out, (uint64_t)(list.document - entry->last) << 2 | list.low);
        if (list.has_extra)
            code_put(out, list.extra);
        entry->last = list.document;
        entry->n++;
        if (!keep) {
            if (cursor->last < list.document || cursor->list.n == 0)
                return false;
            buffer_append(out, list.reader.at, (size_t)(list.reader.end - list.reader.at));
            entry->last = cursor->last;
            entry->n += cursor->list.n - 1;
            return true;
        }
    }
    return !list.reader.failed;
}

static enum status merge_key(struct segment_cursor *cursors, size_t n, struct block_writer *writer, struct buffer *list,
                             const struct segment_filter *filter, bool *is_done, struct error *error)
{
    const struct segment_cursor *least = NULL;
    for (size_t i = 0; i < n; i++)
        if (!cursors[i].is_done &&
            (!least || code_compare(cursors[i].key.bytes, cursors[i].key.size, least->key.bytes, least->key.size) < 0))
            least = &cursors[i];
    if (!least) {
        *is_done = true;
        return STATUS_OK;
    }
    struct code_name key;
    key.size = least->key.size;
    memcpy(key.bytes, least->key.bytes, key.size);
    struct posting_entry entry = {.key = key.bytes, .key_size = key.size};
    enum status status = STATUS_OK;
    buffer_clear(list);
    for (size_t i = 0; status == STATUS_OK && i < n; i++) {
        if (cursors[i].is_done || code_compare(cursors[i].key.bytes, cursors[i].key.size, key.bytes, key.size) != 0)
            continue;
        if (!append_list(list, &entry, &cursors[i], filter))
            return damaged(error);
        status = next_entry(&cursors[i], error);
        /* Keys ascend, so this loop ends whatever the database holds. */
        if (status == STATUS_OK && !cursors[i].is_done &&
            code_compare(cursors[i].key.bytes, cursors[i].key.size, key.bytes, key.size) <= 0)
            return damaged(error);
    }
    entry.list = (struct slice){buffer_text(list), list->size};
    if (status == STATUS_OK && entry.n)
        status = write_entry(writer, &entry, error);
    return status == STATUS_OK ? buffer_status(list, error) : status;
}

static enum status drop_segment(struct segment_store *store, int64_t id, struct error *error)
{
    enum status status = STATUS_OK;
    for (int i = DROP_SEGMENT; status == STATUS_OK && i <= DROP_BLOCKS; i++) {
        sqlite3_bind_int64(store->statements[i], 1, id);
        status = run(store, store->statements[i], error);
    }
    return status;
}

/* The chunks' lengths of neighbours, gaps between them as zeros. */
static enum status join_lengths(struct segment_store *store, const struct segment *segments, size_t n,
                                struct buffer *out, struct error *error)
{
    struct buffer part = {0};
    enum status status = STATUS_OK;
    for (size_t i = 0; status == STATUS_OK && i < n; i++) {
        while (out->size < segments[i].first_chunk - segments[0].first_chunk && !out->failed)
            buffer_append_byte(out, 0);
        status = segment_lengths(store, &segments[i], &part, error);
        buffer_append(out, part.data, part.size);
    }
    buffer_deinit(&part);
    return status == STATUS_OK ? buffer_status(out, error) : status;
}

enum status segment_merge(struct segment_store *store, size_t first, size_t n, const struct segment_filter *filter,
                          const atomic_bool *cancel, struct error *error)
{
    if (!n || first + n > store->n_segments)
        return error_set(error, STATUS_ARGUMENT, "no such segments");
    const struct segment *segments = store->segments + first;
    struct segment merged = {.first_content = segments[0].first_content,
                             .last_content = segments[n - 1].last_content,
                             .first_chunk = segments[0].first_chunk,
                             .end_chunk = segments[n - 1].end_chunk};
    struct buffer lengths = {0}, list = {0};
    struct segment_cursor *cursors = calloc(n, sizeof *cursors);
    enum status status =
        cursors ? join_lengths(store, segments, n, &lengths, error) : error_set(error, STATUS_MEMORY, "out of memory");
    if (status == STATUS_OK)
        status = add_segment(store, &merged, (const uint8_t *)lengths.data, error);
    struct block_writer writer = {.store = store, .segment = merged.id};
    for (size_t i = 0; status == STATUS_OK && i < n; i++)
        status = segment_seek(&cursors[i], store, &segments[i], "", 0, error);
    bool is_done = false;
    for (unsigned turn = 0; status == STATUS_OK && !is_done; turn++) {
        status = merge_key(cursors, n, &writer, &list, filter, &is_done, error);
        if (status == STATUS_OK && turn % 1024 == 0 && cancel && atomic_load(cancel))
            status = error_set(error, STATUS_CANCELLED, "cancelled");
    }
    if (status == STATUS_OK)
        status = write_block(&writer, error);
    merged.n_bytes = writer.n_bytes;
    if (status == STATUS_OK)
        status = set_bytes(store, &merged, error);
    for (size_t i = 0; cursors && i < n; i++)
        segment_cursor_deinit(&cursors[i]);
    for (size_t i = 0; status == STATUS_OK && i < n; i++)
        status = drop_segment(store, segments[i].id, error);
    free(cursors);
    buffer_deinit(&writer.block);
    buffer_deinit(&lengths);
    buffer_deinit(&list);
    return status;
}
