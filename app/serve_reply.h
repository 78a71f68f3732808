/* serve_reply: answers as JSON and as events, in OpenAI's forms. */
#ifndef FATHOM_APP_SERVE_REPLY_H
#define FATHOM_APP_SERVE_REPLY_H

#include "app/serve_job.h"

/* The events of what is pending, which is taken out of the job, and of answers that ended. */
void serve_reply_events(struct serve_job *job, const char *model, struct buffer *out);
/* The last ones, after the job has ended. */
void serve_reply_last(struct serve_job *job, const char *model, struct buffer *out);
/* The whole, of a job that has ended. */
void serve_reply_whole(struct serve_job *job, const char *model, struct buffer *out);

/* {"error":{"code":400,"message":"...","type":"..."}} */
void serve_reply_error(int code, const char *type, const char *message, struct buffer *out);

#endif
