/* test_app_commands: the non-chat commands, on the scripted model of fake_engine. */
#include <setjmp.h>
#include <stdarg.h>
#include <errno.h>
#include <fcntl.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cjson/cJSON.h>
#include <cmocka.h>

#include "app/command.h"
#include "app/config.h"
#include "app/machine.h"
#include "app/manual.h"
#include "tests/command_fixture.h"

/* Makes stdin give bytes. */
static void set_stdin(const char *bytes, size_t size)
{
    FILE *file = tmpfile();
    assert_non_null(file);
    assert_int_equal(fwrite(bytes, 1, size, file), size);
    assert_int_equal(fflush(file), 0);
    assert_int_equal(lseek(fileno(file), 0, SEEK_SET), 0);
    assert_int_equal(dup2(fileno(file), STDIN_FILENO), STDIN_FILENO);
    fclose(file);
}

/* ---- tokenize ---- */

static void tokenize_prints_one_line(void **state)
{
    (void)state;
    expect_output(WORDS("tokenize", "abc"), "97 98 99\n");
    expect_output(WORDS("tokenize", ""), "\n");
    expect_output(WORDS("tokenize", "--", "-a"), "45 97\n");
}

static void tokenize_keeps_control_tokens_out(void **state)
{
    (void)state;
    fake_engine.adds_bos = true; /* and no BOS is put first */
    expect_output(WORDS("tokenize", "<|im_end|>"), "60 124 105 109 95 101 110 100 124 62\n");
    expect_output(WORDS("tokenize", "--special", "<|im_end|>"), "258\n");
}

static void tokenize_reads_every_byte_of_stdin(void **state)
{
    (void)state;
    set_stdin("a\0\xff\n", 4);
    expect_output(WORDS("tokenize"), "97 0 255 10\n");
    set_stdin("", 0);
    expect_output(WORDS("tokenize", "-"), "\n");
}

static void tokenize_json_stays_utf8(void **state)
{
    (void)state;
    set_stdin("a\"\0\xc3\xa9\x1b", 6);
    expect_output(
        WORDS("tokenize", "--json"),
        "{\"ids\":[97,34,0,195,169,27],\"pieces\":[\"a\",\"\\\"\",\"\\u0000\",\"\xef\xbf\xbd\",\"\xef\xbf\xbd\","
        "\"\\u001b\"],\"bytes\":{\"3\":\"c3\",\"4\":\"a9\"}}\n");
    expect_output(WORDS("tokenize", "--json", "a"), "{\"ids\":[97],\"pieces\":[\"a\"]}\n");
    expect_output(WORDS("tokenize", "--json", ""), "{\"ids\":[],\"pieces\":[]}\n");
}

static void tokenize_decodes(void **state)
{
    (void)state;
    expect_output(WORDS("tokenize", "--decode", "259,108 108,\n111"), "hello");
    expect_output(WORDS("tokenize", "--decode", "97,258"), "a");
    expect_output(WORDS("tokenize", "--decode", "97,258", "--special"), "a<|im_end|>");
    expect_output(WORDS("tokenize", "--decode", "195"), "\xc3");
    expect_output(WORDS("tokenize", "--decode", ""), "");
    expect_output(WORDS("tokenize", "--decode", "259", "--json"), "{\"ids\":[259],\"pieces\":[\"he\"]}\n");
    set_stdin("97 98\n", 6);
    expect_output(WORDS("tokenize", "--decode", "-"), "ab");
    expect_failure(WORDS("tokenize", "--decode", "97,260"), EXIT_USAGE,
                   "fathom: --decode: \"260\" is no number from 0 to 259 (ids are those of this model's vocabulary)\n");
    expect_failure(WORDS("tokenize", "--decode", "-1"), EXIT_USAGE,
                   "fathom: --decode: \"-1\" is no number from 0 to 259 (ids are those of this model's vocabulary)\n");
    expect_failure(WORDS("tokenize", "--decode", "1", "text"), EXIT_USAGE,
                   "fathom: tokenize: --decode takes no text beside the ids\n");
}

/* ---- eval ---- */

