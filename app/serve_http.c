/* serve_http: see serve_http.h.
 *
 * An exchange is one request on a connection.  Its way:
 *
 *   headers ──► refused? (guard, route, lengths)   body ──► job ──► desk      (connection rests)  wake ──► reply
 *
 * What is refused still has its body read and dropped, where that is small: so the client gets the reply and not a reset, and
 * the connection can go on.  A connection that rests is suspended: libmicrohttpd doesn't look at it, and its descriptor stays
 * open, until wake resumes it. */
#include "app/serve_http.h"

#include <microhttpd.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/socket.h>
#include <unistd.h>

#include "app/serve_desk.h"
#include "app/serve_reply.h"

enum {
    BODY_MAX = 16 << 20,    /* of one request */
    BODIES_MAX = 192 << 20, /* of all that are being read */
    DROPPED_MAX = 1 << 20,  /* of a body that is read only to be dropped */
    CONNECTIONS_MAX = 4000,
    CONNECTION_MEMORY = 32 << 10, /* headers must fit in it */
    IDLE_SECONDS = 60,
    BLOCK = 16 << 10,
};

struct serve_http {
    struct serve *serve;
    struct MHD_Daemon *daemon;
    size_t n_body_bytes; /* the HTTP thread's own */
};

struct exchange {
    struct serve_http *http;
    struct MHD_Connection *connection;
    const struct serve_route *route;
    struct serve_job *job; /* NULL: none yet, or none needed */
    struct buffer body;
    size_t n_received, n_counted;
    int code; /* of a refusal; 0: not refused */
    const char *type, *message, *allowed;
    const char *origin; /* one that is allowed: it is told so */
    int fd;

    /* A streamed answer. */
    struct buffer out;
    size_t n_sent;
    bool is_last;
};

/* ---- replies ---- */

static void add_header(struct MHD_Response *response, const char *name, const char *value)
{
    MHD_add_response_header(response, name, value);
}

static enum MHD_Result send_response(struct exchange *exchange, struct MHD_Response *response, int code,
                                     const char *content_type)
{
    if (!response)
        return MHD_NO;
    if (content_type)
        add_header(response, MHD_HTTP_HEADER_CONTENT_TYPE, content_type);
    add_header(response, "X-Content-Type-Options", "nosniff");
    if (exchange->origin) {
        add_header(response, MHD_HTTP_HEADER_ACCESS_CONTROL_ALLOW_ORIGIN, exchange->origin);
        add_header(response, MHD_HTTP_HEADER_VARY, "Origin");
    }
    if (code == MHD_HTTP_UNAUTHORIZED)
        add_header(response, MHD_HTTP_HEADER_WWW_AUTHENTICATE, "Bearer");
    if (code == MHD_HTTP_METHOD_NOT_ALLOWED && exchange->allowed)
        add_header(response, MHD_HTTP_HEADER_ALLOW, exchange->allowed);
    if (code == MHD_HTTP_SERVICE_UNAVAILABLE)
        add_header(response, MHD_HTTP_HEADER_RETRY_AFTER, "1");
    enum MHD_Result result = MHD_queue_response(exchange->connection, (unsigned)code, response);
    MHD_destroy_response(response);
    return result;
}

/* Takes the buffer's bytes. */
static enum MHD_Result send_bytes(struct exchange *exchange, int code, const char *content_type, struct buffer *body)
{
    if (body->failed) {
        buffer_deinit(body);
        return MHD_NO;
    }
    struct MHD_Response *response =
        body->size ? MHD_create_response_from_buffer(body->size, body->data, MHD_RESPMEM_MUST_FREE)
                   : MHD_create_response_from_buffer(0, (void *)(uintptr_t) "", MHD_RESPMEM_PERSISTENT);
    if (!response || !body->size)
        buffer_deinit(body);
    return send_response(exchange, response, code, content_type);
}

static enum MHD_Result send_error(struct exchange *exchange, int code, const char *type, const char *message)
{
    struct buffer body = {0};
    serve_reply_error(code, type, message, &body);
    return send_bytes(exchange, code, "application/json", &body);
}

/* ---- resting ---- */

static void rest(void *context)
{
    struct exchange *exchange = context;
    MHD_suspend_connection(exchange->connection);
}

static void wake(void *context)
{
    struct exchange *exchange = context;
    MHD_resume_connection(exchange->connection);
}

/* ---- a streamed answer ---- */

