/*
 * statistics.c - counters only grow while the pool is open, in any mode, and of
 * a thin none is larger than the pool's.
 */
#include <stddef.h>
#include <string.h>

#include "simulator/run.h"

#define NR_COUNTERS                                                            \
	((sizeof(struct tp_pool_statistics) -                                  \
	  offsetof(struct tp_pool_statistics, io)) /                           \
	 sizeof(uint64_t))
#define NR_IO_COUNTERS (sizeof(struct tp_io_statistics) / sizeof(uint64_t))

/* Nothing but counters, from io on. */
static bool is_none_larger(const void *these, const void *those, size_t nr)
{
	uint64_t a[NR_COUNTERS], b[NR_COUNTERS];

	memcpy(a, these, nr * sizeof(*a));
	memcpy(b, those, nr * sizeof(*b));
	for (size_t i = 0; i < nr; i++)
		if (a[i] > b[i])
			return false;

	return true;
}

/* Before the pool's: each call lets the pool go on. */
static void read_thins(struct run *run, struct tp_thin_statistics *thins)
{
	for (unsigned i = 0; i < NR_SLOTS; i++) {
		struct tp_thin *thin = run->slots[i].handles[0];

		thins[i] = (struct tp_thin_statistics)TP_THIN_STATISTICS_INIT;
		if (thin && tp_thin_get_statistics(thin, &thins[i]))
			violated(run->verdict, "thin %u has no statistics: %s",
				 slot_id(i), tp_last_error());
	}
}

void run_check_statistics(struct run *run)
{
	struct tp_pool_statistics now = TP_POOL_STATISTICS_INIT;
	struct tp_thin_statistics thins[NR_SLOTS];

	read_thins(run, thins);
	if (tp_pool_get_statistics(run->pool, &now))
		violated(run->verdict, "the pool has no statistics: %s",
			 tp_last_error());
	if (!is_going(run))
		return;
	if (!is_none_larger(&run->statistics.io, &now.io, NR_COUNTERS))
		violated(run->verdict, "a counter of the statistics falls");
	for (unsigned i = 0; i < NR_SLOTS; i++)
		if (!is_none_larger(&thins[i].io, &now.io, NR_IO_COUNTERS))
			violated(run->verdict,
				 "the statistics say more of thin %u than of "
				 "the pool",
				 slot_id(i));
	run->statistics = now;
}
