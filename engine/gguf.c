/* gguf: walks the header of a GGUF file once and keeps what it found; see gguf.h.  Typed reads are in gguf_value.c.
 *
 * Everything that comes from the file passes the reader: it alone moves through the bytes, by checked arithmetic, and
 * takes nothing beyond their end.  Counts are bounded twice, by a limit and by what the bytes left can hold, before
 * memory is taken for them; so opening costs time and memory in proportion to the header, whatever it claims. */
#include "engine/gguf.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "engine/mapping.h"
#include "engine/names.h"

/* Far beyond every real model: those have some 100 keys, 2,000 tensors and 20 MB of header. */
enum {
    MAX_KEYS = 1 << 16,
    MAX_TENSORS = 1 << 17, /* of all parts together */
    MAX_KEY_NAME = 65535,  /* by the specification */
    MAX_TENSOR_NAME = 255,
    MAX_TEXT = 1 << 26,
    MAX_ARRAY = 1 << 24,
    MAX_HEADER = 1 << 28,
    MAX_PARTS = 200,
    MIN_ALIGNMENT = 8,
    MAX_ALIGNMENT = 1 << 16,
    DEFAULT_ALIGNMENT = 32,
    MIN_KEY_BYTES = 8 + 1 + 4 + 1, /* length, a letter, type, the shortest value */
    MIN_TENSOR_BYTES = 8 + 1 + 4 + 4 + 8,
};

struct gguf_key {
    struct slice name;
    struct gguf_value value;
};

struct gguf {
    struct mapping **parts;
    size_t n_parts;
    uint64_t n_bytes;
    struct gguf_key *keys;
    size_t n_keys;
    struct name_table key_table;
    struct gguf_tensor *tensors;
    size_t n_tensors;
    struct name_table tensor_table;
};

/* ---- names in messages ---- */

struct shown {
    char text[72];
};

/* A name out of a file, fit for a message: what is not printable ASCII is a question mark, a long one loses its end. */
static struct shown show(struct slice name)
{
    enum { SHOWN = 64 };
    struct shown shown = {""};
    size_t n = name.size < SHOWN ? name.size : SHOWN;
    for (size_t i = 0; i < n; i++)
        shown.text[i] = name.data[i] >= 0x20 && name.data[i] < 0x7f ? name.data[i] : '?';
    if (name.size > SHOWN)
        memcpy(shown.text + n, "...", 4);
    return shown;
}

/* ---- the reader ---- */

/* Where in the header the reader is, for messages. */
enum reader_place { PLACE_HEAD, PLACE_KEY_NAME, PLACE_KEY, PLACE_TENSOR_NAME, PLACE_TENSOR };

struct reader {
    const char *label; /* the file's name */
    const unsigned char *data;
    uint64_t size, limit, position; /* position <= limit <= size */
    enum reader_place place;
    uint64_t number;   /* of the key or tensor, from 0 */
    struct slice name; /* its name in PLACE_KEY and PLACE_TENSOR */
    struct error *error;
};

static enum status reader_cut_off(const struct reader *reader)
{
    if (reader->limit < reader->size)
        return error_set(reader->error, STATUS_UNSUPPORTED, "%s: its header is larger than %d MiB", reader->label,
                         MAX_HEADER >> 20);
    static const char *const places[] = {
        [PLACE_HEAD] = "in the head",      [PLACE_KEY_NAME] = "at key number",       [PLACE_KEY] = "in key",
        [PLACE_TENSOR] = "in tensor info", [PLACE_TENSOR_NAME] = "at tensor number",
    };
    char what[96] = "";
    if (reader->place == PLACE_KEY || reader->place == PLACE_TENSOR)
        snprintf(what, sizeof what, " '%s'", show(reader->name).text);
    else if (reader->place != PLACE_HEAD)
        snprintf(what, sizeof what, " %" PRIu64, reader->number + 1);
    return error_set(reader->error, STATUS_FORMAT, "%s: cut off %s%s (the file has %" PRIu64 " bytes)", reader->label,
                     places[reader->place], what, reader->size);
}

