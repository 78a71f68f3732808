/* serve_routes: the table of what the server answers to. */
#include <string.h>

#include "app/serve_infill.h"

#define JSON "application/json"

static const struct serve_route routes[] = {
    {"GET", "/health", SERVE_OPEN, .show = serve_show_health, .content_type = JSON},
    {"GET", "/props", 0, .show = serve_show_props, .content_type = JSON},
    {"GET", "/slots", 0, .show = serve_show_slots, .content_type = JSON},
    {"GET", "/metrics", 0, .show = serve_show_metrics, .content_type = "text/plain; version=0.0.4"},
    {"GET", "/openapi.json", 0, .show = serve_show_openapi, .content_type = JSON},
    {"GET", "/v1/models", 0, .show = serve_show_models, .content_type = JSON},
    {"GET", "/v1/models/", SERVE_OF_MODEL, .show = serve_show_model, .content_type = JSON},
    {"POST", "/infill", 0, .read = serve_read_infill},
    {"POST", "/v1/chat/completions", 0, .read = serve_read_chat},
    {"POST", "/v1/completions", 0, .read = serve_read_completion},
    {"POST", "/v1/embeddings", 0, .unsupported = "this server has no embeddings: its models answer"},
    {"POST", "/apply-template", 0, .read = serve_read_template},
    {"POST", "/tokenize", 0, .read = serve_read_tokenize},
    {"POST", "/detokenize", 0, .read = serve_read_detokenize},
};

const struct serve_route *serve_route_find(const char *method, const char *path, const char **allowed)
{
    *allowed = NULL;
    for (size_t i = 0; i < sizeof routes / sizeof *routes; i++) {
        bool is_prefix = routes[i].flags & SERVE_OF_MODEL;
        if (is_prefix ? strncmp(routes[i].path, path, strlen(routes[i].path)) != 0 : strcmp(routes[i].path, path) != 0)
            continue;
        bool is_get = strcmp(routes[i].method, "GET") == 0;
        *allowed = is_get ? "GET, HEAD" : "POST";
        if (strcmp(routes[i].method, method) == 0 || (is_get && strcmp(method, "HEAD") == 0))
            return &routes[i];
    }
    return NULL;
}
