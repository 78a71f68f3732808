/* tokenizer_roles: which tokens have a role: beginning, ends, infill marks; by GGUF key, else by the texts that are known.
 *
 * Generation ends after EOS, EOT, EOM, the known ends of turns and texts, and after the marks that only stand between files
 * (padding, repository, file separator): a model that writes one of those in an answer is done with it. */
#ifndef FATHOM_ENGINE_TOKENIZER_ROLES_H
#define FATHOM_ENGINE_TOKENIZER_ROLES_H

#include "engine/tokenizer_lexicon.h"

enum { KNOWN_MARKS_MAX = 64 };

/* All -1; returns known. */
int32_t *roles_clear(int32_t known[KNOWN_MARKS_MAX]);

/* Notes in known whether token id is a known mark; returns its kind, which is control for the unmistakable ones. */
enum token_kind roles_sort(struct slice text, enum token_kind kind, int32_t id, int32_t known[KNOWN_MARKS_MAX]);

/* Fills lexicon->special (newline aside) and ->ends.  An id outside the vocabulary counts as none; STATUS_FORMAT where
 * a key holds no id. */
enum status roles_read(const struct gguf *gguf, const int32_t known[KNOWN_MARKS_MAX], struct lexicon *lexicon,
                       struct error *error);

#endif
