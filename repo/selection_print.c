/* selection_print: the marked lines of a diff as a patch, and a hunk for an editor.  See selection.h. */
#include <inttypes.h>
#include <string.h>

#include "repo/diff_internal.h"
#include "repo/selection.h"

/* One way to go through a hunk: which side is there, and which marks say so. */
struct direction {
    bool reverse;
    enum diff_line_kind taken, put; /* what marked lines of the base and of the other side are */
};

static struct direction direction_of(bool reverse)
{
    return reverse ? (struct direction){true, DIFF_ADD, DIFF_DELETE} : (struct direction){false, DIFF_DELETE, DIFF_ADD};
}

static bool lacks_end(struct slice text)
{
    return text.size == 0 || text.data[text.size - 1] != '\n';
}

static void put(struct buffer *out, enum diff_line_kind kind, struct slice text, const char *end)
{
    buffer_append_byte(out, (char)kind);
    buffer_append(out, text.data, text.size);
    if (end)
        buffer_append_text(out, end);
    else if (lacks_end(text))
        buffer_append_text(out, "\n\\ No newline at end of file\n");
}

/* How the line of the result that comes behind the i-th of a hunk ends; NULL where none comes. */
static const char *end_behind(const struct selection *selection, const struct diff_hunk *hunk,
                              const struct direction *direction, uint32_t i)
{
    while (++i < hunk->n_lines) {
        const struct diff_line *line = &selection->diff->lines[hunk->first_line + i];
        bool is_marked = selection->lines[hunk->first_line + i];
        if (line->kind == direction->put ? !is_marked : is_marked)
            continue;
        size_t n = line->text.size;
        return n > 1 && line->text.data[n - 1] == '\n' && line->text.data[n - 2] == '\r' ? "\r\n" : "\n";
    }
    return NULL;
}

/* The lines; counts those of the base and of the result. */
static void print_lines(const struct selection *selection, const struct diff_hunk *hunk,
                        const struct direction *direction, struct buffer *out, uint32_t *n_base, uint32_t *n_result)
{
    for (uint32_t i = 0; i < hunk->n_lines; i++) {
        const struct diff_line *line = &selection->diff->lines[hunk->first_line + i];
        bool is_marked = selection->lines[hunk->first_line + i], is_put = line->kind == direction->put;
        if (is_put && !is_marked)
            continue;
        const char *end =
            lacks_end(line->text) && (is_put || !is_marked) ? end_behind(selection, hunk, direction, i) : NULL;
        *n_base += !is_put;
        *n_result += is_put || !is_marked;
        if (is_put || is_marked) {
            put(out, line->kind, line->text, is_put ? end : NULL);
        } else if (end) { /* it gets an end, which is a change */
            put(out, DIFF_DELETE, line->text, direction->reverse ? end : NULL);
            put(out, DIFF_ADD, line->text, direction->reverse ? NULL : end);
        } else {
            put(out, DIFF_CONTEXT, line->text, NULL);
        }
    }
}

/* delta: by how much lines have moved so far. */
static void print_hunk(const struct selection *selection, size_t index, bool reverse, int64_t *delta,
                       struct buffer *out)
{
    const struct diff_hunk *hunk = &selection->diff->hunks[index];
    const struct direction direction = direction_of(reverse);
    struct buffer lines = {0};
    uint32_t n_base = 0, n_result = 0, start = reverse ? hunk->new_start : hunk->old_start;
    print_lines(selection, hunk, &direction, &lines, &n_base, &n_result);
    int64_t before = (int64_t)start - (n_base > 0) + *delta;
    uint32_t other = (uint32_t)(before < 0 ? 0 : before) + (n_result > 0);
    *delta += (int64_t)n_result - (int64_t)n_base;
    buffer_append_text(out, "@@ ");
    diff_print_range(out, '-', reverse ? other : start, reverse ? n_result : n_base);
    buffer_append_text(out, " ");
    diff_print_range(out, '+', reverse ? start : other, reverse ? n_base : n_result);
    buffer_append_text(out, hunk->function.size ? " @@ " : " @@");
    buffer_append(out, hunk->function.data, hunk->function.size);
    buffer_append_text(out, "\n");
    buffer_append(out, buffer_text(&lines), lines.size);
    out->failed = out->failed || lines.failed;
    buffer_deinit(&lines);
}

