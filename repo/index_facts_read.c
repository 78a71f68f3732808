/* index_facts_read: one content's facts out of bytes that anybody may have written (index_facts.h). */
#include "repo/index_facts.h"

static uint32_t add(struct code_reader *reader, uint32_t a, uint64_t b)
{
    uint64_t sum;
    if (checked_add(a, b, &sum) && sum <= UINT32_MAX)
        return (uint32_t)sum;
    reader->failed = true;
    return a;
}

static uint32_t add_signed(struct code_reader *reader, uint32_t a, int64_t b)
{
    if (b >= -(int64_t)a && b <= (int64_t)(UINT32_MAX - a))
        return (uint32_t)(a + b);
    reader->failed = true;
    return a;
}

bool facts_next_definition(struct fact_definitions *list)
{
    struct code_reader *reader = &list->reader;
    struct fact_definition *now = &list->now;
    if (reader->at >= reader->end)
        return false;
    uint64_t kind = code_get(reader), up = code_get(reader);
    now->ordinal = list->is_begun ? now->ordinal + 1 : 0;
    list->is_begun = true;
    bool has_scope = kind & FACT_HAS_SCOPE;
    kind &= ~(uint64_t)FACT_HAS_SCOPE;
    now->kind = kind < TAG_N_KINDS ? (enum tag_kind)kind : TAG_VARIABLE;
    now->parent = up && up <= now->ordinal ? (int32_t)(now->ordinal - up) : -1;
    if (!code_get_name(reader, &now->name))
        return false;
    size_t scope_size = has_scope ? (size_t)code_get(reader) : 0;
    const uint8_t *scope = code_get_bytes(reader, scope_size);
    now->scope = (struct slice){(const char *)scope, scope ? scope_size : 0};
    uint32_t begin = now->whole.begin = add(reader, now->whole.begin, code_get(reader));
    now->whole.end = add(reader, begin, code_get(reader));
    now->name_span.begin = add_signed(reader, begin, code_get_signed(reader));
    now->name_span.end = add(reader, now->name_span.begin, now->name.size);
    now->signature.begin = add_signed(reader, begin, code_get_signed(reader));
    now->signature.end = add(reader, now->signature.begin, code_get(reader));
    uint64_t doc = code_get(reader), before = doc ? code_get(reader) : 0;
    now->doc.begin = before <= begin ? (uint32_t)(begin - before) : begin;
    now->doc.end = add(reader, now->doc.begin, doc);
    now->line = add(reader, now->line, code_get(reader));
    now->end_line = add(reader, now->line, code_get(reader));
    return !reader->failed;
}

bool facts_next_chunk(struct code_reader *reader, struct fact_chunk *chunk)
{
    if (reader->at >= reader->end)
        return false;
    chunk->text.begin = add(reader, chunk->text.end, code_get(reader));
    chunk->text.end = add(reader, chunk->text.begin, code_get(reader));
    chunk->line = add(reader, chunk->end_line, code_get(reader));
    chunk->end_line = add(reader, chunk->line, code_get(reader));
    uint64_t scope = code_get(reader);
    chunk->scope = scope && scope <= INT32_MAX ? (int32_t)(scope - 1) : -1;
    return !reader->failed;
}

bool facts_next_name(struct fact_names *names)
{
    while (names->n) { /* lines that nobody read */
        code_get(&names->reader);
        names->n--;
    }
    if (names->reader.at >= names->reader.end || !code_get_name(&names->reader, &names->name))
        return false;
    names->n = code_get_32(&names->reader);
    if (names->n > (size_t)(names->reader.end - names->reader.at)) { /* a byte each at least */
        names->reader.failed = true;
        names->n = 0;
    }
    return !names->reader.failed;
}

bool facts_next_line(struct fact_names *names, uint32_t *line, bool *is_call)
{
    if (!names->n)
        return false;
    names->n--;
    uint64_t value = code_get(&names->reader);
    *line = add(&names->reader, *line, value >> 1);
    *is_call = value & 1;
    return !names->reader.failed;
}

bool facts_next_import(struct code_reader *reader, struct fact_import *import)
{
    if (reader->at >= reader->end)
        return false;
    uint64_t size = code_get(reader);
    const uint8_t *bytes = code_get_bytes(reader, (size_t)size);
    uint64_t line = code_get(reader);
    if (!bytes || reader->failed || line >> 1 > UINT32_MAX)
        return false;
    *import = (struct fact_import){{(const char *)bytes, (size_t)size}, (uint32_t)(line >> 1), line & 1};
    return true;
}
