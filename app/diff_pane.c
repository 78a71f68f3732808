/* diff_pane: see diff_pane.h.  Here: the diff that comes from the thread, moving, folding, choosing and staging. */
#include "app/diff_pane.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "ui/doc.h"

enum { CONTEXT_USUAL = 3, CONTEXT_MOST = 1000, CONTEXT_WHOLE = 1 << 28, SHIFT_STEP = 8, FOLD_FROM_FILES = 100 };

enum status diff_pane_open(struct diff_pane *pane, const char *path, const char *state_folder,
                           struct languages *languages, struct error *error)
{
    *pane = (struct diff_pane){.languages = languages, .options = {.of = DIFF_WORKTREE, .context = CONTEXT_USUAL}};
    enum status status = changes_open(path, state_folder, &pane->changes, error);
    pane->is_open = status == STATUS_OK;
    return status;
}

static void forget(struct diff_pane *pane)
{
    for (size_t i = 0; i < DIFF_PANE_LOOKS; i++)
        hunk_look_deinit(&pane->looks[i]);
    shared_diff_release(pane->shared);
    pane->shared = NULL;
}

void diff_pane_close(struct diff_pane *pane)
{
    changes_close(pane->changes);
    forget(pane);
    diff_pane_forget_review(pane);
    diff_rows_deinit(&pane->rows);
    free(pane->is_folded);
    buffer_deinit(&pane->from);
    buffer_deinit(&pane->to);
    buffer_deinit(&pane->pattern);
    *pane = (struct diff_pane){0};
}

static void say(struct diff_pane *pane, const char *text)
{
    snprintf(pane->note, sizeof pane->note, "%.190s", text);
}

/* ---- what is shown ---- */

static void read_diff(struct diff_pane *pane, bool is_new)
{
    pane->is_reading = true;
    pane->has_anchor = pane->asks_discard = false;
    if (!changes_show(pane->changes, &pane->options, is_new))
        say(pane, "out of memory");
}

static void set_text(struct buffer *buffer, const char *text, size_t size)
{
    buffer_clear(buffer);
    buffer_append(buffer, text, size);
}

bool diff_pane_show(struct diff_pane *pane, const char *what)
{
    size_t size = strlen(what);
    const char *dots = strstr(what, "..");
    enum diff_of of = DIFF_COMMIT;
    if (!size || strcmp(what, "--worktree") == 0)
        of = DIFF_WORKTREE;
    else if (strcmp(what, "--staged") == 0)
        of = DIFF_STAGED;
    else if (dots && dots > what && dots[2] && dots[2] != '.')
        of = DIFF_RANGE;
    else if (what[0] == '-' || dots) {
        say(pane, "what to show: --worktree, --staged, a revision, or A..B");
        return false;
    }
    set_text(&pane->from, what, of == DIFF_RANGE ? (size_t)(dots - what) : 0);
    const char *to = of == DIFF_RANGE ? dots + 2 : what;
    set_text(&pane->to, to, strlen(to));
    pane->options.of = of;
    pane->options.from = of == DIFF_RANGE ? buffer_text(&pane->from) : NULL;
    pane->options.to = of == DIFF_RANGE || of == DIFF_COMMIT ? buffer_text(&pane->to) : NULL;
    pane->trouble[0] = 0;
    read_diff(pane, true);
    return true;
}

/* ---- the cursor stays with what it stands on ---- */

struct standing {
    char *path;
    enum diff_row_kind kind;
    uint32_t old_line, new_line, hunk; /* hunk: of the file's */
    size_t from_top;
};

static const struct diff_row *row_at(const struct diff_pane *pane, size_t at)
{
    return at < pane->rows.n ? &pane->rows.at[at] : NULL;
}

