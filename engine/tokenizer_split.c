/* tokenizer_split: see tokenizer_split.h. */
#define PCRE2_CODE_UNIT_WIDTH 8
#include "engine/tokenizer_split.h"

#include <pcre2.h>
#include <stdlib.h>
#include <string.h>

/* White space as Unicode has it (PCRE2's own \s takes U+180E for a space, which it is no more), to stand in a class. */
#define WHITE "\\t-\\r \\x{85}\\x{a0}\\x{1680}\\x{2000}-\\x{200a}\\x{2028}\\x{2029}\\x{202f}\\x{205f}\\x{3000}"

#define GPT2_WORDS                                                                                                     \
    "'s|'t|'re|'ve|'m|'ll|'d| ?\\p{L}+| ?\\p{N}+| ?[^" WHITE "\\p{L}\\p{N}]+|[" WHITE "]+(?![^" WHITE "])"

/* The words of Llama 3 and Qwen: letters and what counts as one, how many digits stand together. */
#define MODERN_WORDS(letters, other, digits)                                                                           \
    "(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\\r\\n\\p{L}\\p{N}]?" letters "+|" digits "| ?[^" WHITE other                      \
    "\\p{N}]+[\\r\\n]*|[" WHITE "]*[\\r\\n]+|[" WHITE "]+(?![^" WHITE "])|[" WHITE "]+"

/* The Latin, Greek, Cyrillic, Georgian and other cased letters that DeepSeek-LLM's expression lists. */
#define DEEPSEEK_LETTERS                                                                                               \
    "A-Za-z"                                                                                                           \
    "\\x{b5}\\x{c0}-\\x{d6}\\x{d8}-\\x{f6}\\x{f8}-\\x{1ba}\\x{1bc}-\\x{1bf}\\x{1c4}-\\x{293}"                          \
    "\\x{295}-\\x{2af}\\x{370}-\\x{373}\\x{376}\\x{377}\\x{37b}-\\x{37d}\\x{37f}\\x{386}\\x{388}-\\x{38a}"             \
    "\\x{38c}\\x{38e}-\\x{3a1}\\x{3a3}-\\x{3f5}\\x{3f7}-\\x{481}\\x{48a}-\\x{52f}\\x{531}-\\x{556}"                    \
    "\\x{10a0}-\\x{10c5}\\x{13a0}-\\x{13f5}\\x{13f8}-\\x{13fd}\\x{1c90}-\\x{1cba}\\x{1cbd}-\\x{1cbf}"                  \
    "\\x{1d00}-\\x{1d2b}\\x{1d6b}-\\x{1d77}\\x{1d79}-\\x{1d9a}\\x{1e00}-\\x{1f15}\\x{1f18}-\\x{1f1d}"                  \
    "\\x{1f20}-\\x{1f45}\\x{1f48}-\\x{1f4d}\\x{1f50}-\\x{1f57}\\x{1f59}\\x{1f5b}\\x{1f5d}"                             \
    "\\x{1f5f}-\\x{1f7d}\\x{1f80}-\\x{1fb4}\\x{1fb6}-\\x{1fbc}\\x{1fbe}\\x{1fc2}-\\x{1fc4}"                            \
    "\\x{1fc6}-\\x{1fcc}\\x{1fd0}-\\x{1fd3}\\x{1fd6}-\\x{1fdb}\\x{1fe0}-\\x{1fec}\\x{1ff2}-\\x{1ff4}"                  \
    "\\x{1ff6}-\\x{1ffc}\\x{2102}\\x{2107}\\x{210a}-\\x{2113}\\x{2115}\\x{2119}-\\x{211d}\\x{2124}"                    \
    "\\x{2126}\\x{2128}\\x{212a}-\\x{212d}\\x{212f}-\\x{2134}\\x{2139}\\x{213c}-\\x{213f}"                             \
    "\\x{2145}-\\x{2149}\\x{214e}\\x{2183}\\x{2184}\\x{2c00}-\\x{2c7b}\\x{2c7e}-\\x{2ce4}"                             \
    "\\x{2ceb}-\\x{2cee}\\x{2cf2}\\x{2cf3}\\x{a640}-\\x{a66d}\\x{a680}-\\x{a69b}\\x{a722}-\\x{a76f}"                   \
    "\\x{a771}-\\x{a787}\\x{a78b}-\\x{a78e}\\x{ab70}-\\x{abbf}\\x{fb00}-\\x{fb06}\\x{fb13}-\\x{fb17}"                  \
    "\\x{ff21}-\\x{ff3a}\\x{ff41}-\\x{ff5a}\\x{10400}-\\x{1044f}\\x{104b0}-\\x{104d3}"                                 \
    "\\x{104d8}-\\x{104fb}\\x{10c80}-\\x{10cb2}\\x{10cc0}-\\x{10cf2}\\x{118a0}-\\x{118df}"                             \
    "\\x{1e900}-\\x{1e943}"

