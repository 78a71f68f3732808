/* gguf_value: typed reads of a GGUF file's values; see gguf.h. */
#include "engine/gguf.h"

#include <float.h>
#include <math.h>
#include <string.h>

/* An integer of any width: magnitude, and whether it is negative. */
struct integer {
    uint64_t magnitude;
    bool is_negative;
};

static uint64_t load_little(const char *bytes, size_t size)
{
    uint64_t value = 0;
    for (size_t i = 0; i < size; i++)
        value |= (uint64_t)(unsigned char)bytes[i] << (8 * i);
    return value;
}

/* Element i; false where the value holds no integers or ends before i. */
static bool integer_at(const struct gguf_value *value, uint64_t i, struct integer *out)
{
    static const struct {
        unsigned char size;
        bool is_signed;
    } kinds[] = {
        [GGUF_U8] = {1, false},  [GGUF_I8] = {1, true},  [GGUF_U16] = {2, false}, [GGUF_I16] = {2, true},
        [GGUF_U32] = {4, false}, [GGUF_I32] = {4, true}, [GGUF_U64] = {8, false}, [GGUF_I64] = {8, true},
    };
    size_t kind = (size_t)value->type;
    if (kind >= sizeof kinds / sizeof *kinds || !kinds[kind].size || i >= value->data.size / kinds[kind].size)
        return false;
    size_t size = kinds[kind].size;
    uint64_t bits = load_little(value->data.data + i * size, size), sign = (uint64_t)1 << (8 * size - 1);
    out->is_negative = kinds[kind].is_signed && (bits & sign);
    out->magnitude = out->is_negative ? sign - (bits & (sign - 1)) : bits;
    return true;
}

static bool float_at(const struct gguf_value *value, uint64_t i, float *out)
{
    if (value->type == GGUF_F32 && i < value->data.size / 4) {
        uint32_t bits = (uint32_t)load_little(value->data.data + 4 * i, 4);
        memcpy(out, &bits, sizeof bits);
        return true;
    }
    if (value->type != GGUF_F64 || i >= value->data.size / 8)
        return false;
    uint64_t bits = load_little(value->data.data + 8 * i, 8);
    double wide;
    memcpy(&wide, &bits, sizeof bits);
    if (isfinite(wide) && fabs(wide) > (double)FLT_MAX)
        return false;
    *out = (float)wide;
    return true;
}

/* ---- by key ---- */

static enum status find_scalar(const struct gguf *gguf, const char *key, const struct gguf_value **out,
                               struct error *error)
{
    const struct gguf_value *value = gguf_find_key(gguf, key);
    if (!value)
        return error_set(error, STATUS_NOT_FOUND, "key '%s' is missing", key);
    if (value->is_array)
        return error_set(error, STATUS_FORMAT, "key '%s' is an array, not a single value", key);
    *out = value;
    return STATUS_OK;
}

static enum status read_integer(const struct gguf *gguf, const char *key, struct integer *out, struct error *error)
{
    const struct gguf_value *value = NULL;
    enum status status = find_scalar(gguf, key, &value, error);
    if (status == STATUS_OK && !integer_at(value, 0, out))
        return error_set(error, STATUS_FORMAT, "key '%s' is not an integer", key);
    return status;
}

static enum status out_of_range(const char *key, struct error *error)
{
    return error_set(error, STATUS_FORMAT, "key '%s' is out of range", key);
}

enum status gguf_read_u64(const struct gguf *gguf, const char *key, uint64_t *out, struct error *error)
{
    struct integer integer = {0};
    enum status status = read_integer(gguf, key, &integer, error);
    if (status != STATUS_OK)
        return status;
    if (integer.is_negative)
        return out_of_range(key, error);
    *out = integer.magnitude;
    return STATUS_OK;
}

enum status gguf_read_u32(const struct gguf *gguf, const char *key, uint32_t *out, struct error *error)
{
    uint64_t wide = 0;
    enum status status = gguf_read_u64(gguf, key, &wide, error);
    if (status != STATUS_OK)
        return status;
    if (wide > UINT32_MAX)
        return out_of_range(key, error);
    *out = (uint32_t)wide;
    return STATUS_OK;
}

enum status gguf_read_i32(const struct gguf *gguf, const char *key, int32_t *out, struct error *error)
{
    struct integer integer = {0};
    enum status status = read_integer(gguf, key, &integer, error);
    if (status != STATUS_OK)
        return status;
    if (integer.magnitude > (uint64_t)INT32_MAX + (integer.is_negative ? 1 : 0))
        return out_of_range(key, error);
    int64_t wide = (int64_t)integer.magnitude;
    *out = (int32_t)(integer.is_negative ? -wide : wide);
    return STATUS_OK;
}

enum status gguf_read_f32(const struct gguf *gguf, const char *key, float *out, struct error *error)
{
    const struct gguf_value *value = NULL;
    enum status status = find_scalar(gguf, key, &value, error);
    if (status != STATUS_OK)
        return status;
    if (value->type != GGUF_F32 && value->type != GGUF_F64)
        return error_set(error, STATUS_FORMAT, "key '%s' is not a floating-point number", key);
    return float_at(value, 0, out) ? STATUS_OK : out_of_range(key, error);
}

enum status gguf_read_bool(const struct gguf *gguf, const char *key, bool *out, struct error *error)
{
    const struct gguf_value *value = NULL;
    enum status status = find_scalar(gguf, key, &value, error);
    if (status != STATUS_OK)
        return status;
    if (value->type != GGUF_BOOL || (unsigned char)value->data.data[0] > 1)
        return error_set(error, STATUS_FORMAT, "key '%s' is not true or false", key);
    *out = value->data.data[0] == 1;
    return STATUS_OK;
}

enum status gguf_read_text(const struct gguf *gguf, const char *key, struct slice *out, struct error *error)
{
    const struct gguf_value *value = NULL;
    enum status status = find_scalar(gguf, key, &value, error);
    if (status != STATUS_OK)
        return status;
    if (value->type != GGUF_STRING)
        return error_set(error, STATUS_FORMAT, "key '%s' is not a string", key);
    *out = value->data;
    return STATUS_OK;
}

/* ---- elements ---- */

bool gguf_array_u64(const struct gguf_value *value, uint64_t i, uint64_t *out)
{
    struct integer integer = {0};
    if (!integer_at(value, i, &integer) || integer.is_negative)
        return false;
    *out = integer.magnitude;
    return true;
}

bool gguf_array_i64(const struct gguf_value *value, uint64_t i, int64_t *out)
{
    struct integer integer = {0};
    if (!integer_at(value, i, &integer))
        return false;
    if (!integer.is_negative && integer.magnitude > INT64_MAX)
        return false;
    /* Written so that INT64_MIN doesn't overflow on its way. */
    *out = integer.is_negative ? -(int64_t)(integer.magnitude - 1) - 1 : (int64_t)integer.magnitude;
    return true;
}

bool gguf_array_f32(const struct gguf_value *value, uint64_t i, float *out)
{
    return float_at(value, i, out);
}

bool gguf_array_next_text(const struct gguf_value *value, size_t *position, struct slice *out)
{
    /* The lengths were checked at open, but lie in a file that somebody may have changed since: checked again. */
    size_t size = value->data.size;
    if (value->type != GGUF_STRING || !value->is_array || *position > size || size - *position < 8)
        return false;
    uint64_t length = load_little(value->data.data + *position, 8);
    if (length > size - *position - 8)
        return false;
    *out = (struct slice){value->data.data + *position + 8, (size_t)length};
    *position += 8 + (size_t)length;
    return true;
}