static struct standing standing_of(const struct diff_pane *pane)
{
    struct standing standing = {.from_top = pane->cursor - pane->top};
    const struct diff_row *row = row_at(pane, pane->cursor);
    if (!row || !pane->shared)
        return standing;
    const struct diff *diff = pane->shared->diff;
    standing.path = strdup(diff_path(&diff->files[row->file]));
    standing.kind = row->kind == DIFF_ROW_FINDING ? DIFF_ROW_HUNK : row->kind;
    if (standing.kind == DIFF_ROW_HUNK || standing.kind == DIFF_ROW_LINE)
        standing.hunk = row->hunk - diff->files[row->file].first_hunk;
    if (row->kind == DIFF_ROW_LINE) {
        const struct diff_line *line = &diff->lines[row->right != DIFF_NO_LINE ? row->right : row->left];
        standing.old_line = line->old_line;
        standing.new_line = line->new_line;
    }
    return standing;
}

/* The row of the file whose line in the new state (else in the old one) is nearest. */
static size_t nearest_line(const struct diff_pane *pane, size_t first, uint32_t file, const struct standing *standing)
{
    const struct diff *diff = pane->shared->diff;
    size_t best = first;
    int64_t best_distance = INT64_MAX;
    for (size_t i = first; i < pane->rows.n && pane->rows.at[i].file == file; i++) {
        const struct diff_row *row = &pane->rows.at[i];
        if (row->kind != DIFF_ROW_LINE)
            continue;
        const struct diff_line *line = &diff->lines[row->right != DIFF_NO_LINE ? row->right : row->left];
        bool by_new = standing->new_line != 0;
        int64_t distance =
            by_new ? (int64_t)line->new_line - standing->new_line : (int64_t)line->old_line - standing->old_line;
        if (by_new ? !line->new_line : !line->old_line)
            continue;
        distance = distance < 0 ? -distance : distance;
        if (distance < best_distance) {
            best_distance = distance;
            best = i;
        }
    }
    return best;
}

static size_t nearest_hunk(const struct diff_pane *pane, size_t first, uint32_t file, uint32_t hunk)
{
    size_t at = first;
    for (uint32_t i = 0; i <= hunk; i++) {
        size_t next = diff_rows_next(&pane->rows, at, DIFF_ROW_HUNK, 1);
        if (next == SIZE_MAX || pane->rows.at[next].file != file)
            break;
        at = next;
    }
    return at;
}

/* The file of that path, or the first behind where it would stand. */
static uint32_t find_file(const struct diff *diff, const char *path)
{
    uint32_t behind = UINT32_MAX;
    for (uint32_t i = 0; path && i < diff->n_files; i++) {
        int order = strcmp(diff_path(&diff->files[i]), path);
        if (order == 0)
            return i;
        if (order > 0 && behind == UINT32_MAX)
            behind = i;
    }
    return behind;
}

static void stand(struct diff_pane *pane, struct standing *standing)
{
    const struct diff *diff = pane->shared->diff;
    size_t at = SIZE_MAX;
    uint32_t file = find_file(diff, standing->path);
    if (standing->path && file < diff->n_files) {
        bool is_same = strcmp(diff_path(&diff->files[file]), standing->path) == 0;
        at = diff_rows_find_file(&pane->rows, file);
        if (is_same && standing->kind == DIFF_ROW_LINE)
            at = nearest_line(pane, at, file, standing);
        else if (is_same && standing->kind == DIFF_ROW_HUNK)
            at = nearest_hunk(pane, at, file, standing->hunk);
    }
    pane->cursor = at != SIZE_MAX ? at : standing->path && pane->rows.n ? pane->rows.n - 1 : 0;
    pane->top = pane->cursor > standing->from_top ? pane->cursor - standing->from_top : 0;
    free(standing->path);
}

static void make_rows(struct diff_pane *pane)
{
    struct error error;
    struct diff_shape shape = {pane->is_folded, pane->is_side_by_side, pane->inserts, pane->n_inserts};
    if (diff_rows_make(pane->shared->diff, &shape, &pane->rows, &error) != STATUS_OK)
        snprintf(pane->trouble, sizeof pane->trouble, "%.250s", error.text);
}

static void show_rows(struct diff_pane *pane)
{
    struct standing standing = standing_of(pane);
    make_rows(pane);
    stand(pane, &standing);
    pane->has_anchor = pane->asks_discard = false;
}

/* ---- the thread's replies ---- */

