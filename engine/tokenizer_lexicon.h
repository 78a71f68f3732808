/* tokenizer_lexicon: the tokens of a GGUF file: their texts, kinds and roles, found by text.
 *
 * A token has one text.  Ordinary ones (words) have the bytes they stand for: byte-level letters and SentencePiece's space
 * sign are turned back when the vocabulary is read.  Marks (control, user-defined and unknown tokens) have their text as
 * the vocabulary writes it.  Words and marks are looked up apart, so that no text can become a control token by chance.
 *
 * Which marks plain text may turn into: only user-defined ones that don't look like a mark, that is, don't stand in
 * brackets.  DeepSeek's "ö" is one (the tokenizers library and llama.cpp agree on it); "<think>", "<|EOT|>", "[PAD7]" are
 * looked for only where the caller asks for special tokens.
 *
 * Some files flag end-of-turn and infill marks as ordinary tokens.  Those that are known by text and unmistakable count as
 * control tokens whatever the file says. */
#ifndef FATHOM_ENGINE_TOKENIZER_LEXICON_H
#define FATHOM_ENGINE_TOKENIZER_LEXICON_H

#include "engine/tokenizer.h"

/* Where a token text is looked up by its hash: open addressing, at most two thirds full. */
struct text_map {
    struct text_slot *slots;
    uint32_t mask;
};

/* Marks sorted by bytes; those that begin with byte b are ids[first[b]] .. ids[first[b + 1]] (exclusive). */
struct mark_set {
    int32_t *ids;
    uint32_t first[257];
};

struct lexicon {
    int32_t n;
    char *text;                  /* all texts, one after the other */
    uint32_t *offsets;           /* n + 1, into text */
    uint8_t *kinds;              /* n, enum token_kind */
    bool *ends;                  /* n, generation ends after it */
    bool byte_level;             /* else SentencePiece */
    bool spaces_lead;            /* no word has a space after something that is none */
    int32_t bytes[256];          /* the word of that one byte, or -1 */
    struct text_map words;       /* normal, unused and, where SentencePiece has no letter for it, byte tokens */
    struct text_map marks;       /* control, user-defined, unknown */
    struct mark_set all_marks;   /* what is looked for with TOKENIZE_SPECIAL */
    struct mark_set plain_marks; /* what plain text may become */
    struct special_tokens special;
};

/* Zero-initialised is empty.  On failure deinit must still be called. */
enum status lexicon_init(struct lexicon *lexicon, const struct gguf *gguf, bool byte_level, struct error *error);
void lexicon_deinit(struct lexicon *lexicon);

struct slice lexicon_text(const struct lexicon *lexicon, int32_t id); /* 0 <= id < n */

/* -1 where there is none.  Words are never control tokens. */
int32_t lexicon_find_word(const struct lexicon *lexicon, const char *text, size_t size);
int32_t lexicon_find_mark(const struct lexicon *lexicon, const char *text, size_t size);

/* The longest mark of set that text begins with, or -1. */
int32_t lexicon_match_mark(const struct lexicon *lexicon, const struct mark_set *set, const char *text, size_t size);

/* Decodes the byte-level letters of text (GPT-2's byte alphabet) into out, which has room for size bytes.  False where one
 * of them is no such letter. */
bool byte_letters_decode(struct slice text, char *out, size_t *out_size);

/* Room for n slots with at most two thirds in use: a power of two, or 0 where that doesn't fit 32 bits. */
uint32_t hash_slots_for(uint64_t n);

#endif
