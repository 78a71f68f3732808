/* fill_rank: of the ways that were followed, which fits best (fill.h). */
#include "fim/fill_private.h"
#include "fim/trim.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

/* ---- what the suffix says ---- */

/* The tokens of one way and of the suffix's beginning, as the whole text has them. */
struct asking {
    struct branch *branch;
    struct fim_way *way;
    struct tokens ids; /* behind the prompt */
    size_t n_own;      /* of them, those that end within the way */
    size_t at;         /* the next to be evaluated */
};

enum { SUFFIX_BYTES = 160 };

static enum status asking_start(struct fill *fill, struct asking *asking, struct error *error)
{
    struct buffer text = {0};
    size_t n_suffix = fill->suffix.size < SUFFIX_BYTES ? fill->suffix.size : SUFFIX_BYTES, spelled = 0;
    size_t n_most = fill->options->n_suffix ? fill->options->n_suffix : FIM_SUFFIX_TOKENS;
    buffer_append(&text, fill->heal.data, fill->heal.size);
    buffer_append(&text, asking->way->text.data, asking->way->text.size);
    size_t n_way = text.size;
    buffer_append(&text, fill->suffix.data, n_suffix);
    enum status status = buffer_status(&text, error);
    if (!status)
        status = engine_tokenize(fill->engine, buffer_text(&text), text.size, ENGINE_NO_PREFIX, &asking->ids, error);
    buffer_deinit(&text);
    size_t n = 0;
    for (; n < asking->ids.n && n < asking->n_own + n_most; n++) {
        spelled += engine_piece(fill->engine, asking->ids.ids[n], false).size;
        if (spelled <= n_way)
            asking->n_own = n + 1;
    }
    asking->ids.n = n;
    const struct branch *branch = asking->branch;
    while (asking->at < n && asking->at < branch->n_appended &&
           branch->ids.ids[asking->at] == asking->ids.ids[asking->at])
        asking->at++;
    asking->way->own = asking->way->suffix = 0;
    for (size_t i = 0; i < asking->at; i++)
        *(i < asking->n_own ? &asking->way->own : &asking->way->suffix) += branch->logprobs[i];
    return status;
}

/* The session up to the first token that differs from what was generated. */
static enum status asking_rewind(struct fill *fill, struct asking *asking, struct error *error)
{
    if (asking->at == asking->branch->n_appended)
        return STATUS_OK;
    size_t n;
    struct tokens ids = {0};
    const int32_t *have = session_tokens(asking->branch->session, &n);
    tokens_append_all(&ids, have, fill->n_prompt + asking->at);
    enum status status = tokens_status(&ids, error);
    if (!status)
        status = session_sync(asking->branch->session, ids.ids, ids.n, NULL, error);
    tokens_deinit(&ids);
    fill->n_decoded++;
    return status;
}

static enum status asking_step(struct fill *fill, struct asking *asks, size_t n, bool *goes_on, struct error *error)
{
    struct session *sessions[FIM_WAYS_MOST];
    int32_t ids[FIM_WAYS_MOST];
    size_t n_next = 0;
    for (size_t i = 0; i < n; i++) {
        struct asking *asking = &asks[i];
        if (asking->at >= asking->ids.n)
            continue;
        size_t n_tokens;
        int32_t id = asking->ids.ids[asking->at];
        double logprob = logits_logprob(session_logits(asking->branch->session), fill->n_vocab, id);
        *(asking->at < asking->n_own ? &asking->way->own : &asking->way->suffix) += logprob;
        session_tokens(asking->branch->session, &n_tokens);
        if (++asking->at >= asking->ids.n || n_tokens + 1 >= (size_t)session_n_ctx(asking->branch->session)) {
            asking->ids.n = asking->at;
            continue;
        }
        sessions[n_next] = asking->branch->session;
        ids[n_next++] = id;
    }
    *goes_on = n_next > 0;
    return n_next ? fill_append(fill, sessions, ids, n_next, error) : STATUS_OK;
}