static enum status reader_take(struct reader *reader, uint64_t size, const unsigned char **out)
{
    uint64_t end;
    if (!checked_add(reader->position, size, &end) || end > reader->limit)
        return reader_cut_off(reader);
    *out = reader->data + reader->position;
    reader->position = end;
    return STATUS_OK;
}

static uint64_t load_little(const unsigned char *p, size_t size)
{
    uint64_t value = 0;
    for (size_t i = 0; i < size; i++)
        value |= (uint64_t)p[i] << (8 * i);
    return value;
}

static enum status reader_u32(struct reader *reader, uint32_t *out)
{
    const unsigned char *bytes = NULL;
    enum status status = reader_take(reader, 4, &bytes);
    if (status == STATUS_OK)
        *out = (uint32_t)load_little(bytes, 4);
    return status;
}

static enum status reader_u64(struct reader *reader, uint64_t *out)
{
    const unsigned char *bytes = NULL;
    enum status status = reader_take(reader, 8, &bytes);
    if (status == STATUS_OK)
        *out = load_little(bytes, 8);
    return status;
}

/* A length and as many bytes.  what: of the noun that a message about its length is to have. */
static enum status reader_text(struct reader *reader, const char *what, uint64_t limit, struct slice *out)
{
    uint64_t size = 0;
    const unsigned char *bytes = NULL;
    enum status status = reader_u64(reader, &size);
    if (status != STATUS_OK)
        return status;
    if (size > limit && size <= reader->size)
        return error_set(reader->error, STATUS_FORMAT, "%s: a %s of %" PRIu64 " bytes, at most %" PRIu64 " are taken",
                         reader->label, what, size, limit);
    status = reader_take(reader, size, &bytes);
    if (status == STATUS_OK)
        *out = (struct slice){(const char *)bytes, (size_t)size};
    return status;
}

static enum status bad_count(const struct reader *reader, const char *what, uint64_t n, uint64_t limit)
{
    if (n > limit)
        return error_set(reader->error, STATUS_FORMAT,
                         "%s: its head claims %" PRIu64 " %s; at most %" PRIu64 " are taken", reader->label, n, what,
                         limit);
    return error_set(reader->error, STATUS_FORMAT,
                     "%s: cut off: its head claims %" PRIu64 " %s, more than the %" PRIu64
                     " bytes of the file can hold",
                     reader->label, n, what, reader->size);
}

/* ---- keys ---- */

/* Bytes of a number; 0 for a string, an array and what is no type. */
static size_t number_size(uint32_t type)
{
    static const unsigned char sizes[] = {
        [GGUF_U8] = 1,  [GGUF_I8] = 1,   [GGUF_U16] = 2, [GGUF_I16] = 2, [GGUF_U32] = 4, [GGUF_I32] = 4,
        [GGUF_F32] = 4, [GGUF_BOOL] = 1, [GGUF_U64] = 8, [GGUF_I64] = 8, [GGUF_F64] = 8,
    };
    return type < sizeof sizes ? sizes[type] : 0;
}

static enum status bad_value(const struct reader *reader, enum status status, const char *what, uint64_t number)
{
    return error_set(reader->error, status, "%s: key '%s': %s %" PRIu64, reader->label, show(reader->name).text, what,
                     number);
}

