/* markdown: see markdown.h. */
#include "ui/markdown.h"

#include <md4c.h>
#include <stdlib.h>
#include <string.h>

#include "ui/table.h"

enum { MOST_DEPTH = 32, CODE_INDENT = 2, PARSER_FLAGS = MD_DIALECT_GITHUB | MD_FLAG_NOHTML };

struct level {
    bool is_ordered;
    unsigned next;   /* number of the next item */
    uint8_t columns; /* that its items' text is indented by */
};

struct rendering {
    const struct markdown_options *options;
    struct doc *doc;
    size_t first_line;
    struct level levels[MOST_DEPTH]; /* of the lists that are open */
    int n_levels;
    enum style styles[MOST_DEPTH]; /* of the inline spans that are open */
    int n_styles, n_spans;         /* more spans may be open than styles are kept of */
    int quote;
    bool is_item_begun; /* the item's marker stands, its text goes behind */
    bool is_tight;
    bool is_line_open; /* text may go on behind what stands in the last line */
    bool is_code;
    size_t n_code;
    struct buffer code, language;
    struct buffer target; /* of the link that is open */
    size_t link_begin;    /* where its text begins */
    bool is_table;
    struct table table;
};

/* ---- lines ---- */

static uint8_t list_indent(const struct rendering *rendering)
{
    int columns = 0;
    for (int i = 0; i < rendering->n_levels && i < MOST_DEPTH; i++)
        columns += rendering->levels[i].columns;
    return (uint8_t)(columns < 60 ? columns : 60);
}

static struct doc_format format_now(const struct rendering *rendering)
{
    uint8_t indent = list_indent(rendering);
    return (struct doc_format){.tag = rendering->options->tag,
                               .indent = indent,
                               .hang = indent,
                               .quote = (uint8_t)(rendering->quote < 8 ? rendering->quote : 8)};
}

/* An empty line between blocks; the first one has none before it. */
static void blank(const struct rendering *rendering)
{
    if (rendering->doc->n_lines > rendering->first_line)
        doc_blank(rendering->doc, rendering->options->tag);
}

/* A block begins: on the item's own line where one has just been begun, else on a new one with an empty line before. */
static void begin_block(struct rendering *rendering)
{
    rendering->is_line_open = true;
    if (rendering->is_item_begun) {
        rendering->is_item_begun = false;
        return;
    }
    if (!rendering->is_tight || rendering->n_levels == 0)
        blank(rendering);
    doc_begin(rendering->doc, format_now(rendering));
}

static void begin_item(struct rendering *rendering, const MD_BLOCK_LI_DETAIL *detail)
{
    struct doc *doc = rendering->doc;
    struct level *level = &rendering->levels[rendering->n_levels - 1];
    char marker[24] = "- ";
    if (!rendering->is_tight)
        blank(rendering);
    struct buffer number = {0};
    if (level->is_ordered) {
        buffer_printf(&number, "%u. ", level->next++);
        if (number.size < sizeof marker)
            memcpy(marker, buffer_text(&number), number.size + 1);
        buffer_deinit(&number);
    }
    struct doc_format format = format_now(rendering);
    level->columns = (uint8_t)strlen(marker);
    format.hang = list_indent(rendering);
    format.indent = (uint8_t)(format.hang > level->columns ? format.hang - level->columns : 0);
    doc_begin(doc, format);
    doc_add_text(doc, STYLE_ACCENT, marker);
    if (detail->is_task)
        doc_add_text(doc, STYLE_ACCENT, detail->task_mark == ' ' ? "[ ] " : "[x] ");
    rendering->is_item_begun = true;
    rendering->is_line_open = true;
}

/* ---- code ---- */

struct coloring {
    struct doc *doc;
    const struct buffer *code;
    size_t at;
};

static void add_colored(void *context, size_t begin, size_t end, enum style style)
{
    struct coloring *coloring = context;
    if (begin < coloring->at || end <= begin || end > coloring->code->size)
        return;
    doc_add(coloring->doc, STYLE_CODE, coloring->code->data + coloring->at, begin - coloring->at);
    doc_add(coloring->doc, style, coloring->code->data + begin, end - begin);
    coloring->at = end;
}

