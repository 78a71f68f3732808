/* keyboard: see keyboard.h. */
#include "ui/keyboard.h"

#include <stdlib.h>
#include <string.h>

enum { MOST_SEQUENCE = 64 };

void keyboard_push(struct keyboard *keyboard, const char *bytes, size_t size)
{
    buffer_append(&keyboard->pending, bytes, size);
    keyboard->pending.failed = false; /* keys that found no memory are lost, and later ones aren't */
}

void keyboard_deinit(struct keyboard *keyboard)
{
    buffer_deinit(&keyboard->pending);
    buffer_deinit(&keyboard->paste);
}

bool keyboard_is_waiting(const struct keyboard *keyboard)
{
    return keyboard->pending.size > 0 && !keyboard->is_pasting;
}

/* ---- sequences ---- */

static uint32_t modifiers(unsigned long parameter)
{
    unsigned bits = parameter > 1 && parameter <= 16 ? (unsigned)parameter - 1 : 0;
    return (bits & 1 ? (uint32_t)KEY_SHIFT : 0) | (bits & 2 ? (uint32_t)KEY_ALT : 0) |
           (bits & 4 ? (uint32_t)KEY_CTRL : 0);
}

/* "CSI number ~" */
static uint32_t numbered_key(unsigned long number)
{
    static const uint32_t keys[] = {
        [1] = KEY_HOME,      [2] = KEY_INSERT,  [3] = KEY_DELETE,  [4] = KEY_END,      [5] = KEY_PAGE_UP,
        [6] = KEY_PAGE_DOWN, [7] = KEY_HOME,    [8] = KEY_END,     [11] = KEY_F1,      [12] = KEY_F1 + 1,
        [13] = KEY_F1 + 2,   [14] = KEY_F1 + 3, [15] = KEY_F1 + 4, [17] = KEY_F1 + 5,  [18] = KEY_F1 + 6,
        [19] = KEY_F1 + 7,   [20] = KEY_F1 + 8, [21] = KEY_F1 + 9, [23] = KEY_F1 + 10, [24] = KEY_F12,
    };
    return number < sizeof keys / sizeof *keys ? keys[number] : KEY_NONE;
}

/* CSI A, SS3 A and the like. */
static uint32_t lettered_key(char letter)
{
    switch (letter) {
    case 'A':
        return KEY_UP;
    case 'B':
        return KEY_DOWN;
    case 'C':
        return KEY_RIGHT;
    case 'D':
        return KEY_LEFT;
    case 'H':
        return KEY_HOME;
    case 'F':
        return KEY_END;
    case 'M':
        return KEY_ENTER; /* SS3: of the keypad */
    default:
        return letter >= 'P' && letter <= 'S' ? (uint32_t)(KEY_F1 + (letter - 'P')) : KEY_NONE;
    }
}

/* A key as CSI number ; modifiers u, and what a letter is with a modifier. */
static uint32_t unicode_key(unsigned long number, uint32_t with)
{
    if (number < 1 || number > 0x10ffff)
        return KEY_NONE;
    if (number >= 0x20 && number != KEY_BACKSPACE)
        with &= ~(uint32_t)KEY_SHIFT;
    return (uint32_t)number | with;
}

/* size bytes behind ESC [; complete. */
static uint32_t control_sequence(struct keyboard *keyboard, const char *text, size_t size)
{
    char copy[MOST_SEQUENCE + 1];
    memcpy(copy, text, size);
    copy[size] = 0;
    char last = copy[size - 1], *end = copy;
    if (*copy < '0' && *copy != 'Z' && size > 1)
        return KEY_NONE;
    unsigned long first = strtoul(copy, &end, 10), second = 0;
    while (*end == ':' || (*end >= '0' && *end <= '9'))
        end++;
    if (*end == ';')
        second = strtoul(end + 1, &end, 10);
    if (last == '~' && first == 200) {
        keyboard->is_pasting = true;
        buffer_clear(&keyboard->paste);
        return KEY_NONE;
    }
    if (last == 'Z')
        return (uint32_t)KEY_SHIFT | KEY_TAB;
    if (last == 'u')
        return unicode_key(first, modifiers(second));
    uint32_t key = last == '~' ? numbered_key(first) : last == 'M' ? (uint32_t)KEY_NONE : lettered_key(last);
    return key == KEY_NONE ? key : key | modifiers(second);
}

static bool is_final(char c)
{
    return c >= 0x40 && c <= 0x7e;
}

/* A string that a terminal answers with (OSC, DCS, APC, PM, SOS): up to BEL or ESC \.  0: not whole yet. */
static size_t string_size(const char *text, size_t size)
{
    for (size_t i = 2; i < size; i++) {
        if (text[i] == '\a')
            return i + 1;
        if (text[i] == 0x1b && i + 1 < size)
            return text[i + 1] == '\\' ? i + 2 : i;
    }
    return 0;
}