static ssize_t read_stream(void *context, uint64_t position, char *to, size_t room)
{
    struct exchange *exchange = context;
    const char *model = engine_info(exchange->http->serve->engine)->name;
    (void)position;
    if (exchange->n_sent == exchange->out.size) {
        buffer_clear(&exchange->out);
        exchange->n_sent = 0;
        if (exchange->is_last)
            return MHD_CONTENT_READER_END_OF_STREAM;
        switch (serve_job_wait(exchange->job, false, exchange->fd, rest, wake, exchange)) {
        case SERVE_RESTING:
            return 0;
        case SERVE_HAS:
            serve_reply_events(exchange->job, model, &exchange->out);
            break;
        case SERVE_ENDED:
            serve_reply_last(exchange->job, model, &exchange->out);
            exchange->is_last = true;
        }
        if (exchange->out.failed)
            return MHD_CONTENT_READER_END_WITH_ERROR;
    }
    size_t n = exchange->out.size - exchange->n_sent;
    n = n < room ? n : room;
    memcpy(to, exchange->out.data + exchange->n_sent, n);
    exchange->n_sent += n;
    return (ssize_t)n;
}

static enum MHD_Result start_stream(struct exchange *exchange)
{
    struct MHD_Response *response =
        MHD_create_response_from_callback(MHD_SIZE_UNKNOWN, BLOCK, read_stream, exchange, NULL);
    if (!response)
        return MHD_NO;
    add_header(response, MHD_HTTP_HEADER_CACHE_CONTROL, "no-cache");
    return send_response(exchange, response, MHD_HTTP_OK, "text/event-stream");
}

/* ---- an answer ---- */

static enum MHD_Result answer(struct exchange *exchange)
{
    struct serve *serve = exchange->http->serve;
    struct serve_job *job = exchange->job;
    struct buffer out = {0};
    switch (serve_job_wait(job, false, exchange->fd, rest, wake, exchange)) {
    case SERVE_RESTING:
        return MHD_YES;
    case SERVE_HAS:
        return start_stream(exchange);
    case SERVE_ENDED:
        break;
    }
    if (job->code == 499) /* nobody is there to read it */
        return MHD_NO;
    if (job->code != 200)
        return send_error(exchange, job->code, job->type, job->message);
    bool is_whole = job->form == SERVE_WHOLE || job->form == SERVE_INFILL;
    if (job->is_streamed && !is_whole)
        return start_stream(exchange);
    serve_reply_whole(job, engine_info(serve->engine)->name, &out);
    return send_bytes(exchange, MHD_HTTP_OK, job->is_streamed ? "text/event-stream" : "application/json", &out);
}

/* ---- a request ---- */

static void refuse(struct exchange *exchange, int code, const char *type, const char *message)
{
    if (exchange->code)
        return;
    exchange->code = code;
    exchange->type = type;
    exchange->message = message;
    atomic_fetch_add(&exchange->http->serve->n_refused, 1);
}

struct header_count {
    const char *name;
    unsigned n;
};

static enum MHD_Result count_header(void *context, enum MHD_ValueKind kind, const char *name, const char *value)
{
    struct header_count *count = context;
    (void)kind;
    (void)value;
    count->n += strcasecmp(name, count->name) == 0;
    return MHD_YES;
}

static unsigned n_headers(struct exchange *exchange, const char *name)
{
    struct header_count count = {.name = name};
    MHD_get_connection_values(exchange->connection, MHD_HEADER_KIND, count_header, &count);
    return count.n;
}

static const char *header(struct exchange *exchange, const char *name)
{
    return MHD_lookup_connection_value(exchange->connection, MHD_HEADER_KIND, name);
}

/* True where the request's frame itself can't be trusted: it is answered at once, and nothing more of it is read. */
static bool is_broken(struct exchange *exchange)
{
    const char *length = header(exchange, MHD_HTTP_HEADER_CONTENT_LENGTH);
    unsigned n_lengths = n_headers(exchange, MHD_HTTP_HEADER_CONTENT_LENGTH);
    unsigned n_codings = n_headers(exchange, MHD_HTTP_HEADER_TRANSFER_ENCODING);
    if (n_lengths > 1 || n_codings > 1 || (n_lengths && n_codings))
        refuse(exchange, 400, "invalid_request_error", "the request says its length twice");
    else if (length && (strlen(length) > 18 || strspn(length, "0123456789") != strlen(length) || !*length))
        refuse(exchange, 400, "invalid_request_error", "the request's length is no number");
    else if (length && strtoull(length, NULL, 10) > BODY_MAX)
        refuse(exchange, 413, "invalid_request_error", "the request is larger than 16 MiB");
    else
        return false;
    return true;
}

