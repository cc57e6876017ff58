/*
 * iov.h - memory in pieces: where in it a byte lies, and copying to and from.
 */
#ifndef TPI_IO_IOV_H
#define TPI_IO_IOV_H

#include <sys/uio.h>

#include "io/base.h"

uint64_t tpi_iov_length(const struct iovec *iov, int iovcnt);

/*
 * What is left of @iov after its first @skip bytes, of which there are more: as
 * a vector that needs no memory but @first.  If @skip lies within a piece, that
 * is the rest of this piece only.
 */
struct tpi_iov_rest {
	const struct iovec *iov;
	int iovcnt;
	struct iovec first;
};
void tpi_iov_skip(struct tpi_iov_rest *rest, const struct iovec *iov,
		  int iovcnt, uint64_t skip);

/* Copy @length bytes, after the first @skip of @iov, out of it and into it. */
void tpi_iov_gather(void *to, const struct iovec *iov, uint64_t skip,
		    size_t length);
void tpi_iov_scatter(const struct iovec *iov, uint64_t skip, const void *from,
		     size_t length);

#endif
