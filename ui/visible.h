/* visible: the gate between text from outside and the terminal.
 *
 * Whatever a model, a file or git holds goes through here before it is printed, so that no byte of it can act on the
 * terminal: it is drawn as a mark instead.
 *
 *   newline, tab                                               pass
 *   other C0, DEL                                              ^[  ^M  ^?     as vim and cat -v show them
 *   C1, bidirectional embeddings, overrides, isolates and
 *   marks, line and paragraph separators, zero-width and
 *   invisible code points, tags, noncharacters, and unassigned
 *   code points that a terminal would draw as nothing          <U+202E>       at least four hexadecimal digits
 *   bytes that are not UTF-8                                   U+FFFD         one for each maximal subpart
 *   everything else                                            passes; ZWJ and ZWNJ too, since words and emoji need them
 *
 * With ascii_only, for a terminal that doesn't take UTF-8 (its bytes 80-9F may be controls there), all beyond ASCII
 * becomes <U+...> and a bad byte "?".
 *
 * The result is the same however the text is cut into chunks, and running it again changes nothing. */
#ifndef FATHOM_UI_VISIBLE_H
#define FATHOM_UI_VISIBLE_H

#include "engine/base.h"

/* Zero-initialised is ready. */
struct visible {
    bool ascii_only;
    char held[4]; /* the beginning of a code point whose rest hasn't come */
    size_t n_held;
};

/* Takes size bytes of text and appends to out what may be sent to the terminal. */
void visible_push(struct visible *visible, const char *text, size_t size, struct buffer *out);

/* The end of the text: what was held back comes out as a bad sequence; ready for another text afterwards. */
void visible_finish(struct visible *visible, struct buffer *out);

/* The whole of a text at once. */
void visible_append(struct buffer *out, const char *text, size_t size, bool ascii_only);

/* The code point has to be drawn as a mark (newline and tab don't). */
bool visible_is_hidden(uint32_t code_point);

/* The locale says that the terminal takes UTF-8.  The "C" locale, which says nothing about it, is taken to mean yes.
 * setlocale(LC_CTYPE, "") must have been called. */
bool visible_locale_is_utf8(void);

#endif
