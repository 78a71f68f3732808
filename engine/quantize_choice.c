/* quantize_choice: which type each tensor of a model gets; declared in quantize.h.
 *
 * The rules are those of llama.cpp (src/llama-quant.cpp: tensor_allows_quantization, llama_tensor_get_type_impl,
 * tensor_type_fallback; as of llama-cpp-python 0.3.36), so that a file of a type holds what people expect of its name:
 *
 *   - Vectors, norms, router gates and a few small matrices keep their type.
 *   - output.weight, or token_embd.weight where that serves as the output too, gets Q6_K (Q8_0 in Q8_0).
 *   - In the mixes, attn_v (also attn_qkv, attn_kv_b) and ffn_down get more bits in some layers.
 *   - A type whose blocks don't divide the rows gives way: Q4_K to Q5_0, Q5_K to Q5_1, Q6_K to Q8_0, and any to F16. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "engine/quantize.h"

/* ---- the mixes ---- */

enum quantize_more {
    MORE_NONE,
    MORE_SOME,  /* Q6_K in an eighth of the layers at both ends and in every third between */
    MORE_FIRST, /* Q5_K in the first layers */
};

static const struct quantize_mix mixes[] = {
    {"F32", QUANT_F32, 0, 0, 0},
    {"F16", QUANT_F16, 1, 0, 0},
    {"BF16", QUANT_BF16, 32, 0, 0},
    {"Q8_0", QUANT_Q8_0, 7, 0, 0},
    {"Q6_K", QUANT_Q6_K, 18, 0, 0},
    {"Q5_K_M", QUANT_Q5_K, 17, MORE_SOME, MORE_SOME},
    {"Q5_K", QUANT_Q5_K, 16, 0, 0},
    {"Q5_K_S", QUANT_Q5_K, 16, 0, 0},
    {"Q5_1", QUANT_Q5_1, 9, 0, 0},
    {"Q5_0", QUANT_Q5_0, 8, 0, 0},
    {"Q4_K_M", QUANT_Q4_K, 15, MORE_SOME, MORE_SOME},
    {"Q4_K", QUANT_Q4_K, 14, MORE_FIRST, MORE_FIRST},
    {"Q4_K_S", QUANT_Q4_K, 14, MORE_FIRST, MORE_FIRST},
    {"Q4_1", QUANT_Q4_1, 3, 0, 0},
    {"Q4_0", QUANT_Q4_0, 2, 0, 0},
};

const struct quantize_mix *quantize_mix_at(size_t i)
{
    return i < sizeof mixes / sizeof *mixes ? &mixes[i] : NULL;
}

static bool same_name(const char *a, const char *b)
{
    for (; *a && *b; a++, b++)
        if ((*a >= 'a' && *a <= 'z' ? *a - 32 : *a) != *b)
            return false;
    return *a == *b;
}

const struct quantize_mix *quantize_mix_find(const char *name)
{
    for (size_t i = 0; quantize_mix_at(i); i++)
        if (same_name(name, mixes[i].name))
            return &mixes[i];
    return NULL;
}

bool quantize_mix_is_float(const struct quantize_mix *mix)
{
    return quant_info(mix->base)->block_elements == 1;
}

void quantize_mix_names(struct buffer *out, const char *between)
{
    for (size_t i = 0; quantize_mix_at(i); i++) {
        buffer_append_text(out, i ? between : "");
        buffer_append_text(out, mixes[i].name);
    }
}

/* ---- what a tensor is ---- */

enum role { ROLE_OTHER, ROLE_OUTPUT, ROLE_TOKENS, ROLE_V, ROLE_K, ROLE_ATTN_OUTPUT, ROLE_FFN_DOWN };

struct subject {
    const struct gguf_tensor *tensor;
    size_t index; /* in the file */
    int64_t layer;
    enum role role;
    bool is_fixed; /* keeps its type */
};

static bool contains(struct slice name, const char *part)
{
    return memmem(name.data, name.size, part, strlen(part)) != NULL;
}

static bool ends_with(struct slice name, const char *end)
{
    size_t size = strlen(end);
    return name.size >= size && memcmp(name.data + name.size - size, end, size) == 0;
}

/* N of "blk.N.", else -1. */
static int64_t layer_of(struct slice name)
{
    int64_t layer = 0;
    size_t i = 4;
    if (name.size < 6 || memcmp(name.data, "blk.", 4) != 0)
        return -1;
    for (; i < name.size && i < 12 && name.data[i] >= '0' && name.data[i] <= '9'; i++)
        layer = layer * 10 + (name.data[i] - '0');
    return i > 4 && i < name.size && name.data[i] == '.' ? layer : -1;
}

