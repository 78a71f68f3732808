/* edits: code-editing prompts, answered with drafts and without, by turns: how much faster, and whether the same.
 *
 *     edits MODEL FOLDER [ROUNDS [TEMPERATURE]]
 *
 * FOLDER holds files of an instruction, an empty line and a fenced text.  The answer is begun for the model with the fence and the
 * text's first line, so that a small model too sets out to write the file again, and ends with the fence, with the model's
 * own end, or when it is half as long again as the text.  Each answer has a session of its own, which learns what drafts cost
 * here as it goes; the time is that of its tokens, from the end of the prompt on.  A line a prompt, then the mean and the least
 * of the ratios.  Fails where an answer differs. */
#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "engine/engine.h"

enum { ROUNDS_MOST = 25, CONTEXT = 4096 };

struct edit {
    struct tokens prompt; /* the beginning of the answer included */
    size_t n_most;        /* tokens of the answer */
};

struct run {
    struct tokens said;
    double seconds;
    struct draft_counts counts;
};

static void fail(const char *what, const struct error *error)
{
    fprintf(stderr, "edits: %s: %s\n", what, error ? error->text : "");
    exit(EXIT_FAILURE);
}

static void read_file(const char *path, struct buffer *out)
{
    char bytes[4096];
    size_t n;
    FILE *file = fopen(path, "rb");
    if (!file)
        fail(path, &(struct error){.text = "cannot be opened"});
    while ((n = fread(bytes, 1, sizeof bytes, file)) > 0)
        buffer_append(out, bytes, n);
    fclose(file);
}

static void make_prompt(const struct engine *engine, const char *path, struct edit *edit)
{
    struct buffer text = {0};
    struct error error = {0};
    struct tokens body = {0};
    read_file(path, &text);
    const char *fence = strstr(buffer_text(&text), "\n```"), *line = fence ? strchr(fence + 1, '\n') : NULL;
    const char *end = line ? strchr(line + 1, '\n') : NULL;
    if (!end)
        fail(path, &(struct error){.text = "has no fenced text of two lines"});
    const struct chat_message message = {.role = CHAT_USER, .content = {text.data, text.size}};
    enum status status = engine_chat_tokens(engine, &message, 1, true, &edit->prompt, &error);
    if (!status)
        status = engine_tokenize(engine, fence + 1, (size_t)(end - fence), ENGINE_NO_PREFIX, &edit->prompt, &error);
    if (!status)
        status = engine_tokenize(engine, end, strlen(end), ENGINE_NO_PREFIX, &body, &error);
    if (status)
        fail(path, &error);
    edit->n_most = body.n * 3 / 2;
    tokens_deinit(&body);
    buffer_deinit(&text);
}

static bool ends_with_fence(const struct engine *engine, const struct tokens *said)
{
    struct buffer text = {0};
    size_t n = said->n < 4 ? said->n : 4;
    engine_decode(engine, said->ids + said->n - n, n, false, &text);
    bool is_fence = text.data && strstr(text.data, "\n```");
    buffer_deinit(&text);
    return is_fence;
}

static void answer(struct engine *engine, const struct edit *edit, float temperature, bool drafts, struct run *run)
{
    struct session_options options = {.n_ctx = CONTEXT, .drafts = drafts};
    struct sampler_options sampling = sampler_options_default();
    sampling.temperature = temperature;
    sampling.top_k = 40;
    sampling.seed = 1;
    struct session *session = NULL;
    struct sampler *sampler = NULL;
    struct error error = {0};
    enum status status = session_open(engine, &options, &session, &error);
    if (!status)
        status = sampler_new(&sampling, engine_n_vocab(engine), &sampler, &error);
    if (!status)
        status = session_sync(session, edit->prompt.ids, edit->prompt.n, NULL, &error);
    tokens_clear(&run->said);
    uint64_t began = clock_now_ns();
    while (!status && run->said.n < edit->n_most) {
        int32_t id;
        status = sampler_pick(sampler, session_logits(session), &id, &error);
        if (status || engine_token_is_end(engine, id))
            break;
        sampler_accept(sampler, id);
        tokens_append(&run->said, id);
        if (ends_with_fence(engine, &run->said))
            break;
        status = session_append(session, id, &error);
    }
    if (status)
        fail("an answer", &error);
    run->seconds = (double)(clock_now_ns() - began) / 1e9;
    run->counts = session_draft_counts(session);
    sampler_free(sampler);
    session_close(session);
}