static enum status read_array(struct reader *reader, struct gguf_value *value)
{
    uint32_t type = 0;
    uint64_t bytes;
    enum status status = reader_u32(reader, &type);
    if (status == STATUS_OK)
        status = reader_u64(reader, &value->n);
    if (status != STATUS_OK)
        return status;
    if (type == GGUF_ARRAY)
        return error_set(reader->error, STATUS_UNSUPPORTED, "%s: key '%s' is an array of arrays", reader->label,
                         show(reader->name).text);
    if (type != GGUF_STRING && !number_size(type))
        return bad_value(reader, STATUS_FORMAT, "unknown element type", type);
    value->type = (enum gguf_type)type;
    value->is_array = true;
    const unsigned char *begin = reader->data + reader->position;
    uint64_t least = type == GGUF_STRING ? 8 : number_size(type);
    if (!checked_mul(value->n, least, &bytes) || bytes > reader->limit - reader->position)
        return reader_cut_off(reader);
    if (value->n > MAX_ARRAY)
        return bad_value(reader, STATUS_UNSUPPORTED, "too long an array:", value->n);
    if (type != GGUF_STRING) {
        value->data = (struct slice){(const char *)begin, (size_t)bytes};
        return reader_take(reader, bytes, &begin);
    }
    struct slice text;
    for (uint64_t i = 0; i < value->n && status == STATUS_OK; i++)
        status = reader_text(reader, "string", MAX_TEXT, &text);
    value->data = (struct slice){(const char *)begin, (size_t)(reader->data + reader->position - begin)};
    return status;
}

static enum status read_value(struct reader *reader, struct gguf_value *value)
{
    uint32_t type = 0;
    enum status status = reader_u32(reader, &type);
    if (status != STATUS_OK)
        return status;
    if (type == GGUF_ARRAY)
        return read_array(reader, value);
    value->type = (enum gguf_type)type;
    value->n = 1;
    if (type == GGUF_STRING)
        return reader_text(reader, "string", MAX_TEXT, &value->data);
    size_t size = number_size(type);
    const unsigned char *bytes = NULL;
    if (!size)
        return bad_value(reader, STATUS_FORMAT, "unknown value type", type);
    status = reader_take(reader, size, &bytes);
    value->data = (struct slice){(const char *)bytes, size};
    return status;
}

static enum status read_keys(struct reader *reader, struct gguf *gguf, uint64_t n_keys)
{
    if (n_keys > MAX_KEYS || n_keys > (reader->limit - reader->position) / MIN_KEY_BYTES)
        return bad_count(reader, "keys", n_keys, MAX_KEYS);
    gguf->keys = calloc((size_t)n_keys + 1, sizeof *gguf->keys);
    if (!gguf->keys)
        return error_set(reader->error, STATUS_MEMORY, "out of memory");
    enum status status = name_table_init(&gguf->key_table, (size_t)n_keys, reader->error);
    for (uint64_t i = 0; i < n_keys && status == STATUS_OK; i++) {
        struct gguf_key *key = &gguf->keys[i];
        reader->place = PLACE_KEY_NAME;
        reader->number = i;
        status = reader_text(reader, "key", MAX_KEY_NAME, &key->name);
        if (status != STATUS_OK)
            return status;
        reader->place = PLACE_KEY;
        reader->name = key->name;
        if (key->name.size == 0)
            return error_set(reader->error, STATUS_FORMAT, "%s: key number %" PRIu64 " has no name", reader->label,
                             i + 1);
        if (name_table_add(&gguf->key_table, key->name, (size_t)i) != NAME_ADDED)
            return error_set(reader->error, STATUS_FORMAT, "%s: key '%s' comes twice", reader->label,
                             show(key->name).text);
        status = read_value(reader, &key->value);
        gguf->n_keys = (size_t)i + 1;
    }
    return status;
}

/* ---- tensors ---- */

static enum status bad_tensor(const struct reader *reader, enum status status, const char *what)
{
    return error_set(reader->error, status, "%s: tensor '%s': %s", reader->label, show(reader->name).text, what);
}

