/*
 * iov.c - walking along vectors of memory.
 */
#include <string.h>

#include "io/iov.h"

uint64_t tpi_iov_length(const struct iovec *iov, int iovcnt)
{
	uint64_t length = 0;

	for (int i = 0; i < iovcnt; i++)
		length += iov[i].iov_len;

	return length;
}

void tpi_iov_skip(struct tpi_iov_rest *rest, const struct iovec *iov,
		  int iovcnt, uint64_t skip)
{
	while (skip >= iov->iov_len) {
		skip -= iov->iov_len;
		iov++;
		iovcnt--;
		tpi_assert(iovcnt > 0);
	}

	if (!skip) {
		rest->iov = iov;
		rest->iovcnt = iovcnt;
		return;
	}
	rest->first.iov_base = (char *)iov->iov_base + skip;
	rest->first.iov_len = iov->iov_len - skip;
	rest->iov = &rest->first;
	rest->iovcnt = 1;
}

/* The memory at @skip, at most @length bytes of it; @length says how many. */
static void *piece_at(const struct iovec **iov, uint64_t *skip, size_t *length)
{
	while (*skip >= (*iov)->iov_len) {
		*skip -= (*iov)->iov_len;
		(*iov)++;
	}
	*length = tpi_min(*length, (*iov)->iov_len - *skip);

	return (char *)(*iov)->iov_base + *skip;
}

void tpi_iov_gather(void *to, const struct iovec *iov, uint64_t skip,
		    size_t length)
{
	while (length) {
		size_t n = length;
		const void *from = piece_at(&iov, &skip, &n);

		memcpy(to, from, n);
		to = (char *)to + n;
		skip += n;
		length -= n;
	}
}

void tpi_iov_scatter(const struct iovec *iov, uint64_t skip, const void *from,
		     size_t length)
{
	while (length) {
		size_t n = length;
		void *to = piece_at(&iov, &skip, &n);

		memcpy(to, from, n);
		from = (const char *)from + n;
		skip += n;
		length -= n;
	}
}
