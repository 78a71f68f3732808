/* options: the one table of options, and the settings they give.
 *
 * A row of the table serves the command line, the configuration file, --help, the man page and the completions.  A value's
 * way is always the same: its text is checked and stored in the field of struct settings that the row names, and
 * settings.sources remembers where it came from.  What has no text anywhere keeps the row's initial value. */
#ifndef FATHOM_APP_OPTIONS_H
#define FATHOM_APP_OPTIONS_H

#include "engine/base.h"

enum option_id {
    /* Hold everywhere. */
    OPTION_MODEL,
    OPTION_CONTEXT,
    OPTION_THREADS,
    OPTION_BACKEND,
    OPTION_CPU,
    OPTION_LORA,
    OPTION_KV,
    OPTION_SLICE,
    OPTION_DRAFT,
    OPTION_FORCE,
    OPTION_TEMP,
    OPTION_TOP_K,
    OPTION_TOP_P,
    OPTION_MIN_P,
    OPTION_REPEAT_PENALTY,
    OPTION_SEED,
    OPTION_MAX_TOKENS,
    OPTION_CHAT_TEMPLATE,
    OPTION_SYSTEM,
    OPTION_RESUME,
    OPTION_NO_SAVE,
    OPTION_STRICT,
    OPTION_SHIFT,
    OPTION_JSON,
    OPTION_QUIET,
    OPTION_COLOR,
    OPTION_PLAIN,
    OPTION_THEME,
    OPTION_IGNORE,
    OPTION_MAX_FILE,
    OPTION_BUDGET,
    OPTION_SOURCES,
    OPTION_FIM_FORM,
    OPTION_LISTEN,
    OPTION_API_KEY,
    OPTION_CORS,
    OPTION_SLOTS,
    OPTION_HELP,
    OPTION_VERSION,
    /* Of single commands. */
    OPTION_PROMPT,
    OPTION_SPECIAL,
    OPTION_DECODE_IDS,
    OPTION_TOKENS,
    OPTION_TOP,
    OPTION_FILE,
    OPTION_PREFILL,
    OPTION_DECODE,
    OPTION_DEPTH,
    OPTION_FULL,
    OPTION_REPEAT,
    OPTION_PEER,
    OPTION_COMPARE,
    OPTION_TOLERANCE,
    OPTION_KV_COST,
    OPTION_FORMAT,
    OPTION_CHECK,
    OPTION_LIST,
    OPTION_NULL,
    OPTION_RESULTS,
    OPTION_NEAR,
    OPTION_RANK,
    OPTION_NO_REFRESH,
    OPTION_MAP_TOKENS,
    OPTION_STDIN,
    OPTION_ALTERNATIVES,
    OPTION_DEADLINE,
    OPTION_CONTINUE_ONLY,
    OPTION_YES,
    OPTION_REVOKE,
    OPTION_WATCH,
    OPTION_REPO,
    OPTION_STAGED,
    OPTION_WORKTREE,
    OPTION_SARIF,
    OPTION_FAIL_ON,
    OPTION_DISMISS,
    OPTION_UNUSUAL,
    OPTION_ONLY,
    OPTION_LIMIT, /* number of rows */
};

enum option_kind {
    OPTION_FLAG,          /* bool */
    OPTION_INTEGER,       /* int64_t */
    OPTION_REAL,          /* double */
    OPTION_TEXT,          /* const char *; NULL where nobody gave one */
    OPTION_OPTIONAL_TEXT, /* const char *; "" for the option without a value */
    OPTION_TEXTS,         /* struct text_list; each use adds one */
    OPTION_CHOICE,        /* int: index of the word in choices */
    OPTION_NUMBERS,       /* struct number_list: non-negative integers parted by commas or white space */
};

enum option_section {
    SECTION_MODEL,
    SECTION_SAMPLING,
    SECTION_CHAT,
    SECTION_OUTPUT,
    SECTION_INDEX,
    SECTION_COMPLETION,
    SECTION_SERVER,
    SECTION_COMMAND,
    SECTION_LIMIT
};

