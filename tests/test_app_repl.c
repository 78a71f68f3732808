/* Tests of the repl on the scripted engine, through a pseudoterminal: keys, pastes, commands, interrupts, and that no
 * control sequence of a model's reaches the terminal.  What was asked is read back from the store. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <fcntl.h>
#include <locale.h>
#include <poll.h>
#include <pty.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <termios.h>
#include <unistd.h>

#include "app/command.h"
#include "app/store.h"
#include "tests/fake_engine.h"

/* Of an edited line; what libedit draws anew has no such mark. */
static const char prompt[] = "\x1b[?2004h> ";

static char folder[128];
static struct {
    pid_t child;
    int fd;
    struct buffer seen;
    size_t mark; /* what was expected so far ends here */
} t;

/* ---- the child: what main does around a command ---- */

static atomic_bool interrupted;

static void on_interrupt(int number)
{
    (void)number;
    atomic_store(&interrupted, true);
}

static int run_repl(const char *const *words, size_t n)
{
    struct sigaction action = {.sa_handler = on_interrupt};
    sigaction(SIGINT, &action, NULL);
    setlocale(LC_CTYPE, "C.UTF-8");
    struct settings settings;
    struct command_line line;
    struct error error = {0};
    if (settings_init(&settings, &error) != STATUS_OK ||
        command_line_parse(words, n, n, "repl", command_repl.options, command_repl.n_options, &settings, &line,
                           &error) != STATUS_OK)
        return 99;
    settings.model = "Makefile";
    settings.temp = 0; /* the scripted model's wish is the most likely token, not the only one */
    struct output out = {.fd = 1, .is_terminal = true, .is_colored = !settings.plain, .cancel = &interrupted};
    struct output err = {.fd = 2, .is_terminal = true, .is_colored = !settings.plain};
    struct progress progress;
    progress_init(&progress, 2, PROGRESS_NONE);
    struct command_context context = {.command = &command_repl,
                                      .settings = &settings,
                                      .in_is_terminal = true,
                                      .out = &out,
                                      .err = &err,
                                      .cancel = &interrupted,
                                      .progress = &progress};
    int result = (int)command_repl.run(&context);
    progress_deinit(&progress);
    output_deinit(&out);
    output_deinit(&err);
    settings_deinit(&settings);
    fake_engine_reset();
    return result;
}

/* ---- the parent ---- */

static void start(const char *const *words, size_t n)
{
    struct winsize size = {.ws_row = 24, .ws_col = 100};
    t.mark = 0;
    buffer_clear(&t.seen);
    t.child = forkpty(&t.fd, NULL, NULL, &size);
    assert_true(t.child >= 0);
    if (t.child == 0)
        exit(run_repl(words, n));
}

/* False at the end, or after ten seconds without a byte. */
static bool read_more(void)
{
    char chunk[4096];
    struct pollfd ready = {t.fd, POLLIN, 0};
    if (poll(&ready, 1, 10000) <= 0)
        return false;
    ssize_t n = read(t.fd, chunk, sizeof chunk);
    if (n <= 0)
        return false;
    buffer_append(&t.seen, chunk, (size_t)n);
    return true;
}

/* Waits for text behind what was expected before. */
static void expect(const char *text)
{
    size_t size = strlen(text);
    for (;;) {
        char *found = t.seen.size > t.mark ? memmem(t.seen.data + t.mark, t.seen.size - t.mark, text, size) : NULL;
        if (found) {
            t.mark = (size_t)(found - t.seen.data) + size;
            return;
        }
        if (!read_more())
            break;
    }
    char *shown = t.seen.data ? t.seen.data + t.mark : NULL;
    fail_msg("expected \"%s\", but there is: %s", text, shown ? shown : "nothing");
}

/* libedit shows its prompt a moment before it takes the terminal over. */
static void expect_prompt(void)
{
    struct termios mode = {.c_lflag = ECHO};
    expect(prompt);
    for (int i = 0; i < 1000 && tcgetattr(t.fd, &mode) == 0 && (mode.c_lflag & ECHO); i++)
        poll(NULL, 0, 5);
    assert_false(mode.c_lflag & ECHO);
}

static void type(const char *keys)
{
    assert_int_equal(write(t.fd, keys, strlen(keys)), (ssize_t)strlen(keys));
}