static void eval_prints_the_most_likely(void **state)
{
    (void)state;
    static const char *const answers[] = {"\n"};
    fake_engine.answers = answers;
    fake_engine.n_answers = 1;
    /* log(e^10 + e^9 + 258): logits 10, 9 and 258 times 0. */
    double sum = log(exp(10) + exp(9) + 258);
    struct result result = RUN("eval", "--tokens", "104,105", "--top", "3", "--json");
    assert_int_equal(result.status, EXIT_DONE);
    assert_int_equal((int)number(result.json, "n_vocab"), FAKE_N_VOCAB);
    const cJSON *top = cJSON_GetObjectItem(result.json, "top");
    assert_int_equal(cJSON_GetArraySize(top), 3);
    assert_int_equal((int)number(cJSON_GetArrayItem(top, 0), "id"), 10);
    assert_string_equal(text(cJSON_GetArrayItem(top, 0), "piece"), "\n");
    assert_true(fabs(number(cJSON_GetArrayItem(top, 0), "logprob") - (10 - sum)) < 1e-5);
    assert_int_equal((int)number(cJSON_GetArrayItem(top, 1), "id"), 11);
    assert_true(fabs(number(cJSON_GetArrayItem(top, 1), "logprob") - (9 - sum)) < 1e-5);
    assert_int_equal((int)number(cJSON_GetArrayItem(top, 2), "id"), 0); /* the lowest id among equals */
    assert_int_equal(fake_engine.last_sync.n, 2);
    assert_int_equal(fake_engine.last_sync.ids[1], 105);
    release(&result);
    result = RUN("eval", "--tokens", "1", "--top", "2");
    assert_string_equal(buffer_text(&result.out.pending), "      10     -0.3218   72.485 %  \"\\n\"\n"
                                                          "      11     -1.3218   26.666 %  \"\\u000b\"\n");
    release(&result);
}

static void eval_gives_at_most_the_vocabulary(void **state)
{
    (void)state;
    struct result result = RUN("eval", "--tokens", "1", "--top", "2147483647", "--json");
    assert_int_equal(cJSON_GetArraySize(cJSON_GetObjectItem(result.json, "top")), FAKE_N_VOCAB);
    release(&result);
}

static void eval_refuses_what_makes_no_sense(void **state)
{
    (void)state;
    expect_failure(WORDS("eval"), EXIT_USAGE, "fathom: eval: no tokens (name them: --tokens 1,2,3)\n");
    expect_failure(WORDS("eval", "--tokens", ""), EXIT_USAGE,
                   "fathom: --tokens: the list is empty (it takes at least one id)\n");
    expect_failure(WORDS("eval", "--tokens", "260"), EXIT_USAGE,
                   "fathom: --tokens: \"260\" is no number from 0 to 259 (ids are those of this model's vocabulary)\n");
    expect_failure(WORDS("eval", "--tokens", "1", "--lora", "a.gguf:inf"), EXIT_USAGE,
                   "fathom: --lora: a.gguf:inf: the scale is not a number\n");
    expect_failure(WORDS("eval", "--tokens", "1,2", "-c", "1"), EXIT_FAILED,
                   "fathom: 2 tokens do not fit a context of 1\n");
    fake_engine.sync_status = STATUS_NUMERIC;
    expect_failure(WORDS("eval", "--tokens", "1"), EXIT_FAILED, "fathom: scripted failure\n");
    fake_engine.sync_status = STATUS_CANCELLED;
    expect_failure(WORDS("eval", "--tokens", "1"), EXIT_INTERRUPTED, "");
}

/* ---- perplexity ---- */

static char text_path[] = "/tmp/fathom-test-text-XXXXXX";

static void write_text(const char *content)
{
    FILE *file = fopen(text_path, "w");
    assert_non_null(file);
    fputs(content, file);
    assert_int_equal(fclose(file), 0);
}

