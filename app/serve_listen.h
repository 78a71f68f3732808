/* serve_listen: where the server listens, as --listen says it, and the socket there. */
#ifndef FATHOM_APP_SERVE_LISTEN_H
#define FATHOM_APP_SERVE_LISTEN_H

#include "engine/base.h"

struct serve_address {
    bool is_unix;
    bool is_loopback; /* nobody but this machine reaches it; true for is_unix */
    bool is_wildcard; /* every address of this machine */
    char host[256];   /* as given, without brackets */
    uint16_t port;    /* the one in force: where 0 was asked for, the one that the system chose */
    char path[104];   /* of a unix socket */
};

/* Reads "HOST:PORT", "[IPV6]:PORT", "PORT" (on 127.0.0.1) or "unix:PATH".  STATUS_ARGUMENT. */
enum status serve_address_read(const char *text, struct serve_address *out, struct error *error);

/* A socket that listens there (close-on-exec), and fills in what is only known then.  A unix socket is for this user alone
 * (mode 0600); one that nobody listens at any more is replaced.  STATUS_IO, STATUS_NOT_FOUND for a host. */
enum status serve_listen(struct serve_address *address, int *fd, struct error *error);

/* Removes the file of a unix socket. */
void serve_unlisten(const struct serve_address *address);

/* "http://127.0.0.1:8012", "unix:PATH". */
void serve_address_print(const struct serve_address *address, struct buffer *out);

#endif
