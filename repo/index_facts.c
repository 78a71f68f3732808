/* index_facts: one content's facts into bytes, and its words counted by chunk (index_facts.h). */
#include "repo/index_facts.h"

#include <stdlib.h>
#include <string.h>

void facts_clear(struct facts *facts)
{
    buffer_clear(&facts->chunks);
    buffer_clear(&facts->definitions);
    buffer_clear(&facts->references);
    buffer_clear(&facts->imports);
    buffer_clear(&facts->lengths);
    buffer_clear(&facts->keys);
    facts->n_definitions = facts->n_references = facts->n_chunks = 0;
    facts->n_bytes = 0;
    facts->is_text = facts->has_errors = false;
}

void facts_deinit(struct facts *facts)
{
    buffer_deinit(&facts->chunks);
    buffer_deinit(&facts->definitions);
    buffer_deinit(&facts->references);
    buffer_deinit(&facts->imports);
    buffer_deinit(&facts->lengths);
    buffer_deinit(&facts->keys);
}

size_t facts_memory(const struct facts *facts)
{
    return sizeof *facts + facts->chunks.capacity + facts->definitions.capacity + facts->references.capacity +
           facts->imports.capacity + facts->lengths.capacity + facts->keys.capacity;
}

/* ---- tables of names ---- */

/* A name met in the text, and a list: of (chunk, times) for terms, of lines for references, of terms for words. */
struct word {
    struct slice name;
    uint32_t hash;
    uint32_t first, last; /* in items, + 1; 0: none */
    uint32_t n;
    uint32_t terms, n_terms; /* of a word of the text */
};

struct item {
    uint32_t value, next;
};

struct table {
    struct word *words;
    uint32_t *slots;
    size_t n, capacity, n_slots;
    struct item *items;
    size_t n_items, items_capacity;
    bool failed;
};

static void table_deinit(struct table *table)
{
    free(table->words);
    free(table->slots);
    free(table->items);
}

static void table_clear(struct table *table)
{
    if (table->n > table->n_slots / 16) {
        memset(table->slots, 0, table->n_slots * sizeof *table->slots);
    } else {
        for (size_t i = 0; i < table->n; i++) {
            size_t at = table->words[i].hash & (table->n_slots - 1);
            while (table->slots[at]) {
                table->slots[at] = 0;
                at = (at + 1) & (table->n_slots - 1);
            }
        }
    }
    table->n = table->n_items = 0;
    table->failed = false;
}

static bool table_grow(void **data, size_t *capacity, size_t n, size_t width)
{
    if (n < *capacity)
        return true;
    size_t wanted = *capacity ? *capacity * 2 : 1024;
    void *moved = wanted < UINT32_MAX / 2 ? realloc(*data, wanted * width) : NULL;
    if (!moved)
        return false;
    *data = moved;
    *capacity = wanted;
    return true;
}

static bool table_rehash(struct table *table)
{
    size_t size = table->n_slots ? table->n_slots * 2 : 4096;
    uint32_t *slots = calloc(size, sizeof *slots);
    if (!slots)
        return false;
    for (size_t i = 0; i < table->n; i++) {
        size_t at = table->words[i].hash & (size - 1);
        while (slots[at])
            at = (at + 1) & (size - 1);
        slots[at] = (uint32_t)i + 1;
    }
    free(table->slots);
    table->slots = slots;
    table->n_slots = size;
    return true;
}

/* The word's number; is_new tells that it was added (its name is then borrowed: the caller may replace it by an equal
 * one).  UINT32_MAX where there is no memory. */
static uint32_t table_find(struct table *table, struct slice name, bool *is_new)
{
    *is_new = false;
    if (table->n >= table->n_slots / 2 && !table_rehash(table)) {
        table->failed = true;
        return UINT32_MAX;
    }
    uint32_t hash = code_hash(name.data, name.size);
    size_t at = hash & (table->n_slots - 1);
    for (uint32_t found; (found = table->slots[at]) != 0; at = (at + 1) & (table->n_slots - 1)) {
        const struct word *word = &table->words[found - 1];
        if (word->hash == hash && word->name.size == name.size && memcmp(word->name.data, name.data, name.size) == 0)
            return found - 1;
    }
    if (!table_grow((void **)&table->words, &table->capacity, table->n, sizeof *table->words)) {
        table->failed = true;
        return UINT32_MAX;
    }
    table->words[table->n] = (struct word){.name = name, .hash = hash};
    table->slots[at] = (uint32_t)++table->n;
    *is_new = true;
    return (uint32_t)table->n - 1;
}

