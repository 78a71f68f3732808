/* fake_engine: a small scripted model behind the engine's contract, for tests of what stands on the engine.
 *
 * Vocabulary: ids 0..255 are the bytes; FAKE_BOS, FAKE_TURN ("<|im_start|>", control), FAKE_END ("<|im_end|>", ends a turn)
 * and FAKE_PAIR ("he", a plain token of two bytes, never given by tokenisation).  Chat template: ChatML, by the real renderer.
 *
 * After every session_sync the model gives the next of the scripted answers, byte by byte, then FAKE_END: the wanted token
 * has logit 10, the byte after it 9, every other 0.  So any sampling at temperature 0 is exact, and log-probabilities can
 * be worked out by hand.  Sampler, streams and templates are the real ones.
 *
 * A saved session is a file of its tokens, each a line of digits.
 *
 * Tests that link it are named tests/test_app_*.c; it stands in for the real engine there. */
#ifndef FATHOM_TESTS_FAKE_ENGINE_H
#define FATHOM_TESTS_FAKE_ENGINE_H

#include "engine/engine.h"

enum { FAKE_BOS = 256, FAKE_TURN, FAKE_END, FAKE_PAIR, FAKE_N_VOCAB };

struct fake_engine {
    /* What the test sets.  All zero is a model that answers "ok" to everything at once. */
    const char *const *answers; /* the i-th sync is answered by answers[i]; the last one stays */
    size_t n_answers;
    bool adds_bos;
    int32_t default_context;     /* 0: 4096 */
    unsigned prefill_us;         /* time one token of a prompt takes */
    unsigned decode_us;          /* time one more token takes */
    enum status open_status;     /* what engine_open, model_info_read and vocabulary_open give where not OK */
    enum status sync_status;     /* what session_sync gives where not OK */
    const char *key;             /* session_key; NULL: "fake" */
    size_t append_fails_after;   /* session_append fails with STATUS_NUMERIC after so many; 0: never */
    void (*on_append)(size_t n); /* called after the n-th append since the sync: a test may set its cancel flag there */
    void (*on_slice)(size_t done); /* called after each slice of a prompt */

    /* What the test reads. */
    size_t n_opened, n_syncs, n_reused, n_evaluated, n_saves, n_restores, n_shifts;
    struct tokens last_sync; /* the ids of the last session_sync */
};

/* The one script.  A double has no other way in: the functions' signatures are the engine's. */
extern struct fake_engine fake_engine;

/* Everything back to zero; frees last_sync. */
void fake_engine_reset(void);

#endif