static enum role role_of(struct slice name)
{
    static const struct {
        const char *part;
        enum role role;
    } parts[] = {
        {"attn_qkv.weight", ROLE_V}, {"attn_kv_b.weight", ROLE_V},  {"attn_v.weight", ROLE_V},
        {"attn_k.weight", ROLE_K},   {"attn_q.weight", ROLE_OTHER}, {"attn_output.weight", ROLE_ATTN_OUTPUT},
        {"ffn_up", ROLE_OTHER},      {"ffn_gate", ROLE_OTHER},      {"ffn_down", ROLE_FFN_DOWN},
    };
    if (slice_equals(name, "output.weight"))
        return ROLE_OUTPUT;
    if (slice_equals(name, "token_embd.weight"))
        return ROLE_TOKENS;
    for (size_t i = 0; i < sizeof parts / sizeof *parts; i++)
        if (contains(name, parts[i].part))
            return parts[i].role;
    return ROLE_OTHER;
}

static bool is_fixed(const struct gguf_tensor *tensor)
{
    static const char *const kept[] = {
        "_norm.weight",
        "ffn_gate_inp.weight",
        "ffn_gate_tid2eid.weight",
        "per_layer_model_proj",
        "altup",
        "laurel",
        "position_embd.weight",
        "token_types.weight",
        "ssm_conv1d",
        "shortconv.conv.weight",
        "indexer.k_proj.weight",
        "indexer.q_proj.weight",
    };
    if (tensor->shape[1] == 1 && tensor->shape[2] == 1 && tensor->shape[3] == 1)
        return true;
    if (!ends_with(tensor->name, "weight"))
        return true;
    for (size_t i = 0; i < sizeof kept / sizeof *kept; i++)
        if (contains(tensor->name, kept[i]))
            return true;
    return false;
}

/* Rules count tensors of a role from the first layer to the last, however they lie in the file. */
static int by_layer(const void *a, const void *b)
{
    const struct subject *x = a, *y = b;
    if (x->layer != y->layer)
        return x->layer < y->layer ? -1 : 1;
    struct slice p = x->tensor->name, q = y->tensor->name;
    int order = memcmp(p.data, q.data, p.size < q.size ? p.size : q.size);
    return order ? order : (p.size > q.size) - (p.size < q.size);
}

/* ---- the rules ---- */

struct chooser {
    const struct quantize_mix *mix;
    uint32_t n_layer, n_expert;
    bool is_large; /* 80 layers of the llama family, where eight heads share one attn_v */
    bool is_tied;  /* token_embd is the output, too */
    int64_t n_v, i_v, i_down;
};

static bool gets_more(int64_t i, int64_t n)
{
    return i < n / 8 || i >= 7 * n / 8 || (i - n / 8) % 3 == 2;
}

static enum quant_type choose_v(struct chooser *chooser)
{
    enum quant_type type = chooser->mix->base;
    int64_t i = chooser->i_v++;
    if (chooser->mix->more_v == MORE_SOME && gets_more(i, chooser->n_v))
        type = QUANT_Q6_K;
    if (chooser->mix->more_v == MORE_FIRST && i < 4)
        type = QUANT_Q5_K;
    if (chooser->is_large && type == QUANT_Q4_K)
        type = QUANT_Q5_K;
    return chooser->n_expert == 8 ? QUANT_Q8_0 : type;
}

static enum quant_type choose_down(struct chooser *chooser, int64_t layer)
{
    int64_t i = chooser->n_expert > 1 ? layer : chooser->i_down, n = chooser->n_layer;
    chooser->i_down++;
    if (i < 0) /* experts outside of all layers: no rule speaks of them */
        return chooser->mix->base;
    if (chooser->mix->more_f == MORE_SOME && gets_more(i, n))
        return QUANT_Q6_K;
    if (chooser->mix->more_f == MORE_FIRST && i < n / 8)
        return QUANT_Q5_K;
    return chooser->mix->base;
}

static bool divides(enum quant_type type, uint64_t n_cols)
{
    return n_cols % quant_info(type)->block_elements == 0;
}

