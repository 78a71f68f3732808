/* stage: repo/stage.h for scripts that judge it:
 *
 *     stage FOLDER STATE < COMMANDS
 *
 * A command a line, an answer a line ("ok ..." or "no STATUS TEXT").  Bytes are given and taken as hexadecimal digits.
 *
 *     diff staged|worktree [CONTEXT]     takes the diff; the answer lists it in JSON; nothing is marked
 *     all, clear, file N, mode N, hunk N, lines HUNK FIRST N, range FILE FIRST LAST      mark
 *     print FILE [reverse]               the patch of what is marked
 *     hunk-text HUNK [reverse]           as it goes to an editor
 *     edit HUNK forward|reverse TEXT     what came back: it is the diff now, and marked
 *     add, remove, discard, undo, intend PATH, count, limit BYTES
 *     commit FLAGS TEXT                  app/commit.h; flags: a amend, s sign off, n no verify, e empty, fID fixup, - none
 *     find-fixup                         the commit that the diff mends
 *     blame FIRST LAST PATH */
#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "app/commit.h"
#include "repo/blame.h"
#include "repo/stage.h"

struct tool {
    struct repo *repo;
    const char *folder;
    struct journal *journal;
    struct diff *diff, *edited;
    struct selection *selection;
    struct error error;
};

static void print_hex(const char *bytes, size_t size)
{
    for (size_t i = 0; i < size; i++)
        printf("%02x", (unsigned char)bytes[i]);
}

static void unhex(const char *text, struct buffer *out)
{
    unsigned value;
    buffer_append(out, "", 0);
    for (; sscanf(text, "%2x", &value) == 1 && strlen(text) >= 2; text += 2)
        buffer_append_byte(out, (char)(unsigned char)value);
}

static void no(const struct tool *tool)
{
    printf("no %d %s\n", (int)tool->error.status, tool->error.text);
}

static void print_file(const struct diff *diff, size_t i)
{
    const struct diff_file *file = &diff->files[i];
    printf("%s{\"status\":\"%s\",\"old\":\"", i ? "," : "", diff_status_name(file->status));
    print_hex(file->old.path, file->old.path_size);
    printf("\",\"new\":\"");
    print_hex(file->new.path, file->new.path_size);
    printf("\",\"old_mode\":%u,\"new_mode\":%u,\"whole\":%s,\"hunks\":[", file->old.mode, file->new.mode,
           file->is_binary || file->is_large || file->is_submodule ? "true" : "false");
    for (size_t k = 0; k < file->n_hunks; k++) {
        const struct diff_hunk *hunk = &diff->hunks[file->first_hunk + k];
        printf("%s{\"index\":%zu,\"old\":[%u,%u],\"new\":[%u,%u],\"lines\":[", k ? "," : "", file->first_hunk + k,
               hunk->old_start, hunk->old_n, hunk->new_start, hunk->new_n);
        for (size_t l = 0; l < hunk->n_lines; l++) {
            const struct diff_line *line = &diff->lines[hunk->first_line + l];
            printf("%s[\"%c\",\"", l ? "," : "", (char)line->kind);
            print_hex(line->text.data, line->text.size);
            printf("\"]");
        }
        printf("]}");
    }
    printf("]}");
}

static void drop_diff(struct tool *tool)
{
    selection_free(tool->selection);
    diff_free(tool->diff);
    diff_free(tool->edited);
    tool->selection = NULL;
    tool->diff = tool->edited = NULL;
}

static void take_diff(struct tool *tool, const char *what, uint32_t context)
{
    struct diff_options options = {.context = context, .of = strcmp(what, "staged") == 0 ? DIFF_STAGED : DIFF_WORKTREE};
    drop_diff(tool);
    if (diff_of_repo(tool->repo, &options, &tool->diff, &tool->error) ||
        selection_new(tool->diff, &tool->selection, &tool->error)) {
        no(tool);
        return;
    }
    printf("ok [");
    for (size_t i = 0; i < tool->diff->n_files; i++)
        print_file(tool->diff, i);
    printf("]\n");
}

static void mark(struct tool *tool, const char *word, unsigned a, unsigned b, unsigned c)
{
    struct selection *selection = tool->selection;
    if (strcmp(word, "all") == 0)
        for (size_t i = 0; i < selection->diff->n_files; i++)
            selection_mark_file(selection, i, true);
    else if (strcmp(word, "clear") == 0)
        selection_clear(selection);
    else if (strcmp(word, "file") == 0)
        selection_mark_file(selection, a, true);
    else if (strcmp(word, "mode") == 0)
        selection_mark_mode(selection, a, true);
    else if (strcmp(word, "hunk") == 0)
        selection_mark_hunk(selection, a, true);
    else if (strcmp(word, "lines") == 0)
        selection_mark_lines(selection, a, b, c, true);
    else if (strcmp(word, "range") == 0)
        (void)selection_mark_range(selection, a, b, c, true);
    else {
        printf("no 1 what is %s?\n", word);
        return;
    }
    printf("ok\n");
}

static void act(struct tool *tool, const char *word)
{
    struct stage_report report = {0};
    enum status status = strcmp(word, "undo") == 0 ? stage_undo(tool->repo, tool->journal, &report, &tool->error)
                                                   : stage_run(tool->repo, tool->journal,
                                                               strcmp(word, "add") == 0      ? STAGE_ADD
                                                               : strcmp(word, "remove") == 0 ? STAGE_REMOVE
                                                                                             : STAGE_DISCARD,
                                                               tool->selection, &report, &tool->error);
    if (status)
        no(tool);
    else
        printf("ok %zu %zu %s\n", report.n_files, report.n_dropped, report.what);
}

