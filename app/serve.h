/* serve: the server, put together.
 *
 *   connections ──► HTTP thread (serve_http, serve_guard) ──► desk thread (serve_desk, serve_openai) ──► engine thread
 *        ▲                │  /health /slots /metrics at once                                  (serve_engine, serve_slot)
 *        └────────────────┴────────────────────────── serve_job ◄── serve_answer, serve_calls ◄──┘
 *
 * The HTTP thread never waits for anybody: it reads requests, answers what only needs a look, and passes answers on as fast as
 * each connection takes them.  The desk reads JSON and turns text into tokens.  The engine thread has the model.  What they
 * exchange is jobs. */
#ifndef FATHOM_APP_SERVE_H
#define FATHOM_APP_SERVE_H

#include "app/command.h"
#include "app/serve_engine.h"
#include "app/serve_guard.h"
#include "app/serve_job.h"

struct serve_desk;
struct serve_http;
struct serve_context;

struct serve {
    const struct command_context *context;
    struct engine *engine;
    struct serve_engine *slots;
    struct serve_desk *desk;
    struct serve_http *http;
    struct serve_context *repository; /* NULL: none */
    struct serve_guard guard;
    int32_t n_ctx; /* of a slot */
    uint64_t began;
    struct buffer openapi;                      /* the description that /openapi.json gives */
    atomic_uint_fast64_t n_requests, n_refused; /* that came over HTTP; of them those that the guard refused */
};

/* ---- routes ---- */

enum serve_needs {
    SERVE_OPEN = 1,     /* no key is asked for */
    SERVE_OF_MODEL = 2, /* the path goes on with the model's name */
};

struct serve_route {
    const char *method, *path;
    unsigned flags;
    /* GET: appends the answer at once, on the HTTP thread. */
    void (*show)(struct serve *serve, struct buffer *out);
    const char *content_type; /* of what show gives */
    /* POST, on the desk's thread: either ends the job, or fills its task and sets *for_engine. */
    enum status (*read)(struct serve *serve, const struct cJSON *body, struct serve_job *job, bool *for_engine,
                        struct error *error);
    /* POST that answers 501 whatever is asked: why. */
    const char *unsupported;
};

/* Finds the row; where the path is known but not with this method, *allowed names those that are. */
const struct serve_route *serve_route_find(const char *method, const char *path, const char **allowed);

/* ---- what routes do: serve_openai.c, serve_infill.c, serve_text.c, serve_status.c ---- */

enum status serve_read_chat(struct serve *serve, const struct cJSON *body, struct serve_job *job, bool *for_engine,
                            struct error *error);
enum status serve_read_template(struct serve *serve, const struct cJSON *body, struct serve_job *job, bool *for_engine,
                                struct error *error);
enum status serve_read_completion(struct serve *serve, const struct cJSON *body, struct serve_job *job,
                                  bool *for_engine, struct error *error);
enum status serve_read_tokenize(struct serve *serve, const struct cJSON *body, struct serve_job *job, bool *for_engine,
                                struct error *error);
enum status serve_read_detokenize(struct serve *serve, const struct cJSON *body, struct serve_job *job,
                                  bool *for_engine, struct error *error);
void serve_show_health(struct serve *serve, struct buffer *out);
void serve_show_props(struct serve *serve, struct buffer *out);
void serve_show_slots(struct serve *serve, struct buffer *out);
void serve_show_metrics(struct serve *serve, struct buffer *out);
void serve_show_models(struct serve *serve, struct buffer *out);
void serve_show_model(struct serve *serve, struct buffer *out);
void serve_show_openapi(struct serve *serve, struct buffer *out);

#endif
