/* file: a file that is open in a pane: its text, its colours, and its way back to the disk without the loss of a byte.
 *
 * 1. What is read is what the text holds: nothing is decoded, no line end changed, none added.
 * 2. What is saved replaces the file as a whole (a new file beside it, written through, then renamed over it) with its mode and
 *    owner, or fails and leaves the old one.  A link's target is replaced, not the link.
 * 3. A file that has changed on the disk since it was read or saved is not replaced unless that is forced. */
#ifndef FATHOM_APP_FILE_H
#define FATHOM_APP_FILE_H

#include <sys/types.h>

#include "repo/syntax.h"
#include "ui/editor.h"

enum { FILE_LIMIT = 512 << 20, FILE_COLOR_MOST = 1 << 20 };

/* What tells that a file on the disk is the one that was read. */
struct file_stamp {
    uint64_t device, inode, size;
    int64_t mtime_ns, ctime_ns;
    bool is_there;
};

struct file {
    char *path; /* absolute, links resolved */
    char *name; /* as it is shown: below the root relative to it */
    struct editor editor;
    struct file_stamp stamp;
    mode_t mode;
    uid_t user;
    gid_t group;
    int language;
    struct document *document; /* NULL: without colours */
    uint64_t colored;          /* the version of the text that it has */
    struct editor_span *spans;
    size_t n_spans, capacity;
};

/* A file that isn't there is a new one, empty.  root: absolute, what names are relative to.  STATUS_UNSUPPORTED: no plain
 * file; STATUS_RANGE: larger than FILE_LIMIT. */
enum status file_open(struct languages *languages, const char *path, const char *root, struct file **out,
                      struct error *error);
void file_close(struct file *file); /* NULL is fine */

/* STATUS_CANCELLED: it has changed on the disk, and is_forced is false. */
enum status file_save(struct file *file, bool is_forced, struct error *error);
/* What is on the disk now, in place of the text; the cursor's line stays. */
enum status file_reload(struct file *file, struct error *error);
bool file_has_changed(const struct file *file); /* on the disk */

/* Colours for bytes begin .. end of the text, in file->spans. */
void file_color(struct file *file, size_t begin, size_t end);

#endif