static struct item *table_append(struct table *table, uint32_t word, uint32_t value)
{
    if (word >= table->n ||
        !table_grow((void **)&table->items, &table->items_capacity, table->n_items, sizeof *table->items)) {
        table->failed = true;
        return NULL;
    }
    struct item *item = &table->items[table->n_items++];
    *item = (struct item){value, 0};
    struct word *owner = &table->words[word];
    if (owner->last)
        table->items[owner->last - 1].next = (uint32_t)table->n_items;
    else
        owner->first = (uint32_t)table->n_items;
    owner->last = (uint32_t)table->n_items;
    owner->n++;
    return item;
}

struct facts_scratch {
    struct table words, terms, names;
    uint32_t *lists; /* of each word of the text, the terms that it counts for */
    size_t n_lists, lists_capacity;
    uint32_t *order;
    size_t order_capacity;
    struct arena arena; /* lower-case terms */
    char *free_text;
    size_t n_free;
};

enum status facts_scratch_new(struct facts_scratch **out, struct error *error)
{
    *out = calloc(1, sizeof **out);
    return *out ? STATUS_OK : error_set(error, STATUS_MEMORY, "out of memory");
}

void facts_scratch_free(struct facts_scratch *scratch)
{
    if (!scratch)
        return;
    table_deinit(&scratch->words);
    table_deinit(&scratch->terms);
    table_deinit(&scratch->names);
    free(scratch->lists);
    free(scratch->order);
    arena_deinit(&scratch->arena);
    free(scratch);
}

/* ---- terms ---- */

static const char *keep_lower(struct facts_scratch *scratch, struct slice text)
{
    enum { PIECE = 1 << 16 };
    if (scratch->n_free < text.size) {
        scratch->free_text = arena_alloc(&scratch->arena, PIECE);
        scratch->n_free = scratch->free_text ? PIECE : 0;
        if (!scratch->free_text)
            return NULL;
    }
    char *kept = scratch->free_text;
    facts_lower(kept, text.data, text.size);
    return kept;
}

/* The term of a word or part of one, lower-cased; into the word's list. */
static void add_term(struct facts_scratch *scratch, struct slice text)
{
    const char *lower = keep_lower(scratch, text);
    if (!lower || !table_grow((void **)&scratch->lists, &scratch->lists_capacity, scratch->n_lists, sizeof(uint32_t))) {
        scratch->terms.failed = true;
        return;
    }
    bool is_new;
    uint32_t term = table_find(&scratch->terms, (struct slice){lower, text.size}, &is_new);
    if (is_new) {
        scratch->free_text += text.size;
        scratch->n_free -= text.size;
    }
    scratch->lists[scratch->n_lists++] = term;
}

/* A word that wasn't met before in this content: which terms it counts for. */
static void list_terms(struct facts_scratch *scratch, uint32_t word)
{
    struct slice name = scratch->words.words[word].name, parts[FACT_PARTS_MAX];
    size_t n = facts_split(name, parts), first = scratch->n_lists;
    add_term(scratch, name);
    for (size_t i = 0; i < n; i++)
        add_term(scratch, parts[i]);
    scratch->words.words[word].terms = (uint32_t)first;
    scratch->words.words[word].n_terms = (uint32_t)(scratch->n_lists - first);
}

static void count_term(struct table *terms, uint32_t term, uint32_t chunk)
{
    if (term >= terms->n)
        return;
    const struct word *word = &terms->words[term];
    struct item *last = word->last ? &terms->items[word->last - 1] : NULL;
    if (!last || last->value >> 2 != chunk)
        table_append(terms, term, chunk << 2);
    else if ((last->value & POSTING_LOW_MAX) < POSTING_LOW_MAX)
        last->value++;
}

