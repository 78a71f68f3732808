/* index_write: one writer's batch: contents, files and the segment of their inverted lists in one transaction
 * (index_store.h). */
#include <stdlib.h>
#include <string.h>

#include "repo/index_store.h"

static const uint64_t batch_memory = 160u << 20, batch_ns = 15u * UINT64_C(1000000000);

static enum status begin(struct index_writer *writer, struct error *error)
{
    if (writer->is_open)
        return STATUS_OK;
    struct index *index = writer->index;
    enum status status = index_run(index, index_statement(index, INDEX_BEGIN, error), error);
    if (status != STATUS_OK)
        return status;
    writer->is_open = true;
    sqlite3_stmt *last = index_statement(index, INDEX_LAST, error);
    if (!last || sqlite3_step(last) != SQLITE_ROW)
        return index_failed(index, error);
    int64_t content = sqlite3_column_int64(last, 0), chunk = sqlite3_column_int64(last, 1);
    sqlite3_reset(last);
    if (content < 0 || content >= UINT32_MAX - 1 || chunk < 0 || chunk >= UINT32_MAX / 2)
        return index_damaged(error);
    writer->first_content = writer->next_content = (uint32_t)content + 1;
    writer->first_chunk = writer->next_chunk = (uint32_t)chunk;
    writer->begun_ns = clock_now_ns();
    writer->n_bytes = 0;
    postings_clear(writer->postings);
    buffer_clear(&writer->lengths);
    return STATUS_OK;
}

enum status writer_init(struct index_writer *writer, struct index *index, uint64_t longest_ns, struct error *error)
{
    *writer = (struct index_writer){.index = index, .longest_ns = longest_ns ? longest_ns : batch_ns};
    return postings_new(&writer->postings, error);
}

static void roll_back(struct index_writer *writer)
{
    if (writer->is_open && !sqlite3_get_autocommit(writer->index->database))
        index_run(writer->index, index_statement(writer->index, INDEX_ROLLBACK, NULL), NULL);
    writer->is_open = false;
}

void writer_deinit(struct index_writer *writer)
{
    roll_back(writer);
    postings_free(writer->postings);
    buffer_deinit(&writer->lengths);
}

/* An empty blob, not NULL. */
static void bind_blob(sqlite3_stmt *statement, int column, const void *data, size_t size)
{
    sqlite3_bind_blob64(statement, column, size ? data : "", size, SQLITE_STATIC);
}

enum status writer_put_content(struct index_writer *writer, const struct facts *facts, uint64_t version,
                               uint32_t *content, struct error *error)
{
    struct index *index = writer->index;
    enum status status = begin(writer, error);
    if (status != STATUS_OK)
        return status;
    if (writer->next_content >= UINT32_MAX - 1 || facts->n_chunks > UINT32_MAX / 4 - writer->next_chunk / 2)
        return error_set(error, STATUS_RANGE, "the index is full: delete %s", buffer_text(&index->path));
    sqlite3_stmt *row = index_statement(index, INDEX_PUT_CONTENT, error);
    if (!row)
        return index_failed(index, error);
    *content = writer->next_content;
    sqlite3_bind_int64(row, 1, *content);
    bind_blob(row, 2, facts->id.bytes, sizeof facts->id.bytes);
    sqlite3_bind_text(row, 3, language_name(facts->language), -1, SQLITE_STATIC);
    sqlite3_bind_int64(row, 4, (int64_t)facts->n_bytes);
    sqlite3_bind_int64(row, 5, writer->next_chunk);
    sqlite3_bind_int64(row, 6, facts->n_chunks);
    sqlite3_bind_int64(row, 7, facts->n_definitions);
    sqlite3_bind_int64(row, 8, facts->n_references);
    sqlite3_bind_int64(row, 9, facts->is_text | facts->has_errors << 1);
    sqlite3_bind_int64(row, 10, (int64_t)version);
    status = index_run(index, row, error);
    if (status != STATUS_OK)
        return status;
    row = index_statement(index, INDEX_PUT_FACTS, error);
    if (!row)
        return index_failed(index, error);
    sqlite3_bind_int64(row, 1, *content);
    bind_blob(row, 2, facts->chunks.data, facts->chunks.size);
    bind_blob(row, 3, facts->imports.data, facts->imports.size);
    bind_blob(row, 4, facts->definitions.data, facts->definitions.size);
    bind_blob(row, 5, facts->references.data, facts->references.size);
    status = index_run(index, row, error);
    if (status != STATUS_OK)
        return status;
    facts_add_postings(facts, *content, writer->next_chunk, writer->postings);
    buffer_append(&writer->lengths, facts->lengths.data, facts->lengths.size);
    writer->next_content++;
    writer->next_chunk += facts->n_chunks;
    writer->n_bytes += facts->n_bytes;
    return STATUS_OK;
}

