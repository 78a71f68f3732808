/* model_mutant: see model_mutant.h. */
#include "tests/model_mutant.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "engine/gguf.h"
#include "tests/gguf_writer.h"
#include "tests/synth.h"

enum { MAX_KEYS = 128, MAX_TENSORS = 256, MAX_DIMS = 6, MAX_DATA = 1 << 16 };

/* ---- the script ---- */

struct script {
    const uint8_t *bytes;
    size_t size;
};

static uint8_t take_byte(struct script *script)
{
    if (script->size == 0)
        return 0;
    script->size--;
    return *script->bytes++;
}

static uint64_t take_bytes(struct script *script, size_t n)
{
    uint64_t value = 0;
    for (size_t i = 0; i < n; i++)
        value |= (uint64_t)take_byte(script) << (8 * i);
    return value;
}

/* An index below n, which is at most 65536. */
static size_t take_index(struct script *script, size_t n)
{
    uint64_t number = take_bytes(script, n > 256 ? 2 : 1);
    return n ? (size_t)(number % n) : 0;
}

/* A number that tends to break things, or any, or one near to the old. */
static uint64_t take_integer(struct script *script, uint64_t old)
{
    static const uint64_t usual[] = {
        0,
        1,
        2,
        3,
        4,
        5,
        7,
        8,
        9,
        15,
        16,
        17,
        24,
        31,
        32,
        33,
        48,
        63,
        64,
        65,
        127,
        128,
        129,
        255,
        256,
        257,
        1023,
        1024,
        4095,
        4096,
        4097,
        65535,
        65536,
        131071,
        131072,
        131073,
        1u << 24,
        1u << 28,
        INT32_MAX,
        1ull << 31,
        UINT32_MAX,
        1ull << 32,
        1ull << 52,
        1ull << 53,
        1ull << 62,
        INT64_MAX,
        1ull << 63,
        UINT64_MAX,
        UINT64_MAX - 1,
        UINT64_MAX / 2,
        UINT64_MAX / 4,
    };
    enum { N_USUAL = sizeof usual / sizeof *usual };
    uint8_t choice = take_byte(script);
    if (choice < 160)
        return usual[choice % N_USUAL];
    if (choice < 224) {
        uint64_t step = 1 + choice % 4;
        return choice < 192 ? old + step : old - step;
    }
    if (choice < 232)
        return choice % 2 ? old * 2 : old / 2;
    return take_bytes(script, 8);
}

static double take_real(struct script *script, double old)
{
    static const double usual[] = {
        0,   -0.0, 1,    -1,   0.5,  2,     1e-45, 1e-38, 1e-30,    1e-8,      1e-5, 1e5,
        1e7, 1e20, 1e30, 3e38, 1e39, 1e300, -1e30, NAN,   INFINITY, -INFINITY, 64,   1e-300,
    };
    enum { N_USUAL = sizeof usual / sizeof *usual };
    uint8_t choice = take_byte(script);
    if (choice < 192)
        return usual[choice % N_USUAL];
    if (choice < 224)
        return old * (choice - 191);
    uint64_t bits = take_bytes(script, 8);
    memcpy(&old, &bits, 8);
    return old;
}

/* ---- the parts of a file ---- */

struct part_key {
    struct slice name;
    uint32_t type;
    struct slice value; /* the file's bytes behind the type */
};

struct part_tensor {
    struct slice name;
    uint32_t n_dims, type;
    uint64_t dims[MAX_DIMS];
    bool has_offset; /* offset is to be written, wherever the data lies */
    uint64_t offset;
    struct slice data;
};

struct parts {
    struct part_key keys[MAX_KEYS];
    struct part_tensor tensors[MAX_TENSORS];
    size_t n_keys, n_tensors;
    uint32_t version, alignment;
    uint64_t n_keys_more, n_tensors_more; /* added to what the head says */
    uint32_t n_cut;                       /* of 65536 parts of the file so many are missing at its end */
    struct arena arena;                   /* what is not the first file's */
};

