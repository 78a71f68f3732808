/* lexical_c: a second look at C that the grammar doesn't understand, by tokens and braces alone.
 *
 * Macros that stand for syntax (SYSCALL_DEFINE3, declarations without semicolons, attributes) and conditionals in the
 * middle of a function make tree-sitter lose definitions, or take the rest of a file for one.  What a function is can
 * mostly be seen without a grammar: at the top level, a name, parentheses, a brace.  Functions, struct, union and enum
 * at the top level and macros are found here; braces in the first column, which code outside of functions and in them
 * keeps to very widely, put the count right again. */
#include "repo/syntax_private.h"

#include <string.h>

enum { MAX_CONDITIONALS = 64 };

struct scanner {
    const char *text;
    uint32_t size, at, line;
    struct list *out;
    bool macros_only;
    /* the statement at the top level */
    bool is_begun, has_equal, is_tag_open; /* tag: struct, union, enum NAME with nothing behind it yet */
    bool closed_group;
    bool is_typedef, is_named; /* named: type_name is settled, as that of (*name)(...) */
    struct span type_name, last_type_name;
    uint32_t begin, begin_line;
    struct span word, name, reserved, argument, tag; /* word: where the last token was one */
    enum tag_kind tag_kind;
    bool has_tag_word;
    uint32_t depth, parens;
    /* the definition whose braces are open */
    bool is_open;
    struct found_definition open;
    struct {
        uint32_t depth, parens;
        bool is_skipped; /* all further branches are */
    } conditionals[MAX_CONDITIONALS];
    uint32_t n_conditionals;
};

static bool is_word(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_';
}

static bool equals(const struct scanner *s, struct span span, const char *text)
{
    return slice_equals((struct slice){s->text + span.begin, span.end - span.begin}, text);
}

static bool is_empty(struct span span)
{
    return span.end <= span.begin;
}

static void skip_to(struct scanner *s, uint32_t end)
{
    for (; s->at < end; s->at++)
        s->line += s->text[s->at] == '\n';
}

/* Behind the comment, text or character that begins here. */
static uint32_t end_of_comment(const struct scanner *s, uint32_t at)
{
    if (s->text[at + 1] == '/') {
        const char *end = memchr(s->text + at, '\n', s->size - at);
        return end ? (uint32_t)(end - s->text) : s->size;
    }
    const char *end = memmem(s->text + at + 2, s->size - at - 2, "*/", 2);
    return end ? (uint32_t)(end - s->text) + 2 : s->size;
}

static uint32_t end_of_quoted(const struct scanner *s, uint32_t at)
{
    char quote = s->text[at++];
    while (at < s->size && s->text[at] != quote && s->text[at] != '\n')
        at += s->text[at] == '\\' && at + 1 < s->size ? 2 : 1;
    return at < s->size && s->text[at] == quote ? at + 1 : at < s->size ? at : s->size;
}

static bool is_comment(const struct scanner *s, uint32_t at)
{
    return s->text[at] == '/' && at + 1 < s->size && (s->text[at + 1] == '/' || s->text[at + 1] == '*');
}

/* Behind the directive's last line, not counting the newline. */
static uint32_t end_of_directive(const struct scanner *s, uint32_t at)
{
    while (at < s->size && s->text[at] != '\n') {
        if (is_comment(s, at))
            at = end_of_comment(s, at);
        else if (s->text[at] == '\\' && at + 1 < s->size)
            at += s->text[at + 1] == '\r' && at + 2 < s->size ? 3 : 2;
        else
            at++;
    }
    return at < s->size ? at : s->size;
}

static void reset(struct scanner *s)
{
    s->is_typedef = s->is_named = false;
    s->type_name = s->last_type_name = (struct span){0, 0};
    s->is_begun = s->has_equal = s->is_tag_open = s->has_tag_word = s->closed_group = false;
    s->name = s->reserved = s->argument = s->tag = s->word = (struct span){0, 0};
    s->parens = 0;
}

static void emit(struct scanner *s, const struct found_definition *definition)
{
    bool is_wanted = !s->macros_only || definition->definition.kind == TAG_MACRO;
    struct found_definition *out = is_wanted ? list_add(s->out) : NULL;
    if (out)
        *out = *definition;
}

