/* options: see options.h.  The table, and how a value's text becomes a setting. */
#include "app/options.h"

#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Integers above this are not exact in a double, nor in other programs' JSON. */
#define MAX_EXACT 9007199254740991.0
#define MAX_COUNT 2147483647.0

#define FIELD(name) offsetof(struct settings, name)

static const struct option rows[OPTION_LIMIT] = {
    [OPTION_MODEL] = {.name = "model",
                      .letter = 'm',
                      .is_configurable = true,
                      .kind = OPTION_TEXT,
                      .section = SECTION_MODEL,
                      .argument = "MODEL",
                      .initial_words = "$FATHOM_MODEL, then the embedded default",
                      .completes = "model",
                      .offset = FIELD(model),
                      .help = "The model: a path, or the name of one that is here (fathom models)."},
    [OPTION_CONTEXT] = {.name = "context",
                        .letter = 'c',
                        .is_configurable = true,
                        .kind = OPTION_INTEGER,
                        .section = SECTION_MODEL,
                        .argument = "N",
                        .initial = "0",
                        .initial_words = "what fits in memory, up to 16384",
                        .maximum = 16777216,
                        .offset = FIELD(context),
                        .help = "Tokens of context."},
    [OPTION_THREADS] = {.name = "threads",
                        .letter = 't',
                        .is_configurable = true,
                        .kind = OPTION_INTEGER,
                        .section = SECTION_MODEL,
                        .argument = "N",
                        .initial = "0",
                        .initial_words = "the physical cores",
                        .maximum = 1024,
                        .offset = FIELD(threads),
                        .help = "Threads that compute."},
    [OPTION_BACKEND] = {.name = "backend",
                        .is_configurable = true,
                        .kind = OPTION_CHOICE,
                        .section = SECTION_MODEL,
                        .argument = "NAME",
                        .initial = "auto",
                        .choices = "auto|cpu|cuda",
                        .offset = FIELD(backend),
                        .help = "Where the model runs."},
    [OPTION_CPU] = {.name = "cpu",
                    .is_configurable = true,
                    .kind = OPTION_TEXT,
                    .section = SECTION_MODEL,
                    .argument = "NAME",
                    .initial_words = "the best that this CPU has",
                    .offset = FIELD(cpu),
                    .help = "Instruction set to keep to, to compare or to look for an error: scalar, avx2, avx512"},
    [OPTION_LORA] = {.name = "lora",
                     .is_configurable = true,
                     .kind = OPTION_TEXTS,
                     .section = SECTION_MODEL,
                     .argument = "FILE[:SCALE]",
                     .completes = "file",
                     .offset = FIELD(lora),
                     .help = "A LoRA adapter to add to the weights; may be given several times."},
    [OPTION_KV] = {.name = "kv",
                   .is_configurable = true,
                   .kind = OPTION_CHOICE,
                   .section = SECTION_MODEL,
                   .argument = "TYPE",
                   .initial = "f16",
                   .choices = "f16|q8_0|q4_0|f32",
                   .offset = FIELD(kv),
                   .help = "How the attention cache is stored: q8_0 takes half of the memory, q4_0 a quarter."},
    [OPTION_SLICE] = {.name = "slice",
                      .is_configurable = true,
                      .kind = OPTION_INTEGER,
                      .section = SECTION_MODEL,
                      .argument = "N",
                      .initial = "256",
                      .minimum = 1,
                      .maximum = 65536,
                      .offset = FIELD(slice),
                      .help = "Tokens of a prompt that are read between two looks at Ctrl-C."},
    [OPTION_DRAFT] = {.name = "draft",
                      .is_configurable = true,
                      .kind = OPTION_CHOICE,
                      .section = SECTION_MODEL,
                      .argument = "WHEN",
                      .initial = "auto",
                      .choices = "auto|off",
                      .offset = FIELD(draft),
                      .help = "Where an answer repeats text, evaluate what may follow in advance; auto means as far as "
                              "that saves time. The answer is the same either way."},
    [OPTION_FORCE] = {.name = "force",
                      .kind = OPTION_FLAG,
                      .section = SECTION_MODEL,
                      .initial = "no",
                      .offset = FIELD(force),
                      .help = "Load the model even where memory seems too small for it; quantize: replace OUT."},
    [OPTION_TEMP] = {.name = "temp",
                     .is_configurable = true,
                     .kind = OPTION_REAL,
                     .section = SECTION_SAMPLING,
                     .argument = "T",
                     .initial = "0.7",
                     .maximum = 100,
                     .offset = FIELD(temp),
                     .help = "Temperature; 0 always takes the most likely token."},
    [OPTION_TOP_K] = {.name = "top-k",
                      .is_configurable = true,
                      .kind = OPTION_INTEGER,
                      .section = SECTION_SAMPLING,
                      .argument = "N",
                      .initial = "40",
                      .maximum = MAX_COUNT,
                      .offset = FIELD(top_k),
                      .help = "Sample among the N most likely tokens; 0 is off."},
    [OPTION_TOP_P] = {.name = "top-p",
                      .is_configurable = true,
                      .kind = OPTION_REAL,
                      .section = SECTION_SAMPLING,
                      .argument = "P",
                      .initial = "0.95",
                      .maximum = 1,
                      .offset = FIELD(top_p),
                      .help = "Sample among the fewest tokens that together have probability P; 1 is off."},
    [OPTION_MIN_P] = {.name = "min-p",
                      .is_configurable = true,
                      .kind = OPTION_REAL,
                      .section = SECTION_SAMPLING,
                      .argument = "P",
                      .initial = "0.05",
                      .maximum = 1,
                      .offset = FIELD(min_p),
                      .help = "Leave out tokens less likely than P times the most likely one; 0 is off."},
    [OPTION_REPEAT_PENALTY] = {.name = "repeat-penalty",
                               .is_configurable = true,
                               .kind = OPTION_REAL,
                               .section = SECTION_SAMPLING,
                               .argument = "X",
                               .initial = "1",
                               .minimum = 0.01,
                               .maximum = 100,
                               .offset = FIELD(repeat_penalty),
                               .help = "Above 1 makes tokens of the answer less likely to come again; 1 is off."},
    [OPTION_SEED] = {.name = "seed",
                     .is_configurable = true,
                     .kind = OPTION_INTEGER,
                     .section = SECTION_SAMPLING,
                     .argument = "N",
                     .initial = "0",
                     .initial_words = "another one each time",
                     .maximum = MAX_EXACT,
                     .offset = FIELD(seed),
                     .help = "Where the random numbers begin: the same seed gives the same answer."},
    [OPTION_MAX_TOKENS] = {.name = "max-tokens",
                           .letter = 'n',
                           .is_configurable = true,
                           .kind = OPTION_INTEGER,
                           .section = SECTION_SAMPLING,
                           .argument = "N",
                           .initial = "-1",
                           .initial_words = "until the model ends",
                           .minimum = -1,
                           .maximum = MAX_COUNT,
                           .offset = FIELD(max_tokens),
                           .help = "Tokens of an answer at most; -1 sets no limit."},
    [OPTION_CHAT_TEMPLATE] = {.name = "chat-template",
                              .is_configurable = true,
                              .kind = OPTION_TEXT,
                              .section = SECTION_CHAT,
                              .argument = "NAME",
                              .initial_words = "the one in the model file",
                              .completes = "template",
                              .offset = FIELD(chat_template),
                              .help = "How messages are laid out for the model."},
    [OPTION_SYSTEM] = {.name = "system",
                       .is_configurable = true,
                       .kind = OPTION_TEXT,
                       .section = SECTION_CHAT,
                       .argument = "TEXT",
                       .initial_words = "the template's own",
                       .offset = FIELD(system),
                       .help = "What the model is told before the conversation."},
    [OPTION_RESUME] =
        {.name = "resume",
         .kind = OPTION_OPTIONAL_TEXT,
         .section = SECTION_CHAT,
         .argument = "ID",
         .offset = FIELD(resume),
         .help = "Go on with a saved conversation; without ID, with the latest. An ID begins with a digit; any "
                 "text can follow as --resume=ID."},
    [OPTION_NO_SAVE] = {.name = "no-save",
                        .is_configurable = true,
                        .kind = OPTION_FLAG,
                        .section = SECTION_CHAT,
                        .initial = "no",
                        .offset = FIELD(no_save),
                        .help = "Don't keep this conversation."},
    [OPTION_STRICT] = {.name = "strict",
                       .is_configurable = true,
                       .kind = OPTION_FLAG,
                       .section = SECTION_CHAT,
                       .initial = "no",
                       .offset = FIELD(strict),
                       .help = "Refuse input that is larger than the context instead of leaving parts out."},
    [OPTION_SHIFT] = {.name = "shift",
                      .is_configurable = true,
                      .kind = OPTION_FLAG,
                      .section = SECTION_CHAT,
                      .initial = "no",
                      .offset = FIELD(shift),
                      .help = "When the oldest turns drop out of a full context, go on at once with what was computed "
                              "of the rest instead of reading it anew. It still carries traces of what dropped out, so "
                              "answers are near those of a new reading, but not the same."},
    [OPTION_JSON] = {.name = "json",
                     .kind = OPTION_FLAG,
                     .section = SECTION_OUTPUT,
                     .initial = "no",
                     .offset = FIELD(json),
                     .help = "Print the result as one JSON object."},
    [OPTION_QUIET] = {.name = "quiet",
                      .letter = 'q',
                      .is_configurable = true,
                      .kind = OPTION_FLAG,
                      .section = SECTION_OUTPUT,
                      .initial = "no",
                      .offset = FIELD(quiet),
                      .help = "No progress and no notices on stderr; failures are still told."},
    [OPTION_COLOR] = {.name = "color",
                      .is_configurable = true,
                      .kind = OPTION_CHOICE,
                      .section = SECTION_OUTPUT,
                      .argument = "WHEN",
                      .initial = "auto",
                      .choices = "auto|always|never",
                      .offset = FIELD(color),
                      .help = "Colour; auto means on terminals, unless NO_COLOR is set."},
    [OPTION_PLAIN] = {.name = "plain",
                      .is_configurable = true,
                      .kind = OPTION_FLAG,
                      .section = SECTION_OUTPUT,
                      .initial = "no",
                      .offset = FIELD(plain),
                      .help =
                          "No cursor movement and no colour, lines are only ever added: for screen readers and dumb "
                          "terminals."},
    [OPTION_IGNORE] = {.name = "ignore",
                       .is_configurable = true,
                       .kind = OPTION_TEXT,
                       .section = SECTION_INDEX,
                       .argument = "PATTERNS",
                       .offset = FIELD(ignore),
                       .help = "Paths that are not to be indexed: patterns in .gitignore's syntax, parted by spaces. A "
                               "repository's .fathomignore says the same once it is trusted (fathom trust)."},
    [OPTION_MAX_FILE] = {.name = "max-file",
                         .is_configurable = true,
                         .kind = OPTION_INTEGER,
                         .section = SECTION_INDEX,
                         .argument = "KIB",
                         .initial = "1024",
                         .minimum = 1,
                         .maximum = 65536,
                         .offset = FIELD(max_file),
                         .help = "Larger files are not indexed."},
    [OPTION_BUDGET] = {.name = "budget",
                       .is_configurable = true,
                       .kind = OPTION_INTEGER,
                       .section = SECTION_COMPLETION,
                       .argument = "N",
                       .initial = "2048",
                       .minimum = 64,
                       .maximum = 1000000,
                       .offset = FIELD(budget),
                       .help = "Tokens at most before a completion: windows of the file, and pieces from elsewhere."},
    [OPTION_SOURCES] = {.name = "sources",
                        .is_configurable = true,
                        .kind = OPTION_TEXT,
                        .section = SECTION_COMPLETION,
                        .argument = "LIST",
                        .initial = "all",
                        .offset = FIELD(sources_text),
                        .help = "Where a completion's pieces come from: all, none, or some of definition, similar, "
                                "change and map, parted by commas."},
    [OPTION_FIM_FORM] = {.name = "fim-form",
                         .is_configurable = true,
                         .kind = OPTION_CHOICE,
                         .section = SECTION_COMPLETION,
                         .argument = "FORM",
                         .initial = "auto",
                         .choices = "auto|plain|seeded",
                         .offset = FIELD(fim_form),
                         .help =
                             "plain: the whole prefix before the suffix, as models are trained. seeded: the last "
                             "lines behind it, so that typing on re-reads a few tokens. auto: plain, until seeded is "
                             "measured to be as good."},
    [OPTION_LISTEN] = {.name = "listen",
                       .is_configurable = true,
                       .kind = OPTION_TEXT,
                       .section = SECTION_SERVER,
                       .argument = "ADDRESS",
                       .initial = "127.0.0.1:8012",
                       .offset = FIELD(listen),
                       .help = "Where to listen: HOST:PORT, or unix:PATH. Addresses that other machines reach need "
                               "--api-key."},
    [OPTION_API_KEY] = {.name = "api-key",
                        .is_configurable = true,
                        .kind = OPTION_TEXT,
                        .section = SECTION_SERVER,
                        .argument = "KEY",
                        .offset = FIELD(api_key),
                        .help = "What requests must bring (Authorization: Bearer KEY). Better kept in the "
                                "configuration: other users see command lines."},
    [OPTION_CORS] = {.name = "cors",
                     .is_configurable = true,
                     .kind = OPTION_TEXTS,
                     .section = SECTION_SERVER,
                     .argument = "ORIGIN",
                     .offset = FIELD(cors),
                     .help = "Pages of this origin (http://localhost:3000) may ask, too; * stands for all."},
    [OPTION_SLOTS] = {.name = "slots",
                      .is_configurable = true,
                      .kind = OPTION_INTEGER,
                      .section = SECTION_SERVER,
                      .argument = "N",
                      .initial = "4",
                      .minimum = 1,
                      .maximum = 64,
                      .offset = FIELD(slots),
                      .help = "Requests that are answered at once; others wait."},
    [OPTION_HELP] = {.name = "help",
                     .letter = 'h',
                     .kind = OPTION_FLAG,
                     .section = SECTION_OUTPUT,
                     .initial = "no",
                     .offset = FIELD(help),
                     .help = "Explain the command."},
    [OPTION_VERSION] = {.name = "version",
                        .kind = OPTION_FLAG,
                        .section = SECTION_OUTPUT,
                        .initial = "no",
                        .offset = FIELD(version),
                        .help = "Print the version."},
    [OPTION_PROMPT] = {.name = "prompt",
                       .letter = 'p',
                       .kind = OPTION_TEXT,
                       .section = SECTION_COMMAND,
                       .argument = "TEXT",
                       .offset = FIELD(prompt),
                       .help = "The question; - takes all of it from stdin."},
    [OPTION_SPECIAL] = {.name = "special",
                        .kind = OPTION_FLAG,
                        .section = SECTION_COMMAND,
                        .initial = "no",
                        .offset = FIELD(special),
                        .help = "Let text become control tokens, and show them when decoding."},
    [OPTION_DECODE_IDS] = {.name = "decode",
                           .kind = OPTION_TEXT,
                           .section = SECTION_COMMAND,
                           .argument = "IDS",
                           .offset = FIELD(decode_ids),
                           .help = "Turn ids, parted by commas or spaces, into their bytes; - takes them from stdin."},
    [OPTION_TOKENS] = {.name = "tokens",
                       .kind = OPTION_TEXT,
                       .section = SECTION_COMMAND,
                       .argument = "IDS",
                       .offset = FIELD(tokens),
                       .help = "The ids to evaluate, parted by commas or spaces; - takes them from stdin."},
    [OPTION_TOP] = {.name = "top",
                    .kind = OPTION_INTEGER,
                    .section = SECTION_COMMAND,
                    .argument = "N",
                    .initial = "10",
                    .minimum = 1,
                    .maximum = MAX_COUNT,
                    .offset = FIELD(top),
                    .help = "How many of the most likely next tokens to print."},
    [OPTION_FILE] = {.name = "file",
                     .letter = 'f',
                     .kind = OPTION_TEXT,
                     .section = SECTION_COMMAND,
                     .argument = "FILE",
                     .completes = "file",
                     .offset = FIELD(file),
                     .help = "The text; - is stdin."},
    [OPTION_PREFILL] = {.name = "prefill",
                        .kind = OPTION_NUMBERS,
                        .section = SECTION_COMMAND,
                        .argument = "N,...",
                        .initial = "16,128",
                        .minimum = 1,
                        .maximum = 1048576,
                        .offset = FIELD(prefill),
                        .help = "Lengths of prompts to time."},
    [OPTION_DECODE] = {.name = "decode",
                       .kind = OPTION_NUMBERS,
                       .section = SECTION_COMMAND,
                       .argument = "N,...",
                       .initial = "32",
                       .minimum = 1,
                       .maximum = 1048576,
                       .offset = FIELD(decode),
                       .help = "Numbers of tokens to generate, one at a time."},
    [OPTION_DEPTH] = {.name = "depth",
                      .kind = OPTION_NUMBERS,
                      .section = SECTION_COMMAND,
                      .argument = "N,...",
                      .initial = "0",
                      .maximum = 1048576,
                      .offset = FIELD(depth),
                      .help = "Tokens that stand in the context before the generated ones."},
    [OPTION_FULL] = {.name = "full",
                     .kind = OPTION_FLAG,
                     .section = SECTION_COMMAND,
                     .initial = "no",
                     .offset = FIELD(full),
                     .help = "A thorough look: --prefill 16,128,512,2048 --decode 64 --depth 0,4096,16384 where they "
                             "aren't given, as far as the model's context goes."},
    [OPTION_REPEAT] = {.name = "repeat",
                       .letter = 'r',
                       .kind = OPTION_INTEGER,
                       .section = SECTION_COMMAND,
                       .argument = "N",
                       .initial = "3",
                       .minimum = 1,
                       .maximum = 1000,
                       .offset = FIELD(repeat),
                       .help = "Times each measurement is made; the median counts."},
    [OPTION_PEER] = {.name = "peer",
                     .kind = OPTION_OPTIONAL_TEXT,
                     .section = SECTION_COMMAND,
                     .argument = "PYTHON",
                     .completes = "file",
                     .offset = FIELD(peer),
                     .help = "Measure llama.cpp in turn with fathom, by its package in that Python, as --peer=PYTHON; "
                             "without one, in $PYTHON or python3."},
    [OPTION_COMPARE] = {.name = "compare",
                        .kind = OPTION_TEXT,
                        .section = SECTION_COMMAND,
                        .argument = "OLD.json",
                        .completes = "file",
                        .offset = FIELD(compare),
                        .help = "Measure what that earlier --json did, and print old, new and their ratio; exit status "
                                "1 where something became slower."},
    [OPTION_TOLERANCE] = {.name = "tolerance",
                          .kind = OPTION_REAL,
                          .section = SECTION_COMMAND,
                          .argument = "PERCENT",
                          .initial = "10",
                          .maximum = 100,
                          .offset = FIELD(tolerance),
                          .help = "How much slower something may become."},
    [OPTION_KV_COST] = {.name = "kv-cost",
                        .kind = OPTION_FLAG,
                        .section = SECTION_COMMAND,
                        .initial = "no",
                        .offset = FIELD(kv_cost),
                        .help = "Measure the perplexity of a text (-f) with each type of attention cache instead."},
    [OPTION_FORMAT] = {.name = "format",
                       .kind = OPTION_CHOICE,
                       .section = SECTION_COMMAND,
                       .argument = "NAME",
                       .initial = "text",
                       .choices = "text|man|bash|zsh|fish",
                       .offset = FIELD(format),
                       .help = "text to read; man: the manual page; bash, zsh, fish: completion for that shell."},
    [OPTION_CHECK] = {.name = "check",
                      .kind = OPTION_FLAG,
                      .section = SECTION_COMMAND,
                      .initial = "no",
                      .offset = FIELD(check),
                      .help = "Read every weight too, and say which are not finite numbers; exit status 1 where there "
                              "are some."},
    [OPTION_LIST] = {.name = "list",
                     .kind = OPTION_FLAG,
                     .section = SECTION_COMMAND,
                     .initial = "no",
                     .offset = FIELD(list),
                     .help = "Print the indexed paths, one a line."},
    [OPTION_NULL] = {.name = "null",
                     .letter = 'z',
                     .kind = OPTION_FLAG,
                     .section = SECTION_COMMAND,
                     .initial = "no",
                     .offset = FIELD(null),
                     .help = "End each path with a NUL byte in place of a newline."},
    [OPTION_RESULTS] = {.name = "results",
                        .letter = 'k',
                        .kind = OPTION_INTEGER,
                        .section = SECTION_COMMAND,
                        .argument = "N",
                        .initial = "10",
                        .minimum = 1,
                        .maximum = 1000,
                        .offset = FIELD(results),
                        .help = "Results at most."},
    [OPTION_NEAR] = {.name = "near",
                     .kind = OPTION_TEXT,
                     .section = SECTION_COMMAND,
                     .argument = "FILE[:LINE]",
                     .completes = "file",
                     .offset = FIELD(near),
                     .help = "Rank for this place: what lies around it, imports and importers first."},
    [OPTION_RANK] = {.name = "rank",
                     .kind = OPTION_CHOICE,
                     .section = SECTION_COMMAND,
                     .argument = "HOW",
                     .initial = "all",
                     .choices = "all|flat|text|near",
                     .offset = FIELD(rank),
                     .help = "For measuring: near leaves out what was edited, flat the place, too, text ranks by BM25 "
                             "alone."},
    [OPTION_NO_REFRESH] = {.name = "no-refresh",
                           .kind = OPTION_FLAG,
                           .section = SECTION_COMMAND,
                           .initial = "no",
                           .offset = FIELD(no_refresh),
                           .help = "Answer from the index as it is, without looking for changes first."},
    [OPTION_MAP_TOKENS] = {.name = "tokens",
                           .kind = OPTION_INTEGER,
                           .section = SECTION_COMMAND,
                           .argument = "N",
                           .initial = "1024",
                           .minimum = 1,
                           .maximum = 1000000,
                           .offset = FIELD(map_tokens),
                           .help = "Tokens at most."},
    [OPTION_STDIN] = {.name = "stdin",
                      .kind = OPTION_FLAG,
                      .section = SECTION_COMMAND,
                      .initial = "no",
                      .offset = FIELD(from_stdin),
                      .help = "Read FILE's text from stdin; what lies there under its name isn't looked at."},
    [OPTION_ALTERNATIVES] = {.name = "alternatives",
                             .kind = OPTION_INTEGER,
                             .section = SECTION_COMMAND,
                             .argument = "N",
                             .initial = "0",
                             .maximum = 15,
                             .offset = FIELD(alternatives),
                             .help = "Other completions to give beside the best, at most."},
    [OPTION_DEADLINE] = {.name = "deadline",
                         .kind = OPTION_REAL,
                         .section = SECTION_COMMAND,
                         .argument = "MS",
                         .initial = "0",
                         .initial_words = "none",
                         .maximum = 3600000,
                         .offset = FIELD(deadline),
                         .help = "Milliseconds that a completion may take once the prompt is read."},
    [OPTION_CONTINUE_ONLY] = {.name = "continue-only",
                              .kind = OPTION_FLAG,
                              .section = SECTION_COMMAND,
                              .initial = "no",
                              .offset = FIELD(continue_only),
                              .help = "For measuring: go on from the text as it is, in one way, and take that."},
    [OPTION_REPO] = {.name = "repo",
                     .kind = OPTION_TEXT,
                     .section = SECTION_COMMAND,
                     .argument = "PATH",
                     .completes = "file",
                     .offset = FIELD(repo),
                     .help = "Give completions the context of the repository that PATH lies in."},
    [OPTION_YES] = {.name = "yes",
                    .kind = OPTION_FLAG,
                    .section = SECTION_COMMAND,
                    .initial = "no",
                    .offset = FIELD(yes),
                    .help = "Accept without asking."},
    [OPTION_REVOKE] = {.name = "revoke",
                       .kind = OPTION_FLAG,
                       .section = SECTION_COMMAND,
                       .initial = "no",
                       .offset = FIELD(revoke),
                       .help = "Take back all that was accepted of this repository."},
    [OPTION_WATCH] = {.name = "watch",
                      .kind = OPTION_FLAG,
                      .section = SECTION_COMMAND,
                      .initial = "no",
                      .offset = FIELD(watch),
                      .help = "Stay, and keep the index right as files change: a line for each refresh, until Ctrl-C."},
};

