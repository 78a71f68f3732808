/* machine: what this process takes of the machine, and sizes as people read them. */
#ifndef FATHOM_APP_MACHINE_H
#define FATHOM_APP_MACHINE_H

#include "engine/base.h"

/* Memory that this process has now, in bytes. */
uint64_t machine_own_memory(void);

/* Appends what the processor calls itself, "AMD EPYC 9R14"; nothing where the system doesn't say. */
void machine_cpu_name(struct buffer *out);
int machine_processors(void);  /* hardware threads that are on */
uint64_t machine_memory(void); /* all there is, in bytes */

/* "98.4 MB": decimal units, three digits. */
void size_format(uint64_t bytes, char *out, size_t size);

#endif
