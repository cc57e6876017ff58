/*
 * crc32c.h - the checksum of metadata blocks (metadata-format.md, 1.1).
 */
#ifndef TPI_IO_CRC32C_H
#define TPI_IO_CRC32C_H

#include <stddef.h>
#include <stdint.h>

/* CRC-32C from a register of all ones, without the final inversion.  By the
 * processor's own instruction where it has one. */
uint32_t tpi_crc32c_raw(const void *data, size_t length);

#endif
