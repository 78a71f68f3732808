/* residency: see residency.h.
 *
 * The profile is text: a line "fathom experts 1", a line "N_LAYER N_EXPERT BYTES" by which a model is known, then the counts
 * of each layer on a line.  Whatever doesn't fit is no profile, and is replaced. */
#include "engine/residency.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

enum { MATRICES = 3, MAX_PROFILE = 16 << 20, SPARE_PART = 16 };

struct expert_use {
    uint64_t count;     /* tokens; halved when a profile is read */
    uint64_t loaded_at; /* residency.loaded when it was last chosen, plus 1; 0: never */
};

struct residency {
    const struct model *model;
    int32_t n_layer, n_expert;
    struct expert_use *uses; /* (n_layer, n_expert) */
    uint64_t loaded;         /* bytes of experts that were asked for */
    struct chosen_expert {
        int32_t expert;
        bool is_there; /* by estimate */
    } * chosen;        /* (n_expert) of the last call: what is to be asked for */
    int32_t chosen_layer, n_chosen;
    atomic_ullong n_asked;
    struct residency_report report;
    size_t page;
    char *profile;
    bool is_changed;
    bool has_thread;
    pthread_t thread;
    atomic_bool stop;
    struct hot_expert {
        uint64_t count;
        int32_t layer, expert;
    } * hottest; /* what the thread asks for, best first */
    size_t n_hottest;
};

struct residency_report residency_report(const struct residency *residency)
{
    struct residency_report report = residency->report;
    report.n_asked = atomic_load(&residency->n_asked);
    return report;
}

/* ---- the system ---- */

/* All pages that hold some of these bytes. */
static void advise(const struct residency *residency, struct slice bytes, int advice)
{
    size_t before = (uintptr_t)bytes.data % residency->page;
    if (bytes.size)
        madvise((void *)(bytes.data - before), bytes.size + before, advice);
}

/* So many pages are looked at in one call. */
enum { LOOK = 1024 };

static bool is_resident(const struct residency *residency, struct slice bytes)
{
    unsigned char pages[LOOK];
    size_t before = (uintptr_t)bytes.data % residency->page, left = bytes.size + before, step = LOOK * residency->page;
    for (const char *at = bytes.data - before; left; at += step) {
        size_t size = left < step ? left : step, n = (size + residency->page - 1) / residency->page;
        if (mincore((void *)at, size, pages) != 0)
            return false;
        for (size_t i = 0; i < n; i++)
            if (!(pages[i] & 1))
                return false;
        left -= size;
    }
    return true;
}

static const struct weight *matrices_of(const struct residency *residency, int32_t layer, int i)
{
    const struct layer *all = &residency->model->layers[layer];
    return i == 0 ? &all->experts_gate : i == 1 ? &all->experts_up : &all->experts_down;
}

static size_t bytes_of_expert(const struct residency *residency, int32_t layer)
{
    size_t size = 0;
    for (int i = 0; i < MATRICES; i++) {
        const struct weight *weight = matrices_of(residency, layer, i);
        size += (size_t)weight->n_rows * weight->row_bytes;
    }
    return size;
}

static bool has_experts(const struct residency *residency, int32_t layer)
{
    return residency->model->layers[layer].router.data != NULL;
}

static struct slice matrix_of(const struct residency *residency, int32_t layer, int32_t expert, int i)
{
    const struct weight *weight = matrices_of(residency, layer, i);
    return (struct slice){(const char *)weight->data + (size_t)expert * weight->mat_bytes,
                          (size_t)weight->n_rows * weight->row_bytes};
}

/* From the first expert's matrix to the last one's. */
static struct slice all_matrices_of(const struct residency *residency, int32_t layer, int i)
{
    struct slice first = matrix_of(residency, layer, 0, i),
                 last = matrix_of(residency, layer, residency->n_expert - 1, i);
    return (struct slice){first.data, (size_t)(last.data - first.data) + last.size};
}

/* ---- what every token reads ---- */

