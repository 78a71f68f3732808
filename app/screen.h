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
#include "app/transcript.h"
#include "app/worker.h"
#include "ui/input.h"
#include "ui/keys.h"
#include "ui/layout.h"
#include "ui/terminal.h"

enum pane_kind { PANE_CHAT, PANE_HELP, PANE_DIFF };

struct pane {
    bool is_used;
    enum pane_kind kind;
    struct view view;
};

/* What is being typed into. */
enum typing { TYPING_NOTHING, TYPING_QUESTION, TYPING_COMMAND, TYPING_SEARCH };

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
    struct doc help;
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

    bool is_window_key; /* Ctrl-W was pressed: the next key is about panes */
    bool was_interrupt; /* the last key was Ctrl-C */
    bool is_over;
    int ended_by; /* a signal, or 0 */
};

/* ---- screen.c ---- */
void screen_note(struct screen *screen, const char *format, ...) PRINTF_LIKE(2, 3);
struct pane *screen_focused(struct screen *screen);
const struct doc *screen_doc(const struct screen *screen, const struct pane *pane);
int screen_new_pane(struct screen *screen, enum pane_kind kind); /* its number, or -1 */
void screen_close_pane(struct screen *screen);                   /* the focused one */
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

/* ---- screen_keys.c ---- */
void screen_key(struct screen *screen, uint32_t key);
void screen_explain(struct screen *screen); /* fills screen->help */

/* ---- screen_commands.c ---- */
void screen_run_command(struct screen *screen, const char *line); /* without the colon */
bool screen_is_command(const char *line, size_t *size);           /* "/word": its letters' number */
void screen_complete(struct screen *screen, struct input *input, size_t prefix);
void screen_explain_commands(struct doc *doc);

/* ---- screen_diff.c ---- */
void screen_show_diff(struct screen *screen, const char *what); /* as diff_pane_show, in a pane that is there or new */
void screen_act_on_diff(struct screen *screen, enum diff_action action);
void screen_search_diff(struct screen *screen, const char *text, int direction);
void screen_take_diff(struct screen *screen);
void screen_draw_diff_title(struct screen *screen, struct area area, enum style style);
void screen_close_diff(struct screen *screen);
void screen_commit(struct screen *screen, const char *argument); /* screen_commit.c: "" or "amend" */

/* ---- screen_messages.c ---- */
void screen_take_messages(struct screen *screen);

#endif