enum status writer_put_file(struct index_writer *writer, const struct index_file_row *file, struct error *error)
{
    struct index *index = writer->index;
    struct code_name stem;
    enum status status = begin(writer, error);
    if (status != STATUS_OK)
        return status;
    sqlite3_stmt *row = index_statement(index, INDEX_PUT_FILE, error);
    if (!row)
        return index_failed(index, error);
    facts_path_stem(file->path, file->path_size, &stem);
    bind_blob(row, 1, file->path, file->path_size);
    sqlite3_bind_int64(row, 2, file->content);
    sqlite3_bind_int64(row, 3, file->skip);
    sqlite3_bind_int64(row, 4, (int64_t)file->stamp.size);
    sqlite3_bind_int64(row, 5, file->stamp.mtime_ns);
    sqlite3_bind_int64(row, 6, file->stamp.ctime_ns);
    sqlite3_bind_int64(row, 7, (int64_t)file->stamp.inode);
    sqlite3_bind_int64(row, 8, (int64_t)file->stamp.mode);
    sqlite3_bind_int64(row, 9, (int64_t)file->n_symbols);
    sqlite3_bind_int64(row, 10, (int64_t)file->n_references);
    sqlite3_bind_int64(row, 11, (int64_t)file->n_bytes);
    sqlite3_bind_int64(row, 12, file->edited_ns);
    bind_blob(row, 13, stem.bytes, stem.size);
    return index_run(index, row, error);
}

void index_file_row_read(sqlite3_stmt *statement, struct index_file_row *row)
{
    int64_t content = sqlite3_column_int64(statement, 1), skip = sqlite3_column_int64(statement, 2);
    *row = (struct index_file_row){
        .path = sqlite3_column_blob(statement, 0),
        .path_size = (size_t)sqlite3_column_bytes(statement, 0),
        .content = content > 0 && content < UINT32_MAX ? (uint32_t)content : 0,
        .skip = skip >= 0 && skip < REPO_N_SKIPS ? (enum repo_skip)skip : REPO_SKIP_UNREADABLE,
        .stamp = {.size = (uint64_t)sqlite3_column_int64(statement, 3),
                  .mtime_ns = sqlite3_column_int64(statement, 4),
                  .ctime_ns = sqlite3_column_int64(statement, 5),
                  .inode = (uint64_t)sqlite3_column_int64(statement, 6),
                  .mode = (uint64_t)sqlite3_column_int64(statement, 7)},
        .n_symbols = (uint64_t)sqlite3_column_int64(statement, 8),
        .n_references = (uint64_t)sqlite3_column_int64(statement, 9),
        .n_bytes = (uint64_t)sqlite3_column_int64(statement, 10),
        .edited_ns = sqlite3_column_int64(statement, 11),
    };
    if (!row->path)
        row->path = "";
}

enum status writer_drop_file(struct index_writer *writer, const char *path, size_t size, struct error *error)
{
    enum status status = begin(writer, error);
    if (status != STATUS_OK)
        return status;
    sqlite3_stmt *row = index_statement(writer->index, INDEX_DROP_FILE, error);
    if (!row)
        return index_failed(writer->index, error);
    bind_blob(row, 1, path, size);
    return index_run(writer->index, row, error);
}