/* Shape and type of the tensor, hence its size. */
static enum status read_shape(struct reader *reader, struct gguf_tensor *tensor)
{
    uint32_t n_dims = 0, type = 0;
    enum status status = reader_u32(reader, &n_dims);
    if (status != STATUS_OK)
        return status;
    if (n_dims > GGUF_MAX_DIMS)
        return bad_tensor(reader, STATUS_FORMAT, "has more than 4 dimensions");
    tensor->n_elements = 1;
    for (uint32_t i = 0; i < GGUF_MAX_DIMS; i++) {
        tensor->shape[i] = 1;
        if (i < n_dims && (status = reader_u64(reader, &tensor->shape[i])) != STATUS_OK)
            return status;
        if (tensor->shape[i] == 0)
            return bad_tensor(reader, STATUS_FORMAT, "has an empty dimension");
        if (!checked_mul(tensor->n_elements, tensor->shape[i], &tensor->n_elements) || tensor->n_elements > INT64_MAX)
            return bad_tensor(reader, STATUS_FORMAT, "its dimensions are too large");
    }
    status = reader_u32(reader, &type);
    if (status != STATUS_OK)
        return status;
    const struct quant_info *info = type < QUANT_LIMIT ? quant_info((enum quant_type)type) : NULL;
    if (!info)
        return error_set(reader->error, STATUS_UNSUPPORTED,
                         "%s: tensor '%s' has type number %" PRIu32 ", which this program doesn't know", reader->label,
                         show(reader->name).text, type);
    tensor->type = (enum quant_type)type;
    if (tensor->shape[0] % info->block_elements)
        return error_set(reader->error, STATUS_FORMAT,
                         "%s: tensor '%s': rows of %" PRIu64 " elements don't divide into blocks of %s", reader->label,
                         show(reader->name).text, tensor->shape[0], info->name);
    uint64_t bytes;
    if (!checked_mul(tensor->n_elements / info->block_elements, info->block_bytes, &bytes) || bytes > SIZE_MAX / 2)
        return bad_tensor(reader, STATUS_FORMAT, "its dimensions are too large");
    tensor->n_bytes = (size_t)bytes;
    return STATUS_OK;
}

/* offsets[i] receives where tensor i begins, relative to the data, unchecked as yet. */
static enum status read_tensor_infos(struct reader *reader, struct gguf_tensor *tensors, uint64_t *offsets, uint64_t n)
{
    enum status status = STATUS_OK;
    for (uint64_t i = 0; i < n && status == STATUS_OK; i++) {
        struct gguf_tensor *tensor = &tensors[i];
        reader->place = PLACE_TENSOR_NAME;
        reader->number = i;
        status = reader_text(reader, "tensor name", MAX_TENSOR_NAME, &tensor->name);
        if (status != STATUS_OK)
            return status;
        reader->place = PLACE_TENSOR;
        reader->name = tensor->name;
        if (tensor->name.size == 0)
            return error_set(reader->error, STATUS_FORMAT, "%s: tensor number %" PRIu64 " has no name", reader->label,
                             i + 1);
        status = read_shape(reader, tensor);
        if (status == STATUS_OK)
            status = reader_u64(reader, &offsets[i]);
    }
    return status;
}

/* Finds the tensors' bytes: data begins at the next multiple of alignment behind the header. */
static enum status place_tensors(struct reader *reader, uint64_t alignment, struct gguf_tensor *tensors,
                                 const uint64_t *offsets, uint64_t n)
{
    uint64_t begin, end;
    if (!checked_add(reader->position, alignment - 1, &begin))
        return reader_cut_off(reader);
    begin -= begin % alignment;
    for (uint64_t i = 0; i < n; i++) {
        struct gguf_tensor *tensor = &tensors[i];
        reader->name = tensor->name;
        if (offsets[i] % alignment)
            return bad_tensor(reader, STATUS_FORMAT, "its data is not aligned");
        if (!checked_add(begin, offsets[i], &end) || !checked_add(end, tensor->n_bytes, &end) || end > INT64_MAX)
            return bad_tensor(reader, STATUS_FORMAT, "its data lies beyond every file");
        if (end > reader->size)
            return error_set(reader->error, STATUS_FORMAT,
                             "%s: cut off: tensor '%s' ends at byte %" PRIu64 ", the file has %" PRIu64, reader->label,
                             show(tensor->name).text, end, reader->size);
        tensor->data = reader->data + begin + offsets[i];
    }
    return STATUS_OK;
}

/* Reads keys that the container itself needs: a missing one is fine, and messages name the file. */
static enum status own_key(enum status status, const struct error *why, const char *label, struct error *error)
{
    if (status == STATUS_OK || status == STATUS_NOT_FOUND)
        return STATUS_OK;
    return error_set(error, status, "%s: %s", label, why->text);
}

