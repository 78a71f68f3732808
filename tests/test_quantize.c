/* Tests the way from floats to blocks, and which type a tensor of a model gets. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "engine/quantize.h"
#include "tests/gguf_writer.h"

/* ---- numbers from a seed ---- */

static uint64_t next(uint64_t *state) /* splitmix64 */
{
    uint64_t z = *state += 0x9e3779b97f4a7c15u;
    z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9u;
    z = (z ^ z >> 27) * 0x94d049bb133111ebu;
    return z ^ z >> 31;
}

static double next_gaussian(uint64_t *state)
{
    double sum = -6;
    for (int i = 0; i < 12; i++)
        sum += (double)(next(state) >> 40) / (1 << 24);
    return sum;
}

static const enum quant_type packed_types[] = {
    QUANT_F32,  QUANT_F16,  QUANT_BF16, QUANT_Q8_0, QUANT_Q4_0, QUANT_Q4_1,
    QUANT_Q5_0, QUANT_Q5_1, QUANT_Q4_K, QUANT_Q5_K, QUANT_Q6_K,
};
enum { N_PACKED = sizeof packed_types / sizeof *packed_types, N = 1024 };

/* Packs and unpacks, and sees that nothing was written beyond the blocks.  False where the numbers don't fit. */
static bool round_trip(enum quant_type type, const float *x, float *back, size_t n)
{
    const struct quant_info *info = quant_info(type);
    size_t size = n / info->block_elements * info->block_bytes;
    unsigned char *blocks = calloc(1, size + 1); /* what does not fit is not written */
    assert_non_null(blocks);
    blocks[size] = 0xa5;
    bool fits = quantize_pack(type, x, n, blocks);
    assert_int_equal(blocks[size], 0xa5);
    info->unpack(blocks, back, n);
    free(blocks);
    return fits;
}

static double rms_error(const float *x, const float *back, size_t n)
{
    double sum = 0;
    for (size_t i = 0; i < n; i++)
        sum += ((double)x[i] - (double)back[i]) * ((double)x[i] - (double)back[i]);
    return sqrt(sum / (double)n);
}

/* ---- bounds ---- */

/* How far apart neighbouring values are, as a part of the range: of the greatest magnitude, or from the least to the greatest
 * number (K types: and 0).  The K types' own scales are rounded, too. */
struct bound {
    enum quant_type type;
    double levels;
    bool is_ranged, has_zero;
};

static const struct bound bounds[] = {
    {QUANT_Q8_0, 127, false, false}, {QUANT_Q4_0, 8, false, false},  {QUANT_Q4_1, 15, true, false},
    {QUANT_Q5_0, 16, false, false},  {QUANT_Q5_1, 31, true, false},  {QUANT_Q4_K, 15, true, true},
    {QUANT_Q5_K, 31, true, true},    {QUANT_Q6_K, 32, false, false},
};

static double range_of(const struct bound *bound, const float *x, size_t n)
{
    double low = bound->has_zero ? 0 : (double)x[0], high = low, greatest = 0;
    for (size_t i = 0; i < n; i++) {
        low = fmin(low, (double)x[i]);
        high = fmax(high, (double)x[i]);
        greatest = fmax(greatest, fabs((double)x[i]));
    }
    return bound->is_ranged ? high - low : greatest;
}

/* Of each super-block: the rms error is at most 0.4 steps (0.29 is that of even numbers), where halves are coarse some of
 * their own steps more. */
static void check_bounds(const char *what, const float *x, size_t n)
{
    float back[N];
    for (size_t b = 0; b < sizeof bounds / sizeof *bounds; b++) {
        const struct bound *bound = &bounds[b];
        if (!round_trip(bound->type, x, back, n))
            fail_msg("%s: %s doesn't take it", what, quant_info(bound->type)->name);
        for (size_t i = 0; i < n; i += 256) {
            double step = range_of(bound, x + i, 256) / bound->levels, error = rms_error(x + i, back + i, 256);
            double greatest = range_of(&(struct bound){.is_ranged = false}, x + i, 256);
            double limit = 0.4 * step + 0x1p-11 * greatest + 4 * 0x1p-24;
            if (!(error <= limit))
                fail_msg("%s: %s has an error of %g, not %g", what, quant_info(bound->type)->name, error, limit);
        }
    }
}

