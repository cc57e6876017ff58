/*
 * range.c - see range.h.
 */
#include "pool/range.h"

static bool overlap(const struct tpi_range *range, tp_vblock begin,
		    tp_vblock end)
{
	return range->begin < end && begin < range->end;
}

static struct tpi_range *find_before(const struct tpi_list *ranges,
				     const struct tpi_list *until,
				     tp_vblock begin, tp_vblock end)
{
	const struct tpi_list *entry;

	for (entry = ranges->next; entry != until; entry = entry->next) {
		struct tpi_range *range =
			tpi_container_of(entry, struct tpi_range, entry);

		if (overlap(range, begin, end))
			return range;
	}

	return NULL;
}

struct tpi_range *tpi_range_find(const struct tpi_list *ranges, tp_vblock begin,
				 tp_vblock end)
{
	return find_before(ranges, ranges, begin, end);
}

bool tpi_range_lock(struct tpi_list *ranges, struct tpi_range *range,
		    tp_vblock begin, tp_vblock end, struct tpi_task *owner)
{
	range->begin = begin;
	range->end = end;
	range->owner = owner;
	range->granted = !tpi_range_find(ranges, begin, end);
	tpi_list_init(&range->waiters);
	tpi_list_add_tail(ranges, &range->entry);

	return range->granted;
}

void tpi_range_unlock(struct tpi_loop *loop, struct tpi_list *ranges,
		      struct tpi_range *range)
{
	struct tpi_list *entry, *following;

	tpi_list_del(&range->entry);
	tpi_list_each(entry, following, ranges)
	{
		struct tpi_range *other =
			tpi_container_of(entry, struct tpi_range, entry);

		if (other->granted || !overlap(other, range->begin, range->end))
			continue;
		if (find_before(ranges, entry, other->begin, other->end))
			continue;
		other->granted = true;
		if (other->owner)
			tpi_loop_ready(loop, other->owner);
	}
	tpi_loop_ready_all(loop, &range->waiters);
}
