/* chat_reduce: see chat_reduce.h.  The known forms have at most some dozens of lines, so every question is answered by
 * looking through all of them. */
#include "engine/chat_reduce.h"

#include <string.h>

enum { SIZE_LIMIT = 16 * 1024, MAX_LINES = 512 };

struct lines {
    struct slice items[MAX_LINES];
    size_t n;
};

static bool is_name_byte(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_';
}

static bool line_starts(struct slice line, const char *word)
{
    size_t size = strlen(word);
    return line.size >= size && memcmp(line.data, word, size) == 0;
}

static void line_remove(struct lines *lines, size_t i, size_t n)
{
    memmove(&lines->items[i], &lines->items[i + n], (lines->n - i - n) * sizeof *lines->items);
    lines->n -= n;
}

/* What a line sets: the name (x or ns.x) between "set " and "="; empty where it sets none, or part of something. */
static struct slice line_target(struct slice line)
{
    struct slice none = {"", 0};
    const char *end = line_starts(line, "set ") ? memchr(line.data, '=', line.size) : NULL;
    if (!end)
        return none;
    struct slice name = {line.data + 4, (size_t)(end - line.data) - 4};
    for (size_t i = 0; i < name.size; i++)
        if (!is_name_byte(name.data[i]) && name.data[i] != '.')
            return none;
    return name;
}

/* Whether name stands in text as a whole word (anywhere: a word in a constant counts too, which errs on the safe side). */
static bool text_names(struct slice text, struct slice name)
{
    for (size_t i = 0; i + name.size <= text.size; i++) {
        const char *found = memmem(text.data + i, text.size - i, name.data, name.size);
        if (!found)
            return false;
        i = (size_t)(found - text.data);
        if ((i == 0 || !is_name_byte(text.data[i - 1])) &&
            (i + name.size == text.size || !is_name_byte(text.data[i + name.size])))
            return true;
    }
    return false;
}

/* Whether any line reads name; lines that set it do so only on their right side. */
static bool name_is_read(const struct lines *lines, struct slice name)
{
    for (size_t i = 0; i < lines->n; i++) {
        struct slice line = lines->items[i], target = line_target(line);
        if (target.size == name.size && memcmp(target.data, name.data, name.size) == 0) {
            size_t used = 4 + target.size;
            line = (struct slice){line.data + used, line.size - used};
        }
        if (text_names(line, name))
            return true;
    }
    return false;
}

/* The lines of a macro that begins at i and that no other line names; 0 where it is named. */
static size_t dead_macro(const struct lines *lines, size_t i)
{
    struct slice line = lines->items[i], name = {line.data + 6, 0};
    while (6 + name.size < line.size && is_name_byte(name.data[name.size]))
        name.size++;
    size_t end = i;
    while (end < lines->n && !slice_equals(lines->items[end], "endmacro"))
        end++;
    if (end == lines->n || name.size == 0)
        return 0;
    for (size_t j = 0; j < lines->n; j++)
        if ((j < i || j > end) && text_names(lines->items[j], name))
            return 0;
    return end + 1 - i;
}

/* How many lines at i have no effect. */
static size_t dead_lines(const struct lines *lines, size_t i)
{
    struct slice line = lines->items[i], next = i + 1 < lines->n ? lines->items[i + 1] : (struct slice){"", 0};
    if (line_starts(line, "macro "))
        return dead_macro(lines, i);
    if ((line_starts(line, "if ") && slice_equals(next, "endif")) ||
        (line_starts(line, "for ") && slice_equals(next, "endfor")))
        return 2;
    if ((slice_equals(line, "else") || line_starts(line, "elif ")) && slice_equals(next, "endif"))
        return 1;
    struct slice target = line_target(line);
    return target.size && !name_is_read(lines, target) ? 1 : 0;
}

/* "set x=namespace(a=1,b=2)" becomes a line for each: so values of a namespace can be dropped one by one. */
static void namespace_unfold(struct slice line, struct buffer *out)
{
    struct slice name = line_target(line);
    size_t open = name.size ? 4 + name.size + strlen("=namespace(") : 0;
    if (!open || line.size <= open || memcmp(line.data + 4 + name.size, "=namespace(", strlen("=namespace(")) != 0 ||
        line.data[line.size - 1] != ')') {
        buffer_append(out, line.data, line.size);
        buffer_append_byte(out, '\n');
        return;
    }
    buffer_append(out, line.data, open);
    buffer_append(out, ")\n", 2);
    char quote = 0;
    for (size_t i = open, begin = open; i < line.size; i++) {
        char c = line.data[i];
        bool escaped = quote && line.data[i - 1] == '\\';
        if (c == '\'' && !escaped)
            quote = quote ? 0 : c;
        if ((c == ',' && !quote) || i + 1 == line.size) {
            if (i > begin) {
                buffer_append_text(out, "set ");
                buffer_append(out, name.data, name.size);
                buffer_append_byte(out, '.');
                buffer_append(out, line.data + begin, i - begin);
                buffer_append_byte(out, '\n');
            }
            begin = i + 1;
        }
    }
}

static bool lines_split(const struct buffer *form, struct lines *lines)
{
    lines->n = 0;
    for (size_t begin = 0; begin < form->size;) {
        const char *end = memchr(form->data + begin, '\n', form->size - begin);
        if (!end || lines->n == MAX_LINES)
            return false;
        size_t size = (size_t)(end - form->data) - begin;
        lines->items[lines->n++] = (struct slice){form->data + begin, size};
        begin += size + 1;
    }
    return true;
}

/* Whether a line puts one constant and nothing else. */
static bool is_constant(struct slice line)
{
    if (!line_starts(line, "put '") || line.size < 7)
        return false;
    for (size_t i = 5; i + 1 < line.size; i++) {
        if (line.data[i] == '\\')
            i++;
        else if (line.data[i] == '\'')
            return false;
    }
    return line.data[line.size - 1] == '\'';
}

/* One line a statement; constants that now follow one another become one. */
static void lines_join(const struct lines *lines, struct buffer *out)
{
    for (size_t i = 0; i < lines->n; i++) {
        struct slice line = lines->items[i];
        if (i && is_constant(line) && is_constant(lines->items[i - 1])) {
            out->size -= out->size ? 2 : 0; /* the quote and the newline */
            line = (struct slice){line.data + 5, line.size - 5};
        }
        buffer_append(out, line.data, line.size);
        buffer_append_byte(out, '\n');
    }
}

void chat_form_reduce(struct buffer *form)
{
    struct lines lines;
    struct buffer unfolded = {0}, reduced = {0};
    if (form->size > SIZE_LIMIT || form->failed || !lines_split(form, &lines))
        return;
    for (size_t i = 0; i < lines.n; i++)
        namespace_unfold(lines.items[i], &unfolded);
    if (lines_split(&unfolded, &lines)) {
        for (bool changed = true; changed;) {
            changed = false;
            for (size_t i = 0; i < lines.n;) {
                size_t n = dead_lines(&lines, i);
                if (n)
                    line_remove(&lines, i, n);
                else
                    i++;
                changed |= n > 0;
            }
        }
        lines_join(&lines, &reduced);
        reduced.failed |= unfolded.failed;
        buffer_deinit(form);
        *form = reduced;
    }
    buffer_deinit(&unfolded);
}
