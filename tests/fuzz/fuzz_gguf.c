/* fuzz_gguf: whatever bytes are opened as a GGUF file, what is accepted keeps the promises of gguf.h.
 *
 * The input is copied into memory of exactly its size, so that any read beyond it is seen.
 * With FATHOM_PLANT_BUG the reader of tensor data has the usual off-by-one, but only for tensors whose name holds an
 * upper-case letter, which none in the seeds does.  The fuzzer must find it. */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "engine/gguf.h"

static void require(bool condition)
{
    if (!condition)
        abort();
}

static bool lies_inside(const void *data, uint64_t size, const char *file, size_t file_size)
{
    uintptr_t begin = (uintptr_t)file, at = (uintptr_t)data;
    return size == 0 || (at >= begin && at - begin <= file_size && size <= file_size - (at - begin));
}

/* A terminated copy, or NULL where the name holds a NUL. */
static char *terminated(struct slice name)
{
    if (name.size && memchr(name.data, 0, name.size))
        return NULL;
    char *copy = calloc(name.size + 1, 1);
    require(copy != NULL);
    if (name.size)
        memcpy(copy, name.data, name.size);
    return copy;
}

static void check_array(const struct gguf_value *value)
{
    uint64_t u;
    int64_t i;
    float f;
    struct slice text;
    size_t position = 0;
    uint64_t n = 0;
    while (gguf_array_next_text(value, &position, &text))
        n++;
    if (value->is_array && value->type == GGUF_STRING)
        require(n == value->n && position == value->data.size);
    else
        require(n == 0);
    uint64_t places[] = {0, value->n / 2, value->n - 1};
    for (size_t k = 0; value->n && k < 3; k++) {
        bool is_unsigned = gguf_array_u64(value, places[k], &u), is_signed = gguf_array_i64(value, places[k], &i);
        require(!is_unsigned || !is_signed || (uint64_t)i == u);
        require(!(is_unsigned || is_signed) || !gguf_array_f32(value, places[k], &f));
    }
    require(!gguf_array_u64(value, value->n, &u) && !gguf_array_i64(value, value->n, &i));
    require(!gguf_array_f32(value, value->n, &f) && !gguf_array_f32(value, UINT64_MAX, &f));
}

static void check_key(const struct gguf *gguf, size_t at, const char *file, size_t size)
{
    struct slice name;
    const struct gguf_value *value = gguf_value_at(gguf, at, &name);
    require(lies_inside(name.data, name.size, file, size) && name.size > 0);
    require(lies_inside(value->data.data, value->data.size, file, size));
    require(value->type != GGUF_ARRAY && value->type <= GGUF_F64);
    check_array(value);
    char *key = terminated(name);
    if (!key)
        return;
    require(gguf_find_key(gguf, key) == value);
    struct error error;
    struct slice text;
    uint64_t u64 = 0;
    uint32_t u32;
    int32_t i32;
    float f32;
    bool truth;
    int n = 0;
    n += gguf_read_text(gguf, key, &text, &error) == STATUS_OK;
    n += gguf_read_bool(gguf, key, &truth, &error) == STATUS_OK;
    n += gguf_read_f32(gguf, key, &f32, &error) == STATUS_OK;
    bool fits = gguf_read_u64(gguf, key, &u64, &error) == STATUS_OK;
    n += fits;
    require(n <= (value->is_array ? 0 : 1));
    require((gguf_read_u32(gguf, key, &u32, &error) == STATUS_OK) == (fits && u64 <= UINT32_MAX));
    require(gguf_read_i32(gguf, key, &i32, &error) != STATUS_OK || i32 < 0 || (fits && u64 == (uint64_t)i32));
    free(key);
}

/* Reads every byte, as a kernel would. */
static unsigned touch(const struct gguf_tensor *tensor)
{
    size_t n = tensor->n_bytes;
#ifdef FATHOM_PLANT_BUG
    bool has_capital = false;
    for (size_t i = 0; i < tensor->name.size; i++)
        has_capital |= tensor->name.data[i] >= 'A' && tensor->name.data[i] <= 'Z';
    n += has_capital;
#endif
    unsigned sum = 0;
    for (size_t i = 0; i < n; i++)
        sum += ((const volatile unsigned char *)tensor->data)[i];
    return sum;
}

static void check_tensor(const struct gguf *gguf, size_t at, const char *file, size_t size)
{
    const struct gguf_tensor *tensor = gguf_tensor_at(gguf, at);
    const struct quant_info *info = quant_info(tensor->type);
    require(info != NULL && tensor->n_bytes > 0);
    require(lies_inside(tensor->name.data, tensor->name.size, file, size) && tensor->name.size > 0);
    require(lies_inside(tensor->data, tensor->n_bytes, file, size));
    uint64_t n = 1;
    for (int i = 0; i < GGUF_MAX_DIMS; i++)
        require(tensor->shape[i] > 0 && checked_mul(n, tensor->shape[i], &n));
    require(n == tensor->n_elements && tensor->shape[0] % info->block_elements == 0);
    require(n / info->block_elements * info->block_bytes == tensor->n_bytes);
    touch(tensor);
    if (info->unpack && tensor->shape[0] <= 4096) {
        float *row = malloc((size_t)tensor->shape[0] * sizeof *row);
        require(row != NULL);
        info->unpack(tensor->data, row, (size_t)tensor->shape[0]);
        free(row);
    }
    char *name = terminated(tensor->name);
    require(!name || gguf_find_tensor(gguf, name) == tensor);
    free(name);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    char *file = malloc(size ? size : 1);
    require(file != NULL);
    if (size)
        memcpy(file, data, size);
    struct gguf *gguf = NULL;
    struct error error = {0};
    enum status status = gguf_open_memory(file, size, &gguf, &error);
    if (status == STATUS_OK) {
        for (size_t i = 0; i < gguf_n_keys(gguf); i++)
            check_key(gguf, i, file, size);
        for (size_t i = 0; i < gguf_n_tensors(gguf); i++)
            check_tensor(gguf, i, file, size);
        require(gguf_n_bytes(gguf) == size && !gguf_is_broken(gguf));
    } else {
        require(gguf == NULL && error.status == status && error.text[0] != 0);
        for (const char *c = error.text; *c; c++)
            require((unsigned char)*c >= 0x20 && (unsigned char)*c < 0x7f);
    }
    gguf_close(gguf);
    free(file);
    return 0;
}
