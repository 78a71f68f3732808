/* turn_prompt: see turn_prompt.h and invariants 1 and 3 of turn.h. */
#include "app/turn_prompt.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { LEAST_ROOM = 16, CUT_ROUNDS = 12, BYTES_PER_TOKEN = 16, RESERVE_LIMIT = 1024 };

struct grouped grouped_number(uint64_t value)
{
    struct grouped out;
    char digits[24];
    int n = snprintf(digits, sizeof digits, "%llu", (unsigned long long)value);
    size_t at = 0;
    for (int i = 0; i < n; i++) {
        if (i && (n - i) % 3 == 0)
            out.text[at++] = ',';
        out.text[at++] = digits[i];
    }
    out.text[at] = 0;
    return out;
}

size_t turn_prompt_reserve(size_t n_ctx, int64_t n_predict)
{
    size_t reserve = n_ctx / 4 < RESERVE_LIMIT ? n_ctx / 4 : RESERVE_LIMIT;
    if (n_predict >= 0 && (uint64_t)n_predict < reserve)
        reserve = (size_t)n_predict;
    return reserve ? reserve : 1;
}

/* ---- rendering ---- */

static struct slice sent_text(const struct conversation_message *message)
{
    const struct buffer *text = message->sent.size ? &message->sent : &message->text;
    return (struct slice){buffer_text(text), text->size};
}

/* Fills tokens with the prompt as it stands. */
static enum status render(struct turn_prompt *prompt, struct error *error)
{
    const struct conversation *conversation = prompt->conversation;
    struct chat_message *messages = calloc(conversation->n - conversation->first + 1, sizeof *messages);
    size_t n = 0;
    if (!messages)
        return error_set(error, STATUS_MEMORY, "out of memory");
    if (conversation->system.size)
        messages[n++] = (struct chat_message){CHAT_SYSTEM, {conversation->system.data, conversation->system.size}};
    for (size_t i = conversation->first; i < conversation->n; i++) {
        const struct conversation_message *message = &conversation->messages[i];
        bool is_last = i + 1 == conversation->n;
        /* Templates want question and answer in turn: one that never got its answer is passed over. */
        if (message->role == CHAT_USER && !is_last && conversation->messages[i + 1].role != CHAT_ASSISTANT)
            continue;
        messages[n++] = (struct chat_message){message->role, sent_text(message)};
    }
    tokens_clear(&prompt->tokens);
    enum status status = engine_chat_tokens(prompt->engine, messages, n, true, &prompt->tokens, error);
    free(messages);
    return status == STATUS_OK ? tokens_status(&prompt->tokens, error) : status;
}

/* Control tokens have no text of their own: what somebody typed is none of them, however it is spelled. */
static bool is_control(const struct engine *engine, int32_t id)
{
    return engine_piece(engine, id, false).size == 0;
}

size_t turn_prompt_match(const struct engine *engine, const int32_t *ids, size_t n, const struct tokens *prompt,
                         size_t *n_covered)
{
    /* Two walks over the same text, each ahead by turns; a and b are what the one ahead has left. */
    size_t i = 0, j = 0, matched = 0;
    struct slice a = {0}, b = {0};
    *n_covered = 0;
    while (true) {
        if (!a.size && !b.size) {
            matched = i;
            *n_covered = j;
            if (i == n || j == prompt->n)
                return matched;
            if (is_control(engine, ids[i]) || is_control(engine, prompt->ids[j])) {
                if (ids[i++] != prompt->ids[j++])
                    return matched;
                continue;
            }
        }
        if ((!a.size && (i == n || is_control(engine, ids[i]))) ||
            (!b.size && (j == prompt->n || is_control(engine, prompt->ids[j]))))
            return matched;
        a = a.size ? a : engine_piece(engine, ids[i++], false);
        b = b.size ? b : engine_piece(engine, prompt->ids[j++], false);
        size_t common = a.size < b.size ? a.size : b.size;
        if (memcmp(a.data, b.data, common) != 0)
            return matched;
        a = (struct slice){a.data + common, a.size - common};
        b = (struct slice){b.data + common, b.size - common};
    }
}

void turn_prompt_splice(const struct engine *engine, const int32_t *ids, size_t n, struct tokens *prompt)
{
    size_t covered, matched = turn_prompt_match(engine, ids, n, prompt, &covered);
    if (matched == 0)
        return;
    struct tokens spliced = {0};
    tokens_append_all(&spliced, ids, matched);
    tokens_append_all(&spliced, prompt->ids + covered, prompt->n - covered);
    if (spliced.failed) {
        tokens_deinit(&spliced);
        return;
    }
    tokens_deinit(prompt);
    *prompt = spliced;
}

/* ---- the oldest turns ---- */

static size_t count_tokens(const struct engine *engine, struct conversation_message *message)
{
    if (message->n_tokens == 0 && message->text.size) {
        struct tokens tokens = {0};
        struct slice text = sent_text(message);
        if (engine_tokenize(engine, text.data, text.size, 0, &tokens, NULL) == STATUS_OK)
            message->n_tokens = tokens.n;
        tokens_deinit(&tokens);
    }
    return message->n_tokens;
}

