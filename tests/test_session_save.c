/* Tests sessions on disk: what is restored is what was saved, whole or a beginning of it; what doesn't fit, or was damaged
 * in any byte, is found; and a file is whole or not there. */
#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "engine/checksum.h"
#include "engine/model_identity.h"
#include "tests/engine_fixture.h"
#include "tests/synth.h"

enum { N_CTX = 128 };

static char path[512];

static int make_path(void **state)
{
    (void)state;
    const char *folder = getenv("TMPDIR");
    snprintf(path, sizeof path, "%s/saved-%ld", folder ? folder : "/tmp", (long)getpid());
    unlink(path);
    return 0;
}

static int remove_path(void **state)
{
    (void)state;
    unlink(path);
    return 0;
}

static struct tokens make_tokens(size_t n)
{
    struct tokens tokens = {0};
    for (size_t i = 0; i < n; i++)
        tokens_append(&tokens, (int32_t)((i * 37 + 11) % 251));
    assert_false(tokens.failed);
    return tokens;
}

static struct session *open_for(struct engine *engine, enum kv_type kv)
{
    return open_session(engine, (struct session_options){.n_ctx = N_CTX, .n_slice = 1, .kv = kv});
}

static void save(const struct session *session)
{
    struct error error = {0};
    if (session_save(session, path, &error))
        fail_msg("%s", error.text);
}

static void restore(struct session *session, size_t n)
{
    struct error error = {0};
    if (session_restore(session, path, n, &error))
        fail_msg("%s", error.text);
}

/* That the session has the first n tokens, and goes on as one that evaluated them. */
static void check_goes_on(struct engine *engine, struct session *session, const struct tokens *tokens, size_t n,
                          enum kv_type kv)
{
    size_t n_past;
    const int32_t *ids = session_tokens(session, &n_past);
    assert_int_equal(n_past, n);
    if (n)
        assert_memory_equal(ids, tokens->ids, n * sizeof *ids);
    assert_null(session_logits(session));
    struct session *fresh = open_for(engine, kv);
    struct tokens more = {0};
    tokens_append_all(&more, tokens->ids, n);
    tokens_append(&more, 200);
    tokens_append(&more, 3);
    struct sync_report report;
    sync_all(session, &more, &report);
    assert_int_equal(report.n_evaluated, 2);
    sync_all(fresh, &more, NULL);
    assert_memory_equal(session_logits(session), session_logits(fresh),
                        (size_t)engine_n_vocab(engine) * sizeof *session_logits(fresh));
    session_close(fresh);
    tokens_deinit(&more);
}

/* ---- what fits ---- */

static void round_trip(const char *shape, enum kv_type kv)
{
    struct engine *engine = open_small(shape, NULL, 2);
    struct session *session = open_for(engine, kv);
    const size_t lengths[] = {1, 31, 32, 33, 100};
    for (size_t i = 0; i < sizeof lengths / sizeof *lengths; i++) {
        struct tokens tokens = make_tokens(lengths[i]), saved = {0};
        sync_all(session, &tokens, NULL);
        save(session);
        struct session *other = open_for(engine, kv);
        assert_int_equal(session_saved_tokens(other, path, &saved, NULL), STATUS_OK);
        assert_int_equal(saved.n, tokens.n);
        assert_memory_equal(saved.ids, tokens.ids, tokens.n * sizeof *tokens.ids);
        restore(other, N_CTX);
        check_goes_on(engine, other, &tokens, tokens.n, kv);
        session_close(other);
        tokens_deinit(&tokens);
        tokens_deinit(&saved);
    }
    session_close(session);
    engine_close(engine);
}

static void what_is_saved_is_restored(void **state)
{
    (void)state;
    round_trip("llama-gqa", KV_F16);
    round_trip("qwen3", KV_Q8_0);
    round_trip("qwen3moe", KV_F32);
    round_trip("lite-q8_0", KV_F16);
}