/* What begins with ESC; returns the bytes taken, 0 where more may come. */
static size_t escape(struct keyboard *keyboard, const char *text, size_t size, bool is_over, uint32_t *key)
{
    *key = KEY_ESCAPE;
    if (size == 1)
        return is_over ? 1 : 0;
    if (text[1] == '[') {
        for (size_t i = 2; i < size && i < MOST_SEQUENCE; i++)
            if (is_final(text[i])) {
                *key = control_sequence(keyboard, text + 2, i - 1);
                return i + 1;
            } else if ((unsigned char)text[i] < 0x20 || (unsigned char)text[i] > 0x7e) {
                *key = KEY_NONE; /* broken off */
                return i;
            }
        *key = size == 2 ? KEY_WITH_ALT('[') : (uint32_t)KEY_NONE;
        return size >= MOST_SEQUENCE ? MOST_SEQUENCE : is_over ? size : 0;
    }
    if (text[1] == 'O') {
        *key = size > 2 ? lettered_key(text[2]) : KEY_WITH_ALT('O');
        return size > 2 ? 3 : is_over ? 2 : 0;
    }
    if (strchr("]P_^X", text[1]) && size > 2) {
        size_t taken = string_size(text, size);
        *key = KEY_NONE;
        return taken ? taken : is_over ? size : 0;
    }
    if (text[1] == 0x1b)
        return 1;
    uint32_t code = 0;
    int length = utf8_decode(text + 1, size - 1, &code);
    if (length == 0 && !is_over)
        return 0;
    if (strchr("]P_^X", text[1]) && !is_over)
        return 0;
    if (length <= 0)
        return 1;
    *key = code < 0x20 && code != KEY_TAB && code != KEY_ENTER ? KEY_WITH_ALT(KEY_WITH_CTRL(code | 0x60))
                                                               : KEY_WITH_ALT(code);
    return 1 + (size_t)length;
}

/* ---- pastes ---- */

static void append_pasted(struct keyboard *keyboard, const char *text, size_t size)
{
    struct buffer *paste = &keyboard->paste;
    for (size_t i = 0; i < size && paste->size < KEYBOARD_PASTE_LIMIT; i++) {
        if (text[i] == '\r' && i + 1 < size && text[i + 1] == '\n')
            continue;
        buffer_append_byte(paste, text[i] == '\r' ? '\n' : text[i]);
    }
}

/* True once the paste has ended. */
static bool take_paste(struct keyboard *keyboard)
{
    static const char end[] = "\x1b[201~";
    enum { END = sizeof end - 1 };
    struct buffer *pending = &keyboard->pending;
    const char *found = pending->size ? memmem(pending->data, pending->size, end, END) : NULL;
    if (found) {
        size_t size = (size_t)(found - pending->data);
        append_pasted(keyboard, pending->data, size);
        buffer_remove_front(pending, size + END);
        keyboard->is_pasting = false;
        return true;
    }
    /* The end may have come in part, and so may CR LF. */
    size_t ready = pending->size > END ? pending->size - END : 0;
    while (ready > 0 && pending->data[ready - 1] == '\r')
        ready--;
    if (ready) {
        append_pasted(keyboard, pending->data, ready);
        buffer_remove_front(pending, ready);
    }
    return false;
}

/* ---- keys ---- */

static size_t take_character(const char *text, size_t size, bool is_over, uint32_t *key)
{
    uint32_t code = 0;
    int length = utf8_decode(text, size, &code);
    if (length == 0 && !is_over)
        return 0;
    *key = KEY_NONE;
    if (length <= 0)
        return length < 0 ? (size_t)-length : size;
    if (code >= 0x20 || code == KEY_TAB || code == KEY_ENTER)
        *key = code;
    else if (code == 0x08)
        *key = KEY_BACKSPACE;
    else
        *key = code >= 1 && code <= 26 ? KEY_WITH_CTRL(code | 0x60) : KEY_WITH_CTRL(code | 0x40);
    return (size_t)length;
}

bool keyboard_next(struct keyboard *keyboard, bool is_over, uint32_t *key)
{
    struct buffer *pending = &keyboard->pending;
    while (pending->size) {
        if (keyboard->is_pasting) {
            if (!take_paste(keyboard))
                return false;
            *key = KEY_PASTE;
            return true;
        }
        size_t taken = pending->data[0] == 0x1b ? escape(keyboard, pending->data, pending->size, is_over, key)
                                                : take_character(pending->data, pending->size, is_over, key);
        if (taken == 0)
            return false;
        buffer_remove_front(pending, taken);
        if (*key != KEY_NONE)
            return true;
    }
    return false;
}

void key_append_name(struct buffer *out, uint32_t key)
{
    static const struct {
        uint32_t key;
        const char *name;
    } names[] = {{KEY_TAB, "Tab"},    {KEY_ENTER, "Enter"}, {KEY_ESCAPE, "Esc"},   {KEY_BACKSPACE, "Bksp"},
                 {KEY_UP, "Up"},      {KEY_DOWN, "Down"},   {KEY_RIGHT, "Right"},  {KEY_LEFT, "Left"},
                 {KEY_HOME, "Home"},  {KEY_END, "End"},     {KEY_PAGE_UP, "PgUp"}, {KEY_PAGE_DOWN, "PgDn"},
                 {KEY_INSERT, "Ins"}, {KEY_DELETE, "Del"},  {' ', "Space"}};
    if (key & KEY_CTRL)
        buffer_append_text(out, "Ctrl-");
    if (key & KEY_ALT)
        buffer_append_text(out, "Alt-");
    if (key & KEY_SHIFT)
        buffer_append_text(out, "Shift-");
    uint32_t plain = key & ~((uint32_t)KEY_CTRL | KEY_ALT | KEY_SHIFT);
    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        if (names[i].key == plain) {
            buffer_append_text(out, names[i].name);
            return;
        }
    if (plain >= KEY_F1 && plain <= KEY_F12)
        buffer_printf(out, "F%u", (unsigned)(plain - KEY_F1 + 1));
    else if (key & KEY_CTRL && plain >= 'a' && plain <= 'z')
        buffer_append_byte(out, (char)(plain - 'a' + 'A'));
    else
        buffer_append_code_point(out, plain);
}
