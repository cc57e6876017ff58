/*
 * held.c - what a metadata snapshot shows to those who read it (B-MSG-8).
 *
 * When one is reserved, each volume is put by: with what a read over the time
 * of the call could have returned.  What is written to the volume later may be
 * seen too, or not, for a block that it has to itself is written in place, and
 * any other is not.  Blocks that nobody had touched then are blank for ever.
 */
#include <stdlib.h>

#include "simulator/oracle.h"
#include "simulator/tag.h"

static void hold_volume(struct oracle *oracle, const struct control *control,
			const struct volume *from)
{
	struct volume *to = &oracle->held[oracle->nr_held++];

	*to = (struct volume){
		.number = from->number,
		.id = from->id,
		.has_origin = from->has_origin,
		.nr_sectors = from->nr_sectors,
	};
	volume_init(to, &oracle->rules);
	oracle_take(oracle, control, from, to);
}

void oracle_hold(struct oracle *oracle, const struct control *control)
{
	oracle->held = calloc(oracle->nr_volumes + 1, sizeof(*oracle->held));
	oracle->held_transaction_id = oracle->facts.transaction_id;
	for (uint32_t i = 0; i < oracle->nr_volumes; i++)
		if (oracle->volumes[i].exists)
			hold_volume(oracle, control, &oracle->volumes[i]);
}

void oracle_release(struct oracle *oracle)
{
	for (uint32_t i = 0; i < oracle->nr_held; i++)
		volume_exit(&oracle->held[i], &oracle->rules);
	free(oracle->held);
	oracle->held = NULL;
	oracle->nr_held = 0;
}

static void add_value(struct candidates *list, uint32_t value)
{
	if (!list->nr)
		candidates_set(list, VALUE_BLANK);
	if (!candidates_have(list, value))
		candidates_add(list, (struct candidate){ INITIAL, value, 0 });
}

void oracle_held_written(struct oracle *oracle,
			 const struct operation *operation, uint32_t value)
{
	for (uint32_t i = 0; i < oracle->nr_held; i++) {
		struct volume *volume = &oracle->held[i];

		if (volume->number != operation->volume)
			continue;
		for (uint64_t s = operation->begin; s < operation->end; s++) {
			struct candidates *list =
				volume_find(volume, &oracle->rules, s);

			if (list)
				add_value(list, value);
		}
	}
}

bool oracle_held_shows(const struct oracle *oracle, const struct volume *held,
		       uint64_t begin, uint64_t end, const void *buffer,
		       struct verdict *verdict)
{
	struct question question = { .submit = oracle->history.now };
	const char *bytes = buffer;

	for (uint64_t s = begin; s < end; s++, bytes += SECTOR_BYTES)
		if (oracle_judge(oracle, held, s, &question, bytes, verdict) ==
		    VALUE_NONE)
			return false;

	return true;
}