/* Whether files were folded goes over to the new diff, by path; both are in order of paths, mostly. */
static uint8_t *folds_of(const struct diff_pane *pane, const struct diff *diff)
{
    uint8_t *folds = calloc(diff->n_files + 1, 1);
    if (!folds)
        return NULL;
    const struct diff *old = pane->shared ? pane->shared->diff : NULL;
    for (size_t i = 0, j = 0; old && i < diff->n_files; i++) {
        while (j < old->n_files && strcmp(diff_path(&old->files[j]), diff_path(&diff->files[i])) < 0)
            j++;
        if (j < old->n_files && strcmp(diff_path(&old->files[j]), diff_path(&diff->files[i])) == 0)
            folds[i] = pane->is_folded[j];
    }
    return folds;
}

static void take_diff(struct diff_pane *pane, struct shared_diff *shared)
{
    uint8_t *folds = folds_of(pane, shared->diff);
    if (!folds) {
        shared_diff_release(shared);
        return say(pane, "out of memory");
    }
    struct standing standing = standing_of(pane);
    forget(pane);
    free(pane->is_folded);
    pane->is_folded = folds;
    pane->shared = shared;
    pane->trouble[0] = 0;
    diff_pane_map_review(pane);
    make_rows(pane);
    stand(pane, &standing);
}

void diff_pane_take(struct diff_pane *pane)
{
    struct changes_reply reply;
    if (!changes_take(pane->changes, &reply))
        return;
    pane->is_reading = reply.is_partial;
    pane->has_anchor = pane->asks_discard = false;
    if (reply.was_action && reply.action_status)
        say(pane, reply.action_error.text);
    else if (reply.was_action)
        snprintf(pane->note, sizeof pane->note, "%s: %.120s%s", reply.action == CHANGES_UNDO ? "taken back" : "done",
                 reply.report.what, reply.report.n_dropped ? "; the oldest things done can no more be undone" : "");
    if (reply.shared)
        take_diff(pane, reply.shared);
    else if (reply.status != STATUS_CANCELLED)
        snprintf(pane->trouble, sizeof pane->trouble, "%.250s", reply.error.text);
    if (!reply.was_action)
        return;
    /* What was asked for meanwhile; it may begin another action, for which the rest waits. */
    enum diff_action waiting[DIFF_PANE_WAITING];
    size_t n = pane->n_waiting;
    memcpy(waiting, pane->waiting, n * sizeof *waiting);
    pane->is_acting = false;
    pane->n_waiting = 0;
    for (size_t i = 0; i < n; i++)
        diff_pane_do(pane, waiting[i]);
}

void diff_pane_take_review(struct diff_pane *pane, struct shared_diff *shared, struct review_result *review)
{
    diff_pane_set_review(pane, shared, review);
    if (pane->shared)
        show_rows(pane);
    size_t n_dropped = 0;
    for (int i = 0; i < REVIEW_N_DROPS; i++)
        n_dropped += review->dropped[i];
    char dropped[64] = "";
    if (n_dropped)
        snprintf(dropped, sizeof dropped, ", %zu dropped that can't be", n_dropped);
    snprintf(pane->note, sizeof pane->note, "%zu finding%s%s%s; f goes to them, o to what is unusual", pane->n_inserts,
             pane->n_inserts == 1 ? "" : "s", dropped, review->is_interrupted ? " (stopped)" : "");
}

const struct review_finding *diff_pane_finding(const struct diff_pane *pane)
{
    const struct diff_row *row = row_at(pane, pane->cursor);
    return row && row->kind == DIFF_ROW_FINDING ? &pane->review->findings[row->left] : NULL;
}

void diff_pane_drop_finding(struct diff_pane *pane)
{
    const struct diff_row *row = row_at(pane, pane->cursor);
    if (!row || row->kind != DIFF_ROW_FINDING)
        return;
    size_t cursor = pane->cursor - row->right;
    pane->review->findings[row->left].hunk = UINT32_MAX; /* a hunk that isn't there */
    diff_pane_map_review(pane);
    make_rows(pane);
    pane->has_anchor = pane->asks_discard = false; /* rows have other numbers */
    pane->cursor = cursor < pane->rows.n ? cursor : pane->rows.n - 1;
}

/* ---- staging ---- */

