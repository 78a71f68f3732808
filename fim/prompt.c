/* prompt: see prompt.h. */
#include "fim/prompt.h"

#include <stdlib.h>
#include <string.h>

#include "fim/window.h"

enum {
    STEP = 64, /* tokens that what is left for pieces is counted in */
    PIECES_MOST = 45 /* percent of the budget, where the file could use the rest */,
    SEED_MOST = 25,
    TRIED_MOST = 4, /* times the budget: pieces beyond are not counted */
    ROUNDS_MOST = 64 /* of making what was rendered smaller */,
    SIGNATURE_BYTES = 600,
    PIECE_BYTES_MOST = 64, /* a token */
};

struct candidate {
    const struct fim_piece *piece;
    size_t n_tokens;
    bool taken;
};

struct builder {
    const struct engine *engine;
    const struct fim_format *format;
    const struct fim_request *request;
    struct fim_prompt *prompt;
    struct error *error;
    struct candidate *candidates; /* by worth */
    size_t n_candidates, n_counted;
    size_t room;                      /* tokens beside marks, paths and the like */
    size_t seed, n_seed;              /* where in the prefix the seed begins, and its tokens */
    struct fim_window before, behind; /* before: of the prefix up to the seed */
    struct slice shown;               /* the prefix window, with the signatures before it */
};

/* ---- pieces ---- */

static int compare_slices(struct slice a, struct slice b)
{
    size_t n = a.size < b.size ? a.size : b.size;
    int order = n ? memcmp(a.data, b.data, n) : 0;
    return order ? order : (a.size > b.size) - (a.size < b.size);
}

static int compare_places(const struct fim_piece *a, const struct fim_piece *b)
{
    if (a->stable != b->stable)
        return a->stable ? -1 : 1;
    int order = compare_slices(a->path, b->path);
    if (!order)
        order = (a->line > b->line) - (a->line < b->line);
    if (!order)
        order = (a->end_line > b->end_line) - (a->end_line < b->end_line);
    return order ? order : compare_slices(a->text, b->text);
}

static int by_worth(const void *left, const void *right)
{
    const struct fim_piece *a = ((const struct candidate *)left)->piece, *b = ((const struct candidate *)right)->piece;
    if (a->worth != b->worth)
        return a->worth > b->worth ? -1 : 1;
    return compare_places(a, b);
}

static int by_place(const void *left, const void *right)
{
    const struct candidate *a = left, *b = right;
    if (a->taken != b->taken)
        return a->taken ? -1 : 1;
    return compare_places(a->piece, b->piece);
}

static enum status collect(struct builder *builder)
{
    const struct fim_request *request = builder->request;
    builder->candidates = calloc(request->n_pieces + 1, sizeof *builder->candidates);
    if (!builder->candidates)
        return error_set(builder->error, STATUS_MEMORY, "out of memory");
    for (size_t i = 0; i < request->n_pieces; i++)
        if (request->pieces[i].text.size)
            builder->candidates[builder->n_candidates++].piece = &request->pieces[i];
    qsort(builder->candidates, builder->n_candidates, sizeof *builder->candidates, by_worth);
    return STATUS_OK;
}

/* What each piece takes under its path, and what all of them would. */
static enum status count_pieces(struct builder *builder, size_t *n_wanted)
{
    struct tokens tokens = {0};
    enum status status = STATUS_OK;
    *n_wanted = 0;
    for (size_t i = 0; !status && i < builder->n_candidates && *n_wanted < TRIED_MOST * builder->room; i++) {
        struct candidate *candidate = &builder->candidates[i];
        struct fim_file file = {candidate->piece->path, candidate->piece->text};
        builder->n_counted = i + 1;
        candidate->n_tokens = SIZE_MAX; /* longer than any budget: not worth counting */
        if (file.text.size / PIECE_BYTES_MOST > builder->room)
            continue;
        tokens_clear(&tokens);
        status = fim_format_render_file(builder->engine, builder->format, &file, &tokens, builder->error);
        if (!status)
            status = tokens_status(&tokens, builder->error);
        candidate->n_tokens = tokens.n;
        if (candidate->n_tokens <= builder->room)
            *n_wanted += candidate->n_tokens;
    }
    tokens_deinit(&tokens);
    return status;
}

