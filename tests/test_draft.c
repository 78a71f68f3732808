/* Tests drafts without a model: which tokens are guessed, and, on a clock of our own, what they cost and save in worlds where
 * they pay, where they don't, and where the text changes its mind. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "engine/draft.h"
#include "engine/draft_cost.h"

enum { N_MOST = 20000, TOKEN_NS = 1000000 };

/* ---- worlds ---- */

typedef double time_fn(size_t n_tokens); /* of a slice, in times of one token */

static double free_of_charge(size_t n)
{
    (void)n;
    return 1;
}

static double cheap(size_t n)
{
    return 1 + 0.12 * (double)(n - 1);
}

/* As a mixture of experts: each token wakes others. */
static double middling(size_t n)
{
    return 1 + 0.5 * (double)(n - 1);
}

static double dear(size_t n)
{
    return (double)n;
}

static double ruinous(size_t n)
{
    return n == 1 ? 1 : 1.3 * (double)n;
}

static double in_steps(size_t n)
{
    return 1 + 0.5 * (double)((n - 1) / 4);
}

struct outcome {
    double speed; /* times that of one token after another */
    struct draft_counts counts;
};

static struct draft *open_draft(bool is_sparse)
{
    struct draft *draft = NULL;
    assert_int_equal(draft_new(N_MOST, is_sparse, &draft, NULL), STATUS_OK);
    return draft;
}

/* Goes through text as a session does, from n_prompt on; *spent is the time that its slices take, in tokens. */
static void go_through(struct draft *draft, const int32_t *text, size_t n_prompt, size_t n, time_fn *time,
                       double *spent)
{
    int32_t ahead[DRAFT_MAX];
    size_t n_ahead = 0, taken = 0;
    draft_follow(draft, text, n_prompt);
    for (size_t i = n_prompt; i < n; i++) {
        if (taken < n_ahead && ahead[taken] == text[i]) {
            draft_push(draft, text[i], true);
            taken++;
            continue;
        }
        draft_follow(draft, text, i);
        draft_push(draft, text[i], false);
        n_ahead = draft_propose(draft, ahead, DRAFT_MAX);
        taken = 0;
        double took = time(n_ahead + 1);
        *spent += took;
        draft_measured(draft, n_ahead, (uint64_t)(took * TOKEN_NS));
    }
}

static struct outcome outcome_of(const int32_t *text, size_t n_prompt, size_t n, time_fn *time, bool is_sparse)
{
    struct draft *draft = open_draft(is_sparse);
    double spent = 0;
    go_through(draft, text, n_prompt, n, time, &spent);
    struct outcome outcome = {(double)(n - n_prompt) / spent, draft_counts(draft)};
    draft_free(draft);
    return outcome;
}

static uint32_t next_random(uint64_t *seed)
{
    *seed = *seed * 6364136223846793005u + 1442695040888963407u; /* Knuth's MMIX */
    return (uint32_t)(*seed >> 33);
}

/* n tokens of a language in which some follow others often, so that short agreements come by chance. */
static void babble(int32_t *out, size_t n, uint64_t *seed)
{
    int32_t before = 0;
    for (size_t i = 0; i < n; i++) {
        bool is_usual = next_random(seed) % 4 != 0;
        before = out[i] =
            is_usual ? (before * 7 + (int32_t)(next_random(seed) % 3)) % 500 : (int32_t)(next_random(seed) % 500);
    }
}

/* A copy of n tokens in which every so often one is replaced, left out or put in. */
static size_t edit(int32_t *out, const int32_t *from, size_t n, uint32_t every, uint64_t *seed)
{
    size_t to = 0;
    for (size_t i = 0; i < n; i++) {
        uint32_t kind = next_random(seed) % every;
        if (kind == 0)
            out[to++] = 600 + (int32_t)(next_random(seed) % 50);
        if (kind == 1)
            continue;
        out[to++] = kind == 2 ? 600 + (int32_t)(next_random(seed) % 50) : from[i];
    }
    return to;
}

/* ---- what is guessed ---- */

/* Makes every draft pay, so that the guesses themselves show. */
static struct draft *open_eager(void)
{
    struct draft *draft = open_draft(false);
    for (size_t k = 0; k < 64; k++)
        for (size_t i = 1; i <= DRAFT_MAX + 1; i++)
            draft_measured(draft, i <= DRAFT_MAX ? i : 0, i <= DRAFT_MAX ? 1 : TOKEN_NS);
    return draft;
}