static void usual_numbers_come_back(void **state)
{
    (void)state;
    static const double sizes[] = {1e-6, 1e-3, 0.02, 1, 300, 1e4};
    float x[N];
    uint64_t seed = 7;
    for (size_t k = 0; k < sizeof sizes / sizeof *sizes; k++) {
        char what[64];
        for (int i = 0; i < N; i++)
            x[i] = (float)(sizes[k] * next_gaussian(&seed));
        snprintf(what, sizeof what, "gaussian of size %g", sizes[k]);
        check_bounds(what, x, N);
        for (int i = 0; i < N; i++)
            x[i] = (float)(sizes[k] * ((double)(next(&seed) >> 40) / (1 << 24) - 0.5));
        snprintf(what, sizeof what, "even numbers of size %g", sizes[k]);
        check_bounds(what, x, N);
    }
}

static void odd_numbers_come_back(void **state)
{
    (void)state;
    float x[N];
    uint64_t seed = 9;
    for (int i = 0; i < N; i++)
        x[i] = (float)(10 + 0.01 * next_gaussian(&seed));
    check_bounds("of one sign", x, N);
    for (int i = 0; i < N; i++)
        x[i] = -x[i];
    check_bounds("of the other sign", x, N);
    for (int i = 0; i < N; i++)
        x[i] = i % 32 == 5 ? 100 : 0.001f * (float)(i % 7);
    check_bounds("one far away", x, N);
    for (int i = 0; i < N; i++)
        x[i] = i % 256 == 17 ? -3 : 0;
    check_bounds("zeros but one", x, N);
    for (int i = 0; i < N; i++)
        x[i] = i % 2 ? 1 : -1;
    check_bounds("two values", x, N);
    for (int i = 0; i < N; i++)
        x[i] = (float)(i % 3) * 1e-40f;
    check_bounds("subnormal", x, N);
    for (int i = 0; i < N; i++)
        x[i] = (float)(i + 1) * 1e-43f * (i % 2 ? 1.f : -1.f);
    check_bounds("subnormal of both signs", x, N);
    for (int i = 0; i < N; i++)
        x[i] = (i % 64 < 32 ? 1e-30f : 1) * (float)next_gaussian(&seed);
    check_bounds("tiny beside usual", x, N);
    for (int i = 0; i < N; i++)
        x[i] = 6e4f * (float)(i % 9 - 4) / 4;
    check_bounds("as large as halves", x, N);
}

static void zeros_and_constants_stay(void **state)
{
    (void)state;
    static const float values[] = {0, -0.0f, 1, -1, 0.5f, 1024, -96};
    float x[N], back[N];
    for (size_t v = 0; v < sizeof values / sizeof *values; v++)
        for (size_t t = 0; t < N_PACKED; t++) {
            for (int i = 0; i < N; i++)
                x[i] = values[v];
            assert_true(round_trip(packed_types[t], x, back, N));
            /* A scale is a half: 11 bits; of K types 6 bits of it more. */
            for (int i = 0; i < N; i++)
                if (!(fabsf(back[i] - x[i]) <= fabsf(x[i]) * 0x1p-9f))
                    fail_msg("%s makes %g of %g", quant_info(packed_types[t])->name, (double)back[i], (double)x[i]);
        }
}