static struct slice keep(struct parts *parts, struct buffer *bytes)
{
    char *copy = arena_copy_text(&parts->arena, buffer_text(bytes), bytes->size);
    struct slice kept = {copy, copy ? bytes->size : 0};
    buffer_deinit(bytes);
    return kept;
}

static struct slice keep_number(struct parts *parts, uint64_t bits, size_t size)
{
    struct buffer bytes = {0};
    for (size_t i = 0; i < size; i++)
        buffer_append_byte(&bytes, (char)(unsigned char)(bits >> (8 * i)));
    return keep(parts, &bytes);
}

static struct slice keep_text(struct parts *parts, struct slice text)
{
    struct buffer bytes = {0};
    gguf_append_text(&bytes, text);
    return keep(parts, &bytes);
}

static void read_key(struct parts *parts, const struct gguf *gguf, size_t i)
{
    struct part_key *key = &parts->keys[parts->n_keys++];
    const struct gguf_value *value = gguf_value_at(gguf, i, &key->name);
    key->type = value->type;
    key->value = value->data;
    if (value->is_array) {
        struct buffer bytes = {0};
        gguf_append_u32(&bytes, value->type);
        gguf_append_u64(&bytes, value->n);
        buffer_append(&bytes, value->data.data, value->data.size);
        key->type = GGUF_ARRAY;
        key->value = keep(parts, &bytes);
    } else if (value->type == GGUF_STRING) {
        key->value = keep_text(parts, value->data);
    }
}

static void read_tensor(struct parts *parts, const struct gguf *gguf, size_t i)
{
    const struct gguf_tensor *tensor = gguf_tensor_at(gguf, i);
    struct part_tensor *part = &parts->tensors[parts->n_tensors++];
    *part = (struct part_tensor){
        .name = tensor->name, .type = tensor->type, .n_dims = 1, .data = {(const char *)tensor->data, tensor->n_bytes}};
    for (uint32_t k = 0; k < MAX_DIMS; k++) {
        part->dims[k] = k < GGUF_MAX_DIMS ? tensor->shape[k] : 1;
        if (part->dims[k] > 1)
            part->n_dims = k + 1;
    }
}

static void read_parts(struct parts *parts, const struct gguf *gguf)
{
    for (size_t i = 0; i < gguf_n_keys(gguf) && i < MAX_KEYS; i++)
        read_key(parts, gguf, i);
    for (size_t i = 0; i < gguf_n_tensors(gguf) && i < MAX_TENSORS; i++)
        read_tensor(parts, gguf, i);
}

/* ---- steps on keys ---- */

static size_t number_size(uint32_t type)
{
    static const unsigned char sizes[] = {
        [GGUF_U8] = 1,  [GGUF_I8] = 1,   [GGUF_U16] = 2, [GGUF_I16] = 2, [GGUF_U32] = 4, [GGUF_I32] = 4,
        [GGUF_F32] = 4, [GGUF_BOOL] = 1, [GGUF_U64] = 8, [GGUF_I64] = 8, [GGUF_F64] = 8,
    };
    return type < sizeof sizes ? sizes[type] : 0;
}

static uint64_t bits_of(const struct part_key *key)
{
    uint64_t bits = 0;
    size_t size = key->value.size < 8 ? key->value.size : 8;
    for (size_t i = 0; i < size; i++)
        bits |= (uint64_t)(unsigned char)key->value.data[i] << (8 * i);
    return bits;
}

static struct slice take_number(struct parts *parts, struct script *script, uint32_t type, uint64_t old)
{
    float single;
    double real;
    uint32_t bits = (uint32_t)old;
    switch (type) {
    case GGUF_F32:
        memcpy(&single, &bits, 4);
        single = (float)take_real(script, (double)single);
        memcpy(&bits, &single, 4);
        return keep_number(parts, bits, 4);
    case GGUF_F64:
        memcpy(&real, &old, 8);
        real = take_real(script, real);
        memcpy(&old, &real, 8);
        return keep_number(parts, old, 8);
    default:
        return keep_number(parts, take_integer(script, old), number_size(type));
    }
}

