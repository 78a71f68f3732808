/* command_line: the words of a command line against the table of options (declared in options.h).
 *
 *   --name VALUE  --name=VALUE  --flag  --flag=no  -n VALUE  -nVALUE  -qn VALUE  --
 *
 * Options and arguments may come in any order; after `--` every word is an argument. */
#include "app/options.h"

#include <stdio.h>
#include <string.h>

/* ---- near words ---- */

enum { MAX_WORD = 32, FAR = 99 };

unsigned words_distance(const char *a, const char *b)
{
    size_t n_a = strlen(a), n_b = strlen(b);
    if (n_a > MAX_WORD || n_b > MAX_WORD)
        return FAR;
    /* Optimal string alignment: row i holds the distances of a's first i letters to every prefix of b. */
    unsigned table[MAX_WORD + 1][MAX_WORD + 1];
    for (size_t i = 0; i <= n_a; i++)
        for (size_t j = 0; j <= n_b; j++) {
            if (i == 0 || j == 0) {
                table[i][j] = (unsigned)(i + j);
                continue;
            }
            unsigned best = table[i - 1][j - 1] + (a[i - 1] != b[j - 1]);
            if (table[i - 1][j] + 1 < best)
                best = table[i - 1][j] + 1;
            if (table[i][j - 1] + 1 < best)
                best = table[i][j - 1] + 1;
            if (i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1] && table[i - 2][j - 2] + 1 < best)
                best = table[i - 2][j - 2] + 1;
            table[i][j] = best;
        }
    return table[n_a][n_b];
}

bool words_are_near(unsigned distance, const char *typed)
{
    size_t size = strlen(typed);
    return distance <= (size <= 4 ? 1u : size <= 7 ? 2u : 3u);
}

/* ---- looking options up ---- */

/* What the parser walks over. */
struct reader {
    const char *const *words;
    size_t n, at;
    const char *command; /* for messages; NULL: none */
    const enum option_id *listed;
    size_t n_listed;
    struct settings *settings;
};

/* All rows of the table, for the first reading. */
static void list_all(enum option_id *all)
{
    for (int i = 0; i < OPTION_LIMIT; i++)
        all[i] = (enum option_id)i;
}

static bool takes_next_word(enum option_id id, const char *next)
{
    enum option_kind kind = option_row(id)->kind;
    if (kind == OPTION_FLAG || !next)
        return false;
    /* An optional value is told from an argument or a command by its first digit. */
    return kind != OPTION_OPTIONAL_TEXT || (*next >= '0' && *next <= '9');
}

static enum status unknown_option(const struct reader *reader, const char *name, size_t size, struct error *error)
{
    char typed[MAX_WORD * 2];
    snprintf(typed, sizeof typed, "%.*s", (int)(size < sizeof typed ? size : sizeof typed - 1), name);
    enum option_id id, all[OPTION_LIMIT];
    list_all(all);
    if (option_find(name, size, all, OPTION_LIMIT, &id)) {
        if (!reader->command)
            return error_set(error, STATUS_ARGUMENT, "--%s: it belongs to a command, and there is none (fathom help)",
                             typed);
        return error_set(error, STATUS_ARGUMENT, "--%s: not an option of %s (fathom help %s)", typed, reader->command,
                         reader->command);
    }
    unsigned best = FAR;
    const char *nearest = NULL;
    for (int i = 0; i < OPTION_LIMIT; i++) {
        const char *candidate = option_row((enum option_id)i)->name;
        if (!option_find(candidate, strlen(candidate), reader->listed, reader->n_listed, &id))
            continue;
        unsigned distance = words_distance(typed, candidate);
        if (distance < best) {
            best = distance;
            nearest = candidate;
        }
    }
    if (nearest && words_are_near(best, typed))
        return error_set(error, STATUS_ARGUMENT, "--%s: no such option (did you mean --%s?)", typed, nearest);
    return error_set(error, STATUS_ARGUMENT, "--%s: no such option (fathom help%s%s lists them)", typed,
                     reader->command ? " " : "", reader->command ? reader->command : "");
}

static enum status store(struct reader *reader, enum option_id id, const char *value, struct error *error)
{
    return settings_store(reader->settings, id, value, (struct setting_source){ORIGIN_COMMAND_LINE, 0}, error);
}