static void plain_types_round_once(void **state)
{
    (void)state;
    float x[N], back[N];
    uint64_t seed = 11;
    for (int i = 0; i < N; i++)
        x[i] = (float)next_gaussian(&seed);
    assert_true(round_trip(QUANT_F32, x, back, N));
    assert_memory_equal(x, back, sizeof x);
    assert_true(round_trip(QUANT_F16, x, back, N));
    for (int i = 0; i < N; i++)
        assert_true(fabsf(back[i] - x[i]) <= fabsf(x[i]) * 0x1p-11f + 0x1p-25f);
    assert_true(round_trip(QUANT_BF16, x, back, N));
    for (int i = 0; i < N; i++)
        assert_true(fabsf(back[i] - x[i]) <= fabsf(x[i]) * 0x1p-8f);
    /* Ties go to even. */
    static const float ties[][2] = {{0x1.01p0f, 1}, {0x1.03p0f, 0x1.04p0f}, {-0x1.01p0f, -1}, {0x1.018p0f, 0x1.02p0f}};
    for (size_t i = 0; i < sizeof ties / sizeof *ties; i++) {
        assert_true(round_trip(QUANT_BF16, ties[i], back, 1));
        assert_true(back[0] == ties[i][1]);
    }
}

/* Blocks whose greatest magnitude has the outermost code are found again as they were. */
static void blocks_become_themselves(void **state)
{
    (void)state;
    static const enum quant_type types[] = {QUANT_Q8_0, QUANT_Q4_0, QUANT_Q4_1, QUANT_Q5_0, QUANT_Q5_1};
    uint64_t seed = 13;
    for (size_t t = 0; t < sizeof types / sizeof *types; t++)
        for (int turn = 0; turn < 200; turn++) {
            const struct quant_info *info = quant_info(types[t]);
            unsigned char block[40];
            float x[32], back[32];
            bool is_ranged = types[t] == QUANT_Q4_1 || types[t] == QUANT_Q5_1;
            for (size_t i = 0; i < sizeof block; i++)
                block[i] = (unsigned char)next(&seed);
            uint16_t scale = half_from_float((float)(1 + next(&seed) % 1000) / 8192);
            uint16_t minimum = half_from_float((float)next_gaussian(&seed));
            memcpy(block, &scale, 2);
            if (is_ranged)
                memcpy(block + 2, &minimum, 2);
            size_t codes = info->block_bytes - (types[t] == QUANT_Q8_0 ? 32 : 16);
            if (types[t] == QUANT_Q8_0) {
                for (size_t i = 0; i < 32; i++) /* -128 is never made */
                    block[2 + i] = block[2 + i] == 0x80 ? 0 : block[2 + i];
                block[codes] = 127;
            } else {
                block[codes] = 0xf0;                                    /* codes 0 and 15 */
                if (types[t] == QUANT_Q5_0 || types[t] == QUANT_Q5_1) { /* 0 and 31 */
                    block[codes - 4] = (unsigned char)(block[codes - 4] & 0xfe);
                    block[codes - 2] |= 1;
                }
            }
            info->unpack(block, x, 32);
            assert_true(round_trip(types[t], x, back, 32));
            for (int i = 0; i < 32; i++)
                if (x[i] != back[i])
                    fail_msg("%s makes %g of %g", info->name, (double)back[i], (double)x[i]);
        }
}