static bool mark_rows(const struct diff_pane *pane, struct selection *selection)
{
    const struct diff *diff = pane->shared->diff;
    size_t first = pane->anchor < pane->cursor ? pane->anchor : pane->cursor;
    size_t last = pane->anchor < pane->cursor ? pane->cursor : pane->anchor;
    bool has_any = false;
    for (size_t i = first; i <= last && i < pane->rows.n; i++) {
        const struct diff_row *row = &pane->rows.at[i];
        for (int side = 0; row->kind == DIFF_ROW_LINE && side < 2; side++) {
            uint32_t line = side ? row->right : row->left;
            if (line == DIFF_NO_LINE || diff->lines[line].kind == DIFF_CONTEXT)
                continue;
            selection_mark_lines(selection, row->hunk, line - diff->hunks[row->hunk].first_line, 1, true);
            has_any = true;
        }
    }
    return has_any;
}

/* What the cursor stands on, or the lines that were chosen; NULL with a note where that is nothing. */
static struct selection *choose(struct diff_pane *pane, bool is_file)
{
    struct selection *selection;
    const struct diff_row *row = row_at(pane, pane->cursor);
    struct error error;
    if (!row || !pane->shared) {
        say(pane, "there is nothing here");
        return NULL;
    }
    if (selection_new(pane->shared->diff, &selection, &error) != STATUS_OK) {
        say(pane, error.text);
        return NULL;
    }
    bool has_any = true;
    if (pane->has_anchor && !is_file)
        has_any = mark_rows(pane, selection);
    else if (is_file || row->kind == DIFF_ROW_FILE || row->kind == DIFF_ROW_NOTE)
        selection_mark_file(selection, row->file, true);
    else
        selection_mark_hunk(selection, row->hunk, true);
    if (has_any)
        return selection;
    say(pane, "no changed line is chosen");
    selection_free(selection);
    return NULL;
}

static void act(struct diff_pane *pane, enum changes_action action, struct selection *selection)
{
    if (!changes_do(pane->changes, action, selection ? pane->shared : NULL, selection)) {
        selection_free(selection);
        return say(pane, "the last thing is still being done");
    }
    pane->is_reading = pane->is_acting = true;
}

static void stage(struct diff_pane *pane, bool is_file)
{
    if (pane->options.of != DIFF_WORKTREE && pane->options.of != DIFF_STAGED)
        return say(pane, "a commit's changes can't be staged: t shows the worktree's");
    if (pane->options.ignores_space || (pane->shared && pane->shared->ignores_space))
        return say(pane, "while white space is ignored nothing can be staged: W shows it");
    struct selection *selection = choose(pane, is_file);
    if (selection)
        act(pane, pane->options.of == DIFF_WORKTREE ? CHANGES_STAGE : CHANGES_UNSTAGE, selection);
}

static void discard(struct diff_pane *pane, bool is_asked)
{
    if (pane->options.of != DIFF_WORKTREE)
        return say(pane, "only what is not staged can be discarded: t shows it");
    if (pane->options.ignores_space || (pane->shared && pane->shared->ignores_space))
        return say(pane, "while white space is ignored nothing can be discarded: W shows it");
    if (!is_asked) {
        pane->asks_discard = true;
        return say(pane, "x again discards it from the worktree; u takes it back");
    }
    struct selection *selection = choose(pane, false);
    if (selection)
        act(pane, CHANGES_DISCARD, selection);
}

/* ---- moving and looking ---- */

static void move(struct diff_pane *pane, int64_t rows)
{
    int64_t to = (int64_t)pane->cursor + rows, last = (int64_t)pane->rows.n - 1;
    pane->cursor = (size_t)(to > last ? last : to);
    if (to < 0 || last < 0)
        pane->cursor = 0;
}

static void jump(struct diff_pane *pane, enum diff_row_kind kind, int direction)
{
    size_t to = diff_rows_next(&pane->rows, pane->cursor, kind, direction);
    if (to == SIZE_MAX)
        return say(pane, direction > 0 ? "that is the last one" : "that is the first one");
    pane->cursor = to;
    /* What is jumped to is shown from its head, with some rows before it. */
    size_t before = pane->height > 8 ? 3 : 0;
    if (to < pane->top || to + (size_t)(pane->height > 0 ? pane->height : 1) / 2 >
                              pane->top + (size_t)(pane->height > 0 ? pane->height : 1))
        pane->top = to > before ? to - before : 0;
}

