/* tokenizer: text to token ids and back, by the vocabulary of a GGUF file.
 *
 * Kinds: "gpt2" byte-level BPE with a named pre-tokenizer (tokenizer.ggml.pre), "llama" SentencePiece with byte fallback.
 * Text that a user, a file or a web page wrote never becomes a control token: only with TOKENIZE_SPECIAL are the texts of
 * control tokens looked for.  User-defined tokens that stand in brackets, such as <think> or [PAD7], count as marks as well;
 * others, such as DeepSeek's "ö", are part of ordinary text.
 *
 * Any bytes may be encoded, and decoding gives them back, but for bytes that the vocabulary has no token for: one that is
 * never part of UTF-8 becomes U+FFFD, another (SmolLM2 lacks U+0004, for instance) is left out, as the vocabularies' own
 * libraries do. */
#ifndef FATHOM_ENGINE_TOKENIZER_H
#define FATHOM_ENGINE_TOKENIZER_H

#include "engine/base.h"
#include "engine/gguf.h"

enum tokenize_flags {
    TOKENIZE_SPECIAL = 1,   /* recognise the texts of special tokens (for the template's own parts) */
    TOKENIZE_BEGIN = 2,     /* put BOS first where the vocabulary asks for it (and EOS last, where it asks for that) */
    TOKENIZE_NO_PREFIX = 4, /* SentencePiece: no space before the text (a continuation, an infill) */
};

enum token_kind { TOKEN_NORMAL = 1, TOKEN_UNKNOWN, TOKEN_CONTROL, TOKEN_USER_DEFINED, TOKEN_UNUSED, TOKEN_BYTE };

/* Tokens with a role; -1 where the vocabulary has none.  fim_*: by key, else by the texts known of the families. */
struct special_tokens {
    int32_t bos, eos, eot, eom, unknown, pad, newline;
    int32_t fim_prefix, fim_suffix, fim_middle, fim_pad, fim_repository, fim_separator;
};

struct tokenizer;

/* STATUS_UNSUPPORTED names an unknown model or pre-tokenizer, STATUS_NOT_FOUND a missing key, STATUS_FORMAT what is
 * malformed.  The gguf may be closed afterwards: what is needed was copied.  A tokenizer never changes: any number of
 * threads may use it at once. */
enum status tokenizer_new(const struct gguf *gguf, struct tokenizer **out, struct error *error);
void tokenizer_free(struct tokenizer *tokenizer);

int32_t tokenizer_n_vocab(const struct tokenizer *tokenizer);
const struct special_tokens *tokenizer_special(const struct tokenizer *tokenizer);
bool tokenizer_adds_bos(const struct tokenizer *tokenizer);
enum token_kind tokenizer_kind(const struct tokenizer *tokenizer, int32_t id);
/* Generation ends after this token: EOS, EOT, EOM, the turn ends of the known families, and the marks that stand between
 * files (infill padding, repository, file separator). */
bool tokenizer_is_end(const struct tokenizer *tokenizer, int32_t id);

/* The id of the token whose text is exactly this (as written in the vocabulary for special ones), or -1. */
int32_t tokenizer_find(const struct tokenizer *tokenizer, const char *text, size_t size);

/* Appends the ids of text to out.  Takes any bytes, invalid UTF-8 and NUL included; time and memory linear in size.
 * STATUS_MEMORY. */
enum status tokenizer_encode(const struct tokenizer *tokenizer, const char *text, size_t size, unsigned flags,
                             struct tokens *out, struct error *error);

/* The bytes token id stands for; for a control token its text with special set, else nothing.  Borrowed from the
 * tokenizer; empty for an id outside the vocabulary.  The concatenation over encode(text) gives text again
 * (SentencePiece: with the space that was put before it: tokenizer_decode takes it away). */
struct slice tokenizer_piece(const struct tokenizer *tokenizer, int32_t id, bool special);

/* Appends the bytes of all ids; removes the space that SentencePiece put first. */
void tokenizer_decode(const struct tokenizer *tokenizer, const int32_t *ids, size_t n, bool special,
                      struct buffer *out);

#endif
