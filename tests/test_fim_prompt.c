/* fim/prompt.h: the budget, the windows, what is chosen, and what typing costs. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "fim/prompt.h"
#include "fim/window.h"
#include "tests/engine_fixture.h"

/* ---- texts ---- */

/* Functions of ten lines each, with the place where each begins. */
static void write_code(struct buffer *out, size_t n_functions, size_t *borders)
{
    for (size_t i = 0; i < n_functions; i++) {
        borders[i] = out->size;
        buffer_printf(out,
                      "/* Sums what the %zu-th table holds. */\n"
                      "static int sum_%zu(const struct table *table, int first)\n"
                      "{\n"
                      "    int total = first * %zu;\n"
                      "    for (int at = 0; at < table->n; at++) {\n"
                      "        total += table->items[at].weight_%zu;\n"
                      "    }\n"
                      "    return total;\n"
                      "}\n"
                      "\n",
                      i, i, i * 7, i);
    }
}

struct code {
    struct buffer text;
    size_t borders[60], behind[60], n_before, n_behind;
    struct fim_span signature;
    size_t at;
};

/* 600 lines, the cursor at the end of the 6th line of the function. */
static void write_place(struct code *code, size_t function)
{
    enum { N = 60 };
    *code = (struct code){0};
    write_code(&code->text, N, code->borders);
    char wanted[64];
    snprintf(wanted, sizeof wanted, ".weight_%zu;\n", function);
    code->at = (size_t)(strstr(code->text.data, wanted) - code->text.data) + strlen(wanted) - 1;
    for (size_t i = 0; i < N; i++)
        if (code->borders[i] > code->at)
            code->behind[code->n_behind++] = code->borders[i] - code->at;
        else
            code->n_before++;
    const char *head = strstr(code->text.data + code->borders[function], "static int");
    code->signature.begin = (size_t)(head - code->text.data);
    code->signature.end = (size_t)(strchr(head, '{') + 2 - code->text.data);
}

static struct fim_request request_of(const struct code *code, size_t budget)
{
    return (struct fim_request){
        .path = slice_from("src/table.c"),
        .prefix = {code->text.data, code->at},
        .suffix = {code->text.data + code->at, code->text.size - code->at},
        .prefix_line = 1,
        .prefix_borders = code->borders,
        .n_prefix_borders = code->n_before,
        .suffix_borders = code->behind,
        .n_suffix_borders = code->n_behind,
        .signatures = &code->signature,
        .n_signatures = 1,
        .budget = budget,
    };
}

enum { N_PIECES = 9 };
static void write_pieces(struct fim_piece pieces[N_PIECES], struct buffer texts[N_PIECES])
{
    static const char *const paths[] = {"src/b.h", "src/a.h", "lib/c.c"};
    for (size_t i = 0; i < N_PIECES; i++) {
        buffer_printf(&texts[i], "struct item_%zu {\n    int weight_%zu, first, second_%zu;\n};\n", i, i, i * 3);
        for (size_t k = 0; k < i; k++)
            buffer_printf(&texts[i], "int look_%zu_%zu(const struct item_%zu *item);\n", i, k, i);
        pieces[i] = (struct fim_piece){.path = slice_from(paths[i % 3]),
                                       .line = (uint32_t)(i * 50 + 1),
                                       .end_line = (uint32_t)(i * 50 + 3 + i),
                                       .text = {texts[i].data, texts[i].size},
                                       .why = "a test",
                                       .source = "definition",
                                       .worth = (double)(i * 5 % 7 + 1),
                                       .stable = i % 4 == 0};
    }
}

static void free_pieces(struct buffer texts[N_PIECES])
{
    for (size_t i = 0; i < N_PIECES; i++)
        buffer_deinit(&texts[i]);
}

static struct engine *open_marked(const char *shape)
{
    struct synth_shape own = *synth_shape_find(shape);
    own.n_ctx = 32768;
    return open_synth(&own, NULL, 2);
}

static struct fim_prompt *build(const struct engine *engine, const struct fim_format *format,
                                const struct fim_request *request)
{
    struct fim_prompt *prompt = NULL;
    struct error error = {0};
    if (fim_prompt_build(engine, format, request, &prompt, &error))
        fail_msg("%s", error.text);
    return prompt;
}

/* ---- tests ---- */