static void next_finding(struct diff_pane *pane)
{
    size_t n = pane->rows.n;
    for (size_t step = 1; step <= n; step++) {
        size_t at = (pane->cursor + step) % n;
        if (pane->rows.at[at].kind == DIFF_ROW_FINDING && pane->rows.at[at].right == 0) {
            pane->cursor = at;
            return;
        }
    }
    say(pane, !pane->review              ? "the model has read nothing yet: R lets it"
              : pane->review->n_findings ? "what it found is in folded files, or in hunks that are gone"
                                         : "it found nothing");
}

static void next_unusual(struct diff_pane *pane)
{
    uint32_t line = diff_pane_next_unusual(pane);
    if (line == DIFF_NO_LINE)
        return say(pane, pane->review ? "no added line was read" : "the model has read nothing yet: R lets it");
    pane->cursor = diff_rows_find_line(&pane->rows, pane->shared->diff, line);
}

static void fold(struct diff_pane *pane, bool is_all)
{
    const struct diff_row *row = row_at(pane, pane->cursor);
    if (!row || !pane->shared)
        return;
    size_t n_files = pane->shared->diff->n_files, n_folded = 0;
    for (size_t i = 0; i < n_files; i++)
        n_folded += pane->is_folded[i];
    if (is_all)
        memset(pane->is_folded, n_folded < n_files, n_files);
    else
        pane->is_folded[row->file] = !pane->is_folded[row->file];
    show_rows(pane);
}

static void set_context(struct diff_pane *pane, uint32_t context)
{
    pane->options.context = context;
    read_diff(pane, false);
}

static void look_wider(struct diff_pane *pane, enum diff_action action)
{
    uint32_t now = pane->options.context;
    if (action == DIFF_WHOLE && now == CONTEXT_WHOLE)
        set_context(pane, pane->context_before_whole);
    else if (action == DIFF_WHOLE) {
        pane->context_before_whole = now;
        set_context(pane, CONTEXT_WHOLE);
    } else if (now == CONTEXT_WHOLE)
        set_context(pane, CONTEXT_USUAL);
    else if (action == DIFF_WIDER)
        set_context(pane, now < CONTEXT_MOST ? now < 10 ? now + 1 : now * 2 : now);
    else
        set_context(pane, now > 10 ? now / 2 : now ? now - 1 : 0);
}

static void show_other(struct diff_pane *pane)
{
    diff_pane_show(pane, pane->options.of == DIFF_WORKTREE ? "--staged" : "--worktree");
}

static bool line_holds(const struct diff_pane *pane, uint32_t line)
{
    if (line == DIFF_NO_LINE)
        return false;
    struct slice text = pane->shared->diff->lines[line].text;
    return text_find(text.data, text.size, pane->pattern.data, pane->pattern.size) != SIZE_MAX;
}

static bool path_holds(const struct diff_pane *pane, uint32_t file)
{
    const char *path = diff_path(&pane->shared->diff->files[file]);
    return text_find(path, strlen(path), pane->pattern.data, pane->pattern.size) != SIZE_MAX;
}

bool diff_pane_search(struct diff_pane *pane, const char *text, int direction)
{
    if (text)
        set_text(&pane->pattern, text, strlen(text));
    if (!pane->pattern.size || !pane->shared)
        return false;
    size_t n = pane->rows.n;
    for (size_t step = 1; step <= n; step++) {
        size_t at = direction > 0 ? (pane->cursor + step) % n : (pane->cursor + n - step) % n;
        const struct diff_row *row = &pane->rows.at[at];
        bool holds = row->kind == DIFF_ROW_FILE
                         ? path_holds(pane, row->file)
                         : row->kind == DIFF_ROW_LINE && (line_holds(pane, row->left) || line_holds(pane, row->right));
        if (holds) {
            pane->cursor = at;
            return true;
        }
    }
    return false;
}