/* One of the words that values of the format are, or a piece of the old text. */
static struct slice take_text(struct parts *parts, struct script *script, struct slice old)
{
    static const char *const words[] = {
        "",     "llama",   "qwen2",    "qwen3",     "qwen3moe",  "deepseek2",      "starcoder2",   "gpt2",
        "spm",  "default", "yarn",     "linear",    "none",      "longrope",       "deepseek-llm", "deepseek-v3",
        "%s%n", "\033[2J", "\xff\xfe", "llama-bpe", "starcoder", "deepseek-coder",
    };
    enum { N_WORDS = sizeof words / sizeof *words };
    uint8_t choice = take_byte(script);
    if (choice < 192)
        return keep_text(parts, slice_from(words[choice % N_WORDS]));
    old.size = old.size > 8 ? (old.size - 8) * (choice - 192u) / 64 : 0;
    return keep_text(parts, (struct slice){old.data ? old.data + 8 : "", old.size});
}

/* Arrays: another count, another type of elements, bytes missing at the end, or a number within them. */
static void change_array(struct parts *parts, struct script *script, struct part_key *key)
{
    struct buffer bytes = {0};
    buffer_append(&bytes, key->value.data, key->value.size);
    uint8_t choice = take_byte(script) % 4;
    if (bytes.size >= 12 && !bytes.failed) {
        uint64_t n;
        memcpy(&n, bytes.data + 4, 8);
        if (choice == 0) {
            n = take_integer(script, n);
            memcpy(bytes.data + 4, &n, 8);
        } else if (choice == 1) {
            bytes.data[0] = (char)(take_byte(script) % 16);
        } else if (choice == 2) {
            bytes.size = 12 + (bytes.size - 12) * take_byte(script) / 256;
        } else if (bytes.size > 20) {
            size_t at = 12 + (size_t)(take_bytes(script, 2) % (bytes.size - 19));
            n = take_integer(script, 0);
            memcpy(bytes.data + at, &n, 8);
        }
    }
    key->value = keep(parts, &bytes);
}

static void change_value(struct parts *parts, struct script *script, struct part_key *key)
{
    if (key->type == GGUF_ARRAY)
        change_array(parts, script, key);
    else if (key->type == GGUF_STRING)
        key->value = take_text(parts, script, key->value);
    else
        key->value = take_number(parts, script, key->type, bits_of(key));
}

/* Another type: half of the time with the same number, where it is one. */
static void change_key_type(struct parts *parts, struct script *script, struct part_key *key)
{
    uint8_t choice = take_byte(script);
    uint64_t old = bits_of(key);
    key->type = choice % 16;
    if (key->type == GGUF_STRING) {
        key->value = take_text(parts, script, key->value);
    } else if (key->type == GGUF_ARRAY) {
        struct buffer bytes = {0};
        gguf_append_u32(&bytes, choice < 128 ? GGUF_U32 : GGUF_F32);
        gguf_append_u64(&bytes, choice % 8);
        for (int i = 0; i < choice % 8; i++)
            gguf_append_u32(&bytes, (uint32_t)take_integer(script, old));
        key->value = keep(parts, &bytes);
    } else {
        key->value =
            choice < 128 ? keep_number(parts, old, number_size(key->type)) : take_number(parts, script, key->type, old);
    }
}

static struct part_key *add_key(struct parts *parts)
{
    return parts->n_keys < MAX_KEYS ? &parts->keys[parts->n_keys++] : &parts->keys[0];
}

