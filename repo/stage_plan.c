/* stage_plan: what an action on a selection would change, path by path, after a look whether all of it still is as the diff
 * shows it.  Nothing is written here but blobs, which nobody sees.
 *
 *               base                    result                       must hold
 *   add         the old side's blob     forward, to the index        entry = old side, worktree = new side
 *   remove      the new side's blob     in reverse, to the index     entry = new side, HEAD = old side
 *   discard     the worktree's text     in reverse, to the worktree  entry = old side, worktree = new side */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "repo/stage_internal.h"

/* One path of the selection.  Where a file becomes a link or the like, the diff has two files; they go together. */
struct item {
    size_t file; /* whose hunks there are */
    const struct diff_file *of;
    const struct diff_side *old, *new; /* mode 0: it isn't there */
    const char *path;
    enum diff_status status;
    bool is_pair, is_all, has_lines, has_mode;
};

struct plan {
    struct repo *repo;
    struct stage_index *index;
    enum stage_action action;
    const struct selection *selection;
    struct selection *all; /* everything of that diff */
    struct journal_record *record;
    bool has_modes;
    struct error *error;
    uint64_t n_kept;                     /* bytes of files that the journal gets */
    struct buffer base, text, raw, work; /* contents of the file at hand */
};

enum { MOST_KEPT = 512 << 20 };

static const struct diff_side nothing = {.path = ""};

static struct slice slice_of(const struct buffer *buffer)
{
    return (struct slice){buffer_text(buffer), buffer->size};
}

static enum status stale(const struct plan *plan, const char *path)
{
    return error_set(plan->error, STATUS_FORMAT,
                     "%.150s has changed since this diff was made (nothing was changed; look again)", path);
}

struct journal_change *stage_add_change(struct journal_record *record, const char *path, struct error *error)
{
    struct journal_change *grown = reallocarray(record->changes, record->n + 1, sizeof *grown);
    if (!grown) {
        error_set(error, STATUS_MEMORY, "out of memory");
        return NULL;
    }
    record->changes = grown;
    struct journal_change *change = &grown[record->n++];
    memset(change, 0, sizeof *change);
    change->path = path;
    return change;
}

/* ---- looking ---- */

static bool is_link(uint32_t mode)
{
    return S_ISLNK(mode);
}

static bool is_submodule(uint32_t mode)
{
    return (mode & S_IFMT) == 0160000;
}

/* The index's entry, where it is what the side says. */
static enum status expect_entry(struct plan *plan, const char *path, const struct diff_side *side,
                                struct journal_entry *now)
{
    bool is_unmerged;
    stage_index_find(plan->index, path, now, &is_unmerged);
    if (is_unmerged)
        return error_set(plan->error, STATUS_UNSUPPORTED, "%.150s is in conflict: resolve it and git add it", path);
    bool is_there = now->mode && !now->is_intent, is_meant = side->mode != 0;
    if (is_there != is_meant ||
        (is_there && (now->mode != side->mode || (side->has_id && !stage_same_id(&now->id, &side->id)))))
        return stale(plan, path);
    return STATUS_OK;
}

static enum status expect_head(struct plan *plan, const char *path, const struct diff_side *side)
{
    struct journal_entry head;
    enum status status = stage_head_find(plan->repo, path, &head, plan->error);
    if (status)
        return status;
    /* Trees of old have modes such as 0100664. */
    bool is_mode = (head.mode & S_IFMT) == (side->mode & S_IFMT) && !((head.mode ^ side->mode) & S_IXUSR);
    bool is_same = is_mode && (!side->mode || stage_same_id(&head.id, &side->id));
    return is_same ? STATUS_OK : stale(plan, path);
}

static uint32_t git_mode(const struct plan *plan, const struct item *item, const struct journal_file *found)
{
    if (S_ISLNK(found->mode))
        return 0120000;
    if (!S_ISREG(found->mode))
        return 0;
    if (!plan->has_modes)
        return S_ISREG(item->old->mode) ? item->old->mode : 0100644;
    return found->mode & S_IXUSR ? 0100755 : 0100644;
}