/* The headers of a part: what the other side of all would be isn't there, so a file that comes stays new, and one that goes
 * stays. */
static void print_part_header(const struct diff_file *file, uint8_t flags, bool reverse, struct buffer *out)
{
    bool comes = file->status == DIFF_ADDED && !reverse, goes = file->status == DIFF_DELETED && reverse;
    const char *path = reverse && *file->new.path ? file->new.path : *file->old.path ? file->old.path : file->new.path;
    buffer_append_text(out, "diff --git ");
    diff_print_path(out, "a/", path);
    buffer_append_text(out, " ");
    diff_print_path(out, "b/", path);
    buffer_append_text(out, "\n");
    if (comes)
        buffer_printf(out, "new file mode %06o\n", file->new.mode ? file->new.mode : 0100644);
    else if (goes)
        buffer_printf(out, "deleted file mode %06o\n", file->old.mode ? file->old.mode : 0100644);
    else if (flags & SELECTION_MODE)
        buffer_printf(out, "old mode %06o\nnew mode %06o\n", file->old.mode, file->new.mode);
    diff_print_name_line(out, "--- ", "a/", comes ? "" : path);
    diff_print_name_line(out, "+++ ", "b/", goes ? "" : path);
}

void selection_print(const struct selection *selection, size_t index, bool reverse, struct buffer *out)
{
    enum selection_extent extent = selection_of_file(selection, index);
    if (extent == SELECTION_NONE)
        return;
    const struct diff_file *file = &selection->diff->files[index];
    int64_t delta = 0;
    if (file->n_hunks == 0) {
        diff_print_file(selection->diff, index, out);
        return;
    }
    struct buffer hunks = {0};
    for (size_t i = 0; i < file->n_hunks; i++)
        if (selection_of_hunk(selection, file->first_hunk + i) != SELECTION_NONE)
            print_hunk(selection, file->first_hunk + i, reverse, &delta, &hunks);
    if (extent == SELECTION_ALL) {
        diff_print_header(file, out);
        diff_print_name_line(out, "--- ", "a/", file->old.path);
        diff_print_name_line(out, "+++ ", "b/", file->new.path);
    } else if (hunks.size) {
        print_part_header(file, selection->files[index], reverse, out);
    } else { /* the mode alone */
        buffer_append_text(out, "diff --git ");
        diff_print_path(out, "a/", file->old.path);
        buffer_append_text(out, " ");
        diff_print_path(out, "b/", file->new.path);
        buffer_printf(out, "\nold mode %06o\nnew mode %06o\n", file->old.mode, file->new.mode);
    }
    buffer_append(out, buffer_text(&hunks), hunks.size);
    out->failed = out->failed || hunks.failed;
    buffer_deinit(&hunks);
}

void selection_print_hunk(const struct diff *diff, size_t index, bool reverse, struct buffer *out)
{
    const struct diff_hunk *hunk = &diff->hunks[index];
    buffer_append_text(out, "@@ ");
    diff_print_range(out, '-', hunk->old_start, hunk->old_n);
    buffer_append_text(out, " ");
    diff_print_range(out, '+', hunk->new_start, hunk->new_n);
    buffer_append_text(out, " @@\n");
    for (uint32_t i = 0; i < hunk->n_lines; i++)
        put(out, diff->lines[hunk->first_line + i].kind, diff->lines[hunk->first_line + i].text, NULL);
    const struct direction direction = direction_of(reverse);
    buffer_printf(out,
                  "# To keep a '%c' line, make it a ' ' line (context); to leave a '%c' line out, delete it.\n"
                  "# Lines of '#' are passed over, and the numbers above are counted anew.  With no change left, "
                  "nothing is done.\n",
                  (char)direction.taken, (char)direction.put);
}
