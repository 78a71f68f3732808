/* fuzz_grammar: whatever is given for a schema, it is refused or a grammar comes of it, and whatever is then given for an answer,
 * following it ends, within its memory.  The input is a schema, a byte 0, and the answer's bytes.  What is whole is JSON.
 *
 * With FATHOM_PLANT_BUG whoever keeps the answer takes it to be shorter than 24 bytes, which the seeds' are not.  The fuzzer must
 * find it. */
#include <stdlib.h>
#include <string.h>

#include <cjson/cJSON.h>

#include "engine/grammar.h"

static void require(bool condition)
{
    if (!condition)
        abort();
}

static void follow(const struct grammar *grammar, const char *bytes, size_t size)
{
    struct grammar_match *match = NULL;
    if (grammar_match_new(grammar, NULL, &match, NULL))
        return;
    struct buffer answer = {0};
#ifdef FATHOM_PLANT_BUG
    char *copy = malloc(24);
#endif
    for (size_t i = 0; i < size && i < 4096; i++) {
        if (grammar_match_accept_bytes(match, bytes + i, 1, NULL))
            continue; /* what can't come is left out */
        buffer_append_byte(&answer, bytes[i]);
#ifdef FATHOM_PLANT_BUG
        if (copy)
            copy[answer.size - 1] = bytes[i];
#endif
        if (!grammar_match_is_whole(match))
            continue;
        cJSON *json = cJSON_ParseWithOpts(buffer_text(&answer), NULL, true);
        require(json != NULL);
        cJSON_Delete(json);
    }
#ifdef FATHOM_PLANT_BUG
    free(copy);
#endif
    grammar_match_reset(match);
    struct error error;
    if (answer.size)
        require(grammar_match_accept_bytes(match, answer.data, answer.size, &error) == STATUS_OK);
    buffer_deinit(&answer);
    grammar_match_free(match);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    const char *text = (const char *)data, *end = size ? memchr(text, 0, size) : NULL;
    size_t n = end ? (size_t)(end - text) : size;
    struct grammar *grammar = NULL;
    struct error error;
    if (grammar_from_schema(text, n, &grammar, &error) == STATUS_OK)
        follow(grammar, text + (end ? n + 1 : n), end ? size - n - 1 : 0);
    grammar_free(grammar);
    return 0;
}