/* The worktree's file, where it is what the diff shows; its bytes to plan->raw, and as git stores them to plan->work. */
static enum status expect_worktree(struct plan *plan, const struct item *item, struct journal_file *found)
{
    struct stat about = {0};
    buffer_clear(&plan->raw);
    buffer_clear(&plan->work);
    if (is_submodule(item->new->mode)) {
        struct repo_id head;
        *found = (struct journal_file){0};
        return repo_submodule_head(plan->repo, item->path, &head) && stage_same_id(&head, &item->new->id)
                   ? STATUS_OK
                   : stale(plan, item->path);
    }
    enum status status = stage_file_read(plan->repo, item->path, found, &plan->raw, &about, plan->error);
    if (status)
        return status;
    if (git_mode(plan, item, found) != item->new->mode)
        return stale(plan, item->path);
    if (!S_ISREG(found->mode)) {
        buffer_append(&plan->work, buffer_text(&plan->raw), plan->raw.size);
        status = buffer_status(&plan->work, plan->error);
    } else {
        status = stage_check_filters(plan->repo, item->path, plan->error);
        if (!status)
            status = stage_to_git(plan->repo, item->path, slice_of(&plan->raw), &plan->work, plan->error);
    }
    if (status || !found->mode || plan->selection->is_edited)
        return status;
    if (item->of->is_binary || item->of->is_large) {
        struct repo_stamp stamp = repo_stamp_of(&about);
        const struct repo_stamp *seen = &item->new->stamp;
        bool is_seen = seen->size == stamp.size && seen->inode == stamp.inode && seen->mtime_ns == stamp.mtime_ns &&
                       seen->ctime_ns == stamp.ctime_ns;
        return is_seen ? STATUS_OK : stale(plan, item->path);
    }
    struct slice base = item->is_pair ? (struct slice){"", 0} : slice_of(&plan->base);
    status = selection_apply(plan->all, item->file, false, base, &plan->text, plan->error);
    if (status)
        return status;
    bool is_same = plan->text.size == plan->work.size &&
                   memcmp(buffer_text(&plan->text), buffer_text(&plan->work), plan->text.size) == 0;
    return is_same ? STATUS_OK : stale(plan, item->path);
}

/* The blob of a side to plan->base, where lines are to be compared with it. */
static enum status read_base(struct plan *plan, const struct item *item, const struct diff_side *side)
{
    buffer_clear(&plan->base);
    if (!side->mode || is_submodule(side->mode) || item->is_pair || item->of->is_binary || item->of->is_large)
        return STATUS_OK;
    if (!side->has_id)
        return stale(plan, item->path);
    return stage_blob_read(plan->repo, &side->id, item->path, &plan->base, plan->error);
}

/* ---- the index ---- */

/* What the journal has to keep of the entry that goes: its blob, unless a commit has it. */
static enum status keep_blob(struct plan *plan, struct journal_change *change)
{
    const struct journal_entry *entry = &change->entry_before;
    struct journal_entry head;
    if (!entry->mode || entry->is_intent || is_submodule(entry->mode) ||
        stage_same_id(&entry->id, &change->entry_after.id))
        return STATUS_OK;
    enum status status = stage_head_find(plan->repo, change->path, &head, plan->error);
    if (!status && !(head.mode && stage_same_id(&head.id, &entry->id))) {
        change->keeps_blob = true;
        status = stage_blob_read(plan->repo, &entry->id, change->path, &change->blob_before, plan->error);
    }
    return status;
}

static enum status change_entry(struct plan *plan, const char *path, const struct journal_entry *now,
                                const struct journal_entry *after)
{
    if (now->mode == after->mode && now->is_intent == after->is_intent && stage_same_id(&now->id, &after->id))
        return STATUS_OK;
    struct journal_change *change = stage_add_change(plan->record, path, plan->error);
    if (!change)
        return plan->error->status;
    change->has_entry = true;
    change->entry_before = *now;
    change->entry_after = *after;
    return keep_blob(plan, change);
}

static struct journal_entry entry_of(const struct diff_side *side)
{
    return (struct journal_entry){.mode = side->mode, .id = side->id};
}

static enum status plan_add(struct plan *plan, const struct item *item)
{
    struct journal_entry now, after = {0};
    struct journal_file found;
    enum status status = expect_entry(plan, item->path, item->old, &now);
    if (!status)
        status = read_base(plan, item, item->old);
    if (!status)
        status = expect_worktree(plan, item, &found);
    if (status)
        return status;
    if (item->is_all && !item->new->mode)
        return change_entry(plan, item->path, &now, &after);
    bool takes_mode = item->has_mode || item->is_pair || !item->old->mode;
    after.mode = takes_mode ? item->new->mode : item->old->mode;
    after.id = item->old->id;
    if (is_submodule(item->new->mode)) {
        after.id = item->new->id;
    } else if (item->is_pair || item->of->is_binary || item->of->is_large) {
        if (item->is_all)
            status = stage_blob_write(plan->repo, slice_of(&plan->work), &after.id, plan->error);
    } else {
        status = selection_apply(plan->selection, item->file, false, slice_of(&plan->base), &plan->text, plan->error);
        if (!status)
            status = stage_blob_write(plan->repo, slice_of(&plan->text), &after.id, plan->error);
    }
    return status ? status : change_entry(plan, item->path, &now, &after);
}

