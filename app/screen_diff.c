/* screen_diff: the screen's diff pane: opening it, what keys do in it, what its thread tells. */
#include <stdio.h>
#include <string.h>

#include "app/screen.h"
#include "app/store.h"

static bool open_diff(struct screen *screen)
{
    struct buffer folder = {0};
    struct error error = {0};
    const char *path = screen->context->n_arguments ? screen->context->arguments[0] : ".";
    if (screen->diff.is_open)
        return true;
    enum status status = store_make_folder(&folder, &error);
    if (!status)
        status = diff_pane_open(&screen->diff, path, buffer_text(&folder), screen->languages, &error);
    if (status)
        screen_note(screen, "%.250s", error.text);
    buffer_deinit(&folder);
    return status == STATUS_OK;
}

static void take_note(struct screen *screen)
{
    if (screen->diff.note[0])
        screen_note(screen, "%s", screen->diff.note);
    screen->diff.note[0] = 0;
}

void screen_show_diff(struct screen *screen, const char *what)
{
    int there = -1;
    if (!open_diff(screen))
        return;
    for (int i = 0; i < LAYOUT_PANES; i++)
        if (screen->panes[i].is_used && screen->panes[i].kind == PANE_DIFF)
            there = layout_find(&screen->layout, i);
    bool is_shown = diff_pane_show(&screen->diff, what);
    take_note(screen);
    if (!is_shown)
        return;
    if (there >= 0)
        screen->layout.focus = there;
    else if (!screen_split(screen, screen->cells.columns >= 160 ? SPLIT_COLUMNS : SPLIT_ROWS, PANE_DIFF))
        return;
    else
        screen->layout.is_zoomed = true; /* a diff wants room; Ctrl-W z shows what else there is */
    screen->typing = TYPING_NOTHING;
}

void screen_act_on_diff(struct screen *screen, enum diff_action action)
{
    if (!screen->diff.is_open)
        return;
    diff_pane_do(&screen->diff, action);
    take_note(screen);
}

void screen_search_diff(struct screen *screen, const char *text, int direction)
{
    if (!diff_pane_search(&screen->diff, text, direction))
        screen_note(screen,
                    screen->diff.pattern.size ? "%.100s: not found" : "nothing was searched for yet; / begins%.0s",
                    buffer_text(&screen->diff.pattern));
}

void screen_take_diff(struct screen *screen)
{
    diff_pane_take(&screen->diff);
    take_note(screen);
}

void screen_review(struct screen *screen)
{
    struct diff_pane *pane = &screen->diff;
    if (!pane->is_open || !pane->shared || pane->is_reading)
        screen_note(screen, "the diff isn't read yet");
    else if (screen->reviewing)
        screen_note(screen, "the model is reading it; Esc stops");
    else if (!pane->shared->diff->n_hunks)
        screen_note(screen, "there is nothing to read");
    else if (!(screen->reviewing = worker_review(screen->worker, pane->shared)))
        screen_note(screen, "out of memory");
    else
        screen_note(screen, screen->running ? "the model reads it after the answer; Esc stops"
                                            : "the model reads it; Esc stops");
}

/* Appends the folder that answers are kept in. */
static enum status kept_folder(const struct screen *screen, struct buffer *folder, struct error *error)
{
    struct repo *repo = NULL;
    enum status status = repo_open(screen->context->n_arguments ? screen->context->arguments[0] : ".", &repo, error);
    if (!status)
        status = review_kept_folder(repo_root(repo), folder, error);
    repo_free(repo);
    return status;
}

void screen_dismiss(struct screen *screen)
{
    struct buffer folder = {0};
    struct error error = {0};
    const struct review_finding *finding = diff_pane_finding(&screen->diff);
    if (!finding) {
        screen_note(screen, "there is no finding here; f goes to the next one");
        return;
    }
    bool is_kept = !screen->context->settings->no_save;
    enum status status = is_kept ? kept_folder(screen, &folder, &error) : STATUS_OK;
    if (!status && is_kept)
        status = review_dismiss(buffer_text(&folder), finding->id, &error);
    buffer_deinit(&folder);
    if (status) {
        screen_note(screen, "%.250s", error.text);
        return;
    }
    diff_pane_drop_finding(&screen->diff);
    screen_note(screen, is_kept ? "dismissed" : "dismissed until you leave (--no-save)");
}

bool screen_take_review(struct screen *screen, struct worker_message *message)
{
    if (!screen->reviewing || message->id != screen->reviewing)
        return false;
    if (message->kind == MESSAGE_READING) {
        screen_note(screen, "the model has read %llu of %llu hunks; Esc stops", (unsigned long long)message->n_done,
                    (unsigned long long)message->n_total);
    } else if (message->kind == MESSAGE_REVIEW) {
        diff_pane_take_review(&screen->diff, message->review.shared, message->review.result);
        message->review = (struct worker_review){0};
        take_note(screen);
    } else if (message->kind == MESSAGE_DONE || message->kind == MESSAGE_FAILED) {
        screen->reviewing = 0;
        if (message->kind == MESSAGE_FAILED)
            screen_note(screen, "%.250s", buffer_text(&message->text));
        else if (message->result.stop == TURN_CANCELLED)
            screen_note(screen, "stopped");
    }
    return true;
}

void screen_draw_diff_title(struct screen *screen, struct area area, enum style style)
{
    char left[256], right[64];
    diff_pane_title(&screen->diff, left, sizeof left, right, sizeof right);
    int column = cells_put_text(&screen->cells, area, 0, 1, style, left);
    if (column + (int)strlen(right) + 2 < area.columns)
        cells_put_text(&screen->cells, area, 0, area.columns - (int)strlen(right) - 1, STYLE_DIM, right);
}

void screen_close_diff(struct screen *screen)
{
    if (screen->diff.is_open)
        diff_pane_close(&screen->diff);
}
