/*
 * look-back.c - reading the metadata snapshot through another pool, while the
 * one that works goes on.
 */
#include <stdlib.h>

#include "simulator/run.h"
#include "simulator/tag.h"

#define PIECE_SECTORS 1024u

/* What fails may fail because of a fault; without power nothing counts. */
static bool has_failed(struct run *run, const char *what)
{
	if (!run->is_faulty && is_going(run))
		violated(run->verdict, "of the metadata snapshot, %s: %s", what,
			 tp_last_error());

	return false;
}

/*---------------------------- a volume -------------------------------------*/

static bool read_piece(struct run *run, const struct volume *held,
		       struct tp_thin *thin, uint64_t begin, char *buffer)
{
	uint64_t end = begin + PIECE_SECTORS;

	if (end > held->nr_sectors)
		end = held->nr_sectors;
	if (tp_thin_read(thin, buffer, (end - begin) * SECTOR_BYTES,
			 begin * SECTOR_BYTES))
		return has_failed(run, "a thin cannot be read");

	return is_going(run) && oracle_held_shows(run->oracle, held, begin, end,
						  buffer, run->verdict);
}

static bool read_volume(struct run *run, struct tp_pool *pool,
			const struct volume *held)
{
	struct tp_thin_options options = TP_THIN_OPTIONS_INIT;
	struct tp_thin *thin;
	bool right = true;
	char *buffer;

	options.size = held->nr_sectors * SECTOR_BYTES;
	options.external_origin = held->has_origin ? run->origin : NULL;
	if (tp_thin_open(pool, held->id, &options, &thin))
		return has_failed(run, "a thin does not open");
	buffer = malloc(PIECE_SECTORS * SECTOR_BYTES);
	for (uint64_t s = 0; s < held->nr_sectors && right; s += PIECE_SECTORS)
		right = read_piece(run, held, thin, s, buffer);
	free(buffer);
	tp_thin_close(thin);

	return right;
}

/*---------------------------- all of them ----------------------------------*/

static int count_thin(const struct tp_thin_info *info, void *context)
{
	unsigned *nr = context;

	++*nr;

	return 0;
}

/* That each of them is there is seen when it is opened. */
static bool check_what_is_there(struct run *run, struct tp_pool *pool)
{
	struct tp_pool_status status = TP_POOL_STATUS_INIT;
	const struct oracle *oracle = run->oracle;
	unsigned nr = 0;

	if (tp_pool_get_status(pool, &status) ||
	    tp_pool_list_thins(pool, count_thin, &nr))
		return has_failed(run, "what there is cannot be told");
	if (!is_going(run))
		return false;

	return (nr == oracle->nr_held &&
		status.transaction_id == oracle->held_transaction_id) ||
	       violated(run->verdict,
			"B-MSG-8: the metadata snapshot has %u thins and "
			"transaction id %llu; right are %u and %llu",
			nr, (unsigned long long)status.transaction_id,
			oracle->nr_held,
			(unsigned long long)oracle->held_transaction_id);
}

static void look(struct run *run, struct tp_pool *pool)
{
	bool right = check_what_is_there(run, pool);

	for (uint32_t i = 0; i < run->oracle->nr_held && right; i++)
		right = read_volume(run, pool, &run->oracle->held[i]);
}

/* Of one that may have been released, nobody knows. */
static bool is_certain(const struct run *run)
{
	return is_going(run) && run->oracle->facts.held &&
	       run->oracle->doubt.kind == CONTROL_NONE;
}

void run_look_back(struct run *run)
{
	struct tp_pool_options options = run_options(run);
	struct tp_pool *pool = NULL;

	if (!is_certain(run))
		return;
	options.flags = TP_POOL_METADATA_SNAPSHOT | TP_POOL_HOST_DRIVEN;
	run->in_call = run->looks_back = true;
	if (tp_pool_open(tp_simulator_device(run->simulator, METADATA_DEVICE),
			 tp_simulator_device(run->simulator, DATA_DEVICE),
			 &options, &pool))
		has_failed(run, "it does not open");
	else
		look(run, pool);
	tp_pool_close(pool);
	run->in_call = run->looks_back = false;
}