/* A question, sent at a prompt, and its answer up to the status line. */
static void converse(const char *keys)
{
    expect_prompt();
    type(keys);
    expect(" a second; read ");
    expect("\r\n\r\n");
}

static void finish(int wanted)
{
    int status;
    while (read_more())
        continue;
    assert_int_equal(waitpid(t.child, &status, 0), t.child);
    t.child = 0;
    if (!WIFEXITED(status) || WEXITSTATUS(status) != wanted)
        fail_msg("status %#x: %s", (unsigned)status, buffer_text(&t.seen));
}

static void leave(void)
{
    expect_prompt();
    type("\x04");
    finish(0);
}

static bool has(const char *text)
{
    return t.seen.size && memmem(t.seen.data, t.seen.size, text, strlen(text)) != NULL;
}

/* All questions of the conversation used last, each in quotes. */
static void expect_questions(const char *wanted)
{
    struct store *store;
    struct conversation loaded = {0};
    struct buffer questions = {0};
    int64_t id;
    assert_int_equal(store_open(NULL, &store, NULL), STATUS_OK);
    assert_int_equal(store_find(store, NULL, &id, NULL), STATUS_OK);
    assert_int_equal(store_load(store, id, &loaded, NULL), STATUS_OK);
    for (size_t i = 0; i < loaded.n; i++)
        if (loaded.messages[i].role == CHAT_USER)
            buffer_printf(&questions, "'%s'", buffer_text(&loaded.messages[i].text));
    assert_string_equal(buffer_text(&questions), wanted);
    buffer_deinit(&questions);
    conversation_deinit(&loaded);
    store_close(store);
}

static int set_up(void **state)
{
    (void)state;
    const char *base = getenv("TMPDIR");
    snprintf(folder, sizeof folder, "%.80s/fathom-repl-XXXXXX", base ? base : "/tmp");
    if (!mkdtemp(folder))
        return -1;
    setenv("XDG_STATE_HOME", folder, 1);
    setenv("HOME", folder, 1);
    setenv("TERM", "xterm-256color", 1);
    unsetenv("EDITRC");
    unsetenv("DISPLAY");
    unsetenv("WAYLAND_DISPLAY");
    fake_engine_reset();
    memset(&t, 0, sizeof t);
    t.fd = -1;
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    if (t.child > 0) {
        kill(t.child, SIGKILL);
        waitpid(t.child, NULL, 0);
    }
    if (t.fd >= 0)
        close(t.fd);
    buffer_deinit(&t.seen);
    char command[200];
    snprintf(command, sizeof command, "rm -rf '%s'", folder);
    return system(command);
}

static void again(void)
{
    close(t.fd);
    start(NULL, 0);
}

/* ---- the tests ---- */

static void test_greeting_answer_and_end(void **state)
{
    (void)state;
    static const char *const answers[] = {"Hello *there*."};
    fake_engine.answers = answers;
    fake_engine.n_answers = 1;
    start(NULL, 0);
    expect("fake, context 4096, cpu scalar, 2 threads");
    expect("/help shows the commands");
    expect_prompt();
    type("hi there\r");
    expect("Hello *there*.\r\n");
    expect("14 tokens, ");
    expect("; read 27, reused 0");
    leave();
    expect_questions("'hi there'");
}

static void test_quiet(void **state)
{
    (void)state;
    static const char *const words[] = {"--quiet"};
    start(words, 1);
    expect_prompt();
    type("hi\r");
    expect("ok\r\n");
    leave();
    assert_false(has("context 4096"));
    assert_false(has("a second"));
}

/* Nothing of these may come through as it is: window title, link, clipboard, colour, screen, C1, overrides, and what is
 * left open at the end. */
