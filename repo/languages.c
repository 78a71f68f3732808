/* languages: which language a text is in, and the grammars and tag queries, opened when first needed.
 *
 * A grammar is the function tree_sitter_NAME of a shared object: languages.so (many grammars in one),
 * libtree-sitter-NAME.so as Emacs names them, or parser/NAME.so as Neovim does, in the folders given, the first that
 * fits.  One of an ABI that the library doesn't read counts as missing.  Markdown and Lua have none
 * (markdown.c, lua.c). */
#include "repo/syntax_private.h"

#include <dlfcn.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

struct row {
    const char *name, *grammar;
    const char *queries;      /* the files of assets/tags, one after another, each followed by a space */
    const char *suffixes;     /* of names, each followed by a space */
    const char *files;        /* whole names */
    const char *interpreters; /* of a #! line */
    const char *other_names;
};

static const struct row TABLE[] = {
    {"c", "c", "c ", "c h ", "", "", ""},
    {"cpp", "cpp", "c cpp ", "cc cpp cxx hpp hh hxx ipp inl tcc tpp C H c++ h++ ", "", "", "c++ cplusplus "},
    {"cuda", "cpp", "c cpp ", "cu cuh ", "", "", ""},
    {"python", "python", "python ", "py pyi pyw ", "SConstruct SConscript wscript ",
     "python python2 python3 pypy pypy3 ", ""},
    {"javascript", "javascript", "ecma jsx javascript ", "js mjs cjs jsx ", "", "node nodejs ", ""},
    {"typescript", "typescript", "ecma typescript ", "ts mts cts ", "", "deno ts-node ", ""},
    {"tsx", "tsx", "ecma jsx typescript ", "tsx ", "", "", ""},
    {"go", "go", "go ", "go ", "", "", "golang "},
    {"rust", "rust", "rust ", "rs ", "", "", ""},
    {"java", "java", "java ", "java ", "", "", ""},
    {"csharp", "c_sharp", "csharp ", "cs ", "", "", "c# c_sharp "},
    {"ruby", "ruby", "ruby ", "rb rake gemspec ", "Rakefile Gemfile Vagrantfile Podfile ", "ruby jruby ", ""},
    {"php", "php", "php ", "php phtml ", "", "php ", ""},
    {"bash", "bash", "bash ", "sh bash ", ".bashrc .bash_profile .profile ", "sh bash dash ksh ash ", "shell "},
    {"lua", "", "", "lua ", "", "lua luajit ", ""},
    {"kotlin", "kotlin", "kotlin ", "kt kts ", "", "", ""},
    {"sql", "sql", "sql ", "sql ", "", "", ""},
    {"html", "html", "html ", "html htm xhtml ", "", "", ""},
    {"css", "css", "css ", "css ", "", "", ""},
    {"json", "json", "json ", "json ", "", "", ""},
    {"yaml", "yaml", "yaml ", "yaml yml ", ".clang-format .clang-tidy ", "", ""},
    {"toml", "toml", "toml ", "toml ", "Cargo.lock ", "", ""},
    {"markdown", "", "", "md markdown mkd ", "", "", ""},
    {"make", "make", "make ", "mk mak ", "Makefile makefile GNUmakefile Kbuild ", "make ", "makefile "},
};

/* A grammar's object of its own: what stands before and behind its name. */
static const char *const FORMS[][2] = {{"libtree-sitter-", ".so"}, {"", ".so"}, {"parser/", ".so"}};

enum { N_FORMS = sizeof FORMS / sizeof *FORMS };
enum { N_LANGUAGES = sizeof TABLE / sizeof *TABLE, MAX_FOLDERS = 16, LANGUAGE_C = 0, LANGUAGE_CPP = 1 };

struct languages {
    struct arena arena;
    pthread_mutex_t lock;
    const char *grammar_folders[MAX_FOLDERS], *query_folders[MAX_FOLDERS];
    size_t n_grammar_folders, n_query_folders;
    void *shared[MAX_FOLDERS]; /* a folder's languages.so */
    bool shared_tried[MAX_FOLDERS];
    void *own[N_LANGUAGES]; /* a grammar's object of its own */
    struct language loaded[N_LANGUAGES];
    bool tried[N_LANGUAGES];
    uint64_t versions[N_LANGUAGES];
    bool has_version[N_LANGUAGES];
};

