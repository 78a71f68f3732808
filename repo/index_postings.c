/* index_postings: inverted lists while they grow in memory (index_segment.h).
 *
 * A key is an entry in an open hash table; its list is a chain of slices in one pool, each twice as long as the one before,
 * so that the many keys that come once cost a dozen bytes and the few that come everywhere waste little. */
#include <stdlib.h>
#include <string.h>

#include "repo/index_segment.h"

enum { FIRST_SLICE = 12, MAX_SLICE = 768, LINK = 4 };

struct entry {
    uint32_t key_at, hash;
    uint32_t n, last;
    uint32_t first, at,
        end; /* in the pool: the first slice; where the next byte goes; where the link of this slice lies */
    uint16_t key_size, slice;
};

struct sort_item {
    uint64_t prefix; /* the key's first bytes, most significant first */
    uint32_t entry;
};

struct postings {
    struct entry *entries;
    uint32_t *table; /* entry + 1, or 0 */
    uint8_t *pool;
    char *keys;
    struct sort_item *sorted;
    uint8_t *scratch; /* a list in one piece */
    size_t n_entries, entries_capacity, table_size, pool_size, pool_capacity, keys_size, keys_capacity,
        scratch_capacity;
    bool failed;
};

enum status postings_new(struct postings **out, struct error *error)
{
    *out = calloc(1, sizeof **out);
    if (*out && !((*out)->table = calloc((*out)->table_size = 1 << 12, sizeof(uint32_t)))) {
        free(*out);
        *out = NULL;
    }
    return *out ? STATUS_OK : error_set(error, STATUS_MEMORY, "out of memory");
}

void postings_free(struct postings *postings)
{
    if (!postings)
        return;
    free(postings->entries);
    free(postings->table);
    free(postings->pool);
    free(postings->keys);
    free(postings->sorted);
    free(postings->scratch);
    free(postings);
}

void postings_clear(struct postings *postings)
{
    postings->n_entries = postings->pool_size = postings->keys_size = 0;
    memset(postings->table, 0, postings->table_size * sizeof *postings->table);
    free(postings->sorted);
    postings->sorted = NULL;
    postings->failed = false;
}

size_t postings_memory(const struct postings *postings)
{
    return postings->n_entries * (sizeof(struct entry) + sizeof(struct sort_item)) +
           postings->table_size * sizeof(uint32_t) + postings->pool_size + postings->keys_size;
}

/* Makes room for size more bytes of an array that offsets of 32 bits must reach. */
static bool grow(void **data, size_t *capacity, size_t used, size_t more, size_t width)
{
    if (used + more <= *capacity)
        return true;
    size_t wanted = *capacity + *capacity / 2 + more + 1024;
    if (used + more > UINT32_MAX / 2 || wanted > SIZE_MAX / width)
        return false;
    void *moved = realloc(*data, wanted * width);
    if (!moved)
        return false;
    *data = moved;
    *capacity = wanted;
    return true;
}

static bool grow_table(struct postings *postings)
{
    size_t size = postings->table_size * 2;
    uint32_t *table = calloc(size, sizeof *table);
    if (!table)
        return false;
    for (size_t i = 0; i < postings->n_entries; i++) {
        size_t at = postings->entries[i].hash & (size - 1);
        while (table[at])
            at = (at + 1) & (size - 1);
        table[at] = (uint32_t)i + 1;
    }
    free(postings->table);
    postings->table = table;
    postings->table_size = size;
    return true;
}

/* A slice of that length from the pool; 0 where there is no memory (byte 0 of the pool is never used). */
static uint32_t take_slice(struct postings *postings, size_t size)
{
    if (!postings->pool_size)
        postings->pool_size = 1;
    if (!grow((void **)&postings->pool, &postings->pool_capacity, postings->pool_size, size, 1)) {
        postings->failed = true;
        return 0;
    }
    uint32_t at = (uint32_t)postings->pool_size;
    postings->pool_size += size;
    memset(postings->pool + at + size - LINK, 0, LINK);
    return at;
}

uint32_t postings_key(struct postings *postings, const char *key, size_t size)
{
    uint32_t hash = code_hash(key, size);
    size_t at = hash & (postings->table_size - 1);
    for (uint32_t found; (found = postings->table[at]) != 0; at = (at + 1) & (postings->table_size - 1)) {
        const struct entry *entry = &postings->entries[found - 1];
        if (entry->hash == hash && entry->key_size == size && memcmp(postings->keys + entry->key_at, key, size) == 0)
            return found - 1;
    }
    uint32_t first = size <= CODE_NAME_MAX && !postings->failed ? take_slice(postings, FIRST_SLICE) : 0;
    if (!first ||
        !grow((void **)&postings->entries, &postings->entries_capacity, postings->n_entries, 1, sizeof(struct entry)) ||
        !grow((void **)&postings->keys, &postings->keys_capacity, postings->keys_size, size, 1)) {
        postings->failed = true;
        return UINT32_MAX;
    }
    memcpy(postings->keys + postings->keys_size, key, size);
    postings->entries[postings->n_entries++] = (struct entry){.key_at = (uint32_t)postings->keys_size,
                                                              .key_size = (uint16_t)size,
                                                              .hash = hash,
                                                              .first = first,
                                                              .at = first,
                                                              .end = first + FIRST_SLICE - LINK,
                                                              .slice = FIRST_SLICE};
    postings->keys_size += size;
    postings->table[at] = (uint32_t)postings->n_entries;
    uint32_t made = (uint32_t)postings->n_entries - 1;
    if (postings->n_entries > postings->table_size / 2 && !grow_table(postings))
        postings->failed = true;
    return made;
}

