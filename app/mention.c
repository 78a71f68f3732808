/* mention: see mention.h. */
#include "app/mention.h"

#include <fcntl.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "repo/diff.h"
#include "repo/map.h"

/* ---- where they are ---- */

static bool is_of_name(char c)
{
    return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c & 0x80) ||
           (c && strchr("_-./+", c));
}

static uint32_t take_number(struct slice text, size_t *at)
{
    uint32_t number = 0;
    while (*at < text.size && text.data[*at] >= '0' && text.data[*at] <= '9' && number < 100000000)
        number = number * 10 + (uint32_t)(text.data[(*at)++] - '0');
    return number;
}

bool mention_next(struct slice text, size_t *at, struct mention *out)
{
    for (; *at < text.size; ++*at) {
        size_t begin = *at, end = begin + 1;
        bool begins = text.data[begin] == '@' && (begin == 0 || memchr(" \t\n(\"'`", text.data[begin - 1], 7));
        if (!begins)
            continue;
        while (end < text.size && is_of_name(text.data[end]))
            end++;
        size_t name_end = end;
        while (name_end > begin + 1 && memchr(".-", text.data[name_end - 1], 2))
            name_end--; /* the end of a sentence */
        if (name_end == begin + 1)
            continue;
        *out = (struct mention){.name = {text.data + begin + 1, name_end - begin - 1}};
        size_t after = name_end;
        if (name_end == end && end + 1 < text.size && text.data[end] == ':' && text.data[end + 1] >= '1' &&
            text.data[end + 1] <= '9') {
            after = end + 1;
            out->line = out->end_line = take_number(text, &after);
            if (after + 1 < text.size && text.data[after] == '-' && text.data[after + 1] >= '0' &&
                text.data[after + 1] <= '9') {
                after++;
                out->end_line = take_number(text, &after);
            }
        }
        out->whole = (struct slice){text.data + begin, after - begin};
        *at = after;
        return true;
    }
    return false;
}

/* ---- what they stand for ---- */

/* A fence that the text doesn't hold. */
static void add_block(struct buffer *out, const char *name, struct slice text)
{
    enum { LEAST = 3, MOST = 12 };
    char fence[MOST + 1] = "```";
    for (size_t n = LEAST; n < MOST && text.size && memmem(text.data, text.size, fence, n); n++)
        fence[n] = '`';
    buffer_printf(out, "%s%s:\n%s\n", out->size ? "\n" : "", name, fence);
    buffer_append(out, text.data, text.size);
    if (text.size && text.data[text.size - 1] != '\n')
        buffer_append_byte(out, '\n');
    buffer_printf(out, "%s\n", fence);
}

/* A plain file below the root, whatever links lie on the way; false where there is none, or no text in it. */
static bool read_file(const struct mention_request *request, const char *name, struct buffer *out)
{
    char resolved[PATH_MAX];
    const char *root = repo_root(request->project->repo);
    size_t n = strlen(root);
    struct buffer path = {0};
    buffer_printf(&path, "%s/%s", root, name);
    bool is_there = !path.failed && realpath(path.data, resolved) && strncmp(resolved, root, n) == 0 &&
                    (n == 1 || resolved[n] == '/');
    int fd = is_there ? open(resolved, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY | O_NOFOLLOW) : -1;
    bool is_read = fd >= 0 && input_read_all(fd, request->cancel, MENTION_FILE_MOST, out, NULL) == STATUS_OK &&
                   !(out->size && memchr(out->data, 0, out->size));
    if (fd >= 0)
        close(fd);
    buffer_deinit(&path);
    return is_read && !out->failed;
}

static struct slice lines_of(struct slice text, uint32_t first, uint32_t last)
{
    size_t begin = 0, at = 0;
    for (uint32_t line = 1; at < text.size; line++) {
        const char *newline = memchr(text.data + at, '\n', text.size - at);
        size_t end = newline ? (size_t)(newline - text.data) + 1 : text.size;
        if (line == first)
            begin = at;
        if (line == last || end == text.size) {
            bool is_there = line >= first && first <= last;
            return (struct slice){text.data + begin, is_there ? end - begin : 0};
        }
        at = end;
    }
    return (struct slice){text.data, 0};
}

static bool add_file(const struct mention_request *request, const struct mention *mention, const char *name,
                     struct buffer *out)
{
    struct buffer text = {0}, title = {0};
    bool is_read = read_file(request, name, &text);
    struct slice part = {buffer_text(&text), text.size};
    if (is_read && mention->line)
        part = lines_of(part, mention->line, mention->end_line);
    is_read = is_read && (part.size || !mention->line);
    if (mention->line)
        buffer_printf(&title, "%s:%u-%u", name, (unsigned)mention->line, (unsigned)mention->end_line);
    else
        buffer_append_text(&title, name);
    if (is_read && !title.failed)
        add_block(out, title.data, part);
    buffer_deinit(&text);
    buffer_deinit(&title);
    return is_read;
}

