/* index: the file: where it lies, its tables and version, its lock; made anew where it is broken (index.h). */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "repo/index_store.h"

enum { APPLICATION = 0x46746849, VERSION = 3 }; /* "FthI" */

static const char schema[] =
    "CREATE TABLE meta (key TEXT PRIMARY KEY, value BLOB) WITHOUT ROWID;"
    "CREATE TABLE files (path BLOB PRIMARY KEY, content INTEGER, skip INTEGER, size INTEGER, "
    "mtime INTEGER, ctime INTEGER, inode INTEGER, mode INTEGER, symbols INTEGER, refs INTEGER, "
    "bytes INTEGER, edited INTEGER, stem BLOB) WITHOUT ROWID;"
    "CREATE INDEX files_content ON files (content);"
    "CREATE INDEX files_stem ON files (stem);"
    "CREATE INDEX files_edited ON files (edited) WHERE edited > 0;"
    "CREATE TABLE contents (id INTEGER PRIMARY KEY, blob BLOB, language TEXT, bytes INTEGER, "
    "chunk INTEGER, chunks INTEGER, definitions INTEGER, refs INTEGER, flags INTEGER, "
    "version INTEGER);"
    "CREATE UNIQUE INDEX contents_blob ON contents (blob, language, version);"
    "CREATE INDEX contents_chunk ON contents (chunk);"
    "CREATE TABLE facts (id INTEGER PRIMARY KEY, chunks BLOB, imports BLOB, definitions BLOB, "
    "refs BLOB);"
    "CREATE TABLE segments (id INTEGER PRIMARY KEY AUTOINCREMENT, first_content INTEGER, "
    "last_content INTEGER, first_chunk INTEGER, end_chunk INTEGER, bytes INTEGER, words INTEGER, lengths BLOB);"
    "CREATE TABLE terms (segment INTEGER, first BLOB, block INTEGER, PRIMARY KEY (segment, "
    "first)) WITHOUT ROWID;"
    "CREATE TABLE blocks (id INTEGER PRIMARY KEY, data BLOB);";

#define FILE_COLUMNS "path, content, skip, size, mtime, ctime, inode, mode, symbols, refs, bytes, edited"

