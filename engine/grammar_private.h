/* grammar_private: the graph that a schema becomes, and how it is built.  For grammar*.c alone.
 *
 * A node reads a byte of a set and goes on, goes two ways, calls a rule and goes on behind it, or returns to where its rule
 * was called from.  Builders work from the end: they are told what comes next, and give the node to begin with. */
#ifndef FATHOM_ENGINE_GRAMMAR_PRIVATE_H
#define FATHOM_ENGINE_GRAMMAR_PRIVATE_H

#include "engine/grammar.h"

enum node_kind { NODE_BYTES, NODE_EITHER, NODE_CALL, NODE_RETURN };

struct grammar_node {
    enum node_kind kind;
    uint32_t next;
    uint32_t other; /* BYTES: the set; EITHER: the other way; CALL: the rule */
};

struct byte_set {
    uint64_t bits[4];
};

/* Rules that every grammar has. */
enum { RULE_ROOT, RULE_SPACE, RULE_CHARACTER, RULE_ANY, RULE_STRING, RULE_NUMBER, RULE_INTEGER, RULE_LITERAL, N_RULES };

struct grammar {
    struct grammar_node *nodes;
    size_t n_nodes, nodes_capacity;
    struct byte_set *sets;
    size_t n_sets, sets_capacity;
    uint32_t *rules; /* (n_rules) the node that each begins with */
    size_t n_rules, rules_capacity;
    enum status failed; /* STATUS_MEMORY or STATUS_RANGE: builders then return node 0 */
};

static inline bool byte_set_has(const struct byte_set *set, unsigned byte)
{
    return set->bits[byte >> 6] >> (byte & 63) & 1;
}

static inline void byte_set_add(struct byte_set *set, unsigned from, unsigned to)
{
    for (unsigned byte = from; byte <= to; byte++)
        set->bits[byte >> 6] |= UINT64_C(1) << (byte & 63);
}

static inline void byte_set_remove(struct byte_set *set, unsigned byte)
{
    set->bits[byte >> 6] &= ~(UINT64_C(1) << (byte & 63));
}

/* ---- grammar_build.c ---- */

enum { NOWHERE = 0 }; /* a node that reads nothing: what can't happen */

struct grammar *grammar_new(void); /* with the common rules, but for the root; NULL without memory */
uint32_t grammar_add_rule(struct grammar *grammar);
void grammar_set_rule(struct grammar *grammar, uint32_t rule, uint32_t node);

uint32_t build_bytes(struct grammar *grammar, const struct byte_set *set, uint32_t next);
uint32_t build_range(struct grammar *grammar, unsigned from, unsigned to, uint32_t next);
uint32_t build_text(struct grammar *grammar, const char *text, size_t size, uint32_t next);
uint32_t build_either(struct grammar *grammar, uint32_t a, uint32_t b); /* NOWHERE is none of them */
uint32_t build_call(struct grammar *grammar, uint32_t rule, uint32_t next);
uint32_t build_return(struct grammar *grammar);
uint32_t build_loop(struct grammar *grammar);                                     /* to be closed: */
void build_close(struct grammar *grammar, uint32_t loop, uint32_t a, uint32_t b); /* becomes either of them */
uint32_t build_space(struct grammar *grammar, uint32_t next);
/* A character of more than one byte, whose first is not in except (may be NULL). */
uint32_t build_wide_character(struct grammar *grammar, const struct byte_set *except, uint32_t next);
/* A string of min to max characters (max UINT32_MAX: any number), with its quotes. */
uint32_t build_string(struct grammar *grammar, uint32_t min, uint32_t max, uint32_t next);
/* A string's end behind its opening quote that is none of the names. */
uint32_t build_other_name(struct grammar *grammar, const char *const *names, size_t n, uint32_t next);
/* A whole number from min to max, both within 16 digits. */
uint32_t build_integer(struct grammar *grammar, int64_t min, int64_t max, uint32_t next);

#endif
