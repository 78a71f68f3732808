/* transcript: see transcript.h. */
#include "app/transcript.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static void entry_deinit(struct entry *entry)
{
    buffer_deinit(&entry->text);
    buffer_deinit(&entry->thought);
    buffer_deinit(&entry->waiting);
}

void transcript_clear(struct transcript *transcript, size_t n)
{
    for (size_t i = 0; i < n; i++)
        entry_deinit(&transcript->entries[i]);
    transcript->n -= n;
    if (n)
        memmove(transcript->entries, transcript->entries + n, transcript->n * sizeof *transcript->entries);
    transcript->n_rendered = 0;
    doc_cut(&transcript->doc, 0);
}

void transcript_deinit(struct transcript *transcript)
{
    transcript_clear(transcript, transcript->n);
    free(transcript->entries);
    doc_deinit(&transcript->doc);
    *transcript = (struct transcript){0};
}

struct entry *transcript_add(struct transcript *transcript, enum entry_kind kind, uint64_t job, const char *text,
                             size_t size)
{
    return transcript_insert(transcript, transcript->n, kind, job, text, size);
}

size_t transcript_pending(const struct transcript *transcript, uint64_t job)
{
    for (size_t i = 0; i < transcript->n; i++)
        if (transcript->entries[i].job > job)
            return i > 0 ? i - 1 : 0;
    return transcript->n;
}

struct entry *transcript_insert(struct transcript *transcript, size_t index, enum entry_kind kind, uint64_t job,
                                const char *text, size_t size)
{
    if (transcript->n == transcript->capacity) {
        size_t wanted = transcript->capacity ? transcript->capacity * 2 : 32;
        struct entry *more = realloc(transcript->entries, wanted * sizeof *more);
        if (!more)
            return NULL;
        transcript->entries = more;
        transcript->capacity = wanted;
    }
    struct entry *entry = &transcript->entries[index];
    memmove(entry + 1, entry, (transcript->n++ - index) * sizeof *entry);
    if (index < transcript->n_rendered)
        transcript->n_rendered = index;
    *entry = (struct entry){.kind = kind, .job = job};
    buffer_append(&entry->text, text, size);
    return entry;
}

struct entry *transcript_find(struct transcript *transcript, uint64_t job)
{
    for (size_t i = transcript->n; job && i-- > 0;)
        if (transcript->entries[i].job == job)
            return &transcript->entries[i];
    return NULL;
}

void transcript_touch(struct transcript *transcript, const struct entry *entry)
{
    size_t index = entry ? (size_t)(entry - transcript->entries) : 0;
    if (index < transcript->n_rendered)
        transcript->n_rendered = index;
}

/* ---- rendering ---- */

static void add_thought(const struct transcript *transcript, const struct entry *entry, int64_t tag, struct doc *doc)
{
    uint64_t ns = entry->thought_end_ns - entry->thought_begin_ns;
    bool is_over = entry->text.size > 0 || entry->job == 0;
    char line[64];
    if (entry->thought_end_ns && is_over)
        snprintf(line, sizeof line, "%c thought %.1f s", transcript->shows_thoughts ? 'v' : '>', (double)ns / 1e9);
    else
        snprintf(line, sizeof line, "%c %s", transcript->shows_thoughts ? 'v' : '>', is_over ? "thought" : "thinking");
    doc_begin(doc, (struct doc_format){.tag = tag});
    doc_add_text(doc, STYLE_DIM, line);
    if (!transcript->shows_thoughts)
        return;
    doc_begin(doc, (struct doc_format){.tag = tag, .indent = 2, .hang = 2});
    doc_add(doc, STYLE_DIM, entry->thought.data, entry->thought.size);
}

