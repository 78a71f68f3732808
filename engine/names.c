/* names: see names.h. */
#include "engine/names.h"

#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

/* ---- the hash ---- */

static uint64_t rotate_left(uint64_t x, int bits)
{
    return x << bits | x >> (64 - bits);
}

static void sip_round(uint64_t v[4])
{
    v[0] += v[1];
    v[2] += v[3];
    v[1] = rotate_left(v[1], 13) ^ v[0];
    v[3] = rotate_left(v[3], 16) ^ v[2];
    v[0] = rotate_left(v[0], 32);
    v[2] += v[1];
    v[0] += v[3];
    v[1] = rotate_left(v[1], 17) ^ v[2];
    v[3] = rotate_left(v[3], 21) ^ v[0];
    v[2] = rotate_left(v[2], 32);
}

static uint64_t load_word(const unsigned char *p, size_t size)
{
    uint64_t word = 0;
    for (size_t i = 0; i < size; i++)
        word |= (uint64_t)p[i] << (8 * i);
    return word;
}

uint64_t names_hash(const uint64_t key[2], const void *bytes, size_t size)
{
    /* The constants spell "somepseudorandomlygeneratedbytes". */
    uint64_t v[4] = {key[0] ^ 0x736f6d6570736575, key[1] ^ 0x646f72616e646f6d, key[0] ^ 0x6c7967656e657261,
                     key[1] ^ 0x7465646279746573};
    const unsigned char *p = bytes;
    size_t left = size;
    for (; left >= 8; left -= 8, p += 8) {
        uint64_t word = load_word(p, 8);
        v[3] ^= word;
        sip_round(v);
        v[0] ^= word;
    }
    uint64_t last = load_word(p, left) | (uint64_t)size << 56;
    v[3] ^= last;
    sip_round(v);
    v[0] ^= last;
    v[2] ^= 0xff;
    for (int i = 0; i < 3; i++)
        sip_round(v);
    return v[0] ^ v[1] ^ v[2] ^ v[3];
}

/* ---- the table ---- */

enum status name_table_init(struct name_table *table, size_t limit, struct error *error)
{
    *table = (struct name_table){0};
    uint64_t needed, n_slots = 8;
    if (!checked_mul(limit, 2, &needed) || needed > SIZE_MAX / 4 / sizeof *table->slots)
        return error_set(error, STATUS_MEMORY, "out of memory");
    while (n_slots < needed)
        n_slots *= 2;
    table->slots = calloc((size_t)n_slots, sizeof *table->slots);
    if (!table->slots)
        return error_set(error, STATUS_MEMORY, "out of memory");
    table->n_slots = (size_t)n_slots;
    table->limit = limit;
    /* Where the system gives no random bytes, addresses and the time are what is left to draw from. */
    if (getrandom(table->key, sizeof table->key, GRND_NONBLOCK) != (ssize_t)sizeof table->key) {
        table->key[0] = clock_now_ns();
        table->key[1] = (uint64_t)(uintptr_t)table->slots;
    }
    return STATUS_OK;
}

void name_table_deinit(struct name_table *table)
{
    free(table->slots);
    *table = (struct name_table){0};
}

/* The slot that holds name or, where none does, the free one where it would go. */
static struct name_slot *find_slot(const struct name_table *table, struct slice name)
{
    size_t i = (size_t)names_hash(table->key, name.data, name.size);
    for (;; i++) {
        struct name_slot *slot = &table->slots[i & (table->n_slots - 1)];
        bool is_name =
            slot->name.size == name.size && (name.size == 0 || memcmp(slot->name.data, name.data, name.size) == 0);
        if (!slot->entry || is_name)
            return slot;
    }
}

enum name_added name_table_add(struct name_table *table, struct slice name, size_t index)
{
    if (table->n_slots == 0)
        return NAME_TABLE_FULL;
    struct name_slot *slot = find_slot(table, name);
    if (slot->entry)
        return NAME_KNOWN;
    if (table->n >= table->limit)
        return NAME_TABLE_FULL;
    *slot = (struct name_slot){name, index + 1};
    table->n++;
    return NAME_ADDED;
}

bool name_table_find(const struct name_table *table, struct slice name, size_t *index)
{
    if (table->n_slots == 0)
        return false;
    const struct name_slot *slot = find_slot(table, name);
    if (slot->entry)
        *index = slot->entry - 1;
    return slot->entry != 0;
}
