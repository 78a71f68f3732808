/* bench_peer: the other program of `fathom bench --peer`: llama.cpp by its Python package.
 *
 * assets/bench_peer.py runs in a process of its own, holds the model, and measures what a line on its stdin asks for; its
 * head says what the lines are.  It is idle while we measure.  It has a process group of its own, so that Ctrl-C is ours to
 * pass on, and ends by itself when its stdin does. */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "app/assets.h"
#include "app/bench.h"

extern char **environ;

enum { LINE_BYTES = 512, POLL_MS = 100 };

struct bench_peer {
    pid_t child;
    int to, from; /* its stdin, its stdout */
    const atomic_bool *cancel;
    char *python;
    char pending[LINE_BYTES];
    size_t n_pending;
    char version[64];
    double load_ms;
};

const char *bench_peer_version(const struct bench_peer *peer)
{
    return peer->version;
}

double bench_peer_load_ms(const struct bench_peer *peer)
{
    return peer->load_ms;
}

/* ---- lines ---- */

static enum status ended(const struct bench_peer *peer, struct error *error)
{
    return error_set(error, STATUS_IO, "--peer: %.100s ended without an answer (is it a Python 3?)", peer->python);
}

static enum status say(struct bench_peer *peer, const char *line, struct error *error)
{
    size_t size = strlen(line);
    while (size) {
        ssize_t n = write(peer->to, line, size);
        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0)
            return ended(peer, error);
        line += n;
        size -= (size_t)n;
    }
    return STATUS_OK;
}

/* Takes the first whole line of what has come; false where there is none yet. */
static bool take_line(struct bench_peer *peer, char line[LINE_BYTES])
{
    char *end = memchr(peer->pending, '\n', peer->n_pending);
    if (!end)
        return false;
    size_t size = (size_t)(end - peer->pending);
    memcpy(line, peer->pending, size);
    line[size] = 0;
    peer->n_pending -= size + 1;
    memmove(peer->pending, end + 1, peer->n_pending);
    return true;
}

static enum status hear(struct bench_peer *peer, char line[LINE_BYTES], struct error *error)
{
    while (!take_line(peer, line)) {
        struct pollfd wait = {.fd = peer->from, .events = POLLIN};
        if (peer->n_pending == sizeof peer->pending)
            return error_set(error, STATUS_FORMAT, "--peer: %.100s wrote a line that is too long", peer->python);
        poll(&wait, 1, POLL_MS);
        if (atomic_load(peer->cancel))
            return error_set(error, STATUS_CANCELLED, "interrupted");
        if (!wait.revents)
            continue;
        ssize_t n = read(peer->from, peer->pending + peer->n_pending, sizeof peer->pending - peer->n_pending);
        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0)
            return ended(peer, error);
        peer->n_pending += (size_t)n;
    }
    if (strncmp(line, "error ", 6) == 0)
        return error_set(error, STATUS_IO, "--peer: llama.cpp: %.180s", line + 6);
    if (strncmp(line, "missing ", 8) == 0)
        return error_set(error, STATUS_NOT_FOUND,
                         "--peer: %.80s: %.60s (pip install llama-cpp-python adds llama.cpp to it, --peer=PYTHON names "
                         "another)",
                         peer->python, line + 8);
    return STATUS_OK;
}

static enum status not_understood(const struct bench_peer *peer, const char *line, struct error *error)
{
    return error_set(error, STATUS_FORMAT, "--peer: %.100s answered \"%.60s\"", peer->python, line);
}

enum status bench_peer_measure(struct bench_peer *peer, const struct bench_line *line, double *seconds,
                               struct error *error)
{
    char ask[64], answer[LINE_BYTES], *end = answer;
    snprintf(ask, sizeof ask, "%s %lld %lld\n", line->kind == BENCH_DECODE ? "single" : "batch", (long long)line->n,
             (long long)line->depth);
    enum status status = say(peer, ask, error);
    if (status == STATUS_OK)
        status = hear(peer, answer, error);
    if (status != STATUS_OK)
        return status;
    if (strncmp(answer, "time ", 5) == 0)
        *seconds = strtod(answer + 5, &end);
    if (end == answer || end == answer + 5 || !(*seconds > 0 && *seconds < 1e9))
        return not_understood(peer, answer, error);
    return STATUS_OK;
}

/* ---- its process ---- */

