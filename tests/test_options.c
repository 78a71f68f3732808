/* test_options: the option table, the command line, the configuration. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "app/config.h"
#include "app/options.h"

/* ---- helpers ---- */

static const enum option_id listed[] = {OPTION_SPECIAL, OPTION_DECODE_IDS, OPTION_PREFILL};
enum { N_LISTED = sizeof listed / sizeof *listed, MAX_WORDS = 16 };

struct fixture {
    struct settings settings;
    struct command_line line;
    struct error error;
};

static enum status parse(struct fixture *fixture, const char *const *words)
{
    size_t n = 0;
    while (words[n])
        n++;
    fixture->error = (struct error){0};
    assert_int_equal(settings_init(&fixture->settings, &fixture->error), STATUS_OK);
    return command_line_parse(words, n, n, "try", listed, N_LISTED, &fixture->settings, &fixture->line,
                              &fixture->error);
}

#define WORDS(...) ((const char *const[]){__VA_ARGS__, NULL})

static void expect_failure(const char *const *words, const char *message)
{
    struct fixture fixture;
    assert_int_equal(parse(&fixture, words), STATUS_ARGUMENT);
    assert_string_equal(fixture.error.text, message);
    settings_deinit(&fixture.settings);
}

/* ---- the table ---- */

static void rows_are_complete(void **state)
{
    (void)state;
    for (int i = 0; i < OPTION_LIMIT; i++) {
        const struct option *row = option_row((enum option_id)i);
        assert_non_null(row->name);
        assert_non_null(row->help);
        assert_int_equal(row->kind == OPTION_FLAG, row->argument == NULL);
        assert_int_equal(row->kind == OPTION_CHOICE, row->choices != NULL);
        assert_true(row->offset < sizeof(struct settings));
        if (row->is_configurable)
            assert_int_not_equal(row->section, SECTION_COMMAND);
    }
}

static void names_and_letters_are_unique(void **state)
{
    (void)state;
    for (int i = 0; i < OPTION_LIMIT; i++)
        for (int k = 0; k < i; k++) {
            const struct option *a = option_row((enum option_id)i), *b = option_row((enum option_id)k);
            /* Two commands may use a name each in its own way; nobody else may. */
            bool may_share = a->section == SECTION_COMMAND && b->section == SECTION_COMMAND;
            assert_true(strcmp(a->name, b->name) != 0 || may_share);
            assert_true(!a->letter || a->letter != b->letter || may_share);
        }
}

static void initial_values_are_those_of_the_contract(void **state)
{
    (void)state;
    struct settings settings;
    assert_int_equal(settings_init(&settings, NULL), STATUS_OK);
    assert_null(settings.model);
    assert_int_equal(settings.context, 0);
    assert_int_equal(settings.kv, SETTING_KV_F16);
    assert_true(settings.temp == 0.7);
    assert_int_equal(settings.max_tokens, -1);
    assert_int_equal(settings.slice, 256);
    assert_int_equal(settings.prefill.n, 2);
    assert_int_equal(settings.prefill.items[0], 16);
    assert_int_equal(settings.depth.items[0], 0);
    for (int i = 0; i < OPTION_LIMIT; i++)
        assert_false(settings_is_given(&settings, (enum option_id)i));
    settings_deinit(&settings);
}

static void printed_values_are_read_back(void **state)
{
    (void)state;
    static const struct {
        enum option_id id;
        const char *text;
    } cases[] = {{OPTION_TEMP, "0.25"},   {OPTION_SEED, "9007199254740991"}, {OPTION_KV, "q8_0"},
                 {OPTION_QUIET, "yes"},   {OPTION_SYSTEM, "a\nb, c"},        {OPTION_DEPTH, "0,4096"},
                 {OPTION_COLOR, "never"}, {OPTION_MAX_TOKENS, "-1"},         {OPTION_LORA, "a.gguf:0.5"},
                 {OPTION_BACKEND, "cuda"}};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct settings settings;
        struct buffer printed = {0};
        assert_int_equal(settings_init(&settings, NULL), STATUS_OK);
        assert_int_equal(settings_store(&settings, cases[i].id, cases[i].text,
                                        (struct setting_source){ORIGIN_COMMAND_LINE, 0}, NULL),
                         STATUS_OK);
        settings_print(&settings, cases[i].id, &printed);
        assert_string_equal(buffer_text(&printed), cases[i].text);
        buffer_deinit(&printed);
        settings_deinit(&settings);
    }
}

/* ---- the command line ---- */