static void test_hostile_answer(void **state)
{
    (void)state;
    static const char *const hostile[] = {
        "\x1b]0;owned\x07",
        "\x1b]8;;http://evil\x1b\\link\x1b]8;;\x1b\\",
        "\x1b]52;c;ZXZpbA==\x07",
        "\x1b[31m",
        "\x1b[2J",
        "\x1b[6n",
        "\xc2\x9b"
        "31m",
        "\xc2\x9d"
        "0;x\xc2\x9c",
        "\x9b"
        "31m",
        "\xe2\x80\xae",
        "\xe2\x81\xa6",
        "\x7f",
        "\x1bP+q\x1b\\",
        "\x0e",
        "\x1b]0;unterminated",
    };
    struct buffer answer = {0};
    for (size_t i = 0; i < sizeof hostile / sizeof *hostile; i++)
        buffer_printf(&answer, "[%zu:%s]", i, hostile[i]);
    const char *answers[] = {answer.data};
    fake_engine.answers = answers;
    fake_engine.n_answers = 1;
    start(NULL, 0);
    converse("hi\r");
    leave();
    for (size_t i = 0; i < sizeof hostile / sizeof *hostile; i++) {
        char raw[100];
        snprintf(raw, sizeof raw, "[%zu:%s", i, hostile[i]);
        assert_false(has(raw));
    }
    assert_true(has("[0:^[]0;owned^G][1:^[]8;;http://evil^[\\link^[]8;;^[\\][2:^[]52;c;ZXZpbA==^G][3:^[[31m]"));
    assert_true(has("[6:<U+009B>31m][7:<U+009D>0;x<U+009C>][8:\xef\xbf\xbd"
                    "31m][9:<U+202E>][10:<U+2066>][11:^?]"));
    assert_true(has("[14:^[]0;unterminated]"));
    assert_false(has("\x1b]"));
    assert_false(has("\xc2\x9b"));
    buffer_deinit(&answer);
}

/* What a model said comes back through the list of conversations, too. */
static void test_hostile_question_in_the_list(void **state)
{
    (void)state;
    struct store *store;
    int64_t id;
    struct conversation_message question = {.role = CHAT_USER};
    buffer_append_text(&question.text, "\x1b]0;owned\x07 \xc2\x9b"
                                       "2J");
    assert_int_equal(store_open(NULL, &store, NULL), STATUS_OK);
    assert_int_equal(store_new(store, "m", "\x1b[31msys", &id, NULL), STATUS_OK);
    assert_int_equal(store_add(store, id, &question, NULL), STATUS_OK);
    store_close(store);
    buffer_deinit(&question.text);
    start(NULL, 0);
    expect_prompt();
    type("/load\r");
    expect("^[]0;owned^G <U+009B>2J");
    expect_prompt();
    type("/load 1\r");
    expect("conversation 1, 1 question; the last one: ^[]0;owned^G");
    expect_prompt();
    type("/system\r");
    expect("^[[31msys");
    leave();
    assert_false(has("\x1b]"));
}

static void test_interrupting_an_answer(void **state)
{
    (void)state;
    static const char *const answers[] = {"one two three four five six seven eight nine ten eleven twelve", "fine"};
    fake_engine.answers = answers;
    fake_engine.n_answers = 2;
    fake_engine.decode_us = 50000;
    start(NULL, 0);
    expect_prompt();
    type("count\r");
    expect("one two");
    type("\x03");
    expect("; stopped");
    fake_engine.decode_us = 0;
    converse("and now?\r");
    assert_true(has("fine"));
    assert_false(has("twelve"));
    leave();
    expect_questions("'count''and now?'");
}

static void test_interrupting_the_line(void **state)
{
    (void)state;
    start(NULL, 0);
    expect_prompt();
    type("a question that I regret\x03");
    expect("\r\n");
    converse("another\r");
    expect_prompt();
    type("\x03"); /* an empty line as well */
    expect_prompt();
    type("\x04");
    finish(0);
    expect_questions("'another'");
}

static void test_several_lines(void **state)
{
    (void)state;
    start(NULL, 0);
    converse("first \\\rsecond\\\r  third\r");
    converse("two backslashes \\\\\r");
    leave();
    expect_questions("'first \nsecond\n  third''two backslashes \\\\'");
}

static void test_paste(void **state)
{
    (void)state;
    start(NULL, 0);
    converse("explain: \x1b[200~int f(void)\r{\r\treturn 1; // \xc3\xa9\\\r}\r\x1b[201~ please\r");
    assert_true(has("\x1b[?2004l"));
    leave();
    expect_questions("'explain: int f(void)\n{\n\treturn 1; // \xc3\xa9\\\n} please'");
}