static const char *const sql[INDEX_N_STATEMENTS] = {
    [INDEX_BEGIN] = "BEGIN IMMEDIATE",
    [INDEX_BEGIN_READ] = "BEGIN",
    [INDEX_COMMIT] = "COMMIT",
    [INDEX_ROLLBACK] = "ROLLBACK",
    [INDEX_EACH_FILE] = "SELECT " FILE_COLUMNS " FROM files ORDER BY path",
    [INDEX_FILE] = "SELECT " FILE_COLUMNS " FROM files WHERE path = ?1",
    [INDEX_FILES_BELOW] =
        "SELECT " FILE_COLUMNS " FROM files WHERE path = ?1 OR (path >= ?2 AND path < ?3) ORDER BY path",
    [INDEX_PUT_FILE] = "INSERT OR REPLACE INTO files (" FILE_COLUMNS ", stem) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, "
                       "?9, ?10, ?11, ?12, ?13)",
    [INDEX_DROP_FILE] = "DELETE FROM files WHERE path = ?1",
    [INDEX_EACH_CONTENT] = "SELECT id, blob, language, definitions, refs, bytes, version FROM contents",
    [INDEX_FIND_CONTENT] = "SELECT id, blob, language, definitions, refs, bytes, version FROM contents WHERE blob = ?1 "
                           "AND language = ?2 AND "
                           "version = ?3",
    [INDEX_CONTENT] = "SELECT id, blob, language, definitions, refs, bytes, version FROM contents WHERE id = ?1",
    [INDEX_PUT_CONTENT] = "INSERT INTO contents (id, blob, language, bytes, chunk, chunks, definitions, refs, flags, "
                          "version) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10)",
    [INDEX_PUT_FACTS] = "INSERT INTO facts (id, chunks, imports, definitions, refs) VALUES (?1, ?2, ?3, ?4, ?5)",
    [INDEX_DEAD] = "SELECT ifnull(sum(CASE WHEN EXISTS (SELECT 1 FROM files WHERE content = contents.id) THEN 0 ELSE "
                   "bytes END), 0), ifnull(sum(bytes), 0) FROM contents",
    [INDEX_EACH_KEPT] = "SELECT id, chunk, chunks FROM contents",
    [INDEX_DROP_FACTS] = "DELETE FROM facts WHERE id NOT IN (SELECT content FROM files)",
    [INDEX_DROP_CONTENTS] = "DELETE FROM contents WHERE id NOT IN (SELECT content FROM files)",
    [INDEX_LAST] = "SELECT ifnull(max(last_content), 0), ifnull(max(end_chunk), 0) FROM segments",
    [INDEX_PATHS_OF] = "SELECT path FROM files WHERE content = ?1 LIMIT ?2",
    [INDEX_CONTENT_AT] = "SELECT id, chunk, chunks FROM contents WHERE chunk <= ?1 AND chunks > 0 ORDER BY chunk DESC "
                         "LIMIT 1",
    [INDEX_DEFINITIONS] = "SELECT facts.definitions, language FROM facts JOIN contents USING (id) WHERE id = ?1",
    [INDEX_REFERENCES] = "SELECT refs FROM facts WHERE id = ?1",
    [INDEX_CHUNKS] = "SELECT facts.chunks, contents.chunk, language FROM facts JOIN contents USING (id) WHERE id = ?1",
    [INDEX_IMPORTS] = "SELECT imports, language FROM facts JOIN contents USING (id) WHERE id = ?1",
    [INDEX_STEM] = "SELECT path, content FROM files WHERE stem = ?1 AND content > 0 LIMIT ?2",
    [INDEX_EACH_PLACE] = "SELECT path, id, language, chunk, chunks FROM files JOIN contents ON contents.id = "
                         "files.content",
    [INDEX_EDITED] =
        "SELECT path, edited FROM files WHERE edited > 0 AND edited > ?1 AND content > 0 ORDER BY edited DESC, path "
        "LIMIT ?2",
    [INDEX_PUT_EDIT] = "UPDATE files SET edited = ?2 WHERE path = ?1",
    [INDEX_CHUNKS_OF] = "SELECT chunk, chunks FROM files JOIN contents ON contents.id = files.content WHERE path = ?1",
    [INDEX_GET_META] = "SELECT value FROM meta WHERE key = ?1",
    [INDEX_PUT_META] = "INSERT OR REPLACE INTO meta (key, value) VALUES (?1, ?2)",
    [INDEX_DROP_META] = "DELETE FROM meta WHERE key = ?1",
    [INDEX_OUTDATE] =
        "UPDATE files SET mtime = 0, ctime = 0, inode = 0 WHERE content IN (SELECT id FROM contents WHERE "
        "language = ?1 AND version <> ?2)",
    [INDEX_LANGUAGE] = "SELECT language, bytes FROM contents WHERE id = ?1",
};

/* ---- statements and failures ---- */

enum status index_damaged(struct error *error)
{
    return error_set(error, STATUS_FORMAT, "the index is damaged");
}

enum status index_failed(struct index *index, struct error *error)
{
    int code = sqlite3_errcode(index->database) & 0xff;
    enum status status = code == SQLITE_NOMEM                              ? STATUS_MEMORY
                         : code == SQLITE_CORRUPT || code == SQLITE_NOTADB ? STATUS_FORMAT
                                                                           : STATUS_IO;
    return error_set(error, status, "the index %s: %s", buffer_text(&index->path), sqlite3_errmsg(index->database));
}

sqlite3_stmt *index_statement(struct index *index, enum index_statement statement, struct error *error)
{
    sqlite3_stmt **place = &index->statements[statement];
    if (!*place &&
        sqlite3_prepare_v3(index->database, sql[statement], -1, SQLITE_PREPARE_PERSISTENT, place, NULL) != SQLITE_OK) {
        index_failed(index, error);
        return NULL;
    }
    sqlite3_reset(*place);
    sqlite3_clear_bindings(*place);
    return *place;
}