const char *tag_kind_name(enum tag_kind kind)
{
    static const char *const names[TAG_N_KINDS] = {
        "function", "method", "class",    "struct",   "union", "enum",      "enumerator", "type", "interface",
        "module",   "macro",  "constant", "variable", "field", "prototype", "heading",    "key",  "target",
    };
    return kind >= 0 && kind < TAG_N_KINDS ? names[kind] : "";
}

static enum status copy_folders(struct languages *languages, const char *const *folders, const char **out, size_t *n)
{
    for (; folders && *folders && *n < MAX_FOLDERS; folders++)
        if (!(out[(*n)++] = arena_copy_text(&languages->arena, *folders, strlen(*folders))))
            return STATUS_MEMORY;
    return STATUS_OK;
}

enum status languages_new(const char *const *grammar_folders, const char *const *query_folders, struct languages **out,
                          struct error *error)
{
    syntax_memory_guard();
    struct languages *languages = calloc(1, sizeof *languages);
    if (!languages || pthread_mutex_init(&languages->lock, NULL) != 0) {
        free(languages);
        return error_set(error, STATUS_MEMORY, "no memory for languages");
    }
    if (copy_folders(languages, grammar_folders, languages->grammar_folders, &languages->n_grammar_folders) ||
        copy_folders(languages, query_folders, languages->query_folders, &languages->n_query_folders)) {
        languages_free(languages);
        return error_set(error, STATUS_MEMORY, "no memory for languages");
    }
    *out = languages;
    return STATUS_OK;
}

/* The shared objects stay in memory: a tree of another owner may still point into their tables, and C++ runtimes that
 * they brought register handlers that run at exit. */
void languages_free(struct languages *languages)
{
    if (!languages)
        return;
    for (int i = 0; i < N_LANGUAGES; i++) {
        tag_query_free(languages->loaded[i].tags);
        free(languages->loaded[i].colours);
    }
    pthread_mutex_destroy(&languages->lock);
    arena_deinit(&languages->arena);
    free(languages);
}

/* ---- loading ---- */

static const TSLanguage *grammar_in(void *object, const char *name)
{
    char symbol[64];
    void *found;
    const TSLanguage *(*make)(void);
    snprintf(symbol, sizeof symbol, "tree_sitter_%s", name);
    if (!object || !(found = dlsym(object, symbol)))
        return NULL;
    memcpy(&make, &found, sizeof make);
    const TSLanguage *grammar = make();
    uint32_t version = grammar ? ts_language_version(grammar) : 0;
    bool fits = version >= TREE_SITTER_MIN_COMPATIBLE_LANGUAGE_VERSION && version <= TREE_SITTER_LANGUAGE_VERSION;
    return fits ? grammar : NULL;
}

static void *open_object(const char *folder, const char *before, const char *name, const char *after)
{
    struct buffer path = {0};
    void *object = NULL;
    buffer_printf(&path, "%s/%s%s%s", folder, before, name, after);
    if (!path.failed && access(path.data, R_OK) == 0)
        object = dlopen(path.data, RTLD_LAZY | RTLD_LOCAL);
    buffer_deinit(&path);
    return object;
}

static void load_grammar(struct languages *languages, int index)
{
    const char *name = TABLE[index].grammar;
    struct language *language = &languages->loaded[index];
    for (size_t i = 0; i < languages->n_grammar_folders && !language->grammar; i++) {
        const char *folder = languages->grammar_folders[i];
        if (!languages->shared_tried[i])
            languages->shared[i] = open_object(folder, "languages", "", ".so");
        languages->shared_tried[i] = true;
        language->grammar = grammar_in(languages->shared[i], name);
        for (size_t k = 0; k < N_FORMS && !language->grammar; k++) {
            void *object = open_object(folder, FORMS[k][0], name, FORMS[k][1]);
            language->grammar = grammar_in(object, name);
            if (language->grammar)
                languages->own[index] = object;
            else if (object)
                dlclose(object);
        }
    }
}

static bool read_file(const char *path, struct buffer *out)
{
    char block[4096];
    size_t n;
    FILE *file = fopen(path, "rbe");
    if (!file)
        return false;
    while ((n = fread(block, 1, sizeof block, file)) > 0 && out->size < 1 << 20)
        buffer_append(out, block, n);
    bool is_read = !ferror(file) && !out->failed;
    fclose(file);
    return is_read;
}

