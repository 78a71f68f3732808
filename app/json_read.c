/* json_read: see json_read.h. */
#include "app/json_read.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

/* ---- the text ---- */

struct scan {
    const unsigned char *text;
    size_t size, at;
    uint64_t is_object; /* a bit for each level that is open: object, or array */
    unsigned depth;
    size_t n_values;
    struct error *error;
};

enum { NUMBER_MAX = 60 }; /* what cJSON takes as one */

static enum status malformed(const struct scan *scan, const char *what)
{
    return error_set(scan->error, STATUS_FORMAT, "the JSON is malformed at byte %zu: %s", scan->at, what);
}

static int peek(const struct scan *scan)
{
    return scan->at < scan->size ? scan->text[scan->at] : -1;
}

static void skip_space(struct scan *scan)
{
    while (scan->at < scan->size && memchr(" \t\r\n", scan->text[scan->at], 4))
        scan->at++;
}

/* The four digits behind \u; -1 where they are none. */
static int32_t scan_hex(struct scan *scan)
{
    int32_t value = 0;
    if (scan->size - scan->at < 4)
        return -1;
    for (int i = 0; i < 4; i++) {
        int c = scan->text[scan->at + (size_t)i];
        int digit = c >= '0' && c <= '9'   ? c - '0'
                    : c >= 'a' && c <= 'f' ? c - 'a' + 10
                    : c >= 'A' && c <= 'F' ? c - 'A' + 10
                                           : -1;
        if (digit < 0)
            return -1;
        value = value * 16 + digit;
    }
    scan->at += 4;
    return value;
}

/* Behind a backslash. */
static enum status scan_escape(struct scan *scan)
{
    int c = peek(scan);
    if (c != 'u') {
        if (c < 0 || !memchr("\"\\/bfnrt", c, 8))
            return malformed(scan, "an unknown escape");
        scan->at++;
        return STATUS_OK;
    }
    scan->at++;
    int32_t unit = scan_hex(scan);
    if (unit < 0)
        return malformed(scan, "four hexadecimal digits are expected");
    if (unit == 0)
        return malformed(scan, "a NUL in a text");
    if (unit >= 0xdc00 && unit <= 0xdfff)
        return malformed(scan, "a lone surrogate");
    if (unit >= 0xd800 && unit <= 0xdbff) {
        if (scan->size - scan->at < 6 || scan->text[scan->at] != '\\' || scan->text[scan->at + 1] != 'u')
            return malformed(scan, "a lone surrogate");
        scan->at += 2;
        unit = scan_hex(scan);
        if (unit < 0xdc00 || unit > 0xdfff)
            return malformed(scan, "a lone surrogate");
    }
    return STATUS_OK;
}

static enum status scan_text(struct scan *scan)
{
    if (peek(scan) != '"')
        return malformed(scan, "a text is expected");
    scan->at++;
    while (scan->at < scan->size) {
        int c = scan->text[scan->at];
        uint32_t code_point;
        if (c == '"') {
            scan->at++;
            return STATUS_OK;
        }
        if (c < 0x20)
            return malformed(scan, "a control character in a text");
        if (c == '\\') {
            scan->at++;
            enum status status = scan_escape(scan);
            if (status != STATUS_OK)
                return status;
        } else if (c < 0x80) {
            scan->at++;
        } else {
            int length = utf8_decode((const char *)scan->text + scan->at, scan->size - scan->at, &code_point);
            if (length <= 0)
                return malformed(scan, "this is not UTF-8");
            scan->at += (size_t)length;
        }
    }
    return malformed(scan, "a text has no end");
}

static size_t scan_digits(struct scan *scan)
{
    size_t begin = scan->at;
    while (scan->at < scan->size && scan->text[scan->at] >= '0' && scan->text[scan->at] <= '9')
        scan->at++;
    return scan->at - begin;
}

static enum status scan_number(struct scan *scan)
{
    size_t begin = scan->at;
    char copy[NUMBER_MAX + 1];
    if (peek(scan) == '-')
        scan->at++;
    bool is_zero = peek(scan) == '0';
    size_t n = scan_digits(scan);
    if (n == 0 || (is_zero && n > 1))
        return malformed(scan, "a value is expected");
    if (peek(scan) == '.') {
        scan->at++;
        if (scan_digits(scan) == 0)
            return malformed(scan, "a digit is expected");
    }
    if (peek(scan) == 'e' || peek(scan) == 'E') {
        scan->at++;
        if (peek(scan) == '+' || peek(scan) == '-')
            scan->at++;
        if (scan_digits(scan) == 0)
            return malformed(scan, "a digit is expected");
    }
    n = scan->at - begin;
    if (n > NUMBER_MAX)
        return error_set(scan->error, STATUS_RANGE, "a number of %zu characters at byte %zu: at most %d", n, begin,
                         (int)NUMBER_MAX);
    memcpy(copy, scan->text + begin, n);
    copy[n] = 0;
    if (!isfinite(strtod(copy, NULL)))
        return error_set(scan->error, STATUS_RANGE, "the number %s at byte %zu is too large", copy, begin);
    return STATUS_OK;
}

