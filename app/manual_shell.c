/* manual_shell: completions for bash, zsh and fish.
 *
 * The scripts hold commands, options and fixed words; names of models and configuration keys are asked of the program while
 * completing, quietly. */
#include <string.h>

#include "app/manual.h"

/* ---- words of the tables ---- */

static void append_word(struct buffer *out, const char *format, const char *word)
{
    if (out->size)
        buffer_append_byte(out, ' ');
    buffer_printf(out, format, word);
}

static void append_names(struct buffer *out, enum option_id id)
{
    const struct option *option = option_row(id);
    append_word(out, "--%s", option->name);
    if (option->letter)
        buffer_printf(out, " -%c", option->letter);
}

static void command_words(struct buffer *out)
{
    for (size_t i = 0; command_at(i); i++)
        if (*command_at(i)->name != '-')
            append_word(out, "%s", command_at(i)->name);
}

static void key_words(struct buffer *out)
{
    for (int id = 0; id < OPTION_LIMIT; id++)
        if (option_row((enum option_id)id)->is_configurable)
            append_word(out, "%s", option_row((enum option_id)id)->name);
}

/* The words that a value can only be one of; false where there is no such list. */
static bool value_words(const struct option *option, struct buffer *out)
{
    for (const char *word = option->choices; word && *word; word += *word == '|') {
        size_t size = strcspn(word, "|");
        buffer_printf(out, "%s%.*s", out->size ? " " : "", (int)size, word);
        word += size;
    }
    if (option->completes && strcmp(option->completes, "template") == 0)
        for (size_t i = 0; chat_template_known_name(i); i++)
            append_word(out, "%s", chat_template_known_name(i));
    return out->size > 0;
}

static const char *const model_names = "fathom models 2>/dev/null | awk '{print ($1 == \"*\") ? $2 : $1}'";

/* ---- bash ---- */

/* A case of the word before: what its value may be. */
static void print_bash_value(struct output *out, enum option_id id)
{
    const struct option *option = option_row(id);
    struct buffer words = {0};
    if (!option->argument || option->kind == OPTION_OPTIONAL_TEXT)
        return;
    if (option->letter)
        output_printf(out, "        -%c|--%s) ", option->letter, option->name);
    else
        output_printf(out, "        --%s) ", option->name);
    if (value_words(option, &words)) {
        output_printf(out, "COMPREPLY=($(compgen -W '%s' -- \"$word\")) ;;\n", buffer_text(&words));
    } else if (option->completes && strcmp(option->completes, "model") == 0) {
        output_text(out,
                    "COMPREPLY=($(compgen -W \"$(_fathom_models)\" -- \"$word\") $(compgen -f -- \"$word\")) ;;\n");
    } else if (option->completes) {
        output_text(out, "COMPREPLY=($(compgen -f -- \"$word\")) ;;\n");
    } else {
        output_text(out, ";;\n");
    }
    buffer_deinit(&words);
}

static void print_bash_command(struct output *out, const struct command *command)
{
    struct buffer words = {0};
    if (*command->name == '-' || (!command->n_options && !command->completes))
        return;
    for (size_t i = 0; i < command->n_options; i++)
        append_names(&words, command->options[i]);
    output_printf(out, "        %s)\n            options+=' %s'\n", command->name, buffer_text(&words));
    const char *kind = command->completes ? command->completes : "";
    buffer_clear(&words);
    if (strcmp(kind, "model") == 0)
        output_text(out, "            words=$(_fathom_models); files=yes\n");
    else if (strcmp(kind, "file") == 0)
        output_text(out, "            files=yes\n");
    else if (strcmp(kind, "command") == 0)
        output_text(out, "            words=\"$commands options\"\n");
    else if (strcmp(kind, "key") == 0) {
        key_words(&words);
        output_printf(out, "            words='%s'\n", buffer_text(&words));
    }
    output_text(out, "            ;;\n");
    buffer_deinit(&words);
}