static enum status start(struct bench_peer *peer, char *const *words, struct error *error)
{
    int in[2], out[2];
    if (pipe2(in, O_CLOEXEC) != 0)
        return error_set(error, STATUS_IO, "--peer: %s", strerror(errno));
    if (pipe2(out, O_CLOEXEC) != 0) {
        close(in[0]);
        close(in[1]);
        return error_set(error, STATUS_IO, "--peer: %s", strerror(errno));
    }
    posix_spawn_file_actions_t actions;
    posix_spawnattr_t attributes;
    posix_spawn_file_actions_init(&actions);
    posix_spawn_file_actions_adddup2(&actions, in[0], STDIN_FILENO);
    posix_spawn_file_actions_adddup2(&actions, out[1], STDOUT_FILENO);
    posix_spawn_file_actions_addopen(&actions, STDERR_FILENO, "/dev/null", O_WRONLY, 0);
    posix_spawnattr_init(&attributes);
    posix_spawnattr_setflags(&attributes, POSIX_SPAWN_SETPGROUP);
    int failure = posix_spawnp(&peer->child, words[0], &actions, &attributes, words, environ);
    posix_spawn_file_actions_destroy(&actions);
    posix_spawnattr_destroy(&attributes);
    close(in[0]);
    close(out[1]);
    peer->to = in[1];
    peer->from = out[0];
    if (failure) {
        peer->child = 0;
        return error_set(error, STATUS_NOT_FOUND, "--peer: %.100s: %s (--peer=PYTHON names another)", words[0],
                         strerror(failure));
    }
    return STATUS_OK;
}

static enum status greet(struct bench_peer *peer, struct error *error)
{
    char line[LINE_BYTES];
    enum status status = hear(peer, line, error);
    if (status == STATUS_OK && sscanf(line, "ready %63s %lf", peer->version, &peer->load_ms) != 2)
        status = not_understood(peer, line, error);
    return status;
}

enum status bench_peer_open(const struct bench *bench, const char *python, struct bench_peer **out, struct error *error)
{
    const struct settings *settings = bench->context->settings;
    struct buffer script = {0}, kv = {0};
    char n_ctx[32], n_threads[32];
    if (settings->lora.n)
        return error_set(error, STATUS_ARGUMENT, "--peer: adapters would be left out there (leave --lora out here)");
    const char *chosen = python && *python ? python : getenv("PYTHON");
    struct bench_peer *peer = calloc(1, sizeof *peer);
    if (!peer)
        return error_set(error, STATUS_MEMORY, "bench: out of memory");
    peer->to = peer->from = -1;
    peer->cancel = bench->context->cancel;
    peer->python = strdup(chosen && *chosen ? chosen : "python3");
    enum status status =
        peer->python ? asset_find("bench_peer.py", &script, error) : error_set(error, STATUS_MEMORY, "out of memory");
    settings_print(settings, OPTION_KV, &kv);
    snprintf(n_ctx, sizeof n_ctx, "%lld", (long long)bench_most_tokens(bench));
    snprintf(n_threads, sizeof n_threads, "%d", engine_n_threads(bench->engine));
    if (status == STATUS_OK && kv.failed)
        status = error_set(error, STATUS_MEMORY, "out of memory");
    if (status == STATUS_OK) {
        /* posix_spawn takes char *const[], which it doesn't change. */
        const char *words[] = {
            peer->python, buffer_text(&script), engine_info(bench->engine)->path, n_ctx, n_threads, buffer_text(&kv),
            NULL};
        char *arguments[sizeof words / sizeof *words];
        memcpy(arguments, words, sizeof arguments);
        status = start(peer, arguments, error);
    }
    if (status == STATUS_OK)
        status = greet(peer, error);
    buffer_deinit(&script);
    buffer_deinit(&kv);
    if (status == STATUS_OK)
        *out = peer;
    else
        bench_peer_close(peer);
    return status;
}

void bench_peer_close(struct bench_peer *peer)
{
    if (!peer)
        return;
    if (peer->to >= 0)
        close(peer->to);
    if (peer->from >= 0)
        close(peer->from);
    if (peer->child) {
        kill(-peer->child, SIGTERM);
        while (waitpid(peer->child, NULL, 0) < 0 && errno == EINTR)
            continue;
    }
    free(peer->python);
    free(peer);
}