static enum status scan_word(struct scan *scan, const char *word)
{
    size_t n = strlen(word);
    if (scan->size - scan->at < n || memcmp(scan->text + scan->at, word, n) != 0)
        return malformed(scan, "a value is expected");
    scan->at += n;
    return STATUS_OK;
}

static bool is_in_object(const struct scan *scan)
{
    return scan->is_object >> (scan->depth - 1) & 1;
}

/* A key and the colon behind it. */
static enum status scan_key(struct scan *scan)
{
    enum status status = scan_text(scan);
    if (status != STATUS_OK)
        return status;
    skip_space(scan);
    if (peek(scan) != ':')
        return malformed(scan, "a colon is expected");
    scan->at++;
    skip_space(scan);
    return STATUS_OK;
}

/* What begins here.  *is_open: an object or array that has something in it, whose first value comes next. */
static enum status scan_value(struct scan *scan, bool *is_open)
{
    int c = peek(scan);
    *is_open = false;
    if (++scan->n_values > JSON_MAX_VALUES)
        return error_set(scan->error, STATUS_RANGE, "more than %d values in the JSON", (int)JSON_MAX_VALUES);
    if (c == '"')
        return scan_text(scan);
    if (c == 't' || c == 'f' || c == 'n')
        return scan_word(scan, c == 't' ? "true" : c == 'f' ? "false" : "null");
    if (c != '{' && c != '[')
        return scan_number(scan);
    if (scan->depth == JSON_MAX_DEPTH)
        return error_set(scan->error, STATUS_RANGE, "the JSON is nested deeper than %d levels", (int)JSON_MAX_DEPTH);
    scan->at++;
    skip_space(scan);
    if (peek(scan) == (c == '{' ? '}' : ']')) {
        scan->at++;
        return STATUS_OK;
    }
    scan->is_object = (scan->is_object & ~((uint64_t)1 << scan->depth)) | (uint64_t)(c == '{') << scan->depth;
    scan->depth++;
    *is_open = true;
    return c == '{' ? scan_key(scan) : STATUS_OK;
}

/* Behind a value: closes what ends here.  *goes_on: another value comes. */
static enum status scan_after(struct scan *scan, bool *goes_on)
{
    *goes_on = false;
    while (scan->depth) {
        skip_space(scan);
        int c = peek(scan);
        if (c == ',') {
            scan->at++;
            skip_space(scan);
            *goes_on = true;
            return is_in_object(scan) ? scan_key(scan) : STATUS_OK;
        }
        if (c != (is_in_object(scan) ? '}' : ']'))
            return malformed(scan, "a comma or the end of a list is expected");
        scan->at++;
        scan->depth--;
    }
    return STATUS_OK;
}

static enum status scan_all(struct scan *scan)
{
    bool goes_on = true;
    skip_space(scan);
    while (goes_on) {
        bool is_open;
        enum status status = scan_value(scan, &is_open);
        if (status == STATUS_OK && !is_open)
            status = scan_after(scan, &goes_on);
        if (status != STATUS_OK)
            return status;
    }
    skip_space(scan);
    return scan->at == scan->size ? STATUS_OK : malformed(scan, "there is more behind the value");
}

/* ---- keys ---- */

static int compare_texts(const void *a, const void *b)
{
    return strcmp(*(const char *const *)a, *(const char *const *)b);
}

static enum status check_keys_of(const cJSON *object, struct error *error)
{
    size_t n = 0, i = 0;
    for (const cJSON *child = object->child; child; child = child->next)
        n++;
    if (n < 2)
        return STATUS_OK;
    const char **keys = calloc(n, sizeof *keys);
    if (!keys)
        return error_set(error, STATUS_MEMORY, "out of memory");
    for (const cJSON *child = object->child; child; child = child->next)
        keys[i++] = child->string;
    qsort(keys, n, sizeof *keys, compare_texts);
    enum status status = STATUS_OK;
    for (i = 1; i < n && status == STATUS_OK; i++)
        if (strcmp(keys[i - 1], keys[i]) == 0)
            status = error_set(error, STATUS_FORMAT, "the key \"%.60s\" stands twice in one object", keys[i]);
    free(keys);
    return status;
}

