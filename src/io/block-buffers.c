/*
 * block-buffers.c - memory for metadata blocks, in pieces of many.
 *
 * The first block of a piece is spent on the list of pieces; at 64 blocks to a
 * piece that is a sixty-fourth.
 */
#include "io/block-buffers.h"

#include <stdlib.h>

#define PIECE_BLOCKS 64

/* An address sanitizer sees the use of a buffer that was put back. */
#ifdef __has_feature
#if __has_feature(address_sanitizer)
#define HAVE_POISON
#endif
#endif
#if defined(__SANITIZE_ADDRESS__) || defined(HAVE_POISON)
#include <sanitizer/asan_interface.h>
#define poison(buffer) ASAN_POISON_MEMORY_REGION(buffer, TPI_MBLOCK_BYTES)
#define unpoison(buffer) ASAN_UNPOISON_MEMORY_REGION(buffer, TPI_MBLOCK_BYTES)
#else
#define poison(buffer) ((void)(buffer))
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
	buffers->unused = NULL;
}

static void add_piece(struct tpi_block_buffers *buffers)
{
	char *piece = aligned_alloc(TPI_MBLOCK_BYTES,
				    PIECE_BLOCKS * TPI_MBLOCK_BYTES);

	if (!piece)
		return;
	push(&buffers->pieces, piece);
	for (int i = 1; i < PIECE_BLOCKS; i++)
		tpi_block_buffers_put(buffers, piece + i * TPI_MBLOCK_BYTES);
}

void *tpi_block_buffers_get(struct tpi_block_buffers *buffers)
{
	void *buffer;

	if (!buffers->unused)
		add_piece(buffers);
	buffer = buffers->unused;
	if (!buffer)
		return NULL;
	unpoison(buffer);

	return pop(&buffers->unused);
}

void tpi_block_buffers_put(struct tpi_block_buffers *buffers, void *buffer)
{
	push(&buffers->unused, buffer);
	poison(buffer);
}
