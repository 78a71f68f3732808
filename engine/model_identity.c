/* model_identity: see model_identity.h. */
#include "engine/model_identity.h"

#include "engine/checksum.h"
#include "engine/mapping.h"

enum { SAMPLE_BYTES = 256 };

void model_identity_add(struct model_identity *identity, const void *bytes, size_t size)
{
    for (size_t i = 0; i < 2; i++)
        identity->sums[i] = checksum_add(identity->sums[i], bytes, size);
}

static void add_number(struct model_identity *identity, uint64_t number)
{
    model_identity_add(identity, &number, sizeof number);
}

/* From the tensor's beginning and from its middle. */
static void add_samples(struct model_identity *identity, const struct gguf_tensor *tensor)
{
    size_t n = tensor->n_bytes < SAMPLE_BYTES ? tensor->n_bytes : SAMPLE_BYTES;
    model_identity_add(identity, tensor->data, n);
    model_identity_add(identity, tensor->data + (tensor->n_bytes - n) / 2, n);
}

struct model_identity model_identity_of(const struct gguf *gguf)
{
    struct model_identity identity = {{1, 2}};
    add_number(&identity, gguf_n_bytes(gguf));
    for (size_t i = 0; i < gguf_n_keys(gguf); i++) {
        struct slice key;
        const struct gguf_value *value = gguf_value_at(gguf, i, &key);
        model_identity_add(&identity, key.data, key.size);
        add_number(&identity, value->type);
        model_identity_add(&identity, value->data.data, value->data.size);
    }
    for (size_t i = 0; i < gguf_n_tensors(gguf); i++) {
        const struct gguf_tensor *tensor = gguf_tensor_at(gguf, i);
        model_identity_add(&identity, tensor->name.data, tensor->name.size);
        add_number(&identity, tensor->type);
        model_identity_add(&identity, tensor->shape, sizeof tensor->shape);
        add_samples(&identity, tensor);
    }
    return identity;
}

enum status model_identity_add_file(struct model_identity *identity, const char *path, struct error *error)
{
    struct mapping *mapping;
    enum status status = mapping_open(path, &mapping, error);
    if (status)
        return status;
    if (mapping_size(mapping))
        model_identity_add(identity, mapping_data(mapping), mapping_size(mapping));
    mapping_close(mapping);
    return STATUS_OK;
}
