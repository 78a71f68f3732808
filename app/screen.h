/* screen: the terminal UI: what its parts share.  One thread, one loop:
 *
 *     poll ── keys ───────► screen_keys.c ──► input, panes, screen_commands.c ──► jobs to the worker
 *          ── messages ───► screen_messages.c ──► transcript, meters
 *          ── signals ────► resize, suspend, leave
 *        └─► screen_draw.c ──► cells ──► terminal
 *
 * The first frame is drawn before the worker's thread starts, so before anything of the model is read.  Nothing here waits
 * for the engine, the store or the index. */
#ifndef FATHOM_APP_SCREEN_H
#define FATHOM_APP_SCREEN_H

#include "app/coloring.h"
#include "app/command.h"
#include "app/diff_pane.h"
#include "app/file.h"
#include "app/freshness.h"
#include "app/lookup.h"
#include "app/picker.h"
#include "app/transcript.h"
#include "app/worker.h"
#include "ui/input.h"
#include "ui/keys.h"
#include "ui/layout.h"
#include "ui/terminal.h"

enum pane_kind { PANE_CHAT, PANE_HELP, PANE_FILE, PANE_WHY, PANE_DIFF };

enum { FILE_WAYS = 3, JUMPS = 64 };

struct pane {
    bool is_used;
    enum pane_kind kind;
    struct view view;
    struct file *file; /* of PANE_FILE; its own */
};

/* What is being typed into. */
enum typing { TYPING_NOTHING, TYPING_QUESTION, TYPING_COMMAND, TYPING_SEARCH, TYPING_FILE, TYPING_PICK };

/* What might stand at the cursor of a file: screen_ghost.c. */
struct ghost {
    const struct file *file;
    uint64_t job;     /* that asks for it; 0: none */
    size_t at;        /* where, */
    uint64_t version; /* and of which text */
    struct buffer ways[FILE_WAYS];
    size_t n_ways, chosen;
    uint64_t due_ns;   /* when it is to be asked for; 0: not */
    double latency_ms; /* of those so far */
    bool is_wanted;    /* a key asked: say so where there is nothing */
};

/* Where a jump came from. */
struct jump {
    char *path;
    uint32_t line;
};

struct screen {
    const struct command_context *context;
    struct terminal *terminal;
    struct worker *worker;
    struct cells cells;
    struct keyboard keyboard;
    struct layout layout;
    struct pane panes[LAYOUT_PANES];
    struct languages *languages; /* NULL: code stays plain */
    struct coloring *coloring;
    struct transcript transcript;
    struct diff_pane diff; /* what all panes of that kind show */
    uint64_t reviewing;    /* the job that reviews it, 0: none */
    struct doc help, why;  /* why: what a completion was made of */
    struct picker picker;
    uint64_t looking;           /* the lookup that is waited for; 0: none */
    enum lookup_kind looked_up; /* what was asked last, to ask again once there is an index */
    struct buffer looked_up_text;
    bool was_early; /* it was asked before the first look at the repository was over */
    bool awaits_index;
    const char *looks_for;       /* what it is, for the picker's title */
    struct buffer picked;        /* the letters that the picker was filtered by */
    struct lookup *lookup;       /* NULL: it could not be started */
    struct freshness *freshness; /* NULL: no repository */
    struct freshness_state fresh;
    struct ghost ghost;
    struct cost {
        uint64_t due_ns, job;
        struct buffer text; /* of the question that it is of */
        uint64_t n_tokens;  /* 0: not known yet */
        bool has_missing;   /* it names what isn't there */
    } cost;
    bool picks_mention; /* what is chosen goes into the question */
    struct jump jumps[JUMPS];
    size_t n_jumps;
    char root[4096], branch[64]; /* of the repository, or the folder */
    unsigned help_place;         /* that the help explains */
    struct input question, line; /* line: a command, or what is searched for */
    enum typing typing, typing_before;
    char note[256];       /* one line in place of the meters, until the next key */
    struct buffer offers; /* completions that there are, shown until the next key */
    char place[256];      /* the folder, for the title */
    char *history_path;   /* NULL: the history isn't kept */

    /* The engine, as the worker's messages tell. */
    bool is_open, is_unopened;
    char model[128];
    int32_t n_past, n_context;
    uint64_t asked;   /* the last question's job */
    uint64_t running; /* the job that is being answered, 0: none */
    uint64_t n_read, n_to_read, read_begin_ns;
    uint64_t first_text_ns; /* of the answer that runs; 0: none yet */
    int32_t n_past_at_first;
    uint64_t rate_ns; /* when the rate was last reckoned */
    double rate;      /* tokens a second */
    bool has_result;
    struct turn_result result; /* of the last answer */

    uint64_t escape_due_ns; /* when a beginning of a sequence has waited long enough */
    bool is_window_key;     /* Ctrl-W was pressed: the next key is about panes */
    bool was_interrupt;     /* the last key was Ctrl-C */
    bool was_warned;        /* of files that aren't saved */
    bool is_over;
    int ended_by; /* a signal, or 0 */
};