static void expect_guess(struct draft *draft, const int32_t *expected, size_t n)
{
    int32_t ids[DRAFT_MAX];
    size_t got = draft_propose(draft, ids, n < DRAFT_MAX ? n : DRAFT_MAX);
    assert_int_equal(got, n);
    assert_memory_equal(ids, expected, n * sizeof *ids);
}

static void guesses_what_followed_before(void **state)
{
    (void)state;
    struct draft *draft = open_eager();
    const int32_t text[] = {1, 2, 3, 4, 5, 6, 7, 8, 9, 1, 2, 3};
    draft_follow(draft, text, 12);
    expect_guess(draft, (const int32_t[]){4, 5, 6, 7}, 4);
    draft_push(draft, 4, false);
    expect_guess(draft, (const int32_t[]){5, 6, 7, 8, 9, 1, 2, 3, 4, 5}, 10); /* its own end included, and beyond */
    draft_free(draft);
}

static void nothing_is_guessed_of_what_is_new(void **state)
{
    (void)state;
    struct draft *draft = open_eager();
    int32_t ids[DRAFT_MAX];
    const int32_t text[] = {1, 2, 3, 4, 5, 6, 7, 8, 9, 2, 3};
    assert_int_equal(draft_propose(draft, ids, DRAFT_MAX), 0);
    draft_follow(draft, text, 0);
    assert_int_equal(draft_propose(draft, ids, DRAFT_MAX), 0);
    draft_follow(draft, text, 2);
    assert_int_equal(draft_propose(draft, ids, DRAFT_MAX), 0);
    draft_follow(draft, text, 11); /* two tokens that agree are too few */
    assert_int_equal(draft_propose(draft, ids, DRAFT_MAX), 0);
    draft_free(draft);
}

static void the_longest_agreement_wins_then_the_latest(void **state)
{
    (void)state;
    struct draft *draft = open_eager();
    const int32_t longest[] = {9, 1, 2, 3, 40, 41, 8, 1, 2, 3, 50, 51, 7, 9, 1, 2, 3};
    draft_follow(draft, longest, 17);
    expect_guess(draft, (const int32_t[]){40, 41}, 2);
    const int32_t latest[] = {9, 1, 2, 3, 40, 41, 8, 1, 2, 3, 50, 51, 7, 6, 1, 2, 3};
    draft_follow(draft, latest, 17);
    expect_guess(draft, (const int32_t[]){50, 51}, 2);
    draft_free(draft);
}

static void goes_on_behind_a_replaced_token(void **state)
{
    (void)state;
    struct draft *draft = open_eager();
    const int32_t text[] = {1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 70, 1, 2, 3, 4, 5, 6, 7};
    draft_follow(draft, text, 21);
    expect_guess(draft, (const int32_t[]){8, 9}, 2);
    draft_push(draft, 80, false);
    expect_guess(draft, (const int32_t[]){9, 10, 11}, 3);
    int32_t ids[DRAFT_MAX];
    draft_push(draft, 81, false);
    draft_push(draft, 82, false);
    draft_push(draft, 83, false); /* no trace of it any more */
    assert_int_equal(draft_propose(draft, ids, DRAFT_MAX), 0);
    draft_free(draft);
}

static void a_sequence_that_changes_is_followed(void **state)
{
    (void)state;
    struct draft *draft = open_eager();
    int32_t ids[DRAFT_MAX];
    const int32_t first[] = {1, 2, 3, 4, 5, 1, 2, 3}, second[] = {1, 2, 3, 6, 7, 1, 2, 3};
    draft_follow(draft, first, 8);
    expect_guess(draft, (const int32_t[]){4, 5}, 2);
    draft_follow(draft, second, 8); /* as long as before, and the same at its end */
    draft_follow(draft, second, 5);
    assert_int_equal(draft_propose(draft, ids, DRAFT_MAX), 0);
    draft_follow(draft, second, 8);
    expect_guess(draft, (const int32_t[]){6, 7}, 2);
    draft_follow(draft, second, 3);
    assert_int_equal(draft_propose(draft, ids, DRAFT_MAX), 0);
    draft_follow(draft, first, 8);
    expect_guess(draft, (const int32_t[]){4, 5}, 2);
    draft_free(draft);
}

