/*
 * control.c - calls that change the pool, one after another (section 8): what
 * one did when it is known to have been done, and which pools may be found
 * while it is not known.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "simulator/oracle.h"
#include "simulator/tag.h"

/*---------------------------- effects --------------------------------------*/

static struct volume *add_volume(struct oracle *oracle, uint32_t id,
				 uint64_t nr_sectors, bool has_origin)
{
	struct volume *volume;

	if (oracle->nr_volumes == oracle->room) {
		oracle->room = oracle->room ? 2 * oracle->room : 8;
		oracle->volumes =
			realloc(oracle->volumes,
				oracle->room * sizeof(*oracle->volumes));
	}
	volume = &oracle->volumes[oracle->nr_volumes];
	*volume = (struct volume){
		.number = oracle->nr_volumes++,
		.id = id,
		.exists = true,
		.nr_sectors = nr_sectors,
		.has_origin = has_origin,
	};
	volume_init(volume, &oracle->rules);

	return volume;
}

/* What a read over the time of the call could have returned. */
static void take_sector(const struct oracle *oracle,
			const struct control *control,
			const struct candidates *from, struct candidates *to)
{
	for (uint32_t i = 0; i < from->nr; i++) {
		const struct candidate *c = candidates_get(from, i);

		if (history_get(&oracle->history, c->operation)->submit >
		    control->end)
			continue;
		if (candidates_may_read(from, i, &oracle->history,
					control->begin, oracle->rolled_back) &&
		    !candidates_have(to, c->value))
			candidates_add(to, (struct candidate){ INITIAL,
							       c->value, 0 });
	}
}

static void take_block(const struct oracle *oracle,
		       const struct control *control,
		       const struct volume *origin, struct volume *snapshot,
		       uint32_t b)
{
	uint64_t first = (uint64_t)b * oracle->rules.block_sectors;

	volume_touch(snapshot, &oracle->rules, first);
	snapshot->blocks[b]->was_written = origin->blocks[b]->was_written;
	for (uint32_t s = 0; s < oracle->rules.block_sectors; s++)
		take_sector(oracle, control, &origin->blocks[b]->sectors[s],
			    &snapshot->blocks[b]->sectors[s]);
}

void oracle_take(const struct oracle *oracle, const struct control *control,
		 const struct volume *from, struct volume *to)
{
	for (uint32_t b = 0; b < from->nr_blocks; b++)
		if (from->blocks[b])
			take_block(oracle, control, from, to, b);
}

static void take_snapshots(struct oracle *oracle, const struct control *control)
{
	struct cut cut = {
		.begin = control->begin,
		.end = control->end,
		.nr_pairs = control->nr_pairs,
	};

	for (unsigned i = 0; i < control->nr_pairs; i++) {
		struct volume *origin =
			oracle_find(oracle, control->pairs[i].origin);
		uint32_t number = origin->number;
		struct volume *snapshot =
			add_volume(oracle, control->pairs[i].id,
				   origin->nr_sectors, origin->has_origin);

		origin = &oracle->volumes[number];
		snapshot->has_ballast = origin->has_ballast;
		oracle_take(oracle, control, origin, snapshot);
		cut.pairs[i].volume = snapshot->number;
		cut.pairs[i].origin = number;
	}
	oracle->cuts = realloc(oracle->cuts,
			       (oracle->nr_cuts + 1) * sizeof(*oracle->cuts));
	oracle->cuts[oracle->nr_cuts++] = cut;
}

static void apply(struct oracle *oracle, const struct control *control)
{
	switch (control->kind) {
	case CONTROL_CREATE:
		add_volume(oracle, control->pairs[0].id, control->nr_sectors,
			   control->has_origin);
		break;
	case CONTROL_SNAPSHOT:
		take_snapshots(oracle, control);
		break;
	case CONTROL_DELETE:
		oracle_find(oracle, control->pairs[0].id)->exists = false;
		break;
	case CONTROL_FACTS:
		if (control->facts.held && !oracle->facts.held)
			oracle_hold(oracle, control);
		else if (!control->facts.held)
			oracle_release(oracle);
		oracle->facts = control->facts;
		break;
	case CONTROL_COMMIT:
	case CONTROL_NONE:
		break;
	}
}

/*---------------------------- the call -------------------------------------*/

void oracle_control_begin(struct oracle *oracle, const struct control *control)
{
	oracle->control = *control;
	oracle->control.begin = history_tick(&oracle->history);
	oracle->control.end = NOT_YET;
}

/* S3, but for volumes that lost writes. */
static void seal_all(struct oracle *oracle, uint64_t time)
{
	for (uint32_t i = 0; i < oracle->nr_volumes; i++)
		if (!oracle->volumes[i].lost_writes)
			history_seal(&oracle->history, i, time);
}

void oracle_control_end(struct oracle *oracle, int result, bool in_doubt)
{
	oracle->control.end = history_tick(&oracle->history);
	if (!result) {
		apply(oracle, &oracle->control);
		seal_all(oracle, oracle->control.begin);
	}
	if (in_doubt && oracle->doubt.kind == CONTROL_NONE)
		oracle->doubt = oracle->control;
	oracle->control.kind = CONTROL_NONE;
}

