/* repo_skip: which files are no use to a reader of code, by name and by content.
 *
 * Names are compared without regard to case.  Folders count as vendored by their own name alone, and only by names that
 * people don't give to their own code: "build", "target", "contrib", "deps" and "external" aren't among them (Linux has
 * tools/build and drivers/target; no folder and no file of Linux is left out as vendored). */
#include <string.h>
#include <strings.h>

#include "repo/repo_internal.h"

/* ---- names ---- */

static char lower(char c)
{
    return c >= 'A' && c <= 'Z' ? (char)(c + ('a' - 'A')) : c;
}

/* Words are in lower case.  Every file's name is held against all of them, so the first byte that differs ends it. */
static bool begins_with(const char *name, size_t size, const char *word)
{
    size_t i = 0;
    while (i < size && word[i] && lower(name[i]) == word[i])
        i++;
    return !word[i];
}

static bool ends_with(const char *name, size_t size, const char *word)
{
    size_t length = strlen(word);
    return size >= length && lower(name[size - 1]) == word[length - 1] &&
           begins_with(name + size - length, length, word);
}

static bool is_one_of(const char *name, size_t size, const char *const *words)
{
    for (; *words; words++)
        if (begins_with(name, size, *words) && strlen(*words) == size)
            return true;
    return false;
}

static bool ends_with_one_of(const char *name, size_t size, const char *const *words)
{
    for (; *words; words++)
        if (ends_with(name, size, *words))
            return true;
    return false;
}

bool repo_is_vendored_folder(const char *name, size_t size)
{
    // clang-format off
    static const char *const folders[] = {
        "node_modules", "bower_components", "jspm_packages", "vendor", "_vendor", "vendored", "third_party",
        "third-party", "thirdparty", "3rdparty", "3rd-party", "pods", "carthage", "elm-stuff", ".yarn", ".pnp",
        "site-packages", ".venv", "venv", ".tox", ".nox", "__pycache__", ".terraform", ".gradle", "godeps",
        ".bundle", ".eggs", "_esy", NULL};
    // clang-format on
    return is_one_of(name, size, folders);
}

/* An example of a secret is none: ".env.example". */
static bool is_example(const char *name, size_t size)
{
    // clang-format off
    static const char *const endings[] = {
        ".example", ".sample", ".template", ".dist", ".tpl", ".tmpl", "-example", "-sample", ".defaults", ".default",
        ".schema", ".md", "example.env", "sample.env", "template.env", NULL};
    // clang-format on
    return ends_with_one_of(name, size, endings);
}

static bool is_secret(const char *path, size_t path_size, const char *name, size_t size)
{
    // clang-format off
    static const char *const names[] = {
        ".netrc", "_netrc", ".pgpass", ".npmrc", ".\x70ypirc", ".htpasswd", ".git-credentials", ".dockercfg",
        ".dockerconfigjson", ".boto", ".s3cfg", "kubeconfig", ".vault_pass", "vault_pass.txt", ".vault-token",
        "secrets.yml", "secrets.yaml", "secrets.json", "secrets.toml", "secrets.env", "credentials.json",
        "credentials.yml", "credentials.yaml", "service-account.json", "service_account.json", "client_secret.json",
        "client_secrets.json", "wallet.dat", ".my.cnf", ".envrc", "id_rsa", "id_dsa", "id_ecdsa", "id_ed25519",
        "id_ecdsa_sk", "id_ed25519_sk", "terraform.tfstate", "terraform.tfstate.backup", NULL};
    static const char *const endings[] = {
        ".env", ".pem", ".key", ".p12", ".pfx", ".jks", ".keystore", ".kdbx", ".ppk", ".ovpn", ".tfstate", ".tfvars",
        ".p8", ".jceks", NULL};
    static const char *const paths[] = {
        ".aws/credentials", ".aws/config", ".kube/config", ".docker/config.json", ".config/gh/hosts.yml", NULL};
    // clang-format on
    if (is_example(name, size))
        return false;
    if (begins_with(name, size, ".env."))
        return true;
    if (is_one_of(name, size, names) || ends_with_one_of(name, size, endings))
        return true;
    for (const char *const *at = paths; *at; at++)
        if (ends_with(path, path_size, *at) && (path_size == strlen(*at) || path[path_size - strlen(*at) - 1] == '/'))
            return true;
    return false;
}