static struct doc_format code_format(const struct rendering *rendering)
{
    struct doc_format format = format_now(rendering);
    format.tag += (int64_t)(rendering->n_code < 0xffff ? rendering->n_code : 0xffff);
    format.indent = format.hang = (uint8_t)(format.indent + CODE_INDENT);
    format.rule_style = STYLE_RULE;
    return format;
}

static void begin_code(struct rendering *rendering, const MD_BLOCK_CODE_DETAIL *detail)
{
    rendering->is_code = true;
    rendering->is_item_begun = rendering->is_line_open = false;
    rendering->n_code++;
    buffer_clear(&rendering->code);
    buffer_clear(&rendering->language);
    if (detail->lang.size)
        buffer_append(&rendering->language, detail->lang.text, detail->lang.size);
    struct doc_format format = code_format(rendering);
    blank(rendering);
    format.is_rule = true;
    doc_begin(rendering->doc, format);
    doc_add_text(rendering->doc, STYLE_DIM, rendering->language.size ? buffer_text(&rendering->language) : "code");
}

static void end_code(struct rendering *rendering)
{
    const struct markdown_options *options = rendering->options;
    struct buffer *code = &rendering->code;
    struct doc_format format = code_format(rendering);
    format.keeps = true;
    rendering->is_code = false;
    while (code->size && code->data[code->size - 1] == '\n')
        code->size--;
    if (code->size) {
        struct coloring coloring = {.doc = rendering->doc, .code = code};
        doc_begin(rendering->doc, format);
        if (options->color)
            options->color(options->color_context,
                           (struct slice){buffer_text(&rendering->language), rendering->language.size},
                           (struct slice){code->data, code->size}, add_colored, &coloring);
        doc_add(rendering->doc, STYLE_CODE, code->data + coloring.at, code->size - coloring.at);
    }
    format.keeps = false;
    format.is_rule = true;
    doc_begin(rendering->doc, format);
}

/* ---- md4c's callbacks ---- */

static void begin_list(struct rendering *rendering, bool is_ordered, unsigned start, bool is_tight)
{
    if (rendering->n_levels == 0)
        blank(rendering);
    rendering->is_item_begun = rendering->is_line_open = false;
    rendering->is_tight = is_tight;
    if (rendering->n_levels < MOST_DEPTH)
        rendering->levels[rendering->n_levels] = (struct level){.is_ordered = is_ordered, .next = start};
    rendering->n_levels++;
}

static int enter_block(MD_BLOCKTYPE type, void *detail, void *context)
{
    struct rendering *rendering = context;
    switch (type) {
    case MD_BLOCK_QUOTE:
        blank(rendering);
        rendering->is_item_begun = rendering->is_line_open = false;
        rendering->quote++;
        break;
    case MD_BLOCK_UL:
        begin_list(rendering, false, 0, ((const MD_BLOCK_UL_DETAIL *)detail)->is_tight);
        break;
    case MD_BLOCK_OL:
        begin_list(rendering, true, ((const MD_BLOCK_OL_DETAIL *)detail)->start,
                   ((const MD_BLOCK_OL_DETAIL *)detail)->is_tight);
        break;
    case MD_BLOCK_LI:
        if (rendering->n_levels <= MOST_DEPTH)
            begin_item(rendering, detail);
        break;
    case MD_BLOCK_HR:
        rendering->is_item_begun = rendering->is_line_open = false;
        blank(rendering);
        doc_begin(rendering->doc,
                  (struct doc_format){.tag = rendering->options->tag, .is_rule = true, .rule_style = STYLE_RULE});
        break;
    case MD_BLOCK_H:
        rendering->styles[0] = STYLE_HEADING;
        begin_block(rendering);
        break;
    case MD_BLOCK_CODE:
        begin_code(rendering, detail);
        break;
    case MD_BLOCK_TABLE:
        rendering->is_table = true;
        break;
    case MD_BLOCK_TR:
        table_begin_row(&rendering->table);
        break;
    case MD_BLOCK_TH:
    case MD_BLOCK_TD:
        table_begin_cell(&rendering->table, (enum table_align)((const MD_BLOCK_TD_DETAIL *)detail)->align,
                         type == MD_BLOCK_TH);
        break;
    case MD_BLOCK_P:
        begin_block(rendering);
        break;
    default:
        break;
    }
    return 0;
}