/*---------------------------- opened again ---------------------------------*/

static bool is_there(const struct found *found, uint32_t id)
{
	for (unsigned i = 0; i < found->nr_ids; i++)
		if (found->ids[i] == id)
			return true;

	return false;
}

static bool is_same(const struct facts *a, const struct facts *b)
{
	return a->transaction_id == b->transaction_id && a->held == b->held &&
	       a->data_blocks == b->data_blocks &&
	       a->metadata_blocks == b->metadata_blocks;
}

/* Did a call of which nobody knows take effect? */
static bool was_done(const struct oracle *oracle, const struct control *control,
		     const struct found *found)
{
	switch (control->kind) {
	case CONTROL_CREATE:
	case CONTROL_SNAPSHOT:
		return is_there(found, control->pairs[0].id);
	case CONTROL_DELETE:
		return !is_there(found, control->pairs[0].id);
	case CONTROL_FACTS:
		return !is_same(&found->facts, &oracle->facts);
	default:
		return false;
	}
}

/* N3: with the snapshot, what completed before the call is on its origin. */
static void seal_origins(struct oracle *oracle, const struct control *control)
{
	if (control->kind != CONTROL_SNAPSHOT)
		return;
	for (unsigned i = 0; i < control->nr_pairs; i++)
		history_seal(
			&oracle->history,
			oracle_find(oracle, control->pairs[i].origin)->number,
			control->begin);
}

static void resolve(struct oracle *oracle, struct control *control,
		    const struct found *found)
{
	if (was_done(oracle, control, found)) {
		seal_origins(oracle, control);
		apply(oracle, control);
	}
	control->kind = CONTROL_NONE;
}

static bool check_facts(const struct facts *is, const struct facts *should,
			struct verdict *verdict)
{
	if (is_same(is, should))
		return true;

	return violated(
		verdict,
		"the pool was found with transaction id %llu, %s metadata "
		"snapshot, %llu data and %llu metadata blocks; right are %llu, "
		"%s, %llu and %llu",
		(unsigned long long)is->transaction_id, is->held ? "a" : "no",
		(unsigned long long)is->data_blocks,
		(unsigned long long)is->metadata_blocks,
		(unsigned long long)should->transaction_id,
		should->held ? "one" : "none",
		(unsigned long long)should->data_blocks,
		(unsigned long long)should->metadata_blocks);
}

static bool check_ids(const struct oracle *oracle, const struct found *found,
		      struct verdict *verdict)
{
	unsigned nr = 0;

	for (uint32_t i = 0; i < oracle->nr_volumes; i++) {
		const struct volume *volume = &oracle->volumes[i];

		if (!volume->exists)
			continue;
		nr++;
		if (!is_there(found, volume->id))
			return violated(verdict, "thin %u is gone", volume->id);
	}
	for (unsigned i = 0; i < found->nr_ids; i++)
		if (!oracle_find(oracle, found->ids[i]))
			return violated(verdict, "thin %u should not be there",
					found->ids[i]);

	return nr == found->nr_ids ||
	       violated(verdict, "%u thins were found for %u", found->nr_ids,
			nr);
}

bool oracle_recover(struct oracle *oracle, const struct found *found,
		    struct verdict *verdict)
{
	resolve(oracle, &oracle->doubt, found);
	resolve(oracle, &oracle->control, found);
	for (uint32_t i = 0; i < oracle->nr_volumes; i++)
		oracle->volumes[i].lost_writes = false;

	return check_ids(oracle, found, verdict) &&
	       check_facts(&found->facts, &oracle->facts, verdict);
}

static void freeze(struct oracle *oracle, struct volume *volume,
		   uint64_t sector, uint32_t value)
{
	struct candidates *list = volume_find(volume, &oracle->rules, sector);

	if (value == VALUE_BLANK && list)
		candidates_exit(list);
	else if (value != VALUE_BLANK)
		candidates_set(volume_touch(volume, &oracle->rules, sector),
			       value);
}

bool oracle_found(struct oracle *oracle, uint32_t id, uint64_t begin,
		  uint64_t end, bool stays, const void *buffer,
		  struct verdict *verdict)
{
	struct volume *volume = oracle_find(oracle, id);
	struct question question = { .crash = true, .frozen = !stays };
	const char *bytes = buffer;

	for (uint64_t s = begin; s < end; s++) {
		uint32_t value = oracle_judge(oracle, volume, s, &question,
					      bytes, verdict);

		if (value == VALUE_NONE)
			return false;
		if (stays)
			freeze(oracle, volume, s, value);
		bytes += SECTOR_BYTES;
	}

	return true;
}

void oracle_doubt(struct oracle *oracle)
{
	struct history *history = &oracle->history;

	for (uint32_t i = history->first; i < history->nr; i++)
		history->operations[i].maybe |= !history->operations[i].sealed;
}

bool oracle_restart(struct oracle *oracle, struct verdict *verdict)
{
	bool right = true;

	for (unsigned i = 0; i < oracle->nr_cuts && right; i++)
		right = cut_check(oracle, &oracle->cuts[i], verdict);
	oracle->nr_cuts = 0;
	oracle->rolled_back = 0;
	history_restart(&oracle->history);

	return right;
}