/* Keys that a model of another family or size has. */
static void add_known_key(struct parts *parts, struct script *script)
{
    static const struct {
        const char *name;
        uint32_t type;
    } known[] = {
        {"general.alignment", GGUF_U32},
        {"split.count", GGUF_U16},
        {"split.no", GGUF_U16},
        {"split.tensors.count", GGUF_I32},
        {"ARCH.attention.key_length", GGUF_U32},
        {"ARCH.attention.value_length", GGUF_U32},
        {"ARCH.attention.key_length_mla", GGUF_U32},
        {"ARCH.attention.value_length_mla", GGUF_U32},
        {"ARCH.attention.sliding_window", GGUF_U32},
        {"ARCH.attention.q_lora_rank", GGUF_U32},
        {"ARCH.rope.dimension_count", GGUF_U32},
        {"ARCH.rope.scaling.type", GGUF_STRING},
        {"ARCH.rope.scaling.factor", GGUF_F32},
        {"ARCH.rope.scale_linear", GGUF_F32},
        {"ARCH.rope.scaling.original_context_length", GGUF_U32},
        {"ARCH.rope.scaling.attn_factor", GGUF_F32},
        {"ARCH.rope.scaling.yarn_beta_fast", GGUF_F32},
        {"ARCH.rope.scaling.yarn_beta_slow", GGUF_F32},
        {"ARCH.rope.scaling.yarn_log_multiplier", GGUF_F32},
        {"ARCH.expert_count", GGUF_U32},
        {"ARCH.expert_used_count", GGUF_U32},
        {"ARCH.expert_shared_count", GGUF_U32},
        {"ARCH.expert_group_count", GGUF_U32},
        {"ARCH.expert_group_used_count", GGUF_U32},
        {"ARCH.expert_gating_func", GGUF_U32},
        {"ARCH.expert_weights_norm", GGUF_BOOL},
        {"ARCH.expert_weights_scale", GGUF_F32},
        {"ARCH.leading_dense_block_count", GGUF_U32},
        {"ARCH.nextn_predict_layers", GGUF_U32},
        {"tokenizer.ggml.scores", GGUF_ARRAY},
        {"tokenizer.ggml.unknown_token_id", GGUF_U32},
        {"tokenizer.ggml.eot_token_id", GGUF_U32},
        {"tokenizer.ggml.fim_pre_token_id", GGUF_I32},
        {"tokenizer.ggml.add_eos_token", GGUF_BOOL},
        {"tokenizer.ggml.add_space_prefix", GGUF_BOOL},
        {"tokenizer.chat_template", GGUF_STRING},
    };
    size_t choice = take_index(script, sizeof known / sizeof *known);
    struct buffer name = {0};
    /* The first key of every file is general.architecture. */
    struct slice arch = parts->keys[0].value;
    if (strncmp(known[choice].name, "ARCH", 4) == 0 && arch.size > 8) {
        buffer_append(&name, arch.data + 8, arch.size - 8);
        buffer_append_text(&name, known[choice].name + 4);
    } else {
        buffer_append_text(&name, known[choice].name);
    }
    struct part_key *key = add_key(parts);
    *key = (struct part_key){keep(parts, &name), known[choice].type, keep_number(parts, 0, 0)};
    if (key->type == GGUF_ARRAY) {
        change_key_type(parts, script, key);
        return;
    }
    change_value(parts, script, key);
    uint64_t alignment = choice == 0 ? bits_of(key) : 0;
    if (alignment && alignment <= 4096)
        parts->alignment = (uint32_t)alignment;
}

/* A name with one byte changed or cut off there. */
static struct slice change_name(struct parts *parts, struct script *script, struct slice name)
{
    struct buffer bytes = {0};
    buffer_append(&bytes, name.data, name.size);
    size_t at = take_index(script, name.size ? name.size : 1);
    uint8_t choice = take_byte(script);
    if (choice < 32)
        bytes.size = at;
    else if (bytes.size && !bytes.failed)
        bytes.data[at] = (char)choice;
    return keep(parts, &bytes);
}

