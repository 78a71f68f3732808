/* context_list: what a completion's prompt is made of, for people and programs. */
#ifndef FATHOM_APP_CONTEXT_LIST_H
#define FATHOM_APP_CONTEXT_LIST_H

#include <cjson/cJSON.h>

#include "app/command.h"
#include "fim/prompt.h"

/* An array of {"path", "lines": [a, b], "tokens", "why", "source"}; empty for a prompt that is NULL; NULL
 * without memory. */
cJSON *context_list_json(const struct fim_prompt *prompt);
/* The same with each piece's "text". */
cJSON *context_list_json_texts(const struct fim_prompt *prompt);
/* A table of it, a line a piece. */
void context_list_print(const struct command_context *context, const struct fim_prompt *prompt, size_t budget);

#endif
