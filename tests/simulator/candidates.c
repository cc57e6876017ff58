/*
 * candidates.c - the values that one sector may have.
 *
 * Lists are short, mostly of one or two, so everything is a plain loop.
 */
#include <stdlib.h>
#include <string.h>

#include "simulator/candidates.h"

static struct candidate *items(struct candidates *list)
{
	return list->room ? list->many : list->few;
}

void candidates_exit(struct candidates *list)
{
	if (list->room)
		free(list->many);
	list->nr = list->room = 0;
}

void candidates_copy(struct candidates *to, const struct candidates *from)
{
	*to = *from;
	if (!from->room)
		return;
	to->many = malloc(from->room * sizeof(*to->many));
	memcpy(to->many, from->many, from->nr * sizeof(*to->many));
}

const struct candidate *candidates_get(const struct candidates *list,
				       uint32_t i)
{
	return list->room ? &list->many[i] : &list->few[i];
}

static void grow(struct candidates *list)
{
	uint32_t room = list->room ? 2 * list->room : 4 * NR_FEW;
	struct candidate *many = malloc(room * sizeof(*many));

	memcpy(many, items(list), list->nr * sizeof(*many));
	if (list->room)
		free(list->many);
	list->many = many;
	list->room = room;
}

void candidates_add(struct candidates *list, struct candidate candidate)
{
	if (list->nr == (list->room ? list->room : NR_FEW))
		grow(list);
	items(list)[list->nr++] = candidate;
}

void candidates_set(struct candidates *list, uint32_t value)
{
	candidates_exit(list);
	candidates_add(list, (struct candidate){ INITIAL, value, 0 });
}

void candidates_forget(struct candidates *list, uint32_t i, uint64_t now)
{
	if (!items(list)[i].gone)
		items(list)[i].gone = (uint32_t)now;
}

void candidates_thaw(struct candidates *list)
{
	for (uint32_t i = 0; i < list->nr; i++)
		items(list)[i].gone = 0;
}

bool candidates_have(const struct candidates *list, uint32_t value)
{
	for (uint32_t i = 0; i < list->nr; i++)
		if (candidates_get(list, i)->value == value)
			return true;

	return false;
}

void candidates_withdraw(struct candidates *list, uint32_t operation)
{
	struct candidate *all = items(list);
	uint32_t kept = 0;

	for (uint32_t i = 0; i < list->nr; i++)
		if (all[i].operation != operation)
			all[kept++] = all[i];
	list->nr = kept;
}

static struct operation *operation_of(const struct candidates *list, uint32_t i,
				      const struct history *history)
{
	return history_get(history, candidates_get(list, i)->operation);
}

/* Is it certain, for a read submitted at @submit, that @b took effect? */
static bool is_certain(const struct operation *b, uint64_t submit,
		       uint64_t rolled_back)
{
	return b->ok && !b->maybe && b->completion < submit &&
	       (b->sealed || b->submit > rolled_back);
}

bool candidates_may_read(const struct candidates *list, uint32_t i,
			 const struct history *history, uint64_t submit,
			 uint64_t rolled_back)
{
	const struct operation *a = operation_of(list, i, history);

	if (candidates_get(list, i)->gone &&
	    submit > candidates_get(list, i)->gone)
		return false;
	for (uint32_t j = i + 1; j < list->nr; j++) {
		const struct operation *b = operation_of(list, j, history);

		if (is_before(a, b) && is_certain(b, submit, rolled_back))
			return false;
	}

	return true;
}

static bool is_sealed(const struct operation *b, uint64_t until)
{
	return b->sealed || (b->ok && !b->maybe && b->completion < until);
}

bool candidates_may_survive(const struct candidates *list, uint32_t i,
			    const struct history *history,
			    uint64_t sealed_until)
{
	const struct operation *a = operation_of(list, i, history);

	for (uint32_t j = i + 1; j < list->nr; j++) {
		const struct operation *b = operation_of(list, j, history);

		if (is_before(a, b) && is_sealed(b, sealed_until))
			return false;
	}

	return true;
}

void candidates_prune(struct candidates *list, const struct history *history,
		      uint64_t horizon)
{
	struct candidate *all = items(list);
	uint32_t kept = 0;

	for (uint32_t i = 0; i < list->nr; i++) {
		const struct operation *a = operation_of(list, i, history);
		bool gone = false;

		for (uint32_t j = i + 1; j < list->nr && !gone; j++) {
			const struct operation *b =
				operation_of(list, j, history);

			gone = b->sealed && is_before(a, b) &&
			       b->completion < horizon;
		}
		if (!gone)
			all[kept++] = all[i];
	}
	list->nr = kept;
}
