/* gguf_write: writes a GGUF file, version 3: the header at once, then the tensors' bytes as they come.
 *
 *   gguf_write_new ► gguf_write_key ... ► gguf_write_tensor ... ► gguf_write_begin ► gguf_write_data ... ► gguf_write_commit
 *
 * All keys and tensors are told before the first byte is written.  The bytes go into a file that gets its name by the commit:
 * whoever looks sees the whole file or none.  Until then it has no name at all, so that nothing is left of it however the
 * program ends; where the file system has no such files, it lies beside the path as PATH.PID-N.part, and without a commit
 * gguf_write_free removes it.  Format: see gguf.h. */
#ifndef FATHOM_ENGINE_GGUF_WRITE_H
#define FATHOM_ENGINE_GGUF_WRITE_H

#include "engine/gguf.h"

struct gguf_write;

/* alignment: a power of two, that of the key general.alignment where one is written; 0: 32. */
enum status gguf_write_new(uint32_t alignment, struct gguf_write **out, struct error *error);
void gguf_write_free(struct gguf_write *file); /* takes NULL */

/* A key with a value as gguf_value_at gives it.  Names and tensors: what memory ran out for is told by gguf_write_begin. */
void gguf_write_key(struct gguf_write *file, struct slice name, const struct gguf_value *value);
void gguf_write_key_u32(struct gguf_write *file, const char *name, uint32_t value);
void gguf_write_key_text(struct gguf_write *file, const char *name, struct slice text);

/* Trailing dimensions of 1 are left out.  STATUS_ARGUMENT where rows don't divide into the type's blocks. */
enum status gguf_write_tensor(struct gguf_write *file, struct slice name, enum quant_type type,
                              const uint64_t shape[GGUF_MAX_DIMS], struct error *error);

/* Opens the file and writes the header.  The disk space for all of it is asked for at once, where the file system can.
 * STATUS_ARGUMENT where path is there already and doesn't have to be replaced, or is no regular file. */
enum status gguf_write_begin(struct gguf_write *file, const char *path, bool replace, struct error *error);

/* The next bytes of the tensors, in the order they were told; padding is added between them.  A call gives bytes of one
 * tensor alone. */
enum status gguf_write_data(struct gguf_write *file, const void *bytes, size_t size, struct error *error);

/* After the last byte: everything reaches the disk, and the file its name. */
enum status gguf_write_commit(struct gguf_write *file, struct error *error);

uint64_t gguf_write_n_bytes(const struct gguf_write *file); /* of the whole file; after begin */

#endif
