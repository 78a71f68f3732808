/* index_pipe: threads read and parse files and hand what they found, encoded, to the one writer (index_refresh.h).
 *
 * What waits for the writer is bounded in bytes: a thread that finds the queue full waits, but for the file that the writer
 * waits for.  Two files of one content that are met at a time are parsed once. */
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "repo/index_refresh.h"

enum { FEW = 3 }; /* files that aren't worth a thread */
static const size_t queue_limit = 24u << 20, spare_limit = 1u << 20;

/* ---- contents that are known ---- */

void known_deinit(struct known *known)
{
    free(known->entries);
    *known = (struct known){0};
}

static size_t known_place(const struct known *known, const struct repo_id *id, int language)
{
    uint64_t hash;
    memcpy(&hash, id->bytes, sizeof hash);
    hash = (hash ^ (uint64_t)(uint32_t)language) * 0x9e3779b97f4a7c15u;
    size_t at = (size_t)(hash >> 20) & (known->capacity - 1);
    while (known->entries[at].content &&
           (known->entries[at].language != language || memcmp(&known->entries[at].id, id, sizeof *id) != 0))
        at = (at + 1) & (known->capacity - 1);
    return at;
}

const struct known_entry *known_find(const struct known *known, const struct repo_id *id, int language)
{
    if (!known->capacity)
        return NULL;
    const struct known_entry *entry = &known->entries[known_place(known, id, language)];
    return entry->content ? entry : NULL;
}

static bool known_grow(struct known *known)
{
    struct known larger = {.capacity = known->capacity ? known->capacity * 2 : 64};
    larger.entries = calloc(larger.capacity, sizeof *larger.entries);
    if (!larger.entries)
        return false;
    for (size_t i = 0; i < known->capacity; i++) {
        const struct known_entry *entry = &known->entries[i];
        if (entry->content)
            larger.entries[known_place(&larger, &entry->id, entry->language)] = *entry;
    }
    larger.n = known->n;
    free(known->entries);
    *known = larger;
    return true;
}

bool known_put(struct known *known, const struct repo_id *id, int language, uint32_t content, uint32_t n_definitions,
               uint32_t n_references)
{
    if (known->n >= known->capacity / 2 && !known_grow(known))
        return false;
    struct known_entry *entry = &known->entries[known_place(known, id, language)];
    known->n += !entry->content;
    *entry = (struct known_entry){*id, language, content, n_definitions, n_references};
    return true;
}

/* ---- the threads ---- */

struct pipe_worker {
    struct pipe *pipe;
    pthread_t thread;
    struct syntax *syntax;
    struct facts_scratch *scratch;
    struct buffer text;
};

struct pipe {
    struct pipe_options options;
    struct pipe_worker *workers;
    int n_workers, n_threads;
    pthread_mutex_t lock;
    pthread_cond_t filled, drained; /* results came; results were taken */
    /* under the lock: */
    struct known known;
    struct pipe_result *first, *last, *spare;
    size_t n_begun, n_given, n_queued, queued_bytes;
    bool is_stopping;
    struct error error; /* of the first failure; status OK: none */
};

static uint64_t thread_now_ns(void)
{
    struct timespec now;
    return clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now) == 0
               ? (uint64_t)now.tv_sec * UINT64_C(1000000000) + (uint64_t)now.tv_nsec
               : 0;
}

/* Whether this thread is to parse the content; else another has, or will have done before the writer ends. */
static bool claim(struct pipe *pipe, const struct repo_id *id, int language, enum status *status)
{
    pthread_mutex_lock(&pipe->lock);
    bool is_mine = !known_find(&pipe->known, id, language);
    if (is_mine && !known_put(&pipe->known, id, language, UINT32_MAX, 0, 0))
        *status = STATUS_MEMORY;
    pthread_mutex_unlock(&pipe->lock);
    return is_mine;
}

