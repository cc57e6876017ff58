/*
 * check.c - tp_check: the order in which metadata is checked.
 */
#include "check/check.h"

#include <stdlib.h>
#include <unistd.h>

#include "io/sized-struct.h"

/*---------------------------- in order -------------------------------------*/

static int check_view(struct tpi_check *check, struct tpi_check_view *view)
{
	int r;

	r = tpi_thins_verify(check, view);
	if (!r)
		r = tpi_sharing_verify(check, view);

	return r;
}

static int check_held_view(struct tpi_check *check)
{
	int r = tpi_check_held_superblock(check);

	if (r || !check->held.there)
		return r;

	return check_view(check, &check->held);
}

/* Without the mappings, counts that seem too high are to be expected. */
static void tell_hidden(struct tpi_check *check)
{
	struct tpi_where where = TPI_WHERE(TP_PLACE_IMAGE, TP_CHECK_NONE);

	if (check->hidden && !tpi_check_has(check, TP_CHECK_SKIP_MAPPINGS))
		tpi_tell(check, TP_CHECK_WARNING, TP_FOUND_LEAKS_UNCHECKED,
			 &where,
			 "some of it could not be looked at: counts that are "
			 "too high cannot be told");
}

static int check_all(struct tpi_check *check)
{
	int r;

	r = tpi_counters_init(&check->counts, check->data.nr_blocks);
	if (!r)
		r = tpi_maps_load(check, &check->data);
	if (!r)
		r = tpi_maps_load(check, &check->metadata);
	if (!r)
		r = check_view(check, &check->live);
	if (!r)
		r = check_held_view(check);
	if (r)
		return r;
	tell_hidden(check);
	r = tpi_maps_compare(check, &check->data);
	if (!r)
		r = tpi_maps_compare(check, &check->metadata);

	return r ? r : tpi_check_repair(check);
}

static int make_blocks(struct tpi_check *check)
{
	int r;

	check->blocks = calloc(check->end + 1, sizeof(*check->blocks));
	if (!check->blocks)
		return -ENOMEM;
	check->blocks[0] = (struct tpi_check_block){
		.nr_refs = 1,
		.role = TP_PLACE_SUPERBLOCK,
		.state = TPI_USABLE,
		.visit = TPI_VISITED,
	};
	check->blocks_total = tpi_min(check->metadata.nr_allocated, check->end);
	r = tpi_frontier_init(&check->frontier, check->end);

	return r ? r : tpi_frontier_init(&check->round, check->end);
}

static int run(struct tpi_check *check)
{
	bool usable;
	int r;

	r = tpi_check_superblock(check, &usable);
	if (r || !usable || tpi_check_has(check, TP_CHECK_SUPERBLOCK_ONLY))
		return r;
	r = make_blocks(check);
	if (r)
		return r;
	if (!tpi_check_has(check, TP_CHECK_METADATA_SNAPSHOT))
		return check_all(check);
	if (!check->report.held_root)
		return tpi_error(-ENODATA, "there is no metadata snapshot");

	return check_held_view(check);
}

/*---------------------------- life -----------------------------------------*/

static int told_progress(void *context, size_t nr_read)
{
	struct tpi_check *check = context;
	uint64_t *total = &check->blocks_total;

	check->blocks_done += nr_read;
	*total = tpi_max(*total, check->blocks_done);
	if (!check->options.progress ||
	    !check->options.progress(check->options.context, check->blocks_done,
				     *total))
		return 0;

	return tpi_error(-ECANCELED, "the check was given up");
}

static unsigned nr_processors(void)
{
	long nr = sysconf(_SC_NPROCESSORS_ONLN);

	return nr > 0 ? (unsigned)nr : 1;
}