struct option {
    const char *name;     /* the long one, without dashes; also the configuration key */
    char letter;          /* the short one, or 0 */
    bool is_configurable; /* may stand in the configuration file */
    enum option_kind kind;
    enum option_section section; /* SECTION_COMMAND: accepted where a command lists it; else everywhere */
    const char *argument;        /* what the value is called in help: "N"; NULL for a flag */
    const char *initial;         /* value where nobody gives one, as text; NULL: zero, NULL, empty */
    const char *initial_words;   /* said in help in place of initial: "the physical cores" */
    double minimum, maximum;     /* of integers and reals, both included */
    const char *choices;         /* words parted by '|' */
    const char *completes;       /* what shells offer for a text: "file", "model", "template", or NULL */
    size_t offset;               /* of the field in struct settings */
    const char *help;            /* sentences, wrapped where shown */
};

struct text_list {
    const char **items;
    size_t n;
};

struct number_list {
    int64_t *items;
    size_t n;
};

/* As the words of the rows' choices. */
enum setting_backend { BACKEND_AUTO, BACKEND_CPU, BACKEND_CUDA };
enum setting_kv { SETTING_KV_F16, SETTING_KV_Q8_0, SETTING_KV_Q4_0, SETTING_KV_F32 };
enum setting_draft { DRAFT_AUTO, DRAFT_OFF };
enum setting_color { COLOR_AUTO, COLOR_ALWAYS, COLOR_NEVER };
enum setting_theme { SETTING_THEME_AUTO, SETTING_THEME_TERMINAL, SETTING_THEME_DARK, SETTING_THEME_LIGHT };
enum setting_fim { FIM_FORM_AUTO, FIM_FORM_PLAIN, FIM_FORM_SEEDED };
enum setting_fail_on { FAIL_ON_NEVER, FAIL_ON_CRITICAL, FAIL_ON_HIGH, FAIL_ON_MEDIUM, FAIL_ON_LOW };
enum setting_only { REVIEW_ALL, REVIEW_ONLY_FINDINGS, REVIEW_ONLY_UNUSUAL };
enum setting_format { FORMAT_TEXT, FORMAT_MAN, FORMAT_BASH, FORMAT_ZSH, FORMAT_FISH };

enum setting_origin { ORIGIN_DEFAULT, ORIGIN_CONFIG, ORIGIN_ENVIRONMENT, ORIGIN_COMMAND_LINE };

struct setting_source {
    enum setting_origin origin;
    int line; /* of the configuration file */
};

struct settings {
    struct arena arena; /* holds every text and list below */
    struct setting_source sources[OPTION_LIMIT];
    const char *config_path; /* where the configuration is looked for, NULL before config_load */
    bool config_exists;

    /* model */
    const char *model; /* as given; NULL: the embedded default */
    int64_t context;   /* 0: what fits */
    int64_t threads;   /* 0: the physical cores */
    int backend;       /* enum setting_backend */
    const char *cpu;   /* NULL: the best there is */
    struct text_list lora;
    int kv; /* enum setting_kv */
    int64_t slice;
    int draft; /* enum setting_draft */
    bool force;

    /* sampling */
    double temp; /* 0.7: a chat's.  Commands with another default ask settings_is_given(.., OPTION_TEMP) */
    int64_t top_k;
    double top_p, min_p, repeat_penalty;
    int64_t seed;       /* of use only where given; settings_seed */
    int64_t max_tokens; /* -1: no limit */

    /* chat */
    const char *chat_template; /* NULL: by the model file */
    const char *system;        /* NULL: the template's own */
    const char *resume;        /* NULL: start afresh; "": the latest; else a conversation's id */
    bool no_save;
    bool strict; /* refuse input larger than the context */
    bool shift;  /* what drops out of the context is taken out of the session */

    /* output */
    bool json, quiet, plain, help, version;
    int color; /* enum setting_color */
    int theme; /* enum setting_theme */

    /* index */
    const char *ignore; /* patterns parted by white space; NULL: none */
    int64_t max_file;   /* KiB */

