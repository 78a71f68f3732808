/* place: FILE:LINE:COL of a command line, and the text that it lies in. */
#ifndef FATHOM_APP_PLACE_H
#define FATHOM_APP_PLACE_H

#include "app/command.h"
#include "app/gather.h"
#include "app/project.h"

struct place {
    struct buffer file; /* as given */
    struct buffer path; /* relative to the project's root, after place_project */
    struct buffer text;
    size_t at; /* byte of the text */
};

/* Parses the place and reads its text: FILE's, or stdin's with --stdin.  STATUS_ARGUMENT: not of that form, no such line or
 * column (the column behind the last byte of a line is one).  The file may be missing with --stdin. */
enum status place_read(const struct command_context *context, const char *text, struct place *out, struct error *error);
void place_deinit(struct place *place);

/* Byte of a text where a line and byte column (both 1-based) are. */
enum status place_offset(struct slice text, uint64_t line, uint64_t column, size_t *at, struct error *error);

/* Opens the repository that the file lies in and brings its index up to date, unless --no-refresh.  A plain folder's is
 * taken as it is: who wants it indexed says so (fathom index). */
enum status place_project(const struct command_context *context, struct place *place, struct project *project,
                          struct error *error);

/* What may help at a place, of the sources and within the budget and form that the settings name.  The project's index is read;
 * engine tells what pieces cost.  gathered must outlive the request; *out is filled but for its format's tokens. */
enum status place_gather(const struct command_context *context, const struct project *project, struct engine *engine,
                         const struct place *place, struct gathered *gathered, struct fim_request *out,
                         struct error *error);

/* GATHER_* of --sources.  STATUS_ARGUMENT names what is none. */
enum status place_sources(const struct settings *settings, unsigned *sources, struct error *error);

#endif