/* The file that was renamed away comes back. */
static enum status bring_source(struct plan *plan, const struct diff_side *old)
{
    struct journal_entry now, source = entry_of(old);
    enum status status = expect_entry(plan, old->path, &nothing, &now);
    if (!status)
        status = expect_head(plan, old->path, old);
    return status ? status : change_entry(plan, old->path, &now, &source);
}

static enum status plan_remove(struct plan *plan, const struct item *item)
{
    struct journal_entry now, after = {0};
    const struct diff_side *old = item->old;
    bool has_name = item->status == DIFF_RENAMED || item->status == DIFF_COPIED;
    enum status status = expect_entry(plan, item->path, item->new, &now);
    if (!status)
        status = expect_head(plan, *old->path ? old->path : item->path, old);
    if (status)
        return status;
    if (item->is_all && has_name) {
        status = change_entry(plan, item->path, &now, &after);
        if (status || item->status == DIFF_COPIED)
            return status;
        return bring_source(plan, old);
    }
    if (item->is_all && !plan->selection->is_edited) {
        after = entry_of(old);
        status = change_entry(plan, item->path, &now, &after);
        bool is_moved = item->is_pair && item->of->status == DIFF_RENAMED; /* and its old name was another's */
        return status || !is_moved ? status : bring_source(plan, &item->of->old);
    }
    status = read_base(plan, item, item->new);
    after.mode = item->has_mode || !item->new->mode ? old->mode : item->new->mode;
    after.id = item->new->id;
    if (!status && item->has_lines) {
        status = selection_apply(plan->selection, item->file, true, slice_of(&plan->base), &plan->text, plan->error);
        if (!status)
            status = stage_blob_write(plan->repo, slice_of(&plan->text), &after.id, plan->error);
        if (!status && plan->selection->is_edited && item->is_all && !old->mode && !plan->text.size)
            after = (struct journal_entry){0};
    }
    return status ? status : change_entry(plan, item->path, &now, &after);
}

/* ---- the worktree ---- */

static enum status mixed(const struct plan *plan, const char *path)
{
    return error_set(plan->error, STATUS_UNSUPPORTED,
                     "%.120s: its line ends are mixed, and what is left of it couldn't keep them as they are", path);
}

/* What git stores (plan->text), as it has to lie in the worktree, to out.  What is kept of a file keeps its bytes. */
static enum status to_worktree(struct plan *plan, const struct item *item, bool is_kept, struct buffer *out)
{
    struct repo *repo = plan->repo;
    struct buffer again = {0};
    enum status status = STATUS_OK;
    bool is_plain = is_kept && plan->raw.size == plan->work.size &&
                    memcmp(buffer_text(&plan->raw), buffer_text(&plan->work), plan->raw.size) == 0;
    if (is_kept && !is_plain) {
        status = stage_to_worktree(repo, item->path, slice_of(&plan->work), &again, plan->error);
        if (!status &&
            (again.size != plan->raw.size || memcmp(buffer_text(&again), buffer_text(&plan->raw), again.size) != 0))
            status = mixed(plan, item->path);
    }
    if (!status && is_plain) {
        buffer_clear(out);
        buffer_append(out, buffer_text(&plan->text), plan->text.size);
        status = buffer_status(out, plan->error);
    } else if (!status) {
        status = stage_to_worktree(repo, item->path, slice_of(&plan->text), out, plan->error);
    }
    if (!status)
        status = stage_to_git(repo, item->path, slice_of(out), &again, plan->error);
    if (!status &&
        (again.size != plan->text.size || memcmp(buffer_text(&again), buffer_text(&plan->text), again.size) != 0))
        status = mixed(plan, item->path);
    buffer_deinit(&again);
    return status;
}

