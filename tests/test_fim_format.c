/* test_fim_format: the exact tokens of every family's form, against those that tests/make_fim_golden.py made by another
 * library; that nothing a text spells becomes a mark; that parts are told apart. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <cjson/cJSON.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "fim/format.h"

enum { FILES_MOST = 4 };

static char *read_whole(const char *path)
{
    FILE *file = fopen(path, "rb");
    assert_non_null(file);
    assert_int_equal(fseek(file, 0, SEEK_END), 0);
    long size = ftell(file);
    assert_true(size > 0);
    rewind(file);
    char *text = calloc(1, (size_t)size + 1);
    assert_non_null(text);
    assert_int_equal(fread(text, 1, (size_t)size, file), (size_t)size);
    fclose(file);
    return text;
}

static cJSON *read_golden(void)
{
    char *text = read_whole("tests/golden/fim/forms.json");
    cJSON *golden = cJSON_Parse(text);
    free(text);
    assert_true(cJSON_GetArraySize(golden) >= 12);
    return golden;
}

static struct engine *open_model(const cJSON *entry)
{
    char path[256];
    struct engine *engine = NULL;
    struct error error = {0};
    snprintf(path, sizeof path, "tests/golden/fim/%s.gguf", cJSON_GetObjectItem(entry, "model")->valuestring);
    if (engine_open(&(struct engine_options){.model_path = path, .n_threads = 1}, &engine, &error))
        fail_msg("%s", error.text);
    return engine;
}

static struct slice text_of(const cJSON *object, const char *key)
{
    return slice_from(cJSON_GetObjectItem(object, key)->valuestring);
}

static struct fim_parts parts_of(const cJSON *one, struct fim_file files[FILES_MOST])
{
    struct fim_parts parts = {.files = files};
    const cJSON *file;
    cJSON_ArrayForEach(file, cJSON_GetObjectItem(one, "files"))
    {
        assert_true(parts.n_files < FILES_MOST);
        files[parts.n_files++] = (struct fim_file){slice_from(cJSON_GetArrayItem(file, 0)->valuestring),
                                                   slice_from(cJSON_GetArrayItem(file, 1)->valuestring)};
    }
    parts.repository = text_of(one, "repository");
    parts.path = text_of(one, "path");
    parts.prefix = text_of(one, "prefix");
    parts.suffix = text_of(one, "suffix");
    parts.middle = text_of(one, "middle");
    return parts;
}

static struct tokens render(const struct engine *engine, const struct fim_format *format, const struct fim_parts *parts)
{
    struct tokens tokens = {0};
    struct fim_layout layout;
    struct error error = {0};
    size_t n_of_files[FILES_MOST] = {0};
    if (fim_format_render(engine, format, parts, &tokens, n_of_files, &layout, &error))
        fail_msg("%s", error.text);
    size_t n = layout.n_head + layout.n_prefix + layout.n_suffix + layout.n_middle;
    for (size_t i = 0; i < parts->n_files; i++) {
        struct tokens alone = {0};
        assert_int_equal(fim_format_render_file(engine, format, &parts->files[i], &alone, &error), STATUS_OK);
        assert_int_equal(alone.n, n_of_files[i]);
        tokens_deinit(&alone);
        n += n_of_files[i];
    }
    assert_int_equal(n, tokens.n);
    return tokens;
}

static void check_ids(const char *model, const char *title, const struct tokens *tokens, const cJSON *ids)
{
    size_t n = (size_t)cJSON_GetArraySize(ids), i = 0;
    const cJSON *id;
    cJSON_ArrayForEach(id, ids)
    {
        if (i >= tokens->n || tokens->ids[i] != id->valueint)
            fail_msg("%s, %s: token %zu is %d, not %d", model, title, i, i < tokens->n ? tokens->ids[i] : -1,
                     id->valueint);
        i++;
    }
    if (tokens->n != n)
        fail_msg("%s, %s: %zu tokens, not %zu", model, title, tokens->n, n);
}

/* One line of 1 MiB before the hole, and one behind it: by number and a sum over places, not to keep them all. */
static void check_long(const struct engine *engine, const struct fim_format *format, const cJSON *one)
{
    struct buffer before = {0}, behind = {0};
    for (int i = 0; i < (1 << 20) / 6; i++) {
        buffer_append_text(&before, cJSON_GetArrayItem(cJSON_GetObjectItem(one, "repeat"), 0)->valuestring);
        buffer_append_text(&behind, cJSON_GetArrayItem(cJSON_GetObjectItem(one, "repeat"), 1)->valuestring);
    }
    struct fim_parts parts = {.prefix = {before.data, before.size}, .suffix = {behind.data, behind.size}};
    struct tokens tokens = render(engine, format, &parts);
    uint64_t sum = 0;
    for (size_t i = 0; i < tokens.n; i++)
        sum += (i + 1) * ((uint64_t)tokens.ids[i] + 1);
    assert_int_equal(tokens.n, cJSON_GetObjectItem(one, "n")->valueint);
    assert_int_equal(sum % (UINT64_C(1) << 40), (uint64_t)cJSON_GetObjectItem(one, "sum")->valuedouble);
    tokens_deinit(&tokens);
    buffer_deinit(&before);
    buffer_deinit(&behind);
}