static int leave_block(MD_BLOCKTYPE type, void *detail, void *context)
{
    struct rendering *rendering = context;
    (void)detail;
    switch (type) {
    case MD_BLOCK_QUOTE:
        rendering->quote -= rendering->quote > 0;
        rendering->is_line_open = false;
        break;
    case MD_BLOCK_UL:
    case MD_BLOCK_OL:
        rendering->n_levels -= rendering->n_levels > 0;
        rendering->is_item_begun = rendering->is_line_open = false;
        break;
    case MD_BLOCK_LI:
    case MD_BLOCK_P:
        rendering->is_item_begun = rendering->is_line_open = false;
        break;
    case MD_BLOCK_H:
        rendering->is_line_open = false;
        rendering->styles[0] = STYLE_TEXT;
        break;
    case MD_BLOCK_CODE:
        end_code(rendering);
        break;
    case MD_BLOCK_TABLE: {
        struct doc_format format = format_now(rendering);
        rendering->is_table = rendering->is_item_begun = rendering->is_line_open = false;
        blank(rendering);
        table_draw(&rendering->table, rendering->options->columns - format.indent, format, rendering->doc);
        table_clear(&rendering->table);
        break;
    }
    default:
        break;
    }
    return 0;
}

static enum style style_now(const struct rendering *rendering)
{
    return rendering->styles[rendering->n_styles];
}

static void add(struct rendering *rendering, enum style style, const char *text, size_t size)
{
    if (rendering->is_code) {
        buffer_append(&rendering->code, text, size);
    } else if (rendering->is_table) {
        table_add(&rendering->table, style, text, size);
    } else {
        /* Text of a tight item has no paragraph; behind code or a nested list it stands on a line of its own. */
        if (!rendering->is_line_open)
            begin_block(rendering);
        rendering->is_item_begun = false;
        doc_add(rendering->doc, style, text, size);
    }
}

static int enter_span(MD_SPANTYPE type, void *detail, void *context)
{
    struct rendering *rendering = context;
    enum style style = type == MD_SPAN_EM       ? STYLE_EMPHASIS
                       : type == MD_SPAN_STRONG ? STYLE_STRONG
                       : type == MD_SPAN_CODE   ? STYLE_CODE
                       : type == MD_SPAN_A      ? STYLE_LINK
                       : type == MD_SPAN_IMG    ? STYLE_LINK
                                                : style_now(rendering);
    if (type == MD_SPAN_A || type == MD_SPAN_IMG) {
        const MD_ATTRIBUTE *target =
            type == MD_SPAN_A ? &((MD_SPAN_A_DETAIL *)detail)->href : &((MD_SPAN_IMG_DETAIL *)detail)->src;
        buffer_clear(&rendering->target);
        if (target->size)
            buffer_append(&rendering->target, target->text, target->size);
        rendering->link_begin = rendering->doc->text.size;
    }
    rendering->n_spans++;
    if (rendering->n_spans < MOST_DEPTH) {
        rendering->n_styles = rendering->n_spans;
        rendering->styles[rendering->n_styles] = style;
    }
    return 0;
}

static int leave_span(MD_SPANTYPE type, void *detail, void *context)
{
    struct rendering *rendering = context;
    (void)detail;
    rendering->n_spans -= rendering->n_spans > 0; /* md4c leaves some that it never entered */
    if (rendering->n_spans < MOST_DEPTH)
        rendering->n_styles = rendering->n_spans;
    if (type != MD_SPAN_A && type != MD_SPAN_IMG)
        return 0;
    /* A link whose text is its target, as it stands in most answers, is said once. */
    const struct buffer *text = &rendering->doc->text, *target = &rendering->target;
    size_t size = text->size > rendering->link_begin ? text->size - rendering->link_begin : 0;
    bool is_same = !rendering->is_table && size && size <= target->size &&
                   memcmp(text->data + rendering->link_begin, target->data + target->size - size, size) == 0;
    if (target->size && !is_same) {
        add(rendering, STYLE_DIM, " (", 2);
        add(rendering, STYLE_DIM, target->data, target->size);
        add(rendering, STYLE_DIM, ")", 1);
    }
    return 0;
}