static void render_entry(struct transcript *transcript, size_t index)
{
    struct entry *entry = &transcript->entries[index];
    struct doc *doc = &transcript->doc;
    int64_t tag = (int64_t)(index + 1) << 16;
    bool is_note = entry->kind == ENTRY_NOTE || entry->kind == ENTRY_ERROR;
    bool follows_note = index > 0 && transcript->entries[index - 1].kind == ENTRY_NOTE && is_note;
    if (!follows_note)
        doc_blank(doc, tag);
    entry->line = doc->n_lines;
    if (is_note) {
        doc_begin(doc, (struct doc_format){.tag = tag, .hang = 2});
        doc_add_text(doc, entry->kind == ENTRY_ERROR ? STYLE_ERROR : STYLE_DIM,
                     entry->kind == ENTRY_ERROR ? "! " : "* ");
        doc_add(doc, entry->kind == ENTRY_ERROR ? STYLE_ERROR : STYLE_DIM, buffer_text(&entry->text), entry->text.size);
        return;
    }
    doc_begin(doc, (struct doc_format){.tag = tag});
    if (entry->kind == ENTRY_QUESTION) {
        doc_add_text(doc, STYLE_YOU, "You");
        doc_begin(doc, (struct doc_format){.tag = tag});
        doc_add(doc, STYLE_TEXT, buffer_text(&entry->text), entry->text.size);
        return;
    }
    doc_add_text(doc, STYLE_MODEL, *transcript->model ? transcript->model : "Answer");
    if (entry->thought.size)
        add_thought(transcript, entry, tag, doc);
    if (entry->text.size == 0 && entry->waiting.size) {
        doc_begin(doc, (struct doc_format){.tag = tag});
        doc_add(doc, STYLE_DIM, entry->waiting.data, entry->waiting.size);
        return;
    }
    struct markdown_options options = {.tag = tag,
                                       .color = transcript->color,
                                       .color_context = transcript->color_context,
                                       .columns = transcript->columns};
    if (entry->text.size)
        markdown_render(entry->text.data, entry->text.size, &options, doc);
}

void transcript_render(struct transcript *transcript, int columns)
{
    if (columns != transcript->columns)
        transcript->n_rendered = 0;
    transcript->columns = columns;
    if (transcript->n_rendered == transcript->n)
        return;
    size_t first = transcript->n_rendered;
    if (first == 0) {
        doc_cut(&transcript->doc, 0);
    } else if (first < transcript->n) {
        /* The lines of the entry before end where its tag does. */
        size_t line = transcript->doc.n_lines;
        while (line > 0 && transcript->doc.lines[line - 1].format.tag >> 16 > (int64_t)first)
            line--;
        doc_cut(&transcript->doc, line);
    }
    for (size_t i = first; i < transcript->n; i++)
        render_entry(transcript, i);
    transcript->n_rendered = transcript->n;
}

/* ---- what a line is ---- */

size_t transcript_entry_at(const struct transcript *transcript, size_t line, size_t *code_block)
{
    *code_block = 0;
    if (line >= transcript->doc.n_lines)
        return SIZE_MAX;
    int64_t tag = transcript->doc.lines[line].format.tag;
    *code_block = (size_t)(tag & 0xffff);
    size_t index = (size_t)(tag >> 16);
    return index > 0 && index <= transcript->n ? index - 1 : SIZE_MAX;
}

size_t transcript_next_entry(const struct transcript *transcript, size_t line, int direction)
{
    size_t best = SIZE_MAX;
    for (size_t i = 0; i < transcript->n_rendered; i++) {
        const struct entry *entry = &transcript->entries[i];
        if (entry->kind == ENTRY_NOTE)
            continue;
        if (direction > 0 && entry->line > line)
            return entry->line;
        if (direction < 0 && entry->line < line)
            best = entry->line;
    }
    return best;
}

size_t transcript_next_code(const struct transcript *transcript, size_t line, int direction)
{
    const struct doc *doc = &transcript->doc;
    for (size_t at = line; direction > 0 ? ++at < doc->n_lines : at-- > 0;) {
        int64_t tag = doc->lines[at].format.tag;
        bool begins = (tag & 0xffff) && (at == 0 || doc->lines[at - 1].format.tag != tag);
        if (begins)
            return at;
    }
    return SIZE_MAX;
}

bool transcript_code(const struct transcript *transcript, size_t line, struct buffer *out)
{
    size_t block, n = transcript->doc.n_lines;
    for (size_t at = line < n ? line + 1 : n; at-- > 0;) {
        size_t index = transcript_entry_at(transcript, at, &block);
        if (index == SIZE_MAX || block == 0)
            continue;
        const struct buffer *text = &transcript->entries[index].text;
        return markdown_code_block(buffer_text(text), text->size, block, out);
    }
    return false;
}
