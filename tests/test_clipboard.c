/* Tests of app/clipboard: OSC 52, code blocks, and the desktop's tools by stand-ins. */
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

#include "app/clipboard.h"

static void test_osc52(void **state)
{
    (void)state;
    /* RFC 4648, section 10. */
    static const struct {
        const char *text, *base64;
    } rows[] = {{"", ""},
                {"f", "Zg=="},
                {"fo", "Zm8="},
                {"foo", "Zm9v"},
                {"foob", "Zm9vYg=="},
                {"fooba", "Zm9vYmE="},
                {"foobar", "Zm9vYmFy"},
                {"\xff\xfe\x1b", "//4b"}};
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct buffer out = {0};
        char wanted[64];
        snprintf(wanted, sizeof wanted, "\x1b]52;c;%s\x07", rows[i].base64);
        assert_true(clipboard_append_osc52(&out, rows[i].text, strlen(rows[i].text)));
        assert_string_equal(out.data, wanted);
        buffer_deinit(&out);
    }
    struct buffer out = {0};
    char *large = calloc(1, 74995);
    assert_non_null(large);
    assert_false(clipboard_append_osc52(&out, large, 74995));
    assert_int_equal(out.size, 0);
    assert_true(clipboard_append_osc52(&out, large, 74994));
    assert_true(out.size <= 100000);
    free(large);
    buffer_deinit(&out);
}

static void expect_code(const char *text, const char *wanted)
{
    struct slice code = {0};
    bool found = clipboard_last_code_block(text, strlen(text), &code);
    assert_int_equal(found, wanted != NULL);
    if (wanted) {
        assert_int_equal(code.size, strlen(wanted));
        assert_memory_equal(code.data, wanted, code.size);
    }
}

static void test_code_blocks(void **state)
{
    (void)state;
    expect_code("no code at all", NULL);
    expect_code("", NULL);
    expect_code("`` `inline` ``", NULL);
    expect_code("``` inline ``` only\n", NULL);
    expect_code("```\na\n```\n", "a\n");
    expect_code("a\n```c\nint x;\n```\nb\n```\ny\n```", "y\n");
    expect_code("~~~\n```\nstill\n~~~\n", "```\nstill\n");
    expect_code("````\n```\nx\n```\n````\n", "```\nx\n```\n");
    expect_code("   ```py\n   x\n  ```   \nend", "   x\n");
    expect_code("    ```\n    indented\n", NULL);
    expect_code("```\nleft open\n", "left open\n");
    expect_code("```\n```\n", "");
    expect_code("```\r\na\r\n```\r\n", "a\r\n");
}

/* A stand-in for xclip that keeps what it got. */
static void test_tools(void **state)
{
    (void)state;
    char folder[] = "/tmp/fathom-clip-XXXXXX", path[100], script[300], path_list[400], got[20] = "";
    const char *used = "x", *base = getenv("PATH");
    struct error error = {0};
    unsetenv("WAYLAND_DISPLAY");
    unsetenv("DISPLAY");
    assert_int_equal(clipboard_run_tool("x", 1, &used, &error), STATUS_OK);
    assert_null(used); /* no desktop */
    assert_non_null(mkdtemp(folder));
    setenv("DISPLAY", ":99", 1);
    char *before = strdup(base ? base : "");
    setenv("PATH", folder, 1);
    assert_int_equal(clipboard_run_tool("x", 1, &used, &error), STATUS_NOT_FOUND);
    snprintf(path, sizeof path, "%s/xclip", folder);
    FILE *file = fopen(path, "w");
    assert_non_null(file);
    snprintf(script, sizeof script, "#!/bin/sh\n/bin/cat > '%s/got'\n", folder);
    fputs(script, file);
    fclose(file);
    assert_int_equal(chmod(path, 0700), 0);
    assert_int_equal(clipboard_run_tool("a\x1b"
                                        "b",
                                        3, &used, &error),
                     STATUS_OK);
    assert_string_equal(used, "xclip");
    snprintf(path_list, sizeof path_list, "%s/got", folder);
    int fd = open(path_list, O_RDONLY);
    assert_int_equal(read(fd, got, sizeof got), 3);
    close(fd);
    assert_memory_equal(got,
                        "a\x1b"
                        "b",
                        3);
    setenv("PATH", before, 1);
    free(before);
    unsetenv("DISPLAY");
    unlink(path_list);
    unlink(path);
    assert_int_equal(rmdir(folder), 0);
}

int main(void)
{
    signal(SIGPIPE, SIG_IGN); /* as the program does */
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_osc52),
        cmocka_unit_test(test_code_blocks),
        cmocka_unit_test(test_tools),
    };
    return cmocka_run_group_tests_name("clipboard", tests, NULL, NULL);
}
