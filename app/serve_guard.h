/* serve_guard: who may ask.  Decides from a request's headers alone; changes nothing, so that it can be held against every
 * kind of header by itself.
 *
 * A page in a browser may send requests to any address.  Two headers that it can't forge give it away: Host, which names
 * another site where the site's name was made to lead here, and Origin, which names the page's own. */
#ifndef FATHOM_APP_SERVE_GUARD_H
#define FATHOM_APP_SERVE_GUARD_H

#include "app/serve_listen.h"

struct serve_guard {
    struct serve_address address;
    char machine[256];   /* this machine's name: may stand in Host where the server listens at more than loopback */
    const char *api_key; /* NULL: none is asked for */
    const char *const *origins; /* (n_origins) those that --cors allows; "*" stands for any */
    size_t n_origins;
};

/* Host must be one of: the address that the server listens at, loopback's names where that is loopback (or everything);
 * with its port, which may be left out where it is 80.  At a unix socket, any. */
bool serve_guard_host(const struct serve_guard *guard, const char *host);

bool serve_guard_origin(const struct serve_guard *guard, const char *origin);

/* Header Authorization ("Bearer KEY"), or x-api-key; either may be NULL.  Takes as long whichever byte is wrong. */
bool serve_guard_key(const struct serve_guard *guard, const char *authorization, const char *key);

#endif