/* "&amp;", "&#60;", "&#x3c;": those that models write; others stay as they are. */
static void add_entity(struct rendering *rendering, enum style style, const char *text, size_t size)
{
    static const struct {
        const char *name;
        uint32_t code;
    } names[] = {{"&amp;", '&'},     {"&lt;", '<'},      {"&gt;", '>'},        {"&quot;", '"'},     {"&apos;", '\''},
                 {"&nbsp;", 0xa0},   {"&copy;", 0xa9},   {"&hellip;", 0x2026}, {"&mdash;", 0x2014}, {"&ndash;", 0x2013},
                 {"&larr;", 0x2190}, {"&rarr;", 0x2192}, {"&times;", 0xd7}};
    struct buffer decoded = {0};
    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        if (slice_equals((struct slice){text, size}, names[i].name))
            buffer_append_code_point(&decoded, names[i].code);
    char digits[16];
    if (size > 3 && size < sizeof digits && text[1] == '#') {
        bool is_hex = text[2] == 'x' || text[2] == 'X';
        memcpy(digits, text, size);
        digits[size - 1] = 0;
        unsigned long code = strtoul(digits + (is_hex ? 3 : 2), NULL, is_hex ? 16 : 10);
        bool is_valid = code && code <= 0x10ffff && (code < 0xd800 || code > 0xdfff);
        buffer_append_code_point(&decoded, is_valid ? (uint32_t)code : 0xfffd);
    }
    if (decoded.size)
        add(rendering, style, decoded.data, decoded.size);
    else
        add(rendering, style, text, size);
    buffer_deinit(&decoded);
}

static int add_text(MD_TEXTTYPE type, const MD_CHAR *text, MD_SIZE size, void *context)
{
    struct rendering *rendering = context;
    enum style style = style_now(rendering);
    switch (type) {
    case MD_TEXT_NULLCHAR:
        add(rendering, style, "\xef\xbf\xbd", 3);
        break;
    case MD_TEXT_BR:
        if (!rendering->is_table)
            doc_begin(rendering->doc, format_now(rendering));
        break;
    case MD_TEXT_SOFTBR:
        add(rendering, style, " ", 1);
        break;
    case MD_TEXT_ENTITY:
        add_entity(rendering, style, text, size);
        break;
    default:
        add(rendering, style, text, size);
        break;
    }
    return 0;
}

/* ---- */

/* md4c 0.4.8 reads beyond its memory where a text ends within a link's target, "[a](htt", as a streamed one often does; a
 * newline behind it, which changes nothing else, keeps it from that. */
static int parse(const char *text, size_t size, const MD_PARSER *parser, struct slice *given, struct buffer *copy,
                 void *context)
{
    *given = (struct slice){text, size};
    if (size && text[size - 1] != '\n') {
        buffer_append(copy, text, size);
        buffer_append_byte(copy, '\n');
        *given = (struct slice){copy->data, copy->size};
    }
    return copy->failed ? -1 : md_parse(given->data, (MD_SIZE)given->size, parser, context);
}

