/* Tests of -p on the scripted engine: what stands on stdout and stderr, and with which status it ends. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "app/command.h"
#include "tests/fake_engine.h"

static struct {
    char folder[128];
    struct output out, err;
    atomic_bool cancel;
    struct buffer sent;
} t;

static int set_up(void **state)
{
    (void)state;
    memset(&t, 0, sizeof t);
    const char *base = getenv("TMPDIR");
    snprintf(t.folder, sizeof t.folder, "%.80s/fathom-prompt-XXXXXX", base ? base : "/tmp");
    if (!mkdtemp(t.folder))
        return -1;
    setenv("XDG_STATE_HOME", t.folder, 1);
    fake_engine_reset();
    t.out.fd = t.err.fd = -1;
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    char command[200];
    output_deinit(&t.out);
    output_deinit(&t.err);
    buffer_deinit(&t.sent);
    fake_engine_reset();
    snprintf(command, sizeof command, "rm -rf '%s'", t.folder);
    return system(command);
}

/* Runs -p with these words (parted by '|'); piped NULL: nothing is. */
static enum exit_status ask(const char *words_text, const char *piped)
{
    char copy[256], *rest = copy;
    const char *words[16];
    size_t n = 0;
    snprintf(copy, sizeof copy, "%s", words_text);
    for (char *word; (word = strsep(&rest, "|"));)
        words[n++] = word;
    struct settings settings;
    struct command_line line;
    struct error error = {0};
    assert_int_equal(settings_init(&settings, &error), STATUS_OK);
    if (command_line_parse(words, n, n, NULL, command_prompt.options, command_prompt.n_options, &settings, &line,
                           &error) != STATUS_OK)
        fail_msg("%s", error.text);
    settings.model = "Makefile";
    settings.temp = 0;
    FILE *file = tmpfile();
    int null = open("/dev/null", O_RDONLY);
    assert_non_null(file);
    fputs(piped ? piped : "", file);
    fflush(file);
    rewind(file);
    struct progress progress;
    progress_init(&progress, 2, PROGRESS_NONE);
    struct command_context context = {.command = &command_prompt,
                                      .settings = &settings,
                                      .in = piped ? fileno(file) : null,
                                      .out = &t.out,
                                      .err = &t.err,
                                      .cancel = &t.cancel,
                                      .progress = &progress};
    buffer_clear(&t.out.pending);
    buffer_clear(&t.err.pending);
    enum exit_status result = command_prompt.run(&context);
    progress_deinit(&progress);
    settings_deinit(&settings);
    fclose(file);
    close(null);
    buffer_clear(&t.sent);
    engine_decode(NULL, fake_engine.last_sync.ids, fake_engine.last_sync.n, true, &t.sent);
    return result;
}

static void script(const char *const *answers, size_t n)
{
    fake_engine.answers = answers;
    fake_engine.n_answers = n;
    fake_engine.n_syncs = 0;
}

static const char *out(void)
{
    return buffer_text(&t.out.pending);
}

static const char *err(void)
{
    return buffer_text(&t.err.pending);
}

static void test_one_newline_ends_the_answer(void **state)
{
    (void)state;
    static const char *const answers[] = {"without", "with\n", "with two\n\n", ""};
    static const char *const wanted[] = {"without\n", "with\n", "with two\n\n", ""};
    for (size_t i = 0; i < 4; i++) {
        script(answers + i, 1);
        assert_int_equal(ask("-p|hi", NULL), EXIT_DONE);
        assert_string_equal(out(), wanted[i]);
        assert_string_equal(err(), "");
    }
}

static void test_a_pipe_gets_the_text_as_it_is(void **state)
{
    (void)state;
    static const char *const answers[] = {"a\x1b[31m\xe2\x80\xae\tb"};
    script(answers, 1);
    assert_int_equal(ask("-p|hi", NULL), EXIT_DONE);
    assert_string_equal(out(), "a\x1b[31m\xe2\x80\xae\tb\n");
}

static void test_a_terminal_gets_marks(void **state)
{
    (void)state;
    static const char *const answers[] = {"a\x1b]52;c;eA==\x07\xc2\x9b"
                                          "2J\xe2\x80\xae\tb\r\n\x9d"};
    script(answers, 1);
    t.out.is_terminal = true;
    assert_int_equal(ask("-p|hi", NULL), EXIT_DONE);
    assert_string_equal(out(), "a^[]52;c;eA==^G<U+009B>2J<U+202E>\tb^M\n\xef\xbf\xbd\n");
}

