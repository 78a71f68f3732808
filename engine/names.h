/* names: a table from names to indexes, safe for names that an attacker chose.
 *
 * The hash is SipHash-1-3 with a key drawn when the table is made, so nobody can prepare names that collide.
 * Fixed capacity, open addressing with at most half of the slots in use: a look-up is O(1). */
#ifndef FATHOM_ENGINE_NAMES_H
#define FATHOM_ENGINE_NAMES_H

#include "engine/base.h"

struct name_slot {
    struct slice name;
    size_t entry; /* index + 1; 0: free */
};

struct name_table {
    struct name_slot *slots;
    size_t n_slots; /* a power of two; 0 in an empty table */
    size_t n, limit;
    uint64_t key[2];
};

enum name_added { NAME_ADDED, NAME_KNOWN, NAME_TABLE_FULL };

/* Room for limit names.  A zero-initialised table is empty and takes none.  STATUS_MEMORY. */
enum status name_table_init(struct name_table *table, size_t limit, struct error *error);
void name_table_deinit(struct name_table *table);

/* name is borrowed: its bytes must outlive the table. */
enum name_added name_table_add(struct name_table *table, struct slice name, size_t index);
bool name_table_find(const struct name_table *table, struct slice name, size_t *index);

/* SipHash with 1 compression and 3 finalisation rounds: Aumasson, Bernstein: "SipHash: a fast short-input PRF", 2012. */
uint64_t names_hash(const uint64_t key[2], const void *bytes, size_t size);

#endif
