/* project: see project.h. */
#include "app/project.h"

#include <errno.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include "app/assets.h"
#include "app/machine.h"
#include "app/models.h"
#include "app/trust.h"

enum status project_cache_folder(struct buffer *out, struct error *error)
{
    enum status status = xdg_folder("XDG_CACHE_HOME", ".cache", out, error);
    buffer_append_text(out, "/fathom");
    if (status == STATUS_OK)
        status = buffer_status(out, error);
    for (char *at = status == STATUS_OK ? out->data + 1 : NULL; at;) {
        at = strchr(at, '/');
        if (at)
            *at = 0;
        if (mkdir(out->data, 0700) != 0 && errno != EEXIST)
            status = error_set(error, STATUS_IO, "%s: %s", out->data, strerror(errno));
        if (at)
            *at++ = '/';
        if (status != STATUS_OK)
            break;
    }
    struct stat about;
    if (status == STATUS_OK && out->data && stat(out->data, &about) == 0 && about.st_uid == geteuid() &&
        (about.st_mode & 0777) != 0700)
        (void)chmod(out->data, 0700); /* what a file of another user does there will say so itself */
    return status;
}

/* Where grammars lie: build/lib beside a program in build/ or build/KIND/, PREFIX/lib/fathom beside PREFIX/bin. */
enum status project_open_languages(struct languages **out, struct error *error)
{
    static const char *const places[] = {"/lib", "/../lib/fathom", "/../lib"};
    enum { N_PLACES = sizeof places / sizeof *places };
    struct buffer folders[N_PLACES] = {0}, tags = {0};
    const char *grammar_folders[N_PLACES + 1] = {0}, *query_folders[2] = {0};
    char program[4096];
    ssize_t size = readlink("/proc/self/exe", program, sizeof program - 1);
    program[size > 0 ? size : 0] = 0;
    char *slash = strrchr(program, '/');
    if (slash)
        *slash = 0;
    for (int i = 0; i < N_PLACES; i++) {
        buffer_printf(&folders[i], "%s%s", program, places[i]);
        grammar_folders[i] = buffer_text(&folders[i]);
    }
    enum status status = asset_find("tags", &tags, error);
    query_folders[0] = buffer_text(&tags);
    if (status == STATUS_OK)
        status = languages_new(grammar_folders, query_folders, out, error);
    for (int i = 0; i < N_PLACES; i++)
        buffer_deinit(&folders[i]);
    buffer_deinit(&tags);
    return status;
}

enum status project_read_ignore(const struct settings *settings, struct repo *repo, struct buffer *out,
                                bool *is_untrusted, struct error *error)
{
    struct trust_file file;
    for (const char *at = settings->ignore ? settings->ignore : ""; *at; at++) {
        bool is_gap = strchr(" \t\r\n", *at) && (at == settings->ignore || at[-1] != '\\');
        buffer_append_byte(out, is_gap ? '\n' : *at);
    }
    if (out->size)
        buffer_append_byte(out, '\n');
    /* One that can't be read isn't in force, as one that isn't trusted; fathom trust says why. */
    enum status status = trust_read(repo, 0, &file, NULL);
    *is_untrusted = status == STATUS_OK ? file.is_there && !file.is_trusted : status != STATUS_MEMORY;
    if (status == STATUS_MEMORY)
        return error_set(error, status, "out of memory");
    if (status == STATUS_OK && file.is_trusted)
        buffer_append(out, buffer_text(&file.text), file.text.size);
    if (status == STATUS_OK)
        trust_file_deinit(&file);
    return buffer_status(out, error);
}

enum status project_open(const struct command_context *context, const char *path, struct project *project,
                         struct error *error)
{
    struct buffer folder = {0};
    *project = (struct project){.n_threads = (int)context->settings->threads,
                                .large = (uint64_t)context->settings->max_file << 10};
    if (project->n_threads < 1)
        project->n_threads = machine_processors();
    if (project->n_threads < 1)
        project->n_threads = 1;
    enum status status = repo_open(path ? path : ".", &project->repo, error);
    if (status == STATUS_OK)
        status = project_read_ignore(context->settings, project->repo, &project->ignore, &project->is_untrusted, error);
    if (status == STATUS_OK)
        status = project_open_languages(&project->languages, error);
    if (status == STATUS_OK)
        status = project_cache_folder(&folder, error);
    if (status == STATUS_OK)
        status = index_open(buffer_text(&folder), repo_root(project->repo), &project->index, error);
    buffer_deinit(&folder);
    if (status != STATUS_OK)
        project_close(project);
    return status;
}

