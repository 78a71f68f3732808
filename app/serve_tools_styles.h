/* serve_tools_styles: the table of how families of models are told of tools, and how they call them. */
#ifndef FATHOM_APP_SERVE_TOOLS_STYLES_H
#define FATHOM_APP_SERVE_TOOLS_STYLES_H

#include "engine/engine.h"

/* In a row's texts the byte MARK stands around what becomes control tokens. */
#define MARK "\xff"

struct tool_style {
    const char *templates;      /* names, each between two '|'; NULL: all others */
    const char *before, *after; /* around the list of tools, in the system text */
    const char *between;        /* two tools */
    bool is_listed_by_name;     /* "### name", description, parameters; else each tool's JSON */
    const char *open, *close;   /* around a block of calls in an answer, as it reads; close NULL: the answer's end */
    const char *call_open;      /* of one call when it is written: before its JSON, or before its name */
    const char *call_between;   /* two calls of a block */
    const char *call_close;
    const char *name_end;  /* NULL: a call is one JSON object; else the name ends with this, then arguments come */
    const char *arguments; /* key of the arguments in a call's JSON */
    const char *result_open, *result_close;
    bool results_are_json; /* a result's text stands there as a JSON text */
    const char *marks;     /* control tokens of the syntax, each between two '\n' */
    bool is_bare;          /* an answer that begins with { is a call, without any mark */
};

extern const struct tool_style tool_styles[]; /* the last one is for all others */

#endif
