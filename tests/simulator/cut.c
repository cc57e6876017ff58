/*
 * cut.c - is a snapshot of one instant (N1)?
 *
 * Each bio that was in flight while the snapshot was taken has to be in it
 * wholly or not at all, and if it is, then so is all that completed before it
 * was submitted.  A sector of the snapshot tells that bio U is in when it holds
 * U's data, and that it is out when it holds what had been there before U was
 * submitted.  Anything else, say a later bio's data, tells nothing.
 *
 * Only what is known is asked: sectors whose initial value was seen.
 */
#include "simulator/oracle.h"

#define UNKNOWN VALUE_NONE

struct evidence {
	bool in, out;
	uint64_t in_at, out_at; /* sectors */
};

static uint32_t seen_value(const struct oracle *oracle,
			   const struct volume *snapshot, uint64_t sector)
{
	const struct candidates *list =
		volume_find(snapshot, &oracle->rules, sector);
	const struct candidate *first;

	if (!list || !list->nr)
		return VALUE_BLANK;
	first = candidates_get(list, 0);
	if (list->nr > 1 || first->operation != INITIAL)
		return UNKNOWN;

	return first->value;
}

/* Is what a sector shows older than @u? */
static bool is_older(const struct oracle *oracle, uint32_t value,
		     const struct operation *u)
{
	return value < VALUE_BLANK &&
	       is_before(history_get(&oracle->history, value), u);
}

/* Was anything but @u itself in a position to make this sector blank or zero
 * after @u was submitted?  Then nothing follows from its being so. */
static bool may_be_cleared(const struct oracle *oracle, const struct cut *cut,
			   uint32_t volume, uint64_t sector,
			   const struct operation *u)
{
	const struct history *history = &oracle->history;

	for (uint32_t i = 1; i < history->nr; i++) {
		const struct operation *o = history_get(history, i);

		if ((o->op == TP_DISCARD || o->op == TP_WRITE_ZEROES ||
		     o->zeroes) &&
		    (o->volume == volume || o->submit > cut->begin) &&
		    o->begin <= sector && sector < o->end &&
		    o->completion > u->submit)
			return true;
	}

	return false;
}

static void look(const struct oracle *oracle, const struct cut *cut,
		 unsigned pair, uint32_t number, uint64_t sector,
		 struct evidence *evidence)
{
	const struct operation *u = history_get(&oracle->history, number);
	uint32_t value = seen_value(
		oracle, &oracle->volumes[cut->pairs[pair].volume], sector);
	bool is_cleared = value == VALUE_BLANK || value == VALUE_ZERO;

	if (value == number) {
		evidence->in = true;
		evidence->in_at = sector;
	} else if (is_older(oracle, value, u) ||
		   (is_cleared &&
		    !may_be_cleared(oracle, cut, u->volume, sector, u))) {
		evidence->out = true;
		evidence->out_at = sector;
	}
}

/* Writes only, and not of zeroes: what they leave behind cannot be mistaken. */
static bool is_uncertain(const struct oracle *oracle, const struct cut *cut,
			 unsigned pair, uint32_t number)
{
	const struct operation *u = history_get(&oracle->history, number);

	return u->volume == cut->pairs[pair].origin && u->op == TP_WRITE &&
	       !u->zeroes && u->submit < cut->end &&
	       u->completion > cut->begin &&
	       (u->ok || (u->completion == NOT_YET && !u->may_fail));
}

static struct evidence collect(const struct oracle *oracle,
			       const struct cut *cut, unsigned pair,
			       uint32_t number, uint64_t begin, uint64_t end)
{
	struct evidence evidence = { 0 };

	for (uint64_t s = begin; s < end; s++)
		look(oracle, cut, pair, number, s, &evidence);

	return evidence;
}

/* Is what lies in [begin, end) of it in, all of it, or out? */
static bool check_piece(const struct oracle *oracle, const struct cut *cut,
			unsigned pair, uint32_t number, uint64_t begin,
			uint64_t end, struct verdict *verdict)
{
	struct evidence evidence =
		collect(oracle, cut, pair, number, begin, end);

	if (!evidence.in || !evidence.out)
		return true;

	return violated(verdict,
			"volume %u, a snapshot of %u, holds operation %u in "
			"part: sector %llu is in, %llu is not",
			cut->pairs[pair].volume, cut->pairs[pair].origin,
			number, (unsigned long long)evidence.in_at,
			(unsigned long long)evidence.out_at);
}

/* Wholly; of a bio that had to wait for space, each block of it is. */
static bool check_whole(const struct oracle *oracle, const struct cut *cut,
			unsigned pair, uint32_t number, struct verdict *verdict)
{
	const struct operation *u = history_get(&oracle->history, number);
	uint64_t block = oracle->rules.block_sectors, next;

	for (uint64_t s = u->begin; s < u->end; s = next) {
		next = u->had_to_wait ? (s / block + 1) * block : u->end;
		if (next > u->end)
			next = u->end;
		if (!check_piece(oracle, cut, pair, number, s, next, verdict))
			return false;
	}

	return true;
}

/* If @b is in, so is each @a that came before it, on any of the origins. */
static bool check_causes(const struct oracle *oracle, const struct cut *cut,
			 uint32_t b, unsigned pair_a, uint32_t a,
			 struct verdict *verdict)
{
	const struct operation *oa = history_get(&oracle->history, a);
	const struct operation *ob = history_get(&oracle->history, b);
	struct evidence evidence;

	if (!is_uncertain(oracle, cut, pair_a, a) || !is_before(oa, ob))
		return true;
	evidence = collect(oracle, cut, pair_a, a, oa->begin, oa->end);
	if (!evidence.out)
		return true;

	return violated(verdict,
			"snapshot %u holds operation %u, and not operation %u, "
			"which had completed before it was submitted "
			"(sector %llu)",
			cut->pairs[pair_a].volume, b, a,
			(unsigned long long)evidence.out_at);
}

static bool check_operation(const struct oracle *oracle, const struct cut *cut,
			    unsigned pair, uint32_t number,
			    struct verdict *verdict)
{
	const struct history *history = &oracle->history;
	const struct operation *u = history_get(history, number);

	if (!is_uncertain(oracle, cut, pair, number))
		return true;
	if (!check_whole(oracle, cut, pair, number, verdict))
		return false;
	if (!collect(oracle, cut, pair, number, u->begin, u->end).in)
		return true;
	for (unsigned p = 0; p < cut->nr_pairs; p++)
		for (uint32_t a = history->first; a < number; a++)
			if (!check_causes(oracle, cut, number, p, a, verdict))
				return false;

	return true;
}

bool cut_check(const struct oracle *oracle, const struct cut *cut,
	       struct verdict *verdict)
{
	const struct history *history = &oracle->history;

	for (unsigned p = 0; p < cut->nr_pairs; p++) {
		if (!oracle->volumes[cut->pairs[p].volume].exists)
			continue;
		for (uint32_t i = history->first; i < history->nr; i++)
			if (!check_operation(oracle, cut, p, i, verdict))
				return false;
	}

	return true;
}
