/*
 * ledger.c - what the volumes of a pool may contain, by whole blocks.
 */
#include <stdlib.h>
#include <string.h>

#include "support/ledger.h"
#include "support/pattern.h"

static void *allocate(size_t nr, size_t size)
{
	void *memory = calloc(nr ? nr : 1, size);

	if (!memory)
		abort();

	return memory;
}

/*---------------------------- volumes --------------------------------------*/

void ledger_exit(struct ledger *ledger)
{
	for (size_t i = 0; i < ledger->nr_thins; i++)
		free(ledger->thins[i].cells);
	free(ledger->thins);
	*ledger = (struct ledger){ 0 };
}

static void copy_cells(struct ledger_thin *to, const struct ledger_thin *from)
{
	memcpy(to->cells, from->cells, from->nr_blocks * sizeof(*to->cells));
}

void ledger_copy(struct ledger *to, const struct ledger *from)
{
	*to = (struct ledger){ .last_tag = from->last_tag };
	for (size_t i = 0; i < from->nr_thins; i++) {
		ledger_add(to, from->thins[i].id, from->thins[i].nr_blocks);
		copy_cells(&to->thins[i], &from->thins[i]);
	}
}

struct ledger_thin *ledger_find(const struct ledger *ledger, uint32_t id)
{
	for (size_t i = 0; i < ledger->nr_thins; i++)
		if (ledger->thins[i].id == id)
			return &ledger->thins[i];

	return NULL;
}

void ledger_add(struct ledger *ledger, uint32_t id, uint32_t nr_blocks)
{
	struct ledger_thin *thin;

	ledger->thins = realloc(ledger->thins, (ledger->nr_thins + 1) *
						       sizeof(*ledger->thins));
	if (!ledger->thins)
		abort();
	thin = &ledger->thins[ledger->nr_thins++];
	*thin = (struct ledger_thin){
		.id = id,
		.nr_blocks = nr_blocks,
		.cells = allocate(nr_blocks, sizeof(*thin->cells)),
	};
	for (uint32_t i = 0; i < nr_blocks; i++)
		thin->cells[i].nr_tags = 1;
}

void ledger_add_snapshot(struct ledger *ledger, uint32_t id, uint32_t origin)
{
	ledger_add(ledger, id, ledger_find(ledger, origin)->nr_blocks);
	copy_cells(ledger_find(ledger, id), ledger_find(ledger, origin));
}

void ledger_remove(struct ledger *ledger, uint32_t id)
{
	struct ledger_thin *thin = ledger_find(ledger, id);

	free(thin->cells);
	*thin = ledger->thins[--ledger->nr_thins];
}

/*---------------------------- blocks ---------------------------------------*/

void ledger_fill(void *block, uint32_t tag)
{
	if (tag)
		fill_pattern(block, LEDGER_KEPT, 0, tag);
	else
		memset(block, 0, LEDGER_KEPT);
}

void ledger_write(struct ledger_thin *thin, uint32_t vblock, uint32_t tag,
		  bool ok)
{
	struct ledger_cell *cell = &thin->cells[vblock];

	cell->in_doubt = !ok;
	if (cell->nr_tags == LEDGER_MAX_TAGS)
		cell->anything = true;
	else
		cell->tags[cell->nr_tags++] = tag;
}

static void seal_cell(struct ledger_cell *cell)
{
	if (cell->in_doubt || cell->anything)
		return;
	cell->tags[0] = cell->tags[cell->nr_tags - 1];
	cell->nr_tags = 1;
}

void ledger_seal(struct ledger *ledger)
{
	for (size_t i = 0; i < ledger->nr_thins; i++)
		for (uint32_t j = 0; j < ledger->thins[i].nr_blocks; j++)
			seal_cell(&ledger->thins[i].cells[j]);
}

bool ledger_allows(const struct ledger_thin *thin, uint32_t vblock,
		   const void *block)
{
	const struct ledger_cell *cell = &thin->cells[vblock];
	uint64_t expected[LEDGER_KEPT / sizeof(uint64_t)];

	for (unsigned i = 0; i < cell->nr_tags; i++) {
		ledger_fill(expected, cell->tags[i]);
		if (!memcmp(block, expected, LEDGER_KEPT))
			return true;
	}

	return cell->anything;
}
