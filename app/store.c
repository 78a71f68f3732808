/* store: see store.h.
 *
 *   conversation(id, name, model, system, created, updated)     times: milliseconds since 1970
 *   message(conversation, position, role, text, thought)        role: enum chat_role
 *
 * Write-ahead log with synchronous=NORMAL: a commit is a write without a sync, which outlives the process, not the power. */
#include "app/store.h"

#include <errno.h>
#include <fcntl.h>
#include <sqlite3.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "app/models.h"

enum { SCHEMA_VERSION = 1, BUSY_MS = 2000, TITLE_BYTES = 200, TEXT_LIMIT = 256 * 1024 * 1024 };

static const char schema[] =
    "CREATE TABLE conversation(id INTEGER PRIMARY KEY AUTOINCREMENT, name TEXT UNIQUE, model TEXT NOT NULL,"
    "  system TEXT NOT NULL, created INTEGER NOT NULL, updated INTEGER NOT NULL);"
    "CREATE TABLE message(conversation INTEGER NOT NULL REFERENCES conversation(id) ON DELETE CASCADE,"
    "  position INTEGER NOT NULL, role INTEGER NOT NULL, text TEXT NOT NULL, thought TEXT NOT NULL,"
    "  PRIMARY KEY(conversation, position)) WITHOUT ROWID;"
    "CREATE INDEX conversation_updated ON conversation(updated);"
    "PRAGMA user_version = 1;";

struct store {
    sqlite3 *db;
    char *path;
    bool has_answer; /* one is being given */
    int64_t answer_conversation, answer_position;
    struct buffer text, thought; /* of it, not yet written */
    uint64_t written_ns;
};

/* ---- the folder ---- */

enum status store_make_folder(struct buffer *out, struct error *error)
{
    size_t begin = out->size;
    enum status status = xdg_folder("XDG_STATE_HOME", ".local/state", out, error);
    if (status != STATUS_OK)
        return status;
    buffer_append_text(out, "/fathom");
    if (out->failed)
        return buffer_status(out, error);
    for (char *slash = out->data + begin + 1; (slash = strchr(slash, '/')); slash++) {
        *slash = 0;
        int failed = mkdir(out->data + begin, 0700) != 0 && errno != EEXIST ? errno : 0;
        if (failed)
            error_set(error, STATUS_IO, "%s: %s", out->data + begin, strerror(failed));
        *slash = '/';
        if (failed)
            return STATUS_IO;
    }
    const char *path = out->data + begin;
    if (mkdir(path, 0700) != 0 && errno != EEXIST)
        return error_set(error, STATUS_IO, "%s: %s", path, strerror(errno));
    struct stat about;
    if (stat(path, &about) == 0 && about.st_uid == geteuid() && (about.st_mode & 0777) != 0700)
        (void)chmod(path, 0700); /* somebody else's folder will fail at the file, with a better message */
    return STATUS_OK;
}

/* ---- SQLite ---- */

static enum status fail(const struct store *store, struct error *error)
{
    int code = sqlite3_errcode(store->db) & 0xff;
    if (code == SQLITE_NOMEM)
        return error_set(error, STATUS_MEMORY, "%s: out of memory", store->path);
    return error_set(error, code == SQLITE_CORRUPT || code == SQLITE_NOTADB ? STATUS_FORMAT : STATUS_IO, "%s: %s",
                     store->path, sqlite3_errmsg(store->db));
}

static enum status execute(struct store *store, const char *sql, struct error *error)
{
    return sqlite3_exec(store->db, sql, NULL, NULL, NULL) == SQLITE_OK ? STATUS_OK : fail(store, error);
}