void project_close(struct project *project)
{
    index_close(project->index);
    buffer_deinit(&project->ignore);
    if (project->languages)
        languages_free(project->languages);
    if (project->repo)
        repo_free(project->repo);
    *project = (struct project){0};
}

/* Indexes take at most a tenth of the free disk and 20 GB. */
static void prune(const struct project *project)
{
    const uint64_t most = UINT64_C(20000000000);
    struct buffer folder = {0};
    struct statvfs about;
    uint64_t n_removed;
    if (project_cache_folder(&folder, NULL) == STATUS_OK && statvfs(buffer_text(&folder), &about) == 0) {
        uint64_t tenth = (uint64_t)about.f_bavail * about.f_frsize / 10;
        (void)index_prune(buffer_text(&folder), tenth < most ? tenth : most, project->index, &n_removed, NULL);
    }
    buffer_deinit(&folder);
}

enum status project_refresh(const struct command_context *context, struct project *project, struct index_report *report,
                            struct error *error)
{
    struct index_report unused;
    struct index_options options = {.languages = project->languages,
                                    .n_threads = project->n_threads,
                                    .ignore = project->ignore.size ? project->ignore.data : NULL,
                                    .large = project->large,
                                    .cancel = context->cancel,
                                    .progress = progress_update,
                                    .context = context->progress};
    if (context->progress)
        context->progress->unit = "files";
    enum status status = index_refresh(project->index, project->repo, &options, report ? report : &unused, error);
    progress_end(context->progress);
    if (status == STATUS_OK && (report ? report : &unused)->n_changed)
        prune(project);
    return status;
}

enum status project_relative(const struct project *project, const char *path, struct buffer *out, struct error *error)
{
    char folder[PATH_MAX], resolved[PATH_MAX];
    const char *root = repo_root(project->repo), *slash = strrchr(path, '/'), *name = slash ? slash + 1 : path;
    size_t n_root = strlen(root), n_folder = slash ? (size_t)(slash - path) : 1;
    if (n_root == 1)
        n_root = 0; /* "/" itself */
    if (n_folder >= sizeof folder || !*name)
        return error_set(error, STATUS_ARGUMENT, "%s: names no file", path);
    memcpy(folder, slash ? path : ".", n_folder);
    if (slash && !n_folder)
        folder[n_folder++] = '/';
    folder[n_folder] = 0;
    if (!realpath(folder, resolved))
        return error_set(error, STATUS_ARGUMENT, "%s: %s", path, strerror(errno));
    if (strncmp(resolved, root, n_root) != 0 || (resolved[n_root] && resolved[n_root] != '/'))
        return error_set(error, STATUS_ARGUMENT, "%s: lies outside of %s", path, root);
    const char *below = resolved + n_root;
    while (*below == '/')
        below++;
    if (*below)
        buffer_printf(out, "%s/", below);
    buffer_append_text(out, name);
    return buffer_status(out, error);
}

enum status project_place(const struct project *project, const char *text, struct buffer *path,
                          struct index_place *place, struct error *error)
{
    const char *colon = strrchr(text, ':');
    struct buffer name = {0};
    char *end = NULL;
    unsigned long line = colon && colon[1] >= '0' && colon[1] <= '9' ? strtoul(colon + 1, &end, 10) : 0;
    bool has_line = end && *end == 0 && line <= UINT32_MAX;
    buffer_append(&name, text, has_line ? (size_t)(colon - text) : strlen(text));
    enum status status = buffer_status(&name, error);
    if (status == STATUS_OK)
        status = project_relative(project, buffer_text(&name), path, error);
    buffer_deinit(&name);
    *place = (struct index_place){buffer_text(path), has_line ? (uint32_t)line : 0};
    return status;
}