static void all_ways_to_write_an_option(void **state)
{
    (void)state;
    struct fixture fixture;
    assert_int_equal(parse(&fixture, WORDS("-c", "10", "-t2", "-n=5", "--temp", "0", "--top-p=0.5", "--seed", "7",
                                           "-qm", "x.gguf", "--special", "word", "--json=no", "--", "-c", "--temp")),
                     STATUS_OK);
    const struct settings *settings = &fixture.settings;
    assert_int_equal(settings->context, 10);
    assert_int_equal(settings->threads, 2);
    assert_int_equal(settings->max_tokens, 5);
    assert_true(settings->temp == 0 && settings->top_p == 0.5);
    assert_int_equal(settings->seed, 7);
    assert_true(settings->quiet && settings->special && !settings->json);
    assert_string_equal(settings->model, "x.gguf");
    assert_int_equal(fixture.line.n_arguments, 3);
    assert_string_equal(fixture.line.arguments[0], "word");
    assert_string_equal(fixture.line.arguments[1], "-c");
    assert_string_equal(fixture.line.arguments[2], "--temp");
    assert_int_equal(settings->sources[OPTION_TEMP].origin, ORIGIN_COMMAND_LINE);
    settings_deinit(&fixture.settings);
}

static void a_dash_alone_is_an_argument(void **state)
{
    (void)state;
    struct fixture fixture;
    assert_int_equal(parse(&fixture, WORDS("-", "--decode", "-")), STATUS_OK);
    assert_int_equal(fixture.line.n_arguments, 1);
    assert_string_equal(fixture.line.arguments[0], "-");
    assert_string_equal(fixture.settings.decode_ids, "-");
    settings_deinit(&fixture.settings);
}

static void the_optional_value_of_resume(void **state)
{
    (void)state;
    static const struct {
        const char *words[4];
        const char *resume;
        size_t n_arguments;
    } cases[] = {{{"--resume"}, "", 0},          {{"--resume", "12"}, "12", 0}, {{"--resume", "word"}, "", 1},
                 {{"--resume=word"}, "word", 0}, {{"--resume", "-q"}, "", 0},   {{"-q"}, NULL, 0}};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct fixture fixture;
        assert_int_equal(parse(&fixture, cases[i].words), STATUS_OK);
        if (cases[i].resume)
            assert_string_equal(fixture.settings.resume, cases[i].resume);
        else
            assert_null(fixture.settings.resume);
        assert_int_equal(fixture.line.n_arguments, cases[i].n_arguments);
        settings_deinit(&fixture.settings);
    }
}

static void several_adapters(void **state)
{
    (void)state;
    struct fixture fixture;
    assert_int_equal(parse(&fixture, WORDS("--lora", "a", "--lora=b:0.5")), STATUS_OK);
    assert_int_equal(fixture.settings.lora.n, 2);
    assert_string_equal(fixture.settings.lora.items[0], "a");
    assert_string_equal(fixture.settings.lora.items[1], "b:0.5");
    settings_deinit(&fixture.settings);
}

static void wrong_values_are_named(void **state)
{
    (void)state;
    static const struct {
        const char *option, *value;
    } wrong[] = {{"-n", "abc"},
                 {"-n", ""},
                 {"-n", "1x"},
                 {"-n", "99999999999999999999"},
                 {"-n", "-2"},
                 {"-n", " 1"},
                 {"-n", "+1"},
                 {"-n", "0x10"},
                 {"--temp", "-1"},
                 {"--temp", "nan"},
                 {"--temp", "inf"},
                 {"--temp", "0x1"},
                 {"--temp", "1e999"},
                 {"--temp", ""},
                 {"--temp", "1,5"},
                 {"--top-p", "1.01"},
                 {"--repeat-penalty", "0"},
                 {"-c", "-1"},
                 {"-t", "1025"},
                 {"--kv", "f64"},
                 {"--kv", ""},
                 {"--kv", "f16|q8_0"},
                 {"--backend", "gpu"},
                 {"--seed", "-1"},
                 {"--seed", "9007199254740992"},
                 {"--prefill", "0"},
                 {"--prefill", "1,,x"},
                 {"--prefill", ""},
                 {"--prefill", "99999999999999999999999"},
                 {"--slice", "0"}};
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
        struct fixture fixture;
        assert_int_equal(parse(&fixture, WORDS(wrong[i].option, wrong[i].value)), STATUS_ARGUMENT);
        assert_non_null(strstr(fixture.error.text, wrong[i].option));
        assert_null(strchr(fixture.error.text, '\n'));
        settings_deinit(&fixture.settings);
    }
}