enum status writer_put_edit(struct index_writer *writer, const char *path, size_t size, int64_t edited_ns,
                            struct error *error)
{
    enum status status = begin(writer, error);
    if (status != STATUS_OK)
        return status;
    sqlite3_stmt *row = index_statement(writer->index, INDEX_PUT_EDIT, error);
    if (!row)
        return index_failed(writer->index, error);
    bind_blob(row, 1, path, size);
    sqlite3_bind_int64(row, 2, edited_ns);
    return index_run(writer->index, row, error);
}

/* The languages' names and versions, one after another. */
static enum status describe_versions(struct languages *languages, struct buffer *out, struct error *error)
{
    for (int i = -1; i < languages_count(); i++)
        buffer_printf(out, "%s %llx\n", language_name(i), (unsigned long long)languages_version(languages, i));
    return buffer_status(out, error);
}

static enum status outdate_language(struct index *index, struct languages *languages, int language, struct error *error)
{
    sqlite3_stmt *row = index_statement(index, INDEX_OUTDATE, error);
    if (!row)
        return index_failed(index, error);
    sqlite3_bind_text(row, 1, language_name(language), -1, SQLITE_STATIC);
    sqlite3_bind_int64(row, 2, (int64_t)languages_version(languages, language));
    return index_run(index, row, error);
}

enum status writer_outdate(struct index_writer *writer, struct languages *languages, bool *is_outdated,
                           struct error *error)
{
    struct index *index = writer->index;
    struct buffer now = {0};
    enum status status = describe_versions(languages, &now, error);
    sqlite3_stmt *row = status == STATUS_OK ? index_statement(index, INDEX_GET_META, error) : NULL;
    bool is_same = false;
    if (row) {
        sqlite3_bind_text(row, 1, "versions", -1, SQLITE_STATIC);
        if (sqlite3_step(row) == SQLITE_ROW)
            is_same = (size_t)sqlite3_column_bytes(row, 0) == now.size &&
                      memcmp(sqlite3_column_blob(row, 0), buffer_text(&now), now.size) == 0;
        sqlite3_reset(row);
    }
    if (status == STATUS_OK && !is_same) {
        status = begin(writer, error);
        for (int i = -1; status == STATUS_OK && i < languages_count(); i++)
            status = outdate_language(index, languages, i, error);
        row = status == STATUS_OK ? index_statement(index, INDEX_PUT_META, error) : NULL;
        if (row) {
            sqlite3_bind_text(row, 1, "versions", -1, SQLITE_STATIC);
            bind_blob(row, 2, now.data, now.size);
            status = index_run(index, row, error);
        }
        if (status == STATUS_OK)
            status = writer_commit(writer, error);
    }
    *is_outdated = !is_same;
    buffer_deinit(&now);
    return status;
}

bool writer_is_full(const struct index_writer *writer)
{
    return writer->is_open && (postings_memory(writer->postings) + writer->lengths.size > batch_memory ||
                               clock_now_ns() - writer->begun_ns > writer->longest_ns);
}

enum status writer_commit(struct index_writer *writer, struct error *error)
{
    if (!writer->is_open)
        return STATUS_OK;
    enum status status = buffer_status(&writer->lengths, error);
    if (status == STATUS_OK && writer->next_content > writer->first_content) {
        struct segment segment = {.first_content = writer->first_content,
                                  .last_content = writer->next_content - 1,
                                  .first_chunk = writer->first_chunk,
                                  .end_chunk = writer->next_chunk};
        status = segment_write(writer->index->segments, writer->postings, &segment,
                               (const uint8_t *)writer->lengths.data, error);
    }
    if (status == STATUS_OK)
        status = index_run(writer->index, index_statement(writer->index, INDEX_COMMIT, error), error);
    if (status != STATUS_OK) {
        roll_back(writer);
        return status;
    }
    writer->is_open = false;
    postings_clear(writer->postings);
    return STATUS_OK;
}
