/*
 * seal.h - number and checksum of a block, looked at without a complaint to the
 * log (metadata-format.md, 1.1).
 */
#ifndef TPI_CHECK_SEAL_H
#define TPI_CHECK_SEAL_H

#include "io/validator.h"

struct tpi_seal_look {
	bool right_checksum, right_number;
	uint64_t number;   /* that it says it has */
	const char *other; /* what it is instead, by its checksum; or NULL */
};

struct tpi_seal_look tpi_seal_look(const struct tpi_validator *validator,
				   tp_mblock block, const void *data);

#endif