enum status index_run(struct index *index, sqlite3_stmt *statement, struct error *error)
{
    if (!statement)
        return index_failed(index, error);
    int code = sqlite3_step(statement);
    enum status status = code == SQLITE_DONE || code == SQLITE_ROW ? STATUS_OK : index_failed(index, error);
    sqlite3_reset(statement);
    return status;
}

enum status index_begin_read(struct index *index, struct error *error)
{
    struct error inner;
    enum status status = STATUS_OK;
    if (index->n_readers == 0 && sqlite3_get_autocommit(index->database))
        status = index_run(index, index_statement(index, INDEX_BEGIN_READ, &inner), &inner);
    if (status != STATUS_OK)
        return error_set(error, status, "%s", inner.text);
    index->n_readers++;
    return STATUS_OK;
}

void index_end_read(struct index *index)
{
    if (index->n_readers && --index->n_readers == 0)
        index_run(index, index_statement(index, INDEX_COMMIT, NULL), NULL);
}

/* ---- the lock ---- */

enum status index_lock(struct index *index, const atomic_bool *cancel, struct error *error)
{
    while (flock(index->lock, LOCK_EX | LOCK_NB) != 0) {
        if (errno != EWOULDBLOCK && errno != EINTR)
            return error_set(error, STATUS_IO, "%s.lock: %s", buffer_text(&index->path), strerror(errno));
        if (cancel && atomic_load(cancel))
            return error_set(error, STATUS_CANCELLED, "cancelled");
        poll(NULL, 0, 20);
    }
    return STATUS_OK;
}

void index_unlock(struct index *index)
{
    flock(index->lock, LOCK_UN);
}

/* ---- the file ---- */

static enum status execute(struct index *index, const char *text, struct error *error)
{
    return sqlite3_exec(index->database, text, NULL, NULL, NULL) == SQLITE_OK ? STATUS_OK : index_failed(index, error);
}

static enum status read_integer(sqlite3 *database, const char *text, int64_t *out)
{
    sqlite3_stmt *statement = NULL;
    int code = sqlite3_prepare_v2(database, text, -1, &statement, NULL);
    if (code == SQLITE_OK)
        code = sqlite3_step(statement);
    if (code == SQLITE_ROW)
        *out = sqlite3_column_int64(statement, 0);
    sqlite3_finalize(statement);
    return code == SQLITE_ROW ? STATUS_OK : code == SQLITE_CORRUPT || code == SQLITE_NOTADB ? STATUS_FORMAT : STATUS_IO;
}

static void close_database(struct index *index)
{
    for (int i = 0; i < INDEX_N_STATEMENTS; i++) {
        sqlite3_finalize(index->statements[i]);
        index->statements[i] = NULL;
    }
    segment_store_free(index->segments);
    index->segments = NULL;
    index->n_readers = 0;
    sqlite3_close(index->database);
    index->database = NULL;
}

/* Everything that the tables are made of, as the database remembers it. */
static bool read_schema(sqlite3 *database, struct buffer *out)
{
    sqlite3_stmt *statement = NULL;
    int code = sqlite3_prepare_v2(database,
                                  "SELECT sql FROM sqlite_schema WHERE sql IS NOT NULL AND name NOT LIKE "
                                  "'sqlite~_%' ESCAPE '~' ORDER BY rowid",
                                  -1, &statement, NULL);
    while (code == SQLITE_OK && (code = sqlite3_step(statement)) == SQLITE_ROW) {
        buffer_append(out, sqlite3_column_text(statement, 0), (size_t)sqlite3_column_bytes(statement, 0));
        buffer_append_byte(out, ';');
        code = SQLITE_OK;
    }
    sqlite3_finalize(statement);
    return code == SQLITE_DONE && !out->failed;
}