static bool is_of_experts(const struct residency *residency, const struct gguf_tensor *tensor)
{
    for (int32_t layer = 0; layer < residency->n_layer; layer++)
        for (int i = 0; has_experts(residency, layer) && i < MATRICES; i++) {
            const unsigned char *data = matrices_of(residency, layer, i)->data;
            if (data >= tensor->data && data < tensor->data + tensor->n_bytes)
                return true;
        }
    return false;
}

/* Of the embedding a token reads one row, unless it is the output, too. */
static bool is_hot(const struct residency *residency, const struct gguf_tensor *tensor)
{
    const struct model *model = residency->model;
    bool is_looked_up = tensor->data == model->token_embd.data && model->output.data != model->token_embd.data;
    return !is_looked_up && !is_of_experts(residency, tensor);
}

typedef void tensor_fn(struct residency *residency, const struct gguf_tensor *tensor);

static void each_hot_tensor(struct residency *residency, tensor_fn *each)
{
    const struct gguf *gguf = residency->model->gguf;
    for (size_t i = 0; i < gguf_n_tensors(gguf) && !atomic_load(&residency->stop); i++)
        if (is_hot(residency, gguf_tensor_at(gguf, i)))
            each(residency, gguf_tensor_at(gguf, i));
}

static void count_hot(struct residency *residency, const struct gguf_tensor *tensor)
{
    residency->report.hot_bytes += tensor->n_bytes;
}

static void hold(struct residency *residency, const struct gguf_tensor *tensor)
{
    advise(residency, (struct slice){(const char *)tensor->data, tensor->n_bytes}, MADV_WILLNEED);
    /* Held as its pages come.  A limit of locked memory may forbid it: then frequent use has to do. */
    mlock2(tensor->data, tensor->n_bytes, MLOCK_ONFAULT);
}

/* ---- at load ---- */

static int compare_counts(const void *a, const void *b)
{
    const struct hot_expert *x = a, *y = b;
    if (x->count != y->count)
        return x->count > y->count ? -1 : 1;
    if (x->layer != y->layer)
        return x->layer < y->layer ? -1 : 1;
    return x->expert < y->expert ? -1 : x->expert > y->expert;
}

/* The experts used most, as many as the budget holds. */
static bool choose_hottest(struct residency *residency)
{
    size_t n = 0, n_all = (size_t)residency->n_layer * (size_t)residency->n_expert;
    struct hot_expert *all = calloc(n_all, sizeof *all);
    if (!all)
        return false;
    for (size_t i = 0; i < n_all; i++)
        if (residency->uses[i].count)
            all[n++] = (struct hot_expert){residency->uses[i].count, (int32_t)(i / (size_t)residency->n_expert),
                                           (int32_t)(i % (size_t)residency->n_expert)};
    qsort(all, n, sizeof *all, compare_counts);
    uint64_t taken = 0;
    while (residency->n_hottest < n) {
        taken += bytes_of_expert(residency, all[residency->n_hottest].layer);
        if (taken > residency->report.budget)
            break;
        residency->n_hottest++;
    }
    residency->hottest = all;
    return true;
}

/* In a thread: asking for much blocks while the device is busy. */
static void *prefetch(void *context)
{
    struct residency *residency = context;
    each_hot_tensor(residency, hold);
    for (size_t k = 0; k < residency->n_hottest; k++)
        for (int i = 0; i < MATRICES && !atomic_load(&residency->stop); i++)
            advise(residency, matrix_of(residency, residency->hottest[k].layer, residency->hottest[k].expert, i),
                   MADV_WILLNEED);
    return NULL;
}

static void start_prefetch(struct residency *residency)
{
    sigset_t all, before; /* signals are the main thread's, but for faults of our own */
    sigfillset(&all);
    sigdelset(&all, SIGBUS);
    sigdelset(&all, SIGSEGV);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    residency->has_thread = pthread_create(&residency->thread, NULL, prefetch, residency) == 0;
    pthread_sigmask(SIG_SETMASK, &before, NULL);
}

void residency_settle(struct residency *residency)
{
    if (residency->has_thread)
        pthread_join(residency->thread, NULL);
    residency->has_thread = false;
}

/* ---- the profile ---- */

