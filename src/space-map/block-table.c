/*
 * block-table.c - block numbers to values: open addressing, linear probing.
 *
 * Between the slot that a key hashes to and the one it lies in, no slot is
 * empty; so a search ends at the first empty one, and removing a key moves
 * those behind it up.  At most three slots in four are taken.
 */
#include "space-map/block-table.h"

#include <stdlib.h>
#include <string.h>

#define EMPTY UINT64_MAX
#define MIN_SLOTS 16
#define SLOTS_KEPT (32u << 10)

void tpi_block_table_init(struct tpi_block_table *table, size_t value_bytes)
{
	memset(table, 0, sizeof(*table));
	table->value_bytes = value_bytes;
}

void tpi_block_table_exit(struct tpi_block_table *table)
{
	free(table->keys);
	free(table->values);
	tpi_block_table_init(table, table->value_bytes);
}

static void make_empty(struct tpi_block_table *table)
{
	memset(table->keys, 0xff, table->nr_slots * sizeof(*table->keys));
	table->nr = 0;
}

void tpi_block_table_clear(struct tpi_block_table *table)
{
	if (table->nr_slots > SLOTS_KEPT)
		tpi_block_table_exit(table);
	else if (table->nr)
		make_empty(table);
}

/* By 2^64 over the golden ratio: what lies side by side, as blocks that are
 * allocated together, comes to lie well apart. */
static size_t home_of(const struct tpi_block_table *table, uint64_t key)
{
	return key * 0x9e3779b97f4a7c15 >> table->shift;
}

static size_t slot_after(const struct tpi_block_table *table, size_t slot)
{
	return (slot + 1) & (table->nr_slots - 1);
}

static void *value_at(const struct tpi_block_table *table, size_t slot)
{
	return table->values + slot * table->value_bytes;
}

/* Where @key is, or would be put.  There is an empty slot. */
static size_t slot_of(const struct tpi_block_table *table, uint64_t key)
{
	size_t slot = home_of(table, key);

	while (table->keys[slot] != EMPTY && table->keys[slot] != key)
		slot = slot_after(table, slot);

	return slot;
}

void *tpi_block_table_find(const struct tpi_block_table *table, uint64_t key)
{
	size_t slot;

	if (!table->nr)
		return NULL;
	slot = slot_of(table, key);

	return table->keys[slot] == key ? value_at(table, slot) : NULL;
}

static int allocate_slots(struct tpi_block_table *table, size_t nr_slots)
{
	table->keys = malloc(nr_slots * sizeof(*table->keys));
	table->values = malloc(nr_slots * table->value_bytes);
	if (!table->keys || !table->values) {
		tpi_block_table_exit(table);
		return -ENOMEM;
	}

	table->nr_slots = nr_slots;
	table->shift = 64 - (unsigned)__builtin_ctzll(nr_slots);
	make_empty(table);

	return 0;
}

static int move_to(struct tpi_block_table *table, size_t nr_slots)
{
	struct tpi_block_table old = *table;
	size_t i, slot;

	tpi_block_table_init(table, old.value_bytes);
	if (allocate_slots(table, nr_slots)) {
		*table = old;
		return -ENOMEM;
	}

	for (i = 0; i < old.nr_slots; i++) {
		if (old.keys[i] == EMPTY)
			continue;
		slot = slot_of(table, old.keys[i]);
		table->keys[slot] = old.keys[i];
		memcpy(value_at(table, slot), value_at(&old, i),
		       table->value_bytes);
	}
	table->nr = old.nr;
	tpi_block_table_exit(&old);

	return 0;
}

int tpi_block_table_enlarge(struct tpi_block_table *table, size_t nr)
{
	size_t nr_slots = tpi_max(table->nr_slots, MIN_SLOTS);

	while (4 * (table->nr + nr) > 3 * nr_slots)
		nr_slots *= 2;

	return move_to(table, nr_slots);
}

