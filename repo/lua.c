/* lua: functions, variables, calls and modules that are required, of a Lua text, by its tokens.
 *
 * The grammar at hand begins with memory that it never set.  Lua's blocks show by their words alone: function, do, if
 * and repeat begin one, end and until end it. */
#include "repo/syntax_private.h"

#include <string.h>

enum { MAX_BLOCKS = 256 };

enum token_kind { TOKEN_END, TOKEN_WORD, TOKEN_TEXT, TOKEN_SIGN };

struct token {
    enum token_kind kind;
    struct span span;
    uint32_t line;
};

struct reader {
    const char *text;
    uint32_t size, at, line;
    struct found *found;
    struct token token, before; /* the one that is looked at, and the one before it */
    struct {
        size_t definition; /* index + 1, 0: a block without a name */
    } blocks[MAX_BLOCKS];
    uint32_t n_blocks; /* may be more than MAX_BLOCKS; those are not kept */
    uint32_t nested;   /* parentheses and braces */
};

static bool is_word_byte(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_';
}

static char byte_at(const struct reader *reader, uint32_t at)
{
    return at < reader->size ? reader->text[at] : 0;
}

static void skip_to(struct reader *reader, uint32_t end)
{
    for (; reader->at < end && reader->at < reader->size; reader->at++)
        reader->line += reader->text[reader->at] == '\n';
}

/* Behind [[...]] or [==[...]==] that begins here; at itself where none does. */
static uint32_t end_of_long(const struct reader *reader, uint32_t at)
{
    uint32_t n = 0;
    while (byte_at(reader, at + 1 + n) == '=')
        n++;
    if (byte_at(reader, at) != '[' || byte_at(reader, at + 1 + n) != '[')
        return at;
    for (uint32_t i = at + 2 + n; i < reader->size; i++) {
        uint32_t k = 0;
        const char *close = memchr(reader->text + i, ']', reader->size - i);
        if (!close)
            break;
        i = (uint32_t)(close - reader->text);
        while (byte_at(reader, i + 1 + k) == '=')
            k++;
        if (k == n && byte_at(reader, i + 1 + k) == ']')
            return i + 2 + k;
        i += k; /* a ] that comes next is looked at */
    }
    return reader->size;
}

static uint32_t end_of_quoted(const struct reader *reader, uint32_t at)
{
    char quote = reader->text[at++];
    while (at < reader->size && reader->text[at] != quote && reader->text[at] != '\n')
        at += reader->text[at] == '\\' ? 2 : 1;
    return at < reader->size ? at + (reader->text[at] == quote) : reader->size;
}

static void read_comment(struct reader *reader)
{
    struct span span = {reader->at, end_of_long(reader, reader->at + 2)};
    uint32_t line = reader->line;
    if (span.end == reader->at + 2) {
        const char *newline = memchr(reader->text + reader->at, '\n', reader->size - reader->at);
        span.end = newline ? (uint32_t)(newline - reader->text) : reader->size;
    }
    struct found_name *comment = list_add(&reader->found->comments);
    if (comment)
        *comment = (struct found_name){span, line, CAPTURE_COMMENT};
    skip_to(reader, span.end);
}

static void next(struct reader *reader)
{
    reader->before = reader->token;
    for (;;) {
        char c = byte_at(reader, reader->at);
        if (reader->at >= reader->size) {
            reader->token = (struct token){TOKEN_END, {reader->size, reader->size}, reader->line};
            return;
        }
        if (c == '-' && byte_at(reader, reader->at + 1) == '-')
            read_comment(reader);
        else if ((unsigned char)c <= ' ')
            skip_to(reader, reader->at + 1);
        else
            break;
    }
    struct token *token = &reader->token;
    *token = (struct token){TOKEN_SIGN, {reader->at, reader->at + 1}, reader->line};
    char c = reader->text[reader->at];
    if (is_word_byte(c)) {
        token->kind = c >= '0' && c <= '9' ? TOKEN_SIGN : TOKEN_WORD;
        while (is_word_byte(byte_at(reader, token->span.end)))
            token->span.end++;
    } else if (c == '"' || c == '\'') {
        token->kind = TOKEN_TEXT;
        token->span.end = end_of_quoted(reader, reader->at);
    } else if (c == '[' && end_of_long(reader, reader->at) != reader->at) {
        token->kind = TOKEN_TEXT;
        token->span.end = end_of_long(reader, reader->at);
    }
    skip_to(reader, token->span.end);
}

