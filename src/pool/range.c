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

/* Where ranges of as many blocks at that place are counted. */
static unsigned *count_of(struct tpi_ranges *ranges, tp_vblock begin,
			  tp_vblock end)
{
	return end - begin > 1 ? &ranges->nr_wide
			       : &ranges->nr_narrow[begin % TPI_RANGE_BUCKETS];
}

static bool may_overlap(const struct tpi_ranges *ranges, tp_vblock begin,
			tp_vblock end)
{
	return end - begin > 1 || ranges->nr_wide ||
	       ranges->nr_narrow[begin % TPI_RANGE_BUCKETS];
}

struct tpi_range *tpi_range_find(const struct tpi_ranges *ranges,
				 tp_vblock begin, tp_vblock end)
{
	if (!may_overlap(ranges, begin, end))
		return NULL;

	return find_before(&ranges->list, &ranges->list, begin, end);
}

bool tpi_range_lock(struct tpi_ranges *ranges, struct tpi_range *range,
		    tp_vblock begin, tp_vblock end, struct tpi_task *owner)
{
	range->begin = begin;
	range->end = end;
	range->owner = owner;
	range->granted = !tpi_range_find(ranges, begin, end);
	tpi_list_init(&range->waiters);
	tpi_list_add_tail(&ranges->list, &range->entry);
	(*count_of(ranges, begin, end))++;
	ranges->nr_waiting += !range->granted;

	return range->granted;
}

/* To those that it was in the way of, and nothing else is. */
static void grant_others(struct tpi_loop *loop, struct tpi_ranges *ranges,
			 const struct tpi_range *range)
{
	struct tpi_list *entry, *following;

	tpi_list_each(entry, following, &ranges->list)
	{
		struct tpi_range *other =
			tpi_container_of(entry, struct tpi_range, entry);

		if (other->granted || !overlap(other, range->begin, range->end))
			continue;
		if (find_before(&ranges->list, entry, other->begin, other->end))
			continue;
		other->granted = true;
		ranges->nr_waiting--;
		if (other->owner)
			tpi_loop_ready(loop, other->owner);
	}
}

void tpi_range_unlock(struct tpi_loop *loop, struct tpi_ranges *ranges,
		      struct tpi_range *range)
{
	tpi_list_del(&range->entry);
	(*count_of(ranges, range->begin, range->end))--;
	ranges->nr_waiting -= !range->granted;
	if (ranges->nr_waiting)
		grant_others(loop, ranges, range);
	tpi_loop_ready_all(loop, &range->waiters);
}
