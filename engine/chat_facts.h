/* chat_facts: what is known of every call of a chat template before anything is rendered, so that branches no call of ours
 * takes can be left out of its normal form.
 *
 * Messages have a role (system, user, assistant) and a content that is a string, and nothing else; add_generation_prompt,
 * bos_token and eos_token are given; tools and documents are none; there is a strftime_now.  So does the caller of most
 * templates, transformers' apply_chat_template, when it is given plain messages. */
#ifndef FATHOM_ENGINE_CHAT_FACTS_H
#define FATHOM_ENGINE_CHAT_FACTS_H

#include "engine/base.h"

enum truth { TRUTH_FALSE, TRUTH_TRUE, TRUTH_UNKNOWN };

/* Of one condition in the spelling of the normal form, where form is what was written of that before it. */
enum truth chat_fact_find(const struct buffer *form, struct slice condition);

/* Whether the whole form sets nothing that the answers relied on; if not, the template must be refused. */
bool chat_facts_hold(const struct buffer *form);

#endif
