/* markdown: headings, links and code of a Markdown text, by its lines.
 *
 * There is a grammar, but its scanner asserts what a text needn't keep to, and takes the program down with it.  What is
 * of use here shows without one: ATX and setext headings outside of fences, [text](files) that are linked to, and what
 * stands in backticks. */
#include "repo/syntax_private.h"

#include <string.h>

struct reader {
    const char *text;
    uint32_t line;
    struct found *found;
    struct list *code;
    char fence; /* 0 outside */
    uint32_t fence_size, fence_begin;
    struct span before; /* the line before, where it could be the text of a setext heading */
};

static bool is_blank_byte(char c)
{
    return c == ' ' || c == '\t' || c == '\r';
}

static struct span trim(const char *text, struct span span)
{
    while (span.begin < span.end && is_blank_byte(text[span.begin]))
        span.begin++;
    while (span.end > span.begin && is_blank_byte(text[span.end - 1]))
        span.end--;
    return span;
}

static uint32_t count_of(const char *text, struct span span, char c)
{
    uint32_t n = 0;
    while (span.begin + n < span.end && text[span.begin + n] == c)
        n++;
    return n;
}

static void add_heading(struct reader *reader, struct span name, struct span whole, uint32_t line)
{
    struct found_definition *found = name.begin < name.end ? list_add(&reader->found->definitions) : NULL;
    if (!found)
        return;
    found->rank = 1;
    found->definition = (struct definition){.name = name, .whole = whole, .signature = whole, .kind = TAG_HEADING};
    found->definition.line = line;
    found->definition.end_line = reader->line;
}

static void add_code(struct reader *reader, struct span span)
{
    struct found_name *code = reader->code ? list_add(reader->code) : NULL;
    if (code)
        *code = (struct found_name){span, reader->line, 0};
}

/* Words within backticks that could be names of code. */
static void add_words(struct reader *reader, struct span span)
{
    for (uint32_t i = span.begin; i < span.end; i++) {
        uint32_t begin = i;
        while (i < span.end && ((reader->text[i] >= 'a' && reader->text[i] <= 'z') ||
                                (reader->text[i] >= 'A' && reader->text[i] <= 'Z') || reader->text[i] == '_' ||
                                (i > begin && reader->text[i] >= '0' && reader->text[i] <= '9')))
            i++;
        struct found_name *name = i > begin ? list_add(&reader->found->names) : NULL;
        if (name)
            *name = (struct found_name){{begin, i}, reader->line, CAPTURE_REFERENCE};
    }
}

static void add_link(struct reader *reader, struct span target)
{
    static const char *const elsewhere[] = {"http:", "https:", "mailto:", "#"};
    for (size_t i = 0; i < sizeof elsewhere / sizeof *elsewhere; i++) {
        size_t n = strlen(elsewhere[i]);
        if (target.end - target.begin >= n && memcmp(reader->text + target.begin, elsewhere[i], n) == 0)
            return;
    }
    struct import *import = target.begin < target.end ? list_add(&reader->found->imports) : NULL;
    if (import)
        *import = (struct import){.target = target, .line = reader->line};
}

static void read_inline(struct reader *reader, struct span line)
{
    for (uint32_t i = line.begin; i < line.end; i++) {
        if (reader->text[i] == '`') {
            const char *end = memchr(reader->text + i + 1, '`', line.end - i - 1);
            if (!end)
                break;
            uint32_t stop = (uint32_t)(end - reader->text);
            add_words(reader, (struct span){i + 1, stop});
            add_code(reader, (struct span){i, stop + 1});
            i = stop;
        } else if (reader->text[i] == ']' && i + 1 < line.end && reader->text[i + 1] == '(') {
            uint32_t stop = i + 2;
            while (stop < line.end && reader->text[stop] != ')' && reader->text[stop] != ' ')
                stop++;
            if (stop < line.end)
                add_link(reader, (struct span){i + 2, stop});
        }
    }
}

/* Whether the line is a fence, or within one. */
static bool read_fence(struct reader *reader, struct span line)
{
    char c = line.begin < line.end ? reader->text[line.begin] : 0;
    uint32_t n = c == '`' || c == '~' ? count_of(reader->text, line, c) : 0;
    if (reader->fence) {
        if (c == reader->fence && n >= reader->fence_size && line.begin + n == line.end) {
            add_code(reader, (struct span){reader->fence_begin, line.end});
            reader->fence = 0;
        }
        return true;
    }
    if (n < 3 || (c == '`' && memchr(reader->text + line.begin + n, '`', line.end - line.begin - n)))
        return false;
    reader->fence = c;
    reader->fence_size = n;
    reader->fence_begin = line.begin;
    return true;
}

static bool read_heading(struct reader *reader, struct span line)
{
    uint32_t n = count_of(reader->text, line, '#');
    if (n < 1 || n > 6 || (line.begin + n < line.end && !is_blank_byte(reader->text[line.begin + n])))
        return false;
    struct span name = trim(reader->text, (struct span){line.begin + n, line.end});
    while (name.end > name.begin && reader->text[name.end - 1] == '#')
        name.end--;
    add_heading(reader, trim(reader->text, name), line, reader->line);
    return true;
}

static void read_line(struct reader *reader, struct span whole)
{
    struct span line = trim(reader->text, whole), before = reader->before;
    bool is_indented = line.begin - whole.begin > 3;
    char c = line.begin < line.end ? reader->text[line.begin] : 0;
    reader->before = (struct span){0, 0};
    if (read_fence(reader, line) || (!is_indented && read_heading(reader, line)))
        return;
    if ((c == '=' || c == '-') && before.end > before.begin &&
        count_of(reader->text, line, c) == line.end - line.begin) {
        add_heading(reader, before, (struct span){before.begin, line.end}, reader->line - 1);
        return;
    }
    read_inline(reader, line);
    if (c && !is_indented && !strchr("->*+|<", c) && !(c >= '0' && c <= '9'))
        reader->before = line;
}

void markdown_read(const char *text, uint32_t size, struct found *found, struct list *code)
{
    struct reader reader = {.text = text, .found = found, .code = code};
    for (uint32_t at = 0; at < size;) {
        const char *newline = memchr(text + at, '\n', size - at);
        uint32_t end = newline ? (uint32_t)(newline - text) : size;
        reader.line++;
        read_line(&reader, (struct span){at, end});
        at = end + 1;
    }
    if (reader.fence)
        add_code(&reader, (struct span){reader.fence_begin, size});
}
