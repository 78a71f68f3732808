/* tokenizer_roles: see tokenizer_roles.h. */
#include "engine/tokenizer_roles.h"

enum mark_role {
    ROLE_NONE = -1,
    ROLE_BOS,
    ROLE_EOS,
    ROLE_EOT,
    ROLE_EOM,
    ROLE_UNKNOWN,
    ROLE_PAD,
    ROLE_FIM_PREFIX,
    ROLE_FIM_SUFFIX,
    ROLE_FIM_MIDDLE,
    ROLE_FIM_PAD,
    ROLE_FIM_REPOSITORY,
    ROLE_FIM_SEPARATOR,
    N_ROLES,
    ROLE_END, /* ends a turn or a text, and has no field of its own */
};

/* Texts of marks that are known, those of one role in order of preference.  Sources: the tokenizer configurations of the
 * families, and llama.cpp's list of end-of-generation texts.
 * sure: nobody writes it by chance, so it is a control token whatever kind the file gives it. */
static const struct known_mark {
    const char *text;
    enum mark_role role;
    bool sure;
} known_marks[] = {
    {"<s>", ROLE_BOS, false},
    {"</s>", ROLE_EOS, false},
    {"<unk>", ROLE_UNKNOWN, false},
    {"<|eot_id|>", ROLE_EOT, true},        /* Llama 3 */
    {"<|im_end|>", ROLE_EOT, true},        /* ChatML */
    {"<end_of_turn>", ROLE_EOT, true},     /* Gemma */
    {"<|EOT|>", ROLE_EOT, true},           /* DeepSeek-Coder v1 */
    {"<|end|>", ROLE_EOT, true},           /* Phi 3 */
    {"\xe2\x96\x81<EOT>", ROLE_EOT, true}, /* CodeLlama */
    {"<EOT>", ROLE_EOT, false},
    {"<|eom_id|>", ROLE_EOM, true},               /* Llama 3.1 */
    {"<|endoftext|>", ROLE_END, true},            /* GPT-2, StarCoder, Qwen */
    {"<|end_of_text|>", ROLE_END, true},          /* Llama 3, Granite */
    {"<｜end▁of▁sentence｜>", ROLE_END, true},    /* DeepSeek */
    {"<eos>", ROLE_END, false},                   /* Gemma */
    {"<|fim_prefix|>", ROLE_FIM_PREFIX, true},    /* Qwen, CodeGemma */
    {"<fim_prefix>", ROLE_FIM_PREFIX, true},      /* StarCoder, Granite */
    {"<fim-prefix>", ROLE_FIM_PREFIX, true},      /* SantaCoder */
    {"<｜fim▁begin｜>", ROLE_FIM_PREFIX, true},   /* DeepSeek */
    {"\xe2\x96\x81<PRE>", ROLE_FIM_PREFIX, true}, /* CodeLlama */
    {"<PRE>", ROLE_FIM_PREFIX, false},
    {"<|code_prefix|>", ROLE_FIM_PREFIX, true}, /* GLM-4.5 */
    {"[PREFIX]", ROLE_FIM_PREFIX, false},       /* Codestral */
    {"<[fim-prefix]>", ROLE_FIM_PREFIX, true},  /* Seed-Coder */
    {"<|fim_suffix|>", ROLE_FIM_SUFFIX, true},
    {"<fim_suffix>", ROLE_FIM_SUFFIX, true},
    {"<fim-suffix>", ROLE_FIM_SUFFIX, true},
    {"<｜fim▁hole｜>", ROLE_FIM_SUFFIX, true},
    {"\xe2\x96\x81<SUF>", ROLE_FIM_SUFFIX, true},
    {"<SUF>", ROLE_FIM_SUFFIX, false},
    {"<|code_suffix|>", ROLE_FIM_SUFFIX, true},
    {"[SUFFIX]", ROLE_FIM_SUFFIX, false},
    {"<[fim-suffix]>", ROLE_FIM_SUFFIX, true},
    {"<|fim_middle|>", ROLE_FIM_MIDDLE, true},
    {"<fim_middle>", ROLE_FIM_MIDDLE, true},
    {"<fim-middle>", ROLE_FIM_MIDDLE, true},
    {"<｜fim▁end｜>", ROLE_FIM_MIDDLE, true},
    {"\xe2\x96\x81<MID>", ROLE_FIM_MIDDLE, true},
    {"<MID>", ROLE_FIM_MIDDLE, false},
    {"<|code_middle|>", ROLE_FIM_MIDDLE, true},
    {"[MIDDLE]", ROLE_FIM_MIDDLE, false},
    {"<[fim-middle]>", ROLE_FIM_MIDDLE, true},
    {"<|fim_pad|>", ROLE_FIM_PAD, true},
    {"<fim_pad>", ROLE_FIM_PAD, true},
    {"<fim-pad>", ROLE_FIM_PAD, true},
    {"<|repo_name|>", ROLE_FIM_REPOSITORY, true},     /* Qwen */
    {"<repo_name>", ROLE_FIM_REPOSITORY, true},       /* StarCoder2 */
    {"<reponame>", ROLE_FIM_REPOSITORY, true},        /* StarCoder, Granite */
    {"<|file_sep|>", ROLE_FIM_SEPARATOR, true},       /* Qwen */
    {"<|file_separator|>", ROLE_FIM_SEPARATOR, true}, /* CodeGemma */
    {"<file_sep>", ROLE_FIM_SEPARATOR, true},         /* StarCoder2 */
    {"<filename>", ROLE_FIM_SEPARATOR, false},        /* StarCoder, Granite */
};

