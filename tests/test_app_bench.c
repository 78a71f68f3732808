/* test_app_bench: `fathom bench` on the scripted model of fake_engine, beside a peer that is a shell script. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <dirent.h>
#include <fcntl.h>
#include <math.h>
#include <signal.h>
#include <stdio.h>
#include <sys/stat.h>

#include "app/assets.h"
#include "tests/command_fixture.h"

static char folder[] = "/tmp/fathom-test-bench-XXXXXX";

/* folder/name, in one of a few buffers that take turns. */
static const char *in_folder(const char *name)
{
    static char paths[4][128];
    static size_t next;
    char *path = paths[next++ % 4];
    snprintf(path, sizeof paths[0], "%s/%s", folder, name);
    return path;
}

static void write_file(const char *name, const char *content, mode_t mode)
{
    FILE *file = fopen(in_folder(name), "w");
    assert_non_null(file);
    assert_true(fputs(content, file) >= 0);
    assert_int_equal(fclose(file), 0);
    assert_int_equal(chmod(in_folder(name), mode), 0);
}

static char *read_file(const char *name)
{
    struct buffer content = {0};
    struct error error;
    assert_int_equal(input_read_file(in_folder(name), &cancel, 1 << 20, &content, &error), STATUS_OK);
    char *text_of_file = strdup(buffer_text(&content));
    buffer_deinit(&content);
    return text_of_file;
}

static const cJSON *item(const cJSON *object, const char *key, int i)
{
    const cJSON *node = cJSON_GetArrayItem(cJSON_GetObjectItemCaseSensitive(object, key), i);
    assert_non_null(node);
    return node;
}

static int n_items(const cJSON *object, const char *key)
{
    return cJSON_GetArraySize(cJSON_GetObjectItemCaseSensitive(object, key));
}

/* ---- what is measured ---- */

static void it_gives_the_contracts_keys(void **state)
{
    (void)state;
    fake_engine.decode_us = 1000;
    fake_engine.prefill_us = 100;
    struct result result = RUN("bench", "--json", "--prefill", "4,8", "--decode", "5", "--depth", "0,100", "-r", "2");
    assert_int_equal(result.status, EXIT_DONE);
    assert_string_equal(text(result.json, "model"), "fake");
    assert_string_equal(text(result.json, "backend"), "cpu");
    assert_int_equal((int)number(result.json, "threads"), 2);
    assert_int_equal(n_items(result.json, "prefill"), 2);
    assert_int_equal((int)number(item(result.json, "prefill", 1), "n"), 8);
    assert_int_equal(n_items(result.json, "decode"), 2);
    assert_int_equal((int)number(item(result.json, "decode", 1), "depth"), 100);
    double speed = number(item(result.json, "decode", 0), "tok_s");
    assert_true(speed > 0 && speed < 1000); /* a token takes a millisecond and some */
    /* Weights, and 1 kB for each of the two tokens in the middle of five. */
    assert_int_equal((int)number(result.json, "bytes_per_token"), 2000000 + 2 * 1024);
    assert_true(number(result.json, "bandwidth_gb_s") == 10);
    double share = (2000000 + 2 * 1024) * speed / 10e9;
    assert_true(fabs(number(result.json, "bandwidth_share") - share) < 1e-3);
    /* 600,000 multiplications a token and 200,000 for the logits after the last one, of 10^9 a second. */
    assert_true(number(result.json, "int8_peak_g_s") == 1);
    speed = number(item(result.json, "prefill", 1), "tok_s");
    share = (8 * 600000 + 200000) * speed / 8 / 1e9;
    assert_true(fabs(number(item(result.json, "prefill", 1), "compute_share") / share - 1) < 0.01);
    assert_true(number(result.json, "load_ms") > 0 && number(result.json, "peak_rss_mb") > 0);
    release(&result);
}

static void it_says_where_and_when(void **state)
{
    (void)state;
    struct result result = RUN("bench", "--json", "--prefill", "4", "--decode", "1", "-r", "1", "--kv", "q8_0");
    assert_string_equal(text(result.json, "version"), FATHOM_VERSION);
    assert_string_equal(text(result.json, "kv"), "q8_0");
    assert_string_equal(text(result.json, "cpu"), "scalar");
    assert_int_equal((int)strlen(text(result.json, "date")), (int)strlen("2026-01-01T00:00:00Z"));
    const cJSON *machine = cJSON_GetObjectItem(result.json, "machine");
    assert_true(number(machine, "processors") >= 1 && number(machine, "memory") > 1e6);
    assert_non_null(text(machine, "cpu"));
    release(&result);
}

