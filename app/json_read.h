/* json_read: JSON that came from outside, read strictly and within limits.
 *
 * The text is checked as a whole before anything is made of it: RFC 8259 and nothing more lenient, valid UTF-8, no NUL (not
 * even escaped: texts go on as C strings), no lone surrogates, no number beyond a double, no key twice in an object, and
 * limits on depth and on the number of values, so that a small text can't become a large tree.  Then cJSON reads it. */
#ifndef FATHOM_APP_JSON_READ_H
#define FATHOM_APP_JSON_READ_H

#include <cjson/cJSON.h>

#include "engine/base.h"

enum { JSON_MAX_DEPTH = 64, JSON_MAX_VALUES = 1 << 18 };

/* STATUS_FORMAT says what is wrong and at which byte; STATUS_RANGE for what exceeds a limit; STATUS_MEMORY.  Free the tree
 * with cJSON_Delete. */
enum status json_read(const char *text, size_t size, cJSON **out, struct error *error);

/* ---- fields of an object ----
 * What is absent or null leaves *out as it is.  STATUS_ARGUMENT names the key, and what it takes. */

const cJSON *json_field(const cJSON *object, const char *key); /* NULL where absent or null */
enum status json_get_text(const cJSON *object, const char *key, const char **out, struct error *error); /* borrowed */
enum status json_get_flag(const cJSON *object, const char *key, bool *out, struct error *error);
enum status json_get_integer(const cJSON *object, const char *key, int64_t minimum, int64_t maximum, int64_t *out,
                             struct error *error);
enum status json_get_real(const cJSON *object, const char *key, double minimum, double maximum, double *out,
                          struct error *error);
enum status json_get_array(const cJSON *object, const char *key, const cJSON **out, struct error *error);
enum status json_get_object(const cJSON *object, const char *key, const cJSON **out, struct error *error);

#endif
