/* stage: see stage.h.  A plan, or a record of the journal backwards, carried out: all of it or nothing. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "repo/stage_internal.h"

/* ---- carrying out ---- */

struct work {
    struct repo *repo;
    struct journal_record *record;
    bool is_back; /* from after to before */
    struct stage_index *index;
    struct stage_swap **swaps; /* one for each change; NULL: none is needed */
    bool has_entries, is_new;  /* an entry changes; something does */
    bool is_partial;           /* it failed, and not all of it could be taken back */
    struct error *error;
};

static bool same_entry(const struct journal_entry *a, const struct journal_entry *b)
{
    return a->mode == b->mode && (!a->mode || (a->is_intent == b->is_intent && stage_same_id(&a->id, &b->id)));
}

static enum status has_changed(const struct work *work, const char *path)
{
    return error_set(work->error, STATUS_FORMAT, "%.150s has changed since: nothing was changed (%s)", path,
                     work->is_back ? "it can't be taken back" : "look again");
}

/* git may have thrown the blob away that an entry gets back. */
static enum status bring_blob(const struct work *work, const struct journal_change *change)
{
    struct repo_id id;
    git_oid oid;
    const struct journal_entry *to = &change->entry_before;
    if (!work->is_back || !to->mode || (to->mode & S_IFMT) == 0160000 || to->is_intent)
        return STATUS_OK;
    memcpy(oid.id, to->id.bytes, sizeof oid.id);
    if (git_odb_exists(work->repo->odb, &oid))
        return STATUS_OK;
    struct slice bytes = {buffer_text(&change->blob_before), change->blob_before.size};
    enum status status = change->keeps_blob ? stage_blob_write(work->repo, bytes, &id, work->error) : STATUS_OK;
    if (!status && (!change->keeps_blob || !stage_same_id(&id, &to->id)))
        return error_set(work->error, STATUS_NOT_FOUND, "%.150s: git has thrown its staged content away", change->path);
    return status;
}

static enum status prepare_entry(struct work *work, const struct journal_change *change)
{
    struct journal_entry now;
    bool is_unmerged;
    const struct journal_entry *from = work->is_back ? &change->entry_after : &change->entry_before;
    const struct journal_entry *to = work->is_back ? &change->entry_before : &change->entry_after;
    stage_index_find(work->index, change->path, &now, &is_unmerged);
    if (same_entry(&now, to) && !is_unmerged)
        return STATUS_OK;
    if (is_unmerged || !same_entry(&now, from))
        return has_changed(work, change->path);
    work->has_entries = work->is_new = true;
    return bring_blob(work, change);
}

static enum status prepare_file(struct work *work, const struct journal_change *change, struct stage_swap **swap)
{
    struct journal_file now;
    const struct journal_file *from = work->is_back ? &change->file_after : &change->file_before;
    const struct journal_file *to = work->is_back ? &change->file_before : &change->file_after;
    const struct buffer *bytes = work->is_back ? &change->bytes_before : &change->bytes_after;
    enum status status = stage_file_read(work->repo, change->path, &now, NULL, NULL, work->error);
    if (status || stage_file_equals(&now, to))
        return status;
    if (!stage_file_equals(&now, from))
        return has_changed(work, change->path);
    work->is_new = true;
    return stage_swap_prepare(work->repo, change->path, from, to, (struct slice){buffer_text(bytes), bytes->size}, swap,
                              work->error);
}

/* Looks at everything and prepares it.  Nothing is to be seen of it. */
static enum status prepare(struct work *work)
{
    enum status status = STATUS_OK;
    work->swaps = calloc(work->record->n + 1, sizeof(struct stage_swap *));
    if (!work->swaps)
        return error_set(work->error, STATUS_MEMORY, "out of memory");
    for (size_t i = 0; !status && i < work->record->n; i++) {
        const struct journal_change *change = &work->record->changes[i];
        if (change->has_entry)
            status = prepare_entry(work, change);
        if (!status && change->has_file)
            status = prepare_file(work, change, &work->swaps[i]);
    }
    /* What goes makes room for what comes. */
    for (int comes = 0; comes < 2; comes++)
        for (size_t i = 0; !status && i < work->record->n; i++) {
            const struct journal_change *change = &work->record->changes[i];
            const struct journal_entry *to = work->is_back ? &change->entry_before : &change->entry_after;
            if (change->has_entry && (to->mode != 0) == (comes != 0))
                status = stage_index_set(work->index, change->path, to, work->error);
        }
    return status;
}

