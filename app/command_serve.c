/* command_serve: the HTTP server: opens what it is made of, waits for a signal, closes it again. */
#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/signalfd.h>
#include <unistd.h>

#include "app/assets.h"
#include "app/serve.h"
#include "app/serve_context.h"
#include "app/serve_desk.h"
#include "app/serve_http.h"

enum { OPENAPI_MAX = 1 << 20, CONTEXT_LEAST = 2048 };

/* ---- signals ---- */

/* From here on SIGINT and SIGTERM come in by a descriptor, whatever thread they would have found. */
static int signals_open(sigset_t *blocked)
{
    struct sigaction interrupt;
    sigemptyset(blocked);
    sigaddset(blocked, SIGTERM);
    /* A shell starts what runs in the background with SIGINT ignored: so it stays. */
    if (sigaction(SIGINT, NULL, &interrupt) == 0 && interrupt.sa_handler != SIG_IGN)
        sigaddset(blocked, SIGINT);
    pthread_sigmask(SIG_BLOCK, blocked, NULL);
    return signalfd(-1, blocked, SFD_CLOEXEC);
}

/* The signal that came; 0 where none could be read. */
static int wait_for_signal(int fd)
{
    struct signalfd_siginfo info;
    ssize_t n;
    do
        n = read(fd, &info, sizeof info);
    while (n < 0 && errno == EINTR);
    return n == (ssize_t)sizeof info ? (int)info.ssi_signo : 0;
}

/* ---- the parts ---- */

/* All slots' cells together get half of what memory there is, unless somebody asked for a context. */
static int32_t slot_context(const struct serve *serve, const struct session_options *session)
{
    const struct settings *settings = serve->context->settings;
    int32_t n_ctx = session->n_ctx ? session->n_ctx : engine_default_context(serve->engine, session->kv);
    uint64_t per_token = engine_info(serve->engine)->kv_bytes_per_token, memory = engine_memory_available() / 2;
    if (session->n_ctx || !per_token || !memory)
        return n_ctx;
    uint64_t fitting = memory / per_token / (uint64_t)settings->slots;
    if (fitting < CONTEXT_LEAST)
        fitting = CONTEXT_LEAST;
    return fitting < (uint64_t)n_ctx ? (int32_t)fitting : n_ctx;
}

static enum status check_settings(const struct settings *settings, struct error *error)
{
    if (settings->api_key && !*settings->api_key)
        return error_set(error, STATUS_ARGUMENT, "--api-key: the key is empty");
    return STATUS_OK;
}

static enum status open_guard(struct serve *serve, int *fd, struct error *error)
{
    const struct settings *settings = serve->context->settings;
    struct serve_guard *guard = &serve->guard;
    enum status status = serve_address_read(settings->listen, &guard->address, error);
    if (status == STATUS_OK)
        status = serve_listen(&guard->address, fd, error);
    if (status != STATUS_OK)
        return status;
    guard->api_key = settings->api_key;
    guard->origins = settings->cors.items;
    guard->n_origins = settings->cors.n;
    if (gethostname(guard->machine, sizeof guard->machine - 1) != 0)
        guard->machine[0] = 0;
    if (guard->address.is_loopback || guard->api_key)
        return STATUS_OK;
    close(*fd);
    *fd = -1;
    return error_set(error, STATUS_ARGUMENT, "--listen %.80s: other machines reach that, so it takes an --api-key",
                     settings->listen);
}

static enum status open_engine(struct serve *serve, struct error *error)
{
    const struct settings *settings = serve->context->settings;
    enum status status = settings_open_engine(settings, &serve->engine, error);
    if (status != STATUS_OK)
        return status;
    struct serve_engine_options options = {.engine = serve->engine,
                                           .session = command_session_options(serve->context),
                                           .n_slots = (size_t)settings->slots};
    options.session.progress = NULL;
    options.session.drafts = settings->draft == DRAFT_AUTO;
    options.session.n_ctx = slot_context(serve, &options.session);
    if (settings->repo)
        status = serve_context_open(serve->context, serve->engine, settings->repo, &serve->repository, error);
    if (status == STATUS_OK)
        status = serve_engine_start(&options, &serve->slots, error);
    if (status == STATUS_OK)
        serve->n_ctx = serve_engine_n_ctx(serve->slots);
    return status;
}

/* How many tokens there are is the model's own: the number that stands behind these words. */
static void write_openapi(struct serve *serve, const char *text)
{
    static const char *const path[] = {"\"Token\"", "\"maximum\"", ":"};
    const char *at = text;
    for (size_t i = 0; i < sizeof path / sizeof *path && at; i++) {
        at = strstr(at, path[i]);
        at = at ? at + strlen(path[i]) : NULL;
    }
    if (at) {
        at += strspn(at, " ");
        buffer_append(&serve->openapi, text, (size_t)(at - text));
        buffer_printf(&serve->openapi, "%d", engine_n_vocab(serve->engine) - 1);
        text = at + strspn(at, "0123456789");
    }
    buffer_append_text(&serve->openapi, text);
}

