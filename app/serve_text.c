/* serve_text: /tokenize and /detokenize, which need the vocabulary alone. */
#include <string.h>

#include "app/json_read.h"
#include "app/output.h"
#include "app/serve.h"

static void append_piece(const struct engine *engine, int32_t id, struct buffer *out)
{
    struct slice piece = engine_piece(engine, id, true);
    uint32_t code_point;
    bool is_text = true;
    for (size_t i = 0; i < piece.size && is_text;) {
        int length = utf8_decode(piece.data + i, piece.size - i, &code_point);
        is_text = length > 0;
        i += is_text ? (size_t)length : 0;
    }
    buffer_printf(out, "{\"id\":%d,\"piece\":", id);
    if (is_text) {
        json_append_string(out, piece.data, piece.size);
    } else { /* a part of a character: its bytes */
        buffer_append_byte(out, '[');
        for (size_t i = 0; i < piece.size; i++)
            buffer_printf(out, i ? ",%u" : "%u", (unsigned)(unsigned char)piece.data[i]);
        buffer_append_byte(out, ']');
    }
    buffer_append_byte(out, '}');
}

enum status serve_read_tokenize(struct serve *serve, const struct cJSON *body, struct serve_job *job, bool *for_engine,
                                struct error *error)
{
    const char *content = NULL;
    bool adds_special = false, parses_special = false, with_pieces = false;
    struct tokens ids = {0};
    struct buffer out = {0};
    *for_engine = false;
    enum status status = json_get_text(body, "content", &content, error);
    if (status == STATUS_OK && !content)
        status = error_set(error, STATUS_ARGUMENT, "content: there must be a text");
    if (status == STATUS_OK)
        status = json_get_flag(body, "add_special", &adds_special, error);
    if (status == STATUS_OK)
        status = json_get_flag(body, "parse_special", &parses_special, error);
    if (status == STATUS_OK)
        status = json_get_flag(body, "with_pieces", &with_pieces, error);
    unsigned flags = (adds_special ? ENGINE_BEGIN : 0) | (parses_special ? ENGINE_SPECIAL : 0);
    if (status == STATUS_OK)
        status = engine_tokenize(serve->engine, content, strlen(content), flags, &ids, error);
    if (status == STATUS_OK) {
        buffer_append_text(&out, "{\"tokens\":[");
        for (size_t i = 0; i < ids.n; i++) {
            if (i)
                buffer_append_byte(&out, ',');
            if (with_pieces)
                append_piece(serve->engine, ids.ids[i], &out);
            else
                buffer_printf(&out, "%d", ids.ids[i]);
        }
        buffer_append_text(&out, "]}");
        serve_job_reply(job, &out);
    }
    tokens_deinit(&ids);
    buffer_deinit(&out);
    return status;
}

enum status serve_read_detokenize(struct serve *serve, const struct cJSON *body, struct serve_job *job,
                                  bool *for_engine, struct error *error)
{
    const cJSON *list = NULL, *node;
    struct tokens ids = {0};
    *for_engine = false;
    enum status status = json_get_array(body, "tokens", &list, error);
    if (status == STATUS_OK && !list)
        status = error_set(error, STATUS_ARGUMENT, "tokens: there must be a list");
    for (node = list ? list->child : NULL; node; node = node->next) {
        double id = cJSON_IsNumber(node) ? node->valuedouble : -1;
        if (status == STATUS_OK && (id < 0 || id >= engine_n_vocab(serve->engine) || id != (double)(int32_t)id))
            status = error_set(error, STATUS_ARGUMENT, "tokens: each is a token of this model");
        if (status == STATUS_OK)
            tokens_append(&ids, (int32_t)id);
    }
    if (status == STATUS_OK)
        status = tokens_status(&ids, error);
    if (status == STATUS_OK) {
        struct buffer text = {0}, out = {0};
        engine_decode(serve->engine, ids.ids, ids.n, true, &text);
        buffer_append_text(&out, "{\"content\":");
        json_append_string(&out, buffer_text(&text), text.size);
        buffer_append_text(&out, "}");
        serve_job_reply(job, &out);
        buffer_deinit(&text);
        buffer_deinit(&out);
    }
    tokens_deinit(&ids);
    return status;
}