/* Makes the changes.  Where one fails, those before it are taken back, as far as the file system lets us. */
static enum status carry_out(struct work *work)
{
    size_t n = 0;
    enum status status = work->has_entries ? stage_index_lock(work->index, work->error) : STATUS_OK;
    for (; !status && n < work->record->n; n++)
        if (work->swaps[n])
            status = stage_swap_make(work->swaps[n], work->error);
    if (!status && work->has_entries)
        status = stage_index_commit(work->index, work->error);
    while (status && n-- > 0) {
        if (!work->swaps[n] || stage_swap_revert(work->swaps[n]))
            continue;
        if (!work->is_partial)
            stage_swap_say(work->swaps[n], work->error);
        work->is_partial = true;
    }
    return status;
}

static void work_deinit(struct work *work)
{
    for (size_t i = 0; work->swaps && i < work->record->n; i++)
        stage_swap_free(work->swaps[i]);
    free(work->swaps);
    stage_index_close(work->index);
}

/* ---- doing ---- */

/* A record of a fathom that was ended, or that failed half way: where nothing of it was carried out, nothing is to be taken back
 * by it, and else it is as one that was. */
static void drop_undone(struct repo *repo, struct journal *journal)
{
    struct journal_record record;
    struct work work = {.repo = repo, .record = &record, .is_back = true};
    if (!journal_is_pending(journal) || journal_last(journal, &record, NULL) != STATUS_OK)
        return;
    if (stage_index_open(repo, &work.index, NULL) == STATUS_OK) {
        enum status status = prepare(&work);
        if (status == STATUS_OK && !work.is_new)
            journal_drop(journal, &record);
        else if (status == STATUS_OK)
            journal_done(journal, &record);
    }
    work_deinit(&work);
    journal_record_deinit(&record);
}

static enum status refuse_bare(const struct repo *repo, struct error *error)
{
    if (!repo->git)
        return error_set(error, STATUS_UNSUPPORTED, "%.150s is no git repository", repo->root);
    if (repo->is_bare)
        return error_set(error, STATUS_UNSUPPORTED, "%.150s is a bare repository: there is nothing to stage",
                         repo->root);
    return STATUS_OK;
}

static void report_on(struct stage_report *report, const struct journal_record *record, size_t n_dropped)
{
    if (!report)
        return;
    *report = (struct stage_report){.n_files = record->n, .n_dropped = n_dropped};
    memcpy(report->what, record->what, sizeof report->what);
}

/* Journal, then changes.  The caller holds both locks. */
static enum status run_record(struct work *work, struct journal *journal, struct stage_report *report)
{
    size_t n_dropped = 0;
    enum status status = prepare(work);
    if (!status)
        status = journal_begin(journal, work->record, &n_dropped, work->error);
    if (status)
        return status;
    status = carry_out(work);
    if (status) {
        if (!work->is_partial) /* else it stays pending: only the record still has what was there */
            journal_drop(journal, work->record);
        return status;
    }
    journal_done(journal, work->record);
    report_on(report, work->record, n_dropped);
    return STATUS_OK;
}

/* Locks for the journal and libgit2. */
static enum status begin(struct repo *repo, struct journal *journal, struct error *error)
{
    enum status status = refuse_bare(repo, error);
    if (!status)
        status = journal_lock(journal, error);
    if (status)
        return status;
    pthread_mutex_lock(&repo->lock);
    return STATUS_OK;
}

static void end(struct repo *repo, struct journal *journal)
{
    pthread_mutex_unlock(&repo->lock);
    journal_unlock(journal);
}