const char *diff_pane_place(const struct diff_pane *pane, uint32_t *line)
{
    const struct diff_row *row = row_at(pane, pane->cursor);
    if (!row || !pane->shared)
        return NULL;
    const struct diff *diff = pane->shared->diff;
    const struct diff_file *file = &diff->files[row->file];
    *line = 1;
    if (row->kind == DIFF_ROW_HUNK)
        *line = diff->hunks[row->hunk].new_start;
    else if (row->kind == DIFF_ROW_LINE) {
        uint32_t number = row->right != DIFF_NO_LINE ? row->right : row->left;
        while (number > diff->hunks[row->hunk].first_line && !diff->lines[number].new_line)
            number--;
        *line = diff->lines[number].new_line ? diff->lines[number].new_line : diff->hunks[row->hunk].new_start;
    }
    return file->new.path[0] ? file->new.path : NULL;
}

static void do_view(struct diff_pane *pane, enum diff_action action)
{
    switch (action) {
    case DIFF_FOLD:
    case DIFF_FOLD_ALL:
        fold(pane, action == DIFF_FOLD_ALL);
        break;
    case DIFF_SIDES:
        pane->is_side_by_side = !pane->is_side_by_side;
        if (pane->shared)
            show_rows(pane);
        break;
    case DIFF_WORDS:
        pane->hides_words = !pane->hides_words;
        break;
    case DIFF_SPACE:
        pane->options.ignores_space = !pane->options.ignores_space;
        read_diff(pane, false);
        break;
    case DIFF_WIDER:
    case DIFF_CLOSER:
    case DIFF_WHOLE:
        look_wider(pane, action);
        break;
    case DIFF_OTHER:
        show_other(pane);
        break;
    default:
        read_diff(pane, false);
        break;
    }
}

static void do_change(struct diff_pane *pane, enum diff_action action, bool is_asked)
{
    switch (action) {
    case DIFF_MARK_LINES:
        pane->has_anchor = !pane->has_anchor;
        pane->anchor = pane->cursor;
        break;
    case DIFF_STAGE:
    case DIFF_STAGE_FILE:
        stage(pane, action == DIFF_STAGE_FILE);
        break;
    case DIFF_DISCARD:
        discard(pane, is_asked);
        break;
    default:
        act(pane, CHANGES_UNDO, NULL);
        break;
    }
}

void diff_pane_do(struct diff_pane *pane, enum diff_action action)
{
    int64_t page = pane->height > 2 ? pane->height - 2 : 1;
    bool was_asked = pane->asks_discard;
    if (pane->is_acting) {
        if (pane->n_waiting < DIFF_PANE_WAITING)
            pane->waiting[pane->n_waiting++] = action;
        return;
    }
    pane->asks_discard = false;
    switch (action) {
    case DIFF_DOWN:
        return move(pane, 1);
    case DIFF_UP:
        return move(pane, -1);
    case DIFF_PAGE_DOWN:
        return move(pane, page);
    case DIFF_PAGE_UP:
        return move(pane, -page);
    case DIFF_TOP:
        return move(pane, INT32_MIN);
    case DIFF_BOTTOM:
        return move(pane, INT32_MAX);
    case DIFF_LEFT:
        pane->shift = pane->shift > SHIFT_STEP ? pane->shift - SHIFT_STEP : 0;
        return;
    case DIFF_RIGHT:
        pane->shift = pane->shift < 1 << 20 ? pane->shift + SHIFT_STEP : pane->shift;
        return;
    case DIFF_NEXT_HUNK:
    case DIFF_PREVIOUS_HUNK:
        return jump(pane, DIFF_ROW_HUNK, action == DIFF_NEXT_HUNK ? 1 : -1);
    case DIFF_NEXT_FINDING:
        return next_finding(pane);
    case DIFF_NEXT_UNUSUAL:
        return next_unusual(pane);
    case DIFF_NEXT_FILE:
    case DIFF_PREVIOUS_FILE:
        return jump(pane, DIFF_ROW_FILE, action == DIFF_NEXT_FILE ? 1 : -1);
    case DIFF_MARK_LINES:
    case DIFF_STAGE:
    case DIFF_STAGE_FILE:
    case DIFF_DISCARD:
    case DIFF_UNDO:
        return do_change(pane, action, was_asked);
    default:
        return do_view(pane, action);
    }
}