static void put(struct postings *postings, struct entry *entry, uint64_t value)
{
    uint8_t bytes[10];
    size_t size = code_write(bytes, value);
    for (size_t i = 0; i < size; i++) {
        if (entry->at == entry->end) {
            uint16_t next_size = entry->slice < MAX_SLICE ? (uint16_t)(entry->slice * 2) : MAX_SLICE;
            uint32_t next = take_slice(postings, next_size);
            if (!next)
                return;
            memcpy(postings->pool + entry->end, &next, LINK);
            entry->at = next;
            entry->end = next + next_size - LINK;
            entry->slice = next_size;
        }
        postings->pool[entry->at++] = bytes[i];
    }
}

static bool put_document(struct postings *postings, uint32_t key, uint32_t document, unsigned low)
{
    if (postings->failed || key >= postings->n_entries || document < postings->entries[key].last) {
        postings->failed = true;
        return false;
    }
    struct entry *entry = &postings->entries[key];
    put(postings, entry, (uint64_t)(document - entry->last) << 2 | (low & POSTING_LOW_MAX));
    entry->last = document;
    entry->n++;
    return true;
}

void postings_add(struct postings *postings, uint32_t key, uint32_t document, unsigned low)
{
    put_document(postings, key, document, low);
}

void postings_add_with(struct postings *postings, uint32_t key, uint32_t document, unsigned low, uint32_t extra)
{
    if (put_document(postings, key, document, low))
        put(postings, &postings->entries[key], extra);
}

/* ---- in order ---- */

static int compare_items(const void *a, const void *b, void *context)
{
    const struct sort_item *left = a, *right = b;
    if (left->prefix != right->prefix)
        return left->prefix < right->prefix ? -1 : 1;
    const struct postings *postings = context;
    const struct entry *one = &postings->entries[left->entry], *other = &postings->entries[right->entry];
    return code_compare(postings->keys + one->key_at, one->key_size, postings->keys + other->key_at, other->key_size);
}

static uint64_t prefix_of(const char *key, size_t size)
{
    uint64_t prefix = 0;
    for (size_t i = 0; i < 8; i++)
        prefix = prefix << 8 | (i < size ? (uint8_t)key[i] : 0);
    return prefix;
}

enum status postings_sort(struct postings *postings, size_t *n, struct error *error)
{
    *n = 0;
    free(postings->sorted);
    postings->sorted = calloc(postings->n_entries + 1, sizeof *postings->sorted);
    if (postings->failed || !postings->sorted)
        return error_set(error, STATUS_MEMORY, "out of memory while inverted lists were built");
    for (size_t i = 0; i < postings->n_entries; i++) {
        const struct entry *entry = &postings->entries[i];
        postings->sorted[i] =
            (struct sort_item){prefix_of(postings->keys + entry->key_at, entry->key_size), (uint32_t)i};
    }
    qsort_r(postings->sorted, postings->n_entries, sizeof *postings->sorted, compare_items, postings);
    *n = postings->n_entries;
    return STATUS_OK;
}

void postings_entry(struct postings *postings, size_t i, struct posting_entry *out)
{
    const struct entry *entry = &postings->entries[postings->sorted[i].entry];
    size_t size = 0, slice = FIRST_SLICE;
    *out = (struct posting_entry){postings->keys + entry->key_at, entry->key_size, entry->n, entry->last, {NULL, 0}};
    for (uint32_t at = entry->first; at;) {
        uint32_t next;
        memcpy(&next, postings->pool + at + slice - LINK, LINK);
        size_t here = next ? slice - LINK : entry->at - at;
        if (!next && at == entry->first) { /* one slice: as it lies */
            out->list = (struct slice){(const char *)postings->pool + at, here};
            return;
        }
        if (!grow((void **)&postings->scratch, &postings->scratch_capacity, size, here, 1)) {
            postings->failed = true;
            return;
        }
        memcpy(postings->scratch + size, postings->pool + at, here);
        size += here;
        at = next;
        slice = slice < MAX_SLICE ? slice * 2 : MAX_SLICE;
    }
    out->list = (struct slice){(const char *)postings->scratch, size};
}
