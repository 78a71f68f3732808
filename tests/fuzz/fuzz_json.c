/* fuzz_json: any bytes as a request's JSON are refused, or read into a tree within the limits, whose text is read again.
 *
 * With FATHOM_PLANT_BUG whatever cJSON takes is expected to be taken, which is right for most texts and wrong for those that
 * the standard or our limits forbid.  The fuzzer must find one. */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "app/json_read.h"

/* Nothing deeper than the limit, no key twice side by side, no number that isn't finite. */
static void check_tree(const cJSON *root)
{
    const cJSON *path[JSON_MAX_DEPTH + 1] = {root};
    size_t depth = 1;
    while (depth) {
        const cJSON *node = path[depth - 1];
        if (!node) {
            depth--;
            continue;
        }
        if (cJSON_IsNumber(node) && !(node->valuedouble - node->valuedouble == 0))
            abort();
        path[depth - 1] = depth == 1 ? NULL : node->next;
        if (node->child && depth == sizeof path / sizeof *path)
            abort();
        if (node->child)
            path[depth++] = node->child;
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    cJSON *root, *again;
    struct error error;
    bool is_read = json_read((const char *)data, size, &root, &error) == STATUS_OK;
#ifdef FATHOM_PLANT_BUG
    cJSON *taken = cJSON_ParseWithLength((const char *)data, size);
    if (taken && !is_read)
        abort();
    cJSON_Delete(taken);
#endif
    if (!is_read)
        return 0;
    check_tree(root);
    char *text = cJSON_PrintUnformatted(root);
    if (!text || json_read(text, strlen(text), &again, &error) != STATUS_OK)
        abort();
    cJSON_Delete(again);
    cJSON_free(text);
    cJSON_Delete(root);
    return 0;
}
