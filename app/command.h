/* command: what a command is, and what every command gets.
 *
 * A command is one const row at the end of its own file, and a line in commands.c.  Dispatch, help, the man page and the
 * completions all come from the rows.
 *
 * A command's function returns the exit status.  It writes results to context->out alone; a failure is one line on
 * context->err by command_fail, which also gives the status to return:
 *
 *     if (engine_open(..., &error) != STATUS_OK)
 *         return command_fail(context, &error, "fathom models lists what is here");
 *
 * It need not flush: the caller does so after it returns, and turns a write that failed into status 3, a reader that went
 * away into a quiet 0, and a set cancel flag into 130. */
#ifndef FATHOM_APP_COMMAND_H
#define FATHOM_APP_COMMAND_H

#include <stdatomic.h>

#include "app/options.h"
#include "app/output.h"
#include "app/progress.h"
#include "engine/engine.h"

enum exit_status {
    EXIT_DONE = 0,
    EXIT_FOUND = 1, /* done, and the answer is "no" or "found something" */
    EXIT_USAGE = 2,
    EXIT_FAILED = 3,
    EXIT_INTERRUPTED = 130,
};

struct command;

struct command_context {
    const struct command *command;
    const struct settings *settings;
    const char *const *arguments; /* the words that belong to no option */
    size_t n_arguments;
    int in;              /* stdin's descriptor */
    bool in_is_terminal; /* it is a terminal: nobody piped anything */
    struct output *out;
    struct output *err;  /* failures, notices, progress (where err->is_terminal and not quiet) */
    atomic_bool *cancel; /* set by SIGINT; whoever goes on afterwards (the repl) clears it.  A second SIGINT while it is
                            still set ends the program */
    struct progress *progress; /* what --quiet, --plain and the terminal allow; ended by command_fail and by the caller.
                                  Session options of command_session_options already report to it */
    progress_fn *on_progress;  /* told in its place; NULL: nobody */
    void *on_progress_context;
};

struct command {
    const char *name;     /* "tokenize"; "-p" for the one that has no word */
    const char *synopsis; /* what follows the name: "[--special] [TEXT]" */
    const char *summary;  /* one line for lists, no full stop */
    const char *help;     /* paragraphs parted by an empty line, wrapped where shown; lines that begin with a space
                             are kept as they are (examples) */
    const enum option_id *options; /* those it takes beyond the ones that hold everywhere */
    size_t n_options;
    size_t n_arguments_max;
    const char *completes; /* what shells offer for its arguments: "file", "model", "command", or NULL */
    enum exit_status (*run)(const struct command_context *context);
};

/* One per command; each is defined at the end of its own file. */
extern const struct command command_prompt;
extern const struct command command_screen;
extern const struct command command_repl;
extern const struct command command_tokenize;
extern const struct command command_eval;
extern const struct command command_perplexity;
extern const struct command command_info;
extern const struct command command_models;
extern const struct command command_bench;
extern const struct command command_quantize;
extern const struct command command_index;
extern const struct command command_search;
extern const struct command command_map;
extern const struct command command_complete;
extern const struct command command_context;
extern const struct command command_trust;
extern const struct command command_review;
extern const struct command command_commit;
extern const struct command command_hook;
extern const struct command command_serve;
extern const struct command command_config;
extern const struct command command_help;

const struct command *command_at(size_t i); /* NULL at the end */
const struct command *command_find(const char *name);
const char *command_nearest(const char *name); /* a known name that may be meant, or NULL */

/* The failure line `fathom: error->text (advice)`; advice may be NULL.  Returns EXIT_USAGE for STATUS_ARGUMENT,
 * EXIT_INTERRUPTED without a line for STATUS_CANCELLED, else EXIT_FAILED. */
enum exit_status command_fail(const struct command_context *context, const struct error *error, const char *advice);

/* The same with a message made here. */
enum exit_status command_fail_with(const struct command_context *context, enum status status, const char *format, ...)
    PRINTF_LIKE(3, 4);

/* A line `fathom: text` on err that is no failure: what was left out, what to know.  Silent with --quiet. */
void command_notice(const struct command_context *context, const char *format, ...) PRINTF_LIKE(2, 3);

/* ---- from settings to the engine ---- */

enum kv_type settings_kv_type(const struct settings *settings);

/* The seed that was given, else a fresh one. */
uint64_t settings_seed(const struct settings *settings);

/* Temperature and the rest as set; penalties over the whole answer. */
struct sampler_options settings_sampler(const struct settings *settings);

/* Reads the ids that the option holds as text, or stdin where it says "-".  STATUS_ARGUMENT names the option: what is no
 * number, or no token of the vocabulary. */
enum status command_read_ids(const struct command_context *context, enum option_id id, int32_t n_vocab,
                             struct tokens *out, struct error *error);

/* Finds the model that settings name and opens it.  The message says what to do about it. */
enum status settings_open_engine(const struct settings *settings, struct engine **out, struct error *error);

/* Session options as set: context, slice, KV type; cancel and progress of the context. */
struct session_options command_session_options(const struct command_context *context);

#endif