static struct slice without_ends(struct slice text)
{
    while (text.size && (text.data[text.size - 1] == '\n' || text.data[text.size - 1] == '\r'))
        text.size--;
    while (text.size && (*text.data == '\n' || *text.data == '\r')) {
        text.data++;
        text.size--;
    }
    return text;
}

static bool holds(struct slice text, struct slice part)
{
    return part.size <= text.size && memmem(text.data, text.size, part.data, part.size);
}

static uint32_t lines_in(const char *text, size_t size)
{
    uint32_t n = 0;
    for (const char *at = text, *end = text + size; at < end && (at = memchr(at, '\n', (size_t)(end - at))); at++)
        n++;
    return n;
}

/* The lines of the current file that the windows show; false where nobody knows. */
static bool shown_lines(const struct builder *builder, uint32_t *first, uint32_t *last)
{
    const struct fim_request *request = builder->request;
    if (!request->prefix_line)
        return false;
    *first = request->prefix_line + lines_in(request->prefix.data, builder->before.begin);
    *last = *first +
            lines_in(request->prefix.data + builder->before.begin, request->prefix.size - builder->before.begin) +
            lines_in(request->suffix.data, builder->behind.end);
    return true;
}

/* Whether the windows or a piece that was taken show it already. */
static bool is_shown(const struct builder *builder, const struct fim_piece *piece)
{
    const struct fim_request *request = builder->request;
    struct slice text = without_ends(piece->text);
    struct slice before = {request->prefix.data + builder->before.begin, request->prefix.size - builder->before.begin};
    struct slice behind = {request->suffix.data, builder->behind.end};
    uint32_t first, last;
    if (!text.size || holds(before, text) || holds(behind, text))
        return true;
    if (piece->line && compare_slices(piece->path, request->path) == 0 && shown_lines(builder, &first, &last)) {
        uint32_t from = piece->line > first ? piece->line : first, to = piece->end_line < last ? piece->end_line : last;
        if (to >= from && (to - from + 1) * 2 > piece->end_line - piece->line + 1)
            return true;
    }
    for (size_t i = 0; i < builder->n_counted; i++)
        if (builder->candidates[i].taken && holds(builder->candidates[i].piece->text, text))
            return true;
    return false;
}

static void choose(struct builder *builder, size_t n_room)
{
    for (size_t i = 0; i < builder->n_candidates; i++)
        builder->candidates[i].taken = false;
    for (size_t i = 0; i < builder->n_counted; i++) {
        struct candidate *candidate = &builder->candidates[i];
        if (candidate->n_tokens > n_room || is_shown(builder, candidate->piece))
            continue;
        candidate->taken = true;
        n_room -= candidate->n_tokens;
    }
}

/* ---- windows ---- */

static size_t in_steps(size_t n)
{
    return n / STEP * STEP;
}

static size_t steps_up(size_t n)
{
    return in_steps(n + STEP - 1);
}

/* Signatures of what encloses the hole and begins before the window stand before it. */
static enum status show_signatures(struct builder *builder)
{
    const struct fim_request *request = builder->request;
    struct slice window = {request->prefix.data + builder->before.begin, builder->before.end - builder->before.begin};
    struct buffer text = {0};
    for (size_t i = 0; i < request->n_signatures; i++) {
        const struct fim_span *span = &request->signatures[i];
        if (span->begin >= span->end || span->end > builder->before.begin || span->end - span->begin > SIGNATURE_BYTES)
            continue;
        buffer_append(&text, request->prefix.data + span->begin, span->end - span->begin);
        if (request->prefix.data[span->end - 1] != '\n')
            buffer_append_byte(&text, '\n');
    }
    builder->shown = window;
    if (text.size) {
        buffer_append(&text, window.data, window.size);
        builder->shown =
            (struct slice){arena_copy_text(&builder->prompt->arena, buffer_text(&text), text.size), text.size};
    }
    bool failed = text.failed || !builder->shown.data;
    buffer_deinit(&text);
    return failed && window.size ? error_set(builder->error, STATUS_MEMORY, "out of memory") : STATUS_OK;
}

/* What signatures take at most, so that the window leaves room for them. */
static enum status count_signatures(struct builder *builder, size_t *n_tokens)
{
    const struct fim_request *request = builder->request;
    *n_tokens = 0;
    for (size_t i = 0; i < request->n_signatures; i++) {
        const struct fim_span *span = &request->signatures[i];
        size_t n;
        if (span->begin >= span->end || span->end > builder->before.begin || span->end - span->begin > SIGNATURE_BYTES)
            continue;
        struct slice text = {request->prefix.data + span->begin, span->end - span->begin};
        enum status status = fim_count(builder->engine, text, &n, builder->error);
        if (status != STATUS_OK)
            return status;
        *n_tokens += n + 1;
    }
    return STATUS_OK;
}

