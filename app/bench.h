/* bench: what the files of `fathom bench` share.  For command_bench.c and bench_*.c alone.
 *
 *   command_bench.c   the command: which of its three kinds of work is asked for
 *   bench_plan.c      which lines are to be measured
 *   bench_measure.c   measuring them, the other program in turn with ours
 *   bench_peer.c      the other program
 *   bench_report.c    the table, the bars, the JSON
 *   bench_compare.c   against the JSON of an earlier run
 *   bench_kv.c        what each type of attention cache costs in perplexity */
#ifndef FATHOM_APP_BENCH_H
#define FATHOM_APP_BENCH_H

#include "app/command.h"

enum { BENCH_NEW_TOKENS = 20 }; /* of a first token's prompt, behind what is cached */

enum bench_kind {
    BENCH_PREFILL, /* n tokens at once, none before them */
    BENCH_DECODE,  /* n tokens one by one, behind depth others */
    BENCH_FIRST,   /* the first token of an answer: n new tokens behind depth cached ones, and the choice */
    BENCH_ALONE,   /* the same n tokens with nothing before them: what the first token would be at best */
    BENCH_RESTORE, /* n tokens that were evaluated, from a file */
    BENCH_KINDS,
};

/* One thing that is measured. */
struct bench_line {
    enum bench_kind kind;
    int64_t n, depth;
    double seconds;      /* median */
    double peer_seconds; /* median of the other program; 0: not measured */
};

struct bench_peer;

struct bench {
    const struct command_context *context;
    struct engine *engine;
    struct session *session;
    struct bench_peer *peer; /* NULL: none */
    struct bench_line *lines;
    size_t n_lines, line_capacity;
    int32_t *ids, *changed; /* n_ids: tokens of a prompt; the same with others behind what is cached */
    size_t n_ids;
    char *saved; /* a file that holds n_saved tokens' session; NULL: none yet */
    int64_t n_saved;
    uint64_t kv_per_token;
    double bandwidth;     /* bytes a second */
    double compute;       /* multiply-adds a second */
    uint64_t peak;        /* the most memory at the end of a line */
    uint64_t done, total; /* tokens, for the progress line */
};

const char *bench_kind_name(enum bench_kind kind); /* "prefill" */

/* Higher is better: tokens a second. */
double bench_speed(const struct bench_line *line);

/* The line of that kind, or NULL. */
const struct bench_line *bench_find(const struct bench *bench, enum bench_kind kind, int64_t n, int64_t depth);

/* ---- bench_plan.c ---- */

struct bench_record;

/* The lines that settings ask for; those of an earlier run (may be NULL) where they ask for none.  STATUS_ARGUMENT where
 * nothing is left to measure. */
enum status bench_plan(struct bench *bench, const struct bench_record *record, struct error *error);
enum status bench_add_line(struct bench *bench, struct bench_line line, struct error *error);

/* Tokens that the longest line stands in. */
int64_t bench_most_tokens(const struct bench *bench);

/* ---- bench_measure.c ---- */

enum status bench_measure(struct bench *bench, struct error *error);

/* Bytes that one token of a decode reads: weights, and the cache at the middle of the tokens generated. */
uint64_t bench_bytes_per_token(const struct bench *bench, const struct bench_line *line);
double bench_bandwidth_share(const struct bench *bench, const struct bench_line *line);
double bench_compute_share(const struct bench *bench, const struct bench_line *line);

/* ---- bench_peer.c ---- */

/* Starts the other program by that Python (NULL or "": $PYTHON, else python3) on the same model.  STATUS_NOT_FOUND says how
 * to get what is missing. */
enum status bench_peer_open(const struct bench *bench, const char *python, struct bench_peer **out,
                            struct error *error);
void bench_peer_close(struct bench_peer *peer); /* NULL is fine */
enum status bench_peer_measure(struct bench_peer *peer, const struct bench_line *line, double *seconds,
                               struct error *error);
const char *bench_peer_version(const struct bench_peer *peer);
double bench_peer_load_ms(const struct bench_peer *peer);

/* ---- bench_report.c ---- */

void bench_print(const struct bench *bench, const struct bench_record *record);

/* ---- bench_compare.c ---- */

/* What an earlier `bench --json` wrote. */
enum status bench_record_read(const struct command_context *context, const char *path, struct bench_record **out,
                              struct error *error);
void bench_record_free(struct bench_record *record); /* NULL is fine */
const struct bench_line *bench_record_lines(const struct bench_record *record, size_t *n);

/* Says on stderr in what the earlier run was another one: model, threads, processor. */
void bench_record_notice(const struct bench *bench, const struct bench_record *record);

/* A line of both runs; ratio is the new speed over the old one. */
struct bench_change {
    const struct bench_line *old, *new;
    double ratio;
    bool is_slower; /* by more than --tolerance */
};

/* The i-th line of this run that the earlier one has, too; false at the end. */
bool bench_change_at(const struct bench *bench, const struct bench_record *record, size_t i,
                     struct bench_change *change);
bool bench_is_slower(const struct bench *bench, const struct bench_record *record); /* any of them */
const char *bench_record_label(
    const struct bench_record *record); /* "OLD.json, 0.1.0 of 2026-11-20" as it may be shown */

/* ---- bench_kv.c ---- */

enum exit_status bench_kv_cost(const struct command_context *context);

#endif
