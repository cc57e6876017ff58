/*
 * history.c - what a sector may read as while many bios overlap.
 */
#include "support/history.h"

#include <check.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "support/pattern.h"

#define SECTOR 512u
#define WORDS (SECTOR / sizeof(uint64_t))
#define MAX_OPS (1u << 23)
#define MAGIC 0x746867615447u

/*---------------------------- life -----------------------------------------*/

void history_init(struct history *history)
{
	history->clock = 1;
	history->nr_ops = 1;
	history->ops = mmap(NULL, MAX_OPS * sizeof(*history->ops),
			    PROT_READ | PROT_WRITE,
			    MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	if (history->ops == MAP_FAILED)
		abort();
}

void history_exit(struct history *history)
{
	munmap(history->ops, MAX_OPS * sizeof(*history->ops));
}

bool history_is_full(const struct history *history)
{
	return history->nr_ops > MAX_OPS - 4096;
}

void history_volume_init(struct history *history, struct history_volume *volume,
			 uint64_t bytes)
{
	*volume = (struct history_volume){
		.history = history,
		.nr_sectors = (uint32_t)(bytes / SECTOR),
		.sectors =
			calloc(bytes / SECTOR, sizeof(struct history_sector)),
	};
	pthread_mutex_init(&volume->lock, NULL);
}

void history_volume_exit(struct history_volume *volume)
{
	pthread_mutex_destroy(&volume->lock);
	free(volume->sectors);
	free(volume->recorded);
}

/*---------------------------- operations -----------------------------------*/

static uint64_t now(struct history *history)
{
	return history->clock++;
}

uint32_t history_begin(struct history_volume *volume, uint64_t offset,
		       uint64_t length, bool blanks)
{
	struct history *history = volume->history;
	uint32_t number = history->nr_ops++;
	struct history_op *op = &history->ops[number];

	op->volume = volume;
	op->begin = (uint32_t)(offset / SECTOR);
	op->end = (uint32_t)((offset + length) / SECTOR);
	op->blanks = blanks;
	op->ended = HISTORY_NEVER;
	pthread_mutex_lock(&volume->lock);
	op->submitted = now(history);
	for (uint32_t i = op->begin; i < op->end; i++) {
		volume->sectors[i].nr_under_way++;
		volume->sectors[i].nr_blanking += blanks;
	}
	pthread_mutex_unlock(&volume->lock);

	return number;
}

static void record(struct history_volume *volume, uint32_t op)
{
	if (volume->nr_recorded == volume->room_recorded) {
		volume->room_recorded = 2 * volume->room_recorded + 64;
		volume->recorded = realloc(volume->recorded,
					   volume->room_recorded *
						   sizeof(*volume->recorded));
	}
	volume->recorded[volume->nr_recorded++] = op;
}

static void raise_to(uint64_t *value, uint64_t to)
{
	if (*value < to)
		*value = to;
}

void history_end(struct history *history, uint32_t number)
{
	struct history_op *op = &history->ops[number];
	struct history_volume *volume = op->volume;

	pthread_mutex_lock(&volume->lock);
	op->ended = now(history);
	for (uint32_t i = op->begin; i < op->end; i++) {
		struct history_sector *sector = &volume->sectors[i];

		sector->nr_under_way--;
		sector->ended = op->ended;
		raise_to(&sector->floor, op->submitted);
		if (op->blanks) {
			sector->nr_blanking--;
			raise_to(&sector->blanked, op->ended);
		}
	}
	if (volume->recording)
		record(volume, number);
	pthread_mutex_unlock(&volume->lock);
}

/*---------------------------- tags -----------------------------------------*/

/* magic, operation, sector, and words that depend on them all. */
static uint64_t tag_word(uint32_t op, uint32_t sector, unsigned i)
{
	switch (i) {
	case 0:
		return MAGIC;
	case 1:
		return op;
	case 2:
		return sector;
	default:
		return mix(((uint64_t)op << 32 | sector) + i);
	}
}

void history_fill(struct history *history, uint32_t number, char *buffer)
{
	const struct history_op *op = &history->ops[number];
	uint64_t *word = (uint64_t *)buffer;

	for (uint32_t sector = op->begin; sector < op->end; sector++)
		for (unsigned i = 0; i < WORDS; i++)
			*word++ = tag_word(number, sector, i);
}

enum shown { SHOWS_ZERO, SHOWS_OP, SHOWS_RUBBISH };

static enum shown look(struct history_volume *volume, uint32_t sector,
		       const char *bytes, uint32_t *number)
{
	struct history *history = volume->history;
	uint64_t words[WORDS];
	const struct history_op *op;

	memcpy(words, bytes, SECTOR);
	if (!words[0] && find_nonzero(bytes, SECTOR, 0) == UINT64_MAX)
		return SHOWS_ZERO;
	*number = (uint32_t)words[1];
	if (words[1] >= history->nr_ops)
		return SHOWS_RUBBISH;
	for (unsigned i = 0; i < WORDS; i++)
		if (words[i] != tag_word(*number, sector, i))
			return SHOWS_RUBBISH;
	op = &history->ops[*number];

	return op->volume == volume && !op->blanks && sector >= op->begin &&
			       sector < op->end
		       ? SHOWS_OP
		       : SHOWS_RUBBISH;
}

/* When what the sector shows had ended: for zero, the last that it may be of. */
static uint64_t ended_of(struct history_volume *volume, enum shown shown,
			 uint32_t number, const struct history_sector *zeroes)
{
	if (shown == SHOWS_OP)
		return volume->history->ops[number].ended;

	return zeroes->nr_blanking ? HISTORY_NEVER : zeroes->blanked;
}

/*---------------------------- reads ----------------------------------------*/

void history_begin_read(struct history_volume *volume, uint64_t offset,
			uint64_t length, struct history_read *read)
{
	read->volume = volume;
	read->begin = (uint32_t)(offset / SECTOR);
	read->end = (uint32_t)((offset + length) / SECTOR);
	pthread_mutex_lock(&volume->lock);
	read->submitted = now(volume->history);
	for (uint32_t i = read->begin; i < read->end; i++)
		read->floors[i - read->begin] = volume->sectors[i].floor;
	pthread_mutex_unlock(&volume->lock);
}

static bool may_be_torn(const struct history_read *read,
			const struct history_sector *sector)
{
	return read->volume->history->may_tear &&
	       (sector->nr_under_way || sector->ended > read->submitted);
}

/* Lock held, for what is under way now counts. */
static void check_sector(const struct history_read *read, uint32_t i,
			 const char *bytes)
{
	const struct history_sector *sector = &read->volume->sectors[i];
	uint32_t number = 0;
	enum shown shown = look(read->volume, i, bytes, &number);

	if (shown == SHOWS_RUBBISH) {
		ck_assert_msg(may_be_torn(read, sector),
			      "sector %u shows what nobody wrote there", i);
		return;
	}
	ck_assert_msg(ended_of(read->volume, shown, number, sector) >=
			      read->floors[i - read->begin],
		      "sector %u shows what was written over before the read "
		      "(operation %u)",
		      i, number);
}

void history_check_read(const struct history_read *read, const char *buffer)
{
	pthread_mutex_lock(&read->volume->lock);
	for (uint32_t i = read->begin; i < read->end; i++)
		check_sector(read, i, buffer + (i - read->begin) * SECTOR);
	pthread_mutex_unlock(&read->volume->lock);
}

/*---------------------------- cuts -----------------------------------------*/

static struct history_sector *copy_sectors(const struct history_volume *volume)
{
	size_t bytes = volume->nr_sectors * sizeof(*volume->sectors);

	return memcpy(malloc(bytes), volume->sectors, bytes);
}

void history_begin_cut(struct history_volume *volume, struct history_cut *cut)
{
	pthread_mutex_lock(&volume->lock);
	*cut = (struct history_cut){
		.volume = volume,
		.begin = now(volume->history),
		.before = copy_sectors(volume),
	};
	volume->recording = true;
	pthread_mutex_unlock(&volume->lock);
}

void history_end_cut(struct history_cut *cut)
{
	struct history_volume *volume = cut->volume;

	pthread_mutex_lock(&volume->lock);
	cut->end = now(volume->history);
	cut->after = copy_sectors(volume);
	cut->recorded = volume->recorded;
	cut->nr_recorded = volume->nr_recorded;
	volume->recording = false;
	volume->recorded = NULL;
	volume->nr_recorded = volume->room_recorded = 0;
	pthread_mutex_unlock(&volume->lock);
}

void history_cut_exit(struct history_cut *cut)
{
	free(cut->before);
	free(cut->after);
	free(cut->recorded);
}

/* What each sector of a cut shows. */
struct view {
	const struct history_cut *cut;
	uint64_t *ended; /* when what is shown had ended */
	uint32_t *shown; /* operation, 0: zero */
	uint64_t latest; /* submission among those shown */
};

static void view_sector(struct view *view, uint32_t sector, const char *bytes)
{
	const struct history_cut *cut = view->cut;
	struct history_volume *volume = cut->volume;
	uint32_t number = 0;
	enum shown shown = look(volume, sector, bytes, &number);

	ck_assert_msg(shown != SHOWS_RUBBISH,
		      "sector %u of a snapshot shows what nobody wrote there",
		      sector);
	view->ended[sector] =
		ended_of(volume, shown, number, &cut->after[sector]);
	ck_assert_msg(
		view->ended[sector] >= cut->before[sector].floor,
		"sector %u of a snapshot shows what was written over before",
		sector);
	if (shown == SHOWS_ZERO)
		return;
	view->shown[sector] = number;
	raise_to(&view->latest, volume->history->ops[number].submitted);
	ck_assert_msg(volume->history->ops[number].submitted < cut->end,
		      "sector %u of a snapshot shows what came after", sector);
}

/* The operation is in: all of its sectors show it, or what is not older. */
static void check_is_in(const struct view *view, uint32_t number)
{
	const struct history_op *op = &view->cut->volume->history->ops[number];

	for (uint32_t sector = op->begin; sector < op->end; sector++)
		ck_assert_msg(
			view->ended[sector] >= op->submitted,
			"a snapshot shows a part of operation %u, but not "
			"sector %u of it",
			number, sector);
}

static void check_is_closed(const struct view *view)
{
	const struct history_cut *cut = view->cut;
	uint32_t last = 0;

	for (uint32_t sector = 0; sector < cut->volume->nr_sectors; sector++) {
		uint32_t number = view->shown[sector];

		if (number && number != last)
			check_is_in(view, number);
		last = number;
	}
	for (size_t i = 0; i < cut->nr_recorded; i++) {
		const struct history_op *op =
			&cut->volume->history->ops[cut->recorded[i]];

		if (op->ended < view->latest)
			check_is_in(view, cut->recorded[i]);
	}
}

void history_check_cut(const struct history_cut *cut, const char *content)
{
	size_t nr = cut->volume->nr_sectors;
	struct view view = {
		.cut = cut,
		.ended = calloc(nr, sizeof(*view.ended)),
		.shown = calloc(nr, sizeof(*view.shown)),
	};

	for (uint32_t sector = 0; sector < nr; sector++)
		view_sector(&view, sector, content + (size_t)sector * SECTOR);
	check_is_closed(&view);
	free(view.ended);
	free(view.shown);
}