static enum status read_one(struct pipe_worker *worker, struct pipe_result *result, struct error *error)
{
    const struct pipe_options *options = &worker->pipe->options;
    const struct repo_file *file = options->work[result->work];
    struct facts *facts = &result->facts;
    struct error inner;
    result->has_facts = false;
    result->skip = REPO_KEEP;
    result->parse_ns = result->query_ns = result->store_ns = 0;
    buffer_clear(&worker->text);
    enum status status =
        repo_read(options->repo, file, options->large, &worker->text, &facts->id, &result->skip, &inner);
    result->n_bytes = worker->text.size;
    if (status == STATUS_MEMORY)
        return error_set(error, status, "%s", inner.text);
    if (status != STATUS_OK)
        result->skip = status == STATUS_RANGE ? REPO_SKIP_LARGE : REPO_SKIP_UNREADABLE;
    if (result->skip != REPO_KEEP)
        return STATUS_OK;
    uint64_t started = thread_now_ns();
    const char *text = buffer_text(&worker->text);
    facts->language = language_of(file->path, text, worker->text.size);
    enum status claimed = STATUS_OK;
    if (!claim(worker->pipe, &facts->id, facts->language, &claimed))
        return STATUS_OK;
    if (claimed != STATUS_OK)
        return error_set(error, claimed, "out of memory");
    struct syntax_result found;
    status = syntax_read(worker->syntax, facts->language, text, worker->text.size, 0, &found, error);
    if (status == STATUS_OK)
        status = facts_encode(worker->scratch, &found, text, worker->text.size, facts, error);
    if (status != STATUS_OK)
        return status;
    uint64_t spent = thread_now_ns() - started;
    result->parse_ns = found.parse_ns;
    result->query_ns = found.query_ns;
    result->store_ns = spent > found.parse_ns + found.query_ns ? spent - found.parse_ns - found.query_ns : 0;
    result->has_facts = true;
    return STATUS_OK;
}

/* A free result for the next file, or NULL where there is none left.  Called with the lock. */
static struct pipe_result *begin_one(struct pipe *pipe)
{
    if (pipe->is_stopping || pipe->error.status != STATUS_OK || pipe->n_begun == pipe->options.n)
        return NULL;
    struct pipe_result *result = pipe->spare;
    if (result)
        pipe->spare = result->next;
    else
        result = calloc(1, sizeof *result);
    if (!result) {
        error_set(&pipe->error, STATUS_MEMORY, "out of memory");
        return NULL;
    }
    result->next = NULL;
    result->work = pipe->n_begun++;
    return result;
}

/* Called with the lock. */
static void end_one(struct pipe *pipe, struct pipe_result *result, enum status status, const struct error *error)
{
    if (status != STATUS_OK && pipe->error.status == STATUS_OK)
        pipe->error = *error;
    if (pipe->last)
        pipe->last->next = result;
    else
        pipe->first = result;
    pipe->last = result;
    pipe->queued_bytes += facts_memory(&result->facts);
    pipe->n_queued++;
}

static void *run(void *context)
{
    struct pipe_worker *worker = context;
    struct pipe *pipe = worker->pipe;
    struct error error;
    pthread_mutex_lock(&pipe->lock);
    for (;;) {
        while (pipe->queued_bytes > queue_limit && pipe->n_queued && !pipe->is_stopping)
            pthread_cond_wait(&pipe->drained, &pipe->lock);
        struct pipe_result *result = begin_one(pipe);
        if (!result)
            break;
        pthread_mutex_unlock(&pipe->lock);
        enum status status = read_one(worker, result, &error);
        pthread_mutex_lock(&pipe->lock);
        end_one(pipe, result, status, &error);
        pthread_cond_signal(&pipe->filled);
    }
    pthread_cond_signal(&pipe->filled);
    pthread_mutex_unlock(&pipe->lock);
    return NULL;
}

static enum status copy_known(struct pipe *pipe, const struct known *known)
{
    for (size_t i = 0; i < known->capacity; i++) {
        const struct known_entry *it = &known->entries[i];
        if (it->content && !known_put(&pipe->known, &it->id, it->language, it->content, 0, 0))
            return STATUS_MEMORY;
    }
    return STATUS_OK;
}

