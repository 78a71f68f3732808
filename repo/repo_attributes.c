/* repo_attributes: what .gitattributes says of files, asked of libgit2 only where it can matter. */
#include <fcntl.h>
#include <string.h>

#include "repo/repo_internal.h"

unsigned repo_rules_of(const char *text, size_t size)
{
    static const struct {
        const char *word;
        unsigned rules;
    } words[] = {
        {"[attr]", REPO_RULES_SKIP | REPO_RULES_CONVERT}, /* a macro: may set anything */
        {"linguist-", REPO_RULES_SKIP},
        {"binary", REPO_RULES_SKIP},
        {"-diff", REPO_RULES_SKIP},
        {"text", REPO_RULES_CONVERT},
        {"eol", REPO_RULES_CONVERT},
        {"crlf", REPO_RULES_CONVERT},
        {"filter", REPO_RULES_CONVERT},
        {"ident", REPO_RULES_CONVERT},
        {"working-tree-encoding", REPO_RULES_CONVERT},
    };
    unsigned rules = 0;
    for (size_t i = 0; size && i < sizeof words / sizeof *words; i++)
        if (memmem(text, size, words[i].word, strlen(words[i].word)))
            rules |= words[i].rules;
    /* "diff" alone says that it is text; "diff=cpp", which is common, says nothing of that. */
    for (const char *at = text, *end = text + size; size && (at = memmem(at, (size_t)(end - at), "diff", 4)); at += 4)
        if (at + 4 == end || strchr(" \t\r\n", at[4]))
            rules |= REPO_RULES_SKIP;
    return rules;
}

static unsigned rules_of_file(const char *path, struct buffer *scratch)
{
    struct stat about;
    buffer_clear(scratch);
    if (repo_read_small(AT_FDCWD, path, true, REPO_RULES_LIMIT, scratch))
        return repo_rules_of(buffer_text(scratch), scratch->size);
    return stat(path, &about) == 0 && !S_ISREG(about.st_mode) ? REPO_RULES_BLOCKED : 0;
}

void repo_user_file(const char *name, struct buffer *out)
{
    git_buf folders = {0};
    buffer_clear(out);
    /* Not git_config_find_xdg, which finds nothing where there is no configuration. */
    if (git_libgit2_opts(GIT_OPT_GET_SEARCH_PATH, GIT_CONFIG_LEVEL_XDG, &folders) == 0 && folders.size) {
        buffer_append(out, folders.ptr, strcspn(folders.ptr, ":"));
        buffer_append_byte(out, '/');
        buffer_append_text(out, name);
    }
    git_buf_dispose(&folders);
}

unsigned repo_rules_global(struct repo *repo)
{
    struct buffer path = {0}, text = {0};
    git_buf found = {0};
    git_config *config = NULL;
    unsigned rules = rules_of_file("/etc/gitattributes", &text);

    buffer_printf(&path, "%s/info/attributes", repo->common_folder);
    rules |= rules_of_file(buffer_text(&path), &text);
    if (git_repository_config_snapshot(&config, repo->git) == 0) {
        const char *word;
        /* Files are stored otherwise than they lie there even without attributes. */
        if (git_config_get_string(&word, config, "core.autocrlf") == 0 && strcasecmp(word, "false") != 0)
            rules |= REPO_RULES_CONVERT;
        if (git_config_get_path(&found, config, "core.attributesfile") == 0)
            rules |= rules_of_file(found.ptr, &text);
        git_buf_dispose(&found);
    }
    git_config_free(config);
    repo_user_file("attributes", &path);
    rules |= rules_of_file(buffer_text(&path), &text);
    buffer_deinit(&path);
    buffer_deinit(&text);
    return rules;
}

/* Set, or set to a value that means yes. */
static bool is_yes(const char *value)
{
    return git_attr_value(value) == GIT_ATTR_VALUE_TRUE ||
           (git_attr_value(value) == GIT_ATTR_VALUE_STRING && strcasecmp(value, "true") == 0);
}

static bool is_no(const char *value)
{
    return git_attr_value(value) == GIT_ATTR_VALUE_FALSE ||
           (git_attr_value(value) == GIT_ATTR_VALUE_STRING && strcasecmp(value, "false") == 0);
}

void repo_marks_of(struct repo *repo, const git_oid *commit, const char *path, struct repo_marks *out)
{
    enum { VENDORED, GENERATED, BINARY, DIFF, N };
    const char *names[N] = {"linguist-vendored", "linguist-generated", "binary", "diff"}, *values[N] = {NULL};
    git_attr_options options = {.version = GIT_ATTR_OPTIONS_VERSION};
    *out = (struct repo_marks){0};
    if (commit) {
        options.flags = GIT_ATTR_CHECK_INDEX_ONLY | GIT_ATTR_CHECK_INCLUDE_COMMIT;
        options.attr_commit_id = *commit;
    }
    if (git_attr_get_many_ext(values, repo->git, &options, path, N, names) != 0)
        return;
    out->is_vendored = is_yes(values[VENDORED]);
    out->is_not_vendored = is_no(values[VENDORED]);
    out->is_generated = is_yes(values[GENERATED]);
    out->is_not_generated = is_no(values[GENERATED]);
    out->is_binary =
        git_attr_value(values[BINARY]) == GIT_ATTR_VALUE_TRUE || git_attr_value(values[DIFF]) == GIT_ATTR_VALUE_FALSE;
    out->is_text = !out->is_binary && git_attr_value(values[DIFF]) == GIT_ATTR_VALUE_TRUE;
}
