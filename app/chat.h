/* chat: a conversation with a model, put together: engine, session, sampling, the turn, the store, and how an answer is
 * printed by lines.  What -p and the repl share. */
#ifndef FATHOM_APP_CHAT_H
#define FATHOM_APP_CHAT_H

#include "app/command.h"
#include "app/conversation.h"
#include "app/store.h"
#include "app/turn.h"
#include "ui/visible.h"

struct chat {
    const struct command_context *context;
    struct engine *engine;
    struct session *session;
    struct conversation conversation;
    struct store *store; /* NULL: not opened, or not saving */
    bool is_saving;      /* false after --no-save, and after the store failed */
    int64_t id;          /* of the conversation in the store; 0: none yet */
    size_t n_messages;   /* those that the store has */
    size_t n_unsaved;    /* tokens that were evaluated since the session was saved */
    uint64_t seed, n_turns;
    bool is_ascii; /* the terminal takes no UTF-8 */
};

/* Opens the model, and the conversation that --resume names.  On failure nothing is left open. */
enum status chat_open(const struct command_context *context, struct chat *chat, struct error *error);
void chat_close(struct chat *chat);

/* What to do about an error of chat_open that doesn't say it by itself, or NULL. */
const char *chat_advice(const struct error *error);

/* Another model in place of the present one, which stays where the other can't be opened. */
enum status chat_switch_model(struct chat *chat, const char *model, struct error *error);

/* A new conversation with the same system text. */
void chat_reset(struct chat *chat);

/* NULL or "": the template's own.  Holds from the next question on. */
enum status chat_set_system(struct chat *chat, const char *text, struct error *error);

/* The store, opened now if it wasn't; an error where it can't be. */
enum status chat_need_store(struct chat *chat, struct error *error);

/* Goes on with a stored conversation. */
enum status chat_load(struct chat *chat, const char *name, struct error *error);

/* Gives the conversation a name; one that wasn't being saved is stored as a whole. */
enum status chat_save(struct chat *chat, const char *name, struct error *error);

/* Who gets an answer as it comes; all are called from the thread that asks.  on_text as in turn.h. */
struct chat_listener {
    bool (*on_text)(void *context, enum text_part part, const char *text, size_t size);
    void (*on_notice)(void *context, const char *text);
    void *context;
};

/* Asks and keeps question and answer, and prints nothing.  Cancelling is a result.  keeps_evaluated: what was read is saved
 * when it is much, not only when the conversation is left. */
enum status chat_answer(struct chat *chat, struct slice question, struct slice piped, bool keeps_evaluated,
                        const struct chat_listener *listener, struct turn_result *result, struct error *error);

/* Asks and prints the answer to context->out as it comes: through the gate where that is a terminal, thoughts dim; else raw,
 * without thoughts, which go to err where that is a terminal; with --json one object at the end.  Notices go to err (dim on
 * out with is_dialogue).  A line that was begun is ended.  Cancelling is a result. */
enum status chat_ask(struct chat *chat, struct slice question, struct slice piped, bool is_dialogue,
                     struct turn_result *result, struct error *error);

/* A line of something that isn't the answer: through the gate, dim where the terminal has colour. */
void chat_print_dim(const struct chat *chat, const char *text);

#endif