static void count_chunk(struct facts_scratch *scratch, const char *text, size_t size, uint32_t chunk,
                        struct facts *facts)
{
    struct slice name;
    size_t at = 0, n = 0;
    while (facts_next_word(text, size, &at, &name)) {
        bool is_new;
        uint32_t word = table_find(&scratch->words, name, &is_new);
        if (word == UINT32_MAX)
            return;
        if (is_new)
            list_terms(scratch, word);
        const struct word *found = &scratch->words.words[word];
        for (uint32_t i = 0; i < found->n_terms; i++)
            count_term(&scratch->terms, scratch->lists[found->terms + i], chunk);
        n++;
    }
    buffer_append_byte(&facts->lengths, (char)(n / 4 < 255 ? n / 4 : 255));
}

static void put_term_key(struct buffer *keys, struct slice name)
{
    code_put(keys, name.size + 1);
    buffer_append_byte(keys, KEY_TERM);
    buffer_append(keys, name.data, name.size);
}

static void put_terms(struct facts_scratch *scratch, struct facts *facts)
{
    for (size_t i = 0; i < scratch->terms.n; i++) {
        const struct word *term = &scratch->terms.words[i];
        put_term_key(&facts->keys, term->name);
        code_put(&facts->keys, term->n);
        uint32_t last = 0;
        for (uint32_t at = term->first; at; at = scratch->terms.items[at - 1].next) {
            uint32_t value = scratch->terms.items[at - 1].value;
            code_put(&facts->keys, value - (last & ~(uint32_t)POSTING_LOW_MAX));
            last = value;
        }
    }
}

/* ---- definitions, references, imports, chunks ---- */

static bool is_within(struct span span, size_t size)
{
    return span.begin <= span.end && span.end <= size;
}

static bool is_name(struct span span, const char *text, size_t size)
{
    return is_within(span, size) && span.end > span.begin && span.end - span.begin <= FACT_NAME_MAX &&
           !memchr(text + span.begin, 0, span.end - span.begin);
}

/* A definition whose name can't be kept still holds its number, as one without a name. */
static bool is_word_byte(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_' || (c & 0x80);
}

/* What a name says that it belongs to: A of void A::f() {}, of A<T>::f and of N::A::f; empty where it says nothing. */
static struct span scope_before(const char *text, uint32_t begin, uint32_t name)
{
    const struct span none = {name, name};
    if (name < begin + 3 || text[name - 1] != ':' || text[name - 2] != ':')
        return none;
    uint32_t end = name - 2, depth = 0;
    while (end > begin && (depth || text[end - 1] == '>')) {
        depth += text[end - 1] == '>';
        depth -= text[end - 1] == '<';
        end--;
    }
    uint32_t at = end;
    while (at > begin && is_word_byte(text[at - 1]) && end - at < FACT_NAME_MAX)
        at--;
    return depth ? none : (struct span){at, end};
}