/* The permissions of a file that gets git's mode; without S_IRUSR: those that a new one has. */
static uint32_t file_mode(uint32_t mode, uint32_t found)
{
    if (is_link(mode))
        return S_IFLNK | 0777;
    if (!S_ISREG(found))
        return S_IFREG | (mode & S_IXUSR);
    if (mode & S_IXUSR)
        return found | (found & 0444) >> 2;
    return found & ~0111u;
}

/* The worktree's file as the index has it. */
static enum status restore(struct plan *plan, const struct item *item, struct buffer *out)
{
    enum status status = stage_blob_read(plan->repo, &item->old->id, item->path, &plan->text, plan->error);
    if (!status && is_link(item->old->mode)) {
        buffer_append(out, buffer_text(&plan->text), plan->text.size);
        return buffer_status(out, plan->error);
    }
    if (!status)
        status = stage_check_filters(plan->repo, item->path, plan->error);
    return status ? status : to_worktree(plan, item, false, out);
}

static enum status discard_content(struct plan *plan, const struct item *item, const struct journal_file *found,
                                   struct journal_change *change)
{
    enum status status;
    bool takes_mode = item->has_mode || item->is_pair || !found->mode;
    change->file_after.mode = takes_mode ? file_mode(item->old->mode, found->mode) : found->mode;
    if (item->is_all && !plan->selection->is_edited)
        return restore(plan, item, &change->bytes_after);
    if (!item->has_lines) {
        buffer_append(&change->bytes_after, buffer_text(&plan->raw), plan->raw.size);
        return buffer_status(&change->bytes_after, plan->error);
    }
    status = stage_check_filters(plan->repo, item->path, plan->error);
    if (!status)
        status = selection_apply(plan->selection, item->file, true, slice_of(&plan->work), &plan->text, plan->error);
    return status ? status : to_worktree(plan, item, found->mode != 0, &change->bytes_after);
}

static enum status plan_discard(struct plan *plan, const struct item *item)
{
    struct journal_entry now;
    struct journal_file found;
    if (is_submodule(item->old->mode) || is_submodule(item->new->mode))
        return error_set(plan->error, STATUS_UNSUPPORTED,
                         "%.150s is a submodule: its worktree is another repository's (git submodule update)",
                         item->path);
    enum status status = expect_entry(plan, item->path, item->old, &now);
    if (!status)
        status = read_base(plan, item, item->old);
    if (!status)
        status = expect_worktree(plan, item, &found);
    struct journal_change *change = status ? NULL : stage_add_change(plan->record, item->path, plan->error);
    if (!change)
        return status ? status : plan->error->status;
    change->has_file = true;
    change->file_before = found;
    plan->n_kept += plan->raw.size;
    if (plan->n_kept > MOST_KEPT)
        return error_set(plan->error, STATUS_RANGE, "more than %d MiB at once can't be kept for taking back",
                         MOST_KEPT >> 20);
    buffer_append(&change->bytes_before, buffer_text(&plan->raw), plan->raw.size);
    bool goes = item->is_all && !item->old->mode;
    if (!goes)
        status = discard_content(plan, item, &found, change);
    if (!status && !goes)
        status = stage_hash(slice_of(&change->bytes_after), &change->file_after.id, plan->error);
    if (!status)
        status = buffer_status(&change->bytes_before, plan->error);
    if (goes && now.is_intent) { /* without its file it means nothing */
        change->has_entry = true;
        change->entry_before = now;
    }
    return status;
}

/* ---- all of it ---- */

static bool is_indivisible(const struct item *item)
{
    return item->is_pair || item->of->is_binary || item->of->is_large || item->of->is_submodule ||
           is_link(item->old->mode) || is_link(item->new->mode) || is_submodule(item->old->mode) ||
           is_submodule(item->new->mode);
}

static enum status plan_item(struct plan *plan, const struct item *item)
{
    bool is_mode_alone = item->has_mode && !item->has_lines && !item->is_pair;
    if (!repo_is_safe_path(item->path, strlen(item->path)))
        return error_set(plan->error, STATUS_UNSUPPORTED,
                         "%.150s: it belongs to git, or is no path within the repository", item->path);
    if (item->status == DIFF_UNMERGED)
        return error_set(plan->error, STATUS_UNSUPPORTED, "%.150s is in conflict: resolve it and git add it",
                         item->path);
    if (!item->is_all && !is_mode_alone && is_indivisible(item))
        return error_set(plan->error, STATUS_ARGUMENT, "%.150s can only be taken as a whole (%s)", item->path,
                         item->is_pair                                          ? "it becomes another kind of file"
                         : item->of->is_binary                                  ? "it is binary"
                         : item->of->is_large                                   ? "it is too large to compare its lines"
                         : is_link(item->old->mode) || is_link(item->new->mode) ? "a symbolic link"
                                                                                : "a submodule");
    switch (plan->action) {
    case STAGE_ADD:
        return plan_add(plan, item);
    case STAGE_REMOVE:
        return plan_remove(plan, item);
    default:
        return plan_discard(plan, item);
    }
}

