/* tokenizer_fixture: what the tokenizer's tests share: vocabularies out of files, encoding with checks, a seeded generator. */
#ifndef FATHOM_TESTS_TOKENIZER_FIXTURE_H
#define FATHOM_TESTS_TOKENIZER_FIXTURE_H

#include "engine/tokenizer.h"

/* The whole file; the test fails where it can't be read. */
struct buffer fixture_read(const char *path);

/* $FATHOM_TEST_DATA/vocab/ggml-vocab-NAME.gguf and what follows it (".inp", ".out", or ""); to be freed. */
char *fixture_vocabulary_path(const char *name, const char *ending);

/* The tokenizer of that vocabulary; with pre not NULL as if the file named that pre-tokenizer. */
struct tokenizer *fixture_vocabulary(const char *name, const char *pre);

/* The tokenizer of $FATHOM_TEST_MODEL. */
struct tokenizer *fixture_model(void);

/* Both fail the test where the call fails. */
struct tokens fixture_encode(const struct tokenizer *tokenizer, const char *text, size_t size, unsigned flags);
struct tokenizer *fixture_tokenizer(const struct buffer *file);

/* decode(encode(text)) is text, without special tokens in it. */
void fixture_assert_round_trip(const struct tokenizer *tokenizer, const char *text, size_t size, unsigned flags);

/* The ids as " 1 2 3". */
struct buffer fixture_ids_text(const struct tokens *tokens);

/* xorshift64*: the same numbers everywhere.  A number below n. */
uint32_t fixture_random(uint64_t *state, uint32_t n);

#endif
