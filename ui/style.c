/* style: see style.h.  The themes, and their colours in fewer. */
#include "ui/style.h"

#include <stdlib.h>
#include <string.h>

enum { BOLD = 1, DIM = 2, ITALIC = 4, UNDERLINE = 8, REVERSE = 16 };

/* What holds for every theme: attributes, those that stand in for colour where there is none, and the terminal's own colour
 * (-1: its default). */
static const struct role {
    uint8_t attributes, colorless;
    int8_t ansi;
} roles[STYLE_N] = {
    [STYLE_TEXT] = {0, 0, -1},
    [STYLE_DIM] = {DIM, DIM, -1},
    [STYLE_ACCENT] = {BOLD, BOLD, 6},
    [STYLE_STRONG] = {BOLD, BOLD, -1},
    [STYLE_EMPHASIS] = {ITALIC, UNDERLINE, -1},
    [STYLE_HEADING] = {BOLD, BOLD, 4},
    [STYLE_CODE] = {0, 0, 6},
    [STYLE_LINK] = {UNDERLINE, UNDERLINE, 4},
    [STYLE_RULE] = {DIM, DIM, -1},
    [STYLE_YOU] = {BOLD, BOLD, 2},
    [STYLE_MODEL] = {BOLD, BOLD, 6},
    [STYLE_WARN] = {0, BOLD, 3},
    [STYLE_ERROR] = {BOLD, BOLD, 1},
    [STYLE_MATCH] = {REVERSE, REVERSE, -1},
    [STYLE_CHOSEN] = {REVERSE, REVERSE, -1},
    [STYLE_KEY] = {BOLD, BOLD, -1},
    [STYLE_HL_KEYWORD] = {0, BOLD, 5},
    [STYLE_HL_TYPE] = {0, 0, 3},
    [STYLE_HL_FUNCTION] = {0, 0, 4},
    [STYLE_HL_STRING] = {0, 0, 2},
    [STYLE_HL_NUMBER] = {0, 0, 1},
    [STYLE_HL_COMMENT] = {DIM, DIM, -1},
    [STYLE_HL_CONSTANT] = {0, 0, 1},
    [STYLE_HL_PREPROCESSOR] = {0, 0, 5},
};

/* The two themes of our own; 0 is the terminal's default, since nothing is drawn in black on black. */
static const uint32_t colors[][STYLE_N] = {
    [THEME_DARK] = {[STYLE_DIM] = 0x8a8f98,
                    [STYLE_ACCENT] = 0x7fd1e0,
                    [STYLE_HEADING] = 0x8ab4f8,
                    [STYLE_CODE] = 0xa9d6c5,
                    [STYLE_LINK] = 0x8ab4f8,
                    [STYLE_RULE] = 0x5c626b,
                    [STYLE_YOU] = 0xa6d189,
                    [STYLE_MODEL] = 0x7fd1e0,
                    [STYLE_WARN] = 0xe5c07b,
                    [STYLE_ERROR] = 0xf28b82,
                    [STYLE_HL_KEYWORD] = 0xc99bf0,
                    [STYLE_HL_TYPE] = 0xe5c07b,
                    [STYLE_HL_FUNCTION] = 0x8ab4f8,
                    [STYLE_HL_STRING] = 0xa6d189,
                    [STYLE_HL_NUMBER] = 0xf0a070,
                    [STYLE_HL_COMMENT] = 0x8a8f98,
                    [STYLE_HL_CONSTANT] = 0xf0a070,
                    [STYLE_HL_PREPROCESSOR] = 0xd79bd0},
    [THEME_LIGHT] = {[STYLE_DIM] = 0x63686f,
                     [STYLE_ACCENT] = 0x00687a,
                     [STYLE_HEADING] = 0x1a56b0,
                     [STYLE_CODE] = 0x1f5f4d,
                     [STYLE_LINK] = 0x1a56b0,
                     [STYLE_RULE] = 0xa0a4aa,
                     [STYLE_YOU] = 0x2e6b1f,
                     [STYLE_MODEL] = 0x00687a,
                     [STYLE_WARN] = 0x7a5600,
                     [STYLE_ERROR] = 0xb3261e,
                     [STYLE_HL_KEYWORD] = 0x7a2fb5,
                     [STYLE_HL_TYPE] = 0x7a5600,
                     [STYLE_HL_FUNCTION] = 0x1a56b0,
                     [STYLE_HL_STRING] = 0x2e6b1f,
                     [STYLE_HL_NUMBER] = 0xa0410d,
                     [STYLE_HL_COMMENT] = 0x63686f,
                     [STYLE_HL_CONSTANT] = 0xa0410d,
                     [STYLE_HL_PREPROCESSOR] = 0x8a2f80},
};

enum style_theme style_theme_for(const char *colorfgbg)
{
    const char *last = colorfgbg ? strrchr(colorfgbg, ';') : NULL;
    if (!last || last[1] < '0' || last[1] > '9')
        return THEME_TERMINAL;
    long background = strtol(last + 1, NULL, 10);
    return background == 7 || background == 15 ? THEME_LIGHT : THEME_DARK;
}