static void print_identity(const struct residency *residency, char *out, size_t size)
{
    snprintf(out, size, "fathom experts 1\n%d %d %llu\n", residency->n_layer, residency->n_expert,
             (unsigned long long)gguf_n_bytes(residency->model->gguf));
}

/* The whole file, terminated; NULL where there is none that could be a profile. */
static char *read_file(const char *path)
{
    int file = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    struct stat status;
    char *text = NULL;
    if (file >= 0 && fstat(file, &status) == 0 && S_ISREG(status.st_mode) && status.st_size < MAX_PROFILE)
        text = calloc((size_t)status.st_size + 1, 1);
    size_t size = 0;
    ssize_t n = 0;
    while (text && size < (size_t)status.st_size && (n = read(file, text + size, (size_t)status.st_size - size)) != 0 &&
           (n > 0 || errno == EINTR))
        size += n > 0 ? (size_t)n : 0;
    if (file >= 0)
        close(file);
    return text;
}

/* Counts as an earlier run left them, halved; all of them or none. */
static void read_profile(struct residency *residency)
{
    char identity[96], *text = residency->profile ? read_file(residency->profile) : NULL;
    size_t n = (size_t)residency->n_layer * (size_t)residency->n_expert, i = 0;
    print_identity(residency, identity, sizeof identity);
    if (text && strncmp(text, identity, strlen(identity)) == 0) {
        char *at = text + strlen(identity), *end = at;
        for (; i < n; i++, at = end) {
            errno = 0;
            unsigned long long count = strtoull(at, &end, 10);
            if (end == at || errno || count > INT64_MAX)
                break;
            residency->uses[i].count = count / 2;
        }
    }
    for (size_t k = 0; i < n && k < n; k++)
        residency->uses[k].count = 0;
    free(text);
}

/* Makes the folders that a path lies in, where they are missing. */
static void make_folders(char *path)
{
    for (char *slash = strchr(path + 1, '/'); slash; slash = strchr(slash + 1, '/')) {
        *slash = 0;
        mkdir(path, 0700);
        *slash = '/';
    }
}

static bool print_profile(const struct residency *residency, FILE *file)
{
    char identity[96];
    print_identity(residency, identity, sizeof identity);
    fputs(identity, file);
    for (int32_t layer = 0; layer < residency->n_layer; layer++)
        for (int32_t e = 0; e < residency->n_expert; e++)
            fprintf(file, "%llu%c", (unsigned long long)residency->uses[(int64_t)layer * residency->n_expert + e].count,
                    e + 1 < residency->n_expert ? ' ' : '\n');
    return !ferror(file);
}

static void write_profile(const struct residency *residency)
{
    size_t size = strlen(residency->profile) + 32;
    char *path = malloc(size);
    if (!path)
        return;
    make_folders(residency->profile);
    snprintf(path, size, "%s.%ld", residency->profile, (long)getpid());
    int descriptor = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, 0600);
    FILE *file = descriptor >= 0 ? fdopen(descriptor, "w") : NULL;
    if (!file && descriptor >= 0)
        close(descriptor);
    bool is_whole = file && print_profile(residency, file);
    if (file)
        is_whole = fclose(file) == 0 && is_whole;
    if (!is_whole || rename(path, residency->profile) != 0)
        unlink(path);
    free(path);
}

/* ---- opening, closing ---- */

/* More than there is memory for: if the system says so, it tells us nothing. */
static bool is_all_there(const struct residency *residency)
{
    for (int32_t layer = 0; layer < residency->n_layer; layer++)
        for (int i = 0; has_experts(residency, layer) && i < MATRICES; i++)
            if (!is_resident(residency, all_matrices_of(residency, layer, i)))
                return false;
    return true;
}

