/* chat_normal: see chat_normal.h.
 *
 *   text ─► tags and what stands between them (white space rules) ─► tokens ─► statements, dead branches left out ─► form
 *
 * One walk over the text.  Constants are gathered until something else comes, so that it makes no difference how the author
 * cut them; the branches that are open lie on a stack of fixed height. */
#include "engine/chat_normal.h"

#include <string.h>

#include "engine/chat_facts.h"
#include "engine/chat_reduce.h"

enum { TEXT_LIMIT = 128 * 1024, TAG_TOKENS = 512, MAX_DEPTH = 32, MAX_NESTING = 16 };

enum token_type { TOKEN_NAME, TOKEN_STRING, TOKEN_NUMBER, TOKEN_SIGN };

struct token {
    enum token_type type;
    struct slice text; /* of a string: what it says, escapes resolved */
};

struct token_list {
    struct token items[TAG_TOKENS];
    size_t n;
};

enum block_kind { BLOCK_IF, BLOCK_OTHER };

/* A block that is open. */
struct block {
    enum block_kind kind;
    bool is_written; /* BLOCK_IF: "if" stands in the form, so "endif" must */
    bool is_taken;   /* BLOCK_IF: a branch that is always taken was met, the rest is dead */
    bool is_dead;    /* the branch we are in */
    size_t begin;    /* of the form where the block was opened */
};

struct walk {
    const char *text;
    size_t size, at;
    struct chat_normal *out;
    struct buffer constant; /* gathered, not yet written */
    struct arena strings;   /* what string tokens say */
    struct block blocks[MAX_DEPTH];
    size_t n_blocks;
    struct token_list tokens;
};

static enum status refuse(struct error *error, const char *why)
{
    return error_set(error, STATUS_UNSUPPORTED, "chat template: %s", why);
}

static bool is_space(char c)
{
    return c == ' ' || (c >= '\t' && c <= '\r');
}

static bool is_letter(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_';
}

static bool is_digit(char c)
{
    return c >= '0' && c <= '9';
}

/* ---- tokens ---- */

