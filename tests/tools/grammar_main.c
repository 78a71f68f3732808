/* grammar: answers bound by a schema, for scripts that judge them:
 *
 *     grammar make SCHEMA N SEED     N answers, a line of JSON each (a string), made of bytes drawn at random among those that may come
 *     grammar check SCHEMA           for each line of JSON (a string) on stdin: yes where it is a whole answer, no, or part
 *
 * SCHEMA is the text itself.  Exit 3 with one line where it can't be held to. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cjson/cJSON.h>

#include "engine/grammar.h"

enum { LONGEST = 20000 };

static unsigned next_random(uint64_t *state)
{
    *state = *state * 6364136223846793005u + 1442695040888963407u; /* Knuth's MMIX */
    return (unsigned)(*state >> 33);
}

/* A byte that may come; what closes is tried first ever more often, so that answers end.  False where there is none. */
static bool put_byte(struct grammar_match *match, uint64_t *random, struct buffer *out)
{
    static const char closing[] = "\"}],:";
    if (next_random(random) % 3000 < 300 + out->size)
        for (const char *c = closing; *c; c++)
            if (grammar_match_accept_bytes(match, c, 1, NULL) == STATUS_OK) {
                buffer_append_byte(out, *c);
                return true;
            }
    unsigned char first = (unsigned char)next_random(random);
    for (unsigned i = 0; i < 256; i++) {
        char byte = (char)(unsigned char)(first + i * 97);
        if (grammar_match_accept_bytes(match, &byte, 1, NULL) == STATUS_OK) {
            buffer_append_byte(out, byte);
            return true;
        }
    }
    return false;
}

static int print_string(const struct buffer *text)
{
    cJSON *string = cJSON_CreateString(buffer_text(text));
    char *line = string ? cJSON_PrintUnformatted(string) : NULL;
    if (line)
        puts(line);
    cJSON_free(line);
    cJSON_Delete(string);
    return line ? 0 : 3;
}

static int make(struct grammar_match *match, int n, uint64_t random)
{
    int result = 0;
    for (int i = 0; i < n && !result; i++) {
        struct buffer out = {0};
        grammar_match_reset(match);
        while (out.size < LONGEST && !grammar_match_is_finished(match) &&
               !(grammar_match_is_whole(match) && next_random(&random) % 2)) {
            if (!put_byte(match, &random, &out)) {
                fprintf(stderr, "nothing may come behind: %s\n", buffer_text(&out));
                result = 1;
                break;
            }
        }
        if (!result && grammar_match_is_whole(match))
            result = print_string(&out);
        buffer_deinit(&out);
    }
    return result;
}

static int check(struct grammar_match *match)
{
    char *line = NULL;
    size_t capacity = 0;
    while (getline(&line, &capacity, stdin) >= 0) {
        cJSON *string = cJSON_Parse(line);
        const char *text = cJSON_GetStringValue(string);
        grammar_match_reset(match);
        bool goes = text && grammar_match_accept_bytes(match, text, strlen(text), NULL) == STATUS_OK;
        puts(!goes ? "no" : grammar_match_is_whole(match) ? "yes" : "part");
        cJSON_Delete(string);
    }
    free(line);
    return 0;
}

int main(int argc, char **argv)
{
    if (argc < 3)
        return 2;
    struct error error;
    struct grammar *grammar;
    struct grammar_match *match;
    if (grammar_from_schema(argv[2], strlen(argv[2]), &grammar, &error)) {
        puts(error.text);
        return 3;
    }
    if (grammar_match_new(grammar, NULL, &match, &error))
        return 3;
    int result = strcmp(argv[1], "make") == 0 && argc == 5
                     ? make(match, atoi(argv[3]), strtoull(argv[4], NULL, 10)) // NOLINT(cert-err34-c)
                     : check(match);
    grammar_match_free(match);
    grammar_free(grammar);
    return result;
}
