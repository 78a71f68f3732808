/* gather_names: what stands near the cursor, and the definitions of it. */
#include <stdlib.h>
#include <string.h>

#include "app/gather_private.h"

enum {
    WORD_LEAST = 3,    /* bytes of a word that tells anything */
    DEFINERS_MOST = 4, /* asked for of a name */
    AMBIGUOUS = 3,     /* so many definitions somewhere else mean nothing */
    PIECES_MOST = 24,
    WHOLE_FUNCTION = 12, /* lines of what is shown whole */
    WHOLE_TYPE = 40,
    DOC_LINES = 8,
    MEMBERS_MOST = 24,
    IMPORTS_MOST = 64,
    IMPORT_BYTES = 1000,
};
#define IMPORTED_WEIGHT 0.3

/* ---- words ---- */

/* Keeps the nearest occurrence of each. */
static void add_word(struct gather_words *words, struct slice text, double weight, uint32_t distance, bool is_above)
{
    size_t at;
    for (at = 0; at < words->n; at++)
        if (words->items[at].text.size == text.size && memcmp(words->items[at].text.data, text.data, text.size) == 0)
            break;
    if (at < words->n) {
        if (words->items[at].weight >= weight)
            return;
    } else if (words->n < GATHER_WORDS_MOST) {
        at = words->n++;
    } else {
        at--;
        if (words->items[at].weight >= weight)
            return;
    }
    /* Nearest first; the first that came among those as near. */
    while (at > 0 && words->items[at - 1].weight < weight) {
        words->items[at] = words->items[at - 1];
        at--;
    }
    words->items[at] = (struct gather_word){text, weight, distance, is_above};
}

static void add_at(struct gathering *gathering, struct gather_words *words, struct slice text, uint32_t line)
{
    uint32_t cursor = gathering->cursor_line, distance = line < cursor ? cursor - line : line - cursor;
    add_word(words, text, 1 / (1 + (double)distance / 6), distance, line <= cursor);
}

/* Whether the cursor stands in or at the end of the word: it may become another one with the next key. */
static bool is_being_typed(const struct gathering *gathering, size_t begin, size_t end)
{
    return begin < gathering->request->at && end >= gathering->request->at;
}

/* Words of the area; those of the cursor's line are names as well, as its syntax is mostly unfinished. */
static void find_words(struct gathering *gathering)
{
    const char *text = gathering->request->text.data;
    uint32_t line = gathering->first_line;
    for (size_t at = gathering->area_begin, end = gathering->area_end; at < end;) {
        size_t begin = at;
        while (at < end && gather_is_word_byte(text[at]))
            at++;
        if (at - begin >= WORD_LEAST && at - begin <= 100 && !(text[begin] >= '0' && text[begin] <= '9') &&
            !is_being_typed(gathering, begin, at)) {
            struct slice word = {text + begin, at - begin};
            add_at(gathering, &gathering->words, word, line);
            if (line == gathering->cursor_line || gathering->syntax.is_text)
                add_at(gathering, &gathering->names, word, line);
        }
        if (at == begin) {
            line += text[at] == '\n';
            at++;
        }
    }
}

/* References near the cursor, and those of the signatures that enclose it. */
static void find_references(struct gathering *gathering)
{
    const struct syntax_result *syntax = &gathering->syntax;
    const struct gathered *out = gathering->out;
    for (size_t i = 0; i < syntax->n_references; i++) {
        const struct reference *reference = &syntax->references[i];
        struct slice name = {gathering->request->text.data + reference->name.begin,
                             reference->name.end - reference->name.begin};
        if (is_being_typed(gathering, reference->name.begin, reference->name.end) || !name.size || name.size > 200)
            continue;
        if (reference->line >= gathering->first_line && reference->line <= gathering->last_line) {
            add_at(gathering, &gathering->names, name, reference->line);
            continue;
        }
        for (size_t k = 0; k < out->n_signatures; k++)
            if (reference->name.begin >= out->signatures[k].begin && reference->name.end <= out->signatures[k].end)
                add_word(&gathering->names, name, 0.6, gathering->cursor_line - reference->line, true);
    }
}

