/* fuzz_facts: whatever bytes lie in a row of facts, reading them ends and stays within them; and whatever spans a grammar
 * gives, what is encoded of them is read back whole, by the counts that were promised.
 *
 * With FATHOM_PLANT_BUG whoever reads the facts takes names to be shorter than 40 bytes, which none in the seeds is.  The
 * fuzzer must find it. */
#include <stdlib.h>
#include <string.h>

#include "repo/index_facts.h"

enum { MAX_ITEMS = 64 };

static void require(bool condition)
{
    if (!condition)
        abort();
}

static void use_name(const struct code_name *name)
{
    require(name->size <= CODE_NAME_MAX && name->bytes[name->size] == 0);
#ifdef FATHOM_PLANT_BUG
    char *copy = malloc(40);
    for (volatile size_t i = 0; copy && i < name->size; i++)
        copy[i] = name->bytes[i];
    free(copy);
#endif
}

static size_t count_definitions(const struct buffer *bytes, bool *failed)
{
    struct fact_definitions list = {.reader = code_reader_make(bytes->data, bytes->size)};
    size_t n = 0;
    for (; facts_next_definition(&list); n++) {
        use_name(&list.now.name);
        require(list.now.kind < TAG_N_KINDS && list.now.ordinal == n && list.now.parent < (int32_t)n);
        require(list.now.whole.begin <= list.now.whole.end && list.now.line <= list.now.end_line);
    }
    *failed = list.reader.failed;
    return n;
}

static size_t count_references(const struct buffer *bytes, bool *failed)
{
    struct fact_names names = {.reader = code_reader_make(bytes->data, bytes->size)};
    size_t n = 0;
    while (facts_next_name(&names)) {
        uint32_t line = 0, last = 0;
        bool is_call;
        use_name(&names.name);
        for (; facts_next_line(&names, &line, &is_call); n++, last = line)
            require(line >= last);
    }
    *failed = names.reader.failed;
    return n;
}

static size_t count_chunks(const struct buffer *bytes, bool *failed)
{
    struct code_reader reader = code_reader_make(bytes->data, bytes->size);
    struct fact_chunk chunk = {0};
    size_t n = 0;
    for (uint32_t end = 0; facts_next_chunk(&reader, &chunk); n++, end = chunk.text.end)
        require(chunk.text.begin >= end && chunk.text.begin <= chunk.text.end && chunk.line <= chunk.end_line);
    *failed = reader.failed;
    return n;
}

static size_t count_imports(const struct buffer *bytes, bool *failed)
{
    struct code_reader reader = code_reader_make(bytes->data, bytes->size);
    struct fact_import import;
    struct code_name keys[2];
    size_t n = 0;
    for (; facts_next_import(&reader, &import); n++)
        for (int language = -1; language < languages_count(); language++) {
            size_t n_keys = facts_import_keys(language, import.target.data, import.target.size, keys);
            for (size_t i = 0; i < n_keys; i++)
                require(keys[i].size >= 2 && keys[i].bytes[0] == KEY_IMPORT);
        }
    *failed = reader.failed;
    return n;
}

static void read_hostile(const struct buffer *bytes)
{
    bool failed;
    count_definitions(bytes, &failed);
    count_references(bytes, &failed);
    count_chunks(bytes, &failed);
    count_imports(bytes, &failed);
    struct posting_list list = {.reader = code_reader_make(bytes->data, bytes->size), .has_extra = bytes->size % 2};
    for (uint32_t last = 0; posting_next(&list); last = list.document)
        require(list.document >= last && list.low <= POSTING_LOW_MAX);
}

/* ---- spans from a grammar that went mad ---- */

static uint32_t take(struct code_reader *reader, uint32_t limit)
{
    const uint8_t *bytes = code_get_bytes(reader, 2);
    uint32_t value = bytes ? (uint32_t)(bytes[0] | bytes[1] << 8) : 0;
    return value % 251 == 250 ? UINT32_MAX - value : value % (limit + 3);
}