/* Never one over, for any place, form and budget; what is listed is what was rendered. */
static void test_budget(void **state)
{
    static const char *const shapes[] = {"qwen2", "lite-old"};
    static const size_t budgets[] = {64, 65, 100, 127, 333, 512, 1000, 1500, 2048, 4000, 9000, 40000};
    static const size_t functions[] = {0, 7, 30, 59};
    struct fim_piece pieces[N_PIECES];
    struct buffer texts[N_PIECES] = {{0}};
    (void)state;
    write_pieces(pieces, texts);
    for (size_t s = 0; s < sizeof shapes / sizeof *shapes; s++) {
        struct engine *engine = open_small(shapes[s], NULL, 1);
        struct fim_format format = fim_format_of(engine),
                          none = {.name = "none", .is_suffix_first = true, .marks = {-1, -1, -1, -1, -1, -1, -1}};
        assert_true(format.has_marks);
        for (size_t i = 0; i < 3 * sizeof budgets / sizeof *budgets * sizeof functions / sizeof *functions; i++) {
            struct code code;
            write_place(&code, functions[i / 3 % 4]);
            struct fim_request request = request_of(&code, budgets[i / 12]);
            request.pieces = pieces;
            request.n_pieces = N_PIECES;
            request.form = i % 3 == 1 ? FIM_SEEDED : FIM_PLAIN;
            struct fim_prompt *prompt = build(engine, i % 3 == 2 ? &none : &format, &request);
            assert_true(prompt->tokens.n <= request.budget);
            /* The room is used. */
            if (request.budget >= 333 && request.budget <= 4000)
                assert_true(prompt->tokens.n >= request.budget / 2);
            struct tokens again = {0};
            assert_int_equal(
                fim_format_render(engine, i % 3 == 2 ? &none : &format, &prompt->parts, &again, NULL, NULL, NULL),
                STATUS_OK);
            assert_int_equal(again.n, prompt->tokens.n);
            assert_memory_equal(again.ids, prompt->tokens.ids, again.n * sizeof *again.ids);
            size_t n_listed = 0;
            for (size_t k = 0; k < prompt->n_list; k++)
                n_listed += prompt->list[k].n_tokens;
            assert_int_equal(n_listed, prompt->tokens.n);
            tokens_deinit(&again);
            fim_prompt_free(prompt);
            buffer_deinit(&code.text);
        }
        engine_close(engine);
    }
    free_pieces(texts);
}

/* With fewer tokens than the marks take it says so. */
static void test_too_few(void **state)
{
    struct engine *engine = open_small("qwen2", NULL, 1);
    struct fim_format format = fim_format_of(engine);
    struct code code;
    struct fim_prompt *prompt = NULL;
    struct error error = {0};
    (void)state;
    write_place(&code, 3);
    for (size_t budget = 0; budget < 64; budget++) {
        struct fim_request request = request_of(&code, budget);
        enum status status = fim_prompt_build(engine, &format, &request, &prompt, &error);
        if (status == STATUS_OK)
            assert_true(prompt->tokens.n <= budget);
        else
            assert_int_equal(status, STATUS_RANGE);
        if (budget < 4)
            assert_int_equal(status, STATUS_RANGE);
        fim_prompt_free(prompt);
        prompt = NULL;
    }
    buffer_deinit(&code.text);
    engine_close(engine);
}

/* Windows begin and end where functions do, the signature of the enclosing one stays. */
static void test_windows(void **state)
{
    struct engine *engine = open_small("qwen2", NULL, 1);
    struct fim_format format = fim_format_of(engine);
    struct code code;
    (void)state;
    write_place(&code, 30);
    struct fim_request request = request_of(&code, 4000);
    struct fim_prompt *prompt = build(engine, &format, &request);
    assert_memory_equal(prompt->parts.prefix.data, "/* Sums what the ", 17);
    struct slice suffix = prompt->parts.suffix;
    assert_true(suffix.size > 600 && suffix.size < request.suffix.size);
    assert_memory_equal(suffix.data + suffix.size, "/* Sums what the ", 17);
    fim_prompt_free(prompt);
    /* A function far longer than the window: its head, then the last lines. */
    struct buffer text = {0};
    buffer_append_text(&text, "static int long_one(int wanted)\n{\n");
    size_t head = text.size, border = 0;
    for (int i = 0; i < 400; i++)
        buffer_printf(&text, "    wanted += %d;\n", i);
    struct fim_span signature = {0, head};
    request = (struct fim_request){.path = slice_from("long.c"),
                                   .prefix = {text.data, text.size},
                                   .prefix_line = 1,
                                   .prefix_borders = &border,
                                   .n_prefix_borders = 1,
                                   .signatures = &signature,
                                   .n_signatures = 1,
                                   .budget = 600};
    prompt = build(engine, &format, &request);
    assert_true(prompt->tokens.n <= 600);
    assert_memory_equal(prompt->parts.prefix.data, text.data, head);
    assert_memory_equal(prompt->parts.prefix.data + head, "    wanted += ", 14);
    assert_memory_equal(prompt->parts.prefix.data + prompt->parts.prefix.size - 15, "wanted += 399;\n", 15);
    fim_prompt_free(prompt);
    buffer_deinit(&text);
    buffer_deinit(&code.text);
    engine_close(engine);
}