enum { N_KNOWN_MARKS = sizeof known_marks / sizeof *known_marks };
_Static_assert(sizeof known_marks / sizeof *known_marks <= (size_t)KNOWN_MARKS_MAX, "KNOWN_MARKS_MAX is too small");

/* GGUF's keys of the roles; the newer name first. */
static const struct {
    const char *key;
    enum mark_role role;
} role_keys[] = {
    {"tokenizer.ggml.bos_token_id", ROLE_BOS},
    {"tokenizer.ggml.eos_token_id", ROLE_EOS},
    {"tokenizer.ggml.eot_token_id", ROLE_EOT},
    {"tokenizer.ggml.eom_token_id", ROLE_EOM},
    {"tokenizer.ggml.unknown_token_id", ROLE_UNKNOWN},
    {"tokenizer.ggml.padding_token_id", ROLE_PAD},
    {"tokenizer.ggml.fim_pre_token_id", ROLE_FIM_PREFIX},
    {"tokenizer.ggml.fim_suf_token_id", ROLE_FIM_SUFFIX},
    {"tokenizer.ggml.fim_mid_token_id", ROLE_FIM_MIDDLE},
    {"tokenizer.ggml.fim_pad_token_id", ROLE_FIM_PAD},
    {"tokenizer.ggml.fim_rep_token_id", ROLE_FIM_REPOSITORY},
    {"tokenizer.ggml.fim_sep_token_id", ROLE_FIM_SEPARATOR},
    {"tokenizer.ggml.prefix_token_id", ROLE_FIM_PREFIX},
    {"tokenizer.ggml.suffix_token_id", ROLE_FIM_SUFFIX},
    {"tokenizer.ggml.middle_token_id", ROLE_FIM_MIDDLE},
};

int32_t *roles_clear(int32_t known[KNOWN_MARKS_MAX])
{
    for (int i = 0; i < KNOWN_MARKS_MAX; i++)
        known[i] = -1;
    return known;
}

enum token_kind roles_sort(struct slice text, enum token_kind kind, int32_t id, int32_t known[KNOWN_MARKS_MAX])
{
    unsigned char first = text.size ? (unsigned char)text.data[0] : 0;
    if (first != '<' && first != '[' && !(first == 0xe2 && text.size > 3 && text.data[3] == '<'))
        return kind;
    for (int i = 0; i < N_KNOWN_MARKS; i++) {
        if (!slice_equals(text, known_marks[i].text))
            continue;
        if (known_marks[i].sure)
            kind = TOKEN_CONTROL;
        if ((kind == TOKEN_CONTROL || kind == TOKEN_UNKNOWN) && known[i] < 0)
            known[i] = id;
    }
    return kind;
}

/* Files exist whose padding token lies beyond the vocabulary: such an id is none. */
static enum status role_read(const struct gguf *gguf, const char *key, int32_t n_vocab, int32_t *id,
                             struct error *error)
{
    if (!gguf_find_key(gguf, key))
        return STATUS_OK;
    int64_t wide = -1;
    const struct gguf_value *value = gguf_find_key(gguf, key);
    if (value->is_array || !gguf_array_i64(value, 0, &wide))
        return error_set(error, STATUS_FORMAT, "%s: a token id was expected", key);
    if (*id < 0 && wide >= 0 && wide < n_vocab)
        *id = (int32_t)wide;
    return STATUS_OK;
}

enum status roles_read(const struct gguf *gguf, const int32_t known[KNOWN_MARKS_MAX], struct lexicon *lexicon,
                       struct error *error)
{
    int32_t ids[N_ROLES];
    for (int role = 0; role < N_ROLES; role++)
        ids[role] = -1;
    for (size_t i = 0; i < sizeof role_keys / sizeof *role_keys; i++) {
        enum status status = role_read(gguf, role_keys[i].key, lexicon->n, &ids[role_keys[i].role], error);
        if (status)
            return status;
    }
    for (int i = 0; i < N_KNOWN_MARKS; i++) {
        enum mark_role role = known_marks[i].role;
        if (known[i] < 0)
            continue;
        if (role < N_ROLES && ids[role] < 0)
            ids[role] = known[i];
        if (role == ROLE_EOS || role == ROLE_EOT || role == ROLE_EOM || role == ROLE_END)
            lexicon->ends[known[i]] = true;
    }
    static const enum mark_role ending[] = {ROLE_EOS,          ROLE_EOT, ROLE_EOM, ROLE_FIM_PAD, ROLE_FIM_REPOSITORY,
                                            ROLE_FIM_SEPARATOR};
    for (size_t i = 0; i < sizeof ending / sizeof *ending; i++)
        if (ids[ending[i]] >= 0)
            lexicon->ends[ids[ending[i]]] = true;
    lexicon->special = (struct special_tokens){
        .bos = ids[ROLE_BOS],
        .eos = ids[ROLE_EOS],
        .eot = ids[ROLE_EOT],
        .eom = ids[ROLE_EOM],
        .unknown = ids[ROLE_UNKNOWN],
        .pad = ids[ROLE_PAD],
        .newline = -1,
        .fim_prefix = ids[ROLE_FIM_PREFIX],
        .fim_suffix = ids[ROLE_FIM_SUFFIX],
        .fim_middle = ids[ROLE_FIM_MIDDLE],
        .fim_pad = ids[ROLE_FIM_PAD],
        .fim_repository = ids[ROLE_FIM_REPOSITORY],
        .fim_separator = ids[ROLE_FIM_SEPARATOR],
    };
    return STATUS_OK;
}
