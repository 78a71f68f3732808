/* commit: see commit.h. */
#include "app/commit.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "repo/blame.h"
#include "repo/repo_head.h"
#include "ui/visible.h"

extern char **environ;

enum { OUTPUT_LIMIT = 1 << 20, PAUSE_MS = 50, MOST_BLAMED = 2000, KILL_MS = 3000 };

/* ---- the message ---- */

static bool write_all(int fd, const char *bytes, size_t size)
{
    while (size) {
        ssize_t n = write(fd, bytes, size);
        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0)
            return false;
        bytes += n;
        size -= (size_t)n;
    }
    return true;
}

/* "fixup! SUBJECT", which git rebase --autosquash knows; git's own --fixup doesn't go with -F. */
static enum status make_message(struct repo *repo, const struct commit_request *request, struct buffer *out,
                                struct error *error)
{
    enum status status = STATUS_OK;
    if (request->fixup) {
        buffer_append_text(out, "fixup! ");
        status = repo_commit_subject(repo, request->fixup, out, error);
        buffer_append_text(out, "\n\n");
    }
    buffer_append(out, request->message.data, request->message.size);
    if (!status)
        status = buffer_status(out, error);
    size_t blank = 0;
    while (!status && blank < out->size && strchr(" \t\r\n", out->data[blank]))
        blank++;
    if (!status && blank == out->size)
        return error_set(error, STATUS_ARGUMENT, "the commit has no message");
    if (!status && memchr(out->data, 0, out->size))
        return error_set(error, STATUS_ARGUMENT, "the message has a NUL byte");
    return status;
}

