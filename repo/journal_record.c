/* journal_record: one record of the journal as bytes, and back.
 *
 *   "fathom-undo 1\n" what:text n:u32 { path:text flags:u8 [entry entry] [file file bytes:text] [blob:text] } check:u64
 *
 * entry: mode:u32 is_intent:u8 id; file: mode:u32 id; text: size:u64 bytes; numbers little-endian; check: FNV-1a of all before it. */
#include <stdlib.h>
#include <string.h>

#include "repo/journal_internal.h"

static const char magic[] = "fathom-undo 1\n";

enum { HAS_ENTRY = 1, HAS_FILE = 2, HAS_BLOB = 4, MOST_CHANGES = 1000000, LEAST_CHANGE = 9 };

static uint64_t check_of(const char *bytes, size_t size)
{
    uint64_t hash = 0xcbf29ce484222325u;
    for (size_t i = 0; i < size; i++)
        hash = (hash ^ (unsigned char)bytes[i]) * 0x100000001b3u;
    return hash;
}

/* ---- writing ---- */

static void put_number(struct buffer *out, uint64_t value, int n_bytes)
{
    for (int i = 0; i < n_bytes; i++)
        buffer_append_byte(out, (char)(unsigned char)(value >> (8 * i)));
}

static void put_text(struct buffer *out, const char *text, size_t size)
{
    put_number(out, size, 8);
    buffer_append(out, text, size);
}

static void put_entry(struct buffer *out, const struct journal_entry *entry)
{
    put_number(out, entry->mode, 4);
    put_number(out, entry->is_intent, 1);
    buffer_append(out, entry->id.bytes, sizeof entry->id.bytes);
}

static void put_file(struct buffer *out, const struct journal_file *file)
{
    put_number(out, file->mode, 4);
    buffer_append(out, file->id.bytes, sizeof file->id.bytes);
}

void journal_write_record(const struct journal_record *record, struct buffer *out)
{
    buffer_append(out, magic, sizeof magic - 1);
    put_text(out, record->what, strlen(record->what));
    put_number(out, record->n, 4);
    for (size_t i = 0; i < record->n; i++) {
        const struct journal_change *change = &record->changes[i];
        put_text(out, change->path, strlen(change->path));
        put_number(out,
                   (change->has_entry ? HAS_ENTRY : 0u) | (change->has_file ? HAS_FILE : 0u) |
                       (change->keeps_blob ? HAS_BLOB : 0u),
                   1);
        if (change->has_entry) {
            put_entry(out, &change->entry_before);
            put_entry(out, &change->entry_after);
        }
        if (change->has_file) {
            put_file(out, &change->file_before);
            put_file(out, &change->file_after);
            put_text(out, buffer_text(&change->bytes_before), change->bytes_before.size);
        }
        if (change->keeps_blob)
            put_text(out, buffer_text(&change->blob_before), change->blob_before.size);
    }
    if (!out->failed)
        put_number(out, check_of(out->data, out->size), 8);
}

/* ---- reading ---- */

struct reader {
    const char *bytes;
    size_t size, at;
    bool failed;
};

static uint64_t take_number(struct reader *reader, size_t n_bytes)
{
    uint64_t value = 0;
    if (reader->failed || reader->size - reader->at < n_bytes) {
        reader->failed = true;
        return 0;
    }
    for (size_t i = 0; i < n_bytes; i++)
        value |= (uint64_t)(unsigned char)reader->bytes[reader->at + i] << (8 * i);
    reader->at += n_bytes;
    return value;
}

static struct slice take_text(struct reader *reader)
{
    uint64_t size = take_number(reader, 8);
    if (reader->failed || size > reader->size - reader->at) {
        reader->failed = true;
        return (struct slice){"", 0};
    }
    struct slice text = {reader->bytes + reader->at, (size_t)size};
    reader->at += text.size;
    return text;
}

static void take_id(struct reader *reader, struct repo_id *id)
{
    if (reader->failed || reader->size - reader->at < sizeof id->bytes) {
        reader->failed = true;
        return;
    }
    memcpy(id->bytes, reader->bytes + reader->at, sizeof id->bytes);
    reader->at += sizeof id->bytes;
}