static size_t slices[64], n_slices;

static void note_slice(size_t done)
{
    if (n_slices < sizeof slices / sizeof *slices)
        slices[n_slices++] = done;
}

/* Behind the longest prompt that was asked for; a prompt of 20 in a fresh session beside it. */
static void the_first_token_reuses_what_is_cached(void **state)
{
    (void)state;
    n_slices = 0;
    fake_engine.prefill_us = 100;
    fake_engine.on_slice = note_slice;
    struct result result = RUN("bench", "--json", "--prefill", "8,300", "--decode", "1", "-r", "3");
    const cJSON *first = item(result.json, "first_token", 0);
    assert_int_equal(n_items(result.json, "first_token"), 1);
    assert_int_equal((int)number(first, "n"), 20);
    assert_int_equal((int)number(first, "cached"), 300);
    assert_true(number(first, "ms") >= 2 && number(first, "alone_ms") >= 2); /* 20 tokens of 0.1 ms */
    int n_first = 0;
    for (size_t i = 0; i < n_slices; i++)
        if (slices[i] == 320) {
            assert_int_equal(slices[i - 1], 300); /* no slice of 256 came between */
            n_first++;
        }
    assert_int_equal(n_first, 4);
    release(&result);
    result = RUN("bench", "--prefill", "8,300", "--decode", "1", "-r", "1");
    assert_non_null(strstr(buffer_text(&result.out.pending), "x the 20 alone\n"));
    release(&result);
}

/* Saved once, then restored into a session that holds none of it; no file is left. */
static void what_was_evaluated_is_restored(void **state)
{
    (void)state;
    assert_int_equal(setenv("TMPDIR", folder, 1), 0);
    struct result result = RUN("bench", "--json", "--prefill", "8,30", "--decode", "1", "-r", "3");
    assert_int_equal(result.status, EXIT_DONE);
    assert_int_equal(n_items(result.json, "restore"), 1);
    assert_int_equal((int)number(item(result.json, "restore", 0), "n"), 30);
    assert_true(number(item(result.json, "restore", 0), "ms") > 0);
    assert_int_equal(fake_engine.n_saves, 1);
    assert_int_equal(fake_engine.n_restores, 4);
    release(&result);
    DIR *entries = opendir(folder);
    assert_non_null(entries);
    for (const struct dirent *entry = readdir(entries); entry; entry = readdir(entries))
        assert_null(strstr(entry->d_name, "fathom-bench"));
    closedir(entries);
    assert_int_equal(setenv("TMPDIR", "/nonexistent", 1), 0);
    expect_failure(WORDS("bench", "--prefill", "8", "--decode", "1", "-r", "1"), EXIT_FAILED,
                   "fathom: /nonexistent: no file can be made there: No such file or directory\n");
    assert_int_equal(unsetenv("TMPDIR"), 0);
}

/* The fake model was trained on 8192 tokens. */
static void full_goes_as_far_as_the_context(void **state)
{
    (void)state;
    static const int lengths[] = {16, 128, 512, 2048}, depths[] = {0, 4096, 8192 - 64};
    struct result result = RUN("bench", "--json", "--full", "-r", "1");
    assert_int_equal(result.status, EXIT_DONE);
    assert_int_equal(n_items(result.json, "prefill"), 4);
    for (int i = 0; i < 4; i++)
        assert_int_equal((int)number(item(result.json, "prefill", i), "n"), lengths[i]);
    assert_int_equal(n_items(result.json, "decode"), 3);
    for (int i = 0; i < 3; i++)
        assert_int_equal((int)number(item(result.json, "decode", i), "depth"), depths[i]);
    assert_int_equal((int)number(item(result.json, "first_token", 0), "cached"), 2048);
    release(&result);
    result = RUN("bench", "--json", "--full", "--depth", "7", "-r", "1");
    assert_int_equal(n_items(result.json, "decode"), 1);
    assert_int_equal((int)number(item(result.json, "decode", 0), "depth"), 7);
    assert_int_equal((int)number(item(result.json, "decode", 0), "n"), 64);
    assert_int_equal(n_items(result.json, "prefill"), 4);
    release(&result);
}

