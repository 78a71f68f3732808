/* serve_infill: /infill, as llama.vim and llama.vscode send it: from JSON to a completion's request, and its result back.
 *
 * The desk reads the request and gathers what a repository adds; the engine's thread runs it by app/complete.h, which keeps a
 * session of its own from one keystroke to the next, and lets the slots have their steps between two tokens. */
#ifndef FATHOM_APP_SERVE_INFILL_H
#define FATHOM_APP_SERVE_INFILL_H

#include "app/complete.h"
#include "app/complete_syntax.h"
#include "app/serve.h"
#include "app/serve_context.h"

struct serve_infill {
    struct complete_request request; /* what it borrows lies in the job's task.texts and in found */
    struct serve_found found;
    struct complete_syntax *syntax;
    bool is_warm_up; /* nothing is to be generated: the editor shows what it may ask about soon */
    bool is_list;    /* several completions are asked for */
    bool is_told;    /* its text goes out as it comes */
    size_t n_told;   /* bytes of it that went out */
    size_t n_indent; /* lines that are indented less are cut off */
    const char **fields;
    size_t n_fields;
    bool has_fields;
};

void serve_infill_free(struct serve_infill *infill); /* NULL is fine */

enum status serve_read_infill(struct serve *serve, const struct cJSON *body, struct serve_job *job, bool *for_engine,
                              struct error *error);

/* The text so far, which won't change any more: what is new of it goes out. */
void serve_infill_text(struct serve_job *job, const char *text, size_t size);

/* Ends the job with the result's reply. */
void serve_infill_reply(struct serve_job *job, const char *model, int32_t n_ctx, struct complete_result *result);

#endif