/* "fs.h", "string.hpp" */
static bool is_header(struct slice target)
{
    const char *point = target.size ? memrchr(target.data, '.', target.size) : NULL;
    return point && point + 1 < target.data + target.size && point[1] == 'h';
}

/* The words of an import, which goes on to its line's end, or to that of its last bracket. */
static void take_imported(struct gathering *gathering, size_t at, size_t end, uint32_t line)
{
    const char *text = gathering->request->text.data;
    uint32_t cursor = gathering->cursor_line, distance = line > cursor ? line - cursor : cursor - line;
    size_t depth = 0;
    while (at < end && (text[at] != '\n' || depth)) {
        size_t begin = at;
        while (at < end && gather_is_word_byte(text[at]))
            at++;
        if (at - begin >= WORD_LEAST && !is_being_typed(gathering, begin, at))
            add_word(&gathering->names, (struct slice){text + begin, at - begin}, IMPORTED_WEIGHT, distance,
                     line <= cursor);
        if (at > begin)
            continue;
        depth += text[at] == '(' || text[at] == '{';
        depth -= depth && (text[at] == ')' || text[at] == '}');
        at++;
    }
}

/* What a text imports by name, it means to use.  Headers say no names. */
static void find_imported(struct gathering *gathering)
{
    const struct syntax_result *syntax = &gathering->syntax;
    struct slice text = gathering->request->text;
    for (size_t i = 0; i < syntax->n_imports && i < IMPORTS_MOST; i++) {
        const struct import *import = &syntax->imports[i];
        struct slice target = {text.data + import->target.begin, import->target.end - import->target.begin};
        size_t begin = gather_lines(text, import->target).begin;
        size_t end = text.size - import->target.end < IMPORT_BYTES ? text.size : import->target.end + IMPORT_BYTES;
        if (!import->is_system && !is_header(target))
            take_imported(gathering, begin, end, import->line);
    }
}

enum status gather_names(struct gathering *gathering)
{
    find_references(gathering);
    find_imported(gathering);
    find_words(gathering);
    return STATUS_OK;
}

/* ---- lines that share words ---- */

static uint64_t words_of_line(const struct gather_words *words, struct slice line)
{
    uint64_t found = 0;
    for (size_t at = 0; at < line.size;) {
        size_t begin = at;
        while (at < line.size && gather_is_word_byte(line.data[at]))
            at++;
        for (size_t i = 0; at - begin >= WORD_LEAST && i < words->n; i++)
            if (words->items[i].text.size == at - begin &&
                memcmp(words->items[i].text.data, line.data + begin, at - begin) == 0)
                found |= UINT64_C(1) << i;
        at += at == begin;
    }
    return found;
}

double gather_best_lines(const struct gather_words *words, const double *weights, struct slice text, uint32_t max,
                         uint32_t *line, uint32_t *end_line)
{
    enum { LINES_MOST = 4096 };
    uint64_t *found = calloc(LINES_MOST, sizeof *found);
    uint32_t n = 0, first = *line;
    double best = -1, total = 0;
    for (const char *at = text.data, *end = text.data + text.size; found && at < end && n < LINES_MOST; n++) {
        const char *newline = memchr(at, '\n', (size_t)(end - at)), *next = newline ? newline + 1 : end;
        found[n] = words_of_line(words, (struct slice){at, (size_t)(next - at)});
        at = next;
    }
    for (size_t i = 0; i < words->n; i++)
        total += weights ? weights[i] : words->items[i].weight;
    uint32_t step = max / 4 ? max / 4 : 1;
    for (uint32_t from = 0; n && (from == 0 || from + max < n + step); from += step) {
        uint64_t all = 0;
        double sum = 0;
        for (uint32_t i = from; i < n && i < from + max; i++)
            all |= found[i];
        for (size_t i = 0; i < words->n; i++)
            if (all >> i & 1)
                sum += weights ? weights[i] : words->items[i].weight;
        if (sum > best + 1e-9) {
            best = sum;
            *line = first + from;
            *end_line = first + (from + max < n ? from + max : n) - 1;
        }
    }
    free(found);
    return total > 0 && best > 0 ? best / total : 0;
}

