/* serve_tools_private: what serve_tools.c and serve_calls.c share. */
#ifndef FATHOM_APP_SERVE_TOOLS_PRIVATE_H
#define FATHOM_APP_SERVE_TOOLS_PRIVATE_H

#include "app/serve_tools.h"
#include "app/serve_tools_styles.h"

enum { TOOLS_MAX = 128 };

struct tool {
    const char *name, *description;
    const char *text;       /* JSON of all of it */
    const char *parameters; /* JSON of its schema */
};

struct serve_tools {
    const struct tool_style *style;
    struct arena texts;
    struct tool items[TOOLS_MAX];
    size_t n;
    bool must_call, only_one;
    const struct tool *chosen; /* the one that must be called; NULL: any */
};

const struct tool *serve_tools_find(const struct serve_tools *tools, const char *name); /* or NULL */

#endif