static void a_beginning_is_restored(void **state)
{
    (void)state;
    struct engine *engine = open_small("lite-q8_0", NULL, 2);
    struct session *session = open_for(engine, KV_F16), *other = open_for(engine, KV_F16), *fork;
    struct tokens tokens = make_tokens(100);
    sync_all(session, &tokens, NULL);
    save(session);
    struct stat about;
    assert_int_equal(stat(path, &about), 0);
    assert_int_equal(about.st_mode & 0777, 0600);
    const size_t lengths[] = {0, 1, 32, 40, 64, 99, 100, 33, 5};
    for (size_t i = 0; i < sizeof lengths / sizeof *lengths; i++) {
        restore(other, lengths[i]);
        check_goes_on(engine, other, &tokens, lengths[i], KV_F16);
    }
    /* What the session has of it stays, also where a fork has it, too, which doesn't notice. */
    tokens.n = 50;
    sync_all(other, &tokens, NULL);
    assert_int_equal(session_fork(other, &fork, NULL), STATUS_OK);
    tokens.n = 100;
    restore(other, 100);
    check_goes_on(engine, other, &tokens, 100, KV_F16);
    restore(fork, 40);
    check_goes_on(engine, fork, &tokens, 40, KV_F16);
    tokens.n = 50;
    sync_all(fork, &tokens, NULL);
    restore(fork, 50); /* nothing to do: the logits stay */
    assert_non_null(session_logits(fork));
    session_close(fork);
    session_close(session);
    session_close(other);
    tokens_deinit(&tokens);
    engine_close(engine);
}

static void a_small_context_takes_what_it_holds(void **state)
{
    (void)state;
    struct engine *engine = open_small("llama-gqa", NULL, 1);
    struct session *session = open_for(engine, KV_F16);
    struct session *small = open_session(engine, (struct session_options){.n_ctx = 50, .n_slice = 1});
    struct tokens tokens = make_tokens(100);
    struct error error;
    sync_all(session, &tokens, NULL);
    save(session);
    assert_int_equal(session_restore(small, path, 100, &error), STATUS_RANGE);
    assert_non_null(strstr(error.text, "context of 50"));
    restore(small, 48);
    check_goes_on(engine, small, &tokens, 48, KV_F16);
    restore(small, 50); /* its last block is larger than the context */
    size_t n;
    session_tokens(small, &n);
    assert_int_equal(n, 50);
    session_close(small);
    session_close(session);
    tokens_deinit(&tokens);
    engine_close(engine);
}

/* ---- what doesn't ---- */

static void expect(struct engine *engine, enum kv_type kv, enum status wanted)
{
    struct session *session = open_for(engine, kv);
    struct tokens saved = {0};
    struct error error = {0};
    assert_int_equal(session_saved_tokens(session, path, &saved, &error), wanted);
    assert_int_equal(session_restore(session, path, N_CTX, &error), wanted);
    assert_true(error.text[0] != 0);
    size_t n;
    session_tokens(session, &n);
    assert_int_equal(n, 0);
    assert_int_equal(saved.n, 0);
    session_close(session);
}

static void what_is_not_the_same_does_not_fit(void **state)
{
    (void)state;
    struct engine *engine = open_small("qwen3", NULL, 1), *scalar = open_small("qwen3", "scalar", 2),
                  *other = open_small("qwen3moe", NULL, 1), *same = open_small("qwen3", NULL, 2);
    struct session *session = open_for(engine, KV_F16);
    expect(engine, KV_F16, STATUS_NOT_FOUND);
    assert_int_equal(session_save(session, path, NULL), STATUS_RANGE);
    struct tokens tokens = make_tokens(40);
    sync_all(session, &tokens, NULL);
    save(session);
    expect(engine, KV_Q8_0, STATUS_UNSUPPORTED);
    expect(other, KV_F16, STATUS_UNSUPPORTED);
    if (strcmp(engine_cpu_name(engine), "scalar") != 0)
        expect(scalar, KV_F16, STATUS_UNSUPPORTED);
    /* Threads and where the file lies don't matter. */
    struct session *again = open_for(same, KV_F16);
    assert_string_equal(session_key(session).text, session_key(again).text);
    restore(again, N_CTX);
    check_goes_on(same, again, &tokens, 40, KV_F16);
    session_close(again);
    again = open_for(same, KV_Q8_0);
    assert_string_not_equal(session_key(session).text, session_key(again).text);
    session_close(again);
    assert_int_equal(unlink(path), 0);
    assert_int_equal(mkfifo(path, 0600), 0);
    expect(engine, KV_F16, STATUS_FORMAT); /* and doesn't wait */
    unlink(path);
    assert_int_equal(mkdir(path, 0700), 0);
    expect(engine, KV_F16, STATUS_FORMAT);
    rmdir(path);
    session_close(session);
    tokens_deinit(&tokens);
    engine_close(engine);
    engine_close(scalar);
    engine_close(other);
    engine_close(same);
}