void manual_print_bash(struct output *out)
{
    struct buffer commands = {0}, options = {0}, prompt = {0};
    command_words(&commands);
    for (int id = 0; id < OPTION_LIMIT; id++)
        if (option_is_global((enum option_id)id))
            append_names(&options, (enum option_id)id);
    for (size_t i = 0; i < command_prompt.n_options; i++)
        append_names(&prompt, command_prompt.options[i]);
    output_text(out, "# bash completion for fathom, made by `fathom help --format bash`\n\n");
    output_printf(out, "_fathom_models() {\n    %s\n}\n\n", model_names);
    output_printf(out,
                  "_fathom() {\n"
                  "    local word=${COMP_WORDS[COMP_CWORD]} before=${COMP_WORDS[COMP_CWORD-1]} command= i\n"
                  "    local commands='%s'\n"
                  "    local options='%s' words= files=\n"
                  "    COMPREPLY=()\n"
                  "    for ((i = 1; i < COMP_CWORD; i++)); do\n"
                  "        case \" $commands \" in *\" ${COMP_WORDS[i]} \"*) command=${COMP_WORDS[i]}; break ;; esac\n"
                  "    done\n"
                  "    case $before in\n",
                  buffer_text(&commands), buffer_text(&options));
    for (int id = 0; id < OPTION_LIMIT; id++)
        print_bash_value(out, (enum option_id)id);
    output_printf(out,
                  "        *) before= ;;\n"
                  "    esac\n"
                  "    [[ -n $before ]] && return\n"
                  "    case $command in\n"
                  "        '') words=$commands files=yes options+=' %s' ;;\n",
                  buffer_text(&prompt));
    for (size_t i = 0; command_at(i); i++)
        print_bash_command(out, command_at(i));
    output_text(out, "    esac\n"
                     "    if [[ $word == -* ]]; then\n"
                     "        COMPREPLY=($(compgen -W \"$options\" -- \"$word\"))\n"
                     "    else\n"
                     "        COMPREPLY=($(compgen -W \"$words\" -- \"$word\"))\n"
                     "        [[ -n $files ]] && COMPREPLY+=($(compgen -f -- \"$word\"))\n"
                     "    fi\n"
                     "}\n\n"
                     "complete -o filenames -F _fathom fathom\n");
    buffer_deinit(&commands);
    buffer_deinit(&options);
    buffer_deinit(&prompt);
}

/* ---- zsh ---- */

/* Text inside single quotes of an _arguments specification. */
static void append_zsh(struct buffer *out, const char *text)
{
    for (; *text; text++) {
        if (*text == '\'')
            buffer_append_text(out, "'\\''");
        else if (*text == '[' || *text == ']' || *text == ':' || *text == '\\')
            buffer_printf(out, "\\%c", *text);
        else
            buffer_append_byte(out, *text);
    }
}

/* The first sentence is enough beside a list. */
static void append_zsh_summary(struct buffer *out, const char *help)
{
    struct buffer sentence = {0};
    const char *end = strstr(help, ". ");
    size_t size = end ? (size_t)(end - help) : strlen(help);
    if (size && help[size - 1] == '.')
        size--;
    buffer_append(&sentence, help, size);
    append_zsh(out, buffer_text(&sentence));
    buffer_deinit(&sentence);
}

static void append_zsh_action(struct buffer *out, const struct option *option)
{
    struct buffer words = {0};
    if (value_words(option, &words)) {
        buffer_printf(out, "(%s)", buffer_text(&words));
    } else if (option->completes && strcmp(option->completes, "model") == 0) {
        buffer_append_text(out, "_fathom_models");
    } else if (option->completes) {
        buffer_append_text(out, "_files");
    }
    buffer_deinit(&words);
}

static void print_zsh_option(struct output *out, enum option_id id)
{
    const struct option *option = option_row(id);
    for (int is_short = 0; is_short < (option->letter ? 2 : 1); is_short++) {
        struct buffer line = {0};
        const char *repeat = option->kind == OPTION_TEXTS ? "*" : "";
        if (is_short)
            buffer_printf(&line, "%s-%c%s[", repeat, option->letter, option->argument ? "+" : "");
        else
            buffer_printf(&line, "%s--%s%s[", repeat, option->name,
                          option->kind == OPTION_OPTIONAL_TEXT ? "=-"
                          : option->argument                   ? "="
                                                               : "");
        append_zsh_summary(&line, option->help);
        buffer_append_byte(&line, ']');
        if (option->argument) {
            buffer_append_text(&line, option->kind == OPTION_OPTIONAL_TEXT ? "::" : ":");
            append_zsh(&line, option->argument);
            buffer_append_byte(&line, ':');
            append_zsh_action(&line, option);
        }
        output_printf(out, "        '%s'\n", buffer_text(&line));
        buffer_deinit(&line);
    }
}

static const char *zsh_arguments(const struct command *command)
{
    static const struct manual_row kinds[] = {
        {"model", "_fathom_models"}, {"file", "_files"}, {"command", "_fathom_commands"}, {"key", "_fathom_keys"}};
    for (size_t i = 0; command->completes && i < sizeof kinds / sizeof *kinds; i++)
        if (strcmp(command->completes, kinds[i].name) == 0)
            return kinds[i].text;
    return NULL;
}

