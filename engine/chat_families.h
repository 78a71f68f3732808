/* chat_families: the table of chat templates that are known: what each puts around messages, and by which normal forms of
 * its text it is recognised. */
#ifndef FATHOM_ENGINE_CHAT_FAMILIES_H
#define FATHOM_ENGINE_CHAT_FAMILIES_H

#include "engine/chat.h"

/* In a family's texts these bytes stand for the vocabulary's own tokens. */
#define BOS "\1"
#define EOS "\2"

enum { CHAT_N_ROLES = 3 };

/* What becomes of system messages. */
enum system_rule {
    SYSTEM_TURN,          /* a turn of its own, wherever it stands */
    SYSTEM_TOP_FIRST,     /* the first message goes to the top, later ones are left out */
    SYSTEM_TOP_LAST,      /* the last of all goes to the top */
    SYSTEM_TOP_JOINED,    /* all go to the top, an empty line between them */
    SYSTEM_HEADER,        /* a header is always there; the first message goes into it */
    SYSTEM_IN_FIRST_USER, /* the first message goes into the first user's turn */
    SYSTEM_IN_LAST_USER, /* the first message goes into the user's turn that ends the conversation, else it is left out */
    SYSTEM_REFUSED,      /* an exception where the first message is one */
};

/* When the default system text is put. */
enum default_rule {
    DEFAULT_NEVER,
    DEFAULT_UNLESS_FIRST, /* the first message is not a system message */
    DEFAULT_UNLESS_ANY,   /* no message is */
    DEFAULT_ALWAYS,
    DEFAULT_UNLESS_MARKED, /* SYSTEM_IN_FIRST_USER: nor does it hold <<SYS>> by itself */
};

/* What of an assistant's earlier thoughts is kept. */
enum think_rule {
    THINK_KEPT,
    THINK_CUT,       /* all up to the last closing mark goes */
    THINK_CUT_FIRST, /* all up to the first closing mark goes */
    THINK_CUT_PAST,  /* as THINK_CUT, with the newlines after it, but the last message stays as it is */
    THINK_QWEN3, /* as THINK_CUT with the newlines; after the last question thoughts are kept and written in one form */
};

enum generation_rule {
    GENERATION_ASKED,
    GENERATION_ALWAYS,      /* whether asked or not */
    GENERATION_NEVER,       /* user's turns end with it */
    GENERATION_AFTER_USER,  /* only where the last message that is not a system message is the user's */
    GENERATION_UNLESS_USER, /* the contrary */
};

enum family_flags {
    TRIM_SYSTEM = 1,
    TRIM_USER = 2,
    TRIM_ASSISTANT = 4,
    TRIM_ALL = 7,
    ALTERNATES = 8,          /* an exception unless every second message is the user's (after a first system message) */
    TRIM_JOINED = 16,        /* SYSTEM_IN_FIRST_USER: the user's turn is trimmed as a whole */
    OPENS_AFTER_USER = 32,   /* what comes before an assistant's message comes only after a user's */
    LATE_REFUSED = 64,       /* an exception where a message after the first is a system message */
    TOOL_MARKS_INSIDE = 128, /* THINK_QWEN3: <tool_response> anywhere in a message makes it no question */
};

struct chat_family {
    const char *name;
    const char *begin;
    const char *before[CHAT_N_ROLES], *after[CHAT_N_ROLES]; /* by enum chat_role */
    /* Around a system message after the first; NULL: as the system rule says, or else it is left out. */
    const char *late_before, *late_after;
    const char *header; /* SYSTEM_HEADER: between the default text and the system text */
    const char *generation;
    const char *default_system;  /* what a recognised text replaces by its own */
    const char *empty_assistant; /* stands for a whole turn without content; NULL: nothing special */
    const char *turn_end;
    const char *think_open, *think_close;
    bool think_starts_inside;
    enum system_rule system;
    enum default_rule fallback;
    enum think_rule think;
    enum generation_rule generates;
    unsigned flags; /* enum family_flags */
};

/* The i-th family, NULL at the end.  Several may have one name: the first is what the name means. */
const struct chat_family *chat_family_at(size_t i);

/* By the hash of a normal form and its first hole ("" where it has none); NULL where it is not known. */
const struct chat_family *chat_family_by_form(uint64_t hash, const char *default_system);

#endif
