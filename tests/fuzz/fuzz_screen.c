/* Fuzz target of what the screen makes of bytes from outside.  The first byte chooses which:
 *
 *   keys       chunks of what a terminal sends: as many chunks as there are, decoding ends, pastes stay within their limit, a key
 *              is a code point or one of the names
 *   markdown   what a model writes, into a document, a view, cells and the bytes for a terminal
 *   input      keys typed into an entry: the cursor stays within the text, undo comes back
 *
 * Whatever it is: a cell holds nothing that a terminal would act on.
 *
 * With -DFATHOM_PLANT_BUG a view is drawn of which a row is taken to be at most 200 bytes, which a table's or a code block's
 * needn't be.  The fuzzer must find it. */
#include <stdlib.h>
#include <string.h>

#include "ui/input.h"
#include "ui/keyboard.h"
#include "ui/markdown.h"
#include "ui/paint.h"

static void require(bool condition)
{
    if (!condition)
        abort();
}

/* By its own rules, not by the table under test. */
static void require_harmless(const struct cells *cells)
{
    for (int i = 0; i < cells->rows * cells->columns; i++)
        for (int k = 0; k < 3; k++) {
            uint32_t code = cells->at[i].code[k];
            require(code == 0 || (code >= 0x20 && code < 0x7f) || (code >= 0xa0 && code <= 0x10ffff));
            require(!(code >= 0x202a && code <= 0x202e) && !(code >= 0x2066 && code <= 0x2069));
            require(!cells->ascii_only || code < 0x7f);
            require(code < 0xd800 || code > 0xdfff);
        }
}

static void try_keys(const uint8_t *data, size_t size)
{
    struct keyboard keyboard = {0};
    struct buffer name = {0};
    uint32_t key;
    size_t step = size ? 1 + data[0] % 16 : 1;
    for (size_t at = 0; at < size; at += step) {
        keyboard_push(&keyboard, (const char *)data + at, size - at < step ? size - at : step);
        while (keyboard_next(&keyboard, at + step >= size, &key)) {
            uint32_t plain = key & ~((uint32_t)KEY_CTRL | KEY_ALT | KEY_SHIFT);
            require(plain <= KEY_PASTE && (plain <= 0x10ffff || plain > KEY_FIRST));
            require(key != KEY_PASTE || keyboard.paste.size <= KEYBOARD_PASTE_LIMIT);
            buffer_clear(&name);
            key_append_name(&name, key);
            require(name.size > 0);
        }
    }
    buffer_deinit(&name);
    keyboard_deinit(&keyboard);
}

#ifdef FATHOM_PLANT_BUG
static void planted(const struct view *view, const struct doc *doc)
{
    enum { MOST = 200 };
    char *copy = malloc(MOST);
    for (size_t row = 0; copy && row < view->n_rows; row++)
        for (volatile size_t i = view->rows[row].begin; i < view->rows[row].end; i++)
            copy[i - view->rows[row].begin] = doc->text.data[i];
    free(copy);
}
#endif

static void show(const struct cells *cells)
{
    struct painter painter = {.depth = DEPTH_256};
    struct buffer out = {0};
    require_harmless(cells);
    require(paint_frame(&painter, cells, &out, NULL) == STATUS_OK);
    painter_deinit(&painter);
    buffer_deinit(&out);
}

static void try_markdown(const uint8_t *data, size_t size)
{
    struct doc doc = {.ascii_only = data[0] & 1};
    struct view view = {0};
    struct cells cells = {.ascii_only = data[0] & 1};
    struct buffer code = {0};
    int columns = 1 + data[0] / 2 % 100, rows = 1 + data[1] % 40;
    struct markdown_options options = {.tag = 1 << 16, .columns = columns};
    const char *text = (const char *)data + 2;
    size -= 2;
    require(cells_resize(&cells, rows, columns, NULL) == STATUS_OK);
    /* As an answer comes: in parts, each rendered anew. */
    for (size_t part = 1; part <= 3; part++) {
        doc_cut(&doc, 0);
        markdown_render(text, size * part / 3, &options, &doc);
        require(view_update(&view, &doc, columns, rows, NULL) == STATUS_OK);
        view_scroll(&view, (int64_t)(part * 7));
        view_draw(&view, &doc, &cells, cells_area(&cells));
    }
#ifdef FATHOM_PLANT_BUG
    planted(&view, &doc);
#endif
    for (size_t i = 0; i < doc.n_lines; i++)
        require(doc.lines[i].begin <= doc.lines[i].end && doc.lines[i].end <= doc.text.size);
    for (size_t n = 1; n < 4; n++)
        (void)markdown_code_block(text, size, n, &code);
    show(&cells);
    buffer_deinit(&code);
    view_deinit(&view);
    doc_deinit(&doc);
    cells_deinit(&cells);
}

static void try_input(const uint8_t *data, size_t size)
{
    struct input *input = calloc(1, sizeof *input);
    struct cells cells = {0};
    int row, column;
    if (!input)
        return;
    require(cells_resize(&cells, 6, 20, NULL) == STATUS_OK);
    for (size_t at = 0; at < size; at++) {
        if (data[at] < 0x80 && data[at] % 64 <= INPUT_SEARCH_OLDER) {
            input_act(input, (enum input_action)(data[at] % 64));
        } else {
            size_t n = size - at < 5 ? size - at : 5;
            input_insert(input, (const char *)data + at, n, data[at] & 1);
            at += n - 1;
        }
        require(input->cursor <= input->text.size);
    }
    int n_rows = input_layout(input, 20, false, &row, &column);
    require(row < n_rows && column <= 20);
    input_draw(input, &cells, cells_area(&cells), row > 3 ? row - 3 : 0);
    show(&cells);
    input_deinit(input);
    free(input);
    cells_deinit(&cells);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size < 3)
        return 0;
    if (data[0] % 3 == 0)
        try_keys(data + 1, size - 1);
    else if (data[0] % 3 == 1 && size > 3)
        try_markdown(data + 1, size - 1);
    else
        try_input(data + 1, size < 4096 ? size - 1 : 4096);
    return 0;
}