void manual_print_zsh(struct output *out)
{
    struct buffer keys = {0}, text = {0};
    key_words(&keys);
    output_printf(out,
                  "#compdef fathom\n"
                  "# zsh completion for fathom, made by `fathom help --format zsh`\n\n"
                  "_fathom_models() {\n"
                  "    local -a names\n"
                  "    names=(${(f)\"$(%s)\"})\n"
                  "    _alternative 'models:model:compadd -a names' 'files:file:_files'\n"
                  "}\n\n"
                  "_fathom_keys() {\n    compadd %s\n}\n\n"
                  "_fathom_commands() {\n    local -a commands\n    commands=(\n",
                  model_names, buffer_text(&keys));
    for (size_t i = 0; command_at(i); i++)
        if (*command_at(i)->name != '-') {
            buffer_clear(&text);
            append_zsh(&text, command_at(i)->summary);
            output_printf(out, "        '%s:%s'\n", command_at(i)->name, buffer_text(&text));
        }
    output_text(out,
                "    )\n    _describe command commands\n}\n\n"
                "_fathom() {\n    local -a common options\n    local context state line command word\n    common=(\n");
    for (int id = 0; id < OPTION_LIMIT; id++)
        if (option_is_global((enum option_id)id))
            print_zsh_option(out, (enum option_id)id);
    output_text(out, "    )\n    for word in ${words[2,CURRENT-1]}; do\n        case $word in\n");
    for (size_t i = 0; command_at(i); i++)
        if (*command_at(i)->name != '-')
            output_printf(out, "            %s) command=$word; break ;;\n", command_at(i)->name);
    output_text(out, "        esac\n    done\n    case $command in\n    '') options=('1:command:_fathom_commands'\n");
    for (size_t i = 0; i < command_prompt.n_options; i++)
        print_zsh_option(out, command_prompt.options[i]);
    output_text(out, "        ) ;;\n");
    for (size_t i = 0; command_at(i); i++) {
        const struct command *command = command_at(i);
        if (*command->name == '-')
            continue;
        output_printf(out, "    %s) options=('1:command:'\n", command->name);
        for (size_t k = 0; k < command->n_options; k++)
            print_zsh_option(out, command->options[k]);
        if (zsh_arguments(command))
            output_printf(out, "        '*:argument:%s'\n", zsh_arguments(command));
        output_text(out, "        ) ;;\n");
    }
    output_text(out, "    esac\n    _arguments -s $common $options\n}\n\n_fathom \"$@\"\n");
    buffer_deinit(&keys);
    buffer_deinit(&text);
}

/* ---- fish ---- */

static void append_fish(struct buffer *out, const char *text)
{
    for (; *text; text++) {
        if (*text == '\'' || *text == '\\')
            buffer_append_byte(out, '\\');
        buffer_append_byte(out, *text);
    }
}

static void print_fish_option(struct output *out, enum option_id id, const char *condition)
{
    const struct option *option = option_row(id);
    struct buffer line = {0}, words = {0};
    buffer_printf(&line, "complete -c fathom%s -l %s", condition, option->name);
    if (option->letter)
        buffer_printf(&line, " -s %c", option->letter);
    if (value_words(option, &words)) {
        buffer_printf(&line, " -x -a '%s'", buffer_text(&words));
    } else if (option->completes) {
        buffer_append_text(&line, strcmp(option->completes, "model") == 0 ? " -r -a '(__fathom_models)'" : " -r -F");
    } else if (option->argument && option->kind != OPTION_OPTIONAL_TEXT) {
        buffer_append_text(&line, " -x");
    }
    buffer_append_text(&line, " -d '");
    append_fish(&line, option->help);
    output_printf(out, "%s'\n", buffer_text(&line));
    buffer_deinit(&line);
    buffer_deinit(&words);
}

void manual_print_fish(struct output *out)
{
    struct buffer words = {0}, text = {0};
    command_words(&words);
    append_fish(&text, model_names);
    output_printf(out,
                  "# fish completion for fathom, made by `fathom help --format fish`\n\n"
                  "function __fathom_models\n    sh -c '%s'\nend\n\n"
                  "set -l commands %s\n",
                  buffer_text(&text), buffer_text(&words));
    for (size_t i = 0; command_at(i); i++) {
        const struct command *command = command_at(i);
        if (*command->name == '-')
            continue;
        buffer_clear(&text);
        append_fish(&text, command->summary);
        output_printf(out, "complete -c fathom -n \"not __fish_seen_subcommand_from $commands\" -a %s -d '%s'\n",
                      command->name, buffer_text(&text));
    }
    for (int id = 0; id < OPTION_LIMIT; id++)
        if (option_is_global((enum option_id)id))
            print_fish_option(out, (enum option_id)id, "");
    for (size_t i = 0; i < command_prompt.n_options; i++)
        print_fish_option(out, command_prompt.options[i], " -n \"not __fish_seen_subcommand_from $commands\"");
    for (size_t i = 0; command_at(i); i++) {
        const struct command *command = command_at(i);
        const char *kind = command->completes ? command->completes : "";
        buffer_clear(&words);
        buffer_printf(&words, " -n '__fish_seen_subcommand_from %s'", command->name);
        if (*command->name == '-')
            continue;
        for (size_t k = 0; k < command->n_options; k++)
            print_fish_option(out, command->options[k], buffer_text(&words));
        buffer_clear(&text);
        if (strcmp(kind, "command") == 0) {
            command_words(&text);
            output_printf(out, "complete -c fathom%s -f -a '%s options'\n", buffer_text(&words), buffer_text(&text));
        } else if (strcmp(kind, "key") == 0) {
            key_words(&text);
            output_printf(out, "complete -c fathom%s -f -a '%s'\n", buffer_text(&words), buffer_text(&text));
        } else if (strcmp(kind, "model") == 0) {
            output_printf(out, "complete -c fathom%s -a '(__fathom_models)'\n", buffer_text(&words));
        }
    }
    buffer_deinit(&words);
    buffer_deinit(&text);
}
