/* format: see format.h. */
#include "fim/format.h"

#include <string.h>

/* ---- recognising ---- */

/* By the text of the prefix's mark. */
static const struct family {
    const char *mark;
    enum fim_family family;
    const char *name;
    bool is_suffix_first;
} families[] = {
    {"<\xef\xbd\x9c"
     "fim\xe2\x96\x81"
     "begin\xef\xbd\x9c>",
     FIM_DEEPSEEK, "deepseek", false},
    {"<|fim_prefix|>", FIM_QWEN, "qwen", false},
    {"<fim_prefix>", FIM_STARCODER, "starcoder", false},
    {"<fim-prefix>", FIM_STARCODER, "starcoder", false},
    {" <PRE>", FIM_CODELLAMA, "codellama", false},
    {"\xe2\x96\x81<PRE>", FIM_CODELLAMA, "codellama", false},
    {"<PRE>", FIM_CODELLAMA, "codellama", false},
    {"[PREFIX]", FIM_CODESTRAL, "codestral", true},
    {"<[fim-prefix]>", FIM_SEED, "seed", true},
    {"<|code_prefix|>", FIM_GLM, "glm", false},
};

struct fim_format fim_format_of(const struct engine *engine)
{
    const struct fim_marks *marks = engine_fim_marks(engine);
    struct fim_format format = {.family = FIM_NONE, .name = "none", .is_suffix_first = true, .marks = *marks};
    if (!engine_info(engine)->has_fim) {
        format.marks.prefix = format.marks.suffix = format.marks.middle = -1;
        format.marks.repository = format.marks.separator = -1;
        return format;
    }
    struct slice mark = engine_piece(engine, marks->prefix, true);
    format.is_suffix_first = false;
    format.family = FIM_OTHER;
    format.name = "other";
    for (size_t i = 0; i < sizeof families / sizeof *families; i++)
        if (slice_equals(mark, families[i].mark)) {
            format.family = families[i].family;
            format.name = families[i].name;
            format.is_suffix_first = families[i].is_suffix_first;
            break;
        }
    if (format.family == FIM_QWEN && marks->separator >= 0 &&
        slice_equals(engine_piece(engine, marks->separator, true), "<|file_separator|>")) {
        format.family = FIM_CODEGEMMA;
        format.name = "codegemma";
    }
    format.has_marks = true;
    /* Codestral's vocabulary has a mark for the middle, and its form none. */
    format.has_middle = marks->middle >= 0 && format.family != FIM_CODESTRAL;
    return format;
}

bool fim_format_ends(const struct engine *engine, const struct fim_format *format, int32_t id)
{
    const struct fim_marks *marks = &format->marks;
    return engine_token_is_end(engine, id) ||
           (format->has_marks && (id == marks->prefix || id == marks->suffix || id == marks->middle ||
                                  id == marks->pad || id == marks->repository || id == marks->separator));
}

/* ---- paths ---- */

/* How a line of comment begins in files of these suffixes; what isn't here takes "//". */
static const struct comment {
    const char *begin, *end;
    const char *suffixes; /* each between spaces */
} comments[] = {
    {"# ", "",
     " py pyi pyx rb sh bash zsh fish pl pm r jl yaml yml toml cmake mk make ex exs nim tcl awk conf cfg ps1 "},
    {"-- ", "", " lua sql hs elm adb ads vhd vhdl "},
    {"<!-- ", " -->", " html htm xml md markdown svg vue svelte "},
    {"/* ", " */", " css "},
    {"; ", "", " lisp el clj scm asm ini "},
    {"% ", "", " tex erl m "},
    {"\" ", "", " vim "},
};

static bool holds_word(const char *words, struct slice word)
{
    for (const char *at = words; (at = strchr(at, ' ')) && at[1]; at++)
        if (strlen(at) > word.size + 1 && memcmp(at + 1, word.data, word.size) == 0 && at[1 + word.size] == ' ')
            return true;
    return false;
}

