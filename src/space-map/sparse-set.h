/*
 * sparse-set.h - a set of data blocks, of which there may be very many: it
 * takes memory for what is in it only.
 */
#ifndef TPI_SPACE_MAP_SPARSE_SET_H
#define TPI_SPACE_MAP_SPARSE_SET_H

#include "space-map/block-table.h"

struct tpi_sparse_set {
	struct tpi_block_table chunks; /* of 512 blocks; none is empty */
	tp_dblock nr;                  /* how many blocks are in it */
};

void tpi_sparse_set_init(struct tpi_sparse_set *set);
void tpi_sparse_set_exit(struct tpi_sparse_set *set);

/* Which of the 64 blocks from @block, a multiple of 64, on are in it. */
uint64_t tpi_sparse_set_word(const struct tpi_sparse_set *set, tp_dblock block);

bool tpi_sparse_set_has(const struct tpi_sparse_set *set, tp_dblock block);

/* Room for any @nr blocks: adding them will not fail.  -ENOMEM: as before. */
int tpi_sparse_set_make_room(struct tpi_sparse_set *set, size_t nr);

/* Blocks of [begin, begin + nr) may be in it already.  -ENOMEM: some were
 * added. */
int tpi_sparse_set_add(struct tpi_sparse_set *set, tp_dblock begin,
		       tp_dblock nr);
void tpi_sparse_set_remove(struct tpi_sparse_set *set, tp_dblock begin,
			   tp_dblock nr);

#endif