static int compare_reals(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

static double median(double *values, size_t n)
{
    qsort(values, n, sizeof *values, compare_reals);
    return n % 2 ? values[n / 2] : (values[n / 2 - 1] + values[n / 2]) / 2;
}

/* Prints the line; returns the ratio, or 0 where the answers differ. */
static double measure(struct engine *engine, const char *name, const struct edit *edit, size_t rounds,
                      float temperature)
{
    struct run without = {0}, with = {0};
    double slow[ROUNDS_MOST] = {0}, fast[ROUNDS_MOST] = {0};
    bool is_same = true;
    for (size_t i = 0; i < rounds; i++) {
        answer(engine, edit, temperature, i % 2 == 0, i % 2 == 0 ? &with : &without);
        answer(engine, edit, temperature, i % 2 != 0, i % 2 != 0 ? &with : &without);
        slow[i] = without.seconds;
        fast[i] = with.seconds;
        is_same &= with.said.n == without.said.n &&
                   memcmp(with.said.ids, without.said.ids, with.said.n * sizeof *with.said.ids) == 0;
    }
    double n = (double)with.said.n, before = median(slow, rounds), now = median(fast, rounds);
    printf("%-22s %5zu tokens  %7.1f %7.1f a second  %5.2f  %4llu of %4llu drafted came%s\n", name, with.said.n,
           n / before, n / now, before / now, (unsigned long long)with.counts.n_accepted,
           (unsigned long long)with.counts.n_drafted, is_same ? "" : "  DIFFERENT");
    fflush(stdout);
    tokens_deinit(&with.said);
    tokens_deinit(&without.said);
    return is_same ? before / now : 0;
}

static int is_text(const struct dirent *entry)
{
    size_t size = strlen(entry->d_name);
    return size > 4 && strcmp(entry->d_name + size - 4, ".txt") == 0;
}

int main(int argc, char **argv)
{
    struct dirent **entries;
    struct engine *engine = NULL;
    struct error error = {0};
    size_t rounds = argc > 3 ? (size_t)atoi(argv[3]) : 3;
    float temperature = argc > 4 ? (float)atof(argv[4]) : 0;
    if (argc < 3 || rounds < 1 || rounds > ROUNDS_MOST || temperature < 0) {
        fprintf(stderr, "usage: edits MODEL FOLDER [ROUNDS [TEMPERATURE]]\n");
        return 2;
    }
    if (engine_open(&(struct engine_options){.model_path = argv[1]}, &engine, &error))
        fail(argv[1], &error);
    int n = scandir(argv[2], &entries, is_text, alphasort), n_different = 0;
    if (n <= 0)
        fail(argv[2], &(struct error){.text = "has no prompts"});
    double sum = 0, least = 1e9;
    for (int i = 0; i < n; i++) {
        struct edit edit = {0};
        char path[1024];
        snprintf(path, sizeof path, "%s/%s", argv[2], entries[i]->d_name);
        make_prompt(engine, path, &edit);
        double ratio = measure(engine, entries[i]->d_name, &edit, rounds, temperature);
        n_different += ratio == 0;
        sum += ratio;
        least = ratio < least ? ratio : least;
        tokens_deinit(&edit.prompt);
        free(entries[i]);
    }
    free(entries);
    engine_close(engine);
    printf("%d prompts, temperature %g: %.2f times as fast on average, %.2f at least; %s\n", n, (double)temperature,
           sum / n, least, n_different ? "ANSWERS DIFFER" : "all answers the same");
    return n_different ? EXIT_FAILURE : EXIT_SUCCESS;
}
