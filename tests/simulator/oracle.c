/*
 * oracle.c - bios, and what they make of the sectors.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "simulator/oracle.h"
#include "simulator/tag.h"

struct oracle *oracle_new(const struct rules *rules, const struct facts *facts)
{
	struct oracle *oracle = calloc(1, sizeof(*oracle));

	oracle->rules = *rules;
	oracle->facts = *facts;
	history_init(&oracle->history);

	return oracle;
}

static void *copy_of(const void *items, size_t bytes)
{
	return bytes ? memcpy(malloc(bytes), items, bytes) : NULL;
}

struct oracle *oracle_copy(const struct oracle *from)
{
	struct oracle *to = copy_of(from, sizeof(*from));

	history_copy(&to->history, &from->history);
	to->room = from->nr_volumes;
	to->volumes = calloc(to->room ? to->room : 1, sizeof(*to->volumes));
	for (uint32_t i = 0; i < from->nr_volumes; i++)
		volume_copy(&to->volumes[i], &from->volumes[i], &to->rules);
	to->held = to->nr_held ? calloc(to->nr_held, sizeof(*to->held)) : NULL;
	for (uint32_t i = 0; i < from->nr_held; i++)
		volume_copy(&to->held[i], &from->held[i], &to->rules);
	to->cuts = copy_of(from->cuts, from->nr_cuts * sizeof(*to->cuts));

	return to;
}

void oracle_free(struct oracle *oracle)
{
	if (!oracle)
		return;
	for (uint32_t i = 0; i < oracle->nr_volumes; i++)
		volume_exit(&oracle->volumes[i], &oracle->rules);
	oracle_release(oracle);
	history_exit(&oracle->history);
	free(oracle->volumes);
	free(oracle->cuts);
	free(oracle);
}

struct volume *oracle_find(const struct oracle *oracle, uint32_t id)
{
	for (uint32_t i = 0; i < oracle->nr_volumes; i++)
		if (oracle->volumes[i].exists && oracle->volumes[i].id == id)
			return &oracle->volumes[i];

	return NULL;
}

static uint64_t begin_of(const struct control *control)
{
	return control->kind == CONTROL_NONE ? NOT_YET : control->begin;
}

static uint64_t min_of(uint64_t a, uint64_t b)
{
	return a < b ? a : b;
}

uint64_t oracle_horizon(const struct oracle *oracle)
{
	return min_of(history_oldest_read(&oracle->history),
		      min_of(begin_of(&oracle->control),
			     begin_of(&oracle->doubt)));
}

/*---------------------------- submission -----------------------------------*/

static bool changes_sectors(const struct operation *operation)
{
	return operation->op == TP_WRITE || operation->op == TP_DISCARD ||
	       operation->op == TP_WRITE_ZEROES;
}

static uint32_t value_of(const struct operation *operation, uint32_t number)
{
	switch (operation->op) {
	case TP_DISCARD:
		return VALUE_BLANK;
	case TP_WRITE_ZEROES:
		return VALUE_ZERO;
	default:
		return operation->zeroes ? VALUE_ZERO : number;
	}
}

static void append(struct oracle *oracle, uint32_t number)
{
	const struct operation *operation =
		history_get(&oracle->history, number);
	struct volume *volume = &oracle->volumes[operation->volume];
	struct candidate candidate = { number, value_of(operation, number), 0 };
	uint64_t begin, end, horizon = oracle_horizon(oracle);

	volume_clip(volume, &oracle->rules, operation, &begin, &end);
	for (uint64_t s = begin; s < end; s++) {
		struct candidates *list =
			volume_touch(volume, &oracle->rules, s);

		if (!list->nr)
			candidates_set(list, VALUE_BLANK);
		candidates_prune(list, &oracle->history, horizon);
		candidates_add(list, candidate);
	}
}

static void note_written(struct oracle *oracle, struct volume *volume,
			 const struct operation *operation)
{
	uint64_t block = oracle->rules.block_sectors;

	for (uint64_t b = operation->begin / block; b * block < operation->end;
	     b++) {
		volume_touch(volume, &oracle->rules, b * block);
		volume->blocks[b]->was_written = true;
	}
}

uint32_t oracle_submit(struct oracle *oracle, const struct operation *operation)
{
	uint32_t number = history_submit(&oracle->history, operation);

	if (changes_sectors(operation))
		append(oracle, number);
	if (changes_sectors(operation) && operation->op != TP_DISCARD) {
		note_written(oracle, &oracle->volumes[operation->volume],
			     operation);
		oracle_held_written(oracle, operation,
				    value_of(operation, number));
	}

	return number;
}