enum style_depth style_depth_for(const char *colorterm, int n_colors)
{
    if (n_colors < 8)
        return DEPTH_NONE;
    if (colorterm && (strcmp(colorterm, "truecolor") == 0 || strcmp(colorterm, "24bit") == 0))
        return DEPTH_TRUE;
    return n_colors >= 0x1000000 ? DEPTH_TRUE : n_colors >= 256 ? DEPTH_256 : DEPTH_16;
}

/* The nearest of xterm's 6 x 6 x 6 colours (16..231), or of its greys (232..255). */
static unsigned nearest_of_256(uint32_t color)
{
    static const int levels[6] = {0, 95, 135, 175, 215, 255};
    int part[3] = {(int)(color >> 16 & 255), (int)(color >> 8 & 255), (int)(color & 255)};
    unsigned cube = 16;
    int cube_distance = 0, grey_distance = 0;
    for (int i = 0; i < 3; i++) {
        int best = 0;
        for (int level = 1; level < 6; level++)
            if (abs(levels[level] - part[i]) < abs(levels[best] - part[i]))
                best = level;
        cube = i == 0 ? 16 + 36 * (unsigned)best : cube + (i == 1 ? 6u : 1u) * (unsigned)best;
        cube_distance += (levels[best] - part[i]) * (levels[best] - part[i]);
    }
    int step = ((part[0] + part[1] + part[2]) / 3 - 3) / 10;
    step = step < 0 ? 0 : step > 23 ? 23 : step;
    for (int i = 0; i < 3; i++)
        grey_distance += (8 + 10 * step - part[i]) * (8 + 10 * step - part[i]);
    return grey_distance < cube_distance ? 232 + (unsigned)step : cube;
}

/* A ground.  Where a theme is ours, it is a colour behind the text; in the terminal's own colours it is one of the text
 * itself, as one can't know which are legible behind it. */
static const struct ground_look {
    uint32_t dark, light;
    int8_t ansi; /* of the text; -1: the role's own */
    uint8_t attributes, colorless;
} grounds[] = {
    {0, 0, -1, 0, 0},
    {0x14301d, 0xe2f5e4, 2, 0, 0},
    {0x3a1a1d, 0xfbe6e6, 1, 0, 0},
    {0x1f5c33, 0xaee3b5, 2, REVERSE, UNDERLINE},
    {0x74292f, 0xf3b6b6, 1, REVERSE, UNDERLINE},
    {0x15303a, 0xdff1f8, 6, 0, 0},
    {0x332040, 0xf2e4f8, 5, 0, 0},
    {0x33415a, 0xcfdcf2, -1, REVERSE, REVERSE},
};

static void append_color(struct buffer *out, enum style_depth depth, int which, uint32_t color)
{
    if (depth == DEPTH_TRUE)
        buffer_printf(out, ";%d;2;%u;%u;%u", which, (unsigned)(color >> 16 & 255), (unsigned)(color >> 8 & 255),
                      (unsigned)(color & 255));
    else
        buffer_printf(out, ";%d;5;%u", which, nearest_of_256(color));
}

void style_append(struct buffer *out, enum style_theme theme, enum style_depth depth, unsigned style)
{
    static const struct {
        uint8_t attribute;
        const char *code;
    } codes[] = {{BOLD, ";1"}, {DIM, ";2"}, {ITALIC, ";3"}, {UNDERLINE, ";4"}, {REVERSE, ";7"}};
    const struct role *role = &roles[style & GROUND_ROLE];
    const struct ground_look *ground = &grounds[style >> 5 & 7];
    uint32_t color = theme == THEME_TERMINAL ? 0 : colors[theme][style & GROUND_ROLE];
    bool has_themes_colors = depth >= DEPTH_256 && theme != THEME_TERMINAL;
    uint8_t attributes = depth == DEPTH_NONE ? role->colorless | ground->colorless : role->attributes;
    if (has_themes_colors && color)
        attributes &= (uint8_t)~DIM; /* the colour is dim by itself */
    if (!has_themes_colors && depth != DEPTH_NONE)
        attributes |= ground->attributes;
    buffer_append_text(out, "\x1b[0");
    for (size_t i = 0; i < sizeof codes / sizeof *codes; i++)
        if (attributes & codes[i].attribute)
            buffer_append_text(out, codes[i].code);
    int ansi = ground->ansi >= 0 ? ground->ansi : role->ansi;
    if (has_themes_colors && color)
        append_color(out, depth, 38, color);
    else if (!has_themes_colors && depth != DEPTH_NONE && ansi >= 0)
        buffer_printf(out, ";%d", 30 + ansi);
    if (has_themes_colors && ground->dark)
        append_color(out, depth, 48, theme == THEME_DARK ? ground->dark : ground->light);
    buffer_append_byte(out, 'm');
}
