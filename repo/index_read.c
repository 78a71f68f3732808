/* index_read: what the index tells of paths: all of them, those that were edited (index.h). */
#include <string.h>

#include "repo/index_store.h"

enum status index_each_path(struct index *index, bool (*each)(void *context, const char *path, size_t size),
                            void *context, struct error *error)
{
    sqlite3_stmt *rows = index_statement(index, INDEX_EACH_FILE, error);
    int code = SQLITE_DONE;
    if (!rows)
        return index_failed(index, error);
    while ((code = sqlite3_step(rows)) == SQLITE_ROW) {
        struct index_file_row row;
        index_file_row_read(rows, &row);
        if (row.content && !each(context, row.path, row.path_size))
            break;
    }
    sqlite3_reset(rows);
    return code == SQLITE_DONE || code == SQLITE_ROW ? STATUS_OK : index_failed(index, error);
}

enum status index_edited(struct index *index, int64_t after_ns, size_t max,
                         bool (*each)(void *context, const char *path, size_t size, int64_t edited_ns), void *context,
                         struct error *error)
{
    sqlite3_stmt *rows = index_statement(index, INDEX_EDITED, error);
    int code = SQLITE_DONE;
    if (!rows)
        return index_failed(index, error);
    sqlite3_bind_int64(rows, 1, after_ns > 0 ? after_ns : 0);
    sqlite3_bind_int64(rows, 2, max < INT64_MAX ? (int64_t)max : INT64_MAX);
    while ((code = sqlite3_step(rows)) == SQLITE_ROW) {
        const char *path = sqlite3_column_blob(rows, 0);
        if (path && !each(context, path, (size_t)sqlite3_column_bytes(rows, 0), sqlite3_column_int64(rows, 1)))
            break;
    }
    sqlite3_reset(rows);
    return code == SQLITE_DONE || code == SQLITE_ROW ? STATUS_OK : index_failed(index, error);
}