/* ---- damage ---- */

static void flip(int file, off_t at)
{
    unsigned char byte;
    assert_int_equal(pread(file, &byte, 1, at), 1);
    byte ^= 0x10;
    assert_int_equal(pwrite(file, &byte, 1, at), 1);
}

/* Whatever byte is wrong, no wrong cell and no wrong token comes of it; what stands before it is of use. */
static void any_damage_is_found(void **state)
{
    (void)state;
    struct engine *engine = open_small("llama-gqa", NULL, 1);
    struct session *session = open_for(engine, KV_F16);
    struct tokens tokens = make_tokens(70);
    sync_all(session, &tokens, NULL);
    save(session);
    int file = open(path, O_RDWR);
    struct stat about;
    assert_int_equal(fstat(file, &about), 0);
    off_t cells = (off_t)(70 * session_kv_bytes_per_token(session)), head = about.st_size - cells;
    for (off_t at = 0; at < about.st_size; at += at < head ? 1 : 97) {
        flip(file, at);
        struct session *other = open_for(engine, KV_F16);
        enum status status = session_restore(other, path, 70, NULL);
        assert_true(status == STATUS_FORMAT || status == STATUS_UNSUPPORTED);
        size_t n, good = at < head ? 0 : (size_t)((at - head) / (32 * (off_t)session_kv_bytes_per_token(session)));
        session_tokens(other, &n);
        assert_int_equal(n, good * 32);
        if (at % 61 == 0)
            check_goes_on(engine, other, &tokens, n, KV_F16);
        session_close(other);
        flip(file, at);
    }
    for (off_t size = 0; size < about.st_size; size += size < head ? 7 : 997) {
        assert_int_equal(ftruncate(file, size), 0);
        expect(engine, KV_F16, STATUS_FORMAT);
        assert_int_equal(ftruncate(file, 0), 0);
        save(session);
        close(file);
        file = open(path, O_RDWR);
    }
    assert_int_equal(ftruncate(file, about.st_size + 1), 0);
    expect(engine, KV_F16, STATUS_FORMAT);
    close(file);
    session_close(session);
    tokens_deinit(&tokens);
    engine_close(engine);
}

static void sums_tell_bytes_apart(void **state)
{
    (void)state;
    unsigned char bytes[100] = {0};
    uint64_t plain = checksum_add(0, bytes, sizeof bytes);
    assert_true(plain != checksum_add(0, bytes, 99) && plain != checksum_add(1, bytes, 100));
    for (size_t bit = 0; bit < 8 * sizeof bytes; bit++) {
        bytes[bit / 8] ^= (unsigned char)(1 << bit % 8);
        uint64_t one = checksum_add(0, bytes, sizeof bytes);
        assert_true(one != plain);
        for (size_t other = 0; other < bit; other++) {
            bytes[other / 8] ^= (unsigned char)(1 << other % 8);
            assert_true(checksum_add(0, bytes, sizeof bytes) != plain);
            bytes[other / 8] ^= (unsigned char)(1 << other % 8);
        }
        bytes[bit / 8] ^= (unsigned char)(1 << bit % 8);
    }
    assert_true(checksum_add(0, bytes, sizeof bytes) == plain);
}

/* ---- a file is whole or not there ---- */