static void change_key(struct parts *parts, struct script *script)
{
    enum { VALUE, TYPE, REMOVE, REPEAT, RENAME, SWAP, ADD, N_CHANGES };
    uint8_t change = take_byte(script) % (N_CHANGES + 3);
    size_t i = take_index(script, parts->n_keys), other;
    struct part_key *key = &parts->keys[i];
    if (parts->n_keys == 0)
        return;
    switch (change) {
    case TYPE:
        change_key_type(parts, script, key);
        return;
    case REMOVE:
        memmove(key, key + 1, (parts->n_keys - i - 1) * sizeof *key);
        parts->n_keys--;
        return;
    case REPEAT: {
        struct part_key copy = *key, *repeated = add_key(parts);
        *repeated = copy;
        if (take_byte(script) % 2)
            repeated->name = change_name(parts, script, repeated->name);
        return;
    }
    case RENAME:
        key->name = change_name(parts, script, key->name);
        return;
    case SWAP: {
        other = take_index(script, parts->n_keys);
        struct slice name = key->name;
        key->name = parts->keys[other].name;
        parts->keys[other].name = name;
        return;
    }
    case ADD:
        add_known_key(parts, script);
        return;
    default:
        change_value(parts, script, key);
    }
}

/* ---- steps on tensors ---- */

/* What type and shape make; 0 where that is nothing, or too much to be written. */
static size_t size_of(const struct part_tensor *tensor)
{
    const struct quant_info *info = quant_info((enum quant_type)tensor->type);
    uint64_t n = 1;
    for (uint32_t i = 0; i < tensor->n_dims && i < MAX_DIMS; i++)
        if (!checked_mul(n, tensor->dims[i], &n))
            return 0;
    if (!info || tensor->dims[0] % info->block_elements ||
        !checked_mul(n / info->block_elements, info->block_bytes, &n))
        return 0;
    return n <= MAX_DATA ? (size_t)n : 0;
}

/* Gives the tensor as many bytes as its type and shape make: those it had, again and again, or a byte that is a small number
 * in every type. */
static void refill(struct parts *parts, struct script *script, struct part_tensor *tensor)
{
    size_t size = size_of(tensor), from = tensor->data.size;
    bool repeats = take_byte(script) % 4 == 0;
    char *bytes = size && from ? arena_alloc(&parts->arena, size) : NULL;
    if (!bytes)
        return;
    for (size_t i = 0; i < size; i++)
        bytes[i] = repeats ? tensor->data.data[i % from] : 0x3c;
    tensor->data = (struct slice){bytes, size};
}

/* Numbers that are not finite, huge, or just others. */
static void change_numbers(struct parts *parts, struct script *script, struct part_tensor *tensor)
{
    static const unsigned char patterns[][4] = {
        {0, 0, 0xc0, 0x7f},       {0, 0, 0x80, 0x7f},       {0, 0, 0x80, 0xff}, {0xff, 0xff, 0x7f, 0x7f},
        {0xff, 0x7b, 0xff, 0x7b}, {0, 0x7c, 0, 0x7c},       {0, 0x7e, 0, 0xfc}, {0xff, 0xff, 0xff, 0xff},
        {0, 0, 0, 0x80},          {0x80, 0x80, 0x80, 0x80}, {1, 0, 0, 0},       {0, 0, 0, 0},
    };
    size_t size = tensor->data.size;
    char *bytes = size >= 4 ? arena_alloc(&parts->arena, size) : NULL;
    uint8_t choice = take_byte(script);
    if (!bytes)
        return;
    memcpy(bytes, tensor->data.data, size);
    const unsigned char *pattern = patterns[choice % (sizeof patterns / sizeof *patterns)];
    if (choice < 192) {
        size_t at = (size_t)(take_bytes(script, 2) % (size - 3));
        memcpy(bytes + at, pattern, 4);
    } else {
        for (size_t i = 0; i < size; i++)
            bytes[i] = (char)pattern[i % 4];
    }
    tensor->data = (struct slice){bytes, size};
}

static void change_shape(struct parts *parts, struct script *script, struct part_tensor *tensor)
{
    uint8_t choice = take_byte(script);
    size_t k = choice / 8 % 4, other = choice / 32 % 4;
    uint64_t size = tensor->dims[k];
    switch (choice % 8) {
    case 0:
        tensor->n_dims = take_byte(script) % (MAX_DIMS + 1);
        break;
    case 1:
    case 2:
        tensor->dims[k] = tensor->dims[other];
        tensor->dims[other] = size;
        break;
    default:
        tensor->dims[k] = take_integer(script, size);
        if (k >= tensor->n_dims)
            tensor->n_dims = (uint32_t)k + 1;
    }
    refill(parts, script, tensor);
}