/* STATUS_FORMAT where it isn't one of ours, or of another version, or of another root; empty ones get their tables. */
static enum status check_database(struct index *index, struct error *error)
{
    int64_t application = 0, version = 0, n_tables = 0;
    struct buffer text = {0};
    enum status status = read_integer(index->database, "SELECT count(*) FROM sqlite_schema", &n_tables);
    if (status == STATUS_OK)
        status = read_integer(index->database, "PRAGMA application_id", &application);
    if (status == STATUS_OK)
        status = read_integer(index->database, "PRAGMA user_version", &version);
    if (status != STATUS_OK)
        return index_failed(index, error);
    if (n_tables == 0 && version == 0) {
        status = execute(index, schema, error);
        sqlite3_stmt *statement = NULL;
        if (status == STATUS_OK && sqlite3_prepare_v2(index->database, "INSERT INTO meta VALUES ('root', ?1)", -1,
                                                      &statement, NULL) == SQLITE_OK)
            sqlite3_bind_blob64(statement, 1, buffer_text(&index->root), index->root.size, SQLITE_STATIC);
        if (status == STATUS_OK)
            status = index_run(index, statement, error);
        sqlite3_finalize(statement);
        buffer_printf(&text, "PRAGMA application_id = %d; PRAGMA user_version = %d", APPLICATION, VERSION);
        if (status == STATUS_OK)
            status = execute(index, buffer_text(&text), error);
        buffer_deinit(&text);
        return status;
    }
    bool is_ours = application == APPLICATION && version == VERSION && read_schema(index->database, &text) &&
                   strcmp(buffer_text(&text), schema) == 0;
    sqlite3_stmt *statement = NULL;
    if (is_ours && sqlite3_prepare_v2(index->database, "SELECT value FROM meta WHERE key = 'root'", -1, &statement,
                                      NULL) == SQLITE_OK)
        is_ours = sqlite3_step(statement) == SQLITE_ROW &&
                  (size_t)sqlite3_column_bytes(statement, 0) == index->root.size &&
                  memcmp(sqlite3_column_blob(statement, 0), buffer_text(&index->root), index->root.size) == 0;
    sqlite3_finalize(statement);
    buffer_deinit(&text);
    return is_ours ? STATUS_OK
                   : error_set(error, STATUS_FORMAT, "the index %s: of another version", buffer_text(&index->path));
}

