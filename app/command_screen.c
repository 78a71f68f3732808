/* command_screen: the terminal UI, which fathom opens without a command; where there is no terminal for it, the chat by
 * lines. */
#include <langinfo.h>
#include <locale.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "app/command.h"
#include "app/screen_open.h"
#include "app/store.h"

static enum exit_status run_repl(const struct command_context *context)
{
    struct command_context other = *context;
    other.command = &command_repl;
    return command_repl.run(&other);
}

static int theme_of(const struct settings *settings)
{
    static const int themes[] = {[SETTING_THEME_AUTO] = -1,
                                 [SETTING_THEME_TERMINAL] = THEME_TERMINAL,
                                 [SETTING_THEME_DARK] = THEME_DARK,
                                 [SETTING_THEME_LIGHT] = THEME_LIGHT};
    return themes[settings->theme];
}

/* Says why there is no screen, where somebody sits at a terminal and didn't ask for lines. */
static bool has_screen(const struct command_context *context)
{
    const struct settings *settings = context->settings;
    const char *why = NULL;
    if (!context->in_is_terminal || !context->out->is_terminal || settings->json)
        return false;
    bool is_usable = terminal_is_usable(context->out->fd, &why);
    if (settings_is_given(settings, OPTION_PLAIN) && settings->plain)
        return false;
    if (!is_usable)
        command_notice(context, "%s: here is the chat by lines", why);
    return is_usable && !settings->plain;
}

static enum exit_status run(const struct command_context *context)
{
    struct error error = {0};
    struct buffer report = {0};
    int ended_by = 0;
    if (!has_screen(context))
        return run_repl(context);
    /* The "C" locale is nearly always one that nobody set. */
    if (strcmp(nl_langinfo(CODESET), "ANSI_X3.4-1968") == 0)
        setlocale(LC_CTYPE, "C.UTF-8");
    if (!context->settings->no_save && store_make_folder(&report, NULL) == STATUS_OK)
        buffer_append_text(&report, "/crash");
    struct terminal_options options = {.in = context->in,
                                       .out = context->out->fd,
                                       .is_colorless = !context->out->is_colored,
                                       .theme = theme_of(context->settings),
                                       .crash_report = report.size && !report.failed ? report.data : NULL};
    enum status status = screen_open(context, &options, &ended_by, &error);
    buffer_deinit(&report);
    if (status != STATUS_OK)
        return command_fail(context, &error, NULL);
    return ended_by ? EXIT_INTERRUPTED : EXIT_DONE;
}

const struct command command_screen = {
    .name = "screen",
    .synopsis = "[PATH]",
    .summary = "the terminal UI, which fathom opens without a command",
    .help =
        "Opens the terminal UI: the conversation, and an entry to ask in. ? or F1 shows the keys of where you are, "
        "from the table that handles them. fathom alone means the same.\n"
        "\n"
        "Enter sends; Alt-Enter begins a new line; Alt-E opens $VISUAL or $EDITOR; Esc stops an answer; Tab goes to "
        "the panes and back, and behind @ chooses a file for the question; Ctrl-O opens a file, in which i edits, "
        "s saves, d goes to a definition; Ctrl-W then v or s splits, z zooms, q closes; / searches; : and, in the "
        "entry, / begin a command, which Tab completes; Alt-X lists them; Ctrl-Z suspends; Ctrl-C twice leaves.\n"
        "\n"
        "Whatever a model or a paste holds, control characters are drawn as marks and never reach the terminal. "
        "Conversations are kept as they go; --resume goes on with the latest. Where TERM names a terminal without "
        "cursor addressing, stdin or stdout is no terminal, or with --plain, it is the chat by lines (fathom help "
        "repl).",
    .n_arguments_max = 1,
    .completes = "file",
    .run = run,
};