static enum status read_alignment(const struct reader *reader, const struct gguf *gguf, uint64_t *alignment)
{
    struct error why;
    uint32_t value = DEFAULT_ALIGNMENT;
    enum status status = gguf_read_u32(gguf, "general.alignment", &value, &why);
    if (value < MIN_ALIGNMENT || value > MAX_ALIGNMENT || value & (value - 1))
        return error_set(reader->error, STATUS_FORMAT,
                         "%s: general.alignment is %" PRIu32 ", not a power of two from %d to %d", reader->label, value,
                         MIN_ALIGNMENT, MAX_ALIGNMENT);
    *alignment = value;
    return own_key(status, &why, reader->label, reader->error);
}

/* The tensors of a part, behind those that gguf has already.  part holds the part's keys. */
static enum status read_tensors(struct reader *reader, const struct gguf *part, struct gguf *gguf, uint64_t n)
{
    if (n > MAX_TENSORS - gguf->n_tensors || n > (reader->limit - reader->position) / MIN_TENSOR_BYTES)
        return bad_count(reader, "tensors", n, MAX_TENSORS - gguf->n_tensors);
    uint64_t alignment = DEFAULT_ALIGNMENT;
    enum status status = read_alignment(reader, part, &alignment);
    if (status != STATUS_OK)
        return status;
    uint64_t *offsets = calloc((size_t)n + 1, sizeof *offsets);
    struct gguf_tensor *grown = realloc(gguf->tensors, (gguf->n_tensors + (size_t)n + 1) * sizeof *grown);
    if (grown)
        gguf->tensors = grown;
    if (!offsets || !grown) {
        free(offsets);
        return error_set(reader->error, STATUS_MEMORY, "out of memory");
    }
    struct gguf_tensor *tensors = grown + gguf->n_tensors;
    memset(tensors, 0, ((size_t)n + 1) * sizeof *tensors);
    status = read_tensor_infos(reader, tensors, offsets, n);
    if (status == STATUS_OK)
        status = place_tensors(reader, alignment, tensors, offsets, n);
    if (status == STATUS_OK)
        gguf->n_tensors += (size_t)n;
    free(offsets);
    return status;
}

static enum status index_tensors(struct gguf *gguf, const char *label, struct error *error)
{
    enum status status = name_table_init(&gguf->tensor_table, gguf->n_tensors, error);
    for (size_t i = 0; i < gguf->n_tensors && status == STATUS_OK; i++)
        if (name_table_add(&gguf->tensor_table, gguf->tensors[i].name, i) != NAME_ADDED)
            status =
                error_set(error, STATUS_FORMAT, "%s: tensor '%s' comes twice", label, show(gguf->tensors[i].name).text);
    return status;
}

/* ---- one part ---- */

static enum status read_magic(struct reader *reader)
{
    static const char pointer[] = "version https://git-lfs";
    if (reader->size == 0)
        return error_set(reader->error, STATUS_FORMAT, "%s: the file is empty", reader->label);
    if (memcmp(reader->data, "GGUF", reader->size < 4 ? (size_t)reader->size : 4) == 0) {
        const unsigned char *bytes = NULL;
        return reader_take(reader, 4, &bytes);
    }
    if (reader->size >= sizeof pointer && memcmp(reader->data, pointer, sizeof pointer - 1) == 0)
        return error_set(reader->error, STATUS_FORMAT,
                         "%s: not a GGUF file but a Git LFS pointer to one (git lfs pull)", reader->label);
    return error_set(reader->error, STATUS_FORMAT, "%s: not a GGUF file", reader->label);
}

static enum status read_version(struct reader *reader)
{
    uint32_t version = 0;
    enum status status = reader_u32(reader, &version);
    if (status != STATUS_OK || version == 2 || version == 3)
        return status;
    if (version == 0x02000000 || version == 0x03000000)
        return error_set(reader->error, STATUS_UNSUPPORTED,
                         "%s: a big-endian GGUF file; only little-endian ones are read", reader->label);
    return error_set(reader->error, STATUS_UNSUPPORTED, "%s: GGUF version %" PRIu32 "; only 2 and 3 are read",
                     reader->label, version);
}