static void references_are_guessed_from_until_forgotten(void **state)
{
    (void)state;
    struct draft *draft = open_eager();
    int32_t ids[DRAFT_MAX];
    const int32_t text[] = {20, 21, 22}, one[] = {20, 21, 22, 23, 24}, two[] = {30, 31, 32, 33};
    draft_follow(draft, text, 3);
    assert_int_equal(draft_refer(draft, one, 5, NULL), STATUS_OK);
    assert_int_equal(draft_refer(draft, two, 4, NULL), STATUS_OK);
    draft_follow(draft, text, 2);
    draft_follow(draft, text, 3);
    expect_guess(draft, (const int32_t[]){23, 24}, 2); /* and no token of the next text */
    const int32_t other[] = {5, 30, 31, 32};
    draft_follow(draft, other, 4);
    expect_guess(draft, (const int32_t[]){33}, 1);
    draft_forget(draft);
    draft_follow(draft, text, 3);
    assert_int_equal(draft_propose(draft, ids, DRAFT_MAX), 0);
    draft_free(draft);
}

static void references_without_end_are_bounded(void **state)
{
    (void)state;
    struct draft *draft = open_eager();
    int32_t *many = calloc(DRAFT_REFERENCES, sizeof *many);
    assert_non_null(many);
    for (int32_t i = 0; i < DRAFT_REFERENCES; i++)
        many[i] = i;
    for (int i = 0; i < 3; i++)
        assert_int_equal(draft_refer(draft, many, DRAFT_REFERENCES, NULL), STATUS_OK);
    draft_follow(draft, many + 100, 3);
    expect_guess(draft, (const int32_t[]){103, 104, 105}, 3);
    free(many);
    draft_free(draft);
}

/* ---- what it costs and saves ---- */

static int32_t text[N_MOST];

/* A file of n tokens, and its edited copy behind it. */
static size_t file_and_edit(size_t n, uint32_t every, uint64_t seed)
{
    babble(text, n, &seed);
    return n + edit(text + n, text, n, every, &seed);
}

static const struct {
    const char *name;
    time_fn *time;
    double least; /* speed for an edit every 40 tokens */
} worlds[] = {
    {"free", free_of_charge, 5}, {"cheap", cheap, 2.5}, {"steps", in_steps, 2.5},
    {"middling", middling, 1.1}, {"dear", dear, 0.97},  {"ruinous", ruinous, 0.97},
};

static void edits_are_copied_faster_where_that_pays(void **state)
{
    (void)state;
    for (size_t w = 0; w < sizeof worlds / sizeof *worlds; w++) {
        double worst = 1e9, sum = 0;
        for (uint64_t seed = 1; seed <= 20; seed++) {
            size_t n = file_and_edit(400, 120, seed); /* three kinds of edits in 120 tokens */
            struct outcome outcome = outcome_of(text, 400, n, worlds[w].time, seed % 2);
            worst = outcome.speed < worst ? outcome.speed : worst;
            sum += outcome.speed / 20;
        }
        print_message("  edits, slices %s: %.2f times as fast on average, %.3f at least\n", worlds[w].name, sum, worst);
        if (sum < worlds[w].least || worst < 0.97)
            fail_msg("slices %s: %.3f on average, %.3f at least", worlds[w].name, sum, worst);
    }
}

static void nothing_is_lost_where_nothing_repeats(void **state)
{
    (void)state;
    for (size_t w = 0; w < sizeof worlds / sizeof *worlds; w++) {
        double worst = 1e9;
        for (uint64_t seed = 1; seed <= 20; seed++)
            for (size_t n = 100; n <= 1600; n *= 2) {
                uint64_t state_of = seed;
                babble(text, 400 + n, &state_of);
                struct outcome outcome = outcome_of(text, 400, 400 + n, worlds[w].time, seed % 2);
                worst = outcome.speed < worst ? outcome.speed : worst;
            }
        print_message("  nothing repeats, slices %s: %.3f at least\n", worlds[w].name, worst);
        if (worst < 0.97)
            fail_msg("slices %s: %.3f", worlds[w].name, worst);
    }
}