void *tpi_block_table_add(struct tpi_block_table *table, uint64_t key)
{
	void *value = tpi_block_table_find(table, key);
	size_t slot;

	tpi_assert(key != EMPTY);
	if (value)
		return value;
	if (tpi_block_table_make_room(table, 1))
		return NULL;

	slot = slot_of(table, key);
	table->keys[slot] = key;
	table->nr++;
	value = value_at(table, slot);
	memset(value, 0, table->value_bytes);

	return value;
}

/* May the key in slot @from be moved up to @hole?  Not if it would then lie
 * before its home; distances are around the ring. */
static bool may_move(const struct tpi_block_table *table, size_t from,
		     size_t hole)
{
	size_t mask = table->nr_slots - 1;
	size_t from_home = (from - home_of(table, table->keys[from])) & mask;
	size_t from_hole = (from - hole) & mask;

	return from_home >= from_hole;
}

void tpi_block_table_remove(struct tpi_block_table *table, uint64_t key)
{
	size_t hole, slot;

	if (!tpi_block_table_find(table, key))
		return;

	hole = slot_of(table, key);
	for (slot = slot_after(table, hole); table->keys[slot] != EMPTY;
	     slot = slot_after(table, slot)) {
		if (!may_move(table, slot, hole))
			continue;
		table->keys[hole] = table->keys[slot];
		memcpy(value_at(table, hole), value_at(table, slot),
		       table->value_bytes);
		hole = slot;
	}
	table->keys[hole] = EMPTY;
	table->nr--;
}

/*---------------------------- work lists -----------------------------------*/

void tpi_work_list_exit(struct tpi_work_list *list)
{
	free(list->keys);
	free(list->spare);
	memset(list, 0, sizeof(*list));
}

int tpi_work_list_make_room(struct tpi_work_list *list, size_t nr)
{
	size_t room = tpi_max(nr, 2 * list->room);
	uint64_t *keys, *spare;

	if (nr <= list->room)
		return 0;
	keys = realloc(list->keys, room * sizeof(*keys));
	if (!keys)
		return -ENOMEM;
	list->keys = keys;
	spare = realloc(list->spare, room * sizeof(*spare));
	if (!spare)
		return -ENOMEM;
	list->spare = spare;
	list->room = room;

	return 0;
}

#define DIGIT_BITS 11
#define DIGITS (1u << DIGIT_BITS)

/* By one digit, keys that are the same there as they were. */
static void sort_by_digit(struct tpi_work_list *list, unsigned shift)
{
	size_t next[DIGITS] = { 0 }, begin = 0;
	uint64_t *sorted = list->spare;

	for (size_t i = 0; i < list->nr; i++)
		next[list->keys[i] >> shift & (DIGITS - 1)]++;
	for (size_t digit = 0; digit < DIGITS; digit++) {
		size_t nr = next[digit];

		next[digit] = begin;
		begin += nr;
	}
	for (size_t i = 0; i < list->nr; i++) {
		uint64_t key = list->keys[i];

		sorted[next[key >> shift & (DIGITS - 1)]++] = key;
	}
	list->spare = list->keys;
	list->keys = sorted;
}

static int compare_keys(const void *a, const void *b)
{
	uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;

	return (x > y) - (x < y);
}

/* Many are sorted digit by digit, the last first: the time that sorting takes
 * nobody else gets, and comparing takes several times as long. */
static void sort(struct tpi_work_list *list)
{
	uint64_t bits = 0;

	if (list->nr < DIGITS / 4) {
		qsort(list->keys, list->nr, sizeof(*list->keys), compare_keys);
		return;
	}
	for (size_t i = 0; i < list->nr; i++)
		bits |= list->keys[i];
	for (unsigned shift = 0; shift < 64 && bits >> shift;
	     shift += DIGIT_BITS)
		sort_by_digit(list, shift);
}

int tpi_work_list_fill(struct tpi_work_list *list,
		       const struct tpi_block_table *table)
{
	size_t i;

	if (list->next < list->nr)
		return 0;
	list->nr = list->next = 0;
	if (!table->nr)
		return 0;
	if (tpi_work_list_make_room(list, table->nr))
		return -ENOMEM;

	for (i = 0; i < table->nr_slots; i++)
		if (table->keys[i] != EMPTY)
			list->keys[list->nr++] = table->keys[i];
	sort(list);

	return 0;
}