/* Reads a whole header: keys into part, tensors behind those of gguf (which may be the same). */
static enum status read_part(struct reader *reader, struct gguf *part, struct gguf *gguf)
{
    uint64_t n_tensors = 0, n_keys = 0;
    enum status status = read_magic(reader);
    if (status == STATUS_OK)
        status = read_version(reader);
    if (status == STATUS_OK)
        status = reader_u64(reader, &n_tensors);
    if (status == STATUS_OK)
        status = reader_u64(reader, &n_keys);
    if (status == STATUS_OK)
        status = read_keys(reader, part, n_keys);
    if (status == STATUS_OK)
        status = read_tensors(reader, part, gguf, n_tensors);
    return status;
}

static struct reader reader_over(const void *bytes, size_t size, const char *label, struct error *error)
{
    return (struct reader){
        .label = label,
        .data = bytes,
        .size = size,
        .limit = size < MAX_HEADER ? size : MAX_HEADER,
        .error = error,
    };
}

/* ---- split models ----
 *
 * NAME-00001-of-0000N.gguf holds all keys, each part its own tensors.  Keys of every part: split.no (from 0), split.count,
 * split.tensors.count (of all parts together).  Written by gguf-split of llama.cpp. */

enum { SPLIT_SUFFIX = 20 }; /* bytes of "-00001-of-00003.gguf" */

struct split {
    uint32_t number, count; /* from 0; 0 of 1 where the model isn't split */
    uint64_t n_tensors;     /* UINT64_MAX: the file doesn't say */
};

static enum status split_read(const struct gguf *part, const char *label, struct split *split, struct error *error)
{
    *split = (struct split){0, 1, UINT64_MAX};
    struct error why;
    enum status status = gguf_read_u32(part, "split.count", &split->count, &why);
    if (status == STATUS_OK || status == STATUS_NOT_FOUND)
        status = gguf_read_u32(part, "split.no", &split->number, &why);
    if (status == STATUS_OK || status == STATUS_NOT_FOUND)
        status = gguf_read_u64(part, "split.tensors.count", &split->n_tensors, &why);
    status = own_key(status, &why, label, error);
    if (status != STATUS_OK)
        return status;
    if (split->count == 0) /* what gguf-split writes when it merges parts */
        split->count = 1;
    if (split->number >= split->count)
        return error_set(error, STATUS_FORMAT, "%s: split.no is %" PRIu32 ", split.count %" PRIu32, label,
                         split->number, split->count);
    if (split->count > MAX_PARTS)
        return error_set(error, STATUS_UNSUPPORTED, "%s: split into %" PRIu32 " parts; at most %d are taken", label,
                         split->count, MAX_PARTS);
    return STATUS_OK;
}

static void split_suffix(struct buffer *out, uint32_t number, uint32_t count)
{
    buffer_printf(out, "-%05" PRIu32 "-of-%05" PRIu32 ".gguf", number + 1, count);
}

/* True where path ends as the name of this part has to. */
static bool split_is_named(const char *path, struct split split)
{
    struct buffer suffix = {0};
    split_suffix(&suffix, split.number, split.count);
    size_t size = strlen(path);
    bool is = size >= suffix.size && strcmp(path + size - suffix.size, buffer_text(&suffix)) == 0;
    buffer_deinit(&suffix);
    return is;
}

/* The name of part number (from 0), made from that of another, path, for which split_is_named.  NULL: out of memory. */
static char *split_path(const char *path, struct split split, uint32_t number)
{
    struct buffer name = {0};
    buffer_append(&name, path, strlen(path) - SPLIT_SUFFIX);
    split_suffix(&name, number, split.count);
    if (!name.failed)
        return name.data;
    buffer_deinit(&name);
    return NULL;
}

