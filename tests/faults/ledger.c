/*
 * ledger.c - what each sector of each volume may hold.
 */
#include <check.h>
#include <string.h>

#include "faults/ledger.h"
#include "support/pattern.h"

#define SECTOR 512u

void ledger_init(struct ledger *ledger)
{
	*ledger = (struct ledger){ .next_seed = 1 };
}

unsigned ledger_tick(struct ledger *ledger)
{
	return ++ledger->now;
}

uint64_t ledger_new_seed(struct ledger *ledger)
{
	return ledger->next_seed++;
}

/* Blank all over, since ever. */
static void make_blank(struct ledger_volume *volume)
{
	volume->ops[0] = (struct ledger_op){
		.end = UINT64_MAX,
		.content = LEDGER_BLANK,
		.submitted = 1,
		.ended = 1,
		.ok = true,
		.sealed = true,
	};
	volume->nr_ops = 1;
}

struct ledger_volume *ledger_volume(struct ledger *ledger, uint32_t id)
{
	unsigned i = 0;

	while (i < LEDGER_VOLUMES && ledger->volumes[i].nr_ops &&
	       ledger->volumes[i].id != id)
		i++;
	ck_assert_uint_lt(i, LEDGER_VOLUMES);
	if (!ledger->volumes[i].nr_ops) {
		ledger->volumes[i].id = id;
		make_blank(&ledger->volumes[i]);
	}

	return &ledger->volumes[i];
}

/*---------------------------- operations -----------------------------------*/

struct ledger_op *ledger_begin(struct ledger *ledger,
			       struct ledger_volume *volume, uint64_t begin,
			       uint64_t end, uint64_t content)
{
	struct ledger_op *op = &volume->ops[volume->nr_ops++];

	ck_assert_uint_le(volume->nr_ops, LEDGER_OPS);
	*op = (struct ledger_op){
		.begin = begin,
		.end = end,
		.content = content,
		.submitted = ledger_tick(ledger),
	};

	return op;
}

void ledger_end(struct ledger *ledger, struct ledger_op *op, bool ok)
{
	ck_assert_uint_eq(op->ended, 0);
	op->ended = ledger_tick(ledger);
	op->ok = ok;
}

void ledger_seal(struct ledger_op *op)
{
	ck_assert(op->ok);
	op->sealed = true;
}

static void seal_before(struct ledger_volume *volume, unsigned began)
{
	for (unsigned i = 0; i < volume->nr_ops; i++) {
		struct ledger_op *op = &volume->ops[i];

		if (op->ok && op->ended < began)
			op->sealed = true;
	}
}

void ledger_flushed(struct ledger_volume *volume, unsigned began)
{
	ck_assert_msg(!volume->marked,
		      "volume %u lost writes, and a flush of it succeeds",
		      volume->id);
	seal_before(volume, began);
}

void ledger_committed(struct ledger *ledger, unsigned began)
{
	for (unsigned i = 0; i < LEDGER_VOLUMES; i++)
		if (!ledger->volumes[i].marked)
			seal_before(&ledger->volumes[i], began);
}

static void note_failure(struct ledger_volume *volume,
			 const struct ledger_op *op)
{
	if (op->flushed || op->sealed)
		return;
	if (op->perhaps)
		volume->touched = true;
	else
		volume->marked = true;
}

static void data_flushed(struct ledger_volume *volume, unsigned began, bool ok,
			 bool hears_late)
{
	for (unsigned i = 0; i < volume->nr_ops; i++) {
		struct ledger_op *op = &volume->ops[i];
		bool before = op->ended && op->ended < began;

		if (ok && !before)
			op->perhaps |= hears_late;
		if (!op->ok || !before)
			continue;
		if (ok)
			op->flushed = true;
		else
			note_failure(volume, op);
	}
}

void ledger_data_flushed(struct ledger *ledger, unsigned began, bool ok)
{
	for (unsigned i = 0; i < LEDGER_VOLUMES; i++)
		data_flushed(&ledger->volumes[i], began, ok,
			     ledger->hears_late);
}

void ledger_created(struct ledger_volume *volume, bool ok)
{
	make_blank(volume);
	volume->exists = ok;
	volume->doubtful = !ok;
}

void ledger_deleted(struct ledger_volume *volume, bool ok)
{
	volume->exists = !ok;
	volume->doubtful = !ok;
}

/* If it exists it is whole, even if the call said that it failed (N3). */
void ledger_snapshot(struct ledger *ledger, struct ledger_volume *volume,
		     struct ledger_volume *origin, bool ok)
{
	memcpy(volume->ops, origin->ops, sizeof(volume->ops));
	volume->nr_ops = origin->nr_ops;
	origin->touched |= !ok;
	volume->origin_seed = origin->origin_seed;
	volume->origin_bytes = origin->origin_bytes;
	volume->exists = ok;
	volume->doubtful = !ok;
	seal_before(volume, ledger_tick(ledger));
}

/*---------------------------- what may be seen -----------------------------*/

static bool covers(const struct ledger_op *op, uint64_t at)
{
	return op->begin <= at && at < op->end;
}

/* Is there one that takes its place for sure? */
static bool is_superseded(const struct ledger_volume *volume,
			  const struct ledger_op *op, enum ledger_view view,
			  uint64_t at)
{
	for (unsigned i = 0; i < volume->nr_ops; i++) {
		const struct ledger_op *by = &volume->ops[i];
		bool counts = view == LEDGER_LIVE ? by->ok : by->sealed;

		if (counts && covers(by, at) && op->ended &&
		    op->ended < by->submitted)
			return true;
	}

	return false;
}

static bool is_content(const struct ledger_volume *volume, uint64_t content,
		       const char *sector, uint64_t at)
{
	if (content == LEDGER_BLANK)
		content = at < volume->origin_bytes ? volume->origin_seed
						    : LEDGER_ZERO;
	if (content == LEDGER_ZERO)
		return find_nonzero(sector, SECTOR, at) == UINT64_MAX;

	return find_other(sector, SECTOR, at, content) == UINT64_MAX;
}

static bool is_allowed(const struct ledger_volume *volume,
		       enum ledger_view view, const char *sector, uint64_t at)
{
	for (unsigned i = volume->nr_ops; i-- > 0;) {
		const struct ledger_op *op = &volume->ops[i];

		if (covers(op, at) &&
		    is_content(volume, op->content, sector, at) &&
		    !is_superseded(volume, op, view, at))
			return true;
	}

	return false;
}

/* Libcheck writes down every assertion that holds: not one for each sector. */
void ledger_check(const struct ledger_volume *volume, enum ledger_view view,
		  const char *bytes, uint64_t begin, uint64_t end)
{
	for (uint64_t at = begin; at < end; at += SECTOR)
		if (!is_allowed(volume, view, bytes + (at - begin), at))
			ck_abort_msg("the sector at %llu of volume %u holds "
				     "what it must not%s",
				     (unsigned long long)at, volume->id,
				     view == LEDGER_CRASHED ? " after a crash"
							    : "");
}
