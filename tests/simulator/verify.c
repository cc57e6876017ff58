/*
 * verify.c - all that an opened pool holds.
 */
#include <stdlib.h>

#include "simulator/ballast.h"
#include "simulator/run.h"
#include "simulator/tag.h"

#define PIECE_SECTORS 1024

static int note_thin(const struct tp_thin_info *info, void *context)
{
	struct found *found = context;

	if (found->nr_ids < sizeof(found->ids) / sizeof(found->ids[0]))
		found->ids[found->nr_ids++] = info->id;

	return 0;
}

/* It may be written, unless that would take more metadata than there is. */
static bool is_mode_right(const struct run *run,
			  const struct tp_pool_status *status)
{
	if (run->is_looking)
		return status->mode == TP_MODE_READ_ONLY;
	if (status->mode == TP_MODE_OUT_OF_METADATA_SPACE)
		return status->used_metadata_blocks == status->metadata_blocks;

	return status->mode == TP_MODE_WRITE;
}

bool run_look(struct run *run, struct found *found)
{
	struct tp_pool_status status = TP_POOL_STATUS_INIT;
	int r;

	*found = (struct found){ .nr_ids = 0 };
	r = tp_pool_get_status(run->pool, &status);
	if (!r)
		r = tp_pool_list_thins(run->pool, note_thin, found);
	if (run->power_is_off)
		return false;
	if (r)
		return violated(run->verdict,
				"the pool cannot be looked at: %s",
				tp_last_error());
	run->mode = status.mode;
	if (status.needs_check || !is_mode_right(run, &status))
		return violated(run->verdict, "V1: the pool opens in mode %s",
				tp_pool_mode_name(status.mode));
	found->facts = (struct facts){
		.transaction_id = status.transaction_id,
		.held = status.held_root != 0,
		.data_blocks = status.data_blocks,
		.metadata_blocks = status.metadata_blocks,
	};

	return true;
}

static bool verify_piece(struct run *run, unsigned slot, uint64_t begin,
			 uint64_t end, char *buffer)
{
	int r = tp_thin_read(run->slots[slot].handles[0], buffer,
			     (end - begin) * SECTOR_BYTES,
			     begin * SECTOR_BYTES);

	if (run->power_is_off)
		return false;
	if (r)
		return violated(run->verdict, "thin %u cannot be read: %s",
				slot_id(slot), tp_last_error());

	return oracle_found(run->oracle, slot_id(slot), begin, end,
			    run->was_crash, buffer, run->verdict);
}

static bool verify_volume(struct run *run, unsigned slot)
{
	uint64_t nr = run_volume(run, slot)->nr_sectors;
	char *buffer = malloc(PIECE_SECTORS * SECTOR_BYTES);
	bool right = true;

	for (uint64_t s = 0; s < nr && right; s += PIECE_SECTORS)
		right = verify_piece(run, slot, s,
				     s + PIECE_SECTORS < nr ? s + PIECE_SECTORS
							    : nr,
				     buffer);
	free(buffer);

	return right && ballast_check(run, slot);
}

bool run_verify(struct run *run)
{
	for (unsigned i = 0; i < NR_SLOTS; i++)
		if (run->slots[i].exists && !verify_volume(run, i))
			return false;

	return !run->was_crash || oracle_restart(run->oracle, run->verdict);
}