/* ---- screen.c ---- */
void screen_note(struct screen *screen, const char *format, ...) PRINTF_LIKE(2, 3);
struct pane *screen_focused(struct screen *screen);
const struct doc *screen_doc(const struct screen *screen, const struct pane *pane);
int screen_new_pane(struct screen *screen, enum pane_kind kind); /* its number, or -1 */
/* The focused one; false, and a note, where it isn't closed: the last one, or a file that isn't saved unless is_forced. */
bool screen_close_pane(struct screen *screen, bool is_forced);
bool screen_split(struct screen *screen, enum layout_split split, enum pane_kind kind);
struct view *screen_chat_view(
    struct screen *screen);              /* the focused one's, else the first that shows the conversation */
void screen_ask(struct screen *screen);  /* what stands in the question's entry */
void screen_edit(struct screen *screen); /* screen_edit.c: the question, in $EDITOR */
/* Text in $VISUAL or $EDITOR, while the terminal is given back; name: of its file, "commit.txt".  False with a note where the
 * editor failed. */
bool screen_edit_text(struct screen *screen, const char *name, struct buffer *text);
void screen_copy(struct screen *screen, bool is_answer);

/* ---- screen_draw.c ---- */
enum status screen_draw(struct screen *screen, struct error *error);

/* ---- screen_keys.c, screen_act.c ---- */
void screen_key(struct screen *screen, uint32_t key);
void screen_explain(struct screen *screen); /* fills screen->help */
void screen_begin_line(struct screen *screen, enum typing what);

/* ---- screen_file.c ---- */
struct file *screen_file(const struct screen *screen); /* the focused pane's, or NULL */
/* In the pane that shows it, else one that a file is in, else a new one.  path: absolute, or below the root; line 0: none. */
void screen_open_file(struct screen *screen, const char *path, uint32_t line);
void screen_save_file(struct screen *screen, bool is_forced);
void screen_reload_file(struct screen *screen);
const struct file *screen_unsaved(const struct screen *screen); /* one that was changed and not saved, or NULL */
void screen_keep_unsaved(struct screen *screen,
                         struct buffer *said); /* such files, in the state folder, when a signal ends it */

/* ---- screen_ghost.c ---- */
struct slice screen_ghost(const struct screen *screen, const struct file *file); /* what is to be shown; may be empty */
void screen_ghost_clear(struct screen *screen);
void screen_ghost_typed(struct screen *screen, const char *bytes, size_t size);      /* behind what was inserted */
void screen_ghost_wait(struct screen *screen, bool is_wanted);                       /* asks after the pause, or now */
void screen_ghost_tick(struct screen *screen);                                       /* asks, when it is time */
bool screen_ghost_take(struct screen *screen, const struct worker_message *message); /* false: it isn't about one */
/* Puts the first `size` bytes of the ghost into the text. */
void screen_ghost_accept(struct screen *screen, size_t size);

/* ---- screen_mention.c ---- */
bool screen_mention_complete(struct screen *screen); /* false: the cursor stands behind no @word */
void screen_mention_insert(struct screen *screen, const char *name);
void screen_mention_tick(struct screen *screen); /* asks what the question costs, when it rests */
bool screen_mention_take(struct screen *screen, const struct worker_message *message);

/* ---- screen_pick.c ---- */
void screen_pick_commands(struct screen *screen);
void screen_pick_mention(struct screen *screen, struct slice letters);
void screen_pick_files(struct screen *screen);
void screen_pick_named(struct screen *screen); /* files that the conversation names where it is shown */
void screen_pick_places(struct screen *screen, enum lookup_kind kind, const char *text);
void screen_pick_take(struct screen *screen);  /* what was looked up */
void screen_pick_again(struct screen *screen); /* there is an index now */
void screen_pick_filter(struct screen *screen);
void screen_pick_done(struct screen *screen);

/* ---- screen_commands.c ---- */
void screen_leave(struct screen *screen);                         /* unless a file isn't saved */
void screen_run_command(struct screen *screen, const char *line); /* without the colon */
bool screen_is_command(const char *line, size_t *size);           /* "/word": its letters' number */
void screen_complete(struct screen *screen, struct input *input, size_t prefix);
void screen_explain_commands(struct doc *doc);
bool screen_add_commands(struct picker *picker);           /* as items, whose ids screen_choose_command takes */
void screen_choose_command(struct screen *screen, int id); /* runs it, or begins a line where it takes an argument */

/* ---- screen_diff.c ---- */
void screen_show_diff(struct screen *screen, const char *what); /* as diff_pane_show, in a pane that is there or new */
void screen_act_on_diff(struct screen *screen, enum diff_action action);
void screen_search_diff(struct screen *screen, const char *text, int direction);
void screen_take_diff(struct screen *screen);
void screen_review(struct screen *screen);  /* lets the model read what the pane shows */
void screen_dismiss(struct screen *screen); /* the finding under the cursor */
bool screen_take_review(struct screen *screen, struct worker_message *message); /* whether it was about that */
void screen_draw_diff_title(struct screen *screen, struct area area, enum style style);
void screen_close_diff(struct screen *screen);
void screen_commit(struct screen *screen, const char *argument); /* screen_commit.c: "" or "amend" */

/* ---- screen_messages.c ---- */
void screen_take_messages(struct screen *screen);

#endif
