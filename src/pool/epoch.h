/*
 * epoch.h - grace periods: waiting until every bio that could have seen how
 * things were is done (architecture.md, decision 5).
 *
 * Every bio in flight is in a *section* of the pool, and if it writes also of its
 * thin, entered before it looks at mode, gate and mapping.  Each port (port.h) counts the
 * sections that were entered on it, by the parity of the epoch at that moment.
 * To wait, the run loop changes what has to change, turns the parity, and then
 * looks at every port until none is left with the old parity.
 *
 * Counting is done under the port's lock, and so is the looking.  So if a bio
 * entered before the loop looked at its port, the loop sees it; if after, the
 * bio sees the new parity, and all that was changed before.
 *
 * Waiting never blocks the loop: it has a function called.
 */
#ifndef TPI_POOL_EPOCH_H
#define TPI_POOL_EPOCH_H

#include <stdatomic.h>

#include "io/base.h"

struct tp_pool;

struct tpi_section {
	unsigned active[2];
};

struct tpi_grace {
	struct tpi_list entry;
	void (*passed)(struct tpi_grace *grace);
};

struct tpi_epoch {
	struct tp_pool *pool;
	struct tpi_list draining; /* in pool->draining_epochs */
	_Atomic unsigned parity;

	/* Who waits for the sections of the old parity, and who came after the
	 * parity was turned, and waits for the next turn. */
	struct tpi_list waiting, waiting_next;

	/* How many sections of a parity there are on all ports. */
	unsigned (*count)(struct tpi_epoch *epoch, unsigned parity);
};

void tpi_epoch_init(struct tpi_epoch *epoch, struct tp_pool *pool,
		    unsigned (*count)(struct tpi_epoch *epoch,
				      unsigned parity));

/* Run loop: have grace->passed called, from the loop, when all sections that
 * are entered now have been left.  Not from here. */
void tpi_epoch_wait(struct tpi_epoch *epoch, struct tpi_grace *grace,
		    void (*passed)(struct tpi_grace *grace));

/* Look at the ports; how many epochs came to their end. */
unsigned tpi_epochs_check(struct tp_pool *pool);

/* Run loop: what has ended at the device on queues whose hosts do not look ends
 * here. */
void tpi_ports_help(struct tp_pool *pool);

static inline unsigned tpi_epoch_parity(const struct tpi_epoch *epoch)
{
	return atomic_load_explicit(&epoch->parity, memory_order_acquire) & 1;
}

#endif