static void test_history(void **state)
{
    (void)state;
    char path[200];
    struct stat about;
    start(NULL, 0);
    converse("alpha\r");
    converse("\x1b[200~beta one\nbeta two\x1b[201~\r");
    leave();
    snprintf(path, sizeof path, "%s/fathom/history", folder);
    assert_int_equal(stat(path, &about), 0);
    assert_int_equal(about.st_mode & 0777, 0600);
    again();
    converse("\x1b[A\x1b[A\r");
    converse("\x1b[A\x1b[A\r"); /* alpha was moved to the end */
    leave();
    expect_questions("'alpha''beta one\nbeta two'");
}

static void test_vi_keys(void **state)
{
    (void)state;
    char path[200];
    snprintf(path, sizeof path, "%s/.editrc", folder);
    FILE *file = fopen(path, "w");
    assert_non_null(file);
    fputs("bind -v\n", file);
    fclose(file);
    start(NULL, 0);
    converse("helloX\x1bx\r");
    expect_prompt();
    type("zzz\x1b\x03");
    converse("/he\x03ok\r");
    converse("ab\x1b[200~one\rtwo\x1b[201~cd\r");
    converse("\x1b[200~three\x1b[201~\r");
    leave();
    expect_questions("'hello''ok''abone\ntwocd''three'");
    unlink(path);
}

static void test_an_editrc_in_the_present_folder_is_not_read(void **state)
{
    (void)state;
    char before[1024], path[200];
    assert_non_null(getcwd(before, sizeof before));
    snprintf(path, sizeof path, "%s/elsewhere", folder);
    assert_int_equal(mkdir(path, 0700), 0);
    setenv("HOME", path, 1);
    snprintf(path, sizeof path, "%s/Makefile", folder); /* the scripted model's file */
    fclose(fopen(path, "w"));
    snprintf(path, sizeof path, "%s/.editrc", folder);
    FILE *file = fopen(path, "w");
    fputs("bind -s x y\n", file);
    fclose(file);
    assert_int_equal(chdir(folder), 0);
    start(NULL, 0);
    assert_int_equal(chdir(before), 0);
    converse("xx\r");
    leave();
    expect_questions("'xx'");
}

static void test_completion(void **state)
{
    (void)state;
    start(NULL, 0);
    expect_prompt();
    type("/sy\tBe brief.\r");
    expect("it holds from the next question on");
    expect_prompt();
    type("/s\t\t");
    expect("system  save");
    type("\x03");
    expect_prompt();
    type("/sy\t\r");
    expect("Be brief.");
    converse("a\tb\r"); /* a tab in a question is one */
    expect_prompt();
    type("/sa\tmine\r");
    expect("saved as mine");
    expect_prompt();
    type("/load m\t\r");
    expect("conversation 1, 1 question");
    leave();
    expect_questions("'a\tb'");
}

static void test_reset_save_and_load(void **state)
{
    (void)state;
    static const char *const answers[] = {"uno", "dos", "tres"};
    fake_engine.answers = answers;
    fake_engine.n_answers = 3;
    start(NULL, 0);
    expect_prompt();
    type("/save early\r");
    expect("there is nothing to save yet");
    converse("one\r");
    expect_prompt();
    type("/save first\r");
    expect("saved as first");
    expect_prompt();
    type("/reset\r");
    expect("a new conversation");
    converse("two\r");
    expect_prompt();
    type("/save first\r");
    expect("conversation 1 is already called 'first'");
    expect_prompt();
    type("/load\r");
    expect("    2  ");
    expect("two");
    expect("    1  ");
    expect("first: one");
    expect_prompt();
    type("/load first\r");
    expect("conversation 1, 1 question; the last one: one");
    converse("three\r");
    expect_prompt();
    type("/delete 2\r");
    expect("deleted conversation 2");
    expect_prompt();
    type("/load 2\r");
    expect("no saved conversation is called '2'");
    leave();
    expect_questions("'one''three'");
    static const char *const words[] = {"--resume"};
    close(t.fd);
    start(words, 1);
    expect("conversation 1, 2 questions; the last one: three");
    converse("four\r");
    leave();
    expect_questions("'one''three''four'");
}