/* ---- definitions ---- */

/* A definition as it stands in some text. */
struct place {
    struct slice text;
    struct span whole, signature, doc;
    uint32_t line, end_line;
    enum tag_kind kind;
};

static uint32_t count_lines(struct slice text, struct span span)
{
    uint32_t n = 1;
    for (uint32_t at = span.begin; at + 1 < span.end && at + 1 < text.size; at++)
        n += text.data[at] == '\n';
    return n;
}

static bool is_type(enum tag_kind kind)
{
    return kind == TAG_CLASS || kind == TAG_STRUCT || kind == TAG_UNION || kind == TAG_ENUM || kind == TAG_TYPE ||
           kind == TAG_INTERFACE;
}

/* The lines to show of a definition: all of a short one, else the signature with the comment that belongs to it. */
static struct span shown(const struct place *place)
{
    uint32_t n = place->end_line - place->line + 1, most = is_type(place->kind) ? WHOLE_TYPE : WHOLE_FUNCTION;
    struct span span = n <= most ? place->whole : place->signature;
    if (span.begin >= span.end)
        span = (struct span){place->whole.begin, place->whole.begin + 1};
    bool has_doc = place->doc.begin < place->doc.end && count_lines(place->text, place->doc) <= DOC_LINES;
    if (has_doc && place->doc.begin < span.begin)
        span.begin = place->doc.begin;
    if (has_doc && place->doc.end > span.end)
        span.end = place->doc.end;
    return gather_lines(place->text, span);
}

static bool is_worth_showing(enum tag_kind kind)
{
    return kind != TAG_KEY && kind != TAG_HEADING && kind != TAG_TARGET && kind != TAG_FIELD && kind != TAG_MODULE;
}

struct adding {
    const char *path;
    size_t path_size;
    const struct gather_word *name;
    double worth;
    const char *how; /* "imported", "in its folder" ... */
};

static enum status add_definition(struct gathering *gathering, const struct place *place, const struct adding *adding,
                                  struct slice members)
{
    struct span span = shown(place);
    struct buffer text = {0};
    struct fim_piece piece = {.path = {adding->path, adding->path_size},
                              .line = gather_line_of(place->text, span.begin),
                              .worth = adding->worth,
                              .source = "definition"};
    buffer_append(&text, place->text.data + span.begin, span.end - span.begin);
    buffer_append(&text, members.data, members.size);
    piece.text = (struct slice){buffer_text(&text), text.size};
    piece.end_line = piece.line + count_lines(place->text, span) - 1;
    uint32_t distance = adding->name->distance;
    const char *where = distance == 0            ? "on the cursor's line"
                        : adding->name->is_above ? gather_printf(gathering, "%u lines above", distance)
                                                 : gather_printf(gathering, "%u lines below", distance);
    piece.why = gather_printf(gathering, "defines `%.*s`, used %s (%s)",
                              (int)(adding->name->text.size < 60 ? adding->name->text.size : 60),
                              adding->name->text.data, where, adding->how);
    enum status status = buffer_status(&text, gathering->error);
    if (status == STATUS_OK && text.size)
        status = gather_add(gathering, &piece);
    buffer_deinit(&text);
    return status;
}

/* The signatures of a type's members, where it is too long to be shown. */
static void append_members(struct gathering *gathering, const struct index_definition *type, struct slice text,
                           struct buffer *out)
{
    struct index_definitions outline = {0};
    if (!is_type(type->kind) || type->end_line - type->line < WHOLE_TYPE ||
        index_outline(gathering->gatherer->project->index, type->path, &outline, NULL) != STATUS_OK)
        return;
    for (size_t i = 0, n = 0; i < outline.n && n < MEMBERS_MOST; i++) {
        const struct index_definition *member = &outline.items[i];
        if (member->parent != type->ordinal || member->signature.end > text.size ||
            member->signature.begin >= member->signature.end)
            continue;
        struct span lines = gather_lines(text, member->signature);
        buffer_append(out, text.data + lines.begin, lines.end - lines.begin);
        n++;
    }
    index_definitions_deinit(&outline);
}