static void test_json(void **state)
{
    (void)state;
    static const char *const answers[] = {"a \"b\"\n\x1b"};
    script(answers, 1);
    assert_int_equal(ask("-p|hi|--json|--no-save", NULL), EXIT_DONE);
    const char *wanted =
        "{\"text\":\"a \\\"b\\\"\\n\\u001b\",\"stop\":\"eot\",\"tokens\":7,\"prefilled\":21,\"cached\":0,"
        "\"drafted\":9,\"accepted\":4,\"tok_s\":";
    assert_memory_equal(out(), wanted, strlen(wanted));
    assert_string_equal(out() + strlen(out()) - 2, "}\n");
    assert_int_equal(ask("-p|hi|--json|-n|2", NULL), EXIT_DONE);
    assert_non_null(strstr(out(), "\"stop\":\"limit\",\"tokens\":2,"));
    assert_non_null(strstr(out(), "\"conversation\":1}"));
    assert_int_equal(ask("-p|hi|--json|--draft|off|--no-save", NULL), EXIT_DONE);
    assert_non_null(strstr(out(), "\"drafted\":0,\"accepted\":0,"));
}

static void test_piped_text(void **state)
{
    (void)state;
    assert_int_equal(ask("-p|what is it?", "line one\nline two\n"), EXIT_DONE);
    assert_non_null(strstr(t.sent.data, "user\nwhat is it?\n\nline one\nline two\n<|im_end|>"));
    assert_int_equal(ask("-p|-", "all of it"), EXIT_DONE);
    assert_non_null(strstr(t.sent.data, "user\nall of it<|im_end|>"));
    assert_int_equal(ask("-p|hi", ""), EXIT_DONE);
    assert_non_null(strstr(t.sent.data, "user\nhi<|im_end|>"));
}

static void test_an_empty_question(void **state)
{
    (void)state;
    assert_int_equal(ask("-p|-", " \n"), EXIT_USAGE);
    assert_string_equal(err(), "fathom: -p: the question is empty\n");
    assert_int_equal(ask("-p|", NULL), EXIT_USAGE);
    assert_string_equal(out(), "");
}

static void test_too_long(void **state)
{
    (void)state;
    struct buffer piped = {0};
    for (int i = 0; i < 500; i++)
        buffer_printf(&piped, "line %03d\n", i);
    assert_int_equal(ask("-p|what?|-c|400", piped.data), EXIT_DONE);
    assert_string_equal(out(), "ok\n");
    assert_memory_equal(err(), "fathom: left out the middle of the piped text (4", 48);
    assert_int_equal(ask("-p|what?|-c|400|--quiet", piped.data), EXIT_DONE);
    assert_string_equal(err(), "");
    assert_int_equal(ask("-p|what?|-c|400|--strict", piped.data), EXIT_USAGE);
    assert_string_equal(err(), "fathom: the input is 4,526 tokens, and the context of 400 has room for 300\n");
    assert_string_equal(out(), "");
    buffer_deinit(&piped);
}

static void test_thoughts(void **state)
{
    (void)state;
    static const char *const answers[] = {"<think>hm</think>\n\n42"};
    const char *name = NULL;
    char words[100];
    for (size_t i = 0; !name && chat_template_known_name(i); i++) {
        struct chat_template *chat;
        bool starts_inside = false;
        assert_int_equal(chat_template_new_named(chat_template_known_name(i), &chat, NULL), STATUS_OK);
        chat_template_think_close(chat, &starts_inside);
        if (chat_template_think_open(chat) && !starts_inside)
            name = chat_template_known_name(i);
        chat_template_free(chat);
    }
    assert_non_null(name);
    script(answers, 1);
    snprintf(words, sizeof words, "-p|hi|--chat-template|%s", name);
    assert_int_equal(ask(words, NULL), EXIT_DONE);
    assert_string_equal(out(), "42\n");
    assert_string_equal(err(), "");
    t.err.is_terminal = t.err.is_colored = true;
    assert_int_equal(ask(words, NULL), EXIT_DONE);
    assert_string_equal(out(), "42\n");
    assert_string_equal(err(), "\x1b[2mhm\x1b[0m\n");
    t.out.is_terminal = t.out.is_colored = true;
    assert_int_equal(ask(words, NULL), EXIT_DONE);
    assert_string_equal(out(), "\x1b[2mhm\x1b[0m\n\n42\n");
    snprintf(words, sizeof words, "-p|hi|--json|--chat-template|%s", name);
    assert_int_equal(ask(words, NULL), EXIT_DONE);
    assert_non_null(strstr(out(), "\"text\":\"42\",\"thought\":\"hm\""));
}

