/* review_private: what the files of app/review*.c share and nobody else sees. */
#ifndef FATHOM_APP_REVIEW_PRIVATE_H
#define FATHOM_APP_REVIEW_PRIVATE_H

#include "app/gather.h"
#include "app/review.h"

enum {
    REVIEW_PROMPT_VERSION = 2, /* one more whenever prompts or checks change: what was kept is then read anew */
    REVIEW_TOGETHER = 8,       /* answers that are decoded at once */
    REVIEW_ID_SIZE = 16,
};

/* ---- texts (review_text.c) ---- */

/* One side of a file as far as it is known. */
struct review_side {
    struct slice text;
    uint32_t first_line; /* number of its first line; 1 where it is whole */
};

struct review_file {
    struct buffer old, new;
    bool is_whole; /* both are; else nothing is known but the hunks */
};

/* What one run holds. */
struct review {
    const struct review_request *request;
    const struct diff *diff;
    struct review_result *out;
    struct review_file *files; /* the diff's */
    struct gatherer *gatherer; /* NULL: no index */
    struct syntax *syntax;     /* likewise */
    struct session *base;      /* system text and diff */
    char key[80];              /* of the model and all that answers depend on beside the prompt */
    struct buffer dismissed;   /* ids, one a line */
    struct buffer change;      /* the change as a whole, as prompts begin with it, and what it costs of the budget */
    size_t change_cost;
    bool has_change, has_base; /* has_base: what prompts have in common was evaluated */
    size_t n_findings_room;
    size_t budget;
    struct error *error;
};

enum status review_texts_read(struct review *review);
void review_texts_free(struct review *review);
/* Both sides around a hunk; built in the arena where the file isn't known. */
enum status review_sides(struct review *review, size_t hunk, struct arena *arena, struct review_side *old,
                         struct review_side *new);
/* The lines [line, end_line] of a side, by their numbers in the file. */
struct slice review_side_lines(const struct review_side *side, uint32_t line, uint32_t end_line);
/* The lines that findings on a hunk may name, and whether they are the old side's. */
bool review_hunk_range(const struct diff_hunk *hunk, uint32_t *first, uint32_t *last);
/* Those of them that the model was shown: of a long hunk the first ones. */
bool review_shown_range(const struct review *review, size_t hunk, uint32_t *first, uint32_t *last);

/* ---- prompts (review_prompt.c) ---- */

/* Appends the tokens of a hunk's prompt, up to where findings begin, and notes how many of its lines it shows; hunk SIZE_MAX
 * gives what all of them begin with. */
enum status review_prompt(struct review *review, size_t hunk, struct tokens *out);

/* ---- answers (review_answer.c) ---- */

/* A finding as the model wrote it. */
struct review_raw {
    struct buffer text;
    double confidence;
};

struct review_answer {
    size_t hunk;
    struct review_raw raw[REVIEW_FINDINGS_MOST];
    size_t n_raw;
    size_t n_tokens;
    bool is_whole; /* false: interrupted */
};

/* Asks for the findings of n <= REVIEW_TOGETHER hunks (answers[i].hunk) whose prompts are given. */
enum status review_answer_run(struct review *review, const struct tokens *prompts, struct review_answer *answers,
                              size_t n);
void review_answer_deinit(struct review_answer *answer);

/* ---- checks (review_check.c) ---- */

/* Adds the finding to the result, or counts why not. */
enum status review_check(struct review *review, size_t hunk, const char *text, size_t size, double confidence);
/* 16 hexadecimal digits of a hash over texts, a NUL behind each. */
void review_hash(const char *const *texts, size_t n, char out[REVIEW_ID_SIZE + 1]);

/* ---- what is kept (review_kept.c) ---- */

void review_kept_key(const struct review *review, size_t hunk, char out[REVIEW_ID_SIZE + 1]);
/* Calls review_check on what was kept of a hunk.  *found false where there is nothing that can be read. */
enum status review_kept_take(struct review *review, size_t hunk, bool *found);
/* A failure costs the next reading some time, and is passed over. */
void review_kept_put(const struct review *review, const struct review_answer *answer);
void review_kept_dismissed(struct review *review);
/* Deletes the older half of the answers once there are too many. */
void review_kept_make_room(const char *folder);
/* Lines in a kept finding count from the hunk's first: adds offset to "line" and "end_line" of the JSON.  NULL where it is none. */
char *review_move_lines(const char *text, size_t size, int64_t offset);

/* For review_kept_take, and fuzzing: the findings of a file's text, each with its confidence, once the whole is right; and how
 * many of the hunk's lines were shown. */
enum { REVIEW_KEPT_MOST = 64 << 10 };
typedef enum status review_kept_fn(void *context, const char *finding, size_t size, double confidence);
enum status review_kept_read(const char *text, size_t size, uint32_t *n_shown, review_kept_fn *each, void *context,
                             struct error *error);

/* ---- surprise (review_unusual.c) ---- */

enum status review_unusual(struct review *review);

#endif