/* ---- the table ---- */

const struct option *option_row(enum option_id id)
{
    return &rows[id];
}

const char *option_section_name(enum option_section section)
{
    static const char *const names[SECTION_LIMIT] = {"model", "sampling",   "chat",   "output",
                                                     "index", "completion", "server", "command"};
    return names[section];
}

bool option_is_global(enum option_id id)
{
    return rows[id].section != SECTION_COMMAND;
}

static bool is_accepted(enum option_id id, const enum option_id *listed, size_t n_listed)
{
    bool found = option_is_global(id);
    for (size_t i = 0; !found && i < n_listed; i++)
        found = listed[i] == id;
    return found;
}

bool option_find(const char *name, size_t size, const enum option_id *listed, size_t n_listed, enum option_id *id)
{
    struct slice wanted = {name, size};
    for (size_t i = 0; i < OPTION_LIMIT; i++)
        if (slice_equals(wanted, rows[i].name) && is_accepted((enum option_id)i, listed, n_listed)) {
            *id = (enum option_id)i;
            return true;
        }
    return false;
}

bool option_find_letter(char letter, const enum option_id *listed, size_t n_listed, enum option_id *id)
{
    for (size_t i = 0; letter && i < OPTION_LIMIT; i++)
        if (rows[i].letter == letter && is_accepted((enum option_id)i, listed, n_listed)) {
            *id = (enum option_id)i;
            return true;
        }
    return false;
}