/* The files one after another.  Where one is missing there is no query. */
static bool read_queries(const struct languages *languages, const char *names, struct buffer *text)
{
    while (*names) {
        size_t n = strcspn(names, " "), before = text->size;
        for (size_t i = 0; i < languages->n_query_folders && text->size == before; i++) {
            struct buffer path = {0};
            buffer_printf(&path, "%s/%.*s.scm", languages->query_folders[i], (int)n, names);
            if (!path.failed && !read_file(path.data, text))
                text->size = before;
            buffer_deinit(&path);
        }
        if (text->size == before)
            return false;
        names += n + (names[n] != 0);
    }
    return !text->failed && text->size;
}

/* A query that this grammar doesn't understand, as one of another version may not, is left out: the text is then split
 * by its syntax, but without definitions. */
static void load_query(struct languages *languages, int index)
{
    struct language *language = &languages->loaded[index];
    struct buffer text = {0};
    if (read_queries(languages, TABLE[index].queries, &text))
        tag_query_new(language->grammar, (struct slice){text.data, text.size}, &language->tags, NULL);
    buffer_deinit(&text);
}

bool languages_query_text(const struct languages *languages, int index, struct buffer *text)
{
    return read_queries(languages, TABLE[index].queries, text);
}

enum status languages_check(struct languages *languages, int index, struct error *error)
{
    struct buffer text = {0};
    struct tag_query *query = NULL;
    const struct language *language = languages_get(languages, index);
    enum status status = STATUS_OK;
    if (language->is_markdown || language->is_lua)
        return STATUS_OK;
    if (!language->grammar)
        status = error_set(error, STATUS_NOT_FOUND, "no grammar for %s", TABLE[index].name);
    else if (!read_queries(languages, TABLE[index].queries, &text))
        status = error_set(error, STATUS_NOT_FOUND, "no tag query for %s", TABLE[index].name);
    else
        status = tag_query_new(language->grammar, (struct slice){text.data, text.size}, &query, error);
    tag_query_free(query);
    buffer_deinit(&text);
    return status;
}

const struct language *languages_get(struct languages *languages, int index)
{
    pthread_mutex_lock(&languages->lock);
    struct language *language = &languages->loaded[index];
    if (!languages->tried[index]) {
        language->is_markdown = strcmp(TABLE[index].name, "markdown") == 0;
        language->is_lua = strcmp(TABLE[index].name, "lua") == 0;
        if (*TABLE[index].grammar)
            load_grammar(languages, index);
        if (language->grammar) {
            load_query(languages, index);
            language->is_c = index == LANGUAGE_C;
            language->is_cpp = strcmp(TABLE[index].grammar, "cpp") == 0;
            language->colours = highlight_table_new(language->grammar);
        }
        languages->tried[index] = true;
    }
    pthread_mutex_unlock(&languages->lock);
    return language;
}

/* ---- versions ---- */

static uint64_t mix(uint64_t hash, const void *bytes, size_t size)
{
    const unsigned char *at = bytes;
    for (size_t i = 0; i < size; i++)
        hash = (hash ^ at[i]) * 0x100000001b3u;
    return (hash ^ size) * 0x100000001b3u;
}

/* A grammar's file by its size and its first and last pages, which hold the id that the linker made of the content, the
 * place of every section, and where there is no id at least what changes with nearly every change. */
static uint64_t mix_object(uint64_t hash, const char *folder, const char *before, const char *name, const char *after)
{
    struct buffer path = {0};
    char page[4096];
    struct stat about;
    buffer_printf(&path, "%s/%s%s%s", folder, before, name, after);
    int fd = path.failed ? -1 : open(path.data, O_RDONLY | O_NONBLOCK | O_CLOEXEC);
    buffer_deinit(&path);
    if (fd < 0)
        return hash;
    if (fstat(fd, &about) == 0 && S_ISREG(about.st_mode)) {
        const off_t size = about.st_size, last = size > (off_t)sizeof page ? size - (off_t)sizeof page : 0;
        hash = mix(hash, &size, sizeof size);
        for (int i = 0; i < 2; i++) {
            ssize_t n = pread(fd, page, sizeof page, i ? last : 0);
            hash = mix(hash, page, n > 0 ? (size_t)n : 0);
        }
    }
    close(fd);
    return hash;
}