static enum status place_prefix(struct builder *builder, size_t n_tokens)
{
    const struct fim_request *request = builder->request;
    struct fim_window_text text = {
        {request->prefix.data, builder->seed}, request->prefix_borders, request->n_prefix_borders};
    size_t n_signatures;
    enum status status = fim_window_before(builder->engine, &text, n_tokens, &builder->before, builder->error);
    if (status == STATUS_OK)
        status = count_signatures(builder, &n_signatures);
    /* Signatures that would take most of it are not worth the lines. */
    if (status == STATUS_OK && n_signatures && n_signatures * 3 < n_tokens) {
        status = fim_window_before(builder->engine, &text, n_tokens - n_signatures, &builder->before, builder->error);
        if (status == STATUS_OK)
            status = show_signatures(builder);
        builder->before.n_tokens += n_signatures;
    } else {
        builder->shown =
            (struct slice){request->prefix.data + builder->before.begin, builder->before.end - builder->before.begin};
    }
    return status;
}

/* Tokens for the suffix.  To a model that sees it as any other text of the file, its first lines say most. */
static size_t suffix_most(const struct builder *builder, size_t n_room)
{
    enum { WITHOUT_MARKS = 160, LEAST = 32 };
    if (builder->format->has_marks)
        return n_room / 3;
    size_t most = n_room / 8 < WITHOUT_MARKS ? n_room / 8 : WITHOUT_MARKS;
    return most < LEAST ? 0 : most;
}

/* Places the windows in n_tokens: the suffix gets its part, and with marks each what the other leaves. */
static enum status place_windows(struct builder *builder, size_t n_tokens)
{
    const struct fim_request *request = builder->request;
    struct fim_window_text suffix = {request->suffix, request->suffix_borders, request->n_suffix_borders};
    enum status status = STATUS_OK;
    size_t n_behind = 0;
    builder->seed = request->prefix.size;
    builder->n_seed = 0;
    if (request->form == FIM_SEEDED && builder->format->has_middle && !builder->format->is_suffix_first) {
        status = fim_window_anchor(builder->engine, request->prefix, request->prefix_line, n_tokens * SEED_MOST / 100,
                                   &builder->seed, builder->error);
        struct slice seed = {request->prefix.data + builder->seed, request->prefix.size - builder->seed};
        if (status == STATUS_OK)
            status = fim_count(builder->engine, seed, &builder->n_seed, builder->error);
    }
    size_t n_seed = steps_up(builder->n_seed) < n_tokens / 2 ? steps_up(builder->n_seed) : builder->n_seed;
    size_t n_room = n_tokens > n_seed ? n_tokens - n_seed : 0;
    builder->behind = (struct fim_window){0};
    size_t most = suffix_most(builder, n_room);
    if (status == STATUS_OK && most) {
        status = fim_window_behind(builder->engine, &suffix, most, &builder->behind, builder->error);
        n_behind = steps_up(builder->behind.n_tokens) < most ? steps_up(builder->behind.n_tokens) : most;
    }
    if (status == STATUS_OK)
        status = place_prefix(builder, n_room - n_behind);
    size_t n_before = steps_up(builder->before.n_tokens);
    if (status == STATUS_OK && builder->behind.end < request->suffix.size && n_room > n_before + n_behind + STEP)
        status =
            fim_window_behind(builder->engine, &suffix, in_steps(n_room - n_before), &builder->behind, builder->error);
    return status;
}

/* ---- the whole ---- */

/* Pieces of the same file that follow each other stand under one path. */
static bool continues(const struct candidate *before, const struct candidate *candidate)
{
    return before->piece->stable == candidate->piece->stable &&
           compare_slices(before->piece->path, candidate->piece->path) == 0;
}