/* "\s+$" written so that it is tried once a run of spaces, not at each of its places. */
#define TRAILING_WHITE "(?<![" WHITE "])[" WHITE "]++\\z"

struct pretokenizer {
    const char *names[4];
    const char *steps[SPLIT_MAX_STEPS];
    bool ignores_merges;
    bool adds_bos;
};

/* The expressions are those of the models' tokenizer.json files, as llama.cpp's llama-vocab.cpp collects them. */
static const struct pretokenizer pretokenizers[] = {
    {.names = {"llama-bpe", "llama3", "llama-v3"},
     .steps = {MODERN_WORDS("\\p{L}", "\\p{L}", "\\p{N}{1,3}")},
     .ignores_merges = true,
     .adds_bos = true},
    {.names = {"qwen2", "deepseek-r1-qwen"}, .steps = {MODERN_WORDS("\\p{L}", "\\p{L}", "\\p{N}")}},
    {.names = {"qwen35"}, .steps = {MODERN_WORDS("[\\p{L}\\p{M}]", "\\p{L}\\p{M}", "\\p{N}")}},
    {.names = {"deepseek-llm"},
     .steps = {"[\\r\\n]", "[" WHITE "]?[" DEEPSEEK_LETTERS "]+",
               "[" WHITE "]?[!-/:-~\\x{ff01}-\\x{ff0f}\\x{ff1a}-\\x{ff5e}\\x{2018}-\\x{201f}\\x{3000}-\\x{3002}]+",
               TRAILING_WHITE, "[\\x{4e00}-\\x{9fa5}\\x{800}-\\x{4e00}\\x{ac00}-\\x{d7ff}]+", "\\p{N}+"}},
    {.names = {"deepseek-coder"},
     .steps = {"[\\r\\n]", "[" WHITE "]?\\p{L}+", "[" WHITE "]?\\p{P}+",
               "[\\x{4e00}-\\x{9fa5}\\x{800}-\\x{4e00}\\x{ac00}-\\x{d7ff}]+", "\\p{N}"}},
    {.names = {"deepseek-v3", "joyai-llm"},
     .steps = {"\\p{N}{1,3}", "[\\x{4e00}-\\x{9fa5}\\x{3040}-\\x{309f}\\x{30a0}-\\x{30ff}]+",
               "[!\"#$%&'()*+,\\-./:;<=>?@\\[\\\\\\]^_`{|}~][A-Za-z]+|[^\\r\\n\\p{L}\\p{P}\\p{S}]?[\\p{L}\\p{M}]+"
               "| ?[\\p{P}\\p{S}]+[\\r\\n]*|[" WHITE "]*[\\r\\n]+|[" WHITE "]+(?![^" WHITE "])|[" WHITE "]+"}},
    {.names = {"starcoder", "smollm", "refact"}, .steps = {"\\p{N}", GPT2_WORDS}},
    {.names = {"gpt-2"}, .steps = {GPT2_WORDS}},
    {.names = {"falcon"}, .steps = {"[\\p{P}$+<=>^~|`]+", GPT2_WORDS, "[0-9][0-9][0-9]"}},
    {.names = {"default"}, .steps = {"[\\p{P}$+<=>^~|]+", GPT2_WORDS, "\\p{N}+", "[0-9][0-9][0-9]"}},
};

struct splitter {
    const struct pretokenizer *row;
    pcre2_code *steps[SPLIT_MAX_STEPS];
    size_t n_steps;
    bool jit[SPLIT_MAX_STEPS];
};

static const struct pretokenizer *pretokenizer_find(struct slice name)
{
    for (size_t i = 0; i < sizeof pretokenizers / sizeof *pretokenizers; i++)
        for (size_t j = 0; j < 4 && pretokenizers[i].names[j]; j++)
            if (slice_equals(name, pretokenizers[i].names[j]))
                return &pretokenizers[i];
    return NULL;
}