static enum status write_message(struct repo *repo, const struct buffer *message, struct commit_result *result,
                                 struct error *error)
{
    char fresh[sizeof result->message_path + 8];
    int n = snprintf(result->message_path, sizeof result->message_path, "%s/FATHOM_EDITMSG", repo_git_folder(repo));
    if (n < 0 || (size_t)n >= sizeof result->message_path)
        return error_set(error, STATUS_RANGE, "the repository's path is too long");
    snprintf(fresh, sizeof fresh, "%s.new", result->message_path);
    (void)unlink(fresh);
    int fd = open(fresh, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
    bool ok = fd >= 0 && write_all(fd, message->data, message->size);
    int failed = errno;
    if (fd >= 0 && close(fd) != 0 && ok) {
        ok = false;
        failed = errno;
    }
    if (ok && rename(fresh, result->message_path) == 0)
        return STATUS_OK;
    if (ok)
        failed = errno;
    (void)unlink(fresh);
    error_set(error, STATUS_IO, "%.150s: %s", result->message_path, strerror(failed));
    result->message_path[0] = 0;
    return STATUS_IO;
}

/* ---- git ---- */

/* Whether git gets that variable: those that name another repository than the one that was opened, by its path alone, would
 * send the commit there. */
static bool is_handed_on(const struct commit_request *request, const char *variable)
{
    static const char *const elsewhere[] = {"GIT_DIR=", "GIT_WORK_TREE=", "GIT_COMMON_DIR="};
    for (size_t i = 0; i < sizeof elsewhere / sizeof *elsewhere; i++)
        if (strncmp(variable, elsewhere[i], strlen(elsewhere[i])) == 0)
            return false;
    return request->takes_index_file || strncmp(variable, "GIT_INDEX_FILE=", strlen("GIT_INDEX_FILE=")) != 0;
}

/* The variables are borrowed; NULL without memory. */
static char **make_environment(const struct commit_request *request)
{
    size_t n = 0, n_kept = 0;
    while (environ && environ[n])
        n++;
    char **kept = calloc(n + 1, sizeof *kept);
    for (size_t i = 0; kept && i < n; i++)
        if (is_handed_on(request, environ[i]))
            kept[n_kept++] = environ[i];
    return kept;
}

static void make_arguments(const struct commit_request *request, const char *message_path, char *arguments[12])
{
    size_t n = 0;
    /* posix_spawn takes char *const[], which it doesn't change. */
    arguments[n++] = (char *)"git";
    arguments[n++] = (char *)"commit";
    arguments[n++] = (char *)"-F";
    arguments[n++] = (char *)message_path;
    if (request->amend)
        arguments[n++] = (char *)"--amend";
    if (request->sign_off)
        arguments[n++] = (char *)"--signoff";
    if (request->no_verify)
        arguments[n++] = (char *)"--no-verify";
    if (request->edit)
        arguments[n++] = (char *)"--edit";
    if (request->allow_empty)
        arguments[n++] = (char *)"--allow-empty";
    arguments[n] = NULL;
}

static enum status spawn_git(struct repo *repo, const struct commit_request *request, const char *message_path,
                             int output_fd, pid_t *child, struct error *error)
{
    char *arguments[12];
    posix_spawn_file_actions_t actions;
    posix_spawnattr_t attributes;
    sigset_t signals;
    make_arguments(request, message_path, arguments);
    if (posix_spawn_file_actions_init(&actions) != 0)
        return error_set(error, STATUS_MEMORY, "out of memory");
    if (posix_spawnattr_init(&attributes) != 0) {
        posix_spawn_file_actions_destroy(&actions);
        return error_set(error, STATUS_MEMORY, "out of memory");
    }
    int failed = posix_spawn_file_actions_addchdir_np(&actions, repo_root(repo));
    if (!failed && !request->edit)
        failed = posix_spawn_file_actions_addopen(&actions, STDIN_FILENO, "/dev/null", O_RDONLY, 0);
    if (!failed && !request->edit)
        failed = posix_spawn_file_actions_adddup2(&actions, output_fd, STDOUT_FILENO);
    if (!failed && !request->edit)
        failed = posix_spawn_file_actions_adddup2(&actions, output_fd, STDERR_FILENO);
    /* What we ignore or hold back is ours; git and its hooks begin as from a shell. */
    sigemptyset(&signals);
    posix_spawnattr_setsigmask(&attributes, &signals);
    sigaddset(&signals, SIGPIPE);
    sigaddset(&signals, SIGINT);
    sigaddset(&signals, SIGQUIT);
    posix_spawnattr_setsigdefault(&attributes, &signals);
    posix_spawnattr_setflags(&attributes, POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF);
    char **environment = make_environment(request);
    if (!failed)
        failed = environment ? posix_spawnp(child, "git", &actions, &attributes, arguments, environment) : ENOMEM;
    free(environment);
    posix_spawnattr_destroy(&attributes);
    posix_spawn_file_actions_destroy(&actions);
    return failed ? error_set(error, STATUS_IO, "git can't be run: %s (a commit is git's own)", strerror(failed))
                  : STATUS_OK;
}

/* Takes what git and its children say, until git has ended: a hook may leave something running that keeps the pipe open. */
static enum status listen(pid_t child, int fd, const atomic_bool *cancel, struct buffer *said, int *outcome,
                          struct error *error)
{
    char piece[4096];
    uint64_t cancelled_ns = 0;
    bool is_open = true, has_ended = false, is_lost = false;
    while (!has_ended) {
        struct pollfd ready = {fd, POLLIN, 0};
        int n_ready = poll(&ready, is_open ? 1 : 0, PAUSE_MS);
        pid_t ended = waitpid(child, outcome, WNOHANG);
        is_lost = ended < 0 && errno != EINTR; /* somebody else has waited for it */
        has_ended = ended == child || is_lost;
        for (bool more = is_open && (n_ready > 0 || has_ended); more;) {
            ssize_t n = read(fd, piece, sizeof piece);
            more = n > 0 || (n < 0 && errno == EINTR);
            if (n > 0 && said->size < OUTPUT_LIMIT)
                buffer_append(said, piece, (size_t)n);
            is_open = n != 0;
        }
        if (!has_ended && cancel && atomic_load_explicit(cancel, memory_order_relaxed)) {
            uint64_t now = clock_now_ns();
            if (!cancelled_ns)
                kill(child, SIGTERM);
            else if (now - cancelled_ns > KILL_MS * (uint64_t)1000000)
                kill(child, SIGKILL);
            cancelled_ns = cancelled_ns ? cancelled_ns : now;
        }
    }
    if (cancelled_ns)
        return error_set(error, STATUS_CANCELLED, "interrupted");
    return is_lost ? error_set(error, STATUS_IO, "git has ended, and how can't be told (look at the log)") : STATUS_OK;
}

static enum status run_git(struct repo *repo, const struct commit_request *request, const atomic_bool *cancel,
                           struct commit_result *result, struct error *error)
{
    int ends[2], outcome = 0;
    pid_t child;
    struct buffer said = {0};
    struct sigaction usual = {.sa_handler = SIG_DFL}, before;
    if (pipe2(ends, O_CLOEXEC) != 0)
        return error_set(error, STATUS_IO, "git can't be run: %s", strerror(errno));
    fcntl(ends[0], F_SETFL, O_NONBLOCK);
    sigaction(SIGCHLD, &usual, &before); /* ignored, as we may have been started, it leaves no child to wait for */
    enum status status = spawn_git(repo, request, result->message_path, ends[1], &child, error);
    close(ends[1]);
    if (!status)
        status = listen(child, ends[0], cancel, &said, &outcome, error);
    sigaction(SIGCHLD, &before, NULL);
    close(ends[0]);
    visible_append(&result->output, buffer_text(&said), said.size, false);
    if (said.size >= OUTPUT_LIMIT)
        buffer_append_text(&result->output, "\n(more was said than is kept)\n");
    result->exit_status = WIFSIGNALED(outcome) ? 128 + WTERMSIG(outcome) : WEXITSTATUS(outcome);
    buffer_deinit(&said);
    return status;
}

enum status commit_run(struct repo *repo, const struct commit_request *request, const atomic_bool *cancel,
                       struct commit_result *result, struct error *error)
{
    struct buffer message = {0};
    memset(result, 0, sizeof *result);
    if (!repo_git_folder(repo) || repo_is_bare(repo))
        return error_set(error, STATUS_UNSUPPORTED, "%.150s has no worktree to commit from", repo_root(repo));
    enum status status = make_message(repo, request, &message, error);
    if (!status)
        status = write_message(repo, &message, result, error);
    buffer_deinit(&message);
    if (status)
        return status;
    status = run_git(repo, request, cancel, result, error);
    if (!status && result->exit_status == 0) {
        (void)unlink(result->message_path);
        result->message_path[0] = 0;
        repo_head_id(repo, result->id);
    }
    return status;
}

void commit_result_deinit(struct commit_result *result)
{
    buffer_deinit(&result->output);
}

/* ---- what a change mends ---- */

struct search {
    struct repo *repo;
    struct blame_line best;
    size_t n_blamed;
};

/* The youngest of the commits that lines first to last are from. */
static enum status look(struct search *search, const char *path, uint32_t first, uint32_t last, struct error *error)
{
    if (first == 0)
        first = 1;
    if (last < first || search->n_blamed >= MOST_BLAMED)
        return STATUS_OK;
    if (last - first >= MOST_BLAMED)
        last = first + MOST_BLAMED - 1;
    size_t n = last - first + (size_t)1;
    struct blame_line *lines = calloc(n, sizeof *lines);
    if (!lines)
        return error_set(error, STATUS_MEMORY, "out of memory");
    enum status status = blame_lines(search->repo, path, first, last, lines, error);
    for (size_t i = 0; !status && i < n; i++)
        if (*lines[i].id && (!*search->best.id || lines[i].time > search->best.time))
            search->best = lines[i];
    search->n_blamed += n;
    free(lines);
    return status;
}

/* Runs of changes in a hunk: their deleted lines, or where there are none, the lines beside them. */
static enum status look_at_hunk(struct search *search, const struct diff *diff, const struct diff_hunk *hunk,
                                struct error *error)
{
    const char *path = diff->files[hunk->file].old.path;
    uint32_t next = hunk->old_n ? hunk->old_start : hunk->old_start + 1; /* the old side's next line */
    enum status status = STATUS_OK;
    for (uint32_t i = 0; !status && i < hunk->n_lines;) {
        uint32_t first = next, n_added = 0;
        for (; i < hunk->n_lines && diff->lines[hunk->first_line + i].kind != DIFF_CONTEXT; i++) {
            bool is_added = diff->lines[hunk->first_line + i].kind == DIFF_ADD;
            n_added += is_added;
            next += !is_added;
        }
        if (next > first)
            status = look(search, path, first, next - 1, error);
        else if (n_added)
            status = look(search, path, first - 1, first, error);
        for (; i < hunk->n_lines && diff->lines[hunk->first_line + i].kind == DIFF_CONTEXT; i++)
            next++;
    }
    return status;
}

enum status commit_find_fixup(struct repo *repo, const struct diff *staged, char id[41], struct error *error)
{
    struct search search = {.repo = repo};
    enum status status = STATUS_OK;
    for (size_t i = 0; !status && i < staged->n_hunks; i++)
        if (*staged->files[staged->hunks[i].file].old.path)
            status = look_at_hunk(&search, staged, &staged->hunks[i], error);
    if (!status && !*search.best.id)
        status = error_set(error, STATUS_NOT_FOUND, "no commit has touched these lines before");
    memcpy(id, search.best.id, sizeof search.best.id);
    return status;
}