static struct span take_span(struct code_reader *reader, uint32_t size)
{
    uint32_t begin = take(reader, size);
    return (struct span){begin, begin + take(reader, 20)};
}

static void encode(const char *text, size_t size, struct code_reader reader)
{
    static struct definition definitions[MAX_ITEMS];
    static struct reference references[MAX_ITEMS];
    static struct import imports[MAX_ITEMS];
    static struct chunk chunks[MAX_ITEMS];
    uint32_t limit = (uint32_t)size;
    size_t n = take(&reader, MAX_ITEMS - 3) % MAX_ITEMS;
    for (size_t i = 0; i < n; i++) {
        definitions[i] = (struct definition){.name = take_span(&reader, limit),
                                             .whole = take_span(&reader, limit),
                                             .signature = take_span(&reader, limit),
                                             .doc = take_span(&reader, limit),
                                             .line = take(&reader, 1000),
                                             .end_line = take(&reader, 1000),
                                             .parent = (int32_t)take(&reader, MAX_ITEMS),
                                             .kind = (enum tag_kind)(take(&reader, TAG_N_KINDS) % TAG_N_KINDS)};
        references[i] = (struct reference){take_span(&reader, limit), take(&reader, 1000), i % 2, -1};
        imports[i] = (struct import){take_span(&reader, limit), take(&reader, 1000), i % 2};
        chunks[i] = (struct chunk){take_span(&reader, limit), take(&reader, 1000), take(&reader, 1000),
                                   (int32_t)take(&reader, MAX_ITEMS)};
    }
    struct syntax_result result = {.definitions = definitions,
                                   .references = references,
                                   .imports = imports,
                                   .chunks = chunks,
                                   .n_definitions = n,
                                   .n_references = n,
                                   .n_imports = n,
                                   .n_chunks = n};
    struct facts_scratch *scratch;
    struct facts facts = {.language = n % 2 ? language_by_name("python") : language_by_name("c")};
    struct postings *postings;
    size_t n_entries;
    bool failed;
    require(facts_scratch_new(&scratch, NULL) == STATUS_OK && postings_new(&postings, NULL) == STATUS_OK);
    for (uint32_t turn = 1; turn < 3; turn++) { /* tables are used again */
        require(facts_encode(scratch, &result, text, size, &facts, NULL) == STATUS_OK);
        require(count_definitions(&facts.definitions, &failed) == facts.n_definitions && !failed);
        require(facts.n_definitions == n);
        require(count_references(&facts.references, &failed) == facts.n_references && !failed);
        require(count_chunks(&facts.chunks, &failed) == facts.n_chunks && !failed);
        require(facts.lengths.size == facts.n_chunks);
        count_imports(&facts.imports, &failed);
        require(!failed);
        facts_add_postings(&facts, turn, turn * MAX_ITEMS, postings);
    }
    require(postings_sort(postings, &n_entries, NULL) == STATUS_OK);
    for (size_t i = 0; i < n_entries; i++) {
        struct posting_entry entry;
        postings_entry(postings, i, &entry);
        struct posting_list list = {.reader = code_reader_make(entry.list.data, entry.list.size),
                                    .has_extra = entry.key[0] == KEY_DEFINITION};
        uint32_t count = 0;
        while (posting_next(&list))
            count++;
        require(!list.reader.failed && count == entry.n && list.document == entry.last && count >= 2);
    }
    postings_free(postings);
    facts_scratch_free(scratch);
    facts_deinit(&facts);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct buffer bytes = {0}, text = {0};
    if (size < 2)
        return 0;
    size_t n_text = size > 200 ? (size_t)data[0] * size / 512 : size / 2;
    /* Exact allocations, so that one byte too far is seen. */
    bytes.data = malloc(size);
    text.data = malloc(n_text + 1);
    require(bytes.data && text.data);
    memcpy(bytes.data, data, size);
    memcpy(text.data, data, n_text);
    bytes.size = size;
    text.size = n_text;
    read_hostile(&bytes);
    encode(text.data, text.size, code_reader_make(data + n_text, size - n_text));
    free(bytes.data);
    free(text.data);
    return 0;
}
