/* diff_parse: a unified diff from its text (POSIX diff -u, and git's extended headers as gitformat-diff says). */
#include <ctype.h>
#include <stdlib.h>
#include <string.h>

#include "repo/diff_internal.h"

struct parser {
    struct diff *diff;
    const char *text; /* a copy that the diff owns */
    size_t size, at;
    size_t line_number; /* of the line that was read last */
    struct error *error;
    struct buffer path; /* unquoted */
    bool in_file;       /* a file's headers were read, and nothing else since that isn't its */
};

static bool next_line(struct parser *p, struct slice *line)
{
    if (p->at >= p->size)
        return false;
    const char *begin = p->text + p->at, *end = memchr(begin, '\n', p->size - p->at);
    line->data = begin;
    line->size = end ? (size_t)(end - begin) + 1 : p->size - p->at;
    p->at += line->size;
    p->line_number++;
    return true;
}

static struct slice without_end(struct slice line)
{
    if (line.size && line.data[line.size - 1] == '\n')
        line.size--;
    if (line.size && line.data[line.size - 1] == '\r')
        line.size--;
    return line;
}

static bool takes(struct slice *line, const char *begin)
{
    size_t n = strlen(begin);
    if (line->size < n || memcmp(line->data, begin, n) != 0)
        return false;
    line->data += n;
    line->size -= n;
    return true;
}

/* ---- paths ---- */

/* A path in git's quotes (quote.c of git: C's escapes, octal), to p->path.  How many bytes it took; 0 where it is wrong. */
static size_t unquote(struct parser *p, struct slice text)
{
    static const char names[] = "abtnvfr\"\\", bytes[] = "\a\b\t\n\v\f\r\"\\";
    buffer_clear(&p->path);
    for (size_t i = 1; i < text.size; i++) {
        char c = text.data[i];
        if (c == '"')
            return i + 1;
        if (c != '\\') {
            buffer_append_byte(&p->path, c);
            continue;
        }
        if (++i >= text.size)
            return 0;
        const char *name = text.data[i] ? strchr(names, text.data[i]) : NULL;
        if (name) {
            buffer_append_byte(&p->path, bytes[name - names]);
            continue;
        }
        unsigned value = 0;
        size_t n = 0;
        for (; n < 3 && i + n < text.size && text.data[i + n] >= '0' && text.data[i + n] <= '7'; n++)
            value = value * 8 + (unsigned)(text.data[i + n] - '0');
        if (n != 3 || value == 0 || value > 255)
            return 0;
        buffer_append_byte(&p->path, (char)(unsigned char)value);
        i += 2;
    }
    return 0;
}

/* The path of a header's rest to side, without the a/ or b/ of one where has_prefix.  dev/null is no path. */
static enum status take_path(struct parser *p, struct slice rest, bool has_prefix, struct diff_side *side)
{
    if (rest.size && rest.data[0] == '"') {
        if (!unquote(p, rest))
            return error_set(p->error, STATUS_FORMAT, "line %zu of the diff: a path whose quotes are wrong",
                             p->line_number);
    } else {
        const char *tab = memchr(rest.data, '\t', rest.size); /* behind it: a date, or nothing */
        buffer_clear(&p->path);
        buffer_append(&p->path, rest.data, tab ? (size_t)(tab - rest.data) : rest.size);
    }
    enum status status = buffer_status(&p->path, p->error);
    if (status)
        return status;
    const char *path = buffer_text(&p->path);
    size_t size = p->path.size;
    if (size == 9 && memcmp(path, "/dev/null", 9) == 0)
        size = 0;
    else if (has_prefix && size > 2 && path[1] == '/' && strchr("abciow", path[0]))
        path += 2, size -= 2; /* "ciow": diff.mnemonicPrefix */
    if (memchr(path, 0, size))
        return error_set(p->error, STATUS_FORMAT, "line %zu of the diff: a path with a NUL", p->line_number);
    return diff_set_path(p->diff, side, path, size, p->error);
}

