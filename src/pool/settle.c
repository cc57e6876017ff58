/*
 * settle.c - what becomes of the data blocks that a transaction freed
 * (architecture.md, decision 7).
 *
 * They stay withheld until the transaction is settled: durable, and every bio
 * that was in flight when it closed, on any thin, has ended.  Before that a
 * crash would bring their owner back, or a bio on its way would hit their next
 * owner.  Then those that a discard freed are passed down (B-DISC-10), and when
 * the device has answered, whatever it says, they are free.  All of this is in
 * memory, so a crash leaks nothing (B-DISC-11).
 *
 * Transactions settle in order; one run of blocks is passed down at a time.
 */
#include <stdlib.h>
#include <string.h>

#include "pool/mode.h"

int tpi_settle_begin(struct tp_pool *pool, struct tpi_settlement **result)
{
	struct tpi_settlement *settlement = calloc(1, sizeof(*settlement));

	if (!settlement) {
		settlement = pool->commit.spare_settlement;
		pool->commit.spare_settlement = NULL;
	}
	if (!settlement)
		return -ENOMEM;
	settlement->pool = pool;
	settlement->transaction = pool->metadata.transaction;
	settlement->dropped = pool->metadata.dropped ||
			      pool->metadata.unseen_drops;
	tpi_list_init(&settlement->entry);
	*result = settlement;

	return 0;
}

static void look(struct tp_pool *pool);

static void quiet(struct tpi_grace *grace)
{
	struct tpi_settlement *settlement =
		tpi_container_of(grace, struct tpi_settlement, grace);

	settlement->quiet = true;
	look(settlement->pool);
}

void tpi_settle_closed(struct tp_pool *pool, struct tpi_settlement *settlement)
{
	tpi_data_sm_take_freed(pool->metadata.data_sm, &settlement->runs,
			       &settlement->nr_runs);
	tpi_list_add_tail(&pool->commit.settlements, &settlement->entry);
	tpi_epoch_wait(&pool->epoch, &settlement->grace, quiet);
}

void tpi_settle_cancel(struct tpi_settlement *settlement)
{
	struct tpi_commit *commit = &settlement->pool->commit;

	if (commit->spare_settlement) {
		free(settlement);
		return;
	}
	memset(settlement, 0, sizeof(*settlement));
	commit->spare_settlement = settlement;
}

static bool is_settled(const struct tpi_settlement *settlement)
{
	return settlement->durable && settlement->quiet;
}

static struct tpi_settlement *first(const struct tp_pool *pool)
{
	const struct tpi_list *list = &pool->commit.settlements;

	if (tpi_list_empty(list))
		return NULL;

	return tpi_container_of(list->next, struct tpi_settlement, entry);
}

static void drop(struct tpi_settlement *settlement)
{
	tpi_list_del(&settlement->entry);
	free(settlement->runs);
	tpi_settle_cancel(settlement);
}

static void release_run(struct tpi_settlement *settlement)
{
	struct tpi_freed_run *run = &settlement->runs[settlement->next_run++];

	tpi_data_sm_release(settlement->pool->metadata.data_sm, run->begin,
			    run->nr);
}

/* The device's answer does not matter: a discard is a hint (B-DISC-7). */
static void passed_down(struct tp_device_request *request, int status)
{
	struct tpi_settlement *settlement =
		tpi_container_of(request, struct tpi_settlement, request);
	struct tp_pool *pool = settlement->pool;

	if (status)
		tpi_log(TP_LOG_DEBUG, "a discard passed down failed: %s",
			tp_strerror(status));
	settlement->passing_down = false;
	release_run(settlement);
	look(pool);
	tpi_quiet_look(pool);
}

static void pass_down(struct tpi_settlement *settlement)
{
	struct tp_pool *pool = settlement->pool;
	struct tpi_freed_run *run = &settlement->runs[settlement->next_run];

	settlement->passing_down = true;
	settlement->request = (struct tp_device_request){
		.op = TP_DISCARD,
		.offset = run->begin * pool->block_bytes,
		.length = run->nr * pool->block_bytes,
		.done = passed_down,
	};
	tpi_channel_submit(pool->port.channel, &settlement->request);
}

/* True when all of it is free. */
static bool release(struct tpi_settlement *settlement)
{
	struct tp_pool *pool = settlement->pool;

	while (settlement->next_run < settlement->nr_runs) {
		if (settlement->passing_down)
			return false;
		if (settlement->runs[settlement->next_run].discarded &&
		    tpi_passdown_is_effective(pool) && !pool->closing &&
		    !pool->nr_suspends && !pool->aborting) {
			pass_down(settlement);
			return false;
		}
		release_run(settlement);
	}

	return true;
}

static void look(struct tp_pool *pool)
{
	struct tpi_settlement *settlement;

	while ((settlement = first(pool)) && is_settled(settlement)) {
		pool->commit.settled = settlement->transaction;
		if (!release(settlement))
			break;
		drop(settlement);
	}
	tpi_space_look(pool);
}

void tpi_settle_durable(struct tp_pool *pool, uint64_t transaction)
{
	struct tpi_list *entry, *following;

	tpi_list_each(entry, following, &pool->commit.settlements)
	{
		struct tpi_settlement *settlement =
			tpi_container_of(entry, struct tpi_settlement, entry);

		if (settlement->transaction <= transaction)
			settlement->durable = true;
	}
	look(pool);
}

bool tpi_settle_nothing_dropped(const struct tp_pool *pool)
{
	struct tpi_list *entry, *following;

	tpi_list_each(entry, following, &pool->commit.settlements)
	{
		struct tpi_settlement *settlement =
			tpi_container_of(entry, struct tpi_settlement, entry);

		if (settlement->dropped && !is_settled(settlement))
			return false;
	}

	return true;
}

bool tpi_settle_is_passing_down(const struct tp_pool *pool)
{
	struct tpi_settlement *settlement = first(pool);

	return settlement && settlement->passing_down;
}

void tpi_settle_drop_all(struct tp_pool *pool)
{
	struct tpi_settlement *settlement;

	while ((settlement = first(pool))) {
		tpi_list_del(&settlement->grace.entry);
		drop(settlement);
	}
}