void option_describe(enum option_id id, struct buffer *out)
{
    if (rows[id].letter)
        buffer_printf(out, "-%c/", rows[id].letter);
    buffer_printf(out, "--%s", rows[id].name);
}

/* ---- settings ---- */

static void *field(struct settings *settings, enum option_id id)
{
    return (char *)settings + rows[id].offset;
}

static const void *field_const(const struct settings *settings, enum option_id id)
{
    return (const char *)settings + rows[id].offset;
}

enum status settings_init(struct settings *settings, struct error *error)
{
    *settings = (struct settings){0};
    for (size_t i = 0; i < OPTION_LIMIT; i++) {
        if (!rows[i].initial)
            continue;
        enum status status =
            settings_store(settings, (enum option_id)i, rows[i].initial, (struct setting_source){0}, error);
        if (status != STATUS_OK)
            return status;
    }
    return STATUS_OK;
}

void settings_deinit(struct settings *settings)
{
    arena_deinit(&settings->arena);
    *settings = (struct settings){0};
}

bool settings_is_given(const struct settings *settings, enum option_id id)
{
    return settings->sources[id].origin != ORIGIN_DEFAULT;
}

static enum status value_wrong(enum option_id id, const char *text, struct error *error)
{
    struct buffer name = {0}, takes = {0};
    const struct option *row = &rows[id];
    option_describe(id, &name);
    if (row->kind == OPTION_FLAG) {
        buffer_append_text(&takes, "it takes yes or no");
    } else if (row->kind == OPTION_CHOICE) {
        buffer_append_text(&takes, "it is one of");
        for (const char *word = row->choices; *word;) {
            size_t size = strcspn(word, "|");
            buffer_printf(&takes, "%s %.*s", word == row->choices ? "" : ",", (int)size, word);
            word += size + (word[size] == '|');
        }
    } else if (row->kind == OPTION_REAL) {
        buffer_printf(&takes, "it takes a number from %g to %g", row->minimum, row->maximum);
    } else {
        buffer_printf(&takes, "it takes %s from %.0f to %.0f",
                      row->kind == OPTION_NUMBERS ? "whole numbers parted by commas," : "a whole number", row->minimum,
                      row->maximum);
    }
    enum status status =
        error_set(error, STATUS_ARGUMENT, "%s: \"%.60s\" won't do (%s)", buffer_text(&name), text, buffer_text(&takes));
    buffer_deinit(&name);
    buffer_deinit(&takes);
    return status;
}