/* "diff --git a/X b/X": the paths where nothing else in the headers says them (a mode alone, a binary file).  Names with
 * blanks aren't told apart but by their halves being alike. */
static enum status take_git_paths(struct parser *p, struct slice rest, struct diff_file *file)
{
    if (rest.size && rest.data[0] == '"') {
        size_t first = unquote(p, rest);
        struct slice quoted = {rest.data, first}, second = {rest.data + first + 1, rest.size - first - 1};
        if (!first || first + 1 >= rest.size)
            return STATUS_OK;
        enum status status = take_path(p, quoted, true, &file->old);
        return status ? status : take_path(p, second, true, &file->new);
    }
    for (size_t i = 1; i + 1 < rest.size; i++) {
        if (rest.data[i] != ' ')
            continue;
        struct slice first = {rest.data, i}, second = {rest.data + i + 1, rest.size - i - 1};
        bool is_half =
            first.size == second.size && first.size > 2 && memcmp(first.data + 2, second.data + 2, first.size - 2) == 0;
        if (!is_half && second.data[0] != '"')
            continue;
        enum status status = take_path(p, first, true, &file->old);
        return status ? status : take_path(p, second, true, &file->new);
    }
    return STATUS_OK;
}

/* ---- headers ---- */

static unsigned take_octal(struct slice text)
{
    unsigned value = 0;
    for (size_t i = 0; i < text.size && i < 7 && text.data[i] >= '0' && text.data[i] <= '7'; i++)
        value = value * 8 + (unsigned)(text.data[i] - '0');
    return value;
}

static bool take_id(struct slice hex, struct diff_side *side)
{
    if (hex.size != 40)
        return false;
    bool is_zero = true;
    for (size_t i = 0; i < 40; i++) {
        char c = (char)tolower((unsigned char)hex.data[i]);
        const char *digits = "0123456789abcdef", *digit = c ? strchr(digits, c) : NULL;
        if (!digit)
            return false;
        unsigned value = (unsigned)(digit - digits);
        is_zero = is_zero && value == 0;
        side->id.bytes[i / 2] = (uint8_t)(i % 2 ? side->id.bytes[i / 2] | value : value << 4);
    }
    side->has_id = !is_zero;
    return true;
}

/* "index OLD..NEW MODE": whole ids alone are of use. */
static void take_index(struct slice rest, struct diff_file *file)
{
    const char *dots = rest.size > 2 ? memmem(rest.data, rest.size, "..", 2) : NULL;
    if (!dots)
        return;
    struct slice old = {rest.data, (size_t)(dots - rest.data)}, new = {dots + 2, rest.size - old.size - 2};
    const char *blank = memchr(new.data, ' ', new.size);
    if (blank) {
        unsigned mode = take_octal((struct slice){blank + 1, (size_t)(new.data + new.size - blank - 1)});
        file->old.mode = file->new.mode = mode;
        new.size = (size_t)(blank - new.data);
    }
    take_id(old, &file->old);
    take_id(new, &file->new);
}

static void settle_status(struct diff_file *file)
{
    if (file->status == DIFF_MODIFIED) {
        if (!*file->old.path && *file->new.path)
            file->status = DIFF_ADDED;
        else if (*file->old.path && !*file->new.path)
            file->status = DIFF_DELETED;
    }
    if (file->status == DIFF_ADDED)
        file->old.path = "", file->old.path_size = 0;
    if (file->status == DIFF_DELETED)
        file->new.path = "", file->new.path_size = 0;
    file->is_submodule = file->old.mode == 0160000 || file->new.mode == 0160000;
}