static void what_is_too_large_is_told(void **state)
{
    (void)state;
    static const struct {
        enum quant_type type;
        float fits, not ;
    } limits[] = {
        {QUANT_F32, 3e38f, 0},        {QUANT_F16, 65519, 65520},    {QUANT_BF16, 3.38e38f, 3.4e38f},
        {QUANT_Q8_0, 8.3e6f, 8.4e6f}, {QUANT_Q4_0, 5.2e5f, 5.3e5f}, {QUANT_Q4_1, 65504, 65600},
        {QUANT_Q5_0, 1e6f, 1.1e6f},   {QUANT_Q5_1, 65504, 65600},   {QUANT_Q4_K, 4e6f, 1e8f},
        {QUANT_Q5_K, 4e6f, 2e8f},     {QUANT_Q6_K, 2.6e8f, 2.8e8f},
    };
    float x[N] = {0}, back[N];
    for (size_t i = 0; i < sizeof limits / sizeof *limits; i++)
        for (int sign = -1; sign <= 1; sign += 2) {
            const char *name = quant_info(limits[i].type)->name;
            x[300] = (float)sign * limits[i].fits;
            if (!round_trip(limits[i].type, x, back, N))
                fail_msg("%s doesn't take %g", name, (double)x[300]);
            if (!(fabsf(back[300] - x[300]) <= fabsf(x[300]) / 8))
                fail_msg("%s makes %g of %g", name, (double)back[300], (double)x[300]);
            float huge[] = {limits[i].not, 1e12f, 3e38f};
            bool is_minimum = limits[i].type == QUANT_Q4_1 || limits[i].type == QUANT_Q5_1;
            for (size_t k = 0; k < 3 && limits[i].not > 0; k++) {
                x[300] = (float)sign * (huge[k] > limits[i].not ? huge[k] : limits[i].not );
                if ((sign < 0 || !is_minimum || k > 0) && round_trip(limits[i].type, x, back, N))
                    fail_msg("%s takes %g", name, (double)x[300]);
            }
        }
}

static void only_some_types_are_made(void **state)
{
    (void)state;
    size_t n = 0;
    for (int type = -1; type < QUANT_LIMIT + 2; type++)
        n += quantize_has((enum quant_type)type);
    assert_int_equal(n, N_PACKED);
    for (size_t i = 0; i < N_PACKED; i++)
        assert_true(quantize_has(packed_types[i]));
}

/* ---- beside llama.cpp ---- */

static float *new_numbers(const char *kind, size_t n)
{
    float *x = malloc(n * sizeof *x);
    uint64_t seed = 1;
    assert_non_null(x);
    for (size_t i = 0; i < n; i++) {
        double gaussian = next_gaussian(&seed);
        x[i] = (float)(*kind == 'g' ? gaussian : *kind == 'h' ? gaussian * gaussian * gaussian : gaussian + 2);
    }
    return x;
}

static void errors_are_not_above_those_of_llama_cpp(void **state)
{
    (void)state;
    enum { COUNT = 1 << 16 };
    FILE *file = fopen("tests/golden/quantize.txt", "r");
    char kind[16], name[16];
    double theirs;
    int n_lines = 0;
    assert_non_null(file);
    float *back = malloc(COUNT * sizeof *back);
    assert_non_null(back);
    for (; fscanf(file, "%15s %15s %lf", kind, name, &theirs) == 3; n_lines++) {
        enum quant_type type;
        assert_true(quant_find(name, &type));
        float *x = new_numbers(kind, COUNT);
        assert_true(round_trip(type, x, back, COUNT));
        double ours = rms_error(x, back, COUNT);
        if (!(ours <= 1.01 * theirs))
            fail_msg("%s %s: the error is %g, theirs %g", kind, name, ours, theirs);
        free(x);
    }
    assert_int_equal(n_lines, 30);
    free(back);
    fclose(file);
}

/* ---- which type a tensor gets ---- */

struct sketch {
    const char *arch;
    uint32_t n_layer, n_expert;
    uint64_t n_embd, n_ff;
    bool has_output;
};

static void add(struct gguf_writer *writer, int layer, const char *name, uint64_t cols, uint64_t rows, uint64_t experts)
{
    char full[64];
    if (layer >= 0)
        snprintf(full, sizeof full, "blk.%d.%s", layer, name);
    else
        snprintf(full, sizeof full, "%s", name);
    /* Shapes are all that counts: one row stands for many. */
    uint64_t shape[] = {cols, rows, experts};
    gguf_writer_tensor(writer, full, QUANT_F32, experts > 1 ? 3 : rows > 1 ? 2 : 1, shape, NULL);
}