enum status pipe_new(const struct pipe_options *options, struct pipe **out, struct error *error)
{
    struct pipe *pipe = *out = calloc(1, sizeof **out);
    if (!pipe)
        return error_set(error, STATUS_MEMORY, "out of memory");
    pipe->options = *options;
    pthread_mutex_init(&pipe->lock, NULL);
    pthread_cond_init(&pipe->filled, NULL);
    pthread_cond_init(&pipe->drained, NULL);
    bool is_few = options->n <= FEW || options->n_threads < 1;
    size_t n = is_few ? 1 : (size_t)options->n_threads;
    if (n > options->n && !is_few)
        n = options->n;
    pipe->workers = calloc(n, sizeof *pipe->workers);
    enum status status = pipe->workers ? copy_known(pipe, options->known) : STATUS_MEMORY;
    if (status != STATUS_OK)
        error_set(error, status, "out of memory");
    for (size_t i = 0; status == STATUS_OK && i < n; i++) {
        struct pipe_worker *worker = &pipe->workers[i];
        worker->pipe = pipe;
        pipe->n_workers++;
        status = syntax_new(options->languages, &worker->syntax, error);
        if (status == STATUS_OK)
            status = facts_scratch_new(&worker->scratch, error);
    }
    /* Fewer threads than asked for will do, and none, too. */
    for (size_t i = 0; status == STATUS_OK && !is_few && i < n; i++) {
        if (pthread_create(&pipe->workers[i].thread, NULL, run, &pipe->workers[i]) != 0)
            break;
        pipe->n_threads++;
    }
    if (status != STATUS_OK) {
        pipe_free(pipe);
        *out = NULL;
    }
    return status;
}

enum status pipe_take(struct pipe *pipe, struct pipe_result **out, struct error *error)
{
    *out = NULL;
    pthread_mutex_lock(&pipe->lock);
    if (pipe->n_threads == 0) {
        struct pipe_result *result = begin_one(pipe);
        struct error inner;
        if (result) {
            pthread_mutex_unlock(&pipe->lock);
            enum status status = read_one(&pipe->workers[0], result, &inner);
            pthread_mutex_lock(&pipe->lock);
            end_one(pipe, result, status, &inner);
        }
    }
    while (!pipe->first && pipe->error.status == STATUS_OK && pipe->n_given < pipe->options.n)
        pthread_cond_wait(&pipe->filled, &pipe->lock);
    enum status status = pipe->error.status;
    if (status != STATUS_OK) {
        error_set(error, status, "%s", pipe->error.text);
    } else if (pipe->first) {
        *out = pipe->first;
        pipe->first = (*out)->next;
        if (!pipe->first)
            pipe->last = NULL;
        pipe->queued_bytes -= facts_memory(&(*out)->facts);
        pipe->n_queued--;
        pipe->n_given++;
        pthread_cond_broadcast(&pipe->drained);
    }
    pthread_mutex_unlock(&pipe->lock);
    return status;
}

static void free_result(struct pipe_result *result)
{
    facts_deinit(&result->facts);
    free(result);
}

void pipe_give(struct pipe *pipe, struct pipe_result *result)
{
    if (facts_memory(&result->facts) > spare_limit) {
        free_result(result);
        return;
    }
    facts_clear(&result->facts);
    pthread_mutex_lock(&pipe->lock);
    result->next = pipe->spare;
    pipe->spare = result;
    pthread_mutex_unlock(&pipe->lock);
}

void pipe_free(struct pipe *pipe)
{
    if (!pipe)
        return;
    pthread_mutex_lock(&pipe->lock);
    pipe->is_stopping = true;
    pthread_cond_broadcast(&pipe->drained);
    pthread_mutex_unlock(&pipe->lock);
    for (int i = 0; i < pipe->n_threads; i++)
        pthread_join(pipe->workers[i].thread, NULL);
    for (int i = 0; i < pipe->n_workers; i++) {
        syntax_free(pipe->workers[i].syntax);
        facts_scratch_free(pipe->workers[i].scratch);
        buffer_deinit(&pipe->workers[i].text);
    }
    struct pipe_result *lists[] = {pipe->first, pipe->spare};
    for (size_t i = 0; i < 2; i++)
        for (struct pipe_result *next, *it = lists[i]; it; it = next) {
            next = it->next;
            free_result(it);
        }
    known_deinit(&pipe->known);
    pthread_mutex_destroy(&pipe->lock);
    pthread_cond_destroy(&pipe->filled);
    pthread_cond_destroy(&pipe->drained);
    free(pipe->workers);
    free(pipe);
}
