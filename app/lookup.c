/* lookup: see lookup.h. */
#include "app/lookup.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "app/project.h"
#include "repo/search.h"

enum { PLACES_MOST = 300, PATHS_MOST = 1000000, LINE_FILE_MOST = 4 << 20 };

struct question {
    uint64_t id; /* 0: none */
    struct buffer text, near_path;
    uint32_t near_line;
};

struct lookup {
    pthread_t thread;
    int event; /* eventfd */
    atomic_bool cancel;
    struct buffer path;

    pthread_mutex_t lock; /* what follows, up to the empty line */
    pthread_cond_t has_question;
    struct question questions[LOOKUP_KINDS];
    struct lookup_result *first, *last;
    uint64_t last_id;
    bool is_ending;

    /* The thread's own. */
    struct command_context context;
    struct project project;
    struct error unopened;
    struct lookup_result *result;    /* that is being made */
    struct buffer lines, lines_path; /* the file that a line was taken of last */
};

/* ---- results ---- */

void lookup_result_free(struct lookup_result *result)
{
    if (!result)
        return;
    arena_deinit(&result->arena);
    free(result->places);
    free(result);
}

struct lookup_result *lookup_next(struct lookup *lookup)
{
    uint64_t count;
    pthread_mutex_lock(&lookup->lock);
    struct lookup_result *result = lookup->first;
    if (result) {
        lookup->first = result->next;
        result->next = NULL;
        if (!lookup->first)
            lookup->last = NULL;
    }
    if (!lookup->first && read(lookup->event, &count, sizeof count) < 0)
        count = 0;
    pthread_mutex_unlock(&lookup->lock);
    return result;
}

int lookup_fd(const struct lookup *lookup)
{
    return lookup->event;
}

static void give(struct lookup *lookup, struct lookup_result *result)
{
    uint64_t one = 1;
    pthread_mutex_lock(&lookup->lock);
    *(lookup->last ? &lookup->last->next : &lookup->first) = result;
    lookup->last = result;
    pthread_mutex_unlock(&lookup->lock);
    if (write(lookup->event, &one, sizeof one) < 0)
        return; /* it is readable already */
}

static bool add(struct lookup_result *result, const char *path, size_t path_size, uint32_t line, const char *text,
                size_t size)
{
    if (result->n == result->capacity) {
        size_t wanted = result->capacity ? result->capacity * 2 : 256;
        struct lookup_place *more = realloc(result->places, wanted * sizeof *more);
        if (!more)
            return false;
        result->places = more;
        result->capacity = wanted;
    }
    struct lookup_place place = {.path = arena_copy_text(&result->arena, path, path_size),
                                 .line = line,
                                 .text = arena_copy_text(&result->arena, text, size)};
    if (!place.path || !place.text)
        return false;
    result->places[result->n++] = place;
    return true;
}

/* ---- a line of a file, for show ---- */

static struct slice trimmed(const char *begin, const char *end)
{
    enum { MOST = 200 };
    while (begin < end && memchr(" \t", *begin, 2))
        begin++;
    size_t size = (size_t)(end - begin);
    return (struct slice){begin, size < MOST ? size : MOST};
}

static struct slice line_of(struct lookup *lookup, const char *path, size_t path_size, uint32_t line)
{
    struct buffer *lines = &lookup->lines, *known = &lookup->lines_path;
    if (known->size != path_size || memcmp(buffer_text(known), path, path_size) != 0) {
        struct buffer whole = {0};
        buffer_clear(lines);
        buffer_clear(known);
        buffer_append(known, path, path_size);
        buffer_printf(&whole, "%s/%.*s", repo_root(lookup->project.repo), (int)path_size, path);
        int fd = whole.failed ? -1 : open(whole.data, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOFOLLOW);
        if (fd >= 0 && input_read_all(fd, &lookup->cancel, LINE_FILE_MOST, lines, NULL) != STATUS_OK)
            buffer_clear(lines);
        if (fd >= 0)
            close(fd);
        buffer_deinit(&whole);
    }
    const char *at = buffer_text(lines), *end = at + lines->size;
    for (uint32_t n = 1; n < line && at < end; n++) {
        const char *newline = memchr(at, '\n', (size_t)(end - at));
        at = newline ? newline + 1 : end;
    }
    const char *newline = at < end ? memchr(at, '\n', (size_t)(end - at)) : NULL;
    return trimmed(at, newline ? newline : end);
}

/* ---- questions ---- */