static bool has_marked_lines(const struct selection *selection, const struct diff_file *file)
{
    for (size_t i = 0; i < file->n_hunks; i++)
        if (selection_of_hunk(selection, file->first_hunk + i) != SELECTION_NONE)
            return true;
    return false;
}

/* The item that begins with a file; how many files it takes.  *is_chosen: something of it is selected. */
static size_t take_item(const struct selection *selection, size_t i, struct item *item, bool *is_chosen)
{
    const struct diff *diff = selection->diff;
    const struct diff_file *file = &diff->files[i], *next = i + 1 < diff->n_files ? file + 1 : NULL;
    enum selection_extent extent = selection_of_file(selection, i);
    bool is_pair = next && file->status == DIFF_DELETED && next->status != DIFF_DELETED &&
                   strcmp(file->old.path, next->new.path) == 0;
    if (is_pair) {
        enum selection_extent other = selection_of_file(selection, i + 1);
        *item = (struct item){.file = i + 1,
                              .of = next,
                              .old = &file->old,
                              .new = &next->new,
                              .path = next->new.path,
                              .status = DIFF_MODIFIED,
                              .is_pair = true};
        item->is_all = extent != SELECTION_PART && other != SELECTION_PART;
        *is_chosen = extent != SELECTION_NONE || other != SELECTION_NONE;
        return 2;
    }
    *item = (struct item){.file = i,
                          .of = file,
                          .old = *file->old.path ? &file->old : &nothing,
                          .new = *file->new.path ? &file->new : &nothing,
                          .path = diff_path(file),
                          .status = file->status,
                          .is_all = extent == SELECTION_ALL,
                          .has_lines = has_marked_lines(selection, file)};
    item->has_mode =
        (selection->files[i] & (SELECTION_MODE | SELECTION_WHOLE)) != 0 && item->old->mode != item->new->mode;
    *is_chosen = extent != SELECTION_NONE;
    return 1;
}

static const char *verb_of(enum stage_action action)
{
    return action == STAGE_ADD ? "stage" : action == STAGE_REMOVE ? "unstage" : "discard";
}

static void describe(struct plan *plan, const struct item *item, size_t n)
{
    struct journal_record *record = plan->record;
    if (n > 1)
        snprintf(record->what, sizeof record->what, "%s of %zu files", verb_of(plan->action), n);
    else
        snprintf(record->what, sizeof record->what, "%s%s of %.90s", verb_of(plan->action),
                 item->is_all ? "" : " a part", item->path);
    for (char *c = record->what; *c; c++)
        if ((unsigned char)*c < 0x20 || *c == 0x7f)
            *c = '?';
}

static enum status select_all(struct plan *plan)
{
    enum status status = selection_new(plan->selection->diff, &plan->all, plan->error);
    for (size_t i = 0; !status && i < plan->selection->diff->n_files; i++)
        selection_mark_file(plan->all, i, true);
    return status;
}

enum status stage_plan(struct repo *repo, struct stage_index *index, enum stage_action action,
                       const struct selection *selection, struct journal_record *record, struct error *error)
{
    struct plan plan = {.repo = repo,
                        .index = index,
                        .action = action,
                        .selection = selection,
                        .record = record,
                        .has_modes = repo_has_modes(repo),
                        .error = error};
    struct item item;
    size_t n = 0;
    enum status status = select_all(&plan);
    for (size_t i = 0; !status && i < selection->diff->n_files;) {
        bool is_chosen;
        i += take_item(selection, i, &item, &is_chosen);
        if (!is_chosen)
            continue;
        status = plan_item(&plan, &item);
        if (++n == 1)
            describe(&plan, &item, 1);
    }
    if (!status && !record->n)
        status = error_set(error, STATUS_ARGUMENT, "nothing is selected");
    if (!status && n > 1)
        describe(&plan, &item, n);
    selection_free(plan.all);
    buffer_deinit(&plan.base);
    buffer_deinit(&plan.text);
    buffer_deinit(&plan.raw);
    buffer_deinit(&plan.work);
    return status;
}