enum status splitter_new(struct slice name, struct splitter **out, struct error *error)
{
    const struct pretokenizer *row = pretokenizer_find(name);
    if (!row)
        return error_set(error, STATUS_UNSUPPORTED, "tokenizer.ggml.pre: unknown pre-tokenizer \"%.*s\"",
                         (int)(name.size < 64 ? name.size : 64), name.data ? name.data : "");
    struct splitter *splitter = calloc(1, sizeof *splitter);
    if (!splitter)
        return error_set(error, STATUS_MEMORY, "out of memory");
    splitter->row = row;
    for (size_t i = 0; i < SPLIT_MAX_STEPS && row->steps[i]; i++) {
        int code;
        PCRE2_SIZE at;
        /* Its start optimisations save next to nothing here, and would let JIT look at vectors that reach beyond the text. */
        splitter->steps[i] =
            pcre2_compile((PCRE2_SPTR)row->steps[i], PCRE2_ZERO_TERMINATED,
                          PCRE2_UTF | PCRE2_UCP | PCRE2_NO_UTF_CHECK | PCRE2_NO_START_OPTIMIZE, &code, &at, NULL);
        if (!splitter->steps[i]) {
            splitter_free(splitter);
            return error_set(error, STATUS_MEMORY, "pre-tokenizer %s: PCRE2 error %d at %zu", row->names[0], code, at);
        }
        splitter->n_steps = i + 1;
        /* Where a system forbids code made at run time, the same expressions are interpreted. */
        splitter->jit[i] = pcre2_jit_compile(splitter->steps[i], PCRE2_JIT_COMPLETE) == 0;
    }
    *out = splitter;
    return STATUS_OK;
}

void splitter_free(struct splitter *splitter)
{
    if (!splitter)
        return;
    for (size_t i = 0; i < SPLIT_MAX_STEPS; i++)
        pcre2_code_free(splitter->steps[i]);
    free(splitter);
}

bool splitter_ignores_merges(const struct splitter *splitter)
{
    return splitter->row->ignores_merges;
}

bool splitter_adds_bos(const struct splitter *splitter)
{
    return splitter->row->adds_bos;
}

/* ---- walking ---- */

/* What one step still has to cut: [at, end), where a match [match, match_end) may already be known. */
struct step {
    size_t begin, at, end;
    size_t match, match_end;
    bool matched;
};

struct split_walk {
    const struct splitter *splitter;
    pcre2_match_data *match_data;
    pcre2_match_context *context;
    const char *text; /* valid UTF-8: the caller's, or repaired */
    struct step steps[SPLIT_MAX_STEPS];
    size_t depth; /* the step that is asked next */
    const char *original;
    size_t original_size, original_at;
    struct buffer repaired; /* with U+FFFD in place of what is no UTF-8 */
    bool is_repaired;
};

enum status split_walk_new(const struct splitter *splitter, struct split_walk **out, struct error *error)
{
    struct split_walk *walk = calloc(1, sizeof *walk);
    if (!walk)
        return error_set(error, STATUS_MEMORY, "out of memory");
    walk->splitter = splitter;
    walk->match_data = pcre2_match_data_create(1, NULL);
    walk->context = pcre2_match_context_create(NULL);
    if (!walk->match_data || !walk->context) {
        split_walk_free(walk);
        return error_set(error, STATUS_MEMORY, "out of memory");
    }
    *out = walk;
    return STATUS_OK;
}

void split_walk_free(struct split_walk *walk)
{
    if (!walk)
        return;
    pcre2_match_data_free(walk->match_data);
    pcre2_match_context_free(walk->context);
    buffer_deinit(&walk->repaired);
    free(walk);
}

/* How many bytes of text are valid UTF-8 from its beginning on. */
static size_t valid_prefix(const char *text, size_t size)
{
    size_t i = 0;
    while (i < size) {
        uint64_t eight;
        if (size - i >= 8 && (memcpy(&eight, text + i, 8), !(eight & UINT64_C(0x8080808080808080)))) {
            i += 8;
            continue;
        }
        uint32_t c;
        int n = utf8_decode(text + i, size - i, &c);
        if (n <= 0)
            break;
        i += (size_t)n;
    }
    return i;
}

