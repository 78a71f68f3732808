/* complete_syntax: see complete_syntax.h. */
#include "app/complete_syntax.h"

#include <stdlib.h>

enum { TEXT_MOST = 512 << 10 /* bytes; C takes 60 ms to parse once */, CLOSING_MOST = 64 << 10 };

/* One document, and the text that it has. */
struct side {
    struct document *document;
    struct buffer text;
    size_t n_middle; /* bytes at the hole */
};

struct complete_syntax {
    struct fim_syntax asked;
    struct slice prefix, suffix;
    struct side whole, before; /* with the suffix, without */
};

/* Puts middle at the hole.  False where it can't be parsed. */
static bool side_put(struct side *side, struct slice prefix, struct slice suffix, const char *middle, size_t size)
{
    uint32_t at = (uint32_t)prefix.size;
    struct document_edit edit = {at, at + (uint32_t)side->n_middle, at + (uint32_t)size};
    bool is_first = !side->text.size;
    buffer_clear(&side->text);
    buffer_append(&side->text, prefix.data, prefix.size);
    buffer_append(&side->text, middle, size);
    buffer_append(&side->text, suffix.data, suffix.size);
    side->n_middle = size;
    return !side->text.failed && document_update(side->document, is_first ? NULL : &edit, buffer_text(&side->text),
                                                 side->text.size, NULL) == STATUS_OK;
}

static long errors(void *context, const char *middle, size_t size)
{
    struct complete_syntax *syntax = context;
    if (size > TEXT_MOST || !side_put(&syntax->whole, syntax->prefix, syntax->suffix, middle, size))
        return -1;
    return document_count_errors(syntax->whole.document);
}

static bool closes(void *context, const char *middle, size_t size, size_t *end)
{
    struct complete_syntax *syntax = context;
    const struct slice nothing = {"", 0};
    uint32_t at = (uint32_t)syntax->prefix.size, closed;
    if (!size || size > CLOSING_MOST || syntax->prefix.size > CLOSING_MOST ||
        !side_put(&syntax->before, syntax->prefix, nothing, middle, size))
        return false;
    /* The first byte of the middle that is no white space lies in what the hole lies in. */
    size_t first = 0;
    while (first < size &&
           (middle[first] == ' ' || middle[first] == '\t' || middle[first] == '\n' || middle[first] == '\r'))
        first++;
    if (first >= size || !document_closes(syntax->before.document, at + (uint32_t)first, &closed) || closed < at)
        return false;
    *end = closed - at;
    return true;
}

enum status complete_syntax_new(struct languages *languages, struct slice path, struct slice prefix,
                                struct slice suffix, struct complete_syntax **out, struct error *error)
{
    struct buffer name = {0};
    *out = NULL;
    buffer_append(&name, path.data, path.size);
    int language = language_of(buffer_text(&name), prefix.data, prefix.size);
    buffer_deinit(&name);
    if (language < 0 || prefix.size + suffix.size > TEXT_MOST ||
        languages_check(languages, language, NULL) != STATUS_OK)
        return STATUS_OK;
    struct complete_syntax *syntax = calloc(1, sizeof *syntax);
    if (!syntax)
        return error_set(error, STATUS_MEMORY, "out of memory");
    *syntax = (struct complete_syntax){.asked = {syntax, errors, closes}, .prefix = prefix, .suffix = suffix};
    enum status status = document_new(languages, language, &syntax->whole.document, error);
    if (!status)
        status = document_new(languages, language, &syntax->before.document, error);
    if (status)
        complete_syntax_free(syntax);
    else
        *out = syntax;
    return status;
}

void complete_syntax_free(struct complete_syntax *syntax)
{
    if (!syntax)
        return;
    document_free(syntax->whole.document);
    document_free(syntax->before.document);
    buffer_deinit(&syntax->whole.text);
    buffer_deinit(&syntax->before.text);
    free(syntax);
}

const struct fim_syntax *complete_syntax_asked(const struct complete_syntax *syntax)
{
    return syntax ? &syntax->asked : NULL;
}