static enum status fill_files(struct builder *builder, size_t *n_taken)
{
    struct fim_prompt *prompt = builder->prompt;
    struct fim_file *files = arena_alloc(&prompt->arena, (builder->n_candidates + 1) * sizeof *files);
    struct buffer text = {0};
    size_t n = 0, i = 0;
    if (!files)
        return error_set(builder->error, STATUS_MEMORY, "out of memory");
    for (*n_taken = 0; *n_taken < builder->n_candidates && builder->candidates[*n_taken].taken; ++*n_taken)
        ;
    while (i < *n_taken) {
        const struct candidate *first = &builder->candidates[i];
        files[n] = (struct fim_file){first->piece->path, first->piece->text};
        buffer_clear(&text);
        buffer_append(&text, first->piece->text.data, first->piece->text.size);
        for (i++; i < *n_taken && continues(first, &builder->candidates[i]); i++) {
            struct slice more = builder->candidates[i].piece->text;
            buffer_append_text(&text, text.size && text.data[text.size - 1] == '\n' ? "\n" : "\n\n");
            buffer_append(&text, more.data, more.size);
        }
        if (text.size > files[n].text.size)
            files[n].text = (struct slice){arena_copy_text(&prompt->arena, buffer_text(&text), text.size), text.size};
        if (text.failed || !files[n].text.data) {
            buffer_deinit(&text);
            return error_set(builder->error, STATUS_MEMORY, "out of memory");
        }
        n++;
    }
    buffer_deinit(&text);
    prompt->parts.files = files;
    prompt->parts.n_files = n;
    return STATUS_OK;
}

/* Tokens of the parts as they were rendered.  What several pieces under one path take is parted by what each takes alone. */
static enum status list_parts(struct builder *builder, size_t n_taken, const size_t *n_of_files,
                              const struct fim_layout *layout)
{
    const struct fim_request *request = builder->request;
    struct fim_prompt *prompt = builder->prompt;
    struct fim_part *list = arena_alloc(&prompt->arena, (n_taken + 4) * sizeof *list);
    size_t n = 0;
    uint32_t first = 0, last = 0;
    if (!list)
        return error_set(builder->error, STATUS_MEMORY, "out of memory");
    uint32_t seed = 0, hole = 0;
    if (shown_lines(builder, &first, &last)) {
        seed = request->prefix_line + lines_in(request->prefix.data, builder->seed);
        hole = request->prefix_line + lines_in(request->prefix.data, request->prefix.size);
    }
    const struct fim_part behind = {.path = request->path,
                                    .line = hole,
                                    .end_line = last,
                                    .n_tokens = layout->n_suffix,
                                    .text = prompt->parts.suffix,
                                    .why = "behind the cursor"};
    if (layout->n_suffix && builder->format->is_suffix_first)
        list[n++] = behind;
    for (size_t i = 0, file = 0; i < n_taken; file++) {
        size_t n_alone = 0, n_left = n_of_files[file], begin = i, end = i + 1;
        while (end < n_taken && continues(&builder->candidates[begin], &builder->candidates[end]))
            end++;
        for (size_t k = begin; k < end; k++)
            n_alone += builder->candidates[k].n_tokens;
        for (; i < end; i++) {
            const struct fim_piece *piece = builder->candidates[i].piece;
            size_t n_own = i + 1 == end ? n_left : n_of_files[file] * builder->candidates[i].n_tokens / n_alone;
            list[n++] =
                (struct fim_part){piece, piece->path, piece->line, piece->end_line, n_own, piece->text, piece->why};
            n_left -= n_own;
        }
    }
    list[n++] = (struct fim_part){.path = request->path,
                                  .line = first,
                                  .end_line = seed,
                                  .n_tokens = layout->n_head + layout->n_prefix,
                                  .text = prompt->parts.prefix,
                                  .why = "before the cursor"};
    if (layout->n_suffix && !builder->format->is_suffix_first)
        list[n++] = behind;
    if (layout->n_middle)
        list[n++] = (struct fim_part){.path = request->path,
                                      .line = seed,
                                      .end_line = hole,
                                      .n_tokens = layout->n_middle,
                                      .text = prompt->parts.middle,
                                      .why = "the last lines before it"};
    prompt->list = list;
    prompt->n_list = n;
    prompt->n_left_out = request->n_pieces - n_taken;
    return STATUS_OK;
}