/* Who asks, and for what. */
static void check_request(struct exchange *exchange, const char *method, const char *path)
{
    const struct serve_guard *guard = &exchange->http->serve->guard;
    const char *host = header(exchange, MHD_HTTP_HEADER_HOST), *origin = header(exchange, MHD_HTTP_HEADER_ORIGIN);
    if (n_headers(exchange, MHD_HTTP_HEADER_HOST) != 1 || !host) {
        refuse(exchange, 400, "invalid_request_error", "the request must name one Host");
        return;
    }
    if (!serve_guard_host(guard, host)) {
        refuse(exchange, 403, "permission_error", "the Host is not this server's");
        return;
    }
    if (n_headers(exchange, MHD_HTTP_HEADER_ORIGIN) > 1 || (origin && !serve_guard_origin(guard, origin))) {
        refuse(exchange, 403, "permission_error", "pages of this Origin may not ask (fathom serve --cors)");
        return;
    }
    exchange->origin = origin;
    exchange->route = serve_route_find(method, path, &exchange->allowed);
    if (strcmp(method, MHD_HTTP_METHOD_OPTIONS) == 0 && origin)
        return; /* a browser asks whether it may */
    if (!exchange->route && exchange->allowed)
        refuse(exchange, 405, "invalid_request_error", "this path takes another method");
    else if (!exchange->route)
        refuse(exchange, 404, "not_found_error", "there is nothing at this path");
    else if ((exchange->route->flags & SERVE_OF_MODEL) &&
             strcmp(path + strlen(exchange->route->path), engine_info(exchange->http->serve->engine)->name) != 0)
        refuse(exchange, 404, "not_found_error", "there is no such model here");
    else if (!(exchange->route->flags & SERVE_OPEN) &&
             !serve_guard_key(guard, header(exchange, MHD_HTTP_HEADER_AUTHORIZATION), header(exchange, "x-api-key")))
        refuse(exchange, 401, "authentication_error", "the key is missing or wrong");
    else if (exchange->route->unsupported)
        refuse(exchange, 501, "not_supported_error", exchange->route->unsupported);
}

static enum MHD_Result begin(struct serve_http *http, struct MHD_Connection *connection, const char *path,
                             const char *method, void **context)
{
    struct exchange *exchange = calloc(1, sizeof *exchange);
    if (!exchange)
        return MHD_NO;
    exchange->http = http;
    exchange->connection = connection;
    const union MHD_ConnectionInfo *info = MHD_get_connection_info(connection, MHD_CONNECTION_INFO_CONNECTION_FD);
    exchange->fd = info ? info->connect_fd : -1;
    *context = exchange;
    atomic_fetch_add(&http->serve->n_requests, 1);
    if (is_broken(exchange))
        return send_error(exchange, exchange->code, exchange->type, exchange->message);
    check_request(exchange, method, path);
    const char *length = header(exchange, MHD_HTTP_HEADER_CONTENT_LENGTH);
    bool is_large = length && strtoull(length, NULL, 10) > DROPPED_MAX;
    if (exchange->code && (is_large || header(exchange, MHD_HTTP_HEADER_EXPECT)))
        return send_error(exchange, exchange->code, exchange->type, exchange->message);
    return MHD_YES;
}

/* A body without end can't be answered by the rules: what is being read must be read to its end first.  So the answer goes
 * straight to the socket, and the connection ends. */
static enum MHD_Result cut_off(struct exchange *exchange)
{
    struct buffer body = {0}, reply = {0};
    serve_reply_error(413, "invalid_request_error", "the request is larger than 16 MiB", &body);
    buffer_printf(&reply,
                  "HTTP/1.1 413 Content Too Large\r\nContent-Type: application/json\r\nContent-Length: %zu\r\n"
                  "Connection: close\r\n\r\n%s",
                  body.size, buffer_text(&body));
    if (exchange->fd >= 0 && !reply.failed) {
        ssize_t n = send(exchange->fd, reply.data, reply.size, MSG_NOSIGNAL | MSG_DONTWAIT);
        if (n == (ssize_t)reply.size)
            shutdown(exchange->fd, SHUT_WR);
    }
    buffer_deinit(&body);
    buffer_deinit(&reply);
    return MHD_NO;
}

static enum MHD_Result take_body(struct exchange *exchange, const char *data, size_t *size)
{
    struct serve_http *http = exchange->http;
    exchange->n_received += *size;
    if (exchange->n_received > (exchange->code ? DROPPED_MAX : BODY_MAX))
        return cut_off(exchange);
    if (!exchange->code && http->n_body_bytes + *size > BODIES_MAX)
        refuse(exchange, 503, "unavailable_error", "too many large requests at once");
    if (!exchange->code) {
        buffer_append(&exchange->body, data, *size);
        exchange->n_counted += *size;
        http->n_body_bytes += *size;
        if (exchange->body.failed)
            refuse(exchange, 503, "unavailable_error", "out of memory");
    }
    if (exchange->code) {
        http->n_body_bytes -= exchange->n_counted;
        exchange->n_counted = 0;
        buffer_deinit(&exchange->body);
    }
    *size = 0;
    return MHD_YES;
}