static enum status open_part(const char *path, struct gguf *part, struct gguf *gguf, struct error *error)
{
    struct mapping *mapping;
    enum status status = mapping_open(path, &mapping, error);
    if (status != STATUS_OK)
        return status;
    struct mapping **grown = realloc(gguf->parts, (gguf->n_parts + 1) * sizeof *grown);
    if (!grown) {
        mapping_close(mapping);
        return error_set(error, STATUS_MEMORY, "out of memory");
    }
    gguf->parts = grown;
    gguf->parts[gguf->n_parts++] = mapping;
    gguf->n_bytes += mapping_size(mapping); /* real files: their sum doesn't overflow */
    struct reader reader = reader_over(mapping_data(mapping), mapping_size(mapping), path_end_shown(path), error);
    status = read_part(&reader, part, gguf);
    if (mapping_is_broken(mapping))
        return error_set(error, STATUS_IO, "%s: became shorter while it was read", path_end_shown(path));
    return status;
}

static void release_keys(struct gguf *gguf)
{
    free(gguf->keys);
    name_table_deinit(&gguf->key_table);
}

/* Part number (1 and up) of the model whose first part is path. */
static enum status open_other_part(const char *path, struct split first, uint32_t number, struct gguf *gguf,
                                   struct error *error)
{
    char *name = split_path(path, first, number);
    if (!name)
        return error_set(error, STATUS_MEMORY, "out of memory");
    struct gguf part = {0};
    struct split split;
    const char *label = path_end_shown(name);
    enum status status = open_part(name, &part, gguf, error);
    if (status == STATUS_NOT_FOUND)
        error_set(error, status, "%s: part %" PRIu32 " of %" PRIu32 " of a split model is missing", label, number + 1,
                  first.count);
    if (status == STATUS_OK)
        status = split_read(&part, label, &split, error);
    if (status == STATUS_OK && (split.number != number || split.count != first.count))
        status = error_set(error, STATUS_FORMAT,
                           "%s: is part %" PRIu32 " of %" PRIu32 ", not %" PRIu32 " of %" PRIu32 " as its name says",
                           label, split.number + 1, split.count, number + 1, first.count);
    release_keys(&part);
    free(name);
    return status;
}

static enum status open_other_parts(const char *path, struct split split, struct gguf *gguf, struct error *error)
{
    enum status status = STATUS_OK;
    for (uint32_t i = 1; i < split.count && status == STATUS_OK; i++)
        status = open_other_part(path, split, i, gguf, error);
    if (status == STATUS_OK && split.n_tensors != UINT64_MAX && split.n_tensors != gguf->n_tensors)
        status = error_set(error, STATUS_FORMAT, "%s: split.tensors.count is %" PRIu64 ", the parts hold %zu",
                           path_end_shown(path), split.n_tensors, gguf->n_tensors);
    return status;
}

static enum status open_file(const char *path, struct split *split, struct gguf *gguf, struct error *error)
{
    enum status status = open_part(path, gguf, gguf, error);
    if (status == STATUS_OK)
        status = split_read(gguf, path_end_shown(path), split, error);
    return status;
}

/* path was another part than the first: gguf becomes the first, *first its path. */
static enum status go_to_first(const char *path, struct split *split, struct gguf **gguf, char **first,
                               struct error *error)
{
    struct split found, given = *split;
    if (!split_is_named(path, given))
        return error_set(error, STATUS_ARGUMENT,
                         "%s: is part %" PRIu32 " of %" PRIu32 " of a split model: open the first one",
                         path_end_shown(path), given.number + 1, given.count);
    gguf_close(*gguf);
    *gguf = calloc(1, sizeof **gguf);
    *first = split_path(path, given, 0);
    if (!*gguf || !*first)
        return error_set(error, STATUS_MEMORY, "out of memory");
    enum status status = open_file(*first, &found, *gguf, error);
    if (status == STATUS_NOT_FOUND)
        return error_set(error, status, "%s: part 1 of %" PRIu32 " of a split model is missing", path_end_shown(*first),
                         given.count);
    if (status == STATUS_OK && (found.number != 0 || found.count != given.count))
        return error_set(error, STATUS_FORMAT, "%s: is part %" PRIu32 " of %" PRIu32 ", not 1 of %" PRIu32,
                         path_end_shown(*first), found.number + 1, found.count, given.count);
    *split = found;
    return status;
}