/* A statement with its parameters by letters: i int64_t; t const char *, bound without a copy; b struct buffer *. */
static enum status prepare(struct store *store, sqlite3_stmt **out, struct error *error, const char *sql,
                           const char *kinds, ...)
{
    if (sqlite3_prepare_v2(store->db, sql, -1, out, NULL) != SQLITE_OK)
        return fail(store, error);
    va_list values;
    va_start(values, kinds);
    int failed = SQLITE_OK;
    for (int i = 0; kinds[i] && failed == SQLITE_OK; i++) {
        if (kinds[i] == 'i') {
            failed = sqlite3_bind_int64(*out, i + 1, va_arg(values, int64_t));
        } else if (kinds[i] == 't') {
            failed = sqlite3_bind_text(*out, i + 1, va_arg(values, const char *), -1, SQLITE_STATIC);
        } else {
            const struct buffer *text = va_arg(values, const struct buffer *);
            failed = sqlite3_bind_text64(*out, i + 1, buffer_text(text), text->size, SQLITE_STATIC, SQLITE_UTF8);
        }
    }
    va_end(values);
    if (failed == SQLITE_OK)
        return STATUS_OK;
    sqlite3_finalize(*out);
    *out = NULL;
    return fail(store, error);
}

/* Runs a statement that gives at most one number, which goes to *number where that isn't NULL. */
static enum status finish(struct store *store, sqlite3_stmt *statement, int64_t *number, bool *is_there,
                          struct error *error)
{
    int step = sqlite3_step(statement);
    bool has_row = step == SQLITE_ROW;
    if (has_row && number)
        *number = sqlite3_column_int64(statement, 0);
    if (is_there)
        *is_there = has_row;
    enum status status = has_row || step == SQLITE_DONE ? STATUS_OK : fail(store, error);
    sqlite3_finalize(statement);
    return status;
}

static enum status set_up(struct store *store, struct error *error)
{
    int64_t version = 0;
    sqlite3_stmt *statement;
    sqlite3_busy_timeout(store->db, BUSY_MS);
    sqlite3_limit(store->db, SQLITE_LIMIT_LENGTH, TEXT_LIMIT);
    enum status status = prepare(store, &statement, error, "PRAGMA user_version", "");
    if (status == STATUS_OK)
        status = finish(store, statement, &version, NULL, error);
    if (status != STATUS_OK)
        return status;
    if (version > SCHEMA_VERSION)
        return error_set(error, STATUS_UNSUPPORTED, "%s: made by a newer version of fathom", store->path);
    status = execute(store, "PRAGMA journal_mode = WAL; PRAGMA synchronous = NORMAL; PRAGMA foreign_keys = ON;", error);
    if (status != STATUS_OK || version == SCHEMA_VERSION)
        return status;
    /* Two programs may come here at once: the one that waited finds the tables made. */
    status = execute(store, "BEGIN IMMEDIATE", error);
    if (status == STATUS_OK)
        status = prepare(store, &statement, error, "PRAGMA user_version", "");
    if (status == STATUS_OK)
        status = finish(store, statement, &version, NULL, error);
    if (status == STATUS_OK && version == 0)
        status = execute(store, schema, error);
    enum status ended = execute(store, status == STATUS_OK ? "COMMIT" : "ROLLBACK", status == STATUS_OK ? error : NULL);
    return status == STATUS_OK ? ended : status;
}