static struct gguf *open_sketch(const struct sketch *sketch, struct buffer *bytes)
{
    struct gguf_writer writer = {0};
    struct gguf *gguf = NULL;
    struct error error;
    char key[64];
    gguf_writer_text(&writer, "general.architecture", sketch->arch);
    snprintf(key, sizeof key, "%s.block_count", sketch->arch);
    gguf_writer_u32(&writer, key, sketch->n_layer);
    snprintf(key, sizeof key, "%s.expert_count", sketch->arch);
    if (sketch->n_expert)
        gguf_writer_u32(&writer, key, sketch->n_expert);
    snprintf(key, sizeof key, "%s.attention.head_count", sketch->arch);
    gguf_writer_u32(&writer, key, 8);
    snprintf(key, sizeof key, "%s.attention.head_count_kv", sketch->arch);
    gguf_writer_u32(&writer, key, 2);
    add(&writer, -1, "token_embd.weight", sketch->n_embd, 2, 1);
    add(&writer, -1, "output_norm.weight", sketch->n_embd, 1, 1);
    /* From the last layer to the first: the order in the file must not count. */
    for (int i = (int)sketch->n_layer - 1; i >= 0; i--) {
        add(&writer, i, "attn_norm.weight", sketch->n_embd, 1, 1);
        add(&writer, i, "attn_q.weight", sketch->n_embd, 2, 1);
        add(&writer, i, "attn_k.weight", sketch->n_embd, 2, 1);
        add(&writer, i, "attn_v.weight", sketch->n_embd, 2, 1);
        add(&writer, i, "attn_v.bias", 2, 1, 1);
        add(&writer, i, "attn_output.weight", sketch->n_embd, 2, 1);
        add(&writer, i, "attn_q_norm.weight", sketch->n_embd, 2, 1);
        if (sketch->n_expert) {
            add(&writer, i, "ffn_gate_inp.weight", sketch->n_embd, 2, 1);
            add(&writer, i, "ffn_gate_exps.weight", sketch->n_embd, 2, 2);
            add(&writer, i, "ffn_up_exps.weight", sketch->n_embd, 2, 2);
            add(&writer, i, "ffn_down_exps.weight", sketch->n_ff, 2, 2);
        } else {
            add(&writer, i, "ffn_gate.weight", sketch->n_embd, 2, 1);
            add(&writer, i, "ffn_up.weight", sketch->n_embd, 2, 1);
            add(&writer, i, "ffn_down.weight", sketch->n_ff, 2, 1);
        }
    }
    if (sketch->has_output)
        add(&writer, -1, "output.weight", sketch->n_embd, 2, 1);
    gguf_writer_finish(&writer, bytes);
    gguf_writer_deinit(&writer);
    if (gguf_open_memory(bytes->data, bytes->size, &gguf, &error) != STATUS_OK)
        fail_msg("%s", error.text);
    return gguf;
}

struct choice {
    const char *tensor, *type; /* tensor: after "blk.N." */
};

/* more: layers whose attn_v and ffn_down have the types more_v and more_down, ended by -1; rows: the other tensors. */
struct expectation {
    const char *mix;
    const struct choice *rows;
    size_t n_fallbacks;
    const int *more;
    const char *more_v, *more_down;
};

static bool is_among(const int *list, int64_t value)
{
    for (; list && *list >= 0; list++)
        if (*list == value)
            return true;
    return false;
}

static const char *expected_type(const struct expectation *expected, const char *name)
{
    int layer = -1, at = 0;
    bool is_layered = sscanf(name, "blk.%d.%n", &layer, &at) == 1;
    name += is_layered ? at : 0;
    if (expected->more_v && is_among(expected->more, layer) && strcmp(name, "attn_v.weight") == 0)
        return expected->more_v;
    if (expected->more_down && is_among(expected->more, layer) && strncmp(name, "ffn_down", 8) == 0)
        return expected->more_down;
    for (const struct choice *row = expected->rows; row->tensor; row++)
        if (strcmp(row->tensor, name) == 0 || strcmp(row->tensor, "*") == 0)
            return row->type;
    fail_msg("nothing is expected of %s", name);
    return NULL;
}