/* The scripted model gives the byte after the last one logit 10, all others 0. */
static void perplexity_follows_its_definition(void **state)
{
    (void)state;
    double sum = log(exp(10) + 259), good = sum - 10, bad = sum;
    /* Chunks of 4: "abcd", "efxy"; "z" is left over.  Scored: the token after position 2 of each: d and y, both good. */
    write_text("abcdefxyz");
    struct result result = RUN("perplexity", "-f", text_path, "-c", "4", "--json");
    assert_int_equal(result.status, EXIT_DONE);
    assert_int_equal((int)number(result.json, "n_scored"), 2);
    assert_true(fabs(number(result.json, "nll") - good) < 1e-6);
    assert_true(fabs(number(result.json, "ppl") - exp(good)) < 1e-5);
    release(&result);
    /* Chunks of 6: "abcdxf": position 3 -> x is bad, 4 -> f is bad. */
    write_text("abcdxf");
    result = RUN("perplexity", "-f", text_path, "-c", "6", "--json");
    assert_int_equal((int)number(result.json, "n_scored"), 2);
    assert_true(fabs(number(result.json, "nll") - bad) < 1e-6);
    release(&result);
    result = RUN("perplexity", "-f", text_path, "-c", "6");
    assert_string_equal(buffer_text(&result.out.pending),
                        "ppl 22285.4658  nll 10.011690  (2 tokens scored, in 1 chunk of 6)\n");
    release(&result);
}

static void perplexity_puts_bos_first_in_every_chunk(void **state)
{
    (void)state;
    fake_engine.adds_bos = true;
    /* BOS a b c | d e f g -> BOS e f g: the second chunk's d is replaced, so c's and g's scores stay. */
    write_text("abcdefg");
    struct result result = RUN("perplexity", "-f", text_path, "-c", "4", "--json");
    assert_int_equal((int)number(result.json, "n_scored"), 2);
    assert_int_equal((int)number(result.json, "n_chunks"), 2);
    assert_true(fabs(number(result.json, "nll") - (log(exp(10) + 259) - 10)) < 1e-6);
    release(&result);
}

static void perplexity_refuses_what_it_cannot_score(void **state)
{
    (void)state;
    char line[256];
    expect_failure(WORDS("perplexity"), EXIT_USAGE, "fathom: perplexity: no text (name it: -f FILE, - is stdin)\n");
    expect_failure(WORDS("perplexity", "-f", "/nonexistent/text"), EXIT_FAILED,
                   "fathom: /nonexistent/text: No such file or directory\n");
    write_text("abc");
    snprintf(line, sizeof line, "fathom: %s: its 3 tokens don't fill a chunk of 512 (choose a smaller one by -c)\n",
             text_path);
    expect_failure(WORDS("perplexity", "-f", text_path), EXIT_FAILED, line);
    expect_failure(WORDS("perplexity", "-f", text_path, "-c", "3"), EXIT_USAGE,
                   "fathom: -c/--context: a chunk has at least 4 tokens\n");
    write_text("abcdefgh");
    atomic_store(&cancel, true);
    expect_failure(WORDS("perplexity", "-f", text_path, "-c", "4"), EXIT_INTERRUPTED, "");
}

/* ---- info, models, config ---- */

static void info_gives_the_contracts_keys(void **state)
{
    (void)state;
    struct result result = RUN("info", "--json", "-c", "100", model_path);
    assert_string_equal(text(result.json, "path"), model_path);
    assert_string_equal(text(result.json, "arch"), "llama");
    assert_string_equal(text(result.json, "template"), "chatml");
    assert_int_equal((int)number(result.json, "n_params"), 1000000);
    assert_int_equal((int)number(result.json, "n_active"), 1000000);
    assert_int_equal((int)number(result.json, "bytes"), 2000000);
    assert_int_equal((int)number(result.json, "n_ctx_train"), 8192);
    assert_int_equal((int)number(cJSON_GetObjectItem(result.json, "quants"), "F16"), 12);
    assert_true(cJSON_IsFalse(cJSON_GetObjectItem(result.json, "fim")));
    assert_int_equal((int)number(result.json, "n_layer"), 2);
    const cJSON *memory = cJSON_GetObjectItem(result.json, "memory");
    assert_int_equal((int)number(memory, "kv"), 102400);
    assert_true(cJSON_IsTrue(cJSON_GetObjectItem(memory, "fits")));
    assert_non_null(strstr(buffer_text(&result.out.pending), "\"n_layer\":2,\"rope_theta\":10000.5"));
    release(&result);
    /* 4 GB are free; 8192 tokens of 2 kB and the weights fit, 16 million tokens don't. */
    result = RUN("info", "--kv", "f32", "-c", "16777216");
    assert_non_null(strstr(buffer_text(&result.out.pending), "fits here     no: 4.00 GB is available now\n"));
    release(&result);
    expect_failure(WORDS("info", "/nonexistent/m.gguf"), EXIT_FAILED,
                   "fathom: /nonexistent/m.gguf: no such file (fathom models lists what is here)\n");
}