/* The name of a tensor in another layer, or in one that there isn't. */
static struct slice change_layer(struct parts *parts, struct script *script, struct slice name)
{
    struct buffer bytes = {0};
    const char *rest =
        name.size > 6 && memcmp(name.data, "blk.", 4) == 0 ? memchr(name.data + 4, '.', name.size - 4) : NULL;
    buffer_printf(&bytes, "blk.%llu", (unsigned long long)take_integer(script, 0));
    if (rest)
        buffer_append(&bytes, rest, (size_t)(name.data + name.size - rest));
    return keep(parts, &bytes);
}

static void rename_tensor(struct parts *parts, struct script *script, struct part_tensor *tensor)
{
    uint8_t choice = take_byte(script) % 3;
    if (choice == 0) {
        tensor->name = change_name(parts, script, tensor->name);
    } else if (choice == 1) {
        tensor->name = change_layer(parts, script, tensor->name);
    } else {
        struct part_tensor *other = &parts->tensors[take_index(script, parts->n_tensors)];
        struct slice name = tensor->name;
        tensor->name = other->name;
        other->name = name;
    }
}

/* Mostly a type that weights have. */
static uint32_t take_type(struct script *script)
{
    static const uint8_t usual[] = {
        QUANT_F32,  QUANT_F16,  QUANT_BF16, QUANT_Q4_0, QUANT_Q4_1, QUANT_Q5_0,   QUANT_Q5_1,   QUANT_Q8_0,
        QUANT_Q2_K, QUANT_Q3_K, QUANT_Q4_K, QUANT_Q5_K, QUANT_Q6_K, QUANT_IQ4_NL, QUANT_IQ4_XS, QUANT_MXFP4,
    };
    uint8_t choice = take_byte(script);
    return choice < 224 ? usual[choice % sizeof usual] : (uint32_t)take_integer(script, choice);
}

static void change_tensor(struct parts *parts, struct script *script)
{
    enum { TYPE, SHAPE, OFFSET, RENAME, REMOVE, REPEAT, NUMBERS, EXCHANGE };
    /* More often what a model may survive. */
    static const uint8_t changes[16] = {
        TYPE,   TYPE,   TYPE,    TYPE,    SHAPE,  SHAPE,  SHAPE,    NUMBERS,
        OFFSET, RENAME, NUMBERS, NUMBERS, REMOVE, REPEAT, EXCHANGE, EXCHANGE,
    };
    uint8_t change = changes[take_byte(script) % 16];
    if (parts->n_tensors == 0)
        return;
    size_t i = take_index(script, parts->n_tensors);
    struct part_tensor *tensor = &parts->tensors[i];
    switch (change) {
    case TYPE:
        tensor->type = take_type(script);
        refill(parts, script, tensor);
        return;
    case SHAPE:
        change_shape(parts, script, tensor);
        return;
    case OFFSET:
        tensor->has_offset = true;
        tensor->offset = take_integer(script, tensor->offset);
        return;
    case RENAME:
        rename_tensor(parts, script, tensor);
        return;
    case REMOVE:
        memmove(tensor, tensor + 1, (parts->n_tensors - i - 1) * sizeof *tensor);
        parts->n_tensors--;
        return;
    case REPEAT:
        if (parts->n_tensors < MAX_TENSORS) {
            struct part_tensor *repeated = &parts->tensors[parts->n_tensors++];
            *repeated = *tensor;
            if (take_byte(script) % 4)
                rename_tensor(parts, script, repeated);
        }
        return;
    case NUMBERS:
        change_numbers(parts, script, tensor);
        return;
    default: /* two tensors change everything but their names */
    {
        struct part_tensor *other = &parts->tensors[take_index(script, parts->n_tensors)], kept = *tensor;
        struct slice name = other->name;
        *tensor = *other;
        tensor->name = kept.name;
        *other = kept;
        other->name = name;
    }
    }
}

/* ---- steps on the file ---- */