enum status stage_run(struct repo *repo, struct journal *journal, enum stage_action action,
                      const struct selection *selection, struct stage_report *report, struct error *error)
{
    struct error own = {0};
    struct journal_record record = {0};
    struct work work = {.repo = repo, .record = &record, .error = error ? error : &own};
    bool is_staged = strcmp(selection->diff->head, "index") == 0,
         is_worktree = strcmp(selection->diff->base, "index") == 0;
    if (!(action == STAGE_REMOVE ? is_staged : is_worktree))
        return error_set(error, STATUS_ARGUMENT, "that diff isn't one of %s",
                         action == STAGE_REMOVE ? "what is staged" : "the worktree");
    enum status status = begin(repo, journal, work.error);
    if (status)
        return status;
    drop_undone(repo, journal);
    status = repo_load_entries(repo, work.error);
    if (!status)
        status = stage_index_open(repo, &work.index, work.error);
    if (!status)
        status = stage_plan(repo, work.index, action, selection, &record, work.error);
    if (!status)
        status = run_record(&work, journal, report);
    work_deinit(&work);
    journal_record_deinit(&record);
    end(repo, journal);
    return status;
}

enum status stage_intend(struct repo *repo, struct journal *journal, const char *path, struct stage_report *report,
                         struct error *error)
{
    struct error own = {0};
    struct journal_record record = {0};
    struct journal_entry now;
    struct journal_file found;
    bool is_unmerged = false;
    struct work work = {.repo = repo, .record = &record, .error = error ? error : &own};
    if (!repo_is_safe_path(path, strlen(path)))
        return error_set(error, STATUS_UNSUPPORTED, "%.150s: it belongs to git, or is no path within the repository",
                         path);
    enum status status = begin(repo, journal, work.error);
    if (status)
        return status;
    drop_undone(repo, journal);
    status = stage_index_open(repo, &work.index, work.error);
    if (!status)
        status = stage_file_read(repo, path, &found, NULL, NULL, work.error);
    if (!status && !S_ISREG(found.mode) && !S_ISLNK(found.mode))
        status = error_set(work.error, STATUS_NOT_FOUND, "%.150s: there is no such file", path);
    if (!status) {
        stage_index_find(work.index, path, &now, &is_unmerged);
        if (now.mode || is_unmerged)
            status = error_set(work.error, STATUS_ARGUMENT, "%.150s is in the index already", path);
    }
    struct journal_change *change = status ? NULL : stage_add_change(&record, path, work.error);
    if (!status && !change)
        status = work.error->status;
    if (!status) {
        change->has_entry = true;
        change->entry_after.is_intent = true;
        change->entry_after.mode = S_ISLNK(found.mode) ? 0120000 : found.mode & S_IXUSR ? 0100755 : 0100644;
        snprintf(record.what, sizeof record.what, "intent to add");
        status = stage_blob_write(repo, (struct slice){"", 0}, &change->entry_after.id, work.error);
    }
    if (!status)
        status = run_record(&work, journal, report);
    work_deinit(&work);
    journal_record_deinit(&record);
    end(repo, journal);
    return status;
}

/* ---- taking back ---- */

enum { UNDO_AGAIN = -1 }; /* the record was of something that was never done */

static int undo_last(struct repo *repo, struct journal *journal, struct stage_report *report, struct error *error)
{
    struct journal_record record;
    struct work work = {.repo = repo, .record = &record, .is_back = true, .error = error};
    int status = (int)journal_last(journal, &record, error);
    if (status == STATUS_FORMAT)
        journal_drop(journal, &record); /* it is damaged: those before it can still be taken back */
    if (status)
        return status;
    status = (int)stage_index_open(repo, &work.index, error);
    if (!status)
        status = (int)prepare(&work);
    if (!status && !work.is_new && record.is_pending) {
        status = UNDO_AGAIN;
    } else if (!status && !work.is_new) {
        status = (int)error_set(error, STATUS_FORMAT, "%.120s: all is as it was before it already", record.what);
        journal_drop(journal, &record);
    } else if (!status) {
        status = (int)carry_out(&work);
    }
    if (status == STATUS_OK || status == UNDO_AGAIN)
        journal_drop(journal, &record);
    if (status == STATUS_OK)
        report_on(report, &record, 0);
    work_deinit(&work);
    journal_record_deinit(&record);
    return status;
}

enum status stage_undo(struct repo *repo, struct journal *journal, struct stage_report *report, struct error *error)
{
    struct error own = {0};
    enum status status = begin(repo, journal, error ? error : &own);
    if (status)
        return status;
    int outcome;
    do {
        outcome = undo_last(repo, journal, report, error ? error : &own);
    } while (outcome == UNDO_AGAIN);
    end(repo, journal);
    return (enum status)outcome;
}
