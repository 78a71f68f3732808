/* grammar_build: nodes of a grammar's graph, and the parts of JSON (RFC 8259) that every grammar has. */
#include <stdlib.h>
#include <string.h>

#include "engine/grammar_private.h"

/* Nobody writes a schema of more by hand, and memory stays below some megabytes. */
enum { MOST_NODES = 1 << 19, MOST_RULES = 1 << 16, MOST_NAME_BYTES = 1 << 14 };

enum { INDENTATION = 40, DIGITS = 16, EXPONENT_DIGITS = 2 };

/* ---- nodes ---- */

static bool grow(struct grammar *grammar, void *items, size_t n, size_t most, size_t *capacity, size_t width)
{
    if (n < *capacity)
        return true;
    size_t more = *capacity ? *capacity * 2 : 256;
    void **array = items;
    void *grown = n < most ? realloc(*array, more * width) : NULL;
    if (!grown) {
        grammar->failed = n < most ? STATUS_MEMORY : STATUS_RANGE;
        return false;
    }
    *array = grown;
    *capacity = more;
    return true;
}

static uint32_t add_node(struct grammar *grammar, enum node_kind kind, uint32_t next, uint32_t other)
{
    if (grammar->failed ||
        !grow(grammar, &grammar->nodes, grammar->n_nodes, MOST_NODES, &grammar->nodes_capacity, sizeof *grammar->nodes))
        return NOWHERE;
    grammar->nodes[grammar->n_nodes] = (struct grammar_node){kind, next, other};
    return (uint32_t)grammar->n_nodes++;
}

static uint32_t add_set(struct grammar *grammar, const struct byte_set *set)
{
    /* Sets are few, and the last ones come again most often. */
    for (size_t i = grammar->n_sets; i-- > 0 && grammar->n_sets - i < 64;)
        if (memcmp(&grammar->sets[i], set, sizeof *set) == 0)
            return (uint32_t)i;
    if (grammar->failed ||
        !grow(grammar, &grammar->sets, grammar->n_sets, MOST_NODES, &grammar->sets_capacity, sizeof *grammar->sets))
        return 0;
    grammar->sets[grammar->n_sets] = *set;
    return (uint32_t)grammar->n_sets++;
}

uint32_t grammar_add_rule(struct grammar *grammar)
{
    if (grammar->failed ||
        !grow(grammar, &grammar->rules, grammar->n_rules, MOST_RULES, &grammar->rules_capacity, sizeof *grammar->rules))
        return RULE_ANY;
    grammar->rules[grammar->n_rules] = NOWHERE;
    return (uint32_t)grammar->n_rules++;
}

void grammar_set_rule(struct grammar *grammar, uint32_t rule, uint32_t node)
{
    if (!grammar->failed)
        grammar->rules[rule] = node;
}

uint32_t build_bytes(struct grammar *grammar, const struct byte_set *set, uint32_t next)
{
    return add_node(grammar, NODE_BYTES, next, add_set(grammar, set));
}

uint32_t build_range(struct grammar *grammar, unsigned from, unsigned to, uint32_t next)
{
    struct byte_set set = {{0}};
    byte_set_add(&set, from, to);
    return build_bytes(grammar, &set, next);
}

uint32_t build_text(struct grammar *grammar, const char *text, size_t size, uint32_t next)
{
    while (size-- > 0)
        next = build_range(grammar, (unsigned char)text[size], (unsigned char)text[size], next);
    return next;
}

uint32_t build_either(struct grammar *grammar, uint32_t a, uint32_t b)
{
    return a == NOWHERE ? b : b == NOWHERE ? a : add_node(grammar, NODE_EITHER, a, b);
}

uint32_t build_call(struct grammar *grammar, uint32_t rule, uint32_t next)
{
    return add_node(grammar, NODE_CALL, next, rule);
}

uint32_t build_return(struct grammar *grammar)
{
    return add_node(grammar, NODE_RETURN, NOWHERE, 0);
}

uint32_t build_loop(struct grammar *grammar)
{
    return add_node(grammar, NODE_EITHER, NOWHERE, NOWHERE);
}

void build_close(struct grammar *grammar, uint32_t loop, uint32_t a, uint32_t b)
{
    if (!grammar->failed)
        grammar->nodes[loop] = (struct grammar_node){NODE_EITHER, a, b};
}

/* ---- characters and strings ---- */

uint32_t build_space(struct grammar *grammar, uint32_t next)
{
    return build_either(grammar, next, build_call(grammar, RULE_SPACE, next));
}