/* What the windows or a chosen piece show doesn't come twice; the best are chosen, and stand in a stable order. */
static void test_choice(void **state)
{
    struct engine *engine = open_small("qwen2", NULL, 1);
    struct fim_format format = fim_format_of(engine);
    struct code code;
    struct fim_piece pieces[] = {
        {.path = {"z.h", 3}, .line = 4, .end_line = 4, .text = {"int zebra(void);\n", 17}, .why = "", .worth = 5},
        {.path = {"a.h", 3}, .line = 9, .end_line = 9, .text = {"int apple(void);\n", 17}, .why = "", .worth = 1},
        {.path = {"a.h", 3}, .line = 2, .end_line = 2, .text = {"int first(void);\n", 17}, .why = "", .worth = 2},
        {.path = {"b.h", 3}, .line = 1, .end_line = 1, .text = {"int zebra(void);\n", 17}, .why = "", .worth = 3},
        {.path = {"copy.c", 6}, .text = {"static int sum_30(const struct table *table, int first)\n", 56}, .worth = 9},
        {.path = {"src/table.c", 11}, .line = 301, .end_line = 310, .text = {"as it was\n", 10}, .worth = 9},
        {.path = {"m.h", 3}, .line = 1, .end_line = 1, .text = {"int map(void);\n", 15}, .worth = 0.1, .stable = true},
    };
    (void)state;
    write_place(&code, 30);
    for (size_t i = 0; i < sizeof pieces / sizeof *pieces; i++)
        pieces[i].why = "a test";
    struct fim_request request = request_of(&code, 3000);
    request.pieces = pieces;
    request.n_pieces = sizeof pieces / sizeof *pieces;
    struct fim_prompt *prompt = build(engine, &format, &request);
    assert_int_equal(prompt->parts.n_files, 3);
    assert_true(slice_equals(prompt->parts.files[0].text, "int map(void);\n"));
    assert_true(slice_equals(prompt->parts.files[1].text, "int first(void);\n\nint apple(void);\n"));
    assert_true(slice_equals(prompt->parts.files[2].text, "int zebra(void);\n"));
    assert_true(slice_equals(prompt->parts.files[2].path, "z.h"));
    assert_int_equal(prompt->n_left_out, 3);
    fim_prompt_free(prompt);
    buffer_deinit(&code.text);
    engine_close(engine);
}

/* One line of a megabyte, without any border; characters stay whole. */
static void test_long_line(void **state)
{
    struct engine *engine = open_small("qwen2", NULL, 1);
    struct fim_format format = fim_format_of(engine);
    struct buffer text = {0};
    (void)state;
    while (text.size < 1 << 20)
        buffer_append_text(&text, "\xc3\xa4\xe2\x82\xac\xf0\x9f\x98\x80x, ");
    for (size_t budget = 64; budget < 3000; budget += 517)
        for (size_t form = 0; form < 2; form++) {
            size_t at = text.size / 24 * 12;
            struct fim_request request = {.path = slice_from("long.txt"),
                                          .prefix = {text.data, at},
                                          .suffix = {text.data + at, text.size - at},
                                          .prefix_line = 1,
                                          .budget = budget,
                                          .form = form ? FIM_SEEDED : FIM_PLAIN};
            struct fim_prompt *prompt = build(engine, &format, &request);
            assert_true(prompt->tokens.n <= budget && prompt->tokens.n >= budget / 2);
            const struct slice parts[] = {prompt->parts.prefix, prompt->parts.suffix, prompt->parts.middle};
            for (size_t i = 0; i < 3; i++) {
                uint32_t code_point;
                for (size_t k = 0; k < parts[i].size;) {
                    int n = utf8_decode(parts[i].data + k, parts[i].size - k, &code_point);
                    assert_true(n > 0);
                    k += (size_t)n;
                }
            }
            fim_prompt_free(prompt);
        }
    buffer_deinit(&text);
    engine_close(engine);
}

/* ---- typing ---- */

static int by_size(const void *a, const void *b)
{
    size_t x = *(const size_t *)a, y = *(const size_t *)b;
    return (x > y) - (x < y);
}

static const char typed[] = "\n    int limit = first + table->n;\n    if (limit > total) {\n  ";

enum { KEYS = 60, TYPING_BUDGET = 10500, TYPING_CELLS = 10752 };

