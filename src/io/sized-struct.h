/*
 * sized-struct.h - structs that begin with size_t struct_size.
 *
 * A host may have been built with an older header than the library, or with a
 * newer one: the part that both know is copied, and the rest is zero.
 */
#ifndef TPI_IO_SIZED_STRUCT_H
#define TPI_IO_SIZED_STRUCT_H

#include <string.h>

#include "io/base.h"

/*
 * Take a struct of the host's, @theirs, as ours of @our_size bytes.  -EINVAL
 * with a sentence that has @what, if it says no size.
 */
static inline int tpi_take_struct(void *ours, size_t our_size,
				  const void *theirs, const char *what)
{
	size_t their_size;

	memcpy(&their_size, theirs, sizeof(their_size));
	if (their_size < sizeof(size_t))
		return tpi_error(-EINVAL, "%s: struct_size is not set", what);

	memset(ours, 0, our_size);
	memcpy(ours, theirs, tpi_min(our_size, their_size));

	return 0;
}

/* Fill @theirs, whose struct_size says how much it can take and stays. */
static inline int tpi_give_struct(void *theirs, const void *ours,
				  size_t our_size, const char *what)
{
	size_t their_size;

	memcpy(&their_size, theirs, sizeof(their_size));
	if (their_size < sizeof(size_t))
		return tpi_error(-EINVAL, "%s: struct_size is not set", what);

	memset(theirs, 0, their_size);
	memcpy(theirs, ours, tpi_min(our_size, their_size));
	memcpy(theirs, &their_size, sizeof(their_size));

	return 0;
}

#endif