/* By RFC 3629, section 4. */
uint32_t build_wide_character(struct grammar *grammar, const struct byte_set *except, uint32_t next)
{
    static const struct {
        unsigned char first_from, first_to, second_from, second_to, n_tails;
    } forms[] = {
        {0xc2, 0xdf, 0x80, 0xbf, 0}, {0xe0, 0xe0, 0xa0, 0xbf, 1}, {0xe1, 0xec, 0x80, 0xbf, 1},
        {0xed, 0xed, 0x80, 0x9f, 1}, {0xee, 0xef, 0x80, 0xbf, 1}, {0xf0, 0xf0, 0x90, 0xbf, 2},
        {0xf1, 0xf3, 0x80, 0xbf, 2}, {0xf4, 0xf4, 0x80, 0x8f, 2},
    };
    uint32_t tails[3] = {next};
    for (int i = 1; i < 3; i++)
        tails[i] = build_range(grammar, 0x80, 0xbf, tails[i - 1]);
    uint32_t all = NOWHERE;
    for (size_t i = 0; i < sizeof forms / sizeof *forms; i++) {
        struct byte_set first = {{0}};
        byte_set_add(&first, forms[i].first_from, forms[i].first_to);
        for (int word = 0; except && word < 4; word++)
            first.bits[word] &= ~except->bits[word];
        uint32_t second = build_range(grammar, forms[i].second_from, forms[i].second_to, tails[forms[i].n_tails]);
        all = build_either(grammar, all, build_bytes(grammar, &first, second));
    }
    return all;
}

/* Characters of one byte that stand for themselves. */
static struct byte_set plain_bytes(void)
{
    struct byte_set set = {{0}};
    byte_set_add(&set, 0x20, 0x7e);
    byte_set_remove(&set, '"');
    byte_set_remove(&set, '\\');
    return set;
}

static uint32_t build_hex(struct grammar *grammar, const char *digits, uint32_t next)
{
    struct byte_set set = {{0}};
    for (const char *digit = digits; *digit; digit++)
        byte_set_add(&set, (unsigned char)*digit, (unsigned char)*digit);
    return build_bytes(grammar, &set, next);
}

/* "\n", "\u00e9", "\ud83d\ude00": of surrogates whole pairs alone. */
static uint32_t build_escape(struct grammar *grammar, uint32_t next)
{
    static const char hex[] = "0123456789abcdefABCDEF";
    uint32_t last = build_hex(grammar, hex, next), third = build_hex(grammar, hex, last);
    uint32_t second = build_hex(grammar, hex, third);
    uint32_t whole = build_either(grammar, build_hex(grammar, "0123456789abcefABCEF", second),
                                  build_hex(grammar, "dD", build_hex(grammar, "01234567", third)));
    uint32_t low = build_text(grammar, "\\u", 2, build_hex(grammar, "dD", build_hex(grammar, "cdefCDEF", third)));
    uint32_t high =
        build_hex(grammar, "dD", build_hex(grammar, "89abAB", build_hex(grammar, hex, build_hex(grammar, hex, low))));
    uint32_t code = build_text(grammar, "u", 1, build_either(grammar, whole, high));
    return build_text(grammar, "\\", 1, build_either(grammar, build_hex(grammar, "\"\\/bfnrt", next), code));
}

uint32_t build_string(struct grammar *grammar, uint32_t min, uint32_t max, uint32_t next)
{
    const struct byte_set plain = plain_bytes();
    uint32_t quote = build_text(grammar, "\"", 1, next), at;
    if (max == UINT32_MAX) {
        at = build_loop(grammar);
        uint32_t more =
            build_either(grammar, build_bytes(grammar, &plain, at), build_call(grammar, RULE_CHARACTER, at));
        build_close(grammar, at, quote, more);
        max = min;
    } else {
        at = quote;
    }
    for (uint32_t n = max; n-- > 0 && !grammar->failed;) {
        uint32_t more =
            build_either(grammar, build_bytes(grammar, &plain, at), build_call(grammar, RULE_CHARACTER, at));
        at = n < min ? more : build_either(grammar, quote, more);
    }
    return build_text(grammar, "\"", 1, at);
}

/* ---- names that are none of some ---- */

struct name_node {
    const char *text; /* the character that leads here */
    int size;
    uint32_t parent, node; /* node: what reads on from here */
    bool is_name;
};

static uint32_t find_child(const struct name_node *names, size_t n, uint32_t parent, const char *text, int size)
{
    for (uint32_t i = parent + 1; i < n; i++)
        if (names[i].parent == parent && names[i].size == size && memcmp(names[i].text, text, (size_t)size) == 0)
            return i;
    return 0;
}