/* One header of the file at hand; false where the line is none. */
static bool take_header(struct parser *p, struct slice line, enum status *status)
{
    struct diff_file *file = &p->diff->files[p->diff->n_files - 1];
    struct slice rest = line;
    if (takes(&rest, "--- "))
        *status = take_path(p, rest, true, &file->old);
    else if (takes(&rest, "+++ "))
        *status = take_path(p, rest, true, &file->new);
    else if (takes(&rest, "rename from ") || takes(&rest, "copy from "))
        *status = take_path(p, rest, false, &file->old);
    else if (takes(&rest, "rename to ") || takes(&rest, "copy to ")) {
        file->status = line.data[0] == 'r' ? DIFF_RENAMED : DIFF_COPIED;
        *status = take_path(p, rest, false, &file->new);
    } else if (takes(&rest, "new file mode ")) {
        file->status = DIFF_ADDED;
        file->new.mode = take_octal(rest);
    } else if (takes(&rest, "deleted file mode ")) {
        file->status = DIFF_DELETED;
        file->old.mode = take_octal(rest);
    } else if (takes(&rest, "old mode "))
        file->old.mode = take_octal(rest);
    else if (takes(&rest, "new mode "))
        file->new.mode = take_octal(rest);
    else if (takes(&rest, "similarity index ")) {
        for (size_t i = 0; i < rest.size && i < 3 && isdigit((unsigned char)rest.data[i]); i++)
            file->similarity = (uint16_t)(file->similarity * 10 + rest.data[i] - '0');
    } else if (takes(&rest, "index "))
        take_index(rest, file);
    else if (takes(&rest, "Binary files ") || takes(&rest, "GIT binary patch"))
        file->is_binary = true;
    else
        return takes(&rest, "dissimilarity index ");
    return true;
}

static enum status begin_file(struct parser *p)
{
    if (p->in_file)
        settle_status(&p->diff->files[p->diff->n_files - 1]);
    struct diff_file *file = diff_add_file(p->diff, p->error);
    if (!file)
        return p->error ? p->error->status : STATUS_MEMORY;
    file->status = DIFF_MODIFIED;
    p->in_file = true;
    return STATUS_OK;
}

/* ---- hunks ---- */

static bool take_number(struct slice *text, uint32_t *out)
{
    uint64_t value = 0;
    size_t n = 0;
    for (; n < text->size && isdigit((unsigned char)text->data[n]) && n < 10; n++)
        value = value * 10 + (uint64_t)(text->data[n] - '0');
    text->data += n;
    text->size -= n;
    *out = (uint32_t)value;
    return n > 0 && value < INT32_MAX;
}

/* "START" or "START,N". */
static bool take_range(struct slice *text, uint32_t *start, uint32_t *n)
{
    *n = 1;
    if (!take_number(text, start))
        return false;
    return !takes(text, ",") || take_number(text, n);
}

static bool take_hunk_header(struct slice line, struct diff_hunk *hunk)
{
    if (!takes(&line, "@@ -") || !take_range(&line, &hunk->old_start, &hunk->old_n) || !takes(&line, " +") ||
        !take_range(&line, &hunk->new_start, &hunk->new_n) || !takes(&line, " @@"))
        return false;
    takes(&line, " ");
    hunk->function = line;
    return true;
}

static enum status hunk_is_wrong(struct parser *p, const char *what)
{
    return error_set(p->error, STATUS_FORMAT, "line %zu of the diff: %s", p->line_number, what);
}

/* "\ No newline at end of file" is of the line before. */
static void take_newline_mark(struct parser *p)
{
    struct diff_line *last = &p->diff->lines[p->diff->n_lines - 1];
    if (last->text.size && last->text.data[last->text.size - 1] == '\n')
        last->text.size--;
}