static void change_file(struct parts *parts, struct script *script)
{
    switch (take_byte(script) % 6) {
    case 0:
        parts->n_keys_more = take_integer(script, 0);
        break;
    case 1:
        parts->n_tensors_more = take_integer(script, 0);
        break;
    case 2:
        parts->version = (uint32_t)take_integer(script, 3);
        break;
    case 3:
        parts->alignment = 1u << take_byte(script) % 8; /* and no key says so */
        break;
    default:
        parts->n_cut = (uint32_t)take_bytes(script, 2);
    }
}

static void write_parts(struct parts *parts, struct buffer *out)
{
    struct gguf_writer writer = {.version = parts->version, .alignment = parts->alignment};
    uint64_t alignment = parts->alignment ? parts->alignment : 32;
    static const char gap[128];
    for (size_t i = 0; i < parts->n_keys; i++) {
        gguf_append_text(&writer.keys, parts->keys[i].name);
        gguf_append_u32(&writer.keys, parts->keys[i].type);
        buffer_append(&writer.keys, parts->keys[i].value.data, parts->keys[i].value.size);
    }
    for (size_t i = 0; i < parts->n_tensors; i++) {
        const struct part_tensor *tensor = &parts->tensors[i];
        while (writer.data.size % alignment && !writer.data.failed)
            buffer_append_byte(&writer.data, 0);
        gguf_append_text(&writer.tensors, tensor->name);
        gguf_append_u32(&writer.tensors, tensor->n_dims);
        for (uint32_t k = 0; k < tensor->n_dims && k < MAX_DIMS; k++)
            gguf_append_u64(&writer.tensors, tensor->dims[k]);
        gguf_append_u32(&writer.tensors, tensor->type);
        gguf_append_u64(&writer.tensors, tensor->has_offset ? tensor->offset : writer.data.size);
        buffer_append(&writer.data, tensor->data.data, tensor->data.size);
        /* So that reading beyond a tensor isn't reading the next one. */
        buffer_append(&writer.data, gap, sizeof gap);
    }
    writer.n_keys = parts->n_keys + parts->n_keys_more;
    writer.n_tensors = parts->n_tensors + parts->n_tensors_more;
    gguf_writer_finish(&writer, out);
    out->size -= (size_t)((uint64_t)out->size * parts->n_cut / 65536);
    gguf_writer_deinit(&writer);
}

/* ---- shapes ---- */

static int32_t at_most(int32_t value, int32_t limit)
{
    return value < limit ? value : limit;
}

static struct synth_shape small_shape(const struct synth_shape *shape)
{
    struct synth_shape small = *shape;
    small.mix = MIX_F16;
    small.n_vocab = 272;
    small.n_layer = 2;
    small.n_embd = 32;
    small.n_ff = shape->n_expert ? 40 : 64;
    small.n_head = 4;
    small.n_head_kv = at_most(shape->n_head_kv, shape->kv_lora_rank ? 4 : 2);
    small.n_head_width = at_most(shape->n_head_width, 16);
    small.n_window = at_most(shape->n_window, 3);
    small.q_lora_rank = at_most(shape->q_lora_rank, 24);
    small.kv_lora_rank = at_most(shape->kv_lora_rank, 32);
    small.n_nope = at_most(shape->n_nope, 16);
    small.n_rot = at_most(shape->n_rot, 8);
    small.n_value = at_most(shape->n_value, 12);
    small.n_expert = at_most(shape->n_expert, shape->n_group > 1 ? 8 : 4);
    small.n_expert_used = at_most(shape->n_expert_used, 2);
    small.n_dense_lead = at_most(shape->n_dense_lead, 1);
    small.n_ff_exp = at_most(shape->n_ff_exp, 24);
    small.n_group = at_most(shape->n_group, 4);
    small.n_group_used = at_most(shape->n_group_used, small.n_group > 1 ? 2 : 1);
    return small;
}