static enum status fill(struct residency *residency, uint64_t memory, const char *profile, struct error *error)
{
    residency->uses = calloc((size_t)residency->n_layer * (size_t)residency->n_expert, sizeof *residency->uses);
    residency->profile = profile ? strdup(profile) : NULL;
    residency->chosen = calloc((size_t)residency->n_expert, sizeof *residency->chosen);
    if (!residency->uses || !residency->chosen || (profile && !residency->profile))
        return error_set(error, STATUS_MEMORY, "out of memory");
    each_hot_tensor(residency, count_hot);
    /* Caches, activations and the rest of the system want some, too. */
    uint64_t taken = residency->report.hot_bytes + memory / SPARE_PART;
    residency->report.budget = memory > taken ? memory - taken : 0;
    read_profile(residency);
    if (!choose_hottest(residency))
        return error_set(error, STATUS_MEMORY, "out of memory");
    residency->report.sees_pages = !is_all_there(residency);
    for (int32_t layer = 0; residency->report.sees_pages && layer < residency->n_layer; layer++)
        for (int i = 0; has_experts(residency, layer) && i < MATRICES; i++)
            advise(residency, all_matrices_of(residency, layer, i), MADV_RANDOM);
    start_prefetch(residency);
    return STATUS_OK;
}

enum status residency_new(const struct model *model, uint64_t memory, const char *profile, struct residency **out,
                          struct error *error)
{
    *out = NULL;
    if (!memory || gguf_n_bytes(model->gguf) <= memory || !model->hparams.experts.n_expert)
        return STATUS_OK;
    struct residency *residency = calloc(1, sizeof *residency);
    if (!residency)
        return error_set(error, STATUS_MEMORY, "out of memory");
    residency->model = model;
    residency->n_layer = model->hparams.n_layer;
    residency->n_expert = model->hparams.experts.n_expert;
    residency->page = (size_t)sysconf(_SC_PAGESIZE);
    enum status status = fill(residency, memory, profile, error);
    if (status)
        residency_free(residency);
    else
        *out = residency;
    return status;
}

void residency_free(struct residency *residency)
{
    if (!residency)
        return;
    atomic_store(&residency->stop, true);
    residency_settle(residency);
    if (residency->profile && residency->is_changed)
        write_profile(residency);
    free(residency->uses);
    free(residency->chosen);
    free(residency->hottest);
    free(residency->profile);
    free(residency);
}

/* ---- while it runs ---- */

static int32_t layer_of_gate(const struct residency *residency, const struct weight *weight)
{
    for (int32_t layer = 0; layer < residency->n_layer; layer++)
        if (weight == &residency->model->layers[layer].experts_gate)
            return layer;
    return -1;
}

bool residency_expect(struct residency *residency, const struct weight *weight, const int32_t *begin)
{
    int32_t layer = layer_of_gate(residency, weight);
    residency->n_chosen = 0;
    if (layer < 0)
        return false;
    uint64_t before = residency->loaded, size = bytes_of_expert(residency, layer);
    struct expert_use *uses = residency->uses + (int64_t)layer * residency->n_expert;
    for (int32_t e = 0; e < residency->n_expert; e++) {
        if (begin[e] == begin[e + 1])
            continue;
        bool is_there = uses[e].loaded_at && before - (uses[e].loaded_at - 1) < residency->report.budget;
        residency->loaded += is_there ? 0 : size;
        uses[e].loaded_at = residency->loaded + 1;
        uses[e].count += (uint64_t)(begin[e + 1] - begin[e]);
        residency->chosen[residency->n_chosen++] = (struct chosen_expert){e, is_there};
    }
    residency->report.n_chosen += (uint64_t)residency->n_chosen * MATRICES;
    residency->is_changed = true;
    residency->chosen_layer = layer;
    return residency->n_chosen > 0;
}

/* Gates of all experts, then what is wanted next: the device reads in this order. */
void residency_ask(void *context, int thread, int n_threads)
{
    struct residency *residency = context;
    int32_t n = residency->n_chosen;
    for (int32_t k = thread; k < n * MATRICES; k += n_threads) {
        const struct chosen_expert *chosen = &residency->chosen[k % n];
        struct slice matrix = matrix_of(residency, residency->chosen_layer, chosen->expert, k / n);
        bool is_there = residency->report.sees_pages ? is_resident(residency, matrix) : chosen->is_there;
        if (is_there)
            continue;
        advise(residency, matrix, MADV_WILLNEED);
        atomic_fetch_add_explicit(&residency->n_asked, 1, memory_order_relaxed);
    }
}