static bool is(const struct reader *reader, const struct token *token, const char *text)
{
    return (token->kind == TOKEN_WORD || token->kind == TOKEN_SIGN) &&
           slice_equals((struct slice){reader->text + token->span.begin, token->span.end - token->span.begin}, text);
}

static bool is_keyword(const struct reader *reader, const struct token *token)
{
    static const char *const words[] = {"and",      "break",  "do",   "else", "elseif", "end",  "false", "for",
                                        "function", "goto",   "if",   "in",   "local",  "nil",  "not",   "or",
                                        "repeat",   "return", "then", "true", "until",  "while"};
    for (size_t i = 0; i < sizeof words / sizeof *words; i++)
        if (is(reader, token, words[i]))
            return true;
    return false;
}

static void add_name(struct reader *reader, struct token name, uint16_t captures)
{
    struct found_name *found = list_add(&reader->found->names);
    if (found)
        *found = (struct found_name){name.span, name.line, captures};
}

static struct definition *add_definition(struct reader *reader, struct token name, struct token begin,
                                         enum tag_kind kind)
{
    struct found_definition *found = list_add(&reader->found->definitions);
    if (!found)
        return NULL;
    found->rank = 1;
    found->definition = (struct definition){.name = name.span, .kind = kind, .line = begin.line, .end_line = name.line};
    found->definition.whole = found->definition.signature = (struct span){begin.span.begin, name.span.end};
    return &found->definition;
}

static void open_block(struct reader *reader, size_t definition)
{
    if (reader->n_blocks < MAX_BLOCKS)
        reader->blocks[reader->n_blocks].definition = definition;
    reader->n_blocks++;
}

static void close_block(struct reader *reader)
{
    if (reader->n_blocks == 0)
        return;
    if (--reader->n_blocks >= MAX_BLOCKS || !reader->blocks[reader->n_blocks].definition)
        return;
    struct found_definition *found = reader->found->definitions.items;
    struct definition *definition = &found[reader->blocks[reader->n_blocks].definition - 1].definition;
    definition->whole.end = reader->token.span.end;
    definition->end_line = reader->token.line;
}

/* From the word function on: a name of its own, or the one that it is assigned to, if any; parameters. */
static void read_function(struct reader *reader, struct token begin, struct token name)
{
    size_t index = 0;
    next(reader);
    for (; reader->token.kind == TOKEN_WORD || is(reader, &reader->token, ".") || is(reader, &reader->token, ":");
         next(reader))
        if (reader->token.kind == TOKEN_WORD) {
            if (name.kind == TOKEN_WORD)
                add_name(reader, name, CAPTURE_REFERENCE); /* the table */
            name = reader->token;
        }
    if (name.kind == TOKEN_WORD && add_definition(reader, name, begin, TAG_FUNCTION))
        index = reader->found->definitions.n;
    if (is(reader, &reader->token, "(")) {
        for (next(reader);
             reader->token.kind == TOKEN_WORD || is(reader, &reader->token, ",") || is(reader, &reader->token, ".");
             next(reader))
            if (reader->token.kind == TOKEN_WORD)
                add_name(reader, reader->token, CAPTURE_LOCAL);
        if (index) {
            struct found_definition *found = reader->found->definitions.items;
            found[index - 1].definition.signature.end = reader->token.span.end;
            found[index - 1].definition.whole.end = reader->token.span.end;
            found[index - 1].definition.end_line = reader->token.line;
        }
        if (is(reader, &reader->token, ")"))
            next(reader);
    }
    open_block(reader, index);
}