static void it_stops_when_interrupted(void **state)
{
    (void)state;
    atomic_store(&cancel, true);
    expect_failure(WORDS("bench"), EXIT_INTERRUPTED, "");
}

/* ---- bars ---- */

static void bars_are_as_long_as_speeds(void **state)
{
    (void)state;
    fake_engine.prefill_us = 100;
    struct result result = RUN("bench", "--prefill", "1,20,400", "--decode", "1", "-r", "1", "--plain");
    const char *out = buffer_text(&result.out.pending), *at = strstr(out, "\nprefill, tok/s by length\n");
    double speeds[3], greatest = 0;
    size_t columns[3];
    assert_non_null(at);
    at = strchr(at + 1, '\n') + 1;
    for (int i = 0; i < 3; i++, at = strchr(at, '\n') + 1) {
        columns[i] = strspn(strchr(at, '#'), "#");
        speeds[i] = strtod(at + 13 + 40, NULL);
        greatest = speeds[i] > greatest ? speeds[i] : greatest;
    }
    for (int i = 0; i < 3; i++)
        assert_true(fabs((double)columns[i] - 40 * speeds[i] / greatest) < 1 || columns[i] == 1);
    assert_null(strstr(out, "decode, tok/s")); /* one bar says nothing */
    for (const char *c = out; *c; c++)
        assert_true(*c == '\n' || (*c >= ' ' && *c < 127));
    release(&result);
    result = RUN("bench", "--prefill", "1,20,400", "--decode", "1", "-r", "1");
    out = buffer_text(&result.out.pending);
    /* The fastest fills its line; there is no colour where none is wanted. */
    static const char ten[] = "██████████";
    char full[200];
    snprintf(full, sizeof full, "  %s%s%s%s  ", ten, ten, ten, ten);
    assert_non_null(strstr(out, full));
    assert_null(strchr(out, '\x1b'));
    release(&result);
}

/* ---- beside another program ---- */

/* Writes what it was asked into folder/asked, and says that everything takes two milliseconds. */
static const char peer_script[] = "#!/bin/sh\n"
                                  "dir=$(dirname \"$0\")\n"
                                  "echo \"start $(basename \"$1\") $3 $4 $5\" >> \"$dir/asked\"\n"
                                  "echo 'ready 9.8.7 12.5'\n"
                                  "while read -r kind n depth; do\n"
                                  "    echo \"theirs $kind $n $depth\" >> \"$dir/asked\"\n"
                                  "    echo 'time 0.002 on'\n"
                                  "done\n";

static const char *peer_option(void)
{
    static char option[160];
    snprintf(option, sizeof option, "--peer=%s", in_folder("peer"));
    return option;
}

static void note_ours(size_t n)
{
    FILE *file = fopen(in_folder("asked"), "a");
    assert_non_null(file);
    fprintf(file, "ours %zu\n", n);
    assert_int_equal(fclose(file), 0);
}

static void both_take_turns(void **state)
{
    (void)state;
    write_file("peer", peer_script, 0700);
    write_file("asked", "", 0600);
    fake_engine.on_append = note_ours;
    struct result result =
        RUN("bench", "--json", "--prefill", "4", "--decode", "1", "--depth", "3", "-r", "2", "-t", "3", peer_option());
    assert_string_equal(buffer_text(&result.err.pending), "");
    assert_int_equal(result.status, EXIT_DONE);
    char *asked = read_file("asked");
    /* Once that doesn't count, then twice: of 4 tokens; of 20 behind 4; of 20 alone; then one by one, ours first. */
    assert_string_equal(asked, "start bench_peer.py 25 3 f16\n"
                               "theirs batch 4 0\ntheirs batch 4 0\ntheirs batch 4 0\n"
                               "theirs batch 20 4\ntheirs batch 20 4\ntheirs batch 20 4\n"
                               "theirs batch 20 0\ntheirs batch 20 0\ntheirs batch 20 0\n"
                               "ours 1\ntheirs single 1 3\nours 1\ntheirs single 1 3\nours 1\ntheirs single 1 3\n");
    free(asked);
    const cJSON *peer = cJSON_GetObjectItem(result.json, "peer");
    assert_string_equal(text(peer, "name"), "llama.cpp");
    assert_string_equal(text(peer, "version"), "9.8.7");
    assert_true(number(peer, "load_ms") == 12.5);
    const cJSON *prefill = item(result.json, "prefill", 0);
    assert_true(number(prefill, "peer_tok_s") == 2000);
    assert_true(fabs(number(prefill, "ratio") - number(prefill, "tok_s") / 2000) < 0.01 * number(prefill, "ratio"));
    assert_true(number(item(result.json, "first_token", 0), "peer_ms") == 2);
    release(&result);
}

