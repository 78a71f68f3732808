/* sha256: the hash of FIPS 180-4, for what is told apart by its exact content. */
#ifndef FATHOM_APP_SHA256_H
#define FATHOM_APP_SHA256_H

#include <stddef.h>
#include <stdint.h>

enum { SHA256_SIZE = 32 };

struct sha256 {
    uint32_t state[8];
    uint64_t n_bytes;
    uint8_t block[64];
};

void sha256_init(struct sha256 *hash);
void sha256_add(struct sha256 *hash, const void *data, size_t size);
void sha256_end(struct sha256 *hash, uint8_t out[SHA256_SIZE]);

#endif