static void a_full_disk_leaves_the_old_file(void **state)
{
    (void)state;
    struct engine *engine = open_small("llama-gqa", NULL, 1);
    struct session *session = open_for(engine, KV_F16);
    struct tokens tokens = make_tokens(40), more = make_tokens(90);
    struct error error = {0};
    sync_all(session, &tokens, NULL);
    save(session);
    sync_all(session, &more, NULL);
    struct rlimit before, limit;
    assert_int_equal(getrlimit(RLIMIT_FSIZE, &before), 0);
    limit = before;
    limit.rlim_cur = 20000;
    signal(SIGXFSZ, SIG_IGN);
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &limit), 0);
    enum status status = session_save(session, path, &error);
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &before), 0);
    assert_int_equal(status, STATUS_IO);
    assert_non_null(strstr(error.text, strerror(EFBIG)));
    char unfinished[600];
    snprintf(unfinished, sizeof unfinished, "%s.%ld" SESSION_UNFINISHED, path, (long)getpid());
    assert_int_equal(access(unfinished, F_OK), -1);
    struct session *other = open_for(engine, KV_F16);
    restore(other, N_CTX);
    check_goes_on(engine, other, &tokens, 40, KV_F16);
    session_close(other);
    assert_int_equal(session_save(session, "/nonexistent/folder/file", &error), STATUS_IO);
    session_close(session);
    tokens_deinit(&tokens);
    tokens_deinit(&more);
    engine_close(engine);
}

/* A child saves again and again, one length after the other, until it is killed in the middle. */
static void killing_leaves_a_whole_file(void **state)
{
    (void)state;
    struct engine *engine = open_small("llama-gqa", NULL, 1);
    struct session *session = open_for(engine, KV_F16);
    struct tokens tokens = make_tokens(100);
    sync_all(session, &tokens, NULL);
    save(session);
    for (int round = 0; round < 20; round++) {
        pid_t child = fork();
        assert_true(child >= 0);
        if (child == 0)
            while (true) { /* no evaluation: the threads are the parent's */
                if (session_save(session, path, NULL))
                    _exit(1);
            }
        usleep((useconds_t)(1000 + 700 * round));
        assert_int_equal(kill(child, SIGKILL), 0);
        int status;
        assert_int_equal(waitpid(child, &status, 0), child);
        assert_true(WIFSIGNALED(status));
        char unfinished[600];
        snprintf(unfinished, sizeof unfinished, "%s.%ld" SESSION_UNFINISHED, path, (long)child);
        unlink(unfinished);
        struct session *other = open_for(engine, KV_F16);
        restore(other, N_CTX);
        check_goes_on(engine, other, &tokens, 100, KV_F16);
        session_close(other);
    }
    session_close(session);
    tokens_deinit(&tokens);
    engine_close(engine);
}

/* ---- which model it is ---- */

static struct model_identity identity_of(const char *shape, uint64_t seed)
{
    struct error error = {0};
    if (synth_save(path, synth_shape_find(shape), &(struct synth_options){.seed = seed}, &error))
        fail_msg("%s", error.text);
    struct gguf *gguf;
    assert_int_equal(gguf_open(path, &gguf, NULL), STATUS_OK);
    struct model_identity identity = model_identity_of(gguf);
    gguf_close(gguf);
    return identity;
}

static void models_are_told_apart(void **state)
{
    (void)state;
    struct model_identity one = identity_of("qwen2", 1), again = identity_of("qwen2", 1);
    struct model_identity others[] = {identity_of("qwen2", 2), identity_of("qwen2-yarn", 1), identity_of("llama", 1)};
    assert_memory_equal(&one, &again, sizeof one);
    for (size_t i = 0; i < sizeof others / sizeof *others; i++)
        assert_true(one.sums[0] != others[i].sums[0] && one.sums[1] != others[i].sums[1]);
    model_identity_add(&again, "x", 1);
    assert_true(one.sums[0] != again.sums[0]);
}

#define WITH_PATH(test) cmocka_unit_test_setup_teardown(test, make_path, remove_path)

int main(void)
{
    const struct CMUnitTest tests[] = {
        WITH_PATH(what_is_saved_is_restored),
        WITH_PATH(a_beginning_is_restored),
        WITH_PATH(a_small_context_takes_what_it_holds),
        WITH_PATH(what_is_not_the_same_does_not_fit),
        WITH_PATH(any_damage_is_found),
        WITH_PATH(a_full_disk_leaves_the_old_file),
        WITH_PATH(killing_leaves_a_whole_file),
        WITH_PATH(models_are_told_apart),
        cmocka_unit_test(sums_tell_bytes_apart),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
