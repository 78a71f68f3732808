/* search: what in the repository a few words may mean: symbols, text by BM25, phrases and regular expressions, fused.
 *
 *   kmalloc array         words: symbols of that name, or that begin so, or hold its letters in order; text by BM25
 *   "struct page *"       a phrase: exactly these bytes
 *   /kmalloc\(.*GFP/      a regular expression (PCRE2), line by line
 *   path:mm lang:c kind:function   filters: path is a part of the path, or a glob where it holds * or ?; kind takes
 *                         tag_kind_name's words and "text"
 *   def:NAME ref:NAME     where exactly this name is defined, or used
 *
 * Each way of finding gives a ranked list.  Lists are fused by reciprocal rank (Cormack and others, 2009: 1 / (60 + rank)),
 * then ranked again by nearness to a place, by what is about to be committed and by what was edited in the last hours.
 * tests/eval_search.py measures what that is worth on changes that others made. */
#ifndef FATHOM_REPO_SEARCH_H
#define FATHOM_REPO_SEARCH_H

#include "repo/index.h"

/* What an evaluation compares: the whole ranking, that without place and edits, BM25 alone in its order, and the place
 * without edits. */
enum search_rank { SEARCH_RANK_ALL, SEARCH_RANK_FLAT, SEARCH_RANK_TEXT, SEARCH_RANK_NEAR };

struct search_options {
    const char *query;
    const struct index_place *near;   /* may be NULL */
    const struct repo_files *changed; /* repo_changed's; may be NULL */
    size_t max;                       /* hits; 0: 10 */
    const atomic_bool *cancel;        /* may be NULL */
    uint64_t scan_ns;                 /* how long files are scanned for phrases and expressions; 0: 10 s */
    enum search_rank rank;
    int64_t now_ns; /* since 1970, from which edits are lately; 0: the clock's */
};

struct search_hit {
    const char *path;
    uint32_t path_size;
    uint32_t line, end_line; /* 1-based, both included */
    uint32_t best_line;      /* the one among them that holds most of what was asked for */
    const char *kind;        /* tag_kind_name's, "text", or "reference" */
    const char *name;        /* of a symbol; else "" */
    double score;
    const char *text; /* from line on, at most 4000 bytes, cut at a line; "" where the file has changed since */
    size_t text_size;
};

struct search_results {
    struct search_hit *hits; /* best first */
    size_t n;
    bool is_partial; /* the time for scanning ran out */
    struct arena arena;
};

/* Sees the index as it is.  Linux 6.1 (78,079 files, 938 MB), 200 queries of a name: 4 ms, p95 7 ms, at most 13 ms; 200 of two to four
 * words: 11 ms, p95 14 ms (make measure-index); a phrase with a whole word within 0.1 s, a scan of all files 1 to 2 s.
 * STATUS_ARGUMENT says what is wrong with the query. */
enum status search_run(struct index *index, struct repo *repo, const struct search_options *options,
                       struct search_results *out, struct error *error);
void search_results_deinit(struct search_results *results);

#endif