/* Drops turns until they were worth excess tokens.  The last one stays where the rest were worth at least `needed`. */
static void drop_turns(struct turn_prompt *prompt, size_t excess, size_t needed, struct turn_notice *notice)
{
    struct conversation *conversation = prompt->conversation;
    size_t question = conversation->n - 1, freed = 0;
    while (conversation->first < question && freed < excess) {
        size_t end = conversation->first + 1;
        while (end < question && conversation->messages[end].role != CHAT_USER)
            end++;
        if (end == question && freed >= needed && freed > 0)
            break;
        for (size_t i = conversation->first; i < end; i++)
            freed += count_tokens(prompt->engine, &conversation->messages[i]);
        notice->n_turns++;
        conversation->first = end;
    }
    notice->n_tokens += freed;
}

static void notify(const struct turn_prompt *prompt, const struct turn_notice *notice)
{
    if (prompt->options->on_notice)
        prompt->options->on_notice(prompt->options->context, notice);
}

/* Drops turns until prompt and n_answer tokens are within budget. */
static enum status drop_until(struct turn_prompt *prompt, size_t budget, size_t n_answer, bool *dropped,
                              struct error *error)
{
    struct turn_notice notice = {.kind = TURN_DROPPED_TURNS};
    size_t slack = prompt->n_ctx / 8;
    size_t target = budget > slack ? budget - slack : 1;
    enum status status = STATUS_OK;
    while (status == STATUS_OK && prompt->tokens.n + n_answer > budget &&
           prompt->conversation->first + 1 < prompt->conversation->n) {
        size_t used = prompt->tokens.n + n_answer;
        drop_turns(prompt, used - target, used - budget, &notice);
        status = render(prompt, error);
    }
    *dropped = notice.n_turns > 0;
    if (*dropped && status == STATUS_OK) {
        snprintf(notice.text, sizeof notice.text, "left out the %s%soldest turn%s (%s tokens): the context holds %s",
                 notice.n_turns == 1 ? "" : grouped_number(notice.n_turns).text, notice.n_turns == 1 ? "" : " ",
                 notice.n_turns == 1 ? "" : "s", grouped_number(notice.n_tokens).text,
                 grouped_number(prompt->n_ctx).text);
        notify(prompt, &notice);
    }
    return status;
}

enum status turn_prompt_shrink(struct turn_prompt *prompt, size_t n_answer, bool *dropped, struct error *error)
{
    return drop_until(prompt, prompt->n_ctx - prompt->reserve, n_answer, dropped, error);
}

/* ---- the middle of a question ---- */

struct cut {
    size_t begin, end; /* of what is left out */
    size_t n_lines, n_tokens;
};

static size_t border_before(const char *text, size_t at)
{
    for (size_t i = at; i > at / 2; i--)
        if (text[i - 1] == '\n')
            return i;
    while (at && ((unsigned char)text[at] & 0xc0) == 0x80)
        at--;
    return at;
}

static size_t border_after(const char *text, size_t at, size_t size)
{
    for (size_t i = at; i < at + (size - at) / 2; i++)
        if (text[i] == '\n')
            return i + 1;
    while (at < size && ((unsigned char)text[at] & 0xc0) == 0x80)
        at++;
    return at;
}

/* Tokens of text[begin, end) and how many bytes the first (or last) `wanted` of them are. */
static enum status measure(const struct engine *engine, const char *text, size_t size, size_t wanted, bool from_end,
                           size_t *n_tokens, size_t *n_bytes, struct error *error)
{
    struct tokens tokens = {0};
    enum status status = engine_tokenize(engine, text, size, 0, &tokens, error);
    *n_tokens = tokens.n;
    *n_bytes = 0;
    for (size_t i = 0; i < tokens.n && i < wanted; i++)
        *n_bytes += engine_piece(engine, tokens.ids[from_end ? tokens.n - 1 - i : i], false).size;
    if (*n_bytes > size)
        *n_bytes = size; /* SentencePiece puts a space first */
    tokens_deinit(&tokens);
    return status;
}

/* Chooses what of text to leave out so that about `room` tokens stay, half at each end.  Only as much of the text is
 * tokenised as could stay: it may be far larger than the context. */
static enum status choose_cut(const struct engine *engine, struct slice text, size_t room, struct cut *cut,
                              struct error *error)
{
    uint64_t window = 0;
    if (!checked_mul(room, BYTES_PER_TOKEN, &window) || window > text.size)
        window = text.size;
    size_t n_head, n_tail, head, tail, size = (size_t)window;
    enum status status = measure(engine, text.data, size, room / 2, false, &n_head, &head, error);
    if (status == STATUS_OK)
        status = measure(engine, text.data + text.size - size, size, room - room / 2, true, &n_tail, &tail, error);
    if (status != STATUS_OK)
        return status;
    cut->begin = border_before(text.data, head < text.size ? head : text.size - 1);
    cut->end = border_after(text.data, text.size - tail, text.size);
    if (cut->end < cut->begin)
        cut->end = cut->begin;
    double density = size ? (double)(n_head + n_tail) / (2.0 * (double)size) : 0;
    cut->n_tokens = (size_t)(density * (double)(cut->end - cut->begin));
    cut->n_lines = 0;
    for (size_t i = cut->begin; i < cut->end; i++)
        cut->n_lines += text.data[i] == '\n';
    return STATUS_OK;
}