static bool parse_integer(const char *text, double minimum, double maximum, int64_t *out)
{
    char *end;
    errno = 0;
    /* strtoll skips white space and takes a plus; a value has neither. */
    if (!((*text >= '0' && *text <= '9') || *text == '-'))
        return false;
    long long value = strtoll(text, &end, 10);
    if (errno || end == text || *end || (double)value < minimum || (double)value > maximum)
        return false;
    *out = value;
    return true;
}

static bool parse_real(const char *text, double minimum, double maximum, double *out)
{
    if (!*text || strspn(text, "0123456789.eE+-") != strlen(text)) /* no hexadecimal, no inf, no nan */
        return false;
    char *end;
    double value = strtod(text, &end);
    if (end == text || *end || !isfinite(value) || value < minimum || value > maximum)
        return false;
    *out = value;
    return true;
}

static bool parse_flag(const char *text, bool *out)
{
    static const char *const words[] = {"yes", "no", "true", "false", "on", "off", "1", "0"};
    for (size_t i = 0; i < sizeof words / sizeof *words; i++)
        if (strcmp(text, words[i]) == 0) {
            *out = i % 2 == 0;
            return true;
        }
    return false;
}

static bool parse_choice(const char *text, const char *choices, int *out)
{
    size_t size = strlen(text);
    int index = 0;
    for (const char *word = choices;; index++) {
        size_t length = strcspn(word, "|");
        if (length == size && memcmp(word, text, size) == 0) {
            *out = index;
            return true;
        }
        if (!word[length])
            return false;
        word += length + 1;
    }
}

