/*
 * foreign.h - what a device holds that is not a thin pool's metadata.
 */
#ifndef TPI_POOL_FOREIGN_H
#define TPI_POOL_FOREIGN_H

/* As a noun with its article, by the signatures in the first metadata block;
 * NULL: nothing that we know. */
const char *tpi_foreign_name(const void *block);

#endif