static void check_choice(const struct sketch *sketch, const struct expectation *expected)
{
    struct buffer bytes = {0};
    struct error error;
    struct gguf *gguf = open_sketch(sketch, &bytes);
    size_t n = gguf_n_tensors(gguf), n_fallbacks;
    enum quant_type *types = calloc(n, sizeof *types);
    assert_non_null(types);
    const struct quantize_mix *mix = quantize_mix_find(expected->mix);
    assert_non_null(mix);
    assert_int_equal(quantize_choose(gguf, mix, types, &n_fallbacks, &error), STATUS_OK);
    for (size_t i = 0; i < n; i++) {
        char name[64];
        struct slice slice = gguf_tensor_at(gguf, i)->name;
        snprintf(name, sizeof name, "%.*s", (int)slice.size, slice.data);
        const char *type = quant_info(types[i])->name;
        if (strcmp(type, expected_type(expected, name)) != 0)
            fail_msg("%s: %s is %s, not %s", expected->mix, name, type, expected_type(expected, name));
    }
    assert_int_equal(n_fallbacks, expected->n_fallbacks);
    free(types);
    gguf_close(gguf);
    buffer_deinit(&bytes);
}

#define KEPT                                                                                                           \
    {"attn_norm.weight", "F32"}, {"output_norm.weight", "F32"}, {"attn_v.bias", "F32"}, {"attn_q_norm.weight", "F32"}, \
    {                                                                                                                  \
        "ffn_gate_inp.weight", "F32"                                                                                   \
    }

/* 30 layers: an eighth is 3, seven eighths are 26; between, every third from layer 5 on. */
static const int more_of_30[] = {0, 1, 2, 5, 8, 11, 14, 17, 20, 23, 26, 27, 28, 29, -1};
static const int more_of_4[] = {2, 3, -1};

static void rows_that_divide_get_what_was_asked(void **state)
{
    (void)state;
    struct sketch sketch = {"llama", 30, 0, 512, 1024, true};
    static const struct choice q4[] = {KEPT, {"output.weight", "Q6_K"}, {"*", "Q4_K"}, {0}};
    static const struct choice q5[] = {KEPT, {"output.weight", "Q6_K"}, {"*", "Q5_K"}, {0}};
    static const struct choice q6[] = {KEPT, {"*", "Q6_K"}, {0}}, q8[] = {KEPT, {"*", "Q8_0"}, {0}};
    static const struct choice q40[] = {KEPT, {"output.weight", "Q6_K"}, {"*", "Q4_0"}, {0}};
    static const struct choice f16[] = {KEPT, {"*", "F16"}, {0}}, f32[] = {{"*", "F32"}, {0}};
    check_choice(&sketch, &(struct expectation){"Q4_K_M", q4, 0, more_of_30, "Q6_K", "Q6_K"});
    check_choice(&sketch, &(struct expectation){"q5_k_m", q5, 0, more_of_30, "Q6_K", "Q6_K"});
    check_choice(&sketch, &(struct expectation){"Q5_K", q5, 0, NULL, NULL, NULL});
    check_choice(&sketch, &(struct expectation){"Q5_K_S", q5, 0, NULL, NULL, NULL});
    check_choice(&sketch, &(struct expectation){"Q6_K", q6, 0, NULL, NULL, NULL});
    check_choice(&sketch, &(struct expectation){"Q8_0", q8, 0, NULL, NULL, NULL});
    check_choice(&sketch, &(struct expectation){"Q4_0", q40, 0, NULL, NULL, NULL});
    check_choice(&sketch, &(struct expectation){"f16", f16, 0, NULL, NULL, NULL});
    check_choice(&sketch, &(struct expectation){"F32", f32, 0, NULL, NULL, NULL});
    /* Q4_K: four attn_v and an eighth of ffn_down get Q5_K. */
    static const struct choice fourth[] = {KEPT, {"output.weight", "Q6_K"}, {"*", "Q4_K"}, {0}};
    sketch.n_layer = 32;
    static const int first_4[] = {0, 1, 2, 3, -1};
    check_choice(&sketch, &(struct expectation){"Q4_K", fourth, 0, first_4, "Q5_K", "Q5_K"});
}