static enum status read_openapi(struct serve *serve, struct error *error)
{
    struct buffer path = {0}, text = {0};
    enum status status = asset_find("openapi.json", &path, error);
    if (status == STATUS_OK)
        status = input_read_file(buffer_text(&path), NULL, OPENAPI_MAX, &text, error);
    if (status == STATUS_OK) {
        write_openapi(serve, buffer_text(&text));
        status = buffer_status(&serve->openapi, error);
    }
    buffer_deinit(&path);
    buffer_deinit(&text);
    return status;
}

static void say_where(const struct serve *serve)
{
    struct buffer where = {0};
    serve_address_print(&serve->guard.address, &where);
    command_notice(serve->context, "listening at %s (%s, %zu slots of %d tokens)", buffer_text(&where),
                   engine_info(serve->engine)->name, serve_engine_n_slots(serve->slots), serve->n_ctx);
    buffer_deinit(&where);
}

/* What runs is ended before the connections that wait for it are closed; until they are, requests still come on them, which
 * find the desk and the slots there. */
static void close_all(struct serve *serve)
{
    if (serve->http)
        serve_http_quiesce(serve->http);
    serve_desk_stop(serve->desk);
    serve_engine_stop(serve->slots);
    serve_http_stop(serve->http);
    serve_desk_free(serve->desk);
    serve_engine_free(serve->slots);
    serve_context_close(serve->repository);
    if (serve->engine)
        engine_close(serve->engine);
    buffer_deinit(&serve->openapi);
}

static enum exit_status run(const struct command_context *context)
{
    struct serve serve = {.context = context, .began = clock_now_ns()};
    struct error error = {0};
    sigset_t blocked;
    int fd = -1, signals, came = 0;
    enum status status = check_settings(context->settings, &error);
    if (status == STATUS_OK)
        status = open_guard(&serve, &fd, &error);
    bool is_listening = status == STATUS_OK;
    signals = signals_open(&blocked);
    if (status == STATUS_OK && signals < 0)
        status = error_set(&error, STATUS_IO, "no descriptor for signals: %s", strerror(errno));
    if (status == STATUS_OK)
        status = open_engine(&serve, &error);
    if (status == STATUS_OK)
        status = read_openapi(&serve, &error);
    if (status == STATUS_OK)
        status = serve_desk_start(&serve, &serve.desk, &error);
    if (status == STATUS_OK) {
        status = serve_http_start(&serve, fd, &serve.http, &error);
        fd = -1;
    }
    if (status == STATUS_OK) {
        say_where(&serve);
        came = wait_for_signal(signals);
    }
    /* A second Ctrl-C ends the program, should something hang. */
    if (came == SIGINT)
        atomic_store(context->cancel, true);
    pthread_sigmask(SIG_UNBLOCK, &blocked, NULL);
    close_all(&serve);
    if (fd >= 0)
        close(fd);
    if (signals >= 0)
        close(signals);
    if (is_listening)
        serve_unlisten(&serve.guard.address);
    return status == STATUS_OK ? EXIT_DONE : command_fail(context, &error, NULL);
}

static const enum option_id options[] = {OPTION_REPO};

const struct command command_serve = {
    .name = "serve",
    .synopsis = "[--listen ADDRESS] [--repo PATH]",
    .summary = "answer editors and programs over HTTP",
    .help =
        "Answers /infill as llama.vim and llama.vscode ask it, with the context of the repository that --repo names "
        "beside what the editor sends; OpenAI's requests (/v1/chat/completions, /v1/completions, /v1/models; streamed "
        "or whole, with tools), "
        "and /tokenize, /detokenize, /health, /props, /slots, /metrics; /openapi.json describes them. "
        "Several requests are answered at once, each in a slot, by one model; what a prompt has in common with an "
        "earlier one isn't read again.\n"
        "\n"
        "Listens at this machine alone (loopback or a unix socket), unless --listen names another address, which "
        "takes an --api-key. A request that names another Host, or comes from a page in a browser that --cors doesn't "
        "allow, is refused. When a client goes away, its work stops. Ctrl-C or SIGTERM ends the server.\n"
        "\n"
        "  fathom serve\n"
        "  fathom serve --listen unix:/run/user/1000/fathom.socket\n"
        "  curl 127.0.0.1:8012/v1/completions -d '{\"prompt\": \"int main(\"}'",
    .options = options,
    .n_options = sizeof options / sizeof *options,
    .run = run,
};