enum status numbers_parse(const char *text, int64_t maximum, struct arena *arena, struct number_list *out,
                          struct error *error)
{
    static const char separators[] = ", \t\r\n\v\f";
    size_t capacity = strlen(text) / 2 + 1; /* every number is followed by a separator */
    struct number_list list = {arena_alloc(arena, capacity * sizeof *list.items), 0};
    if (!list.items)
        return error_set(error, STATUS_MEMORY, "out of memory");
    for (const char *at = text + strspn(text, separators); *at;) {
        size_t size = strcspn(at, separators);
        int64_t value = 0;
        bool is_right = true;
        for (size_t i = 0; is_right && i < size; i++) {
            is_right = at[i] >= '0' && at[i] <= '9' && value <= (maximum - (at[i] - '0')) / 10;
            value = is_right ? value * 10 + (at[i] - '0') : value;
        }
        if (!is_right)
            return error_set(error, STATUS_ARGUMENT, "\"%.*s\" is no number from 0 to %lld", size > 40 ? 40 : (int)size,
                             at, (long long)maximum);
        list.items[list.n++] = value;
        at += size;
        at += strspn(at, separators);
    }
    *out = list;
    return STATUS_OK;
}

static enum status store_numbers(struct settings *settings, enum option_id id, const char *text, struct error *error)
{
    struct number_list list = {0};
    enum status status = numbers_parse(text, (int64_t)rows[id].maximum, &settings->arena, &list, error);
    bool is_right = status == STATUS_OK && list.n > 0;
    for (size_t i = 0; is_right && i < list.n; i++)
        is_right = (double)list.items[i] >= rows[id].minimum;
    if (status == STATUS_MEMORY)
        return status;
    if (!is_right)
        return value_wrong(id, text, error);
    *(struct number_list *)field(settings, id) = list;
    return STATUS_OK;
}