static void take_define(struct scanner *s, uint32_t begin, uint32_t at, uint32_t end)
{
    struct found_definition found = {.rank = LEXICAL_RANK};
    struct definition *macro = &found.definition;
    while (at < end && (s->text[at] == ' ' || s->text[at] == '\t'))
        at++;
    macro->name.begin = at;
    while (at < end && is_word(s->text[at]))
        at++;
    macro->name.end = at;
    macro->kind = TAG_MACRO;
    macro->whole = macro->signature = (struct span){begin, end};
    if (at < end && s->text[at] == '(') {
        const char *close = memchr(s->text + at, ')', end - at);
        if (close)
            macro->signature.end = (uint32_t)(close - s->text) + 1;
    }
    macro->line = macro->end_line = s->line;
    for (uint32_t i = begin; i < end; i++)
        macro->end_line += s->text[i] == '\n';
    if (!is_empty(macro->name))
        emit(s, &found);
}

/* Goes on behind the #else, #elif or #endif that belongs to what is open here. */
static void skip_branch(struct scanner *s, bool to_endif)
{
    uint32_t nested = 0;
    while (s->at < s->size) {
        const char *newline = memchr(s->text + s->at, '\n', s->size - s->at);
        if (!newline) {
            s->at = s->size;
            return;
        }
        skip_to(s, (uint32_t)(newline - s->text) + 1);
        uint32_t at = s->at;
        while (at < s->size && (s->text[at] == ' ' || s->text[at] == '\t'))
            at++;
        if (at >= s->size || s->text[at] != '#')
            continue;
        for (at++; at < s->size && (s->text[at] == ' ' || s->text[at] == '\t');)
            at++;
        struct slice rest = {s->text + at, s->size - at};
        bool is_if = rest.size > 2 && memcmp(rest.data, "if", 2) == 0;
        bool is_end = rest.size >= 5 && memcmp(rest.data, "endif", 5) == 0;
        bool is_else = rest.size >= 4 && memcmp(rest.data, "el", 2) == 0;
        if (is_if) {
            nested++;
        } else if (is_end && nested) {
            nested--;
        } else if (is_end || (is_else && !nested && !to_endif)) {
            if (is_end && s->n_conditionals)
                s->n_conditionals--;
            skip_to(s, end_of_directive(s, at));
            return;
        }
    }
}

/* A conditional whose first branch leaves braces open: only that one is read, as the others would open them again. */
static void take_else(struct scanner *s)
{
    if (s->n_conditionals == 0 || s->n_conditionals > MAX_CONDITIONALS)
        return;
    uint32_t top = s->n_conditionals - 1;
    if (s->conditionals[top].depth != s->depth || s->conditionals[top].parens != s->parens)
        skip_branch(s, true);
}

static void take_directive(struct scanner *s)
{
    uint32_t begin = s->at, at = begin + 1, end = end_of_directive(s, begin);
    while (at < end && (s->text[at] == ' ' || s->text[at] == '\t'))
        at++;
    struct span word = {at, at};
    while (word.end < end && is_word(s->text[word.end]))
        word.end++;
    if (equals(s, word, "define"))
        take_define(s, begin, word.end, end);
    bool is_if = equals(s, word, "if"), is_never = false;
    if (is_if) {
        at = word.end;
        while (at < end && (s->text[at] == ' ' || s->text[at] == '\t'))
            at++;
        is_never = at < end && s->text[at] == '0' && (at + 1 == end || !is_word(s->text[at + 1]));
    }
    skip_to(s, end);
    if (is_if || equals(s, word, "ifdef") || equals(s, word, "ifndef")) {
        if (s->n_conditionals < MAX_CONDITIONALS) {
            s->conditionals[s->n_conditionals].depth = s->depth;
            s->conditionals[s->n_conditionals].parens = s->parens;
        }
        s->n_conditionals++;
        if (is_never)
            skip_branch(s, false);
    } else if (equals(s, word, "else") || equals(s, word, "elif")) {
        take_else(s);
    } else if (equals(s, word, "endif") && s->n_conditionals) {
        s->n_conditionals--;
    }
}

bool lexical_c_is_keyword(const char *text, struct span name)
{
    static const char *const words[] = {"if", "for", "while", "switch", "return", "sizeof", "typeof", "defined"};
    struct slice slice = {text + name.begin, name.end - name.begin};
    for (size_t i = 0; i < sizeof words / sizeof *words; i++)
        if (slice_equals(slice, words[i]))
            return true;
    return false;
}