enum status store_open(const char *folder, struct store **out, struct error *error)
{
    struct buffer path = {0};
    enum status status = STATUS_OK;
    if (folder)
        buffer_append_text(&path, folder);
    else
        status = store_make_folder(&path, error);
    buffer_append_text(&path, "/conversations.db");
    if (status == STATUS_OK)
        status = buffer_status(&path, error);
    struct store *store = status == STATUS_OK ? calloc(1, sizeof *store) : NULL;
    if (!store) {
        buffer_deinit(&path);
        return status == STATUS_OK ? error_set(error, STATUS_MEMORY, "out of memory") : status;
    }
    store->path = path.data;
    /* The log and the shared index take the mode of the database, so it is made here and not by SQLite.  One that is there
     * isn't opened: closing it again would drop the locks of this process's other connections. */
    int fd = open(store->path, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
    if (fd < 0 && errno != EEXIST) {
        status = error_set(error, STATUS_IO, "%s: %s", store->path, strerror(errno));
        store_close(store);
        return status;
    }
    if (fd >= 0)
        close(fd);
    if (sqlite3_open_v2(store->path, &store->db, SQLITE_OPEN_READWRITE | SQLITE_OPEN_NOMUTEX, NULL) != SQLITE_OK)
        status = store->db ? fail(store, error) : error_set(error, STATUS_MEMORY, "out of memory");
    else
        status = set_up(store, error);
    if (status != STATUS_OK) {
        store_close(store);
        return status;
    }
    *out = store;
    return STATUS_OK;
}

void store_close(struct store *store)
{
    if (!store)
        return;
    store_answer_end(store, NULL);
    sqlite3_close(store->db);
    buffer_deinit(&store->text);
    buffer_deinit(&store->thought);
    free(store->path);
    free(store);
}

/* ---- conversations ---- */

static int64_t now_ms(void)
{
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

/* The first line of a question, cut at a border of code points. */
static void append_title(struct buffer *out, const char *text)
{
    size_t size = strcspn(text, "\n");
    if (size > TITLE_BYTES) {
        size = TITLE_BYTES;
        while (size && ((unsigned char)text[size] & 0xc0) == 0x80)
            size--;
    }
    buffer_append(out, text, size);
}

static const char *column_text(sqlite3_stmt *statement, int column)
{
    const unsigned char *text = sqlite3_column_text(statement, column);
    return text ? (const char *)text : "";
}

enum status store_list(struct store *store, store_entry_fn *each, void *context, struct error *error)
{
    sqlite3_stmt *statement;
    enum status status =
        prepare(store, &statement, error,
                "SELECT c.id, coalesce(c.name, ''), c.model, c.updated,"
                "  (SELECT text FROM message WHERE conversation = c.id AND role = 1 ORDER BY position LIMIT 1),"
                "  (SELECT count(*) FROM message WHERE conversation = c.id AND role = 1)"
                " FROM conversation c ORDER BY c.updated DESC, c.id DESC",
                "");
    struct buffer title = {0};
    int step = SQLITE_DONE;
    while (status == STATUS_OK && (step = sqlite3_step(statement)) == SQLITE_ROW) {
        buffer_clear(&title);
        append_title(&title, column_text(statement, 4));
        struct store_entry entry = {.id = sqlite3_column_int64(statement, 0),
                                    .name = column_text(statement, 1),
                                    .title = buffer_text(&title),
                                    .model = column_text(statement, 2),
                                    .n_questions = sqlite3_column_int64(statement, 5),
                                    .updated = sqlite3_column_int64(statement, 3) / 1000};
        if (!each(context, &entry)) {
            step = SQLITE_DONE;
            break;
        }
    }
    buffer_deinit(&title);
    if (status == STATUS_OK) {
        if (step != SQLITE_DONE)
            status = fail(store, error);
        sqlite3_finalize(statement);
    }
    return status;
}

enum status store_new(struct store *store, const char *model, const char *system, int64_t *id, struct error *error)
{
    sqlite3_stmt *statement;
    enum status status = prepare(store, &statement, error,
                                 "INSERT INTO conversation(model, system, created, updated) VALUES(?1, ?2, ?3, ?3)",
                                 "tti", model ? model : "", system ? system : "", now_ms());
    if (status == STATUS_OK)
        status = finish(store, statement, NULL, NULL, error);
    if (status == STATUS_OK)
        *id = sqlite3_last_insert_rowid(store->db);
    return status;
}

/* The id that text spells, or 0. */
static int64_t parse_id(const char *text)
{
    int64_t id = 0;
    for (; *text >= '0' && *text <= '9' && id < INT64_MAX / 100; text++)
        id = id * 10 + (*text - '0');
    return *text ? 0 : id;
}

enum status store_find(struct store *store, const char *text, int64_t *id, struct error *error)
{
    sqlite3_stmt *statement;
    bool is_there = false, is_latest = !text || !*text;
    enum status status =
        is_latest ? prepare(store, &statement, error,
                            "SELECT id FROM conversation ORDER BY updated DESC, id DESC LIMIT 1", "")
                  : prepare(store, &statement, error,
                            "SELECT id FROM conversation WHERE name = ?1 OR id = ?2 ORDER BY name IS ?1 DESC LIMIT 1",
                            "ti", text, parse_id(text));
    if (status == STATUS_OK)
        status = finish(store, statement, id, &is_there, error);
    if (status != STATUS_OK || is_there)
        return status;
    return is_latest ? error_set(error, STATUS_NOT_FOUND, "there is no saved conversation yet")
                     : error_set(error, STATUS_NOT_FOUND, "no saved conversation is called '%s'", text);
}

static enum status read_message(sqlite3_stmt *statement, struct conversation *conversation, struct error *error)
{
    int role = sqlite3_column_int(statement, 0);
    if (role != CHAT_USER && role != CHAT_ASSISTANT)
        return STATUS_OK;
    const char *text = column_text(statement, 1);
    size_t size = (size_t)sqlite3_column_bytes(statement, 1);
    if (role == CHAT_ASSISTANT && size == 0 && sqlite3_column_bytes(statement, 2) == 0)
        return STATUS_OK; /* the program ended before the first word */
    struct conversation_message *message = conversation_add(conversation, (enum chat_role)role, text, size);
    if (!message)
        return error_set(error, STATUS_MEMORY, "out of memory");
    message->piped = 0;
    const char *thought = column_text(statement, 2);
    buffer_append(&message->thought, thought, (size_t)sqlite3_column_bytes(statement, 2));
    return buffer_status(&message->thought, error);
}

enum status store_load(struct store *store, int64_t id, struct conversation *conversation, struct error *error)
{
    struct conversation fresh = {0};
    sqlite3_stmt *statement = NULL;
    enum status status = prepare(store, &statement, error, "SELECT system FROM conversation WHERE id = ?", "i", id);
    if (status != STATUS_OK)
        return status;
    int step = sqlite3_step(statement);
    if (step == SQLITE_ROW)
        status = conversation_set_system(&fresh, column_text(statement, 0), (size_t)sqlite3_column_bytes(statement, 0),
                                         error);
    else
        status = step == SQLITE_DONE
                     ? error_set(error, STATUS_NOT_FOUND, "there is no saved conversation %lld", (long long)id)
                     : fail(store, error);
    sqlite3_finalize(statement);
    if (status == STATUS_OK)
        status = prepare(store, &statement, error,
                         "SELECT role, text, thought FROM message WHERE conversation = ? ORDER BY position", "i", id);
    if (status == STATUS_OK) {
        while (status == STATUS_OK && (step = sqlite3_step(statement)) == SQLITE_ROW)
            status = read_message(statement, &fresh, error);
        if (status == STATUS_OK && step != SQLITE_DONE)
            status = fail(store, error);
        sqlite3_finalize(statement);
    }
    if (status != STATUS_OK) {
        conversation_deinit(&fresh);
        return status;
    }
    conversation_deinit(conversation);
    *conversation = fresh;
    return STATUS_OK;
}

enum status store_name(struct store *store, int64_t id, const char *name, struct error *error)
{
    sqlite3_stmt *statement;
    int64_t other = id;
    if (!*name || strspn(name, "0123456789") == strlen(name))
        return error_set(error, STATUS_ARGUMENT, "a name can't be empty or a number");
    enum status status = prepare(store, &statement, error, "SELECT id FROM conversation WHERE name = ?", "t", name);
    if (status == STATUS_OK)
        status = finish(store, statement, &other, NULL, error);
    if (status != STATUS_OK)
        return status;
    if (other != id)
        return error_set(error, STATUS_ARGUMENT, "conversation %lld is already called '%s'", (long long)other, name);
    status = prepare(store, &statement, error, "UPDATE conversation SET name = ? WHERE id = ?", "ti", name, id);
    return status == STATUS_OK ? finish(store, statement, NULL, NULL, error) : status;
}

enum status store_set_system(struct store *store, int64_t id, const char *system, struct error *error)
{
    sqlite3_stmt *statement;
    enum status status =
        prepare(store, &statement, error, "UPDATE conversation SET system = ? WHERE id = ?", "ti", system, id);
    return status == STATUS_OK ? finish(store, statement, NULL, NULL, error) : status;
}

enum status store_delete(struct store *store, int64_t id, struct error *error)
{
    sqlite3_stmt *statement;
    enum status status = prepare(store, &statement, error, "DELETE FROM conversation WHERE id = ?", "i", id);
    if (status == STATUS_OK)
        status = finish(store, statement, NULL, NULL, error);
    if (status == STATUS_OK && sqlite3_changes(store->db) == 0)
        return error_set(error, STATUS_NOT_FOUND, "there is no saved conversation %lld", (long long)id);
    return status;
}

/* ---- messages ---- */

/* Adds a row at the conversation's end and gives its position. */
static enum status insert(struct store *store, int64_t id, enum chat_role role, const struct buffer *text,
                          const struct buffer *thought, int64_t *position, struct error *error)
{
    sqlite3_stmt *statement;
    enum status status = prepare(store, &statement, error,
                                 "INSERT INTO message(conversation, position, role, text, thought) VALUES(?1,"
                                 "  (SELECT coalesce(max(position), 0) + 1 FROM message WHERE conversation = ?1), ?2, "
                                 "?3, ?4) RETURNING position",
                                 "iibb", id, (int64_t)role, text, thought);
    if (status == STATUS_OK) {
        /* The row is written when the statement is done, which a RETURNING one is after its last row. */
        int step = sqlite3_step(statement);
        if (step == SQLITE_ROW) {
            *position = sqlite3_column_int64(statement, 0);
            step = sqlite3_step(statement);
        }
        status = step == SQLITE_DONE ? STATUS_OK : fail(store, error);
        sqlite3_finalize(statement);
    }
    if (status == STATUS_OK)
        status =
            prepare(store, &statement, error, "UPDATE conversation SET updated = ? WHERE id = ?", "ii", now_ms(), id);
    return status == STATUS_OK ? finish(store, statement, NULL, NULL, error) : status;
}

static enum status insert_at_once(struct store *store, int64_t id, enum chat_role role, const struct buffer *text,
                                  const struct buffer *thought, int64_t *position, struct error *error)
{
    enum status status = execute(store, "BEGIN IMMEDIATE", error);
    if (status != STATUS_OK)
        return status;
    status = insert(store, id, role, text, thought, position, error);
    if (status == STATUS_OK)
        status = execute(store, "COMMIT", error);
    if (status != STATUS_OK)
        execute(store, "ROLLBACK", NULL);
    return status;
}

enum status store_add(struct store *store, int64_t id, const struct conversation_message *message, struct error *error)
{
    int64_t position;
    return insert_at_once(store, id, message->role, &message->text, &message->thought, &position, error);
}

enum status store_answer_begin(struct store *store, int64_t id, struct error *error)
{
    store_answer_end(store, NULL);
    store->answer_conversation = id;
    enum status status =
        insert_at_once(store, id, CHAT_ASSISTANT, &store->text, &store->thought, &store->answer_position, error);
    store->has_answer = status == STATUS_OK;
    store->written_ns = clock_now_ns();
    return status;
}

enum status store_answer_push(struct store *store, enum text_part part, const char *text, size_t size,
                              struct error *error)
{
    if (!store->has_answer)
        return STATUS_OK;
    struct buffer *batch = part == TEXT_THOUGHT ? &store->thought : &store->text;
    buffer_append(batch, text, size);
    if (batch->failed)
        return buffer_status(batch, error);
    if (clock_now_ns() - store->written_ns < (uint64_t)STORE_BATCH_MS * 1000000u)
        return STATUS_OK;
    return store_answer_flush(store, error);
}

enum status store_answer_flush(struct store *store, struct error *error)
{
    if (!store->has_answer || store->text.size + store->thought.size == 0)
        return STATUS_OK;
    sqlite3_stmt *statement;
    enum status status =
        prepare(store, &statement, error,
                "UPDATE message SET text = text || ?, thought = thought || ? WHERE conversation = ? AND position = ?",
                "bbii", &store->text, &store->thought, store->answer_conversation, store->answer_position);
    if (status == STATUS_OK)
        status = finish(store, statement, NULL, NULL, error);
    if (status == STATUS_OK) {
        buffer_clear(&store->text);
        buffer_clear(&store->thought);
    }
    store->written_ns = clock_now_ns();
    return status;
}

enum status store_answer_end(struct store *store, struct error *error)
{
    enum status status = store_answer_flush(store, error);
    store->has_answer = false;
    buffer_deinit(&store->text);
    buffer_deinit(&store->thought);
    return status;
}
