/* conversation: what was asked and answered, in memory.
 *
 * messages alternate as they were said: a question (CHAT_USER), its answer (CHAT_ASSISTANT).  A question may be without an
 * answer (it was cancelled, or the program was killed); such a one is shown but never goes before the model again unless it
 * is the last.  The system text stands apart and always stays.
 *
 * Nothing is ever removed for want of room: first says where what still goes before the model begins, and a question too
 * long for the context has in sent what is put in its place. */
#ifndef FATHOM_APP_CONVERSATION_H
#define FATHOM_APP_CONVERSATION_H

#include "engine/engine.h"

struct conversation_message {
    enum chat_role role;
    struct buffer text;    /* as asked; as answered, without the thought */
    struct buffer thought; /* of an answer of a reasoning model */
    struct buffer sent;    /* what goes before the model in place of text, where its middle had to be left out */
    size_t piped;    /* where in text the part begins whose middle may be left out; its size where there is none */
    size_t n_tokens; /* of the text, once counted; else 0 */
};

struct conversation {
    struct conversation_message *messages;
    size_t n, capacity;
    size_t first;         /* messages before it have dropped out of the context */
    struct buffer system; /* empty: the template's own */
};

/* Zero-initialised is empty. */
void conversation_clear(struct conversation *conversation);  /* no messages; the system text stays */
void conversation_deinit(struct conversation *conversation); /* empty, memory freed */

enum status conversation_set_system(struct conversation *conversation, const char *text, size_t size,
                                    struct error *error);

/* Adds a question.  piped (may be empty) is put after it, an empty line between.  Where there is none, the question itself
 * is what may lose its middle. */
enum status conversation_ask(struct conversation *conversation, struct slice question, struct slice piped,
                             struct error *error);

/* Adds a message as it is; NULL where memory ran out.  Valid until the next one is added. */
struct conversation_message *conversation_add(struct conversation *conversation, enum chat_role role, const char *text,
                                              size_t size);

/* The last answer that has text, or NULL. */
const struct conversation_message *conversation_last_answer(const struct conversation *conversation);

#endif
