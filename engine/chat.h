/* chat: from messages to the text a model was trained on.  Part of the engine's public contract (engine.h includes it).
 *
 * A GGUF file carries its template as a program (Jinja).  We don't run programs out of model files: the template's text is
 * recognised and rendered by a native renderer that gives the same text.  The result is a list of pieces, and only pieces
 * of the template's own are marked control: what a user wrote never becomes a control token. */
#ifndef FATHOM_ENGINE_CHAT_H
#define FATHOM_ENGINE_CHAT_H

#include "engine/base.h"

enum chat_role { CHAT_SYSTEM, CHAT_USER, CHAT_ASSISTANT };

struct chat_message {
    enum chat_role role;
    struct slice content; /* borrowed */
};

/* A recognised template: a row of the family table and what varies inside the family (the default system text). */
struct chat_template;

/* By name, as in --chat-template.  STATUS_NOT_FOUND lists the known names. */
enum status chat_template_new_named(const char *name, struct chat_template **out, struct error *error);

/* By the text of tokenizer.chat_template.  STATUS_UNSUPPORTED lists the known names. */
enum status chat_template_new_recognised(const char *text, size_t size, struct chat_template **out,
                                         struct error *error);

void chat_template_free(struct chat_template *chat);

const char *chat_template_name(const struct chat_template *chat); /* borrowed, const */

/* The i-th known name, NULL at the end. */
const char *chat_template_known_name(size_t i);

/* The marks around a thought, or NULL; *starts_inside: the generation prompt ends with the opening mark. */
const char *chat_template_think_open(const struct chat_template *chat);
const char *chat_template_think_close(const struct chat_template *chat, bool *starts_inside);

/* A string that ends a turn though the vocabulary may not flag it as end of generation; NULL where there is none. */
const char *chat_template_turn_end(const struct chat_template *chat);

/* ---- rendering ---- */

struct chat_piece {
    size_t begin, size; /* in chat_prompt.text */
    bool control;       /* the template's own: its special tokens are to be recognised.  Else: plain text, never */
};

struct chat_prompt {
    struct buffer text; /* all pieces one after another */
    struct chat_piece *pieces;
    size_t n_pieces, capacity;
};

void chat_prompt_deinit(struct chat_prompt *prompt);

struct chat_options {
    const char *bos, *eos; /* the vocabulary's texts of these tokens; "" where it has none */
    bool add_generation;   /* end with what opens the assistant's turn */
    char
        mark; /* what stands in a content between two such bytes is the caller's own words of the template's language (tool
                  marks), and control text; 0: there is no such byte.  Only a byte that no user's text can hold will do */
};

/* Clears and fills prompt.  The text equals what the template's Jinja program gives for the same messages with
 * bos_token, eos_token and add_generation_prompt set.  Where a template has no system role, the system text is put where
 * its authors put it; where the program would raise an exception: STATUS_ARGUMENT with its reason. */
enum status chat_render(const struct chat_template *chat, const struct chat_message *messages, size_t n_messages,
                        const struct chat_options *options, struct chat_prompt *prompt, struct error *error);

#endif
