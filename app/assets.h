/* assets: the files that come with the program: PREFIX/share/fathom of an installed one, assets/ of its source tree. */
#ifndef FATHOM_APP_ASSETS_H
#define FATHOM_APP_ASSETS_H

#include "engine/base.h"

/* Appends the path of the file called name.  STATUS_NOT_FOUND names where it was looked for. */
enum status asset_find(const char *name, struct buffer *out, struct error *error);

#endif
