/* diff: a diff as repo/diff.h has it, printed, for scripts that judge it:
 *
 *     diff FOLDER staged|worktree       diff FOLDER commit REV       diff FOLDER range A B       diff parse < TEXT
 *
 * and with a word at the end: `plain` without renames; `list` a line for each file (status, counts, both names), and for each hunk (id, ranges). */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "repo/diff.h"

static void list(const struct diff *diff)
{
    for (size_t i = 0; i < diff->n_files; i++) {
        const struct diff_file *file = &diff->files[i];
        printf("%s +%u -%u%s%s %s -> %s\n", diff_status_name(file->status), file->n_added, file->n_deleted,
               file->is_binary ? " binary" : "", file->is_large ? " large" : "", file->old.path, file->new.path);
        for (uint32_t k = 0; k < file->n_hunks; k++) {
            const struct diff_hunk *hunk = &diff->hunks[file->first_hunk + k];
            printf("  %s -%u,%u +%u,%u %.*s\n", hunk->id, hunk->old_start, hunk->old_n, hunk->new_start, hunk->new_n,
                   (int)hunk->function.size, hunk->function.data);
        }
    }
}

static enum status of_repo(int argc, char **argv, struct diff **diff, struct error *error)
{
    struct repo *repo = NULL;
    struct diff_options options = {.context = 3, .no_renames = strcmp(argv[argc - 1], "plain") == 0};
    if (argc > 3 && strcmp(argv[2], "commit") == 0)
        options.of = DIFF_COMMIT, options.to = argv[3];
    else if (argc > 4 && strcmp(argv[2], "range") == 0)
        options.of = DIFF_RANGE, options.from = argv[3], options.to = argv[4];
    else
        options.of = strcmp(argv[2], "staged") == 0 ? DIFF_STAGED : DIFF_WORKTREE;
    enum status status = repo_open(argv[1], &repo, error);
    if (!status)
        status = diff_of_repo(repo, &options, diff, error);
    repo_free(repo);
    return status;
}

static enum status of_input(struct diff **diff, struct error *error)
{
    struct buffer text = {0};
    char piece[65536];
    for (size_t n; (n = fread(piece, 1, sizeof piece, stdin)) > 0;)
        buffer_append(&text, piece, n);
    enum status status = diff_parse(buffer_text(&text), text.size, diff, error);
    buffer_deinit(&text);
    return status;
}

int main(int argc, char **argv)
{
    struct diff *diff = NULL;
    struct error error = {0};
    if (argc < 2)
        return 2;
    enum status status =
        argc > 2 && strcmp(argv[1], "parse") != 0 ? of_repo(argc, argv, &diff, &error) : of_input(&diff, &error);
    if (status) {
        fprintf(stderr, "%s\n", error.text);
        return 3;
    }
    struct buffer out = {0};
    if (strcmp(argv[argc - 1], "list") == 0)
        list(diff);
    else
        diff_print(diff, &out);
    fwrite(buffer_text(&out), 1, out.size, stdout);
    buffer_deinit(&out);
    diff_free(diff);
    return 0;
}