static enum status ask_suffix(struct fill *fill, struct asking *asks, size_t n, struct error *error)
{
    enum status status = STATUS_OK;
    for (size_t i = 0; !status && i < n; i++) {
        status = asking_start(fill, &asks[i], error);
        if (!status)
            status = asking_rewind(fill, &asks[i], error);
    }
    bool goes_on = true;
    while (!status && goes_on && !fill_is_late(fill))
        status = asking_step(fill, asks, n, &goes_on, error);
    for (size_t i = 0; i < n; i++) {
        asks[i].way->n_own = asks[i].n_own;
        asks[i].way->n_suffix = asks[i].at > asks[i].n_own ? asks[i].at - asks[i].n_own : 0;
        tokens_deinit(&asks[i].ids);
    }
    return status;
}

/* ---- which is best ---- */

static int compare_ways(const void *a, const void *b)
{
    const struct fim_way *x = a, *y = b;
    if (!x->text.size != !y->text.size)
        return !x->text.size ? 1 : -1;
    if (x->errors != y->errors)
        return x->errors < y->errors ? -1 : 1;
    if (x->score != y->score)
        return x->score < y->score ? 1 : -1;
    return 0;
}

static double score_of(const struct fill *fill, const struct fim_way *way, bool is_first)
{
    if (!fill->options->asks_suffix)
        return is_first ? INFINITY : way->own;
    return way->suffix + FIM_WEIGHT_OWN * way->own / sqrt((double)(way->n_own ? way->n_own : 1));
}

/* Files stand under comments with their paths where the form has no marks, and the model writes such lines itself: what
 * follows one is another file. */
static void cut_at_path(struct buffer *text)
{
    struct slice all = {buffer_text(text), text->size};
    size_t next;
    for (size_t at = 0; at < all.size; at = next) {
        struct slice line = slice_trim(line_at(all, at, &next));
        size_t begin = slice_begins(line, slice_from("// ")) ? 3 : slice_begins(line, slice_from("# ")) ? 2 : 0;
        struct slice path = {line.data + begin, line.size - begin};
        if (!begin || !path.size || memchr(path.data, ' ', path.size) || !memchr(path.data, '.', path.size - 1) ||
            !memchr(path.data, '/', path.size))
            continue;
        text->size = at;
        text->data[at] = 0;
        return;
    }
}

/* A way of the branch, unless there is the same already. */
static bool add_way(struct fill *fill, struct branch *branch, struct fim_ways *out)
{
    struct fim_way *way = &out->ways[out->n];
    size_t end = branch->end < branch->text.size ? branch->end : branch->text.size;
    *way =
        (struct fim_way){.stop = branch->stop, .own = branch->own, .n_own = branch->ids.n, .n_tokens = branch->ids.n};
    buffer_append(&way->text, buffer_text(&branch->text), end);
    if (!fill->format->has_marks)
        cut_at_path(&way->text);
    fim_trim(fill->place, fill->suffix, &way->text);
    way->errors = fim_cut_back(fill->place, fill->options->syntax, &way->text);
    for (size_t i = 0; i < out->n; i++)
        if (slice_same((struct slice){buffer_text(&way->text), way->text.size},
                       (struct slice){buffer_text(&out->ways[i].text), out->ways[i].text.size})) {
            buffer_deinit(&way->text);
            return false;
        }
    out->n++;
    return true;
}

enum status fill_rank(struct fill *fill, struct fim_ways *out, struct error *error)
{
    struct asking asks[FIM_WAYS_MOST] = {{0}};
    enum status status = STATUS_OK;
    for (size_t i = 0; !status && i < fill->n_branches; i++)
        if (!fill->branches[i].is_given_up && add_way(fill, &fill->branches[i], out)) {
            struct fim_way *way = &out->ways[out->n - 1];
            asks[out->n - 1] = (struct asking){.branch = &fill->branches[i], .way = way};
            status = buffer_status(&way->text, error);
        }
    if (!status && fill->options->asks_suffix && out->n > 1)
        status = ask_suffix(fill, asks, out->n, error);
    for (size_t i = 0; i < out->n; i++)
        out->ways[i].score = score_of(fill, &out->ways[i], i == 0);
    if (!status)
        qsort(out->ways, out->n, sizeof *out->ways, compare_ways);
    return status;
}