/* A text that repeats itself up to the moment when a draft would be long, again and again. */
static void nothing_is_lost_to_a_text_that_lures(void **state)
{
    (void)state;
    for (size_t w = 0; w < sizeof worlds / sizeof *worlds; w++)
        for (size_t period = 4; period <= 64; period *= 2) {
            uint64_t seed = period;
            int32_t bait[64];
            babble(bait, period, &seed);
            size_t n = 0;
            while (n + period + 1 < 4000) {
                memcpy(text + n, bait, period * sizeof *bait);
                n += period;
                text[n++] = 700 + (int32_t)(next_random(&seed) % 1000);
            }
            struct outcome outcome = outcome_of(text, 100, n, worlds[w].time, false);
            print_message("  lured every %zu tokens, slices %s: %.3f\n", period, worlds[w].name, outcome.speed);
            if (outcome.speed < 0.97)
                fail_msg("every %zu tokens, slices %s: %.3f", period, worlds[w].name, outcome.speed);
        }
}

static void drafts_end_and_begin_with_the_repetition(void **state)
{
    (void)state;
    enum { FILE_SIZE = 600 };
    uint64_t seed = 3;
    struct draft *draft = open_draft(false);
    babble(text, FILE_SIZE, &seed);
    memmove(text + FILE_SIZE, text, FILE_SIZE * sizeof *text);
    babble(text + 2 * FILE_SIZE, FILE_SIZE, &seed);
    memmove(text + 3 * FILE_SIZE, text, FILE_SIZE * sizeof *text);
    double copied = 0, new = 0, again = 0;
    go_through(draft, text, FILE_SIZE, 2 * FILE_SIZE, cheap, &copied);
    go_through(draft, text, 2 * FILE_SIZE, 3 * FILE_SIZE, cheap, &new);
    go_through(draft, text, 3 * FILE_SIZE, 4 * FILE_SIZE, cheap, &again);
    print_message("  %d tokens copied, new, copied again: in the time of %.0f, %.0f, %.0f\n", FILE_SIZE, copied, new,
                  again);
    assert_true(copied < FILE_SIZE / 4.0 && again < FILE_SIZE / 4.0);
    assert_true(new < FILE_SIZE * 1.03);
    draft_free(draft);
}

/* A machine on which other work makes slices last up to three times as long now and then. */
static uint64_t noise_seed;

static double noisy(size_t n)
{
    double share = next_random(&noise_seed) % 1000 / 1000.0;
    return cheap(n) * (next_random(&noise_seed) % 10 == 0 ? 1 + 2 * share : 0.9 + 0.2 * share);
}

static void noise_is_borne(void **state)
{
    (void)state;
    double sum = 0;
    for (uint64_t seed = 1; seed <= 20; seed++) {
        noise_seed = seed;
        size_t n = file_and_edit(400, 120, seed);
        sum += outcome_of(text, 400, n, noisy, false).speed / 20;
    }
    print_message("  edits on a noisy machine: %.2f times as fast\n", sum);
    assert_true(sum > 1.8);
}

static void what_was_learnt_is_passed_on(void **state)
{
    (void)state;
    struct draft *first = open_draft(false), *second = open_draft(false), *third = open_draft(false);
    double spent = 0, taught = 0, untaught = 0;
    size_t n = file_and_edit(400, 120, 1);
    go_through(first, text, 400, n, cheap, &spent);
    n = file_and_edit(100, 120, 2);
    draft_learn_from(second, first);
    go_through(second, text, 100, n, cheap, &taught);
    go_through(third, text, 100, n, cheap, &untaught);
    print_message("  an edit of 100 tokens in the time of %.1f untaught, %.1f taught\n", untaught, taught);
    assert_true(taught < untaught);
    draft_free(first);
    draft_free(second);
    draft_free(third);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(guesses_what_followed_before),
        cmocka_unit_test(nothing_is_guessed_of_what_is_new),
        cmocka_unit_test(the_longest_agreement_wins_then_the_latest),
        cmocka_unit_test(goes_on_behind_a_replaced_token),
        cmocka_unit_test(a_sequence_that_changes_is_followed),
        cmocka_unit_test(references_are_guessed_from_until_forgotten),
        cmocka_unit_test(references_without_end_are_bounded),
        cmocka_unit_test(edits_are_copied_faster_where_that_pays),
        cmocka_unit_test(nothing_is_lost_where_nothing_repeats),
        cmocka_unit_test(nothing_is_lost_to_a_text_that_lures),
        cmocka_unit_test(drafts_end_and_begin_with_the_repetition),
        cmocka_unit_test(noise_is_borne),
        cmocka_unit_test(what_was_learnt_is_passed_on),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
