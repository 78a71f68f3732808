/* serve_http: connections, by libmicrohttpd: one thread for all of them, which never waits. */
#ifndef FATHOM_APP_SERVE_HTTP_H
#define FATHOM_APP_SERVE_HTTP_H

#include "app/serve.h"

/* Takes the listening socket, which it closes in the end. */
enum status serve_http_start(struct serve *serve, int fd, struct serve_http **out, struct error *error);
/* Takes no new connections; what is under way goes on. */
void serve_http_quiesce(struct serve_http *http);
/* Every job must have ended.  NULL is fine. */
void serve_http_stop(struct serve_http *http);

#endif
