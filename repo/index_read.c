/* index_read: what the index tells of paths: list, scopes (index.h). */
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