/* ---- opening and closing ---- */

enum status gguf_open(const char *path, struct gguf **out, struct error *error)
{
    *out = NULL;
    struct gguf *gguf = calloc(1, sizeof *gguf);
    if (!gguf)
        return error_set(error, STATUS_MEMORY, "out of memory");
    struct split split;
    char *first = NULL;
    enum status status = open_file(path, &split, gguf, error);
    if (status == STATUS_OK && split.number > 0)
        status = go_to_first(path, &split, &gguf, &first, error);
    const char *name = first ? first : path;
    if (status == STATUS_OK && split.count > 1 && !split_is_named(name, split))
        status = error_set(error, STATUS_FORMAT,
                           "%s: is part 1 of %" PRIu32
                           " of a split model, but its name doesn't end in -00001-of-%05" PRIu32 ".gguf",
                           path_end_shown(name), split.count, split.count);
    if (status == STATUS_OK)
        status = open_other_parts(name, split, gguf, error);
    if (status == STATUS_OK)
        status = index_tensors(gguf, path_end_shown(name), error);
    free(first);
    if (status != STATUS_OK)
        gguf_close(gguf);
    else
        *out = gguf;
    return status;
}

enum status gguf_open_memory(const void *bytes, size_t size, struct gguf **out, struct error *error)
{
    *out = NULL;
    struct gguf *gguf = calloc(1, sizeof *gguf);
    if (!gguf)
        return error_set(error, STATUS_MEMORY, "out of memory");
    static const char label[] = "GGUF in memory";
    struct split split;
    struct reader reader = reader_over(bytes, size, label, error);
    gguf->n_bytes = size;
    enum status status = read_part(&reader, gguf, gguf);
    if (status == STATUS_OK)
        status = split_read(gguf, label, &split, error);
    if (status == STATUS_OK && split.count > 1)
        status = error_set(error, STATUS_UNSUPPORTED, "%s: is a part of a split model", label);
    if (status == STATUS_OK)
        status = index_tensors(gguf, label, error);
    if (status != STATUS_OK)
        gguf_close(gguf);
    else
        *out = gguf;
    return status;
}

void gguf_close(struct gguf *gguf)
{
    if (!gguf)
        return;
    release_keys(gguf);
    name_table_deinit(&gguf->tensor_table);
    free(gguf->tensors);
    for (size_t i = 0; i < gguf->n_parts; i++)
        mapping_close(gguf->parts[i]);
    free(gguf->parts);
    free(gguf);
}

/* ---- what was found ---- */

size_t gguf_n_keys(const struct gguf *gguf)
{
    return gguf->n_keys;
}

size_t gguf_n_tensors(const struct gguf *gguf)
{
    return gguf->n_tensors;
}

uint64_t gguf_n_bytes(const struct gguf *gguf)
{
    return gguf->n_bytes;
}

bool gguf_is_broken(const struct gguf *gguf)
{
    for (size_t i = 0; i < gguf->n_parts; i++)
        if (mapping_is_broken(gguf->parts[i]))
            return true;
    return false;
}

const struct gguf_tensor *gguf_tensor_at(const struct gguf *gguf, size_t i)
{
    return &gguf->tensors[i];
}

const struct gguf_value *gguf_value_at(const struct gguf *gguf, size_t i, struct slice *key)
{
    if (key)
        *key = gguf->keys[i].name;
    return &gguf->keys[i].value;
}

const struct gguf_tensor *gguf_find_tensor(const struct gguf *gguf, const char *name)
{
    size_t i;
    return name_table_find(&gguf->tensor_table, slice_from(name), &i) ? &gguf->tensors[i] : NULL;
}

const struct gguf_value *gguf_find_key(const struct gguf *gguf, const char *key)
{
    size_t i;
    return name_table_find(&gguf->key_table, slice_from(key), &i) ? &gguf->keys[i].value : NULL;
}