static enum status list_paths(struct lookup *lookup, struct error *error)
{
    struct lookup_result *result = lookup->result;
    struct repo_walk_options options = {.large = lookup->project.large, .cancel = &lookup->cancel};
    struct repo_files files;
    enum status status = repo_walk(lookup->project.repo, &options, &files, error);
    if (status != STATUS_OK)
        return status;
    for (size_t i = 0; i < files.n && result->n < PATHS_MOST && status == STATUS_OK; i++) {
        const struct repo_file *file = &files.files[i];
        bool is_file = file->skip != REPO_SKIP_SUBMODULE && file->skip != REPO_SKIP_SPECIAL &&
                       file->skip != REPO_SKIP_GONE && file->skip != REPO_SKIP_LINK;
        if (is_file && !add(result, file->path, file->path_size, 0, "", 0))
            status = error_set(error, STATUS_MEMORY, "out of memory");
    }
    repo_files_deinit(&files);
    return status;
}

static enum status list_definitions(struct lookup *lookup, const struct question *question, struct error *error)
{
    struct index_place from = {buffer_text(&question->near_path), question->near_line};
    struct index_definitions found;
    enum status status = index_definitions(lookup->project.index, buffer_text(&question->text),
                                           question->near_path.size ? &from : NULL, PLACES_MOST, &found, error);
    if (status != STATUS_OK)
        return status;
    lookup->result->is_cut = found.is_cut;
    /* Where one thing defines it and all the others only declare it, that is what is meant. */
    size_t n_declared = 0;
    for (size_t i = 1; i < found.n; i++)
        n_declared += found.items[i].kind == TAG_PROTOTYPE;
    if (found.n > 1 && !found.is_cut && found.items[0].kind != TAG_PROTOTYPE && n_declared + 1 == found.n)
        found.n = 1;
    for (size_t i = 0; i < found.n && status == STATUS_OK; i++) {
        const struct index_definition *each = &found.items[i];
        struct slice text = line_of(lookup, each->path, each->path_size, each->line);
        if (!add(lookup->result, each->path, each->path_size, each->line, text.data, text.size))
            status = error_set(error, STATUS_MEMORY, "out of memory");
    }
    index_definitions_deinit(&found);
    return status;
}

static bool add_reference(void *context, const struct index_reference *reference)
{
    struct lookup *lookup = context;
    struct lookup_result *result = lookup->result;
    if (result->n >= PLACES_MOST || atomic_load(&lookup->cancel)) {
        result->is_cut = true;
        return false;
    }
    struct slice text = line_of(lookup, reference->path, reference->path_size, reference->line);
    return add(result, reference->path, reference->path_size, reference->line, text.data, text.size);
}

static enum status list_references(struct lookup *lookup, const struct question *question, struct error *error)
{
    struct index_place from = {buffer_text(&question->near_path), question->near_line};
    return index_references(lookup->project.index, buffer_text(&question->text),
                            question->near_path.size ? &from : NULL, add_reference, lookup, error);
}

static enum status list_hits(struct lookup *lookup, const struct question *question, struct error *error)
{
    struct index_place from = {buffer_text(&question->near_path), question->near_line};
    struct search_results found;
    struct search_options options = {.query = buffer_text(&question->text),
                                     .near = question->near_path.size ? &from : NULL,
                                     .max = 50,
                                     .cancel = &lookup->cancel,
                                     .scan_ns = 2000000000};
    enum status status = search_run(lookup->project.index, lookup->project.repo, &options, &found, error);
    if (status != STATUS_OK)
        return status;
    lookup->result->is_cut = found.is_partial;
    for (size_t i = 0; i < found.n && status == STATUS_OK; i++) {
        const struct search_hit *hit = &found.hits[i];
        uint32_t line = hit->best_line ? hit->best_line : hit->line;
        struct slice text = line_of(lookup, hit->path, hit->path_size, line);
        if (!add(lookup->result, hit->path, hit->path_size, line, text.data, text.size))
            status = error_set(error, STATUS_MEMORY, "out of memory");
    }
    search_results_deinit(&found);
    return status;
}

static void answer(struct lookup *lookup, enum lookup_kind kind, const struct question *question)
{
    struct lookup_result *result = lookup->result = calloc(1, sizeof *result);
    if (!result)
        return;
    result->id = question->id;
    result->kind = kind;
    struct error *error = &result->error;
    buffer_clear(&lookup->lines_path);
    if (lookup->unopened.status != STATUS_OK)
        *error = lookup->unopened;
    else if (question->text.failed || question->near_path.failed)
        error_set(error, STATUS_MEMORY, "out of memory");
    else if (kind == LOOKUP_PATHS)
        error->status = list_paths(lookup, error);
    else if (kind == LOOKUP_DEFINITIONS)
        error->status = list_definitions(lookup, question, error);
    else if (kind == LOOKUP_REFERENCES)
        error->status = list_references(lookup, question, error);
    else
        error->status = list_hits(lookup, question, error);
    give(lookup, result);
}

