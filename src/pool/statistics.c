/*
 * statistics.c - what was done, in numbers.
 *
 * Nothing is counted by two threads: bios in the port of their queue, under the
 * lock that is held anyway, everything else on the run loop.  What ports have
 * counted is collected (flush.c) before it is told, and before handle or queue
 * are gone.
 */
#include "pool/bio.h"
#include "pool/call.h"

#define NR_COUNTERS (sizeof(struct tp_io_statistics) / sizeof(uint64_t))
_Static_assert(NR_COUNTERS * sizeof(uint64_t) ==
		       sizeof(struct tp_io_statistics),
	       "statistics are counters and nothing else");

static void add(struct tp_io_statistics *to,
		const struct tp_io_statistics *from)
{
	uint64_t *sums = (uint64_t *)to;
	const uint64_t *counters = (const uint64_t *)from;

	for (size_t i = 0; i < NR_COUNTERS; i++)
		sums[i] += counters[i];
}

void tpi_statistics_move(struct tp_io_statistics *to,
			 struct tp_io_statistics *from)
{
	add(to, from);
	memset(from, 0, sizeof(*from));
}

/*---------------------------- of a thin ------------------------------------*/

struct thin_call {
	struct tpi_call call;
	struct tpi_thin_state *state;
	struct tp_thin_statistics statistics;
};

static int thin_step(struct tpi_call *call)
{
	struct thin_call *ask = tpi_container_of(call, struct thin_call, call);

	tpi_thin_collect(ask->state);
	ask->statistics.io = ask->state->statistics;

	return 0;
}

int tp_thin_get_statistics(struct tp_thin *thin,
			   struct tp_thin_statistics *statistics)
{
	struct thin_call ask = { .statistics = TP_THIN_STATISTICS_INIT };
	int r;

	if (!thin || !statistics)
		return tpi_error(-EINVAL, "no thin, or no statistics to fill "
					  "in");
	ask.state = thin->state;
	r = tpi_call_ask(thin->pool, &ask.call, thin_step);

	return r ? r
		 : tpi_give_struct(statistics, &ask.statistics,
				   sizeof(ask.statistics), "thin statistics");
}

/*---------------------------- of a pool ------------------------------------*/

struct pool_call {
	struct tpi_call call;
	struct tp_pool_statistics statistics;
};

static void add_thin(struct tpi_thin_state *state, void *context)
{
	tpi_thin_collect(state);
	add(context, &state->statistics);
}

static int pool_step(struct tpi_call *call)
{
	struct pool_call *ask = tpi_container_of(call, struct pool_call, call);
	struct tp_pool *pool = call->pool;

	ask->statistics = pool->statistics;
	tpi_thins_each(pool, add_thin, &ask->statistics.io);
	ask->statistics.nr_commits = atomic_load(&pool->commit.nr_commits);

	return 0;
}

int tp_pool_get_statistics(struct tp_pool *pool,
			   struct tp_pool_statistics *statistics)
{
	struct pool_call ask = { .call = { .undo = NULL } };
	int r;

	if (!pool || !statistics)
		return tpi_error(-EINVAL, "no pool, or no statistics to fill "
					  "in");
	r = tpi_call_ask(pool, &ask.call, pool_step);

	return r ? r
		 : tpi_give_struct(statistics, &ask.statistics,
				   sizeof(ask.statistics), "pool statistics");
}