static void put_definitions(const struct syntax_result *result, const char *text, size_t size, struct facts *facts)
{
    struct code_name last = {.size = 0};
    uint32_t begin = 0, line = 0;
    for (size_t i = 0; i < result->n_definitions && i < UINT32_MAX >> 5; i++) {
        struct definition it = result->definitions[i];
        struct buffer *out = &facts->definitions;
        if (!is_within(it.whole, size) || it.whole.begin < begin)
            it.whole = (struct span){begin, begin};
        if (!is_within(it.signature, size))
            it.signature = it.whole;
        if (!is_within(it.doc, size) || it.doc.begin > it.whole.begin)
            it.doc = (struct span){it.whole.begin, it.whole.begin};
        bool has_name = is_name(it.name, text, size);
        if (!has_name)
            it.name = (struct span){it.whole.begin, it.whole.begin};
        bool has_parent = it.parent >= 0 && (size_t)it.parent < i;
        if (it.line < line)
            it.line = line;
        if (it.end_line < it.line)
            it.end_line = it.line;
        struct span scope = has_name ? scope_before(text, it.whole.begin, it.name.begin) : (struct span){0, 0};
        unsigned kind = it.kind < TAG_N_KINDS ? (unsigned)it.kind : TAG_VARIABLE;
        code_put(out, kind | (scope.end > scope.begin ? FACT_HAS_SCOPE : 0));
        code_put(out, has_parent ? i - (size_t)it.parent : 0);
        code_put_name(out, &last, text + it.name.begin, it.name.end - it.name.begin);
        if (scope.end > scope.begin) {
            code_put(out, scope.end - scope.begin);
            buffer_append(out, text + scope.begin, scope.end - scope.begin);
        }
        code_put(out, it.whole.begin - begin);
        code_put(out, it.whole.end - it.whole.begin);
        code_put_signed(out, (int64_t)it.name.begin - it.whole.begin);
        code_put_signed(out, (int64_t)it.signature.begin - it.whole.begin);
        code_put(out, it.signature.end - it.signature.begin);
        code_put(out, it.doc.end - it.doc.begin);
        if (it.doc.end != it.doc.begin)
            code_put(out, it.whole.begin - it.doc.begin);
        code_put(out, it.line - line);
        code_put(out, it.end_line - it.line);
        begin = it.whole.begin;
        line = it.line;
        facts->n_definitions++;
        if (has_name) {
            char key[2 * FACT_NAME_MAX + 2];
            size_t n = facts_name_key(key, KEY_DEFINITION, text + it.name.begin, it.name.end - it.name.begin);
            code_put(&facts->keys, n);
            buffer_append(&facts->keys, key, n);
            code_put(&facts->keys, i << 5 | (unsigned)it.kind);
        }
    }
}

static int compare_names(const void *a, const void *b, void *context)
{
    const struct word *words = context, *one = &words[*(const uint32_t *)a], *other = &words[*(const uint32_t *)b];
    return code_compare(one->name.data, one->name.size, other->name.data, other->name.size);
}

/* Lines ascend within a name, since references come in order. */
static void put_references(struct facts_scratch *scratch, const struct syntax_result *result, const char *text,
                           size_t size, struct facts *facts)
{
    struct table *names = &scratch->names;
    for (size_t i = 0; i < result->n_references; i++) {
        const struct reference *it = &result->references[i];
        bool is_new;
        if (!is_name(it->name, text, size) || it->line > UINT32_MAX / 2)
            continue;
        uint32_t name =
            table_find(names, (struct slice){text + it->name.begin, it->name.end - it->name.begin}, &is_new);
        if (name == UINT32_MAX || !table_append(names, name, it->line << 1 | it->is_call))
            return;
        facts->n_references++;
    }
    while (scratch->order_capacity < names->n)
        if (!table_grow((void **)&scratch->order, &scratch->order_capacity, scratch->order_capacity,
                        sizeof(uint32_t))) {
            names->failed = true;
            return;
        }
    for (size_t i = 0; i < names->n; i++)
        scratch->order[i] = (uint32_t)i;
    if (names->n)
        qsort_r(scratch->order, names->n, sizeof *scratch->order, compare_names, names->words);
    struct code_name last = {.size = 0};
    for (size_t i = 0; i < names->n; i++) {
        const struct word *name = &names->words[scratch->order[i]];
        code_put_name(&facts->references, &last, name->name.data, name->name.size);
        code_put(&facts->references, name->n);
        uint32_t line = 0;
        for (uint32_t at = name->first; at; at = names->items[at - 1].next) {
            uint32_t value = names->items[at - 1].value, here = value >> 1;
            if (here < line)
                here = line;
            code_put(&facts->references, (uint64_t)(here - line) << 1 | (value & 1));
            line = here;
        }
        char key[CODE_NAME_MAX];
        size_t size_of_key = facts_name_key(key, KEY_REFERENCE, name->name.data, name->name.size);
        code_put(&facts->keys, size_of_key);
        buffer_append(&facts->keys, key, size_of_key);
        code_put(&facts->keys, name->n);
    }
}

