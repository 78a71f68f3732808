/* index_tidy: which segments become one and when, and how what no file names goes (index_store.h).
 *
 * A question looks into every segment, so their number is bounded, however often the writer committed: beyond
 * SEGMENTS_MOST the newest are merged.  Of these as many as are together at least two thirds of the next older one, so that
 * sizes fall from old to new like a geometric row, and a byte is written again some log(n) times: of an edit's segment, in
 * a simulation of 3,000 edits, five to eight times.  Merging stops at LARGE bytes, a second's work in one transaction,
 * unless that leaves too few free places; only an index that has grown by as much as it held gets past that.  After a run
 * that wrote a large part, the cheapest neighbours are merged until there is room for the segments of edits, which
 * otherwise would have to be merged with a large one each.
 *
 * Neighbours alone are merged, since a segment covers a range of numbers. */
#include <stdlib.h>
#include <string.h>

#include "repo/index_store.h"

enum { FEWEST = 4 }; /* segments that a merge should take: with fewer the next one is soon due */
static const uint64_t large = 96u << 20, brief = 16u << 20;

/* As many of the newest as belong together, within limit bytes; two at least. */
static size_t run_within(const struct segment *segments, size_t n, uint64_t limit)
{
    size_t run = 1;
    uint64_t bytes = segments[n - 1].n_bytes;
    while (run < n) {
        uint64_t next = segments[n - 1 - run].n_bytes;
        if (run > 1 && (next / 3 > bytes / 2 || next > limit || bytes > limit - next))
            break;
        bytes += next;
        run++;
    }
    return run;
}

/* The neighbours that leave SEGMENTS_PACKED and hold the fewest bytes. */
static struct merge cheapest(const struct segment *segments, size_t n)
{
    struct merge best = {0, n - SEGMENTS_PACKED + 1};
    uint64_t least = UINT64_MAX;
    for (size_t first = 0; first + best.run <= n; first++) {
        uint64_t bytes = 0;
        for (size_t i = first; i < first + best.run; i++)
            bytes += segments[i].n_bytes;
        if (bytes < least) {
            best.first = first;
            least = bytes;
        }
    }
    return best;
}

struct merge index_merge_choose(const struct segment *segments, size_t n, enum tidy how)
{
    if (how == TIDY_PACK && n > SEGMENTS_PACKED && n <= SEGMENTS_MOST)
        return cheapest(segments, n);
    if (n <= SEGMENTS_MOST)
        return (struct merge){0};
    size_t run = run_within(segments, n, large);
    if (run < FEWEST)
        run = run_within(segments, n, UINT64_MAX);
    uint64_t bytes = 0;
    for (size_t i = n - run; i < n; i++)
        bytes += segments[i].n_bytes;
    if (how == TIDY_BRIEF && bytes > brief && n <= SEGMENTS_EVER)
        return (struct merge){0};
    return (struct merge){n - run, run};
}

/* Ends what INDEX_BEGIN began. */
static enum status end(struct index *index, enum status status, struct error *error)
{
    struct error inner;
    if (status == STATUS_OK) {
        status = index_run(index, index_statement(index, INDEX_COMMIT, &inner), &inner);
        if (status == STATUS_OK)
            return STATUS_OK;
        error_set(error, status, "%s", inner.text);
    }
    index_run(index, index_statement(index, INDEX_ROLLBACK, NULL), NULL);
    return status;
}

static enum status merge_all(struct index *index, enum tidy how, const atomic_bool *cancel, struct error *error)
{
    for (;;) {
        const struct segment *segments;
        size_t n;
        enum status status = segment_list(index->segments, &segments, &n, error);
        struct merge merge = {0};
        if (status == STATUS_OK)
            merge = index_merge_choose(segments, n, how);
        if (!merge.run)
            return status;
        status = index_run(index, index_statement(index, INDEX_BEGIN, error), error);
        if (status != STATUS_OK)
            return status;
        status = end(index, segment_merge(index->segments, merge.first, merge.run, NULL, cancel, error), error);
        if (status != STATUS_OK)
            return status;
    }
}

/* ---- collecting ---- */

static bool mark(struct buffer *map, uint32_t first, uint32_t n)
{
    static const char zeros[4096];
    if (!n)
        return true;
    if (first > UINT32_MAX - n)
        return false;
    while (map->size < first + n && !map->failed)
        buffer_append(map, zeros, first + n - map->size < sizeof zeros ? first + n - map->size : sizeof zeros);
    if (map->failed || !map->data)
        return false;
    memset(map->data + first, 1, n);
    return true;
}

/* Marks the contents that there are, and their chunks. */
static enum status find_kept(struct index *index, struct buffer *contents, struct buffer *chunks, struct error *error)
{
    const struct segment *segments;
    size_t n;
    enum status status = segment_list(index->segments, &segments, &n, error);
    sqlite3_stmt *each = status == STATUS_OK ? index_statement(index, INDEX_EACH_KEPT, error) : NULL;
    if (!each)
        return status == STATUS_OK ? index_failed(index, error) : status;
    int64_t max_content = n ? segments[n - 1].last_content : 0, max_chunk = n ? segments[n - 1].end_chunk : 0;
    int code;
    while ((code = sqlite3_step(each)) == SQLITE_ROW) {
        int64_t content = sqlite3_column_int64(each, 0), chunk = sqlite3_column_int64(each, 1);
        int64_t n_chunks = sqlite3_column_int64(each, 2);
        if (content < 1 || content > max_content || chunk < 0 || n_chunks < 0 || chunk > max_chunk ||
            n_chunks > max_chunk - chunk) {
            sqlite3_reset(each);
            return index_damaged(error);
        }
        if (!mark(contents, (uint32_t)content, 1) || !mark(chunks, (uint32_t)chunk, (uint32_t)n_chunks)) {
            sqlite3_reset(each);
            return error_set(error, STATUS_MEMORY, "out of memory");
        }
    }
    sqlite3_reset(each);
    return code == SQLITE_DONE ? STATUS_OK : index_failed(index, error);
}