enum repo_skip repo_skip_by_name(const char *path, size_t size)
{
    // clang-format off
    static const char *const generated[] = {
        "package-lock.json", "npm-shrinkwrap.json", "yarn.lock", "pnpm-lock.yaml", "bun.lock", "bun.lockb",
        "deno.lock", "cargo.lock", "poetry.lock", "uv.lock", "pdm.lock", "pipfile.lock", "composer.lock",
        "gemfile.lock", "go.sum", "go.work.sum", "mix.lock", "flake.lock", "podfile.lock", "package.resolved",
        "packages.lock.json", "gradle.lockfile", "pubspec.lock", "cartfile.resolved", ".terraform.lock.hcl", NULL};
    static const char *const generated_endings[] = {
        ".pb.go", "_pb2.py", "_pb2.pyi", "_pb2_grpc.py", ".pb.h", ".pb.cc", ".g.dart", ".freezed.dart",
        ".designer.cs", ".g.cs", ".js.map", ".mjs.map", ".cjs.map", ".css.map", NULL};
    static const char *const minified_endings[] = {
        ".min.js", ".min.mjs", ".min.cjs", ".min.css", "-min.js", "-min.css", NULL};
    // clang-format on
    const char *slash = size ? memrchr(path, '/', size) : NULL;
    const char *name = slash ? slash + 1 : path;
    size_t name_size = size - (size_t)(name - path);
    if (is_secret(path, size, name, name_size))
        return REPO_SKIP_SECRET;
    if (is_one_of(name, name_size, generated) || ends_with_one_of(name, name_size, generated_endings))
        return REPO_SKIP_GENERATED;
    return ends_with_one_of(name, name_size, minified_endings) ? REPO_SKIP_MINIFIED : REPO_KEEP;
}

void repo_judge(struct repo_file *file, const struct repo_facts *facts)
{
    const struct repo_marks *marks = facts->marks;
    /* What a trusted .fathomignore says with '!' is wanted by name, but not a secret. */
    bool is_wanted = facts->verdict == IGNORE_NO;
    enum repo_skip by_name;
    file->is_said_text = marks->is_text;
    file->is_said_original = marks->is_not_generated || is_wanted;
    if (S_ISLNK(facts->mode))
        file->skip = REPO_SKIP_LINK;
    else if (!S_ISREG(facts->mode))
        file->skip = REPO_SKIP_SPECIAL;
    else if ((by_name = repo_skip_by_name(file->path, file->path_size)) == REPO_SKIP_SECRET)
        file->skip = REPO_SKIP_SECRET;
    else if (facts->verdict == IGNORE_YES)
        file->skip = REPO_SKIP_IGNORED;
    else if (facts->size > facts->large)
        file->skip = REPO_SKIP_LARGE;
    else if (!is_wanted && (marks->is_vendored || (facts->is_below_vendored && !marks->is_not_vendored)))
        file->skip = REPO_SKIP_VENDORED;
    else if (marks->is_binary)
        file->skip = REPO_SKIP_BINARY;
    else if (!is_wanted && (marks->is_generated || (by_name == REPO_SKIP_GENERATED && !marks->is_not_generated)))
        file->skip = REPO_SKIP_GENERATED;
    else if (by_name == REPO_SKIP_MINIFIED && !file->is_said_original)
        file->skip = REPO_SKIP_MINIFIED;
}

/* ---- contents ---- */

static bool holds(struct slice text, const char *word)
{
    size_t length = strlen(word);
    for (size_t i = 0; i + length <= text.size; i++)
        if (strncasecmp(text.data + i, word, length) == 0)
            return true;
    return false;
}

