/* diff_look: what a hunk is drawn with: the words that differ, and the colours of its code on both sides, each side's lines
 * read as a text of their own.  The least recently drawn hunks are forgotten. */
#include <stdlib.h>
#include <string.h>

#include "app/diff_pane.h"

enum { COLORED_MOST = 128 << 10 /* bytes of a side: longer hunks stay plain */ };

void hunk_look_deinit(struct hunk_look *look)
{
    diff_words_deinit(&look->words);
    for (int i = 0; i < 2; i++) {
        free(look->sides[i].spans);
        free(look->sides[i].begins);
    }
    *look = (struct hunk_look){0};
}

static bool is_on_side(const struct diff_line *line, int side)
{
    return line->kind == DIFF_CONTEXT || line->kind == (side ? DIFF_ADD : DIFF_DELETE);
}

static void color_text(struct languages *languages, int language, const struct buffer *text, struct hunk_side *out)
{
    struct document *document;
    const struct highlight_span *spans;
    size_t n;
    if (document_new(languages, language, &document, NULL) != STATUS_OK)
        return;
    if (document_update(document, NULL, text->data, text->size, NULL) == STATUS_OK &&
        document_highlight(document, 0, (uint32_t)text->size, &spans, &n, NULL) == STATUS_OK && n) {
        out->spans = malloc(n * sizeof *spans);
        if (out->spans) {
            memcpy(out->spans, spans, n * sizeof *spans);
            out->n_spans = n;
        }
    }
    document_free(document);
}

static void color_side(const struct diff_pane *pane, const struct diff_hunk *hunk, int side, struct hunk_side *out)
{
    const struct diff *diff = pane->shared->diff;
    const struct diff_line *lines = diff->lines + hunk->first_line;
    struct buffer text = {0};
    size_t size = 0;
    for (uint32_t i = 0; i < hunk->n_lines; i++)
        size += is_on_side(&lines[i], side) ? lines[i].text.size : 0;
    const char *path = side ? diff->files[hunk->file].new.path : diff->files[hunk->file].old.path;
    int language = path[0] && size ? language_of(path, NULL, 0) : -1;
    if (language < 0 || size > COLORED_MOST || languages_check(pane->languages, language, NULL) != STATUS_OK)
        return;
    out->begins = malloc((hunk->n_lines + 1) * sizeof *out->begins);
    for (uint32_t i = 0; out->begins && i < hunk->n_lines; i++) {
        out->begins[i] = (uint32_t)text.size;
        if (is_on_side(&lines[i], side))
            buffer_append(&text, lines[i].text.data, lines[i].text.size);
    }
    if (out->begins && !text.failed && text.size)
        color_text(pane->languages, language, &text, out);
    buffer_deinit(&text);
}

const struct hunk_look *diff_pane_look(struct diff_pane *pane, uint32_t hunk)
{
    const struct diff *diff = pane->shared->diff;
    struct hunk_look *oldest = &pane->looks[0];
    pane->clock++;
    for (size_t i = 0; i < DIFF_PANE_LOOKS; i++) {
        struct hunk_look *look = &pane->looks[i];
        if (look->diff == diff && look->hunk == hunk) {
            look->used = pane->clock;
            return look;
        }
        if (look->used < oldest->used)
            oldest = look;
    }
    hunk_look_deinit(oldest);
    struct hunk_look look = {.diff = diff, .hunk = hunk, .used = pane->clock};
    if (diff_words_of_hunk(diff, hunk, &look.words, NULL) != STATUS_OK)
        return NULL;
    for (int side = 0; pane->languages && side < 2; side++)
        color_side(pane, &diff->hunks[hunk], side, &look.sides[side]);
    *oldest = look;
    return oldest;
}