/* Another width or count, at most 64 or so: the model stays one. */
static void change_model(struct script *script, struct synth_shape *shape)
{
    static const char *const fields[] = {
        "n_embd",       "n_ff",    "n_head",          "n_head_kv", "n_head_width",  "q_lora_rank", "n_nope",
        "n_rot",        "n_value", "kv_lora_rank",    "n_expert",  "n_expert_used", "n_group",     "n_group_used",
        "n_dense_lead", "n_layer", "n_expert_shared", "n_ff_exp",  "n_window",      "n_ctx",
    };
    uint8_t choice = take_byte(script), value = take_byte(script);
    if (choice >= 224)
        shape->mix = (enum synth_mix)(value % (MIX_Q4_K_M + 1));
    else
        synth_shape_set(shape, fields[choice % (sizeof fields / sizeof *fields)], value % 65);
    /* What the generator divides by. */
    shape->n_head = shape->n_head ? shape->n_head : 1;
    shape->n_layer = shape->n_layer > 4 || shape->n_layer < 1 ? 1 : shape->n_layer;
    shape->n_embd = shape->n_embd ? shape->n_embd : 32;
    shape->n_ff = shape->n_ff ? shape->n_ff : 1;
    shape->n_expert = at_most(shape->n_expert, 16);
    shape->n_expert_shared = at_most(shape->n_expert_shared, 3);
}

/* ---- all of it ---- */

static void apply(struct parts *parts, struct script *script, int n_steps)
{
    for (int i = 0; i < n_steps && script->size; i++) {
        uint8_t what = take_byte(script);
        if (what < 112)
            change_key(parts, script);
        else if (what < 240)
            change_tensor(parts, script);
        else
            change_file(parts, script);
    }
}

static void generate(const struct synth_shape *shape, bool no_data, struct buffer *out)
{
    char *file = NULL;
    size_t size = 0;
    FILE *stream = open_memstream(&file, &size);
    if (!stream)
        return;
    enum status status = synth_write(stream, shape, &(struct synth_options){.seed = 1, .no_data = no_data}, NULL);
    if (fclose(stream) == 0 && status == STATUS_OK)
        buffer_append(out, file, size);
    free(file);
}

/* Making random weights takes longer than all the rest: any bytes that are finite numbers in every type do. */
static void generate_quickly(const struct synth_shape *shape, struct buffer *out)
{
    enum { ENOUGH = 256 * 1024, N_BYTES = 4096 };
    char bytes[N_BYTES];
    generate(shape, true, out);
    uint32_t state = 1;
    for (size_t i = 0; i < N_BYTES; i++) {
        state = state * 1664525 + 1013904223; /* Numerical Recipes' */
        bytes[i] = (char)(0x20 + (state >> 27));
    }
    for (size_t i = 0; i < ENOUGH; i += N_BYTES)
        buffer_append(out, bytes, N_BYTES);
}

struct mutant_source mutant_source_make(const struct synth_shape *shape)
{
    struct mutant_source source = {.shape = small_shape(shape)};
    generate(&source.shape, false, &source.file);
    return source;
}

void mutant_write(const struct mutant_source *source, const uint8_t *bytes, size_t size, struct buffer *out)
{
    /* Mostly one: a second fault is seldom reached behind the first. */
    static const uint8_t n_steps[8] = {1, 1, 1, 1, 2, 2, 3, MUTANT_MAX_STEPS};
    struct script script = {bytes, size};
    struct synth_shape shape = source->shape;
    struct buffer other = {0};
    uint8_t head = take_byte(&script);
    for (int i = 0; head >= 192 && i < head % 4 + 1; i++)
        change_model(&script, &shape);
    if (head >= 192)
        generate_quickly(&shape, &other);
    const struct buffer *file = head >= 192 ? &other : &source->file;
    struct gguf *gguf = NULL;
    struct parts *parts = calloc(1, sizeof *parts);
    if (parts && !file->failed && gguf_open_memory(buffer_text(file), file->size, &gguf, NULL) == STATUS_OK) {
        read_parts(parts, gguf);
        apply(parts, &script, n_steps[head / 4 % 8]);
        write_parts(parts, out);
        arena_deinit(&parts->arena);
    }
    free(parts);
    gguf_close(gguf);
    buffer_deinit(&other);
}