static const struct comment *comment_of(struct slice path)
{
    static const struct comment usual = {"// ", "", ""}, hash = {"# ", "", ""};
    size_t at = path.size;
    if (at == 0)
        return &hash;
    while (at > 0 && path.data[at - 1] != '.' && path.data[at - 1] != '/')
        at--;
    struct slice last = {path.data + at, path.size - at};
    if (at == 0 || path.data[at - 1] != '.') /* no suffix: Makefile, Dockerfile */
        return &hash;
    for (size_t i = 0; last.size && i < sizeof comments / sizeof *comments; i++)
        if (holds_word(comments[i].suffixes, last))
            return &comments[i];
    return &usual;
}

const char *fim_line_comment(struct slice path)
{
    return comment_of(path)->begin;
}

/* The line that says what file follows.  A path that holds a line's end still makes one line. */
static void append_path(const struct fim_format *format, struct slice path, struct buffer *out)
{
    static const struct comment deepseek = {"#", "", ""}, bare = {"", "", ""};
    const struct comment *comment = format->family == FIM_DEEPSEEK                      ? &deepseek
                                    : format->has_marks && format->marks.separator >= 0 ? &bare
                                                                                        : comment_of(path);
    buffer_append_text(out, comment->begin);
    for (size_t i = 0; i < path.size; i++)
        buffer_append_byte(out, (unsigned char)path.data[i] < ' ' ? '?' : path.data[i]);
    buffer_append_text(out, comment->end);
    buffer_append_byte(out, '\n');
}

/* ---- rendering ---- */

static enum status append_text(const struct engine *engine, const char *text, size_t size, struct tokens *out,
                               struct error *error)
{
    return size ? engine_tokenize(engine, text, size, ENGINE_NO_PREFIX, out, error) : STATUS_OK;
}

static enum status append_buffer(const struct engine *engine, struct buffer *buffer, struct tokens *out,
                                 struct error *error)
{
    enum status status = buffer_status(buffer, error);
    if (!status)
        status = append_text(engine, buffer->data, buffer->size, out, error);
    buffer_deinit(buffer);
    return status;
}

static void append_mark(int32_t mark, struct tokens *out)
{
    if (mark >= 0)
        tokens_append(out, mark);
}

enum status fim_format_render_file(const struct engine *engine, const struct fim_format *format,
                                   const struct fim_file *file, struct tokens *out, struct error *error)
{
    struct buffer text = {0};
    append_mark(format->marks.separator, out);
    if (file->path.size)
        append_path(format, file->path, &text);
    buffer_append(&text, file->text.data, file->text.size);
    if (file->text.size && file->text.data[file->text.size - 1] != '\n')
        buffer_append_byte(&text, '\n');
    return append_buffer(engine, &text, out, error);
}

static enum status render_head(const struct engine *engine, const struct fim_format *format,
                               const struct fim_parts *parts, struct tokens *out, struct error *error)
{
    struct buffer text = {0};
    append_mark(format->marks.begin, out);
    if (!parts->repository.size || format->marks.repository < 0)
        return STATUS_OK;
    append_mark(format->marks.repository, out);
    for (size_t i = 0; i < parts->repository.size; i++)
        buffer_append_byte(&text, (unsigned char)parts->repository.data[i] < ' ' ? '?' : parts->repository.data[i]);
    if (format->family != FIM_STARCODER)
        buffer_append_byte(&text, '\n');
    return append_buffer(engine, &text, out, error);
}

static enum status render_files(const struct engine *engine, const struct fim_format *format,
                                const struct fim_parts *parts, struct tokens *out, size_t *n_of_files,
                                struct error *error)
{
    enum status status = STATUS_OK;
    for (size_t i = 0; !status && i < parts->n_files; i++) {
        size_t before = out->n;
        status = fim_format_render_file(engine, format, &parts->files[i], out, error);
        if (n_of_files)
            n_of_files[i] = out->n - before;
    }
    return status;
}