static void test_commands_that_are_none(void **state)
{
    (void)state;
    start(NULL, 0);
    expect_prompt();
    type("/helpme\r");
    expect("there is no command /helpme");
    converse("/usr/bin holds what?\r");
    expect_prompt();
    type("/h\r");
    expect("/copy [answer]");
    expect_prompt();
    type("/quit\r");
    finish(0);
    expect_questions("'/usr/bin holds what?'");
}

static void test_model(void **state)
{
    (void)state;
    start(NULL, 0);
    expect_prompt();
    type("/model /no/such/model.gguf\r");
    expect("/no/such/model.gguf");
    converse("still here?\r"); /* the one before goes on */
    expect_prompt();
    type("/model Makefile\r");
    expect("fake");
    converse("and now?\r");
    leave();
    expect_questions("'still here?''and now?'");
}

static void test_copy(void **state)
{
    (void)state;
    static const char *const answers[] = {"Two:\n```c\nint a;\n```\nand\n~~~\nint b;\n  int c;\n~~~\nso.", "plain"};
    fake_engine.answers = answers;
    fake_engine.n_answers = 2;
    start(NULL, 0);
    expect_prompt();
    type("/copy\r");
    expect("there is no answer to copy yet");
    converse("code?\r");
    expect_prompt();
    type("/copy\r");
    expect("\x1b]52;c;aW50IGI7CiAgaW50IGM7Cg==\x07"); /* "int b;\n  int c;\n" */
    expect("copied the last code block, 16 bytes, by the terminal");
    converse("text?\r");
    expect_prompt();
    type("/copy\r");
    expect("\x1b]52;c;cGxhaW4=\x07");
    expect("copied the answer, 5 bytes");
    leave();
}

static void test_what_drops_out_is_told(void **state)
{
    (void)state;
    static const char *const words[] = {"-c", "200"};
    start(words, 2);
    converse("a question of some length, which takes many of the tokens\r");
    converse("a question of some length, which takes many of the tokens\r");
    assert_true(has("left out the oldest turn (59 tokens): the context holds 200"));
    leave();
}

static void test_plain(void **state)
{
    (void)state;
    static const char *const words[] = {"--plain"};
    start(words, 1);
    expect("> ");
    type("one \\\n");
    expect("  ");
    type("two\n");
    expect("ok\r\n");
    expect("> ");
    type("\x03"); /* nothing to stop: a new prompt */
    expect("> ");
    type("\x04");
    finish(0);
    assert_null(memchr(t.seen.data, 0x1b, t.seen.size));
    expect_questions("'one \ntwo'");
}

static void test_a_state_folder_that_cannot_be_written(void **state)
{
    (void)state;
    setenv("XDG_STATE_HOME", "/proc/no/such", 1);
    start(NULL, 0);
    converse("one\r");
    converse("two\r");
    leave();
    char *notice = memmem(t.seen.data, t.seen.size, "this conversation is not saved: /proc/no", 40);
    assert_non_null(notice);
    assert_null(memmem(notice + 40, t.seen.size - (size_t)(notice + 40 - t.seen.data), "not saved", 9));
    assert_true(has("ok\r\n"));
}

static void test_no_save(void **state)
{
    (void)state;
    static const char *const words[] = {"--no-save"};
    char path[200];
    struct stat about;
    start(words, 1);
    converse("secret\r");
    leave();
    snprintf(path, sizeof path, "%s/fathom", folder);
    assert_int_not_equal(stat(path, &about), 0);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        TEST(test_greeting_answer_and_end),
        TEST(test_quiet),
        TEST(test_hostile_answer),
        TEST(test_hostile_question_in_the_list),
        TEST(test_interrupting_an_answer),
        TEST(test_interrupting_the_line),
        TEST(test_several_lines),
        TEST(test_paste),
        TEST(test_history),
        TEST(test_vi_keys),
        TEST(test_an_editrc_in_the_present_folder_is_not_read),
        TEST(test_completion),
        TEST(test_reset_save_and_load),
        TEST(test_commands_that_are_none),
        TEST(test_model),
        TEST(test_copy),
        TEST(test_what_drops_out_is_told),
        TEST(test_plain),
        TEST(test_a_state_folder_that_cannot_be_written),
        TEST(test_no_save),
    };
    return cmocka_run_group_tests_name("repl", tests, NULL, NULL);
}
