/* progress: how far something long has come, on stderr, once it has taken longer than a second.
 *
 *   on a terminal       one line, redrawn at most ten times a second and erased at the end
 *   with --plain        lines that stay, one every ten seconds
 *   else, or --quiet    nothing
 *
 * A thread of its own draws, so that work which can't tell how far it is (mapping a cold file) is shown too, and what can
 * tell pays a lock per call alone.  All functions are called from one thread. */
#ifndef FATHOM_APP_PROGRESS_H
#define FATHOM_APP_PROGRESS_H

#include <pthread.h>

#include "engine/base.h"

enum progress_style { PROGRESS_NONE, PROGRESS_LINE, PROGRESS_APPEND };

struct progress {
    int fd;
    enum progress_style style;
    const char *unit;  /* what done and total count; NULL: tokens */
    uint64_t delay_ns; /* how long nothing is shown: a second */
    bool is_running;
    pthread_t thread;
    pthread_mutex_t lock; /* what follows */
    pthread_cond_t changed;
    bool is_ending;
    bool was_drawn;
    uint64_t started_ns, done, total; /* total 0: nobody knows */
    char what[64];                    /* "reading", safe for a terminal */
};

void progress_init(struct progress *progress, int fd, enum progress_style style);
void progress_deinit(struct progress *progress); /* ends it */

/* What --quiet, --plain and the terminal allow. */
enum progress_style progress_style_for(bool is_terminal, bool quiet, bool plain);

/* Something begins.  Ends what ran before. */
void progress_begin(struct progress *progress, const char *what);

/* A progress_fn (engine.h), context is the struct progress: begins where nothing runs, ends when done reaches total. */
void progress_update(void *context, const char *what, uint64_t done, uint64_t total);

/* The same for bytes, of which the line shows megabytes (unit "MB"). */
void progress_update_bytes(void *context, const char *what, uint64_t done, uint64_t total);

/* Erases the line.  Nothing is drawn after this returns, until the next begin or update. */
void progress_end(struct progress *progress);

#endif