static enum status is_collection_due(struct index *index, bool *is_due, struct error *error)
{
    enum { SMALL = 16 << 20 };
    sqlite3_stmt *sums = index_statement(index, INDEX_DEAD, error);
    if (!sums || sqlite3_step(sums) != SQLITE_ROW)
        return index_failed(index, error);
    int64_t dead = sqlite3_column_int64(sums, 0), all = sqlite3_column_int64(sums, 1);
    sqlite3_reset(sums);
    *is_due = dead > SMALL && dead > (all - dead) / 2;
    return STATUS_OK;
}

/* How far a collection has come that isn't done; -1: there is none. */
static enum status get_collected(struct index *index, int64_t *collected, struct error *error)
{
    sqlite3_stmt *row = index_statement(index, INDEX_GET_META, error);
    if (!row)
        return index_failed(index, error);
    sqlite3_bind_text(row, 1, "collected", -1, SQLITE_STATIC);
    int code = sqlite3_step(row);
    *collected = code == SQLITE_ROW ? sqlite3_column_int64(row, 0) : -1;
    sqlite3_reset(row);
    return code == SQLITE_ROW || code == SQLITE_DONE ? STATUS_OK : index_failed(index, error);
}

static enum status set_collected(struct index *index, int64_t collected, struct error *error)
{
    sqlite3_stmt *row = index_statement(index, collected < 0 ? INDEX_DROP_META : INDEX_PUT_META, error);
    if (!row)
        return index_failed(index, error);
    sqlite3_bind_text(row, 1, "collected", -1, SQLITE_STATIC);
    if (collected >= 0)
        sqlite3_bind_int64(row, 2, collected);
    return index_run(index, row, error);
}

/* The contents that no file names, without their postings. */
static enum status drop_dead(struct index *index, struct error *error)
{
    enum status status = index_run(index, index_statement(index, INDEX_BEGIN, error), error);
    if (status != STATUS_OK)
        return status;
    status = index_run(index, index_statement(index, INDEX_DROP_FACTS, error), error);
    if (status == STATUS_OK)
        status = index_run(index, index_statement(index, INDEX_DROP_CONTENTS, error), error);
    if (status == STATUS_OK)
        status = set_collected(index, 0, error);
    return end(index, status, error);
}

/* The postings of contents that are gone, from the segments behind content number collected: as many at a time as are not
 * too large together.  -1 once all are done. */
static enum status collect_some(struct index *index, const struct segment_filter *filter, int64_t *collected,
                                const atomic_bool *cancel, struct error *error)
{
    const struct segment *segments;
    size_t n, first = 0, run = 0;
    enum status status = segment_list(index->segments, &segments, &n, error);
    if (status == STATUS_OK)
        status = index_run(index, index_statement(index, INDEX_BEGIN, error), error);
    if (status != STATUS_OK)
        return status;
    while (first < n && segments[first].last_content <= *collected)
        first++;
    uint64_t bytes = 0;
    while (first + run < n && (!run || segments[first + run].n_bytes <= large - bytes)) {
        bytes += segments[first + run++].n_bytes;
        if (bytes >= large)
            break;
    }
    *collected = run ? (int64_t)segments[first + run - 1].last_content : -1;
    if (run)
        status = segment_merge(index->segments, first, run, filter, cancel, error);
    if (status == STATUS_OK)
        status = set_collected(index, *collected, error);
    return end(index, status, error);
}

/* Goes on with what an earlier one may have begun. */
static enum status collect(struct index *index, int64_t collected, const atomic_bool *cancel, struct error *error)
{
    struct buffer contents = {0}, chunks = {0};
    enum status status = find_kept(index, &contents, &chunks, error);
    struct segment_filter filter = {(const uint8_t *)contents.data, (uint32_t)contents.size,
                                    (const uint8_t *)chunks.data, (uint32_t)chunks.size};
    while (status == STATUS_OK && collected >= 0)
        status = collect_some(index, &filter, &collected, cancel, error);
    buffer_deinit(&contents);
    buffer_deinit(&chunks);
    return status;
}

enum status index_tidy(struct index *index, enum tidy how, const atomic_bool *cancel, struct error *error)
{
    int64_t collected = -1;
    bool is_due = false;
    enum status status = how == TIDY_BRIEF ? STATUS_OK : get_collected(index, &collected, error);
    if (status == STATUS_OK && collected < 0 && how >= TIDY_COLLECT) {
        status = is_collection_due(index, &is_due, error);
        if (status == STATUS_OK && is_due) {
            status = drop_dead(index, error);
            collected = 0;
        }
    }
    if (status == STATUS_OK && collected >= 0)
        status = collect(index, collected, cancel, error);
    return status == STATUS_OK ? merge_all(index, how, cancel, error) : status;
}
