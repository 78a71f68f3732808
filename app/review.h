/* review: what a model says of a diff, hunk by hunk, and which of its added lines are unusual to it.
 *
 *   diff ──► texts of both sides ──► a prompt a hunk ──► answers, bound to JSON ──► checked ──► findings
 *                     └───────────► surprise of the changed lines (app/surprise.h) ──► ranks
 *
 * The system text and the diff stand first in every prompt and are evaluated once; each hunk forks that cache, and answers to several
 * hunks are decoded together.  Behind it stand the hunk with its lines' numbers, the enclosing function after and before the change,
 * definitions of what is used there and callers of what is changed, as far as the budget goes (review_prompt.c).
 *
 * A model may say what it wants: a finding is shown only if its lines lie in its hunk, it names something, all names in it are in
 * the diff or in the index, and it was not said before; what is dropped is counted by reason (review_check.c).  "Nothing found" is a good answer.
 *
 * Confidence is no word of the model's: it is the probability that it gave to opening this finding against ending the list, times
 * that of the severity against the three others.
 *
 * What was found in a hunk is kept by the hunk's content, the model, the prompt's version and what the answer depends on, and
 * read again by the same checks; a finding that was dismissed stays so (review_kept.c). */
#ifndef FATHOM_APP_REVIEW_H
#define FATHOM_APP_REVIEW_H

#include "app/project.h"
#include "app/surprise.h"
#include "repo/diff.h"

enum review_severity { REVIEW_CRITICAL, REVIEW_HIGH, REVIEW_MEDIUM, REVIEW_LOW, REVIEW_N_SEVERITIES };
const char *review_severity_name(enum review_severity severity); /* "critical" */

/* Why a finding isn't shown. */
enum review_drop {
    REVIEW_DROP_MALFORMED, /* no JSON of that form, also one that the limit of tokens cut off; no text, no name */
    REVIEW_DROP_RANGE,     /* lines that aren't in its hunk, or not in their order */
    REVIEW_DROP_DUPLICATE, /* was said before of this file */
    REVIEW_DROP_SYMBOL,    /* names what is neither in the diff nor defined in the index */
    REVIEW_N_DROPS,
};
const char *review_drop_name(enum review_drop drop); /* "malformed" */

enum {
    REVIEW_TITLE_MOST = 80, /* characters */
    REVIEW_DETAIL_MOST = 240,
    REVIEW_SYMBOLS_MOST = 4,
    REVIEW_FINDINGS_MOST = 3, /* of a hunk */
    REVIEW_BUDGET = 1024,     /* tokens of a hunk's prompt, where nobody chose */
};

struct review_finding {
    char id[17];   /* of hunk, lines and title: stays where the hunk moves */
    uint32_t hunk; /* its number in the diff */
    uint32_t line, end_line;
    bool is_old; /* the lines are the old side's: of a hunk that leaves nothing */
    enum review_severity severity;
    double confidence; /* 0..1 */
    const char *title, *detail;
};

enum review_state {
    REVIEW_UNREAD,  /* interrupted before it was */
    REVIEW_READ,    /* by the model, now */
    REVIEW_KEPT,    /* what it said the last time */
    REVIEW_SKIPPED, /* why says for what */
    REVIEW_WEIGHED, /* findings were not asked for */
};

struct review_hunk {
    enum review_state state;
    uint32_t n_shown;  /* of its lines, the first ones: those that the model saw; findings may name these alone */
    const char *why;   /* "secret", "generated", "longer than --budget"...; "" */
    bool has_surprise; /* it adds lines, and they were scored */
    double surprise;   /* the mean over the tokens of its added lines, nats */
};

/* An added line. */
struct review_line {
    uint32_t hunk, line; /* number in the new file */
    uint32_t at;         /* number of the diff's line */
    uint32_t n_tokens;
    double surprise;       /* nats a token */
    double deleted;        /* the same of the lines that its hunk deletes; NAN where there are none */
    uint32_t rank, n_rank; /* among the added lines of its file; 1: the most unusual */
    int32_t peak;          /* its least likely token */
    float peak_logprob;
    struct token_probability top[SURPRISE_TOP]; /* what was most likely in its place; id -1: no more */
};

struct review_result {
    struct review_finding *findings; /* in the diff's order */
    size_t n_findings;
    struct review_hunk *hunks; /* the diff's */
    size_t n_hunks;
    struct review_line *lines; /* the most unusual first: nats a token; next most unusual is the next */
    size_t n_lines;
    size_t dropped[REVIEW_N_DROPS], n_dismissed;
    size_t n_read, n_kept, n_skipped;
    size_t n_prompt, n_reused, n_answered; /* tokens: of prompts, of these in the cache already, of answers */
    bool is_interrupted;
    struct arena arena;
};

struct review_request {
    const struct diff *diff;
    const struct diff
        *whole; /* the same with all of each file's lines around; NULL: what the worktree or the hunks hold */
    struct project *project; /* its index; NULL: none */
    struct engine *engine;
    struct session_options session; /* n_ctx 0: what the budget needs */
    struct sampler_options sampling;
    size_t budget;            /* tokens of a hunk's prompt; 0: REVIEW_BUDGET */
    int64_t n_predict;        /* tokens of an answer; -1: what the findings need */
    const char *kept_folder;  /* where answers are kept; NULL: nowhere */
    const char *const *asked; /* paths that were asked for by name: also what is otherwise left out, such as secrets */
    size_t n_asked;
    bool no_findings, no_surprise;
    const atomic_bool *cancel; /* may be NULL */
    progress_fn *progress;     /* may be NULL; "reviewing", in hunks */
    void *progress_context;
};

/* *out is zeroed first.  Interrupted it gives what there is, with STATUS_OK. */
enum status review_run(const struct review_request *request, struct review_result *out, struct error *error);
void review_result_deinit(struct review_result *result);

/* ---- what is kept ---- */

/* Appends the folder that is a repository's, in $XDG_STATE_HOME/fathom/review, after making it (mode 0700). */
enum status review_kept_folder(const char *root, struct buffer *out, struct error *error);

/* The finding of that id won't be shown again.  STATUS_ARGUMENT where it is no id (16 hexadecimal digits). */
enum status review_dismiss(const char *kept_folder, const char *id, struct error *error);

/* ---- for tests and fuzzing ---- */

/* Reads one finding as a model writes it, {"severity":...,"line":...,...}, against the lines [first, last] of a hunk; texts go to the
 * arena.  STATUS_FORMAT with what is to be counted in *drop, STATUS_MEMORY.  Symbols aren't looked up. */
struct review_said {
    enum review_severity severity;
    uint32_t line, end_line;
    const char *title, *detail;
    const char *symbols[REVIEW_SYMBOLS_MOST];
    size_t n_symbols;
};
enum status review_read_said(const char *text, size_t size, uint32_t first, uint32_t last, struct arena *arena,
                             struct review_said *out, enum review_drop *drop);

#endif
