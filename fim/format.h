/* format: the form in which a family of models was taught to fill in a middle, and a request's parts in that form.
 *
 *   family            form (P prefix, S suffix, M what is generated)                    files before it
 *   deepseek          <fim begin> P <fim hole> S <fim end> M                            `#path`, text: the beginning of P
 *   qwen, codegemma   <fim_prefix> P <fim_suffix> S <fim_middle> M                      <file_sep> path, text
 *   starcoder         <fim_prefix> path P <fim_suffix> S <fim_middle> M                 <file_sep> path, text
 *   codellama, glm    <PRE> P <SUF> S <MID> M                                           comment, text: the beginning of P
 *   codestral, seed   <SUF> S <PRE> P (<MID>) M                                         comment, text: the beginning of P
 *   none              S P M, S as though it were another file's: see below              comment, text
 *
 * (The forms of the families are those of their papers and model cards; of StarCoder2 the paper's section on repository
 * context, by which the path stands behind the prefix mark.)
 *
 * A model that was taught none of it goes on from what stands before.  It is shown what stands behind the hole all the same, from
 * the next line on and before everything else: which names there are and how lines look there is worth more than that it
 * isn't in its place (70 holes, default model: edit similarity 0.500 without, 0.545 with).  fim/fill.h then looks for what
 * leads to S.
 *
 * BOS is the first token of all where the model wants one.  Every file is under its path, in each family: behind its own
 * mark where there is one, else as a comment line.  Paths, names and texts never become control tokens, whatever they
 * spell; marks are put by their ids.  Each stretch between marks, and each file, is tokenised for itself: what a file costs
 * does not depend on what stands beside it.  SentencePiece puts no space before any of them. */
#ifndef FATHOM_FIM_FORMAT_H
#define FATHOM_FIM_FORMAT_H

#include "engine/engine.h"

enum fim_family {
    FIM_NONE,
    FIM_DEEPSEEK,
    FIM_QWEN,
    FIM_CODEGEMMA,
    FIM_STARCODER, /* StarCoder, StarCoder2, Granite */
    FIM_CODELLAMA,
    FIM_CODESTRAL,
    FIM_SEED,
    FIM_GLM,
    FIM_OTHER, /* marks of unknown texts, named by the file's keys: prefix, suffix, middle */
};

/* How a family puts it.  Of an engine, by fim_format_of. */
struct fim_format {
    enum fim_family family;
    const char *name;       /* "qwen", "none" */
    bool has_marks;         /* false: FIM_NONE */
    bool has_middle;        /* a mark stands right before the middle */
    bool is_suffix_first;   /* S before P */
    struct fim_marks marks; /* engine.h; -1 for what there isn't */
};

struct fim_file {
    struct slice path, text;
};

/* A request's parts.  Borrowed. */
struct fim_parts {
    struct slice repository;      /* its name; may be empty */
    const struct fim_file *files; /* other files, in the order in which they shall stand */
    size_t n_files;
    struct slice path;           /* of the current file; empty: it has none */
    struct slice prefix, suffix; /* of the current file, as far as they are shown */
    struct slice middle;         /* of the middle, what is there already: it stands behind all marks; mostly empty */
};

/* Tokens by part, in the order of the tokens: head, files, prefix, suffix, middle; where the suffix comes first: head, suffix,
 * files, prefix, middle.  A mark counts to the part that it opens, one before all files to the head.  They sum up to all. */
struct fim_layout {
    size_t n_head; /* BOS, the repository's name */
    size_t n_prefix, n_suffix, n_middle;
};

struct fim_format fim_format_of(const struct engine *engine);

/* Appends the tokens of parts.  n_of_files (n_files) and layout may be NULL.  On failure out is as it was. */
enum status fim_format_render(const struct engine *engine, const struct fim_format *format,
                              const struct fim_parts *parts, struct tokens *out, size_t *n_of_files,
                              struct fim_layout *layout, struct error *error);

/* Appends the tokens that one file costs in it. */
enum status fim_format_render_file(const struct engine *engine, const struct fim_format *format,
                                   const struct fim_file *file, struct tokens *out, struct error *error);

/* What a comment that fills a line begins with in files of that name: "// ", "# ", "-- "... */
const char *fim_line_comment(struct slice path);

/* Generation is over with this token: one that ends texts, or a mark of the form. */
bool fim_format_ends(const struct engine *engine, const struct fim_format *format, int32_t id);

#endif