static enum status render(struct builder *builder)
{
    const struct fim_request *request = builder->request;
    struct fim_prompt *prompt = builder->prompt;
    struct fim_layout layout;
    size_t n_taken = 0;
    qsort(builder->candidates, builder->n_candidates, sizeof *builder->candidates, by_place);
    enum status status = fill_files(builder, &n_taken);
    size_t *n_of_files = arena_alloc(&prompt->arena, (n_taken + 1) * sizeof *n_of_files);
    if (status == STATUS_OK && !n_of_files)
        status = error_set(builder->error, STATUS_MEMORY, "out of memory");
    prompt->parts.repository = request->repository;
    prompt->parts.path = request->path;
    prompt->parts.prefix = builder->shown;
    prompt->parts.suffix = request->suffix;
    prompt->parts.suffix.size = builder->behind.end;
    prompt->parts.middle = (struct slice){request->prefix.data + builder->seed, request->prefix.size - builder->seed};
    tokens_clear(&prompt->tokens);
    if (status == STATUS_OK)
        status = fim_format_render(builder->engine, builder->format, &prompt->parts, &prompt->tokens, n_of_files,
                                   &layout, builder->error);
    if (status == STATUS_OK)
        status = list_parts(builder, n_taken, n_of_files, &layout);
    qsort(builder->candidates, builder->n_candidates, sizeof *builder->candidates, by_worth);
    return status;
}

/* What marks, names and paths take. */
static enum status count_frame(struct builder *builder, size_t *out)
{
    struct fim_parts parts = {.repository = builder->request->repository, .path = builder->request->path};
    struct tokens tokens = {0};
    if (!builder->format->has_marks && builder->request->suffix.size)
        parts.suffix = (struct slice){"\n\n", 2}; /* it stands there as a file, under its path */
    enum status status =
        fim_format_render(builder->engine, builder->format, &parts, &tokens, NULL, NULL, builder->error);
    *out = tokens.n;
    tokens_deinit(&tokens);
    return status;
}

/* Windows, then pieces for what they leave; with less room each time, until the whole is within the budget: parts that were
 * counted one by one may be some tokens more together. */
static enum status fit(struct builder *builder)
{
    const struct fim_request *request = builder->request;
    size_t n_wanted = 0,
           n_room = builder->room - builder->room / 64; /* rounds would not be the same for each keystroke */
    enum status status = count_pieces(builder, &n_wanted);
    for (int round = 0; status == STATUS_OK; round++) {
        size_t most = n_room * PIECES_MOST / 100, n_pieces = steps_up(n_wanted) < most ? steps_up(n_wanted) : most;
        status = place_windows(builder, n_room - n_pieces);
        size_t n_windows = builder->before.n_tokens + builder->behind.n_tokens + builder->n_seed;
        if (status == STATUS_OK) {
            choose(builder, n_room > n_windows ? in_steps(n_room - n_windows) : 0);
            status = render(builder);
        }
        if (status != STATUS_OK || builder->prompt->tokens.n <= request->budget)
            return status;
        size_t n_over = builder->prompt->tokens.n - request->budget;
        if (round == ROUNDS_MOST || n_room <= n_over)
            return error_set(builder->error, STATUS_RANGE, "%zu tokens are too few for a completion: %zu are needed",
                             request->budget, builder->prompt->tokens.n);
        n_room -= n_over;
    }
    return status;
}

enum status fim_prompt_build(const struct engine *engine, const struct fim_format *format,
                             const struct fim_request *request, struct fim_prompt **out, struct error *error)
{
    struct fim_request whole = *request;
    struct builder builder = {.engine = engine, .format = format, .request = &whole, .error = error};
    size_t n_frame = 0;
    *out = NULL;
    if (!whole.prefix.size)
        whole.prefix.data = "";
    if (!whole.suffix.size)
        whole.suffix.data = "";
    builder.prompt = calloc(1, sizeof *builder.prompt);
    if (!builder.prompt)
        return error_set(error, STATUS_MEMORY, "out of memory");
    enum status status = count_frame(&builder, &n_frame);
    if (status == STATUS_OK && n_frame >= request->budget)
        status = error_set(error, STATUS_RANGE, "%zu tokens are too few for a completion: its marks alone take %zu",
                           request->budget, n_frame);
    if (status == STATUS_OK)
        status = collect(&builder);
    if (status == STATUS_OK) {
        builder.room = request->budget - n_frame;
        status = fit(&builder);
    }
    free(builder.candidates);
    if (status == STATUS_OK)
        *out = builder.prompt;
    else
        fim_prompt_free(builder.prompt);
    return status;
}

void fim_prompt_free(struct fim_prompt *prompt)
{
    if (!prompt)
        return;
    tokens_deinit(&prompt->tokens);
    arena_deinit(&prompt->arena);
    free(prompt);
}