static bool is_reserved(const struct scanner *s, struct span name)
{
    bool is_attribute = name.end - name.begin > 2 && s->text[name.begin] == '_' && s->text[name.begin + 1] == '_';
    return is_attribute || lexical_c_is_keyword(s->text, name);
}

/* Macros that define a function by the name they are given: SYSCALL_DEFINE3(read, ...), BPF_CALL_1(name, ...). */
static bool defines_its_argument(const struct scanner *s, struct span name)
{
    return memmem(s->text + name.begin, name.end - name.begin, "DEFINE", 6) ||
           memmem(s->text + name.begin, name.end - name.begin, "_CALL_", 6);
}

static void take_word(struct scanner *s, struct span word, bool is_first_column)
{
    if (s->parens) {
        if (s->parens == 1 && is_empty(s->argument) && !s->closed_group)
            s->argument = word;
        s->word = word;
        return;
    }
    /* LIST_HEAD(x), module_init(x) without a semicolon: what begins a line behind them is another statement. */
    if (s->closed_group && is_first_column && s->text[word.begin] != '_')
        reset(s);
    if (!s->is_begun) {
        s->is_begun = true;
        s->begin = word.begin;
        s->begin_line = s->line;
        s->is_typedef = equals(s, word, "typedef");
    } else if (s->is_typedef && !s->is_named) {
        s->last_type_name = s->type_name;
        s->type_name = word;
    }
    bool is_struct = equals(s, word, "struct"), is_union = equals(s, word, "union"), is_enum = equals(s, word, "enum");
    if (is_struct || is_union || is_enum) {
        s->has_tag_word = true;
        s->is_tag_open = false;
        s->tag_kind = is_struct ? TAG_STRUCT : is_union ? TAG_UNION : TAG_ENUM;
    } else if (s->has_tag_word) {
        s->tag = word;
        s->is_tag_open = true;
        s->has_tag_word = false;
    } else if (s->is_tag_open && is_reserved(s, s->tag)) {
        s->tag = word; /* struct __packed NAME */
    } else {
        s->is_tag_open = false;
    }
    s->word = word;
}

/* In a typedef: what (*name)(...), name(...) and __attribute__((...)) make of the name. */
static void take_open_of_type(struct scanner *s)
{
    uint32_t at = s->at + 1;
    struct span word = {0, 0};
    if (s->is_named)
        return;
    for (; at < s->size && !strchr("),([", s->text[at]); at++) {
        if (is_word(s->text[at]) && !is_word(s->text[at - 1]))
            word.begin = at;
        if (is_word(s->text[at]))
            word.end = at + 1;
    }
    bool is_name_before = !is_empty(s->word) && s->word.begin == s->type_name.begin, is_inside = false;
    if (at < s->size && s->text[at] == ')') {
        for (at++; at < s->size && (unsigned char)s->text[at] <= ' ';)
            at++;
        is_inside = at < s->size && s->text[at] == '('; /* (...)(...) */
    } else {
        is_inside = s->at + 1 < s->size && s->text[s->at + 1] == '*';
    }
    if (is_inside && !is_empty(word)) {
        s->type_name = word;
        s->is_named = true;
    } else if (is_name_before && is_reserved(s, s->word)) {
        s->type_name = s->last_type_name;
    } else if (is_name_before) {
        s->is_named = true;
    }
}

/* At , and ; of a typedef. */
static void emit_type(struct scanner *s)
{
    struct found_definition found = {.rank = LEXICAL_RANK};
    struct definition *type = &found.definition;
    type->kind = TAG_TYPE;
    type->name = s->type_name;
    type->whole = type->signature = (struct span){s->begin, s->at + 1};
    type->line = s->begin_line;
    type->end_line = s->line;
    if (!is_empty(s->type_name))
        emit(s, &found);
    s->type_name = s->last_type_name = (struct span){0, 0};
    s->is_named = false;
}

static void take_open(struct scanner *s)
{
    if (s->parens++ == 0) {
        s->is_tag_open = false;
        if (s->is_typedef)
            take_open_of_type(s);
        if (is_empty(s->word))
            return;
        if (is_empty(s->name) && !is_reserved(s, s->word)) {
            s->name = s->word;
            s->argument = (struct span){0, 0};
            s->closed_group = false;
        } else if (is_empty(s->reserved)) {
            s->reserved = s->word;
        }
    }
}