/* The tree of all names' characters; how many nodes. */
static size_t make_name_tree(struct name_node *tree, const char *const *names, size_t n_names)
{
    size_t n = 1;
    tree[0] = (struct name_node){0};
    for (size_t i = 0; i < n_names; i++) {
        uint32_t at = 0;
        const char *text = names[i];
        size_t left = strlen(text);
        while (left > 0) {
            uint32_t code_point;
            int size = utf8_decode(text, left, &code_point);
            size = size > 0 ? size : 1;
            uint32_t child = find_child(tree, n, at, text, size);
            if (!child) {
                child = (uint32_t)n++;
                tree[child] = (struct name_node){text, size, at, NOWHERE, false};
            }
            at = child;
            text += size;
            left -= (size_t)size;
        }
        tree[at].is_name = true;
    }
    return n;
}

uint32_t build_other_name(struct grammar *grammar, const char *const *names, size_t n, uint32_t next)
{
    const struct byte_set plain = plain_bytes();
    uint32_t quote = build_text(grammar, "\"", 1, next), other = build_loop(grammar);
    build_close(grammar, other, quote,
                build_either(grammar, build_bytes(grammar, &plain, other), build_wide_character(grammar, NULL, other)));
    size_t n_bytes = 1;
    for (size_t i = 0; i < n; i++)
        n_bytes += strlen(names[i]);
    struct name_node *tree = n_bytes < MOST_NAME_BYTES ? calloc(n_bytes, sizeof *tree) : NULL;
    if (!tree) {
        grammar->failed = n_bytes < MOST_NAME_BYTES ? STATUS_MEMORY : STATUS_RANGE;
        return NOWHERE;
    }
    size_t n_tree = make_name_tree(tree, names, n);
    for (size_t i = n_tree; i-- > 0;) { /* children come behind their parents */
        struct byte_set narrow = plain, wide = {{0}};
        uint32_t at = tree[i].is_name ? NOWHERE : quote;
        for (size_t k = i + 1; k < n_tree; k++) {
            if (tree[k].parent != i)
                continue;
            at = build_either(grammar, at, build_text(grammar, tree[k].text, (size_t)tree[k].size, tree[k].node));
            byte_set_remove(&narrow, (unsigned char)tree[k].text[0]);
            byte_set_add(&wide, (unsigned char)tree[k].text[0], (unsigned char)tree[k].text[0]);
        }
        at = build_either(grammar, at, build_bytes(grammar, &narrow, other));
        tree[i].node = build_either(grammar, at, build_wide_character(grammar, &wide, other));
    }
    uint32_t entry = tree[0].node;
    free(tree);
    return entry;
}

/* ---- numbers ---- */

static uint32_t build_digits(struct grammar *grammar, int min, int max, uint32_t next)
{
    uint32_t at = next;
    for (int i = max - 1; i >= 0; i--) {
        uint32_t more = build_range(grammar, '0', '9', at);
        at = i < min ? more : build_either(grammar, next, more);
    }
    return at;
}

static uint32_t build_whole(struct grammar *grammar, uint32_t next)
{
    uint32_t many = build_range(grammar, '1', '9', build_digits(grammar, 0, DIGITS - 1, next));
    uint32_t unsigned_ = build_either(grammar, build_text(grammar, "0", 1, next), many);
    return build_either(grammar, build_text(grammar, "-", 1, unsigned_), unsigned_);
}

static uint32_t build_number(struct grammar *grammar, uint32_t next)
{
    uint32_t digits = build_digits(grammar, 1, EXPONENT_DIGITS, next);
    uint32_t sign = build_either(grammar, digits, build_hex(grammar, "+-", digits));
    uint32_t exponent = build_either(grammar, next, build_hex(grammar, "eE", sign));
    uint32_t fraction = build_text(grammar, ".", 1, build_digits(grammar, 1, DIGITS, exponent));
    return build_whole(grammar, build_either(grammar, exponent, fraction));
}

static const uint64_t TEN_TO_16 = UINT64_C(10000000000000000);

/* Numbers from low to high of n digits each.  From the last digit to the first, what comes behind digits that are free by
 * now, that are low's so far, or high's. */
static uint32_t build_same_length(struct grammar *grammar, uint64_t low, uint64_t high, int n, uint32_t next)
{
    uint32_t any = next, from = next, to = next, both = next;
    for (int i = 0; i < n; i++, low /= 10, high /= 10) {
        unsigned a = '0' + (unsigned)(low % 10), b = '0' + (unsigned)(high % 10);
        uint32_t least = build_range(grammar, a, a, from), most = build_range(grammar, b, b, to);
        uint32_t between = b > a + 1 ? build_range(grammar, a + 1, b - 1, any) : NOWHERE;
        both = a == b ? build_range(grammar, a, a, both)
                      : build_either(grammar, build_either(grammar, least, most), between);
        from = build_either(grammar, least, a < '9' ? build_range(grammar, a + 1, '9', any) : NOWHERE);
        to = build_either(grammar, most, b > '0' ? build_range(grammar, '0', b - 1, any) : NOWHERE);
        any = build_range(grammar, '0', '9', any);
    }
    return both;
}