static enum quant_type choose_by_role(struct chooser *chooser, const struct subject *subject)
{
    enum quant_type base = chooser->mix->base;
    switch (subject->role) {
    case ROLE_TOKENS:
        if (!chooser->is_tied)
            return base;
        __attribute__((fallthrough));
    case ROLE_OUTPUT:
        return base == QUANT_Q8_0 || !divides(base, subject->tensor->shape[0]) ? QUANT_Q8_0 : QUANT_Q6_K;
    case ROLE_V:
        return choose_v(chooser);
    case ROLE_K:
        return chooser->n_expert == 8 ? QUANT_Q8_0 : base;
    case ROLE_ATTN_OUTPUT:
        return chooser->n_expert == 8 && base == QUANT_Q4_K ? QUANT_Q5_K : base;
    case ROLE_FFN_DOWN:
        return choose_down(chooser, subject->layer);
    case ROLE_OTHER:
        break;
    }
    return base;
}

static enum quant_type fall_back(enum quant_type type, uint64_t n_cols)
{
    if (divides(type, n_cols))
        return type;
    enum quant_type smaller = type == QUANT_Q4_K   ? QUANT_Q5_0
                              : type == QUANT_Q5_K ? QUANT_Q5_1
                              : type == QUANT_Q6_K ? QUANT_Q8_0
                                                   : type;
    return divides(smaller, n_cols) ? smaller : QUANT_F16;
}

static void choose_all(struct chooser *chooser, const struct subject *subjects, size_t n, enum quant_type *types,
                       size_t *n_fallbacks)
{
    for (size_t k = 0; k < n; k++) {
        const struct subject *subject = &subjects[k];
        enum quant_type *type = &types[subject->index];
        *type = subject->tensor->type;
        if (subject->is_fixed)
            continue;
        *type = chooser->mix->base;
        if (quantize_mix_is_float(chooser->mix))
            continue;
        enum quant_type wanted = choose_by_role(chooser, subject);
        *type = fall_back(wanted, subject->tensor->shape[0]);
        *n_fallbacks += *type != wanted;
    }
}

/* ---- what the model says of itself ---- */

/* KEY of "ARCH.KEY"; missing leaves *out. */
static enum status read_number(const struct gguf *gguf, struct slice arch, const char *key, bool is_needed,
                               uint32_t *out, struct error *error)
{
    char name[128];
    snprintf(name, sizeof name, "%.*s.%s", (int)(arch.size < 64 ? arch.size : 64), arch.data, key);
    enum status status = gguf_read_u32(gguf, name, out, error);
    return status == STATUS_NOT_FOUND && !is_needed ? STATUS_OK : status;
}

static enum status read_model(const struct gguf *gguf, struct chooser *chooser, struct error *error)
{
    struct slice arch;
    enum status status = gguf_read_text(gguf, "general.architecture", &arch, error);
    if (status == STATUS_OK)
        status = read_number(gguf, arch, "block_count", true, &chooser->n_layer, error);
    if (status == STATUS_OK)
        status = read_number(gguf, arch, "expert_count", false, &chooser->n_expert, error);
    uint32_t n_head = 0, n_head_kv = 0;
    if (status == STATUS_OK && slice_equals(arch, "llama") && chooser->n_layer == 80) {
        status = read_number(gguf, arch, "attention.head_count", true, &n_head, error);
        n_head_kv = n_head;
        if (status == STATUS_OK)
            status = read_number(gguf, arch, "attention.head_count_kv", false, &n_head_kv, error);
        chooser->is_large = n_head != n_head_kv;
    }
    return status;
}

enum status quantize_choose(const struct gguf *gguf, const struct quantize_mix *mix, enum quant_type *types,
                            size_t *n_fallbacks, struct error *error)
{
    size_t n = gguf_n_tensors(gguf);
    struct chooser chooser = {.mix = mix, .is_tied = true};
    enum status status = read_model(gguf, &chooser, error);
    if (status != STATUS_OK)
        return status;
    struct subject *subjects = calloc(n + 1, sizeof *subjects);
    if (!subjects)
        return error_set(error, STATUS_MEMORY, "out of memory");
    for (size_t i = 0; i < n; i++) {
        const struct gguf_tensor *tensor = gguf_tensor_at(gguf, i);
        subjects[i] = (struct subject){tensor, i, layer_of(tensor->name), role_of(tensor->name), is_fixed(tensor)};
        chooser.n_v += subjects[i].role == ROLE_V;
        chooser.is_tied &= subjects[i].role != ROLE_OUTPUT;
    }
    qsort(subjects, n, sizeof *subjects, by_layer);
    *n_fallbacks = 0;
    choose_all(&chooser, subjects, n, types, n_fallbacks);
    free(subjects);
    return STATUS_OK;
}