static void messages_say_what_to_do(void **state)
{
    (void)state;
    expect_failure(WORDS("--temp", "-1"), "--temp: \"-1\" won't do (it takes a number from 0 to 100)");
    expect_failure(WORDS("-nabc"), "-n/--max-tokens: \"abc\" won't do (it takes a whole number from -1 to 2147483647)");
    expect_failure(WORDS("--kv", "x"), "--kv: \"x\" won't do (it is one of f16, q8_0, q4_0, f32)");
    expect_failure(WORDS("--quiet=maybe"), "-q/--quiet: \"maybe\" won't do (it takes yes or no)");
    expect_failure(WORDS("-m"), "-m/--model: its value is missing (it takes MODEL)");
    expect_failure(WORDS("--tmep", "1"), "--tmep: no such option (did you mean --temp?)");
    expect_failure(WORDS("--verion"), "--verion: no such option (did you mean --version?)");
    expect_failure(WORDS("--zzzzzzzz=1"), "--zzzzzzzz: no such option (fathom help try lists them)");
    expect_failure(WORDS("--top", "1"), "--top: not an option of try (fathom help try)");
    expect_failure(WORDS("-qZ"), "-Z: no such option (fathom help lists them)");
    expect_failure(WORDS("-p", "x"), "-p: not an option of try (fathom help try)");
}

static void a_long_unknown_option_is_no_trouble(void **state)
{
    (void)state;
    char word[5000];
    struct fixture fixture;
    memset(word, '-', sizeof word);
    word[sizeof word - 1] = 0;
    assert_int_equal(parse(&fixture, WORDS(word)), STATUS_ARGUMENT);
    settings_deinit(&fixture.settings);
}

static void the_command_is_the_first_word_that_is_no_value(void **state)
{
    (void)state;
    static const struct {
        const char *words[6];
        size_t index;
    } cases[] = {{{"eval"}, 0},
                 {{"-m", "model", "eval"}, 2},
                 {{"--model=x", "eval"}, 1},
                 {{"-q", "eval", "-m", "x"}, 1},
                 {{"-qm", "x", "eval"}, 2},
                 {{"-p", "text"}, 2},
                 {{"--", "eval"}, 2},
                 {{"--resume", "eval"}, 1},
                 {{"--resume", "17", "eval"}, 2},
                 {{"--json", "--top", "3", "eval"}, 3},
                 {{"-mx", "eval"}, 1},
                 {{NULL}, 0}};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        size_t n = 0, index = 99;
        while (n < 6 && cases[i].words[n])
            n++;
        command_line_find_word(cases[i].words, n, &index);
        assert_int_equal(index, cases[i].index);
    }
}

static void numbers_are_checked(void **state)
{
    (void)state;
    struct arena arena = {0};
    struct number_list list;
    struct error error;
    assert_int_equal(numbers_parse(" 1,2 ,\t3\n4,", 100, &arena, &list, &error), STATUS_OK);
    assert_int_equal(list.n, 4);
    assert_int_equal(list.items[3], 4);
    assert_int_equal(numbers_parse("", 100, &arena, &list, &error), STATUS_OK);
    assert_int_equal(list.n, 0);
    assert_int_equal(numbers_parse("100", 100, &arena, &list, &error), STATUS_OK);
    assert_int_equal(numbers_parse("101", 100, &arena, &list, &error), STATUS_ARGUMENT);
    assert_string_equal(error.text, "\"101\" is no number from 0 to 100");
    assert_int_equal(numbers_parse("1,-1", 100, &arena, &list, &error), STATUS_ARGUMENT);
    assert_int_equal(numbers_parse("9223372036854775808", INT64_MAX, &arena, &list, &error), STATUS_ARGUMENT);
    assert_int_equal(numbers_parse("9223372036854775807", INT64_MAX, &arena, &list, &error), STATUS_OK);
    assert_true(list.items[0] == INT64_MAX);
    arena_deinit(&arena);
}

static void distances(void **state)
{
    (void)state;
    assert_int_equal(words_distance("", ""), 0);
    assert_int_equal(words_distance("abc", ""), 3);
    assert_int_equal(words_distance("tmep", "temp"), 1);
    assert_int_equal(words_distance("kitten", "sitting"), 3);
    assert_int_equal(words_distance("help", "help"), 0);
    assert_int_equal(words_distance("aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa", "a"), 99);
    assert_true(words_are_near(1, "abcd"));
    assert_false(words_are_near(2, "abcd"));
    assert_true(words_are_near(3, "perplexity"));
}

/* ---- the configuration ---- */

static enum status configure(struct settings *settings, const char *text, struct error *error)
{
    assert_int_equal(settings_init(settings, NULL), STATUS_OK);
    return config_parse(settings, "config", text, strlen(text), error);
}