static uint32_t build_natural(struct grammar *grammar, uint64_t min, uint64_t max, uint32_t next)
{
    uint32_t all = NOWHERE;
    uint64_t least = 0, most = 9;
    for (int n = 1; n <= DIGITS; n++, least = most + 1, most = most * 10 + 9) {
        uint64_t low = min > least ? min : least, high = max < most ? max : most;
        if (low <= high)
            all = build_either(grammar, all, build_same_length(grammar, low, high, n, next));
    }
    return all;
}

uint32_t build_integer(struct grammar *grammar, int64_t min, int64_t max, uint32_t next)
{
    uint32_t below = NOWHERE, above = NOWHERE;
    int64_t limit = (int64_t)TEN_TO_16 - 1;
    min = min < -limit ? -limit : min;
    max = max > limit ? limit : max;
    if (min < 0) {
        uint64_t least = max < 0 ? (uint64_t)-max : 1;
        below = build_text(grammar, "-", 1, build_natural(grammar, least, (uint64_t)-min, next));
    }
    if (max >= 0)
        above = build_natural(grammar, min > 0 ? (uint64_t)min : 0, (uint64_t)max, next);
    return build_either(grammar, below, above);
}

/* ---- what every grammar has ---- */

static uint32_t any_object(struct grammar *grammar, uint32_t next)
{
    uint32_t close = build_text(grammar, "}", 1, next), end = build_space(grammar, close);
    uint32_t more = build_loop(grammar);
    uint32_t value = build_text(grammar, ":", 1, build_space(grammar, build_call(grammar, RULE_ANY, more)));
    uint32_t member = build_call(grammar, RULE_STRING, value);
    build_close(grammar, more, end, build_text(grammar, ",", 1, build_space(grammar, member)));
    return build_text(grammar, "{", 1, build_either(grammar, build_space(grammar, member), end));
}

static uint32_t any_array(struct grammar *grammar, uint32_t next)
{
    uint32_t close = build_text(grammar, "]", 1, next), end = build_space(grammar, close);
    uint32_t more = build_loop(grammar), item = build_call(grammar, RULE_ANY, more);
    build_close(grammar, more, end, build_text(grammar, ",", 1, build_space(grammar, item)));
    return build_text(grammar, "[", 1, build_either(grammar, build_space(grammar, item), end));
}

static void add_common_rules(struct grammar *grammar)
{
    uint32_t end = build_return(grammar);
    struct byte_set blank = {{0}};
    byte_set_add(&blank, ' ', ' ');
    byte_set_add(&blank, '\t', '\t');
    uint32_t indentation = end;
    for (int i = 0; i < INDENTATION; i++)
        indentation = build_either(grammar, end, build_bytes(grammar, &blank, indentation));
    uint32_t line = build_text(grammar, "\n", 1, indentation);
    grammar_set_rule(grammar, RULE_SPACE, build_either(grammar, build_text(grammar, " ", 1, end), line));
    grammar_set_rule(grammar, RULE_CHARACTER,
                     build_either(grammar, build_escape(grammar, end), build_wide_character(grammar, NULL, end)));
    grammar_set_rule(grammar, RULE_STRING, build_string(grammar, 0, UINT32_MAX, end));
    grammar_set_rule(grammar, RULE_NUMBER, build_number(grammar, end));
    grammar_set_rule(grammar, RULE_INTEGER, build_whole(grammar, end));
    uint32_t words = build_either(grammar, build_text(grammar, "true", 4, end), build_text(grammar, "false", 5, end));
    grammar_set_rule(grammar, RULE_LITERAL, build_either(grammar, words, build_text(grammar, "null", 4, end)));
    uint32_t any = build_either(grammar, any_object(grammar, end), any_array(grammar, end));
    any = build_either(grammar, any, build_call(grammar, RULE_STRING, end));
    any = build_either(grammar, any, build_call(grammar, RULE_NUMBER, end));
    grammar_set_rule(grammar, RULE_ANY, build_either(grammar, any, build_call(grammar, RULE_LITERAL, end)));
}

struct grammar *grammar_new(void)
{
    struct grammar *grammar = calloc(1, sizeof *grammar);
    if (!grammar)
        return NULL;
    struct byte_set nothing = {{0}};
    build_bytes(grammar, &nothing, NOWHERE); /* node 0: NOWHERE */
    for (int i = 0; i < N_RULES; i++)
        grammar_add_rule(grammar);
    add_common_rules(grammar);
    return grammar;
}

void grammar_free(struct grammar *grammar)
{
    if (!grammar)
        return;
    free(grammar->nodes);
    free(grammar->sets);
    free(grammar->rules);
    free(grammar);
}