/* The word after the current one, taken as the option's value where it takes one. */
static enum status store_next(struct reader *reader, enum option_id id, struct error *error)
{
    const char *next = reader->at + 1 < reader->n ? reader->words[reader->at + 1] : NULL;
    if (takes_next_word(id, next)) {
        reader->at++;
        return store(reader, id, next, error);
    }
    enum option_kind kind = option_row(id)->kind;
    if (kind == OPTION_FLAG || kind == OPTION_OPTIONAL_TEXT)
        return store(reader, id, NULL, error);
    struct buffer name = {0};
    option_describe(id, &name);
    enum status status = error_set(error, STATUS_ARGUMENT, "%s: its value is missing (it takes %s)", buffer_text(&name),
                                   option_row(id)->argument);
    buffer_deinit(&name);
    return status;
}

static enum status read_long(struct reader *reader, const char *name, struct error *error)
{
    size_t size = strcspn(name, "=");
    enum option_id id;
    if (!option_find(name, size, reader->listed, reader->n_listed, &id))
        return unknown_option(reader, name, size, error);
    if (name[size] == '=')
        return store(reader, id, name + size + 1, error);
    return store_next(reader, id, error);
}

/* Letters behind one dash: flags, then at most one with a value, which is the word's rest or the next word. */
static enum status read_letters(struct reader *reader, const char *letters, struct error *error)
{
    for (; *letters; letters++) {
        enum option_id id;
        if (!option_find_letter(*letters, reader->listed, reader->n_listed, &id)) {
            enum option_id all[OPTION_LIMIT];
            list_all(all);
            if (option_find_letter(*letters, all, OPTION_LIMIT, &id) && reader->command)
                return error_set(error, STATUS_ARGUMENT, "-%c: not an option of %s (fathom help %s)", *letters,
                                 reader->command, reader->command);
            return error_set(error, STATUS_ARGUMENT, "-%c: no such option (fathom help lists them)", *letters);
        }
        enum option_kind kind = option_row(id)->kind;
        enum status status;
        if (kind == OPTION_FLAG)
            status = store(reader, id, NULL, error);
        else if (letters[1])
            return store(reader, id, letters + 1 + (letters[1] == '='), error);
        else
            return store_next(reader, id, error);
        if (status != STATUS_OK)
            return status;
    }
    return STATUS_OK;
}

/* ---- the two readings ---- */

static bool is_option(const char *word)
{
    return word[0] == '-' && word[1];
}

void command_line_find_word(const char *const *words, size_t n, size_t *index)
{
    enum option_id id, all[OPTION_LIMIT];
    list_all(all);
    for (size_t i = 0; i < n; i++) {
        const char *word = words[i], *next = i + 1 < n ? words[i + 1] : NULL;
        if (strcmp(word, "--") == 0 || !is_option(word)) {
            *index = strcmp(word, "--") == 0 ? n : i;
            return;
        }
        if (word[1] == '-') {
            if (!strchr(word, '=') && option_find(word + 2, strlen(word + 2), all, OPTION_LIMIT, &id))
                i += takes_next_word(id, next);
            continue;
        }
        for (const char *letter = word + 1; *letter; letter++)
            if (option_find_letter(*letter, all, OPTION_LIMIT, &id) && option_row(id)->kind != OPTION_FLAG) {
                i += !letter[1] && takes_next_word(id, next);
                break;
            }
    }
    *index = n;
}

enum status command_line_parse(const char *const *words, size_t n, size_t word, const char *name,
                               const enum option_id *listed, size_t n_listed, struct settings *settings,
                               struct command_line *out, struct error *error)
{
    struct reader reader = {words, n, 0, name, listed, n_listed, settings};
    *out = (struct command_line){name, arena_alloc(&settings->arena, (n + 1) * sizeof *out->arguments), 0};
    if (!out->arguments)
        return error_set(error, STATUS_MEMORY, "out of memory");
    bool only_arguments = false;
    for (; reader.at < n; reader.at++) {
        const char *at = words[reader.at];
        enum status status = STATUS_OK;
        if (reader.at == word)
            continue;
        if (only_arguments || !is_option(at))
            out->arguments[out->n_arguments++] = at;
        else if (strcmp(at, "--") == 0)
            only_arguments = true;
        else if (at[1] == '-')
            status = read_long(&reader, at + 2, error);
        else
            status = read_letters(&reader, at + 1, error);
        if (status != STATUS_OK)
            return status;
    }
    return STATUS_OK;
}