    /* single commands */
    const char *prompt; /* -p: "-" takes it from stdin */
    bool special;
    const char *decode_ids; /* "-" takes them from stdin, so these stay text until the command runs */
    const char *tokens;
    int64_t top;
    const char *file;
    struct number_list prefill, decode, depth;
    bool full;
    int64_t repeat;
    const char *peer;    /* NULL: none; "": by $PYTHON, else python3 */
    const char *compare; /* a file */
    double tolerance;    /* percent */
    bool kv_cost;
    int format; /* enum setting_format */
    bool check;
    bool list, null;
    int64_t results;
    const char *near;
    int rank; /* enum search_rank */
    bool no_refresh;
    int64_t map_tokens;
    bool yes, revoke, watch;
    bool from_stdin;
    int64_t alternatives;
    double deadline;          /* milliseconds; 0: none */
    bool continue_only;       /* complete as a plain continuation */
    int64_t budget;           /* tokens of a completion's prompt */
    const char *sources_text; /* words parted by commas: place_sources */
    int fim_form;             /* enum setting_fim */
    const char *listen;       /* an address */
    const char *api_key;      /* NULL: none is asked for */
    struct text_list cors;    /* origins */
    int64_t slots;
    const char *repo; /* a folder; NULL: none */
    bool staged, worktree, sarif;
    int fail_on;         /* enum setting_fail_on */
    const char *dismiss; /* a finding's id */
    int64_t unusual;     /* lines */
    int only;            /* enum setting_only */
};

const struct option *option_row(enum option_id id);
const char *option_section_name(enum option_section section); /* "sampling" */
bool option_is_global(enum option_id id);                     /* holds everywhere */

/* The row of that name among the global ones and those listed; false where there is none. */
bool option_find(const char *name, size_t size, const enum option_id *listed, size_t n_listed, enum option_id *id);
bool option_find_letter(char letter, const enum option_id *listed, size_t n_listed, enum option_id *id);

/* The option's name as in a message: "-n" with "--max-tokens" gives "-n/--max-tokens". */
void option_describe(enum option_id id, struct buffer *out);

enum status settings_init(struct settings *settings, struct error *error); /* every row's initial value */
void settings_deinit(struct settings *settings);

/* Checks text and stores it.  text NULL is the bare flag (or bare optional).  STATUS_ARGUMENT names the option and says
 * what it takes.  Copies what it keeps. */
enum status settings_store(struct settings *settings, enum option_id id, const char *text, struct setting_source source,
                           struct error *error);

bool settings_is_given(const struct settings *settings, enum option_id id); /* by anybody, default aside */

/* The value as text that settings_store takes; texts as they are, lists parted by commas. */
void settings_print(const struct settings *settings, enum option_id id, struct buffer *out);

/* Parses numbers parted by commas or white space, each 0 .. maximum.  STATUS_ARGUMENT quotes what is wrong. */
enum status numbers_parse(const char *text, int64_t maximum, struct arena *arena, struct number_list *out,
                          struct error *error);

/* ---- the command line ---- */

struct command_line {
    const char *command;    /* the first word that is no option's value, or NULL */
    const char **arguments; /* the words after it, in the settings' arena */
    size_t n_arguments;
};

/* First reading: finds the command's word, knowing every option of the table; sets *index to its place in words, or to n
 * where there is none.  Never fails: what is wrong is found by the second reading. */
void command_line_find_word(const char *const *words, size_t n, size_t *index);

/* Second reading, with the options that the command (name may be NULL: none) lists.  word is the place found before and is
 * skipped.  STATUS_ARGUMENT names the option, and the nearest known one where it is unknown. */
enum status command_line_parse(const char *const *words, size_t n, size_t word, const char *name,
                               const enum option_id *listed, size_t n_listed, struct settings *settings,
                               struct command_line *out, struct error *error);

/* The distance of two words in single edits (insert, delete, replace, swap neighbours); 99 for long words. */
unsigned words_distance(const char *a, const char *b);
/* True where the distance is small enough to suggest one for the other. */
bool words_are_near(unsigned distance, const char *typed);

#endif
