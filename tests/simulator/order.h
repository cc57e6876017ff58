/*
 * order.h - is every device request allowed at the moment it is made?
 *
 * It watches the requests of both devices and knows, from the superblocks that
 * it saw, which transactions may be on disk: the last one that is stable, and
 * any whose superblock is on its way.  Of these nothing may be overwritten (M4,
 * M5), and a superblock may only be written when all that it leads to is stable
 * already (M6, M8).
 */
#ifndef TESTS_SIMULATOR_ORDER_H
#define TESTS_SIMULATOR_ORDER_H

#include <thinpool/simulator.h>

#include "simulator/metadata.h"
#include "simulator/oracle.h"

enum { METADATA_DEVICE, DATA_DEVICE };

#define MAX_VIEWS 4

/* A commit changes what lies before; what follows stays as it was (M8). */
#define SUPERBLOCK_LIVE_BYTES 364

/* A transaction that may be found after a crash. */
struct view {
	struct metadata metadata;
	unsigned char superblock[METADATA_BLOCK];
};

/* Of the superblocks that a crash may leave what a commit changes; none: that
 * is not known. */
struct superblocks {
	unsigned nr;
	unsigned char live[MAX_VIEWS][SUPERBLOCK_LIVE_BYTES];
};

struct order {
	struct tp_simulator *simulator;
	const struct oracle *oracle; /* whose volumes the tags name */
	bool has_cache;              /* the data device */
	bool enabled;
	struct view *views[MAX_VIEWS]; /* the first is stable */
	unsigned nr_views;
	uint64_t
		last_flush; /* of data: the begin of the last that ended well */
	uint64_t nr_transactions; /* whose superblock was begun */
	bool given_up;            /* the one that was to be committed */
};

void order_init(struct order *order, struct tp_simulator *simulator,
		const struct oracle *oracle, bool has_cache, bool enabled);
void order_exit(struct order *order);

/* What is stable now is what there is: after a format, or a crash. */
bool order_restart(struct order *order, struct verdict *verdict);

/* Power fails now. */
void order_get_superblocks(const struct order *order,
			   struct superblocks *superblocks);

/* Is it one of them (M1)? */
bool superblocks_have(const struct superblocks *superblocks,
		      const unsigned char *superblock);

/* The metadata is made anew, and until the restart nothing is known of it. */
void order_forget(struct order *order);

/* The hook failed: until the restart no other transaction may be written
 * (F-06). */
void order_give_up(struct order *order);

/* The newest transaction has thins that were deleted and are being emptied. */
bool order_is_emptying(const struct order *order);

bool order_event(struct order *order, const struct tp_simulated_event *event,
		 struct verdict *verdict);

/* A flush, or a call that commits, that was submitted when @nr_requests had
 * begun, ended well: was data flushed since (M7)? */
bool order_flushed(const struct order *order, uint64_t nr_requests,
		   struct verdict *verdict);

#endif
