/* cpu_move: cells to other positions, on the CPU.
 *
 * A key is a rotation by its position of what was computed, R(p) k, and rotations add up: R(p - d) k = R(-d) R(p) k.  So a
 * key's way to an earlier position is to be turned back by the difference, which is the same for all; magnitudes (YaRN) stay.
 * Values know no position.  What isn't rotated is copied as it is, byte for byte. */
#include "engine/cpu_private.h"
#include "engine/kvcache.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

struct move_job {
    struct kvcache *to;
    const struct kvcache *from;
    const struct cell_move *move;
    const struct cpu_kernels *kernels;
    enum rope_kind kind;
    int32_t n_rot;
    const float *cos_sin; /* (n_rot / 2, 2) of the turn */
};

/* The numbers x (n_rot) of one head. */
static void turn_back(const struct move_job *job, float *x)
{
    int32_t half = job->n_rot / 2;
    int32_t step = job->kind == ROPE_NEOX ? half : 1, stride = job->kind == ROPE_NEOX ? 1 : 2;
    for (int32_t i = 0; i < half; i++) {
        float *a = x + i * stride, *b = a + step, c = job->cos_sin[2 * i], s = job->cos_sin[2 * i + 1];
        float first = *a * c - *b * s;
        *b = *a * s + *b * c;
        *a = first;
    }
}

/* Only the blocks that hold something rotated are unpacked and packed again. */
static void turn_key(const struct move_job *job, unsigned char *key, float *numbers)
{
    const struct quant_info *info = quant_info(job->to->type);
    const struct cell_move *move = job->move;
    int32_t block = (int32_t)info->block_elements;
    for (int32_t head = 0; head < move->n_heads; head++) {
        int32_t first = head * move->width + move->first_rotated, begin = first / block * block;
        int32_t n = (first + job->n_rot + block - 1) / block * block - begin;
        unsigned char *at = key + kv_row_bytes(job->to->type, begin);
        info->unpack(at, numbers, (size_t)n);
        turn_back(job, numbers + (first - begin));
        job->kernels->pack_cell(job->to->type, at, numbers, n);
    }
}

/* Whole layers for each thread: cells of one layer move one after another, since they may move within one cache. */
static void move_layers(void *context, int thread, int n_threads)
{
    const struct move_job *job = context;
    const struct cell_move *move = job->move;
    size_t k = job->to->k_row_bytes, v = job->to->v_row_bytes, from = (size_t)move->from, to = (size_t)move->to;
    float numbers[MODEL_MAX_HEAD_WIDTH + 64];
    for (int32_t layer = thread; layer < job->to->n_layer; layer += n_threads) {
        unsigned char *keys = kvcache_keys(job->to, layer);
        memmove(keys + to * k, kvcache_keys(job->from, layer) + from * k, (size_t)move->n * k);
        for (int32_t i = 0; i < move->n; i++)
            turn_key(job, keys + (to + (size_t)i) * k, numbers);
        if (job->to->v_elements)
            memmove(kvcache_values(job->to, layer) + to * v, kvcache_values(job->from, layer) + from * v,
                    (size_t)move->n * v);
    }
}

void cpu_kv_move(struct backend *backend, struct kvcache *to, const struct kvcache *from, const struct cell_move *move,
                 const struct rope_settings *rope)
{
    struct cpu_backend *cpu = cpu_of(backend);
    int32_t n_rot = rope->hparams->n_rot;
    float *cos_sin = malloc((size_t)n_rot * sizeof *cos_sin);
    if (!cos_sin) {
        cpu->out_of_memory = true;
        return;
    }
    for (int32_t i = 0; i < n_rot / 2; i++) {
        double angle = (double)(move->to - move->from) * cpu_rope_frequency(rope, i);
        cos_sin[2 * i] = (float)cos(angle);
        cos_sin[2 * i + 1] = (float)sin(angle);
    }
    struct move_job job = {to, from, move, cpu->kernels, rope->kind, n_rot, cos_sin};
    thread_pool_run(cpu->pool, move_layers, &job);
    free(cos_sin);
}