static void test_resume(void **state)
{
    (void)state;
    static const char *const answers[] = {"Paris.", "About two million."};
    script(answers, 2);
    assert_int_equal(ask("-p|capital of France?|--system|brief", NULL), EXIT_DONE);
    assert_int_equal(ask("-p|and how large?|--resume", NULL), EXIT_DONE);
    assert_string_equal(out(), "About two million.\n");
    assert_string_equal(t.sent.data,
                        "<|im_start|>system\nbrief<|im_end|>\n<|im_start|>user\ncapital of France?<|im_end|>\n"
                        "<|im_start|>assistant\nParis.<|im_end|>\n<|im_start|>user\nand how large?<|im_end|>\n"
                        "<|im_start|>assistant\n");
    assert_int_equal(ask("-p|x|--resume|7", NULL), EXIT_FAILED);
    assert_string_equal(err(), "fathom: no saved conversation is called '7'\n");
}

static void test_what_cannot_be_saved_is_answered(void **state)
{
    (void)state;
    setenv("XDG_STATE_HOME", "/proc/no/such", 1);
    assert_int_equal(ask("-p|hi", NULL), EXIT_DONE);
    assert_string_equal(out(), "ok\n");
    assert_non_null(strstr(err(), "fathom: this conversation is not saved: /proc/no"));
    assert_ptr_equal(strchr(err(), '\n'), err() + strlen(err()) - 1); /* one line */
    assert_int_equal(ask("-p|hi|--resume", NULL), EXIT_FAILED);
    assert_int_equal(ask("-p|hi|--no-save", NULL), EXIT_DONE);
    assert_string_equal(err(), "");
    char path[200];
    snprintf(path, sizeof path, "%s/fathom", t.folder);
    setenv("XDG_STATE_HOME", t.folder, 1);
    assert_int_equal(mkdir(path, 0700), 0);
    strcat(path, "/conversations.db");
    FILE *file = fopen(path, "w");
    assert_non_null(file);
    for (int i = 0; i < 100; i++)
        fputs("this is no database\n", file);
    fclose(file);
    assert_int_equal(ask("-p|hi", NULL), EXIT_DONE);
    assert_string_equal(out(), "ok\n");
    assert_non_null(strstr(err(), "conversations.db: file is not a database"));
}

static void interrupt(size_t n)
{
    if (n == 2)
        atomic_store(&t.cancel, true);
}

static void test_interrupted(void **state)
{
    (void)state;
    static const char *const answers[] = {"hello"};
    script(answers, 1);
    fake_engine.on_append = interrupt;
    assert_int_equal(ask("-p|hi", NULL), EXIT_INTERRUPTED);
    assert_string_equal(out(), "he\n");
    assert_string_equal(err(), "");
    atomic_store(&t.cancel, false);
    fake_engine.on_append = NULL;
    script(answers, 1);
    assert_int_equal(ask("-p|go on|--resume", NULL), EXIT_DONE); /* what there was of the answer was kept */
    assert_non_null(strstr(t.sent.data, "assistant\nhe<|im_end|>"));
}

static void test_a_reader_that_goes_away(void **state)
{
    (void)state;
    static const char *const answers[] = {"hello"};
    int ends[2];
    script(answers, 1);
    signal(SIGPIPE, SIG_IGN);
    assert_int_equal(pipe(ends), 0);
    close(ends[0]);
    t.out.fd = ends[1];
    assert_int_equal(ask("-p|hi", NULL), EXIT_DONE);
    assert_string_equal(err(), "");
    close(ends[1]);
    t.out.fd = -1;
}

static void test_failures(void **state)
{
    (void)state;
    fake_engine.open_status = STATUS_FORMAT;
    assert_int_equal(ask("-p|hi", NULL), EXIT_FAILED);
    assert_string_equal(err(), "fathom: Makefile: scripted failure\n");
    fake_engine.open_status = STATUS_OK;
    static const char *const answers[] = {"hello"};
    script(answers, 1);
    fake_engine.append_fails_after = 2;
    assert_int_equal(ask("-p|hi", NULL), EXIT_FAILED);
    assert_string_equal(out(), "hel\n");
    assert_string_equal(err(), "fathom: layer 1: numbers stopped being finite\n");
    assert_int_equal(ask("-p|hi|--chat-template|nonesuch", NULL), EXIT_USAGE);
    assert_non_null(strstr(err(), "chatml"));
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        TEST(test_one_newline_ends_the_answer),
        TEST(test_a_pipe_gets_the_text_as_it_is),
        TEST(test_a_terminal_gets_marks),
        TEST(test_json),
        TEST(test_piped_text),
        TEST(test_an_empty_question),
        TEST(test_too_long),
        TEST(test_thoughts),
        TEST(test_resume),
        TEST(test_what_cannot_be_saved_is_answered),
        TEST(test_interrupted),
        TEST(test_a_reader_that_goes_away),
        TEST(test_failures),
    };
    return cmocka_run_group_tests_name("prompt", tests, NULL, NULL);
}