/* Makes the question's sent text: its first `keep` bytes, and the rest without what cut leaves out. */
static enum status apply_cut(struct conversation_message *question, size_t keep, const struct cut *cut,
                             struct error *error)
{
    const char *text = buffer_text(&question->text);
    size_t begin = keep + cut->begin, end = keep + cut->end;
    buffer_clear(&question->sent);
    buffer_append(&question->sent, text, begin);
    if (begin && text[begin - 1] != '\n')
        buffer_append_byte(&question->sent, '\n');
    buffer_printf(&question->sent, "[... %zu %s left out ...]\n", cut->n_lines ? cut->n_lines : end - begin,
                  cut->n_lines ? (cut->n_lines == 1 ? "line" : "lines") : "bytes");
    buffer_append(&question->sent, text + end, question->text.size - end);
    return buffer_status(&question->sent, error);
}

/* Cuts the question's text from `keep` on until the prompt is within budget; *fits tells whether that came about. */
static enum status cut_from(struct turn_prompt *prompt, size_t keep, size_t budget, struct cut *cut, bool *fits,
                            struct error *error)
{
    struct conversation_message *question = &prompt->conversation->messages[prompt->conversation->n - 1];
    struct slice text = {buffer_text(&question->text) + keep, question->text.size - keep};
    *fits = false;
    *cut = (struct cut){0, text.size, 0, 0};
    enum status status = text.size ? apply_cut(question, keep, cut, error) : STATUS_OK;
    if (status == STATUS_OK)
        status = render(prompt, error);
    if (status != STATUS_OK || !text.size || prompt->tokens.n + LEAST_ROOM > budget)
        return status;
    size_t room = budget - prompt->tokens.n;
    for (int round = 0; round < CUT_ROUNDS; round++) {
        status = choose_cut(prompt->engine, text, room, cut, error);
        if (status == STATUS_OK)
            status = apply_cut(question, keep, cut, error);
        if (status == STATUS_OK)
            status = render(prompt, error);
        *fits = prompt->tokens.n <= budget;
        if (status != STATUS_OK || *fits)
            return status;
        /* Where pieces meet, a text may take more tokens than it did as a whole. */
        size_t over = prompt->tokens.n - budget + 4;
        if (room < over + LEAST_ROOM)
            return STATUS_OK;
        room -= over;
    }
    return STATUS_OK;
}

static enum status cut_question(struct turn_prompt *prompt, size_t budget, struct error *error)
{
    struct conversation_message *question = &prompt->conversation->messages[prompt->conversation->n - 1];
    struct cut cut = {0};
    bool fits = false, is_piped = question->piped > 0 && question->piped < question->text.size;
    enum status status = STATUS_OK;
    if (is_piped)
        status = cut_from(prompt, question->piped, budget, &cut, &fits, error);
    if (status == STATUS_OK && !fits) { /* what stands before the piped text is too long by itself */
        is_piped = false;
        status = cut_from(prompt, 0, budget, &cut, &fits, error);
    }
    question->n_tokens = 0;
    if (status != STATUS_OK)
        return status;
    if (!fits) {
        buffer_clear(&question->sent);
        return error_set(error, STATUS_RANGE,
                         "a context of %zu tokens has no room for a question beside the system text", prompt->n_ctx);
    }
    struct turn_notice notice = {TURN_CUT_QUESTION, 0, cut.n_lines, cut.n_tokens, ""};
    snprintf(notice.text, sizeof notice.text,
             "left out the middle of the %s (%s line%s, about %s tokens): the context holds %s",
             is_piped ? "piped text" : "question", grouped_number(cut.n_lines).text, cut.n_lines == 1 ? "" : "s",
             grouped_number(cut.n_tokens).text, grouped_number(prompt->n_ctx).text);
    notify(prompt, &notice);
    return STATUS_OK;
}

enum status turn_prompt_fit(struct turn_prompt *prompt, struct error *error)
{
    size_t budget = prompt->n_ctx - prompt->reserve;
    enum status status = render(prompt, error);
    if (status != STATUS_OK || prompt->tokens.n <= budget)
        return status;
    if (prompt->options->strict)
        return error_set(error, STATUS_ARGUMENT, "the input is %s tokens, and the context of %s has room for %s",
                         grouped_number(prompt->tokens.n).text, grouped_number(prompt->n_ctx).text,
                         grouped_number(budget).text);
    bool dropped;
    status = drop_until(prompt, budget, 0, &dropped, error);
    if (status == STATUS_OK && prompt->tokens.n > budget)
        status = cut_question(prompt, budget, error);
    return status;
}
