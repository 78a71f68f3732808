/* style: what text can be, and how a terminal shows it.
 *
 * A cell, and a span of a document, names its role; the theme says colour and attributes of a role, and the terminal's depth
 * what of that it can show.  Colour carries no meaning alone: every role that matters differs by an attribute, a sign or a
 * place, too. */
#ifndef FATHOM_UI_STYLE_H
#define FATHOM_UI_STYLE_H

#include "engine/base.h"

enum style {
    STYLE_TEXT,
    STYLE_DIM,    /* what is secondary */
    STYLE_ACCENT, /* where the focus is */
    STYLE_STRONG,
    STYLE_EMPHASIS,
    STYLE_HEADING,
    STYLE_CODE,
    STYLE_LINK,
    STYLE_RULE, /* lines between things */
    STYLE_YOU,  /* who speaks */
    STYLE_MODEL,
    STYLE_WARN,
    STYLE_ERROR,
    STYLE_MATCH,  /* what was searched for */
    STYLE_CHOSEN, /* the row that keys act on */
    STYLE_KEY,    /* a key's name */
    STYLE_HL_KEYWORD,
    STYLE_HL_TYPE,
    STYLE_HL_FUNCTION,
    STYLE_HL_STRING,
    STYLE_HL_NUMBER,
    STYLE_HL_COMMENT,
    STYLE_HL_CONSTANT,
    STYLE_HL_PREPROCESSOR,
    STYLE_N,
};

/* What text stands on: the upper three bits of a cell's style, beside the role. */
enum ground {
    GROUND_NONE = 0,
    GROUND_ADDED = 1 << 5,
    GROUND_DELETED = 2 << 5,
    GROUND_ADDED_WORD = 3 << 5, /* what differs within the line */
    GROUND_DELETED_WORD = 4 << 5,
    GROUND_MOVED_HERE = 5 << 5,
    GROUND_MOVED_AWAY = 6 << 5,
    GROUND_CHOSEN = 7 << 5, /* the row that keys act on */
    GROUND_ROLE = 31,       /* the role's bits */
};

enum style_depth { DEPTH_NONE, DEPTH_16, DEPTH_256, DEPTH_TRUE };

enum style_theme {
    THEME_TERMINAL, /* the terminal's own sixteen colours: fits any background */
    THEME_DARK,
    THEME_LIGHT,
};

static inline enum style style_on(enum style role, enum ground ground)
{
    return (enum style)((unsigned)role | (unsigned)ground);
}

/* By COLORFGBG, which some terminals set to the numbers of their colours; else THEME_TERMINAL.  value may be NULL. */
enum style_theme style_theme_for(const char *colorfgbg);

/* What a terminal shows: by COLORTERM (may be NULL) and the number of colours that terminfo tells. */
enum style_depth style_depth_for(const char *colorterm, int n_colors);

/* Appends the sequence that sets a style from any other; style: a role, and a ground with it. */
void style_append(struct buffer *out, enum style_theme theme, enum style_depth depth, unsigned style);

#endif