/* A line that is a comment in some language, as far as its first characters tell. */
static bool is_comment(struct slice line, bool *is_open)
{
    static const char *const marks[] = {"//", "#",      "/*",  "*",  "--", ";",   "<!--",
                                        "%",  "\"\"\"", "'''", "(*", "{-", "rem "};
    size_t skip = 0;
    while (skip < line.size && strchr(" \t\r", line.data[skip]))
        skip++;
    line.data += skip;
    line.size -= skip;
    bool was_open = *is_open;
    if (begins_with(line.data, line.size, "/*") || begins_with(line.data, line.size, "<!--") ||
        begins_with(line.data, line.size, "\"\"\""))
        *is_open = true;
    if (*is_open && (holds(line, "*/") || holds(line, "-->") || (was_open && holds(line, "\"\"\""))))
        *is_open = false;
    /* A directive of the preprocessor is code, but one like it may stand above the comment that matters. */
    for (size_t i = 0; i < sizeof marks / sizeof *marks; i++)
        if (begins_with(line.data, line.size, marks[i]))
            return true;
    return was_open;
}

/* Whether the comments at its beginning say that a program wrote it.  "Generated" alone says too little: it also stands
 * in the programs that generate; so it is asked for with a warning not to edit, or in a form that tools agree on. */
static bool says_generated(const char *text, size_t size)
{
    enum { BYTES = 4096, LINES = 30 };
    bool is_open = false, is_made = false, is_warning = false;
    struct slice rest = {text, size < BYTES ? size : BYTES};
    for (int i = 0; i < LINES && rest.size; i++) {
        const char *end = memchr(rest.data, '\n', rest.size);
        struct slice line = {rest.data, end ? (size_t)(end - rest.data) : rest.size};
        rest.data += line.size + (end != NULL);
        rest.size -= line.size + (end != NULL);
        if (line.size == 0 || !is_comment(line, &is_open))
            continue;
        if (holds(line, "@generated") || holds(line, "<auto-generated") ||
            holds(line, "generated by the protocol buffer compiler"))
            return true;
        is_made = is_made || holds(line, "generated");
        is_warning = is_warning || holds(line, "not edit") || holds(line, "not modify") ||
                     holds(line, "not manually edit") || holds(line, "n't edit");
        if (is_made && is_warning)
            return true;
    }
    return false;
}

/* More than half of it stands in lines that nobody writes. */
static bool is_minified(const char *text, size_t size)
{
    enum { LONG = 2000 };
    size_t in_long = 0;
    for (const char *line = text, *end = text + size; line < end;) {
        const char *next = memchr(line, '\n', (size_t)(end - line));
        size_t length = (size_t)((next ? next : end) - line);
        in_long += length > LONG ? length : 0;
        line += length + 1;
    }
    return in_long > size / 2;
}

/* A file that begins as a private key in one of the textual forms. */
static bool is_private_key(const char *text, size_t size)
{
    struct slice head = {text, size < 256 ? size : 256};
    return begins_with(head.data, head.size, "-----begin ") && holds(head, "PRIVATE KEY");
}

enum repo_skip repo_skip_by_content(const char *text, size_t size, bool is_said_text, bool is_said_original)
{
    enum { GIT_LOOKS_AT = 8000 };
    if (size == 0)
        return REPO_KEEP;
    if (is_private_key(text, size))
        return REPO_SKIP_SECRET;
    bool has_mark = size >= 2 && (memcmp(text, "\xff\xfe", 2) == 0 || memcmp(text, "\xfe\xff", 2) == 0);
    if (!is_said_text && (has_mark || memchr(text, 0, size < GIT_LOOKS_AT ? size : GIT_LOOKS_AT)))
        return REPO_SKIP_BINARY;
    if (is_said_original)
        return REPO_KEEP;
    if (says_generated(text, size))
        return REPO_SKIP_GENERATED;
    return is_minified(text, size) ? REPO_SKIP_MINIFIED : REPO_KEEP;
}

enum repo_skip repo_skip_of_text(const char *path, size_t path_size, const char *text, size_t size)
{
    enum repo_skip by_name = repo_skip_by_name(path, path_size);
    return by_name ? by_name : repo_skip_by_content(text, size, false, false);
}