static enum status store_text(struct settings *settings, enum option_id id, const char *text,
                              struct setting_source source, struct error *error)
{
    char *copy = arena_copy_text(&settings->arena, text, strlen(text));
    if (!copy)
        return error_set(error, STATUS_MEMORY, "out of memory");
    if (rows[id].kind != OPTION_TEXTS) {
        *(const char **)field(settings, id) = copy;
        return STATUS_OK;
    }
    struct text_list *list = field(settings, id);
    /* What comes from a stronger place replaces the list, what comes from the same place adds to it. */
    size_t n = settings->sources[id].origin == source.origin ? list->n : 0;
    const char **items = arena_alloc(&settings->arena, (n + 1) * sizeof *items);
    if (!items)
        return error_set(error, STATUS_MEMORY, "out of memory");
    if (n)
        memcpy(items, list->items, n * sizeof *items);
    items[n] = copy;
    *list = (struct text_list){items, n + 1};
    return STATUS_OK;
}

enum status settings_store(struct settings *settings, enum option_id id, const char *text, struct setting_source source,
                           struct error *error)
{
    const struct option *row = &rows[id];
    void *target = field(settings, id);
    enum status status = STATUS_OK;
    bool is_right = true;
    switch (row->kind) {
    case OPTION_FLAG:
        is_right = parse_flag(text ? text : "yes", target);
        break;
    case OPTION_INTEGER:
        is_right = parse_integer(text, row->minimum, row->maximum, target);
        break;
    case OPTION_REAL:
        is_right = parse_real(text, row->minimum, row->maximum, target);
        break;
    case OPTION_CHOICE:
        is_right = parse_choice(text, row->choices, target);
        break;
    case OPTION_NUMBERS:
        status = store_numbers(settings, id, text, error);
        break;
    case OPTION_TEXT:
    case OPTION_OPTIONAL_TEXT:
    case OPTION_TEXTS:
        status = store_text(settings, id, text ? text : "", source, error);
        break;
    }
    if (!is_right)
        return value_wrong(id, text, error);
    if (status == STATUS_OK)
        settings->sources[id] = source;
    return status;
}

