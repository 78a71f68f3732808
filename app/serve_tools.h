/* serve_tools: functions that a chat's model may call: how they are told to it, and how its calls are found in an answer.
 *
 * Each family of models was trained on a syntax of its own: a row of the table in serve_tools_styles.c.  Families that know
 * none get Hermes', which most were trained on.  What the syntax is made of goes into messages between two bytes
 * SERVE_TOOL_MARK, which no JSON text can hold, and becomes control tokens; what the client wrote never does. */
#ifndef FATHOM_APP_SERVE_TOOLS_H
#define FATHOM_APP_SERVE_TOOLS_H

#include "app/json_read.h"
#include "app/serve_job.h"

#define SERVE_TOOL_MARK '\xff'

struct tool_style; /* of a family; const */

const struct tool_style *tool_style_of(const struct chat_template *chat);

/* An assistant's earlier calls (OpenAI's tool_calls), behind its content. */
enum status tool_style_write_calls(const struct tool_style *style, const cJSON *calls, struct buffer *content,
                                   struct error *error);
/* What a tool gave; several in a row stand in one message. */
void tool_style_write_result(const struct tool_style *style, const char *text, struct buffer *content);

/* ---- the tools of a request ---- */

struct serve_tools;

/* Reads tools, tool_choice, parallel_tool_calls.  *out is NULL where no tool may be called.  STATUS_ARGUMENT. */
enum status serve_tools_read(const cJSON *request, const struct tool_style *style, struct serve_tools **out,
                             struct error *error);
void serve_tools_free(struct serve_tools *tools); /* NULL is fine */

bool serve_tools_must_call(const struct serve_tools *tools);

/* Appends to the system text what the tools are and how they are called. */
void serve_tools_describe(const struct serve_tools *tools, struct buffer *system);

/* Where the answer must be a call: how it begins, which is put before the model behind the prompt; else nothing. */
void serve_tools_opening(const struct serve_tools *tools, struct buffer *out);

/* Where the answer must be a call: what comes behind the opening, as a schema; nothing where the syntax is no JSON. */
void serve_tools_schema(const struct serve_tools *tools, struct buffer *out);

/* ---- calls in an answer ---- */

struct serve_calls;

/* tools must outlive it; text and calls go to the choice. */
enum status serve_calls_new(const struct serve_tools *tools, struct serve_choice *choice, struct serve_calls **out,
                            struct error *error);
void serve_calls_free(struct serve_calls *calls);

/* True when the answer is to end here: its one call is complete. */
bool serve_calls_push(struct serve_calls *calls, const char *text, size_t size);
size_t serve_calls_finish(struct serve_calls *calls); /* how many calls there were */

/* A control token that belongs to the syntax of calls. */
bool serve_calls_is_mark(const struct serve_calls *calls, struct slice text);

#endif
