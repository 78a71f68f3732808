/* prompt: what goes before the model for a completion, within a number of tokens that is never exceeded.
 *
 * The parts, in the order in which they stand before the model:
 *
 *   stable pieces (the map, files edited earlier)  by path and line ┐
 *   other pieces (definitions, similar code)       by path and line ┘ as many as fit, those of most worth first
 *   the current file: prefix window │ hole │ suffix window
 *
 * What was evaluated for the last keystroke is of use to the next as far as the tokens are the same.  So nothing here may
 * move with each keystroke.  Pieces have an order that doesn't hang on worth, windows begin and end at borders that are
 * thinned to a coarse grid from the text's own beginning (of the suffix: from the hole on), and what is left for pieces is
 * counted in steps.  All of it follows from the request alone: the same request gives the same tokens, whatever came
 * before.
 *
 * FIM_SEEDED is the form for typing: the prefix window ends at an anchor, a line some lines above the cursor that moves in
 * steps, and the lines from there to the cursor stand behind the mark of the middle, as though the model had written them.
 * Then a keystroke changes the last tokens alone, while in the plain form the whole suffix comes behind it. */
#ifndef FATHOM_FIM_PROMPT_H
#define FATHOM_FIM_PROMPT_H

#include "engine/engine.h"
#include "fim/format.h"

/* Text from elsewhere that may help.  Borrowed. */
struct fim_piece {
    struct slice path;
    uint32_t line, end_line; /* 1-based, both included; 0: of no lines of a file */
    struct slice text;       /* plain code, whole lines */
    const char *why;         /* one line for people: "defines `kmalloc`, used 3 lines above" */
    const char *source; /* "definition", "similar", "change", "map", "editor": what can be switched off by one word */
    double worth;       /* > 0; only the order matters */
    bool stable;        /* doesn't change while somebody types */
};

struct fim_span {
    size_t begin, end; /* bytes */
};

enum fim_form {
    FIM_PLAIN,  /* as the family was trained: all of the prefix before the suffix, or behind it */
    FIM_SEEDED, /* only where the format has a mark for the middle; else plain */
};

struct fim_request {
    struct slice repository; /* its name; may be empty */
    struct slice path;       /* of the current file */
    struct slice prefix, suffix;
    uint32_t prefix_line; /* which line of its file the prefix begins with; 0: unknown */
    /* Where windows may begin and end best, ascending: where syntax is cut.  Others are the ends of lines. */
    const size_t *prefix_borders, *suffix_borders;
    size_t n_prefix_borders, n_suffix_borders;
    const struct fim_span *signatures; /* in prefix: of what encloses the hole, outermost first, whole lines */
    size_t n_signatures;
    const struct fim_piece *pieces;
    size_t n_pieces;
    size_t budget; /* tokens, marks included */
    enum fim_form form;
};

/* A piece or window that was taken. */
struct fim_part {
    const struct fim_piece *piece; /* NULL: a window of the current file */
    struct slice path;
    uint32_t line, end_line;
    size_t n_tokens;   /* with the path or mark before it */
    struct slice text; /* as it stands there */
    const char *why;
};

/* All texts are the request's, which must outlive the prompt, or lie in the prompt's arena. */
struct fim_prompt {
    struct fim_parts parts; /* what was rendered: fim_format_render(engine, format, &parts, ...) gives tokens */
    struct tokens tokens;   /* n <= budget */
    struct fim_part *list;  /* in the order of the tokens; their n_tokens sum up to tokens.n */
    size_t n_list;
    size_t n_left_out; /* pieces that found no room, or show what the windows or other pieces do */
    struct arena arena;
};

/* STATUS_RANGE where the budget doesn't hold the marks and one token of the prefix (below FIM_BUDGET_LEAST nothing is sure
 * to fit); STATUS_MEMORY.  Free with fim_prompt_free.  Costs one tokenisation of every piece that is tried and of the
 * windows, and one more of the whole: some 3 ms for 4,000 tokens. */
enum { FIM_BUDGET_LEAST = 64 };
enum status fim_prompt_build(const struct engine *engine, const struct fim_format *format,
                             const struct fim_request *request, struct fim_prompt **out, struct error *error);
void fim_prompt_free(struct fim_prompt *prompt); /* NULL is fine */

#endif