static void tied_embeddings_count_as_output(void **state)
{
    (void)state;
    struct sketch sketch = {"llama", 4, 0, 256, 512, false};
    static const struct choice q4[] = {KEPT, {"token_embd.weight", "Q6_K"}, {"*", "Q4_K"}, {0}};
    static const struct choice q40[] = {KEPT, {"token_embd.weight", "Q6_K"}, {"*", "Q4_0"}, {0}};
    check_choice(&sketch, &(struct expectation){"Q4_K_M", q4, 0, more_of_4, "Q6_K", "Q6_K"});
    check_choice(&sketch, &(struct expectation){"Q4_0", q40, 0, NULL, NULL, NULL});
}

static void rows_that_do_not_divide_fall_back(void **state)
{
    (void)state;
    /* As the default model: rows of 576, of ffn_down 1536. */
    struct sketch sketch = {"llama", 30, 0, 576, 1536, false};
    static const struct choice q4[] = {
        KEPT, {"token_embd.weight", "Q8_0"}, {"ffn_down.weight", "Q4_K"}, {"*", "Q5_0"}, {0}};
    static const struct choice q5[] = {
        KEPT, {"token_embd.weight", "Q8_0"}, {"ffn_down.weight", "Q5_K"}, {"*", "Q5_1"}, {0}};
    static const struct choice q6[] = {KEPT, {"ffn_down.weight", "Q6_K"}, {"*", "Q8_0"}, {0}};
    static const struct choice q40[] = {KEPT, {"token_embd.weight", "Q8_0"}, {"*", "Q4_0"}, {0}};
    static const struct choice q41[] = {KEPT, {"token_embd.weight", "Q8_0"}, {"*", "Q4_1"}, {0}};
    size_t n_layered = 30 * 6; /* attn_q k v output, ffn_gate up */
    check_choice(&sketch, &(struct expectation){"Q4_K_M", q4, n_layered, more_of_30, "Q8_0", "Q6_K"});
    check_choice(&sketch, &(struct expectation){"Q5_K_M", q5, n_layered, more_of_30, "Q8_0", "Q6_K"});
    check_choice(&sketch, &(struct expectation){"Q6_K", q6, n_layered, NULL, NULL, NULL});
    check_choice(&sketch, &(struct expectation){"Q4_0", q40, 1, NULL, NULL, NULL});
    check_choice(&sketch, &(struct expectation){"Q4_1", q41, 1, NULL, NULL, NULL});
    /* Not even 32 divides them. */
    static const struct choice f16[] = {KEPT, {"ffn_down.weight", "Q4_K"}, {"*", "F16"}, {0}};
    sketch = (struct sketch){"llama", 4, 0, 40, 512, true};
    check_choice(&sketch, &(struct expectation){"Q4_K_M", f16, 4 * 6 + 2, more_of_4, "F16", "Q6_K"});
}