static const char *how_near(double nearness, size_t n)
{
    return nearness >= 0.79   ? "imported"
           : nearness >= 0.69 ? "imports this file"
           : nearness >= 0.59 ? "in its folder"
           : n == 1           ? "the only one of that name"
                              : "elsewhere";
}

/* Definitions in the text that is edited: elsewhere the name then means something else.  None that holds the cursor. */
static enum status define_here(struct gathering *gathering, const struct gather_word *name, bool *is_here)
{
    const struct gather_request *request = gathering->request;
    const struct syntax_result *syntax = &gathering->syntax;
    *is_here = false;
    for (size_t i = 0; i < syntax->n_definitions; i++) {
        const struct definition *definition = &syntax->definitions[i];
        if (definition->name.end - definition->name.begin != name->text.size ||
            memcmp(request->text.data + definition->name.begin, name->text.data, name->text.size) != 0 ||
            definition->kind == TAG_FIELD)
            continue;
        *is_here = definition->kind != TAG_PROTOTYPE;
        if (definition->whole.begin <= request->at && request->at <= definition->whole.end)
            return STATUS_OK;
        struct place place = {request->text,    definition->whole,    definition->signature, definition->doc,
                              definition->line, definition->end_line, definition->kind};
        struct adding adding = {request->path, strlen(request->path), name, name->weight * 2, "this file"};
        if (!is_worth_showing(definition->kind))
            continue;
        return add_definition(gathering, &place, &adding, (struct slice){0});
    }
    return STATUS_OK;
}

static enum status define_elsewhere(struct gathering *gathering, const struct gather_word *name,
                                    const struct index_definitions *found)
{
    size_t n_shown = 0;
    enum status status = STATUS_OK;
    for (size_t i = 0; i < found->n && n_shown < 2 && status == STATUS_OK; i++) {
        const struct index_definition *definition = &found->items[i];
        bool is_near = definition->nearness >= 0.55;
        if (gather_is_current(gathering, definition->path, definition->path_size) ||
            !is_worth_showing(definition->kind) ||
            (!is_near && (found->is_cut || found->n > AMBIGUOUS || definition->kind == TAG_VARIABLE)) ||
            (n_shown && !is_near))
            continue;
        const struct gather_file *file = gather_read(gathering, definition->path, definition->path_size);
        if (!file || memcmp(&file->id, &definition->blob, sizeof file->id) != 0)
            continue;
        struct place place = {{buffer_text(&file->text), file->text.size},
                              definition->whole,
                              definition->signature,
                              definition->doc,
                              definition->line,
                              definition->end_line,
                              definition->kind};
        if (definition->whole.end > file->text.size)
            continue;
        struct adding adding = {definition->path, definition->path_size, name,
                                name->weight * (0.5 + 2 * definition->nearness) / (double)(1 + n_shown),
                                how_near(definition->nearness, found->n)};
        struct buffer members = {0};
        append_members(gathering, definition, place.text, &members);
        status = add_definition(gathering, &place, &adding, (struct slice){buffer_text(&members), members.size});
        buffer_deinit(&members);
        n_shown++;
    }
    return status;
}

enum status gather_definitions(struct gathering *gathering)
{
    struct index *index = gathering->gatherer->project->index;
    struct index_place place = {gathering->request->path, gathering->cursor_line};
    enum status status = STATUS_OK;
    for (size_t i = 0; i < gathering->names.n && i < GATHER_NAMES_MOST && status == STATUS_OK; i++) {
        const struct gather_word *name = &gathering->names.items[i];
        struct index_definitions found = {0};
        bool is_here = false;
        char *text = arena_copy_text(&gathering->out->arena, name->text.data, name->text.size);
        if (!text)
            return error_set(gathering->error, STATUS_MEMORY, "out of memory");
        if (gathering->out->n_pieces >= PIECES_MOST)
            break;
        status = define_here(gathering, name, &is_here);
        if (status != STATUS_OK || is_here ||
            index_definitions(index, text, &place, DEFINERS_MOST, &found, NULL) != STATUS_OK)
            continue;
        status = define_elsewhere(gathering, name, &found);
        index_definitions_deinit(&found);
    }
    return status;
}