enum status split_walk_start(struct split_walk *walk, const char *text, size_t size, struct error *error)
{
    walk->original = walk->text = text;
    walk->original_size = size;
    walk->original_at = 0;
    size_t valid = valid_prefix(text, size);
    walk->is_repaired = valid < size;
    if (walk->is_repaired) {
        buffer_clear(&walk->repaired);
        for (size_t i = 0; i < size; i += valid) {
            valid = valid_prefix(text + i, size - i);
            buffer_append(&walk->repaired, text + i, valid);
            if (!valid) {
                buffer_append(&walk->repaired, "\xef\xbf\xbd", 3);
                valid = 1;
            }
        }
        enum status status = buffer_status(&walk->repaired, error);
        if (status)
            return status;
        walk->text = walk->repaired.data;
        size = walk->repaired.size;
    }
    /* Backtracking is bounded by a run of white space, which each expression visits a few times at most: the limits only
     * stop what can't happen. */
    uint32_t limit = size < UINT32_MAX / 16 - 65536 ? (uint32_t)size * 16 + 1000000 : UINT32_MAX;
    pcre2_set_match_limit(walk->context, limit);
    pcre2_set_depth_limit(walk->context, limit);
    pcre2_set_heap_limit(walk->context, limit);
    walk->depth = 0;
    walk->steps[0] = (struct step){.end = size};
    return STATUS_OK;
}

/* Looks for the next match of step i in what it has left.  False where PCRE2 gave up. */
static bool step_match(struct split_walk *walk, size_t i)
{
    struct step *step = &walk->steps[i];
    const pcre2_code *code = walk->splitter->steps[i];
    PCRE2_SPTR subject = (PCRE2_SPTR)walk->text + step->begin;
    size_t size = step->end - step->begin, start = step->at - step->begin;
    int found = PCRE2_ERROR_JIT_STACKLIMIT;
    if (walk->splitter->jit[i])
        found = pcre2_jit_match(code, subject, size, start, 0, walk->match_data, walk->context);
    if (found < 0 && found != PCRE2_ERROR_NOMATCH)
        found =
            pcre2_match(code, subject, size, start, PCRE2_NO_UTF_CHECK | PCRE2_NO_JIT, walk->match_data, walk->context);
    step->matched = false;
    if (found >= 0) {
        const PCRE2_SIZE *place = pcre2_get_ovector_pointer(walk->match_data);
        step->match = step->begin + place[0];
        step->match_end = step->begin + place[1];
        step->matched = step->match_end > step->match;
    }
    return found >= 0 || found == PCRE2_ERROR_NOMATCH;
}

/* The bytes of the caller's text that the next size bytes of the repaired text, at begin, stand for. */
static struct slice original_piece(struct split_walk *walk, size_t begin, size_t size)
{
    const char *repaired = walk->text + begin, *original = walk->original;
    size_t from = walk->original_at, at = from;
    for (size_t i = 0; i < size;) {
        bool mark = size - i >= 3 && memcmp(repaired + i, "\xef\xbf\xbd", 3) == 0;
        bool real = mark && walk->original_size - at >= 3 && memcmp(original + at, "\xef\xbf\xbd", 3) == 0;
        i += mark ? 3 : 1;
        at += real ? 3 : 1;
    }
    walk->original_at = at;
    return (struct slice){original + from, at - from};
}

enum status split_walk_next(struct split_walk *walk, struct slice *piece, bool *done, struct error *error)
{
    *done = false;
    for (;;) {
        struct step *step = &walk->steps[walk->depth];
        if (step->at == step->end) {
            if (walk->depth == 0) {
                *done = true;
                return STATUS_OK;
            }
            walk->depth--;
            continue;
        }
        if (!(step->matched && step->match == step->at) && !step_match(walk, walk->depth))
            return error_set(error, STATUS_MEMORY, "not enough memory to cut the text into pieces");
        size_t begin = step->at;
        size_t end = !step->matched ? step->end : step->match > begin ? step->match : step->match_end;
        step->at = end;
        if (walk->depth + 1 < walk->splitter->n_steps) {
            walk->steps[++walk->depth] = (struct step){.begin = begin, .at = begin, .end = end};
            continue;
        }
        *piece = walk->is_repaired ? original_piece(walk, begin, end - begin)
                                   : (struct slice){walk->text + begin, end - begin};
        return STATUS_OK;
    }
}
