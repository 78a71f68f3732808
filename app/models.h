/* models: which model files are here, and which one a name means.
 *
 * A model's name is its file's without .gguf, and without the part numbers of a split model.  Files are looked for in
 * $XDG_DATA_HOME/fathom/models, then in share/fathom/models beside the folder that the program lies in. */
#ifndef FATHOM_APP_MODELS_H
#define FATHOM_APP_MODELS_H

#include "engine/base.h"

/* The model that is meant where nobody names one. */
extern const char *const models_default_name;

struct model_file {
    const char *name, *path; /* path: of the first part where the model is split */
    uint64_t n_bytes;        /* of all parts */
};

struct model_list {
    struct arena arena;
    struct model_file *items; /* by name; a name that was found in an earlier folder hides later ones */
    size_t n;
};

/* Folders that aren't there are empty. */
enum status models_list(struct model_list *out, struct error *error);
void model_list_deinit(struct model_list *list);

/* Appends the path that the user's own models belong in. */
enum status models_folder(struct buffer *out, struct error *error);

/* Appends the path of the model that text means: a path, or a name; NULL means the default.  STATUS_NOT_FOUND says what
 * to do. */
enum status models_resolve(const char *text, struct buffer *path, struct error *error);

/* Appends the value of an XDG variable, or home and fallback where it is unset or relative.  STATUS_NOT_FOUND where there
 * is no home either. */
enum status xdg_folder(const char *variable, const char *fallback, struct buffer *out, struct error *error);

#endif