/* ---- the thread ---- */

static void question_deinit(struct question *question)
{
    buffer_deinit(&question->text);
    buffer_deinit(&question->near_path);
    *question = (struct question){0};
}

/* The oldest question; false when it is over. */
static bool wait_for_question(struct lookup *lookup, enum lookup_kind *kind, struct question *out)
{
    struct question *oldest = NULL;
    pthread_mutex_lock(&lookup->lock);
    for (;;) {
        for (size_t i = 0; i < LOOKUP_KINDS; i++) {
            struct question *question = &lookup->questions[i];
            if (question->id && (!oldest || question->id < oldest->id))
                oldest = question;
        }
        if (oldest || lookup->is_ending)
            break;
        pthread_cond_wait(&lookup->has_question, &lookup->lock);
    }
    bool is_over = lookup->is_ending;
    if (!is_over) {
        *kind = (enum lookup_kind)(oldest - lookup->questions);
        *out = *oldest;
        *oldest = (struct question){0};
    }
    pthread_mutex_unlock(&lookup->lock);
    return !is_over;
}

static void *run(void *context)
{
    struct lookup *lookup = context;
    struct question question;
    enum lookup_kind kind = LOOKUP_PATHS;
    lookup->unopened.status =
        project_open(&lookup->context, buffer_text(&lookup->path), &lookup->project, &lookup->unopened);
    while (wait_for_question(lookup, &kind, &question)) {
        answer(lookup, kind, &question);
        question_deinit(&question);
    }
    project_close(&lookup->project);
    return NULL;
}

uint64_t lookup_ask(struct lookup *lookup, enum lookup_kind kind, const char *text, const char *near_path,
                    uint32_t near_line)
{
    struct question made = {.near_line = near_line};
    buffer_append_text(&made.text, text);
    buffer_append_text(&made.near_path, near_path);
    pthread_mutex_lock(&lookup->lock);
    uint64_t id = made.id = ++lookup->last_id;
    question_deinit(&lookup->questions[kind]);
    lookup->questions[kind] = made;
    pthread_cond_signal(&lookup->has_question);
    pthread_mutex_unlock(&lookup->lock);
    return id;
}

static void free_all(struct lookup *lookup)
{
    for (struct lookup_result *result; (result = lookup->first);) {
        lookup->first = result->next;
        lookup_result_free(result);
    }
    for (size_t i = 0; i < LOOKUP_KINDS; i++)
        question_deinit(&lookup->questions[i]);
    if (lookup->event >= 0)
        close(lookup->event);
    pthread_mutex_destroy(&lookup->lock);
    pthread_cond_destroy(&lookup->has_question);
    buffer_deinit(&lookup->path);
    buffer_deinit(&lookup->lines);
    buffer_deinit(&lookup->lines_path);
    free(lookup);
}

enum status lookup_open(const struct command_context *context, const char *path, struct lookup **out,
                        struct error *error)
{
    sigset_t all, before;
    struct lookup *lookup = calloc(1, sizeof *lookup);
    if (!lookup)
        return error_set(error, STATUS_MEMORY, "out of memory");
    pthread_mutex_init(&lookup->lock, NULL);
    pthread_cond_init(&lookup->has_question, NULL);
    lookup->context = *context;
    lookup->context.cancel = &lookup->cancel;
    lookup->context.progress = NULL;
    buffer_append_text(&lookup->path, path);
    lookup->event = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    /* Signals are the screen's business. */
    sigfillset(&all);
    static const int own[] = {SIGSEGV, SIGBUS, SIGILL, SIGFPE, SIGABRT};
    for (size_t i = 0; i < sizeof own / sizeof *own; i++)
        sigdelset(&all, own[i]);
    pthread_sigmask(SIG_BLOCK, &all, &before);
    int failure = lookup->event < 0     ? errno
                  : lookup->path.failed ? ENOMEM
                                        : pthread_create(&lookup->thread, NULL, run, lookup);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    if (failure) {
        free_all(lookup);
        return error_set(error, STATUS_IO, "the repository's thread: %s", strerror(failure));
    }
    *out = lookup;
    return STATUS_OK;
}

void lookup_close(struct lookup *lookup)
{
    if (!lookup)
        return;
    pthread_mutex_lock(&lookup->lock);
    lookup->is_ending = true;
    atomic_store(&lookup->cancel, true);
    pthread_cond_signal(&lookup->has_question);
    pthread_mutex_unlock(&lookup->lock);
    pthread_join(lookup->thread, NULL);
    free_all(lookup);
}
