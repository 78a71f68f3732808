/* index_words: words, parts of identifiers and keys (index_facts.h). */
#include <string.h>

#include "repo/index_facts.h"

enum { LOWER = 1, UPPER = 2, DIGIT = 4, JOINT = 8, HIGH = 16 };

static unsigned class_of(char byte)
{
    unsigned char c = (unsigned char)byte;
    return c >= 'a' && c <= 'z'   ? LOWER
           : c >= 'A' && c <= 'Z' ? UPPER
           : c >= '0' && c <= '9' ? DIGIT
           : c == '_' || c == '$' ? JOINT
           : c >= 0x80            ? HIGH
                                  : 0;
}

void facts_lower(char *out, const char *text, size_t size)
{
    for (size_t i = 0; i < size; i++)
        out[i] = text[i] >= 'A' && text[i] <= 'Z' ? (char)(text[i] | 0x20) : text[i];
}

size_t facts_name_key(char *out, char space, const char *name, size_t size)
{
    if (size > FACT_NAME_MAX)
        size = FACT_NAME_MAX;
    out[0] = space;
    facts_lower(out + 1, name, size);
    out[size + 1] = 0;
    if (!size || memcmp(out + 1, name, size) == 0)
        return size + 2;
    memcpy(out + size + 2, name, size);
    return 2 * size + 2;
}

bool facts_next_word(const char *text, size_t size, size_t *at, struct slice *word)
{
    enum { MAX_WORD = 64, MAX_NUMBER = 6 };
    size_t i = *at;
    while (i < size) {
        while (i < size && !class_of(text[i]))
            i++;
        size_t begin = i;
        while (i < size && class_of(text[i]))
            i++;
        size_t n = i - begin;
        if (n && n <= (class_of(text[begin]) == DIGIT ? MAX_NUMBER : MAX_WORD)) {
            *word = (struct slice){text + begin, n};
            *at = i;
            return true;
        }
    }
    *at = i;
    return false;
}

size_t facts_split(struct slice word, struct slice parts[FACT_PARTS_MAX])
{
    size_t n = 0, begin = 0;
    for (size_t i = 0; i < word.size; i++) {
        unsigned here = class_of(word.data[i]), next = i + 1 < word.size ? class_of(word.data[i + 1]) : JOINT;
        unsigned after = i + 2 < word.size ? class_of(word.data[i + 2]) : 0;
        if (here == JOINT) {
            begin = i + 1;
            continue;
        }
        bool is_end = next == JOINT || (next == UPPER && (here != UPPER || after == LOWER));
        if (!is_end)
            continue;
        size_t size = i + 1 - begin;
        if (size >= 2 && size < word.size && n < FACT_PARTS_MAX)
            parts[n++] = (struct slice){word.data + begin, size};
        begin = i + 1;
    }
    return n;
}

/* ---- imports ---- */

static struct slice after_last(struct slice text, char separator)
{
    for (size_t i = text.size; i; i--)
        if (text.data[i - 1] == separator)
            return (struct slice){text.data + i, text.size - i};
    return text;
}

static struct slice before_last(struct slice text, char separator)
{
    for (size_t i = text.size; i > 1; i--)
        if (text.data[i - 1] == separator)
            return (struct slice){text.data, i - 1};
    return text;
}

static void put_key(struct code_name *out, struct slice name)
{
    size_t size = name.size <= FACT_NAME_MAX ? name.size : FACT_NAME_MAX;
    out->bytes[0] = KEY_IMPORT;
    facts_lower(out->bytes + 1, name.data, size);
    out->size = size + 1;
    out->bytes[out->size] = 0;
}

bool facts_is_dotted(int language)
{
    static const char *const names[] = {"python", "java", "kotlin", "csharp", "rust", "lua"};
    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        if (strcmp(language_name(language), names[i]) == 0)
            return true;
    return false;
}

size_t facts_import_keys(int language, const char *target, size_t size, struct code_name out[2])
{
    struct slice text = {target, size};
    if (!facts_is_dotted(language)) {
        while (text.size && text.data[text.size - 1] == '/')
            text.size--;
        struct slice last = before_last(after_last(text, '/'), '.');
        put_key(&out[0], last);
        return last.size ? 1 : 0;
    }
    size_t n = 0;
    while (n < 2 && text.size) {
        struct slice last = after_last(after_last(text, '.'), ':');
        text.size -= last.size;
        while (text.size && strchr(".:", text.data[text.size - 1]))
            text.size--;
        if (last.size)
            put_key(&out[n++], last);
        else if (!text.size)
            break;
    }
    return n;
}

void facts_path_stem(const char *path, size_t size, struct code_name *out)
{
    static const char *const folders[] = {"__init__", "index", "mod", "lib", "main", "doc"};
    struct slice name = after_last((struct slice){path, size}, '/');
    struct slice stem = before_last(name, '.'), suffix = after_last(name, '.');
    bool is_folder = suffix.size == 2 && memcmp(suffix.data, "go", 2) == 0;
    for (size_t i = 0; i < sizeof folders / sizeof *folders && !is_folder; i++)
        is_folder = slice_equals(stem, folders[i]);
    if (is_folder && name.size < size) {
        struct slice folder = after_last((struct slice){path, size - name.size - 1}, '/');
        if (folder.size)
            stem = folder;
    }
    put_key(out, stem);
}
