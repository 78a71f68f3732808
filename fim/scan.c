/* scan: see scan.h. */
#include "fim/scan.h"

#include <string.h>

bool byte_is_space(char byte)
{
    return byte == ' ' || byte == '\t' || byte == '\n' || byte == '\r' || byte == '\f' || byte == '\v';
}

bool byte_is_word(char byte)
{
    unsigned char c = (unsigned char)byte;
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_' || c >= 0x80;
}

bool byte_opens(char byte)
{
    return byte == '(' || byte == '[' || byte == '{';
}

bool byte_closes(char byte)
{
    return byte == ')' || byte == ']' || byte == '}';
}

static bool is_thrice(const char *text, size_t size, size_t at, char quote)
{
    return at + 2 < size && text[at] == quote && text[at + 1] == quote && text[at + 2] == quote;
}

static size_t step_string(struct scan *scan, const char *text, size_t size, size_t at)
{
    char byte = text[at];
    if (scan->is_escaped) {
        scan->is_escaped = false;
    } else if (byte == '\\') {
        scan->is_escaped = true;
    } else if (scan->is_long && is_thrice(text, size, at, scan->quote)) {
        scan->quote = 0;
        return 3;
    } else if (!scan->is_long && (byte == scan->quote || (byte == '\n' && scan->quote != '`'))) {
        scan->quote = 0;
    }
    return 1;
}

static size_t step_comment(struct scan *scan, const char *text, size_t size, size_t at)
{
    if (scan->is_line_comment && text[at] == '\n')
        scan->is_line_comment = false;
    if (!scan->is_block_comment || text[at] != '*' || at + 1 >= size || text[at + 1] != '/')
        return 1;
    scan->is_block_comment = false;
    return 2;
}

size_t scan_step(struct scan *scan, const char *text, size_t size, size_t at)
{
    char byte = text[at], next = at + 1 < size ? text[at + 1] : 0;
    if (scan->quote)
        return step_string(scan, text, size, at);
    if (!scan_is_code(scan))
        return step_comment(scan, text, size, at);
    scan->is_escaped = false;
    if (scan->has_hash_comments ? byte == '#' : byte == '/' && next == '/') {
        scan->is_line_comment = true;
    } else if (byte == '/' && next == '*' && !scan->has_hash_comments) {
        scan->is_block_comment = true;
        return 2;
    } else if (byte == '"' || byte == '\'' || (byte == '`' && !scan->has_hash_comments)) {
        scan->quote = byte;
        scan->is_long = byte != '`' && is_thrice(text, size, at, byte);
        return scan->is_long ? 3 : 1;
    } else if (byte_opens(byte)) {
        scan->depth++;
    } else if (byte_closes(byte)) {
        scan->depth--;
    }
    return 1;
}

size_t line_indent(struct slice line)
{
    size_t columns = 0;
    for (size_t i = 0; i < line.size && (line.data[i] == ' ' || line.data[i] == '\t'); i++)
        columns = line.data[i] == '\t' ? columns / 8 * 8 + 8 : columns + 1;
    return columns;
}

struct slice slice_trim_end(struct slice text)
{
    while (text.size && byte_is_space(text.data[text.size - 1]))
        text.size--;
    return text;
}

struct slice slice_trim(struct slice text)
{
    while (text.size && byte_is_space(*text.data)) {
        text.data++;
        text.size--;
    }
    return slice_trim_end(text);
}

struct slice line_at(struct slice text, size_t at, size_t *next)
{
    const char *begin = text.data + at, *newline = at < text.size ? memchr(begin, '\n', text.size - at) : NULL;
    size_t size = newline ? (size_t)(newline - begin) : text.size - at;
    *next = newline ? at + size + 1 : text.size;
    if (size && begin[size - 1] == '\r')
        size--;
    return (struct slice){begin, size};
}

bool slice_begins(struct slice text, struct slice with)
{
    return text.size >= with.size && (!with.size || memcmp(text.data, with.data, with.size) == 0);
}

bool slice_ends(struct slice text, struct slice with)
{
    return text.size >= with.size &&
           (!with.size || memcmp(text.data + text.size - with.size, with.data, with.size) == 0);
}
