/* serve_listen: see serve_listen.h. */
#include "app/serve_listen.h"

#include <errno.h>
#include <netdb.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

enum { BACKLOG = 1024 };

static enum status read_port(const char *text, uint16_t *port, struct error *error)
{
    char *end;
    unsigned long value = strtoul(text, &end, 10);
    if (*text < '0' || *text > '9' || *end || value > 65535)
        return error_set(error, STATUS_ARGUMENT, "--listen: \"%.40s\" is no port (0 to 65535)", text);
    *port = (uint16_t)value;
    return STATUS_OK;
}

static enum status read_unix(const char *path, struct serve_address *out, struct error *error)
{
    if (!*path || strlen(path) >= sizeof out->path)
        return error_set(error, STATUS_ARGUMENT, "--listen: the path of a unix socket has 1 to %zu bytes",
                         sizeof out->path - 1);
    out->is_unix = out->is_loopback = true;
    memcpy(out->path, path, strlen(path) + 1);
    return STATUS_OK;
}

enum status serve_address_read(const char *text, struct serve_address *out, struct error *error)
{
    *out = (struct serve_address){.host = "127.0.0.1"};
    if (strncmp(text, "unix:", 5) == 0)
        return read_unix(text + 5, out, error);
    const char *colon = strrchr(text, ':');
    if (!colon)
        return read_port(text, &out->port, error);
    size_t size = (size_t)(colon - text);
    if (size >= 2 && text[0] == '[' && text[size - 1] == ']') {
        text++;
        size -= 2;
    } else if (memchr(text, ':', size)) {
        return error_set(error, STATUS_ARGUMENT, "--listen: an IPv6 address stands in brackets: [::1]:8012");
    }
    if (size == 0 || size >= sizeof out->host)
        return error_set(error, STATUS_ARGUMENT, "--listen: it takes HOST:PORT or unix:PATH");
    memcpy(out->host, text, size);
    out->host[size] = 0;
    return read_port(colon + 1, &out->port, error);
}

/* ---- sockets ---- */

static bool is_loopback(const struct in6_addr *in6)
{
    return IN6_IS_ADDR_LOOPBACK(in6) || (IN6_IS_ADDR_V4MAPPED(in6) && in6->s6_addr[12] == 127);
}

static enum status failed(const struct serve_address *address, int fd, struct error *error)
{
    int number = errno;
    if (fd >= 0)
        close(fd);
    if (address->is_unix)
        return error_set(error, STATUS_IO, "can't listen at %s: %s", address->path, strerror(number));
    return error_set(error, STATUS_IO, "can't listen at %.100s port %u: %s", address->host, (unsigned)address->port,
                     strerror(number));
}

/* A socket file that nobody listens at is left over from a program that was killed. */
static enum status clear_path(const struct serve_address *address, const struct sockaddr_un *name, struct error *error)
{
    struct stat about;
    if (lstat(address->path, &about) != 0)
        return STATUS_OK;
    if (!S_ISSOCK(about.st_mode))
        return error_set(error, STATUS_IO, "can't listen at %s: there is a file that is no socket", address->path);
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    bool is_left_over =
        fd >= 0 && connect(fd, (const struct sockaddr *)(const void *)name, sizeof *name) != 0 && errno == ECONNREFUSED;
    if (fd >= 0)
        close(fd);
    if (!is_left_over)
        return error_set(error, STATUS_IO, "can't listen at %s: somebody does already", address->path);
    unlink(address->path);
    return STATUS_OK;
}

static enum status listen_unix(struct serve_address *address, int *out, struct error *error)
{
    struct sockaddr_un name = {.sun_family = AF_UNIX};
    memcpy(name.sun_path, address->path, strlen(address->path) + 1);
    enum status status = clear_path(address, &name, error);
    if (status != STATUS_OK)
        return status;
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    mode_t mask = umask(0177); /* the file never is anybody else's, not even for a moment */
    bool is_bound = fd >= 0 && bind(fd, (const struct sockaddr *)&name, sizeof name) == 0;
    umask(mask);
    if (!is_bound || listen(fd, BACKLOG) != 0)
        return failed(address, fd, error);
    *out = fd;
    return STATUS_OK;
}

static enum status listen_at(struct serve_address *address, const struct addrinfo *where, int *out, struct error *error)
{
    int fd = socket(where->ai_family, SOCK_STREAM | SOCK_CLOEXEC, 0), on = 1;
    if (fd < 0 || setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on) != 0 ||
        bind(fd, where->ai_addr, where->ai_addrlen) != 0 || listen(fd, BACKLOG) != 0)
        return failed(address, fd, error);
    struct sockaddr_storage bound = {0};
    socklen_t size = sizeof bound;
    if (getsockname(fd, (struct sockaddr *)&bound, &size) != 0)
        return failed(address, fd, error);
    struct sockaddr_in four;
    struct sockaddr_in6 six;
    memcpy(&four, &bound, sizeof four);
    memcpy(&six, &bound, sizeof six);
    if (bound.ss_family == AF_INET) {
        address->port = ntohs(four.sin_port);
        address->is_loopback = ntohl(four.sin_addr.s_addr) >> 24 == 127;
        address->is_wildcard = four.sin_addr.s_addr == htonl(INADDR_ANY);
    } else {
        address->port = ntohs(six.sin6_port);
        address->is_loopback = is_loopback(&six.sin6_addr);
        address->is_wildcard = IN6_IS_ADDR_UNSPECIFIED(&six.sin6_addr);
    }
    *out = fd;
    return STATUS_OK;
}

enum status serve_listen(struct serve_address *address, int *fd, struct error *error)
{
    if (address->is_unix)
        return listen_unix(address, fd, error);
    struct addrinfo hints = {.ai_family = AF_UNSPEC, .ai_socktype = SOCK_STREAM, .ai_flags = AI_PASSIVE}, *found = NULL;
    char port[8];
    snprintf(port, sizeof port, "%u", (unsigned)address->port);
    int result = getaddrinfo(address->host, port, &hints, &found);
    if (result != 0 || !found)
        return error_set(error, STATUS_NOT_FOUND, "--listen: %.100s: %s", address->host, gai_strerror(result));
    enum status status = listen_at(address, found, fd, error);
    freeaddrinfo(found);
    return status;
}

void serve_unlisten(const struct serve_address *address)
{
    if (address->is_unix)
        unlink(address->path);
}

void serve_address_print(const struct serve_address *address, struct buffer *out)
{
    if (address->is_unix)
        buffer_printf(out, "unix:%s", address->path);
    else if (strchr(address->host, ':'))
        buffer_printf(out, "http://[%s]:%u", address->host, (unsigned)address->port);
    else
        buffer_printf(out, "http://%s:%u", address->host, (unsigned)address->port);
}