static void a_configuration_sets_values(void **state)
{
    (void)state;
    struct settings settings;
    struct error error = {0};
    assert_int_equal(configure(&settings,
                               "; a comment\nquiet = yes\n\n[sampling]\ntemp = 0.3 ; cool\ntop-k=5\n[chat]\n"
                               "system = Be brief.\n    Be kind.\n[model]\nlora = a\nlora = b\n",
                               &error),
                     STATUS_OK);
    assert_true(settings.quiet && settings.temp == 0.3);
    assert_int_equal(settings.top_k, 5);
    assert_string_equal(settings.system, "Be brief.\nBe kind.");
    assert_int_equal(settings.lora.n, 2);
    assert_int_equal(settings.sources[OPTION_TEMP].origin, ORIGIN_CONFIG);
    assert_int_equal(settings.sources[OPTION_TEMP].line, 5);
    assert_int_equal(settings.sources[OPTION_SYSTEM].line, 8);
    assert_int_equal(settings.sources[OPTION_SEED].origin, ORIGIN_DEFAULT);
    settings_deinit(&settings);
}

static void wrong_configurations_are_named_by_line(void **state)
{
    (void)state;
    static const struct {
        const char *text, *message;
    } cases[] = {
        {"quiet\n", "config:1: neither `key = value` nor [section]"},
        {"\n[model]\nthreds = 2\n", "config:3: threds: no such key (did you mean threads?)"},
        {"zzzzzzzz = 2\n", "config:1: zzzzzzzz: no such key (fathom config lists them)"},
        {"json = yes\n", "config:1: json: no such key (fathom config lists them)"},
        {"prompt = yes\n", "config:1: prompt: no such key (fathom config lists them)"},
        {"[model]\ntemp = 1\n", "config:2: temp: it belongs under [sampling]"},
        {"[nothing]\ntemp = 1\n", "config:2: [nothing]: no such section (there are model, sampling, chat, output, "
                                  "index, completion and server)"},
        {"temp = hot\n", "config:1: --temp: \"hot\" won't do (it takes a number from 0 to 100)"},
        {"quiet = yes\n  no\n", "config:2: quiet: its value takes one line"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct settings settings;
        struct error error = {0};
        assert_int_equal(configure(&settings, cases[i].text, &error), STATUS_FORMAT);
        assert_string_equal(error.text, cases[i].message);
        settings_deinit(&settings);
    }
}

static void long_lines_and_nul_bytes_are_refused(void **state)
{
    (void)state;
    char text[600] = "system = ";
    struct settings settings;
    struct error error = {0};
    memset(text + 9, 'x', sizeof text - 10);
    text[sizeof text - 1] = 0;
    assert_int_equal(configure(&settings, text, &error), STATUS_FORMAT);
    assert_non_null(strstr(error.text, "config:1: the line is too long"));
    settings_deinit(&settings);
    assert_int_equal(settings_init(&settings, NULL), STATUS_OK);
    assert_int_equal(config_parse(&settings, "config", "temp = 1\n\0 = 2\n", 15, &error), STATUS_FORMAT);
    assert_non_null(strstr(error.text, "config:2: there is a NUL byte"));
    settings_deinit(&settings);
}

static void stronger_places_win(void **state)
{
    (void)state;
    struct settings settings;
    struct command_line line;
    assert_int_equal(configure(&settings, "temp = 0.3\nlora = a\nthreads = 3\n", NULL), STATUS_OK);
    const char *const words[] = {"--temp", "0.9", "--lora", "b"};
    assert_int_equal(command_line_parse(words, 4, 4, NULL, NULL, 0, &settings, &line, NULL), STATUS_OK);
    assert_true(settings.temp == 0.9);
    assert_int_equal(settings.threads, 3);
    assert_int_equal(settings.lora.n, 1); /* a list is replaced, not added to */
    assert_string_equal(settings.lora.items[0], "b");
    assert_int_equal(settings.sources[OPTION_TEMP].origin, ORIGIN_COMMAND_LINE);
    assert_int_equal(settings.sources[OPTION_THREADS].origin, ORIGIN_CONFIG);
    settings_deinit(&settings);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(rows_are_complete),
        cmocka_unit_test(names_and_letters_are_unique),
        cmocka_unit_test(initial_values_are_those_of_the_contract),
        cmocka_unit_test(printed_values_are_read_back),
        cmocka_unit_test(all_ways_to_write_an_option),
        cmocka_unit_test(a_dash_alone_is_an_argument),
        cmocka_unit_test(the_optional_value_of_resume),
        cmocka_unit_test(several_adapters),
        cmocka_unit_test(wrong_values_are_named),
        cmocka_unit_test(messages_say_what_to_do),
        cmocka_unit_test(a_long_unknown_option_is_no_trouble),
        cmocka_unit_test(the_command_is_the_first_word_that_is_no_value),
        cmocka_unit_test(numbers_are_checked),
        cmocka_unit_test(distances),
        cmocka_unit_test(a_configuration_sets_values),
        cmocka_unit_test(wrong_configurations_are_named_by_line),
        cmocka_unit_test(long_lines_and_nul_bytes_are_refused),
        cmocka_unit_test(stronger_places_win),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