static struct journal_entry take_entry(struct reader *reader)
{
    struct journal_entry entry = {.mode = (uint32_t)take_number(reader, 4)};
    entry.is_intent = take_number(reader, 1) != 0;
    take_id(reader, &entry.id);
    return entry;
}

static struct journal_file take_file(struct reader *reader)
{
    struct journal_file file = {.mode = (uint32_t)take_number(reader, 4)};
    take_id(reader, &file.id);
    return file;
}

/* Paths go to one buffer, which may move while it grows: their places are kept in the meantime. */
static void take_change(struct reader *reader, struct journal_record *out, size_t *place)
{
    struct journal_change *change = &out->changes[out->n];
    struct slice path = take_text(reader);
    *place = out->paths.size;
    reader->failed = reader->failed || !repo_is_safe_path(path.data, path.size);
    buffer_append(&out->paths, path.data, path.size);
    buffer_append_byte(&out->paths, 0);
    uint64_t flags = take_number(reader, 1);
    change->has_entry = flags & HAS_ENTRY;
    change->has_file = flags & HAS_FILE;
    change->keeps_blob = flags & HAS_BLOB;
    if (change->has_entry) {
        change->entry_before = take_entry(reader);
        change->entry_after = take_entry(reader);
    }
    if (change->has_file) {
        change->file_before = take_file(reader);
        change->file_after = take_file(reader);
        struct slice bytes = take_text(reader);
        buffer_append(&change->bytes_before, bytes.data, bytes.size);
    }
    if (change->keeps_blob) {
        struct slice blob = take_text(reader);
        buffer_append(&change->blob_before, blob.data, blob.size);
    }
    reader->failed = reader->failed || change->bytes_before.failed || change->blob_before.failed;
    out->n++;
}

enum status journal_read_record(const char *bytes, size_t size, struct journal_record *out, struct error *error)
{
    struct reader reader = {.bytes = bytes, .size = size, .at = sizeof magic - 1};
    memset(out, 0, sizeof *out);
    if (size < sizeof magic - 1 + 8)
        return error_set(error, STATUS_FORMAT, "a record of the undo journal is damaged");
    if (memcmp(bytes, magic, sizeof magic - 1) != 0)
        return error_set(error, STATUS_UNSUPPORTED,
                         "the last record of the undo journal is another version's of fathom, which can take it back");
    reader.size = size - 8;
    struct reader end = {.bytes = bytes, .size = size, .at = size - 8};
    if (take_number(&end, 8) != check_of(bytes, size - 8))
        return error_set(error, STATUS_FORMAT, "a record of the undo journal is damaged");
    struct slice what = take_text(&reader);
    if (what.size >= sizeof out->what)
        what.size = sizeof out->what - 1;
    memcpy(out->what, what.data, what.size);
    uint64_t n = take_number(&reader, 4);
    if (n > MOST_CHANGES || n > (reader.size - reader.at) / LEAST_CHANGE)
        reader.failed = true;
    size_t *places = reader.failed ? NULL : calloc(n + 1, sizeof *places);
    out->changes = places ? calloc(n + 1, sizeof *out->changes) : NULL;
    bool has_memory = reader.failed || out->changes;
    for (uint64_t i = 0; out->changes && i < n && !reader.failed; i++)
        take_change(&reader, out, &places[i]);
    has_memory = has_memory && !out->paths.failed;
    if (has_memory && !reader.failed && reader.at == reader.size) {
        for (size_t i = 0; i < out->n; i++)
            out->changes[i].path = out->paths.data + places[i];
        free(places);
        return STATUS_OK;
    }
    free(places);
    journal_record_deinit(out);
    return has_memory ? error_set(error, STATUS_FORMAT, "a record of the undo journal is damaged")
                      : error_set(error, STATUS_MEMORY, "out of memory");
}

void journal_record_deinit(struct journal_record *record)
{
    for (size_t i = 0; i < record->n; i++) {
        buffer_deinit(&record->changes[i].bytes_before);
        buffer_deinit(&record->changes[i].bytes_after);
        buffer_deinit(&record->changes[i].blob_before);
    }
    free(record->changes);
    buffer_deinit(&record->paths);
    memset(record, 0, sizeof *record);
}