static int begin(struct tpi_check *check)
{
	const struct tp_check_options *options = &check->options;
	struct tpi_sweep_options sweep = {
		.nr_threads = options->nr_threads ? options->nr_threads
						  : nr_processors(),
		.clock_wait = options->clock_wait,
		.clock_context = options->clock_context,
	};
	int r;

	check->data.name = "data";
	check->data.is_data = true;
	check->metadata.name = "metadata";
	check->held.held = true;
	pthread_mutex_init(&check->problems_lock, NULL);
	tpi_block_table_init(&check->problems, sizeof(struct tpi_problem *));
	if (posix_memalign((void **)&check->live.superblock, TPI_MBLOCK_BYTES,
			   TPI_MBLOCK_BYTES)) {
		check->live.superblock = NULL;
		return -ENOMEM;
	}
	r = tpi_sweep_new(check->device, &sweep, &check->sweep);
	if (!r)
		tpi_sweep_set_progress(check->sweep, told_progress, check);

	return r;
}

static void end(struct tpi_check *check)
{
	tpi_sweep_destroy(check->sweep);
	tpi_load_exit(check);
	tpi_frontier_exit(&check->frontier);
	tpi_frontier_exit(&check->round);
	tpi_counters_exit(&check->counts);
	free(check->blocks);
	tpi_maps_exit(&check->data);
	tpi_maps_exit(&check->metadata);
	free(check->live.thins);
	free(check->held.thins);
	free(check->live.superblock);
	pthread_mutex_destroy(&check->problems_lock);
}

/*---------------------------- the call -------------------------------------*/

#define CHANGES (TP_CHECK_REPAIR_LEAKS | TP_CHECK_CLEAR_NEEDS_CHECK)
#define PARTS                                                                  \
	(TP_CHECK_SUPERBLOCK_ONLY | TP_CHECK_SKIP_MAPPINGS |                   \
	 TP_CHECK_METADATA_SNAPSHOT)

static int check_options(const struct tpi_check *check)
{
	unsigned flags = check->options.flags;

	if (flags & ~(CHANGES | PARTS | TP_CHECK_IGNORE_LEAKS))
		return tpi_error(-EINVAL, "unknown check flags %#x",
				 flags & ~(CHANGES | PARTS |
					   TP_CHECK_IGNORE_LEAKS));
	if (flags & CHANGES && flags & PARTS)
		return tpi_error(-EINVAL, "nothing is changed after a check of "
					  "parts only");
	if (flags & CHANGES &&
	    tpi_device_features(check->device) & TP_DEVICE_READ_ONLY)
		return tpi_error(-EROFS, "the device was opened read-only, and "
					 "is to be changed");

	return 0;
}

/* Of a metadata snapshot nothing changes, whoever uses the pool. */
static int check_claimed(struct tpi_check *check)
{
	bool exclusive = tpi_check_has(check, CHANGES);
	bool claim = !tpi_check_has(check, TP_CHECK_METADATA_SNAPSHOT);
	int r = 0;

	if (claim)
		r = tpi_device_claim(check->device, exclusive);
	if (r)
		return r;
	r = begin(check);
	if (!r)
		r = run(check);
	end(check);
	if (claim)
		tpi_device_release(check->device, exclusive);

	return r == -ENOMEM ? tpi_error(r, "no memory to check metadata") : r;
}

int tp_check(struct tp_device *metadata, const struct tp_check_options *options,
	     struct tp_check_report *report)
{
	struct tpi_check *check;
	int r = 0;

	if (!metadata || !report)
		return tpi_error(-EINVAL, "a device, or the place for the "
					  "report, is missing");
	check = calloc(1, sizeof(*check));
	if (!check)
		return tpi_error(-ENOMEM, "no memory to check metadata");
	check->device = metadata;
	if (options)
		r = tpi_take_struct(&check->options, sizeof(check->options),
				    options, "check options");
	if (!r)
		r = tpi_give_struct(report, &check->report,
				    sizeof(check->report), "check report");
	if (!r)
		r = check_options(check);
	if (!r) {
		r = check_claimed(check);
		tpi_give_struct(report, &check->report, sizeof(check->report),
				"check report");
	}
	free(check);

	return r;
}