static void config_says_where_values_come_from(void **state)
{
    (void)state;
    struct result result = RUN("config", "--json", "--temp", "0.25", "--quiet");
    const cJSON *all = cJSON_GetObjectItem(result.json, "settings");
    assert_true(number(cJSON_GetObjectItem(all, "temp"), "value") == 0.25);
    assert_string_equal(text(cJSON_GetObjectItem(all, "temp"), "from"), "command line");
    assert_string_equal(text(cJSON_GetObjectItem(all, "top-k"), "from"), "default");
    assert_true(cJSON_IsTrue(cJSON_GetObjectItem(cJSON_GetObjectItem(all, "quiet"), "value")));
    assert_true(cJSON_IsNull(cJSON_GetObjectItem(cJSON_GetObjectItem(all, "seed"), "value")));
    release(&result);
    expect_output(WORDS("config", "temp", "--temp", "0.5"), "0.5\n");
    expect_failure(WORDS("config", "nothing"), EXIT_USAGE, "fathom: nothing: no such key (fathom config lists them)\n");
}

/* What config prints is a configuration that gives the same settings. */
static void config_output_is_a_configuration(void **state)
{
    (void)state;
    struct result result = RUN("config", "--temp", "0.25", "--system", "one\ntwo", "--seed", "5", "--kv", "f32",
                               "--lora", "a", "--lora", "b:2");
    struct settings settings;
    struct error error = {0};
    assert_int_equal(settings_init(&settings, NULL), STATUS_OK);
    enum status status =
        config_parse(&settings, "config", buffer_text(&result.out.pending), result.out.pending.size, &error);
    assert_string_equal(error.text, "");
    assert_int_equal(status, STATUS_OK);
    assert_true(settings.temp == 0.25);
    assert_string_equal(settings.system, "one\ntwo");
    assert_int_equal(settings.seed, 5);
    assert_int_equal(settings.kv, SETTING_KV_F32);
    assert_string_equal(settings.model, model_path);
    assert_int_equal(settings.lora.n, 2);
    assert_string_equal(settings.lora.items[1], "b:2");
    settings_deinit(&settings);
    release(&result);
}

/* ---- failures ---- */

static void a_model_that_fails_is_one_line(void **state)
{
    (void)state;
    static const char *const commands[][4] = {
        {"eval", "--tokens", "1", NULL}, {"bench", NULL}, {"info", NULL}, {"tokenize", "x", NULL}};
    char line[256];
    snprintf(line, sizeof line, "fathom: %s: scripted failure\n", model_path);
    fake_engine.open_status = STATUS_FORMAT;
    for (size_t i = 0; i < sizeof commands / sizeof *commands; i++)
        expect_failure(commands[i], EXIT_FAILED, line);
}

static void a_failure_shows_control_bytes(void **state)
{
    (void)state;
    expect_failure(WORDS("info", "/tmp/\x1b[31m\xc2\x9b.gguf"), EXIT_FAILED,
                   "fathom: /tmp/?[31m<U+009B>.gguf: no such file (fathom models lists what is here)\n");
}

static void a_reader_that_left_is_no_failure(void **state)
{
    (void)state;
    struct settings settings;
    struct progress progress;
    struct output out = {.fd = -1, .failure = EPIPE}, err = {.fd = -1};
    struct error error = {STATUS_IO, "it broke"};
    assert_int_equal(settings_init(&settings, NULL), STATUS_OK);
    progress_init(&progress, -1, PROGRESS_NONE);
    struct command_context context = {
        .settings = &settings, .out = &out, .err = &err, .cancel = &cancel, .progress = &progress};
    assert_int_equal(command_fail(&context, &error, NULL), EXIT_DONE);
    assert_int_equal(err.pending.size, 0);
    out.failure = ENOSPC;
    assert_int_equal(command_fail(&context, &error, "buy a disk"), EXIT_FAILED);
    assert_string_equal(buffer_text(&err.pending), "fathom: it broke (buy a disk)\n");
    progress_deinit(&progress);
    settings_deinit(&settings);
    output_deinit(&out);
    output_deinit(&err);
}

/* ---- help ---- */

static void expect_width(const char *text_to_check, size_t width)
{
    for (const char *line = text_to_check; *line;) {
        size_t size = strcspn(line, "\n");
        assert_in_range(size, 0, width);
        assert_true(size == 0 || line[size - 1] != ' ');
        line += size + (line[size] == '\n');
    }
}