static enum status check_keys(const cJSON *root, struct error *error)
{
    const cJSON *path[JSON_MAX_DEPTH + 2] = {root};
    size_t depth = 1;
    while (depth) {
        const cJSON *node = path[depth - 1];
        if (!node) {
            depth--;
            if (depth)
                path[depth - 1] = depth == 1 ? NULL : path[depth - 1]->next;
            continue;
        }
        if (cJSON_IsObject(node)) {
            enum status status = check_keys_of(node, error);
            if (status != STATUS_OK)
                return status;
        }
        if (node->child && depth < sizeof path / sizeof *path)
            path[depth++] = node->child;
        else
            path[depth - 1] = depth == 1 ? NULL : node->next;
    }
    return STATUS_OK;
}

enum status json_read(const char *text, size_t size, cJSON **out, struct error *error)
{
    struct scan scan = {.text = (const unsigned char *)text, .size = size, .error = error};
    *out = NULL;
    enum status status = scan_all(&scan);
    if (status != STATUS_OK)
        return status;
    cJSON *root = cJSON_ParseWithLength(text, size);
    if (!root)
        return error_set(error, STATUS_MEMORY, "the JSON could not be read: out of memory");
    status = check_keys(root, error);
    if (status != STATUS_OK)
        cJSON_Delete(root);
    else
        *out = root;
    return status;
}

/* ---- fields ---- */

const cJSON *json_field(const cJSON *object, const char *key)
{
    const cJSON *node = cJSON_GetObjectItemCaseSensitive(object, key);
    return node && !cJSON_IsNull(node) ? node : NULL;
}

enum status json_get_text(const cJSON *object, const char *key, const char **out, struct error *error)
{
    const cJSON *node = json_field(object, key);
    if (node && !cJSON_IsString(node))
        return error_set(error, STATUS_ARGUMENT, "%s: must be a text", key);
    if (node)
        *out = node->valuestring;
    return STATUS_OK;
}

enum status json_get_flag(const cJSON *object, const char *key, bool *out, struct error *error)
{
    const cJSON *node = json_field(object, key);
    if (node && !cJSON_IsBool(node))
        return error_set(error, STATUS_ARGUMENT, "%s: must be true or false", key);
    if (node)
        *out = cJSON_IsTrue(node);
    return STATUS_OK;
}

enum status json_get_integer(const cJSON *object, const char *key, int64_t minimum, int64_t maximum, int64_t *out,
                             struct error *error)
{
    const cJSON *node = json_field(object, key);
    if (!node)
        return STATUS_OK;
    if (!cJSON_IsNumber(node) || node->valuedouble < (double)minimum || node->valuedouble > (double)maximum ||
        node->valuedouble != floor(node->valuedouble))
        return error_set(error, STATUS_ARGUMENT, "%s: must be an integer from %lld to %lld", key, (long long)minimum,
                         (long long)maximum);
    *out = (int64_t)node->valuedouble;
    return STATUS_OK;
}

enum status json_get_real(const cJSON *object, const char *key, double minimum, double maximum, double *out,
                          struct error *error)
{
    const cJSON *node = json_field(object, key);
    if (!node)
        return STATUS_OK;
    if (!cJSON_IsNumber(node) || node->valuedouble < minimum || node->valuedouble > maximum)
        return error_set(error, STATUS_ARGUMENT, "%s: must be a number from %g to %g", key, minimum, maximum);
    *out = node->valuedouble;
    return STATUS_OK;
}

enum status json_get_array(const cJSON *object, const char *key, const cJSON **out, struct error *error)
{
    const cJSON *node = json_field(object, key);
    if (node && !cJSON_IsArray(node))
        return error_set(error, STATUS_ARGUMENT, "%s: must be a list", key);
    if (node)
        *out = node;
    return STATUS_OK;
}

enum status json_get_object(const cJSON *object, const char *key, const cJSON **out, struct error *error)
{
    const cJSON *node = json_field(object, key);
    if (node && !cJSON_IsObject(node))
        return error_set(error, STATUS_ARGUMENT, "%s: must be an object", key);
    if (node)
        *out = node;
    return STATUS_OK;
}