/* The logits of a session that has never seen anything else; to the bit where each token comes alone. */
static void compare_cold(struct engine *engine, struct session *session, const struct tokens *tokens, int32_t n_slice)
{
    struct session *cold = open_session(engine, (struct session_options){.n_ctx = TYPING_CELLS, .n_slice = n_slice});
    size_t n = (size_t)engine_n_vocab(engine);
    sync_all(cold, tokens, NULL);
    const float *warm = session_logits(session), *fresh = session_logits(cold);
    if (n_slice == 1)
        assert_memory_equal(warm, fresh, n * sizeof *warm);
    for (size_t i = 0; i < n; i++)
        assert_true(warm[i] - fresh[i] < 2e-3f && fresh[i] - warm[i] < 2e-3f);
    session_close(cold);
}

static size_t common(const struct tokens *a, const struct tokens *b)
{
    size_t n = 0;
    while (n < a->n && n < b->n && a->ids[n] == b->ids[n])
        n++;
    return n;
}

/* Types 60 characters; returns the median of the tokens evaluated for a keystroke after the first.  n_slice 0: nothing is
 * evaluated, the tokens that are not the last prompt's are counted. */
static size_t type(struct engine *engine, enum fim_form form, int32_t n_slice)
{
    struct fim_format format = fim_format_of(engine);
    struct fim_piece pieces[N_PIECES];
    struct buffer texts[N_PIECES] = {{0}}, text = {0};
    struct session *session = NULL;
    struct tokens last = {0};
    struct code code;
    size_t evaluated[KEYS], n_pieces = 0, n_lines = 0;
    if (n_slice)
        session = open_session(engine, (struct session_options){.n_ctx = TYPING_CELLS, .n_slice = n_slice});
    assert_true(sizeof typed - 1 >= KEYS);
    write_pieces(pieces, texts);
    write_place(&code, 28);
    for (size_t key = 0; key < KEYS; key++) {
        buffer_clear(&text);
        buffer_append(&text, code.text.data, code.at);
        buffer_append(&text, typed, key);
        buffer_append(&text, code.text.data + code.at, code.text.size - code.at);
        struct fim_request request = request_of(&code, TYPING_BUDGET);
        request.prefix = (struct slice){text.data, code.at + key};
        request.suffix = (struct slice){text.data + code.at + key, text.size - code.at - key};
        request.pieces = pieces;
        request.n_pieces = N_PIECES;
        request.form = form;
        struct fim_prompt *prompt = build(engine, &format, &request);
        assert_true(prompt->tokens.n <= TYPING_BUDGET);
        for (size_t i = 0; key == 0 && i < prompt->n_list; i++)
            n_pieces += prompt->list[i].piece ? prompt->list[i].n_tokens : 0;
        for (size_t i = 0; key == 0 && i < prompt->parts.suffix.size; i++)
            n_lines += prompt->parts.suffix.data[i] == '\n';
        struct sync_report report = {.n_evaluated = prompt->tokens.n - common(&last, &prompt->tokens)};
        if (session)
            sync_all(session, &prompt->tokens, &report);
        if (session && (key == KEYS / 2 || key == KEYS - 1))
            compare_cold(engine, session, &prompt->tokens, n_slice);
        evaluated[key] = report.n_evaluated;
        tokens_clear(&last);
        tokens_append_all(&last, prompt->tokens.ids, prompt->tokens.n);
        fim_prompt_free(prompt);
    }
    assert_true(n_pieces >= 2000);
    assert_true(n_lines >= 100);
    qsort(evaluated + 1, KEYS - 1, sizeof *evaluated, by_size);
    print_message(
        "# %s, %s form: %zu tokens of pieces, %zu lines behind; first %zu, then median %zu, 95 %% %zu, most %zu\n",
        engine_info(engine)->arch, form == FIM_SEEDED ? "seeded" : "plain", n_pieces, n_lines, evaluated[0],
        evaluated[KEYS / 2], evaluated[KEYS * 95 / 100], evaluated[KEYS - 1]);
    if (session)
        session_close(session);
    free_pieces(texts);
    tokens_deinit(&last);
    buffer_deinit(&text);
    buffer_deinit(&code.text);
    return evaluated[KEYS / 2];
}

static void test_typing(void **state)
{
    static const char *const shapes[] = {"qwen2", "lite-old"};
    (void)state;
    size_t n = test_slowness() > 1 ? 1 : sizeof shapes / sizeof *shapes; /* the second asks of numbers alone */
    for (size_t i = 0; i < n; i++) {
        struct engine *engine = open_marked(shapes[i]);
        assert_in_range(type(engine, FIM_SEEDED, i || test_slowness() > 1 ? 256 : 1), 1, 16);
        /* What it is for: the plain form reads all of the suffix again. */
        assert_true(type(engine, FIM_PLAIN, 0) > 1000);
        engine_close(engine);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_budget), cmocka_unit_test(test_too_few),   cmocka_unit_test(test_windows),
        cmocka_unit_test(test_choice), cmocka_unit_test(test_long_line), cmocka_unit_test(test_typing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