static void open_definition(struct scanner *s)
{
    struct span name = is_empty(s->name) ? s->reserved : s->name;
    struct definition *open = &s->open.definition;
    bool is_function = !s->has_equal && !s->is_typedef && !is_empty(name) && !s->is_tag_open;
    s->is_open = (is_function && s->closed_group) || (s->is_tag_open && !s->has_equal);
    if (!s->is_open)
        return;
    s->open = (struct found_definition){.rank = LEXICAL_RANK};
    if (is_function && defines_its_argument(s, name) && !is_empty(s->argument))
        name = s->argument;
    open->kind = is_function ? TAG_FUNCTION : s->tag_kind;
    open->name = is_function ? name : s->tag;
    open->whole.begin = open->signature.begin = s->begin;
    open->signature.end = s->at;
    open->line = s->begin_line;
}

/* FIXTURE_VARIANT_ADD(tls, 12_aes_gcm) { .cipher = ... }; is no function, though a function may have a ; too many. */
static bool is_initializer(const struct scanner *s)
{
    struct span name = s->open.definition.name;
    if (s->at + 1 >= s->size || s->text[s->at + 1] != ';')
        return false;
    for (uint32_t i = name.begin; i < name.end; i++)
        if (s->text[i] >= 'a' && s->text[i] <= 'z')
            return false;
    return true;
}

static void take_brace(struct scanner *s)
{
    bool is_first_column = s->at == 0 || s->text[s->at - 1] == '\n';
    if (s->text[s->at] == '{') {
        if (is_first_column && s->depth == 0)
            s->parens = 0;
        if (s->depth++ == 0 && s->parens == 0)
            open_definition(s);
        return;
    }
    if (is_first_column)
        s->depth = 0;
    else if (s->depth)
        s->depth--;
    if (s->depth == 0 && s->is_open) {
        s->open.definition.whole.end = s->at + 1;
        s->open.definition.end_line = s->line;
        if (s->open.definition.kind == TAG_FUNCTION)
            reset(s);
        if (s->open.definition.kind != TAG_FUNCTION || !is_initializer(s))
            emit(s, &s->open);
        s->is_open = false;
    }
    s->is_tag_open = false;
}

static void take_sign(struct scanner *s)
{
    char c = s->text[s->at];
    if (c == '{' || c == '}') {
        take_brace(s);
    } else if (s->depth == 0) {
        if (c == '(')
            take_open(s);
        else if (c == '[')
            s->parens++;
        else if (c == ']' && s->parens)
            s->parens--;
        else if (c == ')' && s->parens && --s->parens == 0)
            s->closed_group = s->closed_group || !is_empty(s->name) || !is_empty(s->reserved);
        else if (c == '=' && s->parens == 0)
            s->has_equal = true;
        else if ((c == ';' || c == ',') && s->parens == 0 && s->is_typedef)
            emit_type(s);
        if (c == ';' && s->parens == 0)
            reset(s);
        if (c != ';')
            s->word = (struct span){0, 0};
    }
    s->at++;
}

void lexical_c_run(const char *text, uint32_t size, bool macros_only, struct list *definitions)
{
    struct scanner s = {.text = text, .size = size, .line = 1, .out = definitions, .macros_only = macros_only};
    bool is_line_begin = true;
    while (s.at < size) {
        char c = text[s.at];
        if (c == '\n' || c == ' ' || c == '\t' || c == '\r' || c == '\f') {
            is_line_begin = is_line_begin || c == '\n';
            s.line += c == '\n';
            s.at++;
        } else if (c == '#' && is_line_begin) {
            take_directive(&s);
        } else if (is_comment(&s, s.at)) {
            skip_to(&s, end_of_comment(&s, s.at));
        } else if (c == '"' || c == '\'') {
            is_line_begin = false;
            skip_to(&s, end_of_quoted(&s, s.at));
        } else if (is_word(c)) {
            struct span word = {s.at, s.at};
            while (word.end < size && is_word(text[word.end]))
                word.end++;
            if (s.depth == 0)
                take_word(&s, word, word.begin == 0 || text[word.begin - 1] == '\n');
            is_line_begin = false;
            s.at = word.end;
        } else {
            is_line_begin = false;
            take_sign(&s);
        }
    }
}