static enum status open_database(struct index *index, struct error *error)
{
    /* Its mode is the one of the files that SQLite puts beside it.  One that is there isn't opened: to close it again would
     * drop the locks that this process's other connections hold on it, and the next process to close would think itself
     * the last and take the log away from under them. */
    int fd = open(buffer_text(&index->path), O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
    if (fd < 0 && errno != EEXIST)
        return error_set(error, STATUS_IO, "%s: %s", buffer_text(&index->path), strerror(errno));
    if (fd >= 0)
        close(fd);
    if (sqlite3_open_v2(buffer_text(&index->path), &index->database, SQLITE_OPEN_READWRITE, NULL) != SQLITE_OK)
        return index->database ? index_failed(index, error) : error_set(error, STATUS_MEMORY, "out of memory");
    sqlite3_busy_timeout(index->database, 30000);
    sqlite3_db_config(index->database, SQLITE_DBCONFIG_DEFENSIVE, 1, NULL);
    sqlite3_db_config(index->database, SQLITE_DBCONFIG_TRUSTED_SCHEMA, 0, NULL);
    sqlite3_limit(index->database, SQLITE_LIMIT_LENGTH, 1 << 29);
    enum status status =
        execute(index,
                "PRAGMA page_size = 8192; PRAGMA cell_size_check = 1; PRAGMA journal_mode = WAL; PRAGMA synchronous = "
                "NORMAL; PRAGMA temp_store = MEMORY; PRAGMA cache_size = -24576; PRAGMA journal_size_limit = 16777216; "
                "PRAGMA wal_autocheckpoint = 4000",
                error);
    /* Two that open it for the first time: one makes the tables, the other waits and finds them. */
    int64_t version = 0;
    if (status == STATUS_OK && read_integer(index->database, "PRAGMA user_version", &version) == STATUS_OK &&
        !version) {
        status = execute(index, "BEGIN IMMEDIATE", error);
        if (status == STATUS_OK)
            status = check_database(index, error);
        if (status == STATUS_OK)
            status = execute(index, "COMMIT", error);
    } else if (status == STATUS_OK) {
        status = check_database(index, error);
    }
    return status == STATUS_OK ? segment_store_new(index->database, &index->segments, error) : status;
}

static enum status remove_files(struct index *index, struct error *error)
{
    static const char *const suffixes[] = {"-wal", "-shm", ""};
    struct buffer path = {0};
    enum status status = STATUS_OK;
    close_database(index);
    for (size_t i = 0; i < sizeof suffixes / sizeof *suffixes && status == STATUS_OK; i++) {
        buffer_clear(&path);
        buffer_append(&path, index->path.data, index->path.size);
        buffer_append_text(&path, suffixes[i]);
        status = buffer_status(&path, error);
        if (status == STATUS_OK && unlink(path.data) != 0 && errno != ENOENT)
            status = error_set(error, STATUS_IO, "%s: %s", path.data, strerror(errno));
    }
    buffer_deinit(&path);
    return status;
}

enum status index_make_anew(struct index *index, struct error *error)
{
    enum status status = remove_files(index, error);
    return status == STATUS_OK ? open_database(index, error) : status;
}

/* A name that says whose it is, and a hash that tells roots of one name apart. */
static enum status name_file(struct index *index, const char *folder, const char *root, struct error *error)
{
    enum { MOST = 40 };
    uint64_t hash = 0xcbf29ce484222325u;
    for (const char *c = root; *c; c++)
        hash = (hash ^ (unsigned char)*c) * 0x100000001b3u;
    const char *name = strrchr(root, '/');
    name = name ? name + 1 : root;
    buffer_append_text(&index->root, root);
    buffer_printf(&index->path, "%s/", folder);
    for (int i = 0; i < MOST && name[i]; i++) {
        bool is_plain = (name[i] >= 'a' && name[i] <= 'z') || (name[i] >= 'A' && name[i] <= 'Z') ||
                        (name[i] >= '0' && name[i] <= '9') || strchr("._-", name[i]);
        buffer_append_byte(&index->path, is_plain ? name[i] : '_');
    }
    buffer_printf(&index->path, "-%016llx.index", (unsigned long long)hash);
    enum status status = buffer_status(&index->path, error);
    return status == STATUS_OK ? buffer_status(&index->root, error) : status;
}

enum status index_open(const char *cache_folder, const char *root, struct index **out, struct error *error)
{
    struct index *index = *out = calloc(1, sizeof **out);
    struct buffer lock = {0};
    if (!index)
        return error_set(error, STATUS_MEMORY, "out of memory");
    index->lock = -1;
    enum status status = name_file(index, cache_folder, root, error);
    if (status == STATUS_OK) {
        buffer_printf(&lock, "%s.lock", index->path.data);
        index->lock = open(buffer_text(&lock), O_RDWR | O_CREAT | O_CLOEXEC, 0600);
        if (index->lock < 0)
            status = error_set(error, STATUS_IO, "%s: %s", buffer_text(&lock), strerror(errno));
        else
            (void)futimens(index->lock, NULL); /* when it was used last (index_prune) */
    }
    buffer_deinit(&lock);
    struct error inner;
    if (status == STATUS_OK) {
        status = open_database(index, &inner);
        if (status == STATUS_FORMAT) { /* one process alone looks again and makes it anew */
            close_database(index);
            status = index_lock(index, NULL, &inner);
            if (status == STATUS_OK) {
                status = open_database(index, &inner);
                if (status == STATUS_FORMAT)
                    status = index_make_anew(index, &inner);
                index_unlock(index);
            }
        }
        if (status != STATUS_OK)
            error_set(error, status, "%s", inner.text);
    }
    if (status != STATUS_OK) {
        index_close(index);
        *out = NULL;
    }
    return status;
}

void index_close(struct index *index)
{
    if (!index)
        return;
    close_database(index);
    if (index->lock >= 0)
        close(index->lock);
    buffer_deinit(&index->path);
    buffer_deinit(&index->root);
    free(index);
}