static void help_keeps_to_80_columns(void **state)
{
    (void)state;
    struct result result = RUN("help");
    expect_width(buffer_text(&result.out.pending), 80);
    for (size_t i = 0; command_at(i); i++) {
        const char *name = *command_at(i)->name == '-' ? "prompt" : command_at(i)->name;
        assert_non_null(strstr(buffer_text(&result.out.pending), command_at(i)->summary));
        struct result page = RUN("help", name);
        assert_int_equal(page.status, EXIT_DONE);
        expect_width(buffer_text(&page.out.pending), 80);
        release(&page);
    }
    release(&result);
    result = RUN("help", "options");
    expect_width(buffer_text(&result.out.pending), 80);
    for (int i = 0; i < OPTION_LIMIT; i++)
        if (option_is_global((enum option_id)i))
            assert_non_null(strstr(buffer_text(&result.out.pending), option_row((enum option_id)i)->name));
    release(&result);
    expect_failure(WORDS("help", "tokenise"), EXIT_USAGE,
                   "fathom: help: there is no command tokenise (did you mean tokenize?)\n");
}

static void every_format_names_every_command_and_option(void **state)
{
    (void)state;
    static const char *const formats[] = {"man", "bash", "zsh", "fish"};
    for (size_t f = 0; f < sizeof formats / sizeof *formats; f++) {
        struct result result = RUN("help", "--format", formats[f]);
        const char *page = buffer_text(&result.out.pending);
        assert_int_equal(result.status, EXIT_DONE);
        for (size_t i = 0; command_at(i); i++)
            if (*command_at(i)->name != '-')
                assert_non_null(strstr(page, command_at(i)->name));
        for (int i = 0; i < OPTION_LIMIT; i++) {
            char name[64] = {0};
            const char *option = option_row((enum option_id)i)->name;
            for (size_t k = 0; *option; option++) { /* the man page writes a hyphen as \- */
                if (*option == '-' && f == 0)
                    name[k++] = '\\';
                name[k++] = *option;
            }
            assert_non_null(strstr(page, name));
        }
        release(&result);
    }
}

/* ---- output ---- */

static void json_strings_are_safe(void **state)
{
    (void)state;
    static const struct {
        const char *bytes;
        size_t size;
        const char *quoted;
    } cases[] = {
        {"a\\b\"c", 5, "\"a\\\\b\\\"c\""},
        {"\n\t\r\x1b\x7f", 5, "\"\\n\\t\\u000d\\u001b\\u007f\""},
        {"\0", 1, "\"\\u0000\""},
        {"\xc2\x9b", 2, "\"\\u009b\""},                                  /* C1 */
        {"\xe2\x80\xae", 3, "\"\\u202e\""},                              /* right-to-left override */
        {"\xf3\xa0\x81\x81", 4, "\"\\udb40\\udc41\""},                   /* a tag, beyond the first plane */
        {"\xc3\xa9\xf0\x9f\xa6\x86", 6, "\"\xc3\xa9\xf0\x9f\xa6\x86\""}, /* plain text stays */
        {"\xf0\x9f\x41", 3, "\"\xef\xbf\xbd\x41\""},                     /* one U+FFFD for a maximal subpart */
        {"\xf0\x9f", 2, "\"\xef\xbf\xbd\""},
        {"\xff\xfe", 2, "\"\xef\xbf\xbd\xef\xbf\xbd\""},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct buffer out = {0};
        json_append_string(&out, cases[i].bytes, cases[i].size);
        assert_string_equal(buffer_text(&out), cases[i].quoted);
        buffer_deinit(&out);
    }
}

static void json_numbers_are_exact(void **state)
{
    (void)state;
    struct output out = {.fd = -1};
    cJSON *object = cJSON_CreateObject();
    json_add_integer(object, "a", INT64_MAX);
    json_add_real(object, "b", 0.5, 3);
    json_add_real(object, "c", (double)NAN, 3);
    json_add_text(object, "d", NULL);
    assert_true(output_json(&out, object));
    assert_string_equal(buffer_text(&out.pending), "{\"a\":9223372036854775807,\"b\":0.500,\"c\":null,\"d\":null}\n");
    output_deinit(&out);
}