/* The current file's path and prefix; the prefix's mark where it stands between the files and the prefix. */
static enum status render_prefix(const struct engine *engine, const struct fim_format *format,
                                 const struct fim_parts *parts, bool puts_mark, struct tokens *out, struct error *error)
{
    struct buffer text = {0};
    enum status status = STATUS_OK;
    bool has_separator = format->marks.separator >= 0;
    if (has_separator && parts->path.size)
        append_mark(format->marks.separator, out);
    if (has_separator && parts->path.size && format->family != FIM_STARCODER) {
        append_path(format, parts->path, &text);
        status = append_buffer(engine, &text, out, error);
    }
    if (puts_mark)
        append_mark(format->marks.prefix, out);
    if (parts->path.size && (!has_separator || format->family == FIM_STARCODER))
        append_path(format, parts->path, &text);
    buffer_append(&text, parts->prefix.data, parts->prefix.size);
    return status ? (buffer_deinit(&text), status) : append_buffer(engine, &text, out, error);
}

static enum status render_suffix(const struct engine *engine, const struct fim_format *format,
                                 const struct fim_parts *parts, struct tokens *out, struct error *error)
{
    if (!format->has_marks && !parts->suffix.size)
        return STATUS_OK;
    if (!format->has_marks) {
        /* The rest of the cursor's line alone would say nothing. */
        const char *line = memchr(parts->suffix.data, '\n', parts->suffix.size);
        size_t at = line ? (size_t)(line + 1 - parts->suffix.data) : parts->suffix.size;
        struct fim_file file = {parts->path, {parts->suffix.data + at, parts->suffix.size - at}};
        return file.text.size ? fim_format_render_file(engine, format, &file, out, error) : STATUS_OK;
    }
    append_mark(format->marks.suffix, out);
    return append_text(engine, parts->suffix.data, parts->suffix.size, out, error);
}

static enum status render(const struct engine *engine, const struct fim_format *format, const struct fim_parts *parts,
                          struct tokens *out, size_t *n_of_files, struct fim_layout *layout, struct error *error)
{
    /* Without a mark between files, all of them are the beginning of one text. */
    bool opens_files = format->has_marks && format->marks.separator < 0 && parts->n_files;
    size_t begin = out->n;
    enum status status = render_head(engine, format, parts, out, error);
    if (!status && format->is_suffix_first) {
        layout->n_head = out->n - begin;
        begin = out->n;
        status = render_suffix(engine, format, parts, out, error);
        layout->n_suffix = out->n - begin;
        begin = out->n;
    }
    if (!status && opens_files)
        append_mark(format->marks.prefix, out);
    layout->n_head += out->n - begin;
    if (!status)
        status = render_files(engine, format, parts, out, n_of_files, error);
    begin = out->n;
    if (!status)
        status = render_prefix(engine, format, parts, !opens_files, out, error);
    layout->n_prefix = out->n - begin;
    begin = out->n;
    if (!status && !format->is_suffix_first) {
        status = render_suffix(engine, format, parts, out, error);
        layout->n_suffix = out->n - begin;
        begin = out->n;
    }
    if (!status && format->has_middle)
        append_mark(format->marks.middle, out);
    if (!status)
        status = append_text(engine, parts->middle.data, parts->middle.size, out, error);
    layout->n_middle = out->n - begin;
    return status ? status : tokens_status(out, error);
}

enum status fim_format_render(const struct engine *engine, const struct fim_format *format,
                              const struct fim_parts *parts, struct tokens *out, size_t *n_of_files,
                              struct fim_layout *layout, struct error *error)
{
    struct fim_layout own = {0};
    size_t n_before = out->n;
    enum status status = render(engine, format, parts, out, n_of_files, &own, error);
    if (status)
        out->n = n_before;
    else if (layout)
        *layout = own;
    return status;
}
