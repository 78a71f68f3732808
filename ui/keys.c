/* keys: see keys.h. */
#include "ui/keys.h"

int keys_find(const struct key_row *rows, size_t n, unsigned place, uint32_t key)
{
    for (size_t i = 0; i < n; i++)
        for (int k = 0; (rows[i].places & place) && k < 3 && rows[i].keys[k]; k++)
            if (rows[i].keys[k] == key)
                return rows[i].action;
    return -1;
}

void keys_explain(const struct key_row *rows, size_t n, unsigned place, struct doc *doc)
{
    enum { COLUMN = 20 };
    struct buffer name = {0};
    for (size_t i = 0; i < n; i++) {
        if (!(rows[i].places & place) || !rows[i].help)
            continue;
        buffer_clear(&name);
        for (int k = 0; k < 3 && rows[i].keys[k]; k++) {
            if (k)
                buffer_append_text(&name, "  ");
            key_append_name(&name, rows[i].keys[k]);
        }
        doc_begin(doc, (struct doc_format){.indent = 2, .hang = COLUMN});
        doc_add_text(doc, STYLE_KEY, buffer_text(&name));
        doc_pad(doc, COLUMN - 2);
        doc_add_text(doc, STYLE_TEXT, rows[i].help);
    }
    buffer_deinit(&name);
}
