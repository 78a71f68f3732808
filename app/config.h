/* config: settings out of the configuration file and the environment.
 *
 * $XDG_CONFIG_HOME/fathom/config holds `key = value` under [sections]; keys are the names of long options, sections those
 * of the option table.  A key may also stand before the first section.  Lines indented under a text go on with it. */
#ifndef FATHOM_APP_CONFIG_H
#define FATHOM_APP_CONFIG_H

#include "app/options.h"

/* Reads the file, where there is one, then the environment into settings.  Errors name file and line. */
enum status config_load(struct settings *settings, struct error *error);

/* Takes the text of a configuration; path is for messages alone. */
enum status config_parse(struct settings *settings, const char *path, const char *text, size_t size,
                         struct error *error);

#endif