void markdown_render(const char *text, size_t size, const struct markdown_options *options, struct doc *doc)
{
    static const MD_PARSER parser = {.flags = PARSER_FLAGS,
                                     .enter_block = enter_block,
                                     .leave_block = leave_block,
                                     .enter_span = enter_span,
                                     .leave_span = leave_span,
                                     .text = add_text};
    struct rendering rendering = {.options = options, .doc = doc, .first_line = doc->n_lines};
    size_t most = size;
    if (most > MARKDOWN_LIMIT) {
        most = MARKDOWN_LIMIT;
        while (most > 0 && text[most - 1] != '\n')
            most--;
        most = most ? most : MARKDOWN_LIMIT;
    }
    size_t before = doc->n_lines;
    struct buffer copy = {0};
    struct slice given;
    if (parse(text, most, &parser, &given, &copy, &rendering) != 0) { /* memory ran out: the text as it is */
        doc_cut(doc, before);
        most = 0;
    }
    if (most < size) {
        doc_begin(doc, (struct doc_format){.tag = options->tag});
        doc_add(doc, STYLE_TEXT, text + most, size - most);
    }
    buffer_deinit(&copy);
    buffer_deinit(&rendering.code);
    buffer_deinit(&rendering.language);
    buffer_deinit(&rendering.target);
    table_deinit(&rendering.table);
}

/* ---- a block's source ---- */

struct finding {
    struct slice given; /* what is parsed */
    size_t n, wanted;
    bool is_in;
    size_t n_blanks; /* of a line's indentation, which md4c gives as blanks even where it is tabs */
    struct buffer *out;
};

static int find_enter(MD_BLOCKTYPE type, void *detail, void *context)
{
    struct finding *finding = context;
    (void)detail;
    if (type == MD_BLOCK_CODE)
        finding->is_in = ++finding->n == finding->wanted;
    return 0;
}

static int find_leave(MD_BLOCKTYPE type, void *detail, void *context)
{
    struct finding *finding = context;
    (void)detail;
    if (type == MD_BLOCK_CODE)
        finding->is_in = false;
    return 0;
}

static int find_span(MD_SPANTYPE type, void *detail, void *context)
{
    (void)type;
    (void)detail;
    (void)context;
    return 0;
}

/* The indentation of a line of code whose text begins at `at`, as it stands in the source where that is as wide. */
static void add_indentation(struct finding *finding, const char *at)
{
    const char *from = at;
    size_t width = 0;
    while (from > finding->given.data && (from[-1] == ' ' || from[-1] == '\t'))
        from--;
    for (const char *c = from; c < at; c++)
        width = *c == '\t' ? (width / 4 + 1) * 4 : width + 1;
    bool is_whole = (from == finding->given.data || from[-1] == '\n') && width == finding->n_blanks;
    if (is_whole)
        buffer_append(finding->out, from, (size_t)(at - from));
    for (size_t i = 0; !is_whole && i < finding->n_blanks; i++)
        buffer_append_byte(finding->out, ' ');
    finding->n_blanks = 0;
}

static int find_text(MD_TEXTTYPE type, const MD_CHAR *text, MD_SIZE size, void *context)
{
    struct finding *finding = context;
    uintptr_t at = (uintptr_t)text, begin = (uintptr_t)finding->given.data;
    bool is_source = at >= begin && at < begin + finding->given.size;
    if (!finding->is_in)
        return 0;
    MD_SIZE n_blanks = 0;
    while (!is_source && n_blanks < size && text[n_blanks] == ' ')
        n_blanks++;
    if (n_blanks && n_blanks == size) {
        finding->n_blanks += size;
        return 0;
    }
    if (is_source && size)
        add_indentation(finding, text);
    if (type == MD_TEXT_NULLCHAR)
        buffer_append_text(finding->out, "\xef\xbf\xbd");
    else
        buffer_append(finding->out, text, size);
    return 0;
}

bool markdown_code_block(const char *text, size_t size, size_t n, struct buffer *out)
{
    static const MD_PARSER parser = {.flags = PARSER_FLAGS,
                                     .enter_block = find_enter,
                                     .leave_block = find_leave,
                                     .enter_span = find_span,
                                     .leave_span = find_span,
                                     .text = find_text};
    struct finding finding = {.wanted = n, .out = out};
    struct buffer copy = {0};
    size_t most = size < MARKDOWN_LIMIT ? size : MARKDOWN_LIMIT;
    bool is_parsed = parse(text, most, &parser, &finding.given, &copy, &finding) == 0;
    buffer_deinit(&copy);
    return is_parsed && finding.n >= n;
}
