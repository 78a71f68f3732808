/* complete_kept: see complete_kept.h.
 *
 * Texts are known by two hashes of 64 bits and their sizes; of the prefix the last bytes are kept and compared as well, so
 * that most entries are passed over without hashing. */
#include "app/complete_kept.h"

#include <stdlib.h>
#include <string.h>

enum { TAIL = 64, KEPT_TEXT = 64 << 10 /* a longer completion isn't remembered */ };

struct fingerprint {
    uint64_t a, b;
    size_t size;
};

struct entry {
    struct fingerprint prefix, suffix, rest; /* rest: path and what changes an answer */
    char tail[TAIL];
    size_t n_tail;
    struct complete_way *ways;
    size_t n_ways, n_tokens;
};

struct complete_kept {
    struct entry *entries;
    size_t n, next;
};

static void mix(struct fingerprint *print, const void *bytes, size_t size)
{
    const unsigned char *at = bytes;
    uint64_t a = print->a, b = print->b;
    for (; size >= 8; at += 8, size -= 8) {
        uint64_t word;
        memcpy(&word, at, 8);
        a = (a ^ word) * UINT64_C(0xff51afd7ed558ccd);
        a ^= a >> 32;
        b = (b + word) * UINT64_C(0xc4ceb9fe1a85ec53);
        b ^= b >> 29;
    }
    for (; size; at++, size--) {
        a = (a ^ *at) * UINT64_C(0xff51afd7ed558ccd);
        b = (b + *at) * UINT64_C(0xc4ceb9fe1a85ec53);
        a ^= a >> 32;
        b ^= b >> 29;
    }
    print->a = a;
    print->b = b;
}

static struct fingerprint print_of(struct slice text)
{
    struct fingerprint print = {.a = text.size, .b = UINT64_C(0x9e3779b97f4a7c15), .size = text.size};
    mix(&print, text.data, text.size);
    return print;
}

static struct fingerprint print_of_rest(const struct complete_request *request)
{
    const struct sampler_options *sampling = &request->sampling;
    struct fingerprint print = print_of(request->prompt.path);
    const float numbers[] = {sampling->temperature, sampling->top_p, sampling->min_p, sampling->repeat_penalty};
    const int64_t integers[] = {
        request->n_predict, sampling->top_k, (int64_t)request->n_alternatives,
        (int64_t)request->n_stops}; /* not the seed: asking again is no wish for another answer */
    mix(&print, numbers, sizeof numbers);
    mix(&print, integers, sizeof integers);
    for (size_t i = 0; i < request->n_stops; i++)
        mix(&print, request->stops[i], strlen(request->stops[i]) + 1);
    return print;
}

static bool same_print(struct fingerprint a, struct fingerprint b)
{
    return a.a == b.a && a.b == b.b && a.size == b.size;
}

/* ---- keeping ---- */

enum status complete_kept_new(size_t n, struct complete_kept **out, struct error *error)
{
    struct complete_kept *kept = calloc(1, sizeof *kept);
    struct entry *entries = calloc(n + 1, sizeof *entries);
    if (!kept || !entries) {
        free(kept);
        free(entries);
        return error_set(error, STATUS_MEMORY, "out of memory");
    }
    *kept = (struct complete_kept){.entries = entries, .n = n};
    *out = kept;
    return STATUS_OK;
}

static void forget(struct entry *entry)
{
    for (size_t i = 0; i < entry->n_ways; i++)
        buffer_deinit(&entry->ways[i].text);
    free(entry->ways);
    *entry = (struct entry){0};
}

void complete_kept_free(struct complete_kept *kept)
{
    if (!kept)
        return;
    for (size_t i = 0; i < kept->n; i++)
        forget(&kept->entries[i]);
    free(kept->entries);
    free(kept);
}

/* Copies of ways, each without its first skip bytes; those that don't begin with typed are left out. */
static struct complete_way *copy_ways(const struct complete_way *ways, size_t n, struct slice typed, size_t *n_out)
{
    struct complete_way *copy = calloc(n ? n : 1, sizeof *copy);
    bool failed = !copy;
    *n_out = 0;
    for (size_t i = 0; copy && i < n; i++) {
        const struct buffer *text = &ways[i].text;
        if (text->size <= typed.size || memcmp(text->data, typed.data, typed.size) != 0)
            continue;
        struct complete_way *way = &copy[(*n_out)++];
        way->stop = ways[i].stop;
        buffer_append(&way->text, text->data + typed.size, text->size - typed.size);
        failed = failed || way->text.failed;
    }
    if (!failed)
        return copy;
    for (size_t i = 0; i < *n_out; i++)
        buffer_deinit(&copy[i].text);
    free(copy);
    *n_out = 0;
    return NULL;
}

void complete_kept_add(struct complete_kept *kept, const struct complete_request *request,
                       const struct complete_result *result)
{
    struct slice prefix = request->prompt.prefix;
    struct entry *entry = &kept->entries[kept->next];
    size_t total = 0;
    for (size_t i = 0; i < result->n_ways; i++)
        total += result->ways[i].text.size;
    if (!kept->n || total > KEPT_TEXT)
        return;
    forget(entry);
    entry->ways = copy_ways(result->ways, result->n_ways, (struct slice){"", 0}, &entry->n_ways);
    if (!entry->ways)
        return;
    entry->prefix = print_of(prefix);
    entry->suffix = print_of(request->prompt.suffix);
    entry->rest = print_of_rest(request);
    entry->n_tokens = result->n_tokens;
    entry->n_tail = prefix.size < TAIL ? prefix.size : TAIL;
    if (entry->n_tail)
        memcpy(entry->tail, prefix.data + prefix.size - entry->n_tail, entry->n_tail);
    kept->next = (kept->next + 1) % kept->n;
}

/* ---- finding ---- */

static bool fits(const struct entry *entry, struct slice prefix, struct slice *typed)
{
    if (!entry->n_ways || entry->prefix.size > prefix.size)
        return false;
    *typed = (struct slice){prefix.data + entry->prefix.size, prefix.size - entry->prefix.size};
    const struct buffer *best = &entry->ways[0].text;
    if (typed->size >= best->size || (typed->size && memcmp(typed->data, best->data, typed->size) != 0))
        return false;
    return !entry->n_tail || memcmp(typed->data - entry->n_tail, entry->tail, entry->n_tail) == 0;
}

bool complete_kept_find(struct complete_kept *kept, const struct complete_request *request, struct complete_result *out)
{
    struct slice prefix = request->prompt.prefix, typed;
    struct fingerprint suffix = {0}, rest = {0};
    for (size_t k = 1; k <= kept->n; k++) { /* the latest first */
        const struct entry *entry = &kept->entries[(kept->next + kept->n - k) % kept->n];
        if (entry->suffix.size != request->prompt.suffix.size || !fits(entry, prefix, &typed))
            continue;
        if (!rest.b) {
            suffix = print_of(request->prompt.suffix);
            rest = print_of_rest(request);
        }
        struct slice before = {prefix.data, entry->prefix.size};
        if (!same_print(suffix, entry->suffix) || !same_print(rest, entry->rest) ||
            !same_print(print_of(before), entry->prefix))
            continue;
        out->ways = copy_ways(entry->ways, entry->n_ways, typed, &out->n_ways);
        if (!out->ways)
            return false;
        out->n_tokens = entry->n_tokens;
        out->stop = out->n_ways ? out->ways[0].stop : FIM_STOP_END;
        out->is_remembered = true;
        return true;
    }
    return false;
}