static void an_incomplete_object_is_not_printed(void **state)
{
    (void)state;
    struct output out = {.fd = -1};
    cJSON *object = cJSON_CreateObject(), *inner = cJSON_CreateObject();
    json_add(inner, "lost", NULL);
    json_add(object, "inner", inner);
    assert_false(output_json(&out, object));
    assert_int_equal(out.pending.size, 0);
    assert_int_equal(out.failure, ENOMEM);
    output_deinit(&out);
}

static void writing_remembers_its_failure(void **state)
{
    (void)state;
    struct output out = {.fd = open("/dev/full", O_WRONLY)};
    assert_true(out.fd >= 0);
    assert_true(output_text(&out, "x"));
    assert_false(output_flush(&out));
    assert_int_equal(out.failure, ENOSPC);
    assert_false(output_text(&out, "y"));
    close(out.fd);
    output_deinit(&out);
}

static void text_is_wrapped(void **state)
{
    (void)state;
    struct output out = {.fd = -1};
    output_text(&out, "--name");
    output_wrapped(&out, "one two three\n\nfour\n  kept as  it is", 8, 6, 16);
    assert_string_equal(buffer_text(&out.pending), "--name  one two\n"
                                                   "        three\n"
                                                   "\n"
                                                   "        four\n"
                                                   "          kept as  it is\n");
    output_deinit(&out);
}

static void sizes_are_short(void **state)
{
    (void)state;
    static const struct {
        uint64_t bytes;
        const char *shown;
    } cases[] = {{0, "0 bytes"},      {999, "999 bytes"},    {1000, "1.00 kB"},       {98362432, "98.4 MB"},
                 {999949, "1.00 MB"}, {123456789, "123 MB"}, {9994999999, "9.99 GB"}, {UINT64_MAX, "18.4 EB"}};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        char shown[32];
        size_format(cases[i].bytes, shown, sizeof shown);
        assert_string_equal(shown, cases[i].shown);
    }
}

int main(void)
{
    int model = mkstemp(model_path), text_file = mkstemp(text_path);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(tokenize_prints_one_line, reset),
        cmocka_unit_test_setup(tokenize_keeps_control_tokens_out, reset),
        cmocka_unit_test_setup(tokenize_reads_every_byte_of_stdin, reset),
        cmocka_unit_test_setup(tokenize_json_stays_utf8, reset),
        cmocka_unit_test_setup(tokenize_decodes, reset),
        cmocka_unit_test_setup(eval_prints_the_most_likely, reset),
        cmocka_unit_test_setup(eval_gives_at_most_the_vocabulary, reset),
        cmocka_unit_test_setup(eval_refuses_what_makes_no_sense, reset),
        cmocka_unit_test_setup(perplexity_follows_its_definition, reset),
        cmocka_unit_test_setup(perplexity_puts_bos_first_in_every_chunk, reset),
        cmocka_unit_test_setup(perplexity_refuses_what_it_cannot_score, reset),
        cmocka_unit_test_setup(info_gives_the_contracts_keys, reset),
        cmocka_unit_test_setup(config_says_where_values_come_from, reset),
        cmocka_unit_test_setup(config_output_is_a_configuration, reset),
        cmocka_unit_test_setup(a_model_that_fails_is_one_line, reset),
        cmocka_unit_test_setup(a_failure_shows_control_bytes, reset),
        cmocka_unit_test_setup(a_reader_that_left_is_no_failure, reset),
        cmocka_unit_test_setup(help_keeps_to_80_columns, reset),
        cmocka_unit_test_setup(every_format_names_every_command_and_option, reset),
        cmocka_unit_test_setup(json_strings_are_safe, reset),
        cmocka_unit_test_setup(json_numbers_are_exact, reset),
        cmocka_unit_test_setup(an_incomplete_object_is_not_printed, reset),
        cmocka_unit_test_setup(writing_remembers_its_failure, reset),
        cmocka_unit_test_setup(text_is_wrapped, reset),
        cmocka_unit_test_setup(sizes_are_short, reset),
    };
    if (model < 0 || text_file < 0)
        return 1;
    close(model);
    close(text_file);
    int failed = cmocka_run_group_tests(tests, NULL, NULL);
    fake_engine_reset();
    unlink(model_path);
    unlink(text_path);
    return failed;
}
