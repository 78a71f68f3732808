/* surprise: how unlikely a model finds the lines of texts, for scripts that judge it:
 *
 *     surprise MODEL < LIST        of each line "FIRST N PATH" of LIST (lines of that file from 1 on) a line of JSON:
 *                                  [[nats, tokens, largest], ...], one for each line of the file
 *     surprise MODEL ids < LIST    [[id, log-probability, [ids before it]], ...], one for each token */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "app/surprise.h"

static bool read_file(const char *path, struct buffer *out)
{
    FILE *file = fopen(path, "rbe");
    char piece[65536];
    if (!file)
        return false;
    for (size_t n; (n = fread(piece, 1, sizeof piece, file)) > 0;)
        buffer_append(out, piece, n);
    fclose(file);
    return !out->failed;
}

static void print_lines(const struct surprise_text *text)
{
    printf("[");
    for (size_t i = 0; i < text->n_lines; i++) {
        const struct surprise_line *line = &text->lines[i];
        const struct surprise_token *peak = surprise_peak(text, line);
        printf("%s[%.6f,%u,%.6f]", i ? "," : "", line->nats, line->n_tokens, peak ? -(double)peak->logprob : 0);
    }
    printf("]\n");
}

static void print_ids(const struct surprise_text *text, int32_t bos)
{
    printf("[");
    for (size_t i = 0; i < text->n_tokens; i++) {
        const struct surprise_token *token = &text->tokens[i];
        const char *between = "";
        printf("%s[%d,%.6f,[", i ? "," : "", token->id, (double)token->logprob);
        if (bos >= 0) {
            printf("%d", bos);
            between = ",";
        }
        for (size_t k = token->window; k < token->at; k++, between = ",")
            printf("%s%d", between, text->ids.ids[k]);
        printf("]]");
    }
    printf("]\n");
}

int main(int argc, char **argv)
{
    struct engine *engine = NULL;
    struct surprise *surprise = NULL;
    struct error error = {0};
    struct session_options options = {.kv = KV_F16};
    char line[8192], path[4096];
    unsigned first, n;
    if (argc < 2)
        return 2;
    enum status status = engine_open(&(struct engine_options){.model_path = argv[1]}, &engine, &error);
    if (!status)
        status = surprise_open(engine, &options, &surprise, &error);
    while (!status && fgets(line, sizeof line, stdin)) {
        struct buffer bytes = {0};
        struct surprise_text text = {0};
        if (sscanf(line, "%u %u %4095[^\n]", &first, &n, path) != 3 || !first || !read_file(path, &bytes))
            status = error_set(&error, STATUS_ARGUMENT, "no line FIRST N PATH, or no such file: %s", line);
        if (!status)
            status =
                surprise_read(surprise, (struct slice){buffer_text(&bytes), bytes.size}, first - 1, n, &text, &error);
        if (!status && argc > 2)
            print_ids(&text, engine_fim_marks(engine)->begin);
        else if (!status)
            print_lines(&text);
        fflush(stdout);
        surprise_text_deinit(&text);
        buffer_deinit(&bytes);
    }
    if (status)
        fprintf(stderr, "%s\n", error.text);
    surprise_close(surprise);
    engine_close(engine);
    return status ? 3 : 0;
}