static int hex_value(char c)
{
    if (is_digit(c))
        return c - '0';
    c = (char)(c | 0x20);
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

/* An escape of a Python string at text[*i], after the backslash. */
static bool escape_resolve(struct slice text, size_t *i, struct buffer *out)
{
    static const char names[] = "nrtabfv0\\'\"", values[] = "\n\r\t\a\b\f\v\0\\'\"";
    char c = text.data[(*i)++];
    size_t n_digits = c == 'x' ? 2 : c == 'u' ? 4 : c == 'U' ? 8 : 0;
    if (n_digits) {
        uint32_t code_point = 0;
        for (; n_digits; n_digits--) {
            int digit = *i < text.size ? hex_value(text.data[*i]) : -1;
            if (digit < 0 || code_point > 0x10ffff)
                return false;
            code_point = code_point << 4 | (uint32_t)digit;
            ++*i;
        }
        if (code_point > 0x10ffff || (code_point >= 0xd800 && code_point <= 0xdfff))
            return false;
        buffer_append_code_point(out, code_point);
        return true;
    }
    const char *name = c ? strchr(names, c) : NULL;
    if (!name)
        return false;
    buffer_append_byte(out, values[name - names]);
    return true;
}

static enum status string_read(struct walk *walk, struct slice *out, struct error *error)
{
    char quote = walk->text[walk->at++];
    size_t begin = walk->at;
    while (walk->at < walk->size && walk->text[walk->at] != quote)
        walk->at += walk->text[walk->at] == '\\' ? 2 : 1;
    if (walk->at >= walk->size)
        return refuse(error, "a string has no end");
    struct slice raw = {walk->text + begin, walk->at++ - begin};
    struct buffer plain = {0};
    bool is_good = true;
    for (size_t i = 0; i < raw.size && is_good;) {
        if (raw.data[i] == '\r') { /* newlines of any kind are one */
            i += i + 1 < raw.size && raw.data[i + 1] == '\n' ? 2 : 1;
            buffer_append_byte(&plain, '\n');
        } else if (raw.data[i] != '\\') {
            buffer_append_byte(&plain, raw.data[i++]);
        } else {
            i++;
            is_good = escape_resolve(raw, &i, &plain);
        }
    }
    char *copy = arena_copy_text(&walk->strings, plain.data, plain.size);
    *out = (struct slice){copy, plain.size};
    is_good &= !plain.size || !memchr(plain.data, 0, plain.size);
    bool failed = plain.failed || !copy;
    buffer_deinit(&plain);
    if (failed)
        return error_set(error, STATUS_MEMORY, "chat template: out of memory");
    return is_good ? STATUS_OK : refuse(error, "a string has an escape that is unknown");
}

/* Reads one token at walk->at, which is no space. */
static enum status token_read(struct walk *walk, struct error *error)
{
    static const char *const pairs[] = {"==", "!=", ">=", "<=", "//", "**"};
    if (walk->tokens.n == TAG_TOKENS)
        return refuse(error, "a tag is too long");
    struct token *token = &walk->tokens.items[walk->tokens.n++];
    const char *text = walk->text + walk->at;
    size_t left = walk->size - walk->at, n = 1;
    if (*text == '\'' || *text == '"') {
        token->type = TOKEN_STRING;
        return string_read(walk, &token->text, error);
    }
    if (is_letter(*text)) {
        token->type = TOKEN_NAME;
        while (n < left && (is_letter(text[n]) || is_digit(text[n])))
            n++;
    } else if (is_digit(*text)) {
        token->type = TOKEN_NUMBER;
        while (n < left && is_digit(text[n]))
            n++;
    } else if (strchr("+-*/%~|.,:()[]{}=<>!", *text) && *text) {
        token->type = TOKEN_SIGN;
        for (size_t i = 0; i < sizeof pairs / sizeof *pairs; i++)
            if (left >= 2 && memcmp(text, pairs[i], 2) == 0)
                n = 2;
    } else {
        return refuse(error, "a tag holds a character that is not Jinja");
    }
    token->text = (struct slice){text, n};
    walk->at += n;
    return STATUS_OK;
}

/* Reads the tokens of a tag up to its end, close being '}' or '%'.  *sign: the plus or minus there, or 0. */
static enum status tag_read(struct walk *walk, char close, char *sign, struct error *error)
{
    int depth = 0; /* of braces: }} may close two dictionaries */
    walk->tokens.n = 0;
    for (;;) {
        while (walk->at < walk->size && is_space(walk->text[walk->at]))
            walk->at++;
        const char *text = walk->text + walk->at;
        size_t left = walk->size - walk->at;
        if (left < 2)
            return refuse(error, "a tag has no end");
        bool has_sign = left >= 3 && (*text == '-' || *text == '+');
        if (depth == 0 && text[has_sign] == close && text[has_sign + 1] == '}') {
            *sign = has_sign ? *text : 0;
            walk->at += 2 + (size_t)has_sign;
            return STATUS_OK;
        }
        enum status status = token_read(walk, error);
        if (status)
            return status;
        const struct token *last = &walk->tokens.items[walk->tokens.n - 1];
        if (last->type == TOKEN_SIGN)
            depth += (*last->text.data == '{') - (*last->text.data == '}');
    }
}

static bool token_is(const struct token *token, const char *text)
{
    return token->type != TOKEN_STRING && slice_equals(token->text, text);
}

static bool token_opens(const struct token *token)
{
    return token->type == TOKEN_SIGN && memchr("([{", *token->text.data, 3);
}

static bool token_closes(const struct token *token)
{
    return token->type == TOKEN_SIGN && memchr(")]}", *token->text.data, 3);
}

/* ---- constants and holes ---- */

/* A sentence: it begins with a letter (of any script) and has two spaces or more, or is long and not ASCII. */
static bool is_sentence(const char *text, size_t size)
{
    size_t n_spaces = 0, n_high = 0;
    for (size_t i = 0; i < size; i++) {
        n_spaces += text[i] == ' ';
        n_high += (unsigned char)text[i] >= 0x80;
    }
    return size && (is_letter(*text) || (unsigned char)*text >= 0x80) && (n_spaces >= 2 || n_high >= 30);
}

static void form_put_quoted(struct buffer *form, const char *text, size_t size)
{
    for (size_t i = 0; i < size; i++) {
        if (text[i] == '\n')
            buffer_append(form, "\\n", 2);
        else if (text[i] == '\'' || text[i] == '\\')
            buffer_append(form, (const char[]){'\\', text[i]}, 2);
        else if (text[i] == 1)
            buffer_append(form, "\\1", 2);
        else
            buffer_append_byte(form, text[i]);
    }
}

/* Where the mark that begins at text ends: <|...|>, <｜...｜>, or 0. */
static size_t mark_size(const char *text, size_t size)
{
    if (size < 4 || *text != '<' || (text[1] != '|' && (unsigned char)text[1] != 0xef))
        return 0;
    const char *end = memchr(text, '>', size);
    return end ? (size_t)(end - text) + 1 : 0;
}

/* One constant: marks as they are, sentences as holes. */
static void form_put_constant(struct walk *walk, const char *text, size_t size)
{
    struct chat_normal *out = walk->out;
    buffer_append_byte(&out->form, '\'');
    while (size) {
        size_t n = mark_size(text, size);
        bool is_mark = n > 0;
        if (!is_mark)
            for (n = 1; n < size && !mark_size(text + n, size - n); n++)
                ;
        size_t prefix = !is_mark && n > 7 && memcmp(text, "system\n", 7) == 0 ? 7 : 0;
        if (!is_mark && out->n_holes < CHAT_MAX_HOLES && is_sentence(text + prefix, n - prefix)) {
            form_put_quoted(&out->form, text, prefix);
            buffer_append_byte(&out->form, 1);
            out->holes[out->n_holes++] = out->texts.size;
            buffer_append(&out->texts, text + prefix, n - prefix);
            buffer_append_byte(&out->texts, 0);
        } else {
            form_put_quoted(&out->form, text, n);
        }
        text += n;
        size -= n;
    }
    buffer_append_byte(&out->form, '\'');
}

static void constant_flush(struct walk *walk)
{
    if (walk->constant.size == 0)
        return;
    buffer_append(&walk->out->form, "put ", 4);
    form_put_constant(walk, walk->constant.data, walk->constant.size);
    buffer_append_byte(&walk->out->form, '\n');
    buffer_clear(&walk->constant);
}

/* ---- expressions ---- */

static bool is_identifier(struct slice text)
{
    if (text.size == 0 || !is_letter(*text.data))
        return false;
    for (size_t i = 1; i < text.size; i++)
        if (!is_letter(text.data[i]) && !is_digit(text.data[i]))
            return false;
    return true;
}

/* Tokens begin .. end in one spelling: no spaces but between names, x.role for x['role'], no words in an exception. */
static void form_put_tokens(struct walk *walk, struct buffer *form, size_t begin, size_t end)
{
    const struct token *items = walk->tokens.items;
    bool after_word = false;
    for (size_t i = begin; i < end; i++) {
        bool is_word = items[i].type == TOKEN_NAME || items[i].type == TOKEN_NUMBER;
        if (after_word && is_word)
            buffer_append_byte(form, ' ');
        after_word = is_word;
        if (i > begin && i + 2 < end && token_is(&items[i], "[") && items[i + 1].type == TOKEN_STRING &&
            token_is(&items[i + 2], "]") && is_identifier(items[i + 1].text) &&
            (items[i - 1].type == TOKEN_NAME || token_closes(&items[i - 1]))) {
            buffer_append_byte(form, '.');
            buffer_append(form, items[i + 1].text.data, items[i + 1].text.size);
            i += 2;
            after_word = true;
        } else if (items[i].type == TOKEN_STRING) {
            if (form == &walk->out->form) {
                form_put_constant(walk, items[i].text.data, items[i].text.size);
            } else {
                buffer_append_byte(form, '\'');
                form_put_quoted(form, items[i].text.data, items[i].text.size);
                buffer_append_byte(form, '\'');
            }
        } else {
            buffer_append(form, items[i].text.data, items[i].text.size);
        }
        if (i + 2 < end && token_is(&items[i], "raise_exception") && token_is(&items[i + 1], "(")) {
            buffer_append(form, "()", 2);
            while (i + 1 < end && !token_is(&items[i], ")"))
                i++;
        }
    }
}

/* The place of the first token at depth 0 of begin .. end that is one of a or b (b may be NULL); end where there is none. */
static size_t find_outside(const struct walk *walk, size_t begin, size_t end, const char *a, const char *b)
{
    int depth = 0;
    for (size_t i = begin; i < end; i++) {
        const struct token *token = &walk->tokens.items[i];
        if (depth == 0 && (token_is(token, a) || (b && token_is(token, b))))
            return i;
        depth += token_opens(token) - token_closes(token);
    }
    return end;
}

/* Whether begin .. end is one pair of parentheses with all else inside. */
static bool is_wrapped(const struct walk *walk, size_t begin, size_t end)
{
    if (end < begin + 2 || !token_is(&walk->tokens.items[begin], "("))
        return false;
    int depth = 0;
    for (size_t i = begin; i < end; i++) {
        depth += token_opens(&walk->tokens.items[i]) - token_closes(&walk->tokens.items[i]);
        if (depth == 0)
            return i + 1 == end;
    }
    return false;
}

/* What of a condition is not decided by the facts is appended to form; the result says whether anything is left open. */
static enum truth condition_reduce(struct walk *walk, size_t begin, size_t end, int nesting, struct buffer *form);

/* Operands of "and" (or "or"): absorbing is the value that decides alone. */
static enum truth operands_reduce(struct walk *walk, size_t begin, size_t end, const char *word, enum truth absorbing,
                                  int nesting, struct buffer *form)
{
    struct buffer left = {0};
    size_t n_left = 0;
    enum truth truth = absorbing == TRUTH_FALSE ? TRUTH_TRUE : TRUTH_FALSE;
    for (size_t at = begin; at <= end;) {
        size_t stop = find_outside(walk, at, end, word, NULL);
        struct buffer operand = {0};
        enum truth part = condition_reduce(walk, at, stop, nesting + 1, &operand);
        if (part == TRUTH_UNKNOWN) {
            if (n_left++)
                buffer_printf(&left, " %s ", word);
            buffer_append(&left, operand.data, operand.size);
        }
        buffer_deinit(&operand);
        if (part == absorbing) {
            buffer_deinit(&left);
            return absorbing;
        }
        if (part == TRUTH_UNKNOWN)
            truth = TRUTH_UNKNOWN;
        at = stop + 1;
    }
    if (truth == TRUTH_UNKNOWN) {
        if (n_left > 1)
            buffer_printf(form, "(%s)", buffer_text(&left));
        else
            buffer_append(form, left.data, left.size);
    }
    form->failed |= left.failed;
    buffer_deinit(&left);
    return truth;
}

static enum truth condition_reduce(struct walk *walk, size_t begin, size_t end, int nesting, struct buffer *form)
{
    bool is_plain = nesting > MAX_NESTING || find_outside(walk, begin, end, "if", NULL) < end;
    if (!is_plain && is_wrapped(walk, begin, end))
        return condition_reduce(walk, begin + 1, end - 1, nesting + 1, form);
    if (!is_plain && find_outside(walk, begin, end, "or", NULL) < end)
        return operands_reduce(walk, begin, end, "or", TRUTH_TRUE, nesting, form);
    if (!is_plain && find_outside(walk, begin, end, "and", NULL) < end)
        return operands_reduce(walk, begin, end, "and", TRUTH_FALSE, nesting, form);
    if (!is_plain && begin < end && token_is(&walk->tokens.items[begin], "not")) {
        struct buffer operand = {0};
        enum truth truth = condition_reduce(walk, begin + 1, end, nesting + 1, &operand);
        if (truth == TRUTH_UNKNOWN)
            buffer_printf(form, "not(%s)", buffer_text(&operand));
        form->failed |= operand.failed;
        buffer_deinit(&operand);
        return truth == TRUTH_UNKNOWN ? truth : truth == TRUTH_TRUE ? TRUTH_FALSE : TRUTH_TRUE;
    }
    size_t at = form->size;
    form_put_tokens(walk, form, begin, end);
    enum truth truth = form->failed
                           ? TRUTH_UNKNOWN
                           : chat_fact_find(&walk->out->form, (struct slice){buffer_text(form) + at, form->size - at});
    if (truth != TRUTH_UNKNOWN)
        form->size = at;
    return truth;
}

/* ---- statements ---- */

static bool is_dead(const struct walk *walk)
{
    return walk->n_blocks && walk->blocks[walk->n_blocks - 1].is_dead;
}

/* {{ ... }}: the operands of + one by one, so that constants can be joined with what stands around. */
static void output_put(struct walk *walk)
{
    static const char *const weaker[] = {
        "if", "or", "and", "not", "in", "is", "==", "!=", "<", ">", "<=", ">=", "~", "-"};
    size_t begin = 0, end = walk->tokens.n;
    while (is_wrapped(walk, begin, end)) {
        begin++;
        end--;
    }
    bool is_sum = true;
    for (size_t i = 0; i < sizeof weaker / sizeof *weaker; i++)
        is_sum &= find_outside(walk, begin, end, weaker[i], NULL) == end;
    while (begin < end) {
        size_t stop = is_sum ? find_outside(walk, begin, end, "+", NULL) : end;
        const struct token *first = &walk->tokens.items[begin];
        if (stop == begin + 1 && first->type == TOKEN_STRING) {
            buffer_append(&walk->constant, first->text.data, first->text.size);
        } else {
            constant_flush(walk);
            buffer_append(&walk->out->form, "put ", 4);
            form_put_tokens(walk, &walk->out->form, begin, stop);
            buffer_append_byte(&walk->out->form, '\n');
        }
        begin = stop + 1;
    }
}

static void branch_open(struct walk *walk, struct block *block, const char *word)
{
    struct buffer condition = {0};
    enum truth truth = condition_reduce(walk, 1, walk->tokens.n, 0, &condition);
    block->is_dead = truth == TRUTH_FALSE;
    if (truth == TRUTH_TRUE) {
        block->is_taken = true;
        if (block->is_written)
            buffer_append_text(&walk->out->form, "else\n");
    } else if (truth == TRUTH_UNKNOWN) {
        buffer_printf(&walk->out->form, "%s %s\n", block->is_written ? word : "if", buffer_text(&condition));
        block->is_written = true;
    }
    walk->out->form.failed |= condition.failed;
    buffer_deinit(&condition);
}

static enum status block_open(struct walk *walk, enum block_kind kind, struct block **out, struct error *error)
{
    if (walk->n_blocks == MAX_DEPTH)
        return refuse(error, "too many blocks inside of each other");
    bool dead = is_dead(walk);
    *out = &walk->blocks[walk->n_blocks++];
    /* Inside of a dead branch every branch counts as taken before, so that none comes alive. */
    **out = (struct block){.kind = kind, .is_dead = dead, .is_taken = dead};
    if (!dead)
        constant_flush(walk);
    (*out)->begin = walk->out->form.size;
    return STATUS_OK;
}

/* elif, else */
static enum status block_branch(struct walk *walk, bool has_condition, struct error *error)
{
    struct block *block = walk->n_blocks ? &walk->blocks[walk->n_blocks - 1] : NULL;
    if (!block || block->kind != BLOCK_IF)
        return refuse(error, "an else without an if");
    if (!block->is_dead)
        constant_flush(walk);
    if (block->is_taken) {
        block->is_dead = true;
    } else if (has_condition) {
        branch_open(walk, block, "elif");
    } else {
        block->is_dead = false;
        block->is_taken = true;
        if (block->is_written)
            buffer_append_text(&walk->out->form, "else\n");
    }
    return STATUS_OK;
}

static enum status block_close(struct walk *walk, enum block_kind kind, struct error *error)
{
    struct block *block = walk->n_blocks ? &walk->blocks[walk->n_blocks - 1] : NULL;
    if (!block || block->kind != kind)
        return refuse(error, "an end without a beginning");
    if (!block->is_dead)
        constant_flush(walk);
    walk->n_blocks--;
    if (is_dead(walk))
        return STATUS_OK;
    if (kind == BLOCK_IF) {
        if (block->is_written)
            buffer_append_text(&walk->out->form, "endif\n");
    } else {
        form_put_tokens(walk, &walk->out->form, 0, walk->tokens.n);
        buffer_append_byte(&walk->out->form, '\n');
    }
    return STATUS_OK;
}

/* {% ... %} */
static enum status statement_put(struct walk *walk, struct error *error)
{
    struct block *block;
    if (walk->tokens.n == 0)
        return refuse(error, "an empty tag");
    const struct token *first = walk->tokens.items;
    if (token_is(first, "if")) {
        enum status status = block_open(walk, BLOCK_IF, &block, error);
        if (status == STATUS_OK && !block->is_dead)
            branch_open(walk, block, "if");
        return status;
    }
    if (token_is(first, "elif") || token_is(first, "else"))
        return block_branch(walk, token_is(first, "elif"), error);
    if (token_is(first, "endif"))
        return block_close(walk, BLOCK_IF, error);
    if (token_is(first, "endfor") || token_is(first, "endmacro") || token_is(first, "endset") ||
        token_is(first, "endgeneration") || token_is(first, "endfilter"))
        return block_close(walk, BLOCK_OTHER, error);
    bool is_assignment = token_is(first, "set") && find_outside(walk, 0, walk->tokens.n, "=", NULL) < walk->tokens.n;
    bool is_block = token_is(first, "for") || token_is(first, "macro") || token_is(first, "set") ||
                    token_is(first, "generation") || token_is(first, "filter");
    if (!is_assignment && !is_block)
        return refuse(error, "a statement that is unknown");
    if (!is_assignment) {
        enum status status = block_open(walk, BLOCK_OTHER, &block, error);
        if (status)
            return status;
    }
    if (!is_dead(walk)) {
        constant_flush(walk);
        form_put_tokens(walk, &walk->out->form, 0, walk->tokens.n);
        buffer_append_byte(&walk->out->form, '\n');
    }
    return STATUS_OK;
}

/* ---- what stands between tags ---- */

/* Where the next tag begins, or size. */
static size_t tag_find(const struct walk *walk, size_t at)
{
    for (; at + 1 < walk->size; at++)
        if (walk->text[at] == '{' && memchr("{%#", walk->text[at + 1], 3))
            return at;
    return walk->size;
}

static void data_put(struct walk *walk, size_t begin, size_t end)
{
    if (is_dead(walk))
        return;
    for (size_t i = begin; i < end; i++) {
        if (walk->text[i] == '\r') {
            if (i + 1 == end || walk->text[i + 1] != '\n')
                buffer_append_byte(&walk->constant, '\n');
        } else {
            buffer_append_byte(&walk->constant, walk->text[i]);
        }
    }
}

/* Takes the text up to the next tag by the rules of white space.  *kind: the tag's second byte, or 0 at the end; walk->at is
 * behind its opening.  after: the tag before; sign: the plus or minus that ended it. */
static void data_take(struct walk *walk, char after, char sign, char *kind)
{
    size_t begin = walk->at, end = tag_find(walk, begin);
    *kind = end < walk->size ? walk->text[end + 1] : 0;
    walk->at = end < walk->size ? end + 2 : end;
    bool trims = *kind && walk->at < walk->size && walk->text[walk->at] == '-';
    bool keeps = *kind && walk->at < walk->size && walk->text[walk->at] == '+';
    walk->at += trims || keeps;
    if (sign == '-') {
        while (begin < end && is_space(walk->text[begin]))
            begin++;
    } else if (sign != '+' && (after == '%' || after == '#')) { /* trim_blocks: one newline */
        if (begin < end && walk->text[begin] == '\r')
            begin++;
        if (begin < end && walk->text[begin] == '\n')
            begin++;
    }
    if (trims) {
        while (begin < end && is_space(walk->text[end - 1]))
            end--;
    } else if ((*kind == '%' || *kind == '#') && !keeps) { /* lstrip_blocks: what indents the tag */
        size_t line = end;
        while (line > begin && is_space(walk->text[line - 1]) && walk->text[line - 1] != '\n')
            line--;
        if (line == 0 || walk->text[line - 1] == '\n')
            end = line;
    }
    data_put(walk, begin, end);
}

static enum status walk_run(struct walk *walk, struct error *error)
{
    char kind = 0, sign = 0;
    for (;;) {
        data_take(walk, kind, sign, &kind);
        enum status status = STATUS_OK;
        if (kind == 0)
            break;
        if (kind == '#') {
            while (walk->at + 1 < walk->size && !(walk->text[walk->at] == '#' && walk->text[walk->at + 1] == '}'))
                walk->at++;
            if (walk->at + 1 >= walk->size)
                return refuse(error, "a comment has no end");
            sign = walk->text[walk->at - 1];
            walk->at += 2;
            continue;
        }
        status = tag_read(walk, kind == '{' ? '}' : '%', &sign, error);
        if (status == STATUS_OK && kind == '%')
            status = statement_put(walk, error);
        else if (status == STATUS_OK && !is_dead(walk))
            output_put(walk);
        if (status)
            return status;
    }
    constant_flush(walk);
    return walk->n_blocks ? refuse(error, "a block has no end") : STATUS_OK;
}

enum status chat_normal_make(const char *text, size_t size, struct chat_normal *out, struct error *error)
{
    *out = (struct chat_normal){0};
    if (size > TEXT_LIMIT)
        return refuse(error, "longer than 128 KiB");
    if (size && memchr(text, 0, size))
        return refuse(error, "it holds a NUL byte");
    /* The last newline of a template is not part of it. */
    if (size && text[size - 1] == '\n')
        size -= size > 1 && text[size - 2] == '\r' ? 2 : 1;
    struct walk walk = {.text = text, .size = size, .out = out};
    enum status status = walk_run(&walk, error);
    if (status == STATUS_OK && (walk.constant.failed || out->form.failed || out->texts.failed))
        status = error_set(error, STATUS_MEMORY, "chat template: out of memory");
    buffer_deinit(&walk.constant);
    arena_deinit(&walk.strings);
    if (status == STATUS_OK && !chat_facts_hold(&out->form))
        status = refuse(error, "it sets what no call of ours does");
    if (status == STATUS_OK) {
        chat_form_reduce(&out->form);
        status = buffer_status(&out->form, error);
    }
    if (status) {
        chat_normal_deinit(out);
        return status;
    }
    out->hash = 0xcbf29ce484222325u;
    for (size_t i = 0; i < out->form.size; i++)
        out->hash = (out->hash ^ (unsigned char)out->form.data[i]) * 0x100000001b3u;
    return STATUS_OK;
}

void chat_normal_deinit(struct chat_normal *normal)
{
    buffer_deinit(&normal->form);
    buffer_deinit(&normal->texts);
    *normal = (struct chat_normal){0};
}