static enum status take_hunk(struct parser *p, struct slice line)
{
    struct diff_hunk header = {0};
    if (!take_hunk_header(without_end(line), &header))
        return hunk_is_wrong(p, "a hunk's header is wrong");
    struct diff_hunk *hunk = diff_add_hunk(p->diff, p->error);
    if (!hunk)
        return p->error ? p->error->status : STATUS_MEMORY;
    hunk->old_start = header.old_start, hunk->old_n = header.old_n;
    hunk->new_start = header.new_start, hunk->new_n = header.new_n;
    hunk->function = header.function;
    uint32_t old_left = header.old_n, new_left = header.new_n;
    while (old_left || new_left) {
        if (!next_line(p, &line))
            return hunk_is_wrong(p, "it ends within a hunk");
        /* Some programs strip the blank of an empty line of context. */
        char kind = line.data[0] == '\n' || line.data[0] == '\r' ? ' ' : line.data[0];
        if (kind == '\\' && p->diff->hunks[p->diff->n_hunks - 1].n_lines) {
            take_newline_mark(p);
            continue;
        }
        if ((kind != ' ' && kind != '+' && kind != '-') || (kind != '+' && !old_left) || (kind != '-' && !new_left))
            return hunk_is_wrong(p, "a hunk has other lines than its header says");
        old_left -= kind != '+';
        new_left -= kind != '-';
        size_t skipped = kind == line.data[0];
        struct slice text = {line.data + skipped, line.size - skipped};
        if (!diff_add_line(p->diff, (enum diff_line_kind)kind, text, p->error))
            return p->error ? p->error->status : STATUS_MEMORY;
    }
    if (p->at < p->size && p->text[p->at] == '\\' && next_line(p, &line) &&
        p->diff->hunks[p->diff->n_hunks - 1].n_lines)
        take_newline_mark(p);
    return STATUS_OK;
}

/* Whether "--- X", "+++ Y", "@@" stand here without a git header before them. */
static bool begins_plain_file(const struct parser *p, struct slice line)
{
    struct slice rest = {p->text + p->at, p->size - p->at};
    return takes(&line, "--- ") && takes(&rest, "+++ ");
}

static enum status parse(struct parser *p)
{
    enum status status = STATUS_OK;
    struct slice line;
    while (!status && next_line(p, &line)) {
        struct slice plain = without_end(line), rest = plain;
        bool has_hunks = p->in_file && p->diff->files[p->diff->n_files - 1].n_hunks > 0;
        if (takes(&rest, "diff --git ")) {
            status = begin_file(p);
            if (!status)
                status = take_git_paths(p, rest, &p->diff->files[p->diff->n_files - 1]);
        } else if (takes(&rest, "* Unmerged path ")) {
            status = begin_file(p);
            if (!status) {
                struct diff_file *file = &p->diff->files[p->diff->n_files - 1];
                file->status = DIFF_UNMERGED;
                status = take_path(p, rest, false, &file->new);
            }
        } else if (begins_plain_file(p, plain) && (!p->in_file || has_hunks)) {
            status = begin_file(p);
            if (!status)
                take_header(p, plain, &status);
        } else if (takes(&rest, "@@ -")) {
            status = p->in_file ? take_hunk(p, line) : hunk_is_wrong(p, "a hunk without a file");
        } else if (p->in_file && !has_hunks) {
            take_header(p, plain, &status);
        }
    }
    if (!status && p->in_file)
        settle_status(&p->diff->files[p->diff->n_files - 1]);
    return status;
}

enum status diff_parse(const char *text, size_t size, struct diff **out, struct error *error)
{
    struct error own = {0};
    struct diff *diff = calloc(1, sizeof *diff);
    char *copy = diff ? arena_copy_text(&diff->arena, text, size) : NULL;
    if (!copy) {
        diff_free(diff);
        return error_set(error, STATUS_MEMORY, "out of memory");
    }
    struct parser p = {.diff = diff, .text = copy, .size = size, .error = error ? error : &own};
    enum status status = parse(&p);
    buffer_deinit(&p.path);
    if (!status)
        status = diff_finish(diff, error);
    if (status)
        diff_free(diff);
    else
        *out = diff;
    return status;
}
