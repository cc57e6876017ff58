/*
 * metadata-private.h - what loading (metadata-load.c) and all else
 * (metadata-space-map.c) of the metadata space map share.
 */
#ifndef TPI_SPACE_MAP_METADATA_PRIVATE_H
#define TPI_SPACE_MAP_METADATA_PRIVATE_H

#include "space-map/metadata-counts.h"
#include "space-map/metadata-space-map.h"

/* How far reading the map has come. */
struct tpi_metadata_load {
	bool has_index;
	unsigned nr_asked;   /* bitmaps that were asked for */
	unsigned nr_bitmaps; /* that were read */
	uint64_t nr_large;   /* entries in them that ask for an overflow key */
	uint64_t overflow_key; /* where the walk along the tree goes on */
};

struct tpi_metadata_space_map {
	struct tpi_refs refs;
	struct tpi_counts counts;
	struct tpi_metadata_load load;

	/* The map on disk, as the last close left it, or this one has so far;
	 * blocks of number 0 are still to be made. */
	struct tpi_disk_index index; /* the header is unused */
	tp_mblock index_block;
	struct tpi_btree overflow;
	tp_mblock overflow_root;
	tp_mblock closed_nr_blocks;

	struct tpi_work_list unsaved; /* keys of counts.unsaved */
	bool closing;                 /* may use what is held back */
};

#endif