static uint64_t find_version(struct languages *languages, int index)
{
    const char *grammar = TABLE[index].grammar;
    struct buffer text = {0};
    const uint32_t ours = SYNTAX_VERSION;
    uint64_t hash = mix(0xcbf29ce484222325u, &ours, sizeof ours);
    for (size_t i = 0; *grammar && i < languages->n_grammar_folders; i++) {
        const char *folder = languages->grammar_folders[i];
        hash = mix_object(hash, folder, "languages", "", ".so");
        for (size_t k = 0; k < N_FORMS; k++)
            hash = mix_object(hash, folder, FORMS[k][0], grammar, FORMS[k][1]);
    }
    if (*grammar && read_queries(languages, TABLE[index].queries, &text))
        hash = mix(hash, buffer_text(&text), text.size);
    buffer_deinit(&text);
    return hash;
}

uint64_t languages_version(struct languages *languages, int index)
{
    if (index < 0 || index >= N_LANGUAGES)
        return SYNTAX_VERSION;
    pthread_mutex_lock(&languages->lock);
    if (!languages->has_version[index])
        languages->versions[index] = find_version(languages, index);
    languages->has_version[index] = true;
    uint64_t version = languages->versions[index];
    pthread_mutex_unlock(&languages->lock);
    return version;
}

/* ---- which language ---- */

/* Whether list, words that are each followed by a space, has this word. */
static bool has_word(const char *list, const char *word, size_t size)
{
    for (const char *at = list; size && *at;) {
        const char *end = strchr(at, ' ');
        if ((size_t)(end - at) == size && memcmp(at, word, size) == 0)
            return true;
        at = end + 1;
    }
    return false;
}

static int language_of_interpreter(const char *text, size_t size)
{
    const char *end = size ? memchr(text, '\n', size < 256 ? size : 256) : NULL;
    if (!end || size < 3 || text[0] != '#' || text[1] != '!')
        return -1;
    const char *at = text + 2;
    for (int word = 0; word < 4 && at < end; word++) {
        while (at < end && (*at == ' ' || *at == '\t'))
            at++;
        const char *begin = at;
        while (at < end && *at != ' ' && *at != '\t' && *at != '\r')
            at++;
        for (const char *slash = begin; slash < at; slash++)
            if (*slash == '/')
                begin = slash + 1;
        size_t n = (size_t)(at - begin);
        while (n > 1 && ((begin[n - 1] >= '0' && begin[n - 1] <= '9') || begin[n - 1] == '.'))
            n--; /* python3.11 */
        for (int i = 0; i < N_LANGUAGES; i++)
            if (has_word(TABLE[i].interpreters, begin, n))
                return i;
    }
    return -1;
}

/* A header that could be C's or C++'s. */
static bool is_cpp_header(const char *text, size_t size)
{
    static const char *const signs[] = {"\nclass ",     "\nnamespace ",       "\ntemplate <",
                                        "\ntemplate<",  "\nusing namespace ", "\npublic:\n",
                                        "\nprivate:\n", " public:\n",         "std::"};
    for (size_t i = 0; text && i < sizeof signs / sizeof *signs; i++)
        if (memmem(text, size, signs[i], strlen(signs[i])))
            return true;
    return false;
}

int language_of(const char *path, const char *text, size_t size)
{
    const char *slash = strrchr(path, '/'), *name = slash ? slash + 1 : path, *dot = strrchr(name, '.');
    for (int i = 0; i < N_LANGUAGES; i++) {
        bool is_it = has_word(TABLE[i].files, name, strlen(name));
        if (is_it || (dot && has_word(TABLE[i].suffixes, dot + 1, strlen(dot + 1))))
            return i == LANGUAGE_C && dot && strcmp(dot, ".h") == 0 && is_cpp_header(text, size) ? LANGUAGE_CPP : i;
    }
    if (strncmp(name, "Makefile.", 9) == 0)
        return language_by_name("make");
    return language_of_interpreter(text, size);
}

int languages_count(void)
{
    return N_LANGUAGES;
}

const char *language_name(int language)
{
    return language >= 0 && language < N_LANGUAGES ? TABLE[language].name : "";
}

int language_by_name(const char *name)
{
    for (int i = 0; i < N_LANGUAGES; i++)
        if (strcmp(name, TABLE[i].name) == 0)
            return i;
    for (int i = 0; i < N_LANGUAGES; i++)
        if (has_word(TABLE[i].other_names, name, strlen(name)) || has_word(TABLE[i].suffixes, name, strlen(name)))
            return i;
    return -1;
}