void settings_print(const struct settings *settings, enum option_id id, struct buffer *out)
{
    const void *source = field_const(settings, id);
    const struct text_list *texts = source;
    const struct number_list *numbers = source;
    const char *word;
    switch (rows[id].kind) {
    case OPTION_FLAG:
        buffer_append_text(out, *(const bool *)source ? "yes" : "no");
        break;
    case OPTION_INTEGER:
        buffer_printf(out, "%lld", (long long)*(const int64_t *)source);
        break;
    case OPTION_REAL:
        buffer_printf(out, "%g", *(const double *)source);
        break;
    case OPTION_CHOICE:
        word = rows[id].choices;
        for (int i = 0; i < *(const int *)source; i++)
            word = strchr(word, '|') + 1;
        buffer_append(out, word, strcspn(word, "|"));
        break;
    case OPTION_TEXT:
    case OPTION_OPTIONAL_TEXT:
        if (*(const char *const *)source)
            buffer_append_text(out, *(const char *const *)source);
        break;
    case OPTION_TEXTS:
        for (size_t i = 0; i < texts->n; i++)
            buffer_printf(out, "%s%s", i ? "," : "", texts->items[i]);
        break;
    case OPTION_NUMBERS:
        for (size_t i = 0; i < numbers->n; i++)
            buffer_printf(out, "%s%lld", i ? "," : "", (long long)numbers->items[i]);
        break;
    }
}