static void edit(struct tool *tool, unsigned hunk, bool reverse, const char *hex)
{
    struct buffer text = {0};
    struct diff *edited = NULL;
    struct selection *selection = NULL;
    unhex(hex, &text);
    if (selection_edit_hunk(tool->diff, hunk, reverse, buffer_text(&text), text.size, &edited, &selection,
                            &tool->error)) {
        no(tool);
    } else {
        selection_free(tool->selection);
        diff_free(tool->edited);
        tool->edited = edited;
        tool->selection = selection;
        printf("ok [");
        print_file(edited, 0);
        printf("]\n");
    }
    buffer_deinit(&text);
}

static void print_text(struct tool *tool, const char *word, unsigned n, bool reverse)
{
    struct buffer out = {0};
    if (strcmp(word, "print") == 0)
        selection_print(tool->selection, n, reverse, &out);
    else
        selection_print_hunk(tool->diff, n, reverse, &out);
    printf("ok ");
    print_hex(buffer_text(&out), out.size);
    printf("\n");
    buffer_deinit(&out);
}

static void intend(struct tool *tool, const char *hex)
{
    struct buffer path = {0};
    unhex(hex, &path);
    if (stage_intend(tool->repo, tool->journal, buffer_text(&path), NULL, &tool->error))
        no(tool);
    else
        printf("ok\n");
    buffer_deinit(&path);
}

static void commit(struct tool *tool, const char *flags, const char *hex)
{
    struct buffer text = {0};
    struct commit_result result;
    unhex(hex, &text);
    const char *fixup = strchr(flags, 'f');
    struct commit_request request = {.message = {buffer_text(&text), text.size},
                                     .amend = *flags == 'a',
                                     .sign_off = *flags == 's',
                                     .no_verify = *flags == 'n',
                                     .allow_empty = *flags == 'e',
                                     .fixup = fixup ? fixup + 1 : NULL};
    if (commit_run(tool->repo, &request, NULL, &result, &tool->error)) {
        no(tool);
    } else {
        printf("ok %d %s %s ", result.exit_status, *result.id ? result.id : "-",
               *result.message_path ? result.message_path : "-");
        print_hex(buffer_text(&result.output), result.output.size);
        printf("\n");
    }
    commit_result_deinit(&result);
    buffer_deinit(&text);
}

static void find_fixup(struct tool *tool)
{
    char id[41];
    if (commit_find_fixup(tool->repo, tool->diff, id, &tool->error))
        no(tool);
    else
        printf("ok %s\n", id);
}

static void blame(struct tool *tool, unsigned first, unsigned last, const char *path)
{
    struct blame_line lines[64];
    if (last - first >= 64 || blame_lines(tool->repo, path, first, last, lines, &tool->error)) {
        no(tool);
        return;
    }
    printf("ok");
    for (unsigned i = 0; i <= last - first; i++)
        printf(" %s:%u", lines[i].id, lines[i].line);
    printf("\n");
}

static void obey(struct tool *tool, char *line)
{
    char word[16] = "", second[32] = "", way[16] = "";
    unsigned a = 0, b = 0, c = 0;
    int at = 0;
    char flags[64];
    line[strcspn(line, "\n")] = 0;
    (void)sscanf(line, "%15s %31s", word, second);
    (void)sscanf(line, "%*s %u %u %u", &a, &b, &c);
    if (strcmp(word, "diff") == 0)
        take_diff(tool, second, sscanf(line, "%*s %*s %u", &a) == 1 ? a : 3);
    else if (strcmp(word, "add") == 0 || strcmp(word, "remove") == 0 || strcmp(word, "discard") == 0 ||
             strcmp(word, "undo") == 0)
        act(tool, word);
    else if (strcmp(word, "print") == 0 || strcmp(word, "hunk-text") == 0)
        print_text(tool, word, a, strstr(line, "reverse") != NULL);
    else if (strcmp(word, "edit") == 0 && sscanf(line, "%*s %u %15s %n", &a, way, &at) == 2)
        edit(tool, a, strcmp(way, "reverse") == 0, line + at);
    else if (strcmp(word, "intend") == 0)
        intend(tool, line + strlen("intend "));
    else if (strcmp(word, "commit") == 0 && sscanf(line, "%*s %63s %n", flags, &at) == 1)
        commit(tool, flags, line + at);
    else if (strcmp(word, "find-fixup") == 0)
        find_fixup(tool);
    else if (strcmp(word, "blame") == 0 && sscanf(line, "%*s %u %u %n", &a, &b, &at) == 2)
        blame(tool, a, b, line + at);
    else if (strcmp(word, "count") == 0)
        printf("ok %zu\n", journal_count(tool->journal));
    else if (strcmp(word, "limit") == 0) {
        journal_close(tool->journal);
        tool->journal = NULL;
        if (journal_open(tool->folder, tool->repo, strtoull(second, NULL, 10), &tool->journal, &tool->error))
            no(tool);
        else
            printf("ok\n");
    } else {
        mark(tool, word, a, b, c);
    }
}

int main(int argc, char **argv)
{
    struct tool tool = {0};
    char *line = NULL;
    size_t room = 0;
    if (argc != 3)
        return 2;
    signal(SIGXFSZ, SIG_IGN);
    tool.folder = argv[2];
    if (repo_open(argv[1], &tool.repo, &tool.error) ||
        journal_open(argv[2], tool.repo, 0, &tool.journal, &tool.error)) {
        fprintf(stderr, "%s\n", tool.error.text);
        repo_free(tool.repo);
        return 3;
    }
    while (getline(&line, &room, stdin) > 0) {
        tool.error = (struct error){0};
        obey(&tool, line);
        fflush(stdout);
    }
    free(line);
    drop_diff(&tool);
    journal_close(tool.journal);
    repo_free(tool.repo);
    return 0;
}
