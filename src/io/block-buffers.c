/*
 * block-buffers.c - memory for metadata blocks, in pieces of many.
 *
 * The first block of a piece is spent on the list of pieces; at 64 blocks to a
 * piece, or more, that is a sixty-fourth, or less.  Blocks of a piece are not
 * touched before they are handed out, so that those are not paid for that are
 * never used.
 */
#include "io/block-buffers.h"

#include <stdlib.h>

#include "io/huge-pages.h"

#define MIN_PIECE_BLOCKS 64u
#define MAX_PIECE_BLOCKS 2048u

/* An address sanitizer sees the use of a buffer that was put back. */
#ifdef __has_feature
#if __has_feature(address_sanitizer)
#define HAVE_POISON
#endif
#endif
#if defined(__SANITIZE_ADDRESS__) || defined(HAVE_POISON)
#include <sanitizer/asan_interface.h>
#define poison(buffer, nr)                                                     \
	ASAN_POISON_MEMORY_REGION(buffer, (nr) * (size_t)TPI_MBLOCK_BYTES)
#define unpoison(buffer) ASAN_UNPOISON_MEMORY_REGION(buffer, TPI_MBLOCK_BYTES)
#else
#define poison(buffer, nr) ((void)(buffer), (void)(nr))
#define unpoison(buffer) ((void)(buffer))
#endif

static void push(void **list, void *entry)
{
	*(void **)entry = *list;
	*list = entry;
}

static void *pop(void **list)
{
	void *entry = *list;

	if (entry)
		*list = *(void **)entry;

	return entry;
}

void tpi_block_buffers_init(struct tpi_block_buffers *buffers)
{
	*buffers = (struct tpi_block_buffers){ 0 };
}

void tpi_block_buffers_exit(struct tpi_block_buffers *buffers)
{
	void *piece;

	while ((piece = pop(&buffers->pieces)))
		free(piece);
	tpi_block_buffers_init(buffers);
}

/* As many again as there are. */
static size_t piece_blocks(const struct tpi_block_buffers *buffers)
{
	size_t nr = tpi_max(buffers->nr, (size_t)MIN_PIECE_BLOCKS);

	return tpi_min(nr, (size_t)MAX_PIECE_BLOCKS);
}

static void add_piece(struct tpi_block_buffers *buffers)
{
	size_t nr = piece_blocks(buffers);
	char *piece = aligned_alloc(TPI_MBLOCK_BYTES, nr * TPI_MBLOCK_BYTES);

	if (!piece)
		return;
	tpi_prefer_huge_pages(piece, nr * TPI_MBLOCK_BYTES);
	push(&buffers->pieces, piece);
	buffers->fresh = piece + TPI_MBLOCK_BYTES;
	buffers->nr_fresh = nr - 1;
	buffers->nr += nr - 1;
	poison(buffers->fresh, buffers->nr_fresh);
}

static void *take_fresh(struct tpi_block_buffers *buffers)
{
	void *buffer = buffers->fresh;

	if (!buffers->nr_fresh)
		return NULL;
	buffers->fresh += TPI_MBLOCK_BYTES;
	buffers->nr_fresh--;
	unpoison(buffer);

	return buffer;
}

void *tpi_block_buffers_get(struct tpi_block_buffers *buffers)
{
	if (buffers->unused) {
		unpoison(buffers->unused);
		return pop(&buffers->unused);
	}
	if (!buffers->nr_fresh)
		add_piece(buffers);

	return take_fresh(buffers);
}

void tpi_block_buffers_put(struct tpi_block_buffers *buffers, void *buffer)
{
	push(&buffers->unused, buffer);
	poison(buffer, 1);
}