static void put_imports(int language, const struct syntax_result *result, const char *text, size_t size,
                        struct facts *facts)
{
    enum { MAX_TARGET = 4096 };
    for (size_t i = 0; i < result->n_imports; i++) {
        const struct import *it = &result->imports[i];
        struct code_name keys[2];
        if (!is_within(it->target, size) || it->target.end - it->target.begin > MAX_TARGET || it->line > UINT32_MAX / 2)
            continue;
        size_t length = it->target.end - it->target.begin;
        code_put(&facts->imports, length);
        buffer_append(&facts->imports, text + it->target.begin, length);
        code_put(&facts->imports, (uint64_t)it->line << 1 | it->is_system);
        size_t n = facts_import_keys(language, text + it->target.begin, length, keys);
        for (size_t k = 0; k < n; k++) {
            code_put(&facts->keys, keys[k].size);
            buffer_append(&facts->keys, keys[k].bytes, keys[k].size);
        }
    }
}

static void put_chunks(struct facts_scratch *scratch, const struct syntax_result *result, const char *text, size_t size,
                       struct facts *facts)
{
    uint32_t end = 0, end_line = 0;
    for (size_t i = 0; i < result->n_chunks; i++) {
        const struct chunk *it = &result->chunks[i];
        if (!is_within(it->text, size) || it->text.begin < end || it->line < end_line || it->end_line < it->line)
            continue;
        code_put(&facts->chunks, it->text.begin - end);
        code_put(&facts->chunks, it->text.end - it->text.begin);
        code_put(&facts->chunks, it->line - end_line);
        code_put(&facts->chunks, it->end_line - it->line);
        code_put(&facts->chunks, it->scope >= 0 ? (uint64_t)it->scope + 1 : 0);
        end = it->text.end;
        end_line = it->end_line;
        count_chunk(scratch, text + it->text.begin, it->text.end - it->text.begin, facts->n_chunks, facts);
        facts->n_chunks++;
    }
}

enum status facts_encode(struct facts_scratch *scratch, const struct syntax_result *result, const char *text,
                         size_t size, struct facts *facts, struct error *error)
{
    table_clear(&scratch->words);
    table_clear(&scratch->terms);
    table_clear(&scratch->names);
    arena_deinit(&scratch->arena);
    scratch->n_lists = scratch->n_free = 0;
    facts_clear(facts);
    facts->n_bytes = size;
    facts->is_text = result->is_text;
    facts->has_errors = result->has_errors;
    put_definitions(result, text, size, facts);
    put_references(scratch, result, text, size, facts);
    put_imports(facts->language, result, text, size, facts);
    put_chunks(scratch, result, text, size, facts);
    put_terms(scratch, facts);
    bool failed = scratch->words.failed || scratch->terms.failed || scratch->names.failed || facts->chunks.failed ||
                  facts->definitions.failed || facts->references.failed || facts->imports.failed ||
                  facts->lengths.failed || facts->keys.failed;
    return failed ? error_set(error, STATUS_MEMORY, "out of memory while a file was indexed") : STATUS_OK;
}

void facts_add_postings(const struct facts *facts, uint32_t content, uint32_t chunk, struct postings *postings)
{
    struct code_reader reader = code_reader_make(facts->keys.data, facts->keys.size);
    while (reader.at < reader.end) {
        size_t size = (size_t)code_get(&reader);
        const char *key = (const char *)code_get_bytes(&reader, size);
        if (!key || !size)
            return;
        uint32_t number = postings_key(postings, key, size);
        if (*key == KEY_DEFINITION) {
            postings_add_with(postings, number, content, 0, code_get_32(&reader));
        } else if (*key == KEY_IMPORT) {
            postings_add(postings, number, content, 0);
        } else if (*key == KEY_REFERENCE) {
            uint64_t n = code_get(&reader);
            postings_add(postings, number, content, n < 2 ? 0 : n < 4 ? 1 : n < 10 ? 2 : 3);
        } else {
            uint32_t value = 0;
            for (uint64_t n = code_get(&reader); n && !reader.failed; n--) {
                value = (value & ~(uint32_t)POSTING_LOW_MAX) + code_get_32(&reader);
                postings_add(postings, number, chunk + (value >> 2), value & POSTING_LOW_MAX);
            }
        }
    }
}