static void experts_go_by_their_layer(void **state)
{
    (void)state;
    /* Widths of Qwen3-Coder-30B and of DeepSeek-V2-Lite, the latter's experts of 1408. */
    struct sketch qwen = {"qwen3moe", 30, 128, 2048, 768, true}, lite = {"deepseek2", 30, 64, 2048, 1408, true};
    static const struct choice q4[] = {KEPT, {"output.weight", "Q6_K"}, {"*", "Q4_K"}, {0}};
    static const struct choice q4_lite[] = {
        KEPT, {"output.weight", "Q6_K"}, {"ffn_down_exps.weight", "Q5_0"}, {"*", "Q4_K"}, {0}};
    check_choice(&qwen, &(struct expectation){"Q4_K_M", q4, 0, more_of_30, "Q6_K", "Q6_K"});
    check_choice(&lite, &(struct expectation){"Q4_K_M", q4_lite, 30, more_of_30, "Q6_K", "Q8_0"});
    /* Eight experts, Mixtral's number: attention is small beside them. */
    struct sketch mixtral = {"llama", 4, 8, 256, 512, true};
    static const struct choice q4_mixtral[] = {KEPT,
                                               {"output.weight", "Q6_K"},
                                               {"attn_v.weight", "Q8_0"},
                                               {"attn_k.weight", "Q8_0"},
                                               {"attn_output.weight", "Q5_K"},
                                               {"*", "Q4_K"},
                                               {0}};
    static const struct choice q40_mixtral[] = {
        KEPT, {"output.weight", "Q6_K"}, {"attn_v.weight", "Q8_0"}, {"attn_k.weight", "Q8_0"}, {"*", "Q4_0"}, {0}};
    check_choice(&mixtral, &(struct expectation){"Q4_K_M", q4_mixtral, 0, more_of_4, NULL, "Q6_K"});
    check_choice(&mixtral, &(struct expectation){"Q4_0", q40_mixtral, 0, NULL, NULL, NULL});
    /* 80 layers where heads share keys: attn_v at least Q5_K. */
    struct sketch large = {"llama", 80, 0, 256, 256, true};
    static const struct choice q4_large[] = {
        KEPT, {"output.weight", "Q6_K"}, {"attn_v.weight", "Q5_K"}, {"*", "Q4_K"}, {0}};
    static const int more_of_80[] = {0,  1,  2,  3,  4,  5,  6,  7,  8,  9,  12, 15, 18, 21, 24, 27, 30, 33, 36, 39, 42,
                                     45, 48, 51, 54, 57, 60, 63, 66, 69, 70, 71, 72, 73, 74, 75, 76, 77, 78, 79, -1};
    check_choice(&large, &(struct expectation){"Q4_K_M", q4_large, 0, more_of_80, "Q6_K", "Q6_K"});
}

static void models_must_say_what_they_are(void **state)
{
    (void)state;
    struct gguf_writer writer = {0};
    struct buffer bytes = {0};
    struct gguf *gguf;
    struct error error;
    enum quant_type types[4];
    size_t n_fallbacks;
    const struct quantize_mix *mix = quantize_mix_find("Q8_0");
    for (int step = 0; step < 3; step++) {
        if (step == 1)
            gguf_writer_text(&writer, "general.architecture", "llama");
        if (step == 2)
            gguf_writer_text(&writer, "llama.block_count", "four");
        gguf_writer_finish(&writer, &bytes);
        assert_int_equal(gguf_open_memory(bytes.data, bytes.size, &gguf, &error), STATUS_OK);
        assert_int_equal(quantize_choose(gguf, mix, types, &n_fallbacks, &error),
                         step < 2 ? STATUS_NOT_FOUND : STATUS_FORMAT);
        assert_non_null(strstr(error.text, step == 0 ? "general.architecture" : "llama.block_count"));
        gguf_close(gguf);
        buffer_clear(&bytes);
    }
    gguf_writer_deinit(&writer);
    buffer_deinit(&bytes);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(usual_numbers_come_back),
        cmocka_unit_test(odd_numbers_come_back),
        cmocka_unit_test(zeros_and_constants_stay),
        cmocka_unit_test(plain_types_round_once),
        cmocka_unit_test(blocks_become_themselves),
        cmocka_unit_test(what_is_too_large_is_told),
        cmocka_unit_test(only_some_types_are_made),
        cmocka_unit_test(errors_are_not_above_those_of_llama_cpp),
        cmocka_unit_test(rows_that_divide_get_what_was_asked),
        cmocka_unit_test(tied_embeddings_count_as_output),
        cmocka_unit_test(rows_that_do_not_divide_fall_back),
        cmocka_unit_test(experts_go_by_their_layer),
        cmocka_unit_test(models_must_say_what_they_are),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
