/* serve_guard: see serve_guard.h. */
#include "app/serve_guard.h"

#include <arpa/inet.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

/* Parts "name:port" and "[v6]:port"; *port stays where there is none. */
static bool split_host(const char *host, char *name, size_t room, unsigned *port)
{
    const char *end = host + strcspn(host, ":");
    if (*host == '[') {
        end = strchr(host++, ']');
        if (!end)
            return false;
    }
    size_t size = (size_t)(end - host);
    if (size == 0 || size >= room)
        return false;
    memcpy(name, host, size);
    name[size] = 0;
    end += *end == ']';
    if (*end == 0)
        return true;
    if (*end != ':' || strlen(end + 1) > 5 || strspn(end + 1, "0123456789") != strlen(end + 1) || !end[1])
        return false;
    *port = 0;
    for (end++; *end; end++)
        *port = *port * 10 + (unsigned)(*end - '0');
    return true;
}

static bool is_address(const char *name)
{
    unsigned char bytes[sizeof(struct in6_addr)];
    return inet_pton(AF_INET, name, bytes) == 1 || inet_pton(AF_INET6, name, bytes) == 1;
}

bool serve_guard_host(const struct serve_guard *guard, const char *host)
{
    const struct serve_address *address = &guard->address;
    char name[256];
    unsigned port = 80;
    if (address->is_unix)
        return true;
    if (!split_host(host, name, sizeof name, &port) || port != address->port)
        return false;
    if (strcasecmp(name, address->host) == 0)
        return true;
    if ((address->is_loopback || address->is_wildcard) &&
        (strcasecmp(name, "localhost") == 0 || strcmp(name, "127.0.0.1") == 0 || strcmp(name, "::1") == 0))
        return true;
    /* Nobody can make an address in figures lead elsewhere than it does. */
    return !address->is_loopback &&
           ((address->is_wildcard && is_address(name)) || strcasecmp(name, guard->machine) == 0);
}

bool serve_guard_origin(const struct serve_guard *guard, const char *origin)
{
    for (size_t i = 0; i < guard->n_origins; i++)
        if (strcmp(guard->origins[i], "*") == 0 || strcasecmp(guard->origins[i], origin) == 0)
            return true;
    return false;
}

static bool is_same(const char *given, const char *wanted)
{
    size_t n_given = strlen(given), n_wanted = strlen(wanted);
    unsigned char differs = n_given != n_wanted;
    for (size_t i = 0; i < n_given; i++)
        differs = (unsigned char)(differs | (given[i] ^ wanted[n_wanted ? i % n_wanted : 0]));
    return !differs;
}

bool serve_guard_key(const struct serve_guard *guard, const char *authorization, const char *key)
{
    if (!guard->api_key)
        return true;
    if (authorization && strncasecmp(authorization, "Bearer ", 7) == 0 && is_same(authorization + 7, guard->api_key))
        return true;
    return key && is_same(key, guard->api_key);
}