static void both_stand_in_the_table(void **state)
{
    (void)state;
    write_file("peer", peer_script, 0700);
    fake_engine.decode_us = 4000; /* half as fast */
    struct result result = RUN("bench", "--prefill", "4", "--decode", "1", "-r", "1", "--plain", peer_option());
    const char *out = buffer_text(&result.out.pending), *decode = strstr(out, "\ndecode ");
    double ours, theirs, ratio;
    assert_non_null(decode);
    assert_int_equal(sscanf(decode, "\ndecode 1 0 %lf %*d %% of the bandwidth %lf %lf", &ours, &theirs, &ratio), 3);
    assert_true(theirs == 500 && ours > 0 && ours <= 250.1 && fabs(ratio - ours / theirs) < 0.02);
    assert_non_null(strstr(out, "(llama.cpp in 12.5 ms)"));
    assert_non_null(strstr(out, "  llama.cpp  ----------"));
    release(&result);
}

/* Whatever the other program does is one line and status 3. */
static void a_peer_that_fails_is_one_line(void **state)
{
    (void)state;
    static const struct {
        const char *script, *line;
    } cases[] = {
        {"#!/bin/sh\necho \"missing No module named 'llama_cpp'\"\n",
         ": No module named 'llama_cpp' (pip install llama-cpp-python adds llama.cpp to it, --peer=PYTHON names "
         "another)\n"},
        {"#!/bin/sh\necho 'error no such model'\n", "llama.cpp: no such model\n"},
        {"#!/bin/sh\nexit 1\n", "ended without an answer (is it a Python 3?)\n"},
        {"#!/bin/sh\necho hello\n", "answered \"hello\"\n"},
        {"#!/bin/sh\necho ready 1 2\nread -r x\necho time never\n", "answered \"time never\"\n"},
        {"#!/bin/sh\necho ready 1 2\nread -r x\necho time -1\n", "answered \"time -1\"\n"},
        {"#!/bin/sh\necho ready 1 2\nread -r x\n", "ended without an answer (is it a Python 3?)\n"},
        {"#!/bin/sh\nhead -c 100000 /dev/zero\n", "wrote a line that is too long\n"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        write_file("peer", cases[i].script, 0700);
        struct result result = RUN("bench", "--prefill", "4", "--decode", "1", "-r", "1", peer_option());
        const char *err = buffer_text(&result.err.pending);
        assert_int_equal(result.status, EXIT_FAILED);
        assert_int_equal(result.out.pending.size, 0);
        assert_memory_equal(err, "fathom: --peer: ", 16);
        assert_string_equal(err + strlen(err) - strlen(cases[i].line), cases[i].line);
        assert_ptr_equal(strchr(err, '\n'), err + strlen(err) - 1);
        release(&result);
    }
    expect_failure(WORDS("bench", "--lora", "a.gguf", "--peer"), EXIT_USAGE,
                   "fathom: --peer: adapters would be left out there (leave --lora out here)\n");
    /* Under valgrind posix_spawn can't tell why: its child shares no memory with us there. */
    const char *slowness = getenv("TEST_SLOWNESS");
    struct result result = RUN("bench", "--prefill", "4", "--peer=/nonexistent/python");
    if (!slowness || atof(slowness) < 50)
        assert_string_equal(buffer_text(&result.err.pending), "fathom: --peer: /nonexistent/python: No such file or "
                                                              "directory (--peer=PYTHON names another)\n");
    assert_int_equal(result.status, EXIT_FAILED);
    release(&result);
}

static void a_bare_peer_is_the_python_of_the_environment(void **state)
{
    (void)state;
    write_file("peer", peer_script, 0700);
    assert_int_equal(setenv("PYTHON", in_folder("peer"), 1), 0);
    struct result result = RUN("bench", "--json", "--prefill", "4", "--decode", "1", "-r", "1", "--peer");
    assert_int_equal(result.status, EXIT_DONE);
    assert_string_equal(text(cJSON_GetObjectItem(result.json, "peer"), "version"), "9.8.7");
    release(&result);
    assert_int_equal(unsetenv("PYTHON"), 0);
}

/* Once the peer runs. */
static void *cancel_soon(void *data)
{
    struct stat status;
    char path[128];
    snprintf(path, sizeof path, "%s/pid", folder);
    while (stat(path, &status) != 0 || status.st_size == 0)
        usleep(10000);
    atomic_store((atomic_bool *)data, true);
    return NULL;
}

static void waiting_for_a_peer_can_be_interrupted(void **state)
{
    (void)state;
    pthread_t thread;
    write_file("peer", "#!/bin/sh\necho $$ > \"$(dirname \"$0\")/pid\"\nexec sleep 6000\n", 0700);
    assert_int_equal(pthread_create(&thread, NULL, cancel_soon, &cancel), 0);
    expect_failure(WORDS("bench", "--prefill", "4", peer_option()), EXIT_INTERRUPTED, "");
    pthread_join(thread, NULL);
    atomic_store(&cancel, false);
    char *pid = read_file("pid"); /* it is gone, too */
    assert_int_equal(kill((pid_t)atoi(pid), 0), -1);
    free(pid);
}

/* ---- against an earlier run ---- */

static void an_earlier_run_is_measured_again(void **state)
{
    (void)state;
    fake_engine.decode_us = 2000;
    fake_engine.prefill_us = 1000;
    write_file(
        "old.json",
        "{\"version\":\"0.0.9\",\"date\":\"2026-01-02\",\"model\":\"fake\",\"threads\":2,"
        "\"prefill\":[{\"n\":6,\"tok_s\":1}],\"decode\":[{\"n\":3,\"depth\":5,\"tok_s\":1000000}],"
        "\"first_token\":[{\"n\":20,\"cached\":6,\"ms\":100000,\"alone_ms\":1000}],\"restore\":[{\"n\":6,\"ms\":1e6}]}",
        0600);
    struct result result = RUN("bench", "--json", "-r", "1", "--compare", in_folder("old.json"));
    assert_string_equal(buffer_text(&result.err.pending), "");
    assert_int_equal(result.status, EXIT_FOUND); /* decode is slower than a million tokens a second */
    assert_int_equal(n_items(result.json, "prefill"), 1);
    assert_int_equal(n_items(result.json, "compared"), 5);
    const cJSON *prefill = item(result.json, "compared", 0), *decode = item(result.json, "compared", 4);
    assert_string_equal(text(prefill, "what"), "prefill");
    assert_true(number(prefill, "old_tok_s") == 1 && number(prefill, "ratio") > 10);
    assert_true(cJSON_IsFalse(cJSON_GetObjectItem(prefill, "slower")));
    assert_string_equal(text(decode, "what"), "decode");
    assert_int_equal((int)number(decode, "depth"), 5);
    assert_true(cJSON_IsTrue(cJSON_GetObjectItem(decode, "slower")) && number(decode, "ratio") < 0.01);
    release(&result);
    result = RUN("bench", "-r", "1", "--compare", in_folder("old.json"));
    const char *out = buffer_text(&result.out.pending);
    assert_non_null(strstr(out, "/old.json: 0.0.9 of 2026-01-02\n"));
    assert_non_null(strstr(out, "  slower\n"));
    release(&result);
    result = RUN("bench", "-r", "1", "--tolerance", "100", "--compare", in_folder("old.json"));
    assert_int_equal(result.status, EXIT_DONE);
    release(&result);
}

/* What bench --json writes is what --compare reads. */
static void its_own_json_is_compared_line_by_line(void **state)
{
    (void)state;
    fake_engine.prefill_us = fake_engine.decode_us = 100;
    struct result result = RUN("bench", "--json", "--prefill", "4,9", "--decode", "2", "--depth", "0,7", "-r", "1");
    write_file("own.json", buffer_text(&result.out.pending), 0600);
    release(&result);
    result = RUN("bench", "--json", "-r", "1", "--tolerance", "100", "--compare", in_folder("own.json"));
    assert_string_equal(buffer_text(&result.err.pending), "");
    assert_int_equal(result.status, EXIT_DONE);
    assert_int_equal(n_items(result.json, "compared"), 7); /* two, two, the first token and its like alone, restoring */
    assert_int_equal((int)number(item(result.json, "prefill", 1), "n"), 9);
    release(&result);
    /* Lengths that are asked for count; what only one run has is left out. */
    result = RUN("bench", "--json", "-r", "1", "--tolerance", "100", "--prefill", "9", "--decode", "3", "--compare",
                 in_folder("own.json"));
    assert_int_equal(n_items(result.json, "decode"), 1);
    assert_int_equal(n_items(result.json, "compared"), 4); /* 9; 20 behind 9; 20; restoring 9 */
    release(&result);
}

static void another_machine_is_noticed(void **state)
{
    (void)state;
    write_file("old.json",
               "{\"model\":\"other\",\"threads\":7,\"cpu\":\"avx9\",\"kv\":\"f32\",\"machine\":{\"cpu\":\"Z80\"},"
               "\"prefill\":[{\"n\":6,\"tok_s\":1}]}",
               0600);
    struct result result = RUN("bench", "--json", "-r", "1", "--compare", in_folder("old.json"));
    const char *err = buffer_text(&result.err.pending);
    assert_int_equal(result.status, EXIT_DONE);
    assert_non_null(strstr(err, "model was other, this one's is fake\n"));
    assert_non_null(strstr(err, "had 7 threads, this one has 2\n"));
    assert_non_null(strstr(err, "instruction set was avx9, this one's is scalar\n"));
    assert_non_null(strstr(err, "attention cache was f32, this one's is f16\n"));
    assert_non_null(strstr(err, "processor was Z80, "));
    release(&result);
}

static void what_is_no_earlier_run_is_one_line(void **state)
{
    (void)state;
    static const struct {
        const char *content, *why;
    } cases[] = {
        {"", "it is no JSON object"},
        {"[1]", "it is no JSON object"},
        {"{}", "no result of bench --json"},
        {"{\"prefill\":7}", "no result of bench --json"},
        {"{\"prefill\":[{\"n\":4}]}", "a line of prefill has no figures"},
        {"{\"prefill\":[{\"n\":-4,\"tok_s\":1}]}", "a line of prefill has no figures"},
        {"{\"prefill\":[{\"n\":1e300,\"tok_s\":1}]}", "a line of prefill has no figures"},
        {"{\"prefill\":[{\"n\":1.5,\"tok_s\":1}]}", "a line of prefill has no figures"},
        {"{\"prefill\":[{\"n\":4,\"tok_s\":0}]}", "a line of prefill has no figures"},
        {"{\"prefill\":[{\"n\":4,\"tok_s\":\"1\"}]}", "a line of prefill has no figures"},
        {"{\"decode\":[{\"n\":4,\"tok_s\":1}]}", "a line of decode has no figures"},
        {"{\"first_token\":[{\"n\":4,\"ms\":1}]}", "a line of first token has no figures"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        char line[256];
        write_file("bad.json", cases[i].content, 0600);
        snprintf(line, sizeof line, "fathom: --compare: %s: %s\n", in_folder("bad.json"), cases[i].why);
        expect_failure(WORDS("bench", "--compare", in_folder("bad.json")), EXIT_FAILED, line);
    }
    expect_failure(WORDS("bench", "--compare", "/nonexistent/old.json"), EXIT_FAILED,
                   "fathom: /nonexistent/old.json: No such file or directory\n");
}

/* ---- the cache's cost ---- */

static void every_type_of_cache_has_its_perplexity(void **state)
{
    (void)state;
    write_file("text", "abcdefxyz", 0600);
    struct result result = RUN("bench", "--kv-cost", "--json", "-f", in_folder("text"), "-c", "4");
    assert_int_equal(result.status, EXIT_DONE);
    const char *choices = option_row(OPTION_KV)->choices;
    int n_types = 1;
    for (const char *c = choices; *c; c++)
        n_types += *c == '|';
    assert_int_equal(n_items(result.json, "kv_cost"), n_types);
    for (int i = 0; i < n_types; i++) {
        const cJSON *entry = item(result.json, "kv_cost", i);
        assert_memory_equal(text(entry, "kv"), choices, strlen(text(entry, "kv")));
        choices += strlen(text(entry, "kv")) + 1;
        /* Two tokens are scored, both as the scripted model foretells them, whatever the cache. */
        assert_int_equal((int)number(entry, "n_scored"), 2);
        assert_true(fabs(number(entry, "nll") - (log(exp(10) + 259) - 10)) < 1e-6);
        assert_true(number(entry, "ratio") == 1);
        assert_int_equal((int)number(entry, "bytes_per_token"), 1024);
    }
    release(&result);
    result = RUN("bench", "--kv-cost", "-f", in_folder("text"), "-c", "4");
    assert_non_null(strstr(buffer_text(&result.out.pending), "2 tokens scored, in 2 chunks of 4\n"));
    assert_non_null(strstr(buffer_text(&result.out.pending), "\nq8_0 "));
    release(&result);
    expect_failure(WORDS("bench", "--kv-cost"), EXIT_USAGE,
                   "fathom: bench: --kv-cost: no text (name it: -f FILE, - is stdin)\n");
}

/* ---- assets ---- */

static void assets_are_found_from_the_programs_place(void **state)
{
    (void)state;
    struct buffer path = {0};
    struct error error;
    buffer_append_text(&path, "before ");
    assert_int_equal(asset_find("bench_peer.py", &path, &error), STATUS_OK);
    assert_memory_equal(buffer_text(&path), "before /", 8);
    assert_int_equal(access(buffer_text(&path) + 7, R_OK), 0);
    buffer_clear(&path);
    assert_int_equal(asset_find("no-such-asset", &path, &error), STATUS_NOT_FOUND);
    assert_int_equal(path.size, 0);
    assert_non_null(strstr(error.text, "no-such-asset is missing"));
    buffer_deinit(&path);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(it_gives_the_contracts_keys, reset),
        cmocka_unit_test_setup(it_says_where_and_when, reset),
        cmocka_unit_test_setup(the_first_token_reuses_what_is_cached, reset),
        cmocka_unit_test_setup(what_was_evaluated_is_restored, reset),
        cmocka_unit_test_setup(full_goes_as_far_as_the_context, reset),
        cmocka_unit_test_setup(it_stops_when_interrupted, reset),
        cmocka_unit_test_setup(bars_are_as_long_as_speeds, reset),
        cmocka_unit_test_setup(both_take_turns, reset),
        cmocka_unit_test_setup(both_stand_in_the_table, reset),
        cmocka_unit_test_setup(a_peer_that_fails_is_one_line, reset),
        cmocka_unit_test_setup(a_bare_peer_is_the_python_of_the_environment, reset),
        cmocka_unit_test_setup(waiting_for_a_peer_can_be_interrupted, reset),
        cmocka_unit_test_setup(an_earlier_run_is_measured_again, reset),
        cmocka_unit_test_setup(its_own_json_is_compared_line_by_line, reset),
        cmocka_unit_test_setup(another_machine_is_noticed, reset),
        cmocka_unit_test_setup(what_is_no_earlier_run_is_one_line, reset),
        cmocka_unit_test_setup(every_type_of_cache_has_its_perplexity, reset),
        cmocka_unit_test_setup(assets_are_found_from_the_programs_place, reset),
    };
    int model = mkstemp(model_path);
    if (model < 0 || !mkdtemp(folder))
        return 1;
    close(model);
    signal(SIGPIPE, SIG_IGN);
    int failed = cmocka_run_group_tests(tests, NULL, NULL);
    static const char *const written[] = {"peer", "asked", "pid", "old.json", "own.json", "bad.json", "text"};
    for (size_t i = 0; i < sizeof written / sizeof *written; i++)
        unlink(in_folder(written[i]));
    rmdir(folder);
    fake_engine_reset();
    unlink(model_path);
    return failed;
}