static enum MHD_Result answer_preflight(struct exchange *exchange)
{
    struct MHD_Response *response = MHD_create_response_from_buffer(0, (void *)(uintptr_t) "", MHD_RESPMEM_PERSISTENT);
    if (!response)
        return MHD_NO;
    add_header(response, MHD_HTTP_HEADER_ACCESS_CONTROL_ALLOW_METHODS, exchange->allowed ? exchange->allowed : "GET");
    add_header(response, MHD_HTTP_HEADER_ACCESS_CONTROL_ALLOW_HEADERS, "Authorization, Content-Type, X-Api-Key");
    add_header(response, MHD_HTTP_HEADER_ACCESS_CONTROL_MAX_AGE, "600");
    return send_response(exchange, response, MHD_HTTP_NO_CONTENT, NULL);
}

static enum MHD_Result dispatch(struct exchange *exchange)
{
    struct serve *serve = exchange->http->serve;
    struct error error = {0};
    struct buffer out = {0};
    if (exchange->code)
        return send_error(exchange, exchange->code, exchange->type, exchange->message);
    if (!exchange->route)
        return answer_preflight(exchange);
    if (exchange->route->show) {
        exchange->route->show(serve, &out);
        return send_bytes(exchange, MHD_HTTP_OK, exchange->route->content_type, &out);
    }
    if (serve_job_new(exchange->route, &exchange->job, &error) != STATUS_OK)
        return send_error(exchange, 503, "unavailable_error", error.text);
    exchange->job->body = exchange->body;
    exchange->body = (struct buffer){0};
    serve_desk_submit(serve->desk, exchange->job);
    return answer(exchange);
}

static enum MHD_Result on_request(void *context, struct MHD_Connection *connection, const char *path,
                                  const char *method, const char *version, const char *data, size_t *size,
                                  void **exchange)
{
    (void)version;
    if (!*exchange)
        return begin(context, connection, path, method, exchange);
    if (*size)
        return take_body(*exchange, data, size);
    struct exchange *under_way = *exchange;
    return under_way->job ? answer(under_way) : dispatch(under_way);
}

static void on_completed(void *context, struct MHD_Connection *connection, void **exchange,
                         enum MHD_RequestTerminationCode how)
{
    struct exchange *done = *exchange;
    (void)context;
    (void)connection;
    (void)how;
    if (!done)
        return;
    if (done->job)
        serve_job_abandon(done->job);
    serve_job_release(done->job);
    done->http->n_body_bytes -= done->n_counted;
    buffer_deinit(&done->body);
    buffer_deinit(&done->out);
    free(done);
    *exchange = NULL;
}

/* ---- life ---- */

enum status serve_http_start(struct serve *serve, int fd, struct serve_http **out, struct error *error)
{
    struct serve_http *http = calloc(1, sizeof *http);
    if (!http) {
        close(fd);
        return error_set(error, STATUS_MEMORY, "out of memory");
    }
    http->serve = serve;
    http->daemon = MHD_start_daemon(
        MHD_USE_INTERNAL_POLLING_THREAD | MHD_USE_EPOLL | MHD_ALLOW_SUSPEND_RESUME, 0, NULL, NULL, on_request, http,
        MHD_OPTION_LISTEN_SOCKET, fd, MHD_OPTION_NOTIFY_COMPLETED, on_completed, http, MHD_OPTION_CONNECTION_LIMIT,
        (unsigned)CONNECTIONS_MAX, MHD_OPTION_CONNECTION_MEMORY_LIMIT, (size_t)CONNECTION_MEMORY,
        MHD_OPTION_CONNECTION_TIMEOUT, (unsigned)IDLE_SECONDS, MHD_OPTION_STRICT_FOR_CLIENT, 1, MHD_OPTION_END);
    if (!http->daemon) {
        close(fd);
        free(http);
        return error_set(error, STATUS_IO, "the HTTP server could not be started");
    }
    *out = http;
    return STATUS_OK;
}

void serve_http_quiesce(struct serve_http *http)
{
    MHD_socket fd = MHD_quiesce_daemon(http->daemon);
    if (fd != MHD_INVALID_SOCKET)
        close(fd);
}

void serve_http_stop(struct serve_http *http)
{
    if (!http)
        return;
    MHD_stop_daemon(http->daemon);
    free(http);
}