static void withdraw(struct oracle *oracle, uint32_t number)
{
	const struct operation *operation =
		history_get(&oracle->history, number);
	const struct volume *volume = &oracle->volumes[operation->volume];
	uint64_t begin, end;

	volume_clip(volume, &oracle->rules, operation, &begin, &end);
	for (uint64_t s = begin; s < end; s++)
		candidates_withdraw(volume_find(volume, &oracle->rules, s),
				    number);
}

void oracle_refused(struct oracle *oracle, uint32_t number)
{
	struct operation *operation = history_get(&oracle->history, number);

	if (changes_sectors(operation))
		withdraw(oracle, number);
	operation->completion = history_tick(&oracle->history);
	operation->status = -EINVAL;
}

/*---------------------------- completion -----------------------------------*/

/* Once one of several initial values has been seen, it is that one. */
static void settle_initial(struct candidates *list, uint32_t value)
{
	if (!list || list->nr < 2)
		return;
	for (uint32_t i = 0; i < list->nr; i++)
		if (candidates_get(list, i)->operation != INITIAL)
			return;
	candidates_set(list, value);
}

static bool check_read(struct oracle *oracle, const struct operation *read,
		       const char *buffer, struct verdict *verdict)
{
	struct volume *volume = &oracle->volumes[read->volume];
	struct question question = { .submit = read->submit };

	for (uint64_t s = read->begin; s < read->end; s++) {
		uint32_t value = oracle_judge(oracle, volume, s, &question,
					      buffer, verdict);

		if (value == VALUE_NONE)
			return false;
		settle_initial(volume_find(volume, &oracle->rules, s), value);
		if (oracle->rolled_back && read->submit > oracle->rolled_back)
			oracle_freeze(oracle, volume, s, read->submit, buffer);
		buffer += SECTOR_BYTES;
	}

	return true;
}

static bool is_in_one_block(const struct oracle *oracle,
			    const struct operation *operation)
{
	uint64_t block = oracle->rules.block_sectors;

	return operation->begin / block == (operation->end - 1) / block;
}

static bool had_no_effect(const struct oracle *oracle,
			  const struct operation *operation)
{
	return operation->status == -ENOSPC && changes_sectors(operation) &&
	       is_in_one_block(oracle, operation);
}

static void seal_by(struct oracle *oracle, struct operation *operation)
{
	if (!operation->ok)
		return;
	if (operation->op == TP_FLUSH || (operation->flags & TP_PREFLUSH))
		history_seal(&oracle->history, operation->volume,
			     operation->submit);
	if ((operation->flags & TP_FUA) && !operation->maybe)
		operation->sealed = true;
}

bool oracle_end(struct oracle *oracle, uint32_t number, int status,
		const void *buffer, struct verdict *verdict)
{
	struct operation *operation = history_get(&oracle->history, number);
	bool right = true;

	if (operation->op == TP_READ && !status)
		right = check_read(oracle, operation, buffer, verdict);
	operation->completion = history_tick(&oracle->history);
	operation->status = status;
	operation->ok = !status;
	if (had_no_effect(oracle, operation))
		withdraw(oracle, number);
	seal_by(oracle, operation);

	return right;
}

void oracle_out_of_space(struct oracle *oracle)
{
	struct history *history = &oracle->history;

	for (uint32_t i = history->first; i < history->nr; i++)
		if (history->operations[i].completion == NOT_YET)
			history->operations[i].had_to_wait = true;
}

void oracle_request_failed(struct oracle *oracle)
{
	struct history *history = &oracle->history;

	for (uint32_t i = history->first; i < history->nr; i++)
		if (history->operations[i].completion == NOT_YET)
			history->operations[i].may_fail = true;
}

static void thaw(const struct volume *volume, const struct rules *rules)
{
	for (uint32_t b = 0; b < volume->nr_blocks; b++)
		for (uint32_t s = 0;
		     volume->blocks[b] && s < rules->block_sectors; s++)
			candidates_thaw(&volume->blocks[b]->sectors[s]);
}

void oracle_rolled_back(struct oracle *oracle)
{
	oracle->rolled_back = history_tick(&oracle->history);
	for (uint32_t i = 0; i < oracle->nr_volumes; i++)
		thaw(&oracle->volumes[i], &oracle->rules);
}