/* local a, b = ...; local function f() */
static void read_local(struct reader *reader)
{
    struct token begin = reader->token, name = {TOKEN_END, {0, 0}, 0};
    size_t n = 0;
    next(reader);
    if (is(reader, &reader->token, "function")) {
        read_function(reader, begin, name);
        return;
    }
    while (reader->token.kind == TOKEN_WORD && !is_keyword(reader, &reader->token)) {
        name = reader->token;
        next(reader);
        if (is(reader, &reader->token, "<")) { /* an attribute */
            next(reader);
            next(reader);
            next(reader);
        }
        bool is_last = !is(reader, &reader->token, ",");
        if (is_last && n == 0 && is(reader, &reader->token, "=")) {
            next(reader);
            if (is(reader, &reader->token, "function")) {
                read_function(reader, begin, name);
                return;
            }
        }
        add_definition(reader, name, n == 0 ? begin : name, TAG_VARIABLE);
        n++;
        if (is_last)
            return;
        next(reader);
    }
}

/* A name in use: called, required, or given a value at the top. */
static void read_name(struct reader *reader)
{
    struct token before = reader->before, name = reader->token;
    bool is_member = is(reader, &before, ".") || is(reader, &before, ":");
    next(reader);
    bool is_text = reader->token.kind == TOKEN_TEXT, is_call = is(reader, &reader->token, "(") || is_text;
    if (is_call && !is_member && (is(reader, &name, "require") || is(reader, &name, "dofile"))) {
        if (!is_text)
            next(reader);
        struct import *import = reader->token.kind == TOKEN_TEXT ? list_add(&reader->found->imports) : NULL;
        if (import)
            *import = (struct import){.target = reader->token.span, .line = reader->token.line};
        if (!is_text)
            reader->nested++;
    } else if (is(reader, &reader->token, "=") && byte_at(reader, reader->at) != '=') {
        next(reader);
        if (is(reader, &reader->token, "function")) {
            read_function(reader, name, name);
            return;
        }
        if (!is_member && reader->n_blocks == 0 && reader->nested == 0) {
            add_definition(reader, name, name, TAG_VARIABLE);
            return;
        }
    }
    add_name(reader, name,
             (uint16_t)(CAPTURE_REFERENCE | (is_call ? CAPTURE_CALL : 0) | (is_member ? CAPTURE_MEMBER : 0)));
}

/* for a, b in ...: names that are local. */
static void read_for(struct reader *reader)
{
    for (next(reader); reader->token.kind == TOKEN_WORD && !is_keyword(reader, &reader->token); next(reader)) {
        add_name(reader, reader->token, CAPTURE_LOCAL);
        next(reader);
        if (!is(reader, &reader->token, ","))
            return;
    }
}

void lua_read(const char *text, uint32_t size, struct found *found)
{
    static const char *const opening[] = {"do", "if", "repeat"}, *const closing[] = {"end", "until"};
    struct reader reader = {.text = text, .size = size, .line = 1, .found = found};
    struct token none = {TOKEN_END, {0, 0}, 0};
    next(&reader);
    while (reader.token.kind != TOKEN_END) {
        const struct token *token = &reader.token;
        bool is_opening = false, is_closing = false;
        for (size_t i = 0; i < 3; i++)
            is_opening = is_opening || is(&reader, token, opening[i]);
        for (size_t i = 0; i < 2; i++)
            is_closing = is_closing || is(&reader, token, closing[i]);
        if (is(&reader, token, "function")) {
            read_function(&reader, *token, none);
        } else if (is(&reader, token, "local")) {
            read_local(&reader);
        } else if (is(&reader, token, "for")) {
            read_for(&reader);
        } else if (token->kind == TOKEN_WORD && !is_keyword(&reader, token)) {
            read_name(&reader);
        } else {
            if (is_opening)
                open_block(&reader, 0);
            else if (is_closing)
                close_block(&reader);
            else if (is(&reader, token, "(") || is(&reader, token, "{"))
                reader.nested++;
            else if ((is(&reader, token, ")") || is(&reader, token, "}")) && reader.nested)
                reader.nested--;
            next(&reader);
        }
    }
}
