/* assets: see assets.h.  The program's own place says where they are, so both work without being told. */
#include "app/assets.h"

#include <string.h>
#include <unistd.h>

enum status asset_find(const char *name, struct buffer *out, struct error *error)
{
    enum { LEVELS = 4 }; /* build/fathom, and build/asan/tests/test_app_commands */
    char program[4096];
    size_t begin = out->size;
    ssize_t size = readlink("/proc/self/exe", program, sizeof program - 1);
    program[size > 0 ? size : 0] = 0;
    for (int i = 0; i <= LEVELS; i++) {
        char *slash = strrchr(program, '/');
        if (!slash)
            break;
        *slash = 0;
        for (int k = 0; k < 2; k++) {
            out->size = begin;
            buffer_printf(out, "%s/%s/%s", program, k ? "assets" : "share/fathom", name);
            if (!out->failed && access(buffer_text(out) + begin, R_OK) == 0)
                return STATUS_OK;
        }
    }
    out->size = begin;
    return error_set(
        error, STATUS_NOT_FOUND,
        "%s is missing: it belongs into share/fathom beside the program's bin (make install puts it there)", name);
}