static bool add_definition(const struct mention_request *request, const char *name, struct buffer *out)
{
    struct index_definitions found;
    struct buffer text = {0}, title = {0}, path = {0};
    bool is_added = false;
    if (index_definitions(request->project->index, name, NULL, 1, &found, NULL) != STATUS_OK)
        return false;
    if (found.n) {
        const struct index_definition *each = &found.items[0];
        buffer_append(&path, each->path, each->path_size);
        is_added = read_file(request, buffer_text(&path), &text) && each->whole.begin < each->whole.end &&
                   each->whole.end <= text.size;
        buffer_printf(&title, "%s:%u-%u", buffer_text(&path), (unsigned)each->line, (unsigned)each->end_line);
        if (is_added && !title.failed)
            add_block(out, title.data, lines_of((struct slice){text.data, text.size}, each->line, each->end_line));
    }
    index_definitions_deinit(&found);
    buffer_deinit(&text);
    buffer_deinit(&title);
    buffer_deinit(&path);
    return is_added;
}

static bool add_diff(const struct mention_request *request, struct buffer *out)
{
    static const struct {
        enum diff_of of;
        const char *title;
    } parts[] = {{DIFF_STAGED, "staged changes"}, {DIFF_WORKTREE, "changes in the worktree"}};
    bool is_added = false;
    for (size_t i = 0; i < 2; i++) {
        struct diff_options options = {.of = parts[i].of, .context = 3, .cancel = request->cancel};
        struct diff *diff = NULL;
        struct buffer text = {0};
        if (diff_of_repo(request->project->repo, &options, &diff, NULL) != STATUS_OK)
            continue;
        diff_print(diff, &text);
        diff_free(diff);
        if (text.size && !text.failed && text.size <= MENTION_ALL_MOST) {
            add_block(out, parts[i].title, (struct slice){text.data, text.size});
            is_added = true;
        }
        buffer_deinit(&text);
    }
    return is_added;
}

static bool add_map(const struct mention_request *request, struct buffer *out)
{
    struct map *map = NULL;
    struct map_result result;
    struct map_request wanted = {.budget = MENTION_MAP_TOKENS, .count = request->count, .context = request->context};
    bool is_made = map_open(request->project->index, request->cancel, &map, NULL) == STATUS_OK &&
                   map_make(map, request->project->repo, &wanted, &result, NULL) == STATUS_OK;
    if (is_made) {
        if (result.text.size)
            add_block(out, "the repository's outline", (struct slice){result.text.data, result.text.size});
        is_made = result.text.size > 0;
        map_result_deinit(&result);
    }
    map_close(map);
    return is_made;
}

static bool is_before(const struct mention_request *request, const struct mention *mention)
{
    struct mention other;
    size_t at = 0;
    while (mention_next(request->question, &at, &other) && other.whole.data < mention->whole.data)
        if (other.whole.size == mention->whole.size &&
            memcmp(other.whole.data, mention->whole.data, other.whole.size) == 0)
            return true;
    return false;
}

enum status mention_expand(const struct mention_request *request, struct buffer *out, struct buffer *missing,
                           struct error *error)
{
    struct mention mention;
    for (size_t at = 0; mention_next(request->question, &at, &mention) && !out->failed;) {
        char name[1024];
        if (request->cancel && atomic_load(request->cancel))
            return error_set(error, STATUS_CANCELLED, "stopped");
        if (mention.name.size >= sizeof name || is_before(request, &mention))
            continue;
        memcpy(name, mention.name.data, mention.name.size);
        name[mention.name.size] = 0;
        bool is_full = out->size > MENTION_ALL_MOST;
        bool is_found = !is_full && request->project && request->project->repo &&
                        (strcmp(name, "diff") == 0  ? add_diff(request, out)
                         : strcmp(name, "map") == 0 ? add_map(request, out)
                                                    : add_file(request, &mention, name, out) ||
                                                          (!mention.line && add_definition(request, name, out)));
        if (!is_found)
            buffer_printf(missing, "@%s: %s\n", name,
                          is_full ? "there is too much already" : "it stands for nothing here");
    }
    return out->failed || missing->failed ? error_set(error, STATUS_MEMORY, "out of memory") : STATUS_OK;
}
