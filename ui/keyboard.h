/* keyboard: from the bytes that a terminal sends to keys.
 *
 * A key is a code point, or one of enum key, with modifiers.  Sequences that mean nothing here are swallowed whole, so that
 * no terminal's answer is ever taken for typed text.  A paste (mode 2004) is one key with its text, whatever it holds: no
 * byte of it acts. */
#ifndef FATHOM_UI_KEYBOARD_H
#define FATHOM_UI_KEYBOARD_H

#include "engine/base.h"

enum key {
    KEY_NONE,
    KEY_TAB = '\t',
    KEY_ENTER = '\r',
    KEY_ESCAPE = 0x1b,
    KEY_BACKSPACE = 0x7f,
    KEY_FIRST = 0x200000, /* beyond Unicode */
    KEY_UP,
    KEY_DOWN,
    KEY_RIGHT,
    KEY_LEFT,
    KEY_HOME,
    KEY_END,
    KEY_PAGE_UP,
    KEY_PAGE_DOWN,
    KEY_INSERT,
    KEY_DELETE,
    KEY_F1, /* F2 .. F12 follow */
    KEY_F12 = KEY_F1 + 11,
    KEY_PASTE, /* keyboard.paste holds the text */
    KEY_CTRL = 1 << 24,
    KEY_ALT = 1 << 25,
    KEY_SHIFT = 1 << 26, /* of keys that aren't characters */
};

#define KEY_WITH_CTRL(letter) ((uint32_t)KEY_CTRL | (uint32_t)(letter))
#define KEY_WITH_ALT(letter)  ((uint32_t)KEY_ALT | (uint32_t)(letter))

enum { KEYBOARD_PASTE_LIMIT = 4 << 20, KEYBOARD_ESCAPE_MS = 30 };

/* Zero-initialised is ready. */
struct keyboard {
    struct buffer pending;
    struct buffer paste; /* lines end by \n; what is beyond the limit is dropped */
    bool is_pasting;
};

void keyboard_push(struct keyboard *keyboard, const char *bytes, size_t size);
void keyboard_deinit(struct keyboard *keyboard);

/* The next key; false where there is none (yet).  is_over: no more bytes came for KEYBOARD_ESCAPE_MS, so a beginning of a
 * sequence was meant as what it is. */
bool keyboard_next(struct keyboard *keyboard, bool is_over, uint32_t *key);

/* More bytes may follow that change what the pending ones mean. */
bool keyboard_is_waiting(const struct keyboard *keyboard);

/* Appends what a key is called: "Ctrl-W", "Alt-Enter", "PgUp", "z". */
void key_append_name(struct buffer *out, uint32_t key);

#endif