static void test_forms(void **state)
{
    (void)state;
    cJSON *golden = read_golden();
    const cJSON *entry, *one;
    size_t n_cases = 0;
    cJSON_ArrayForEach(entry, golden)
    {
        const char *model = cJSON_GetObjectItem(entry, "model")->valuestring;
        struct engine *engine = open_model(entry);
        struct fim_format format = fim_format_of(engine);
        cJSON_ArrayForEach(one, cJSON_GetObjectItem(entry, "cases"))
        {
            struct fim_file files[FILES_MOST];
            n_cases++;
            if (cJSON_HasObjectItem(one, "repeat")) {
                check_long(engine, &format, one);
                continue;
            }
            struct fim_parts parts = parts_of(one, files);
            struct tokens tokens = render(engine, &format, &parts);
            check_ids(model, text_of(one, "title").data, &tokens, cJSON_GetObjectItem(one, "ids"));
            tokens_deinit(&tokens);
        }
        engine_close(engine);
    }
    assert_int_equal(n_cases, 12 * 15);
    cJSON_Delete(golden);
}

/* By keys or by texts, the engine's word (has_fim) and the form are one. */
static void test_recognised(void **state)
{
    static const char *const names[] = {"deepseek",  "qwen",      "starcoder", "starcoder", "codellama", "codestral",
                                        "codestral", "codegemma", "seed",      "glm",       "other",     "none"};
    (void)state;
    cJSON *golden = read_golden();
    const cJSON *entry;
    size_t i = 0;
    cJSON_ArrayForEach(entry, golden)
    {
        struct engine *engine = open_model(entry);
        struct fim_format format = fim_format_of(engine);
        const cJSON *marks = cJSON_GetObjectItem(entry, "marks");
        assert_string_equal(format.name, names[i++]);
        assert_int_equal(format.has_marks, cJSON_GetArraySize(marks) > 0);
        assert_int_equal(engine_info(engine)->has_fim, format.has_marks);
        assert_int_equal(format.marks.begin, cJSON_GetObjectItem(entry, "begin")->valueint);
        const struct {
            const char *role;
            int32_t id;
        } found[] = {{"prefix", format.marks.prefix},         {"suffix", format.marks.suffix},
                     {"middle", format.marks.middle},         {"pad", format.marks.pad},
                     {"repository", format.marks.repository}, {"separator", format.marks.separator}};
        for (size_t k = 0; k < sizeof found / sizeof *found; k++) {
            const cJSON *id = cJSON_GetObjectItem(marks, found[k].role);
            assert_int_equal(found[k].id, id ? id->valueint : -1);
            if (id)
                assert_true(fim_format_ends(engine, &format, id->valueint));
        }
        engine_close(engine);
    }
    cJSON_Delete(golden);
}

/* Every mark's text in every part: as many marks come out as the form itself has. */
static void test_texts_are_no_marks(void **state)
{
    (void)state;
    cJSON *golden = read_golden();
    const cJSON *entry, *mark;
    cJSON_ArrayForEach(entry, golden)
    {
        struct engine *engine = open_model(entry);
        struct fim_format format = fim_format_of(engine);
        struct buffer text = {0};
        cJSON_ArrayForEach(mark, cJSON_GetObjectItem(entry, "marks"))
        {
            struct slice piece = engine_piece(engine, mark->valueint, true);
            buffer_append(&text, piece.data, piece.size);
        }
        struct slice all = {buffer_text(&text), text.size}, word = slice_from("word\n");
        struct tokens hostile = {0}, plain = {0};
        size_t n_marks[2] = {0};
        for (int i = 0; i < 2; i++) {
            struct slice it = i ? word : all;
            struct fim_file file = {it, it};
            struct fim_parts parts = {it, &file, 1, it, it, it, it};
            struct tokens *tokens = i ? &plain : &hostile;
            *tokens = render(engine, &format, &parts);
            for (size_t k = 0; k < tokens->n; k++)
                n_marks[i] += !engine_piece(engine, tokens->ids[k], false).size;
        }
        assert_int_equal(n_marks[0], n_marks[1]);
        tokens_deinit(&hostile);
        tokens_deinit(&plain);
        buffer_deinit(&text);
        engine_close(engine);
    }
    cJSON_Delete(golden);
}

static void test_comments(void **state)
{
    static const struct {
        const char *path, *begin;
    } all[] = {{"a/b.py", "# "},    {"main.c", "// "}, {"x.lua", "-- "}, {"Makefile", "# "}, {"a.b/c", "# "},
               {"x.html", "<!-- "}, {"x.cpp", "// "},  {"", "# "},       {"x.", "// "},      {"x.p", "// "}};
    (void)state;
    for (size_t i = 0; i < sizeof all / sizeof *all; i++)
        assert_string_equal(fim_line_comment(slice_from(all[i].path)), all[i].begin);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_forms),
        cmocka_unit_test(test_recognised),
        cmocka_unit_test(test_texts_are_no_marks),
        cmocka_unit_test(test_comments),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
