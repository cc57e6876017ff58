/*
 * survey.c - who uses which data block of a pool.
 *
 * What is exclusive to a volume, the library does not count; so we do: first
 * how many volumes use each data block, then for each volume those that it
 * uses alone.  That is what deleting it would give back, but for what a
 * metadata snapshot still holds.
 */
#include "survey.h"

#include <stdlib.h>

/* Large enough to see what lies beyond a volume's end, too. */
#define LARGEST_SIZE ((UINT64_C(1) << 63) - 512)

/*---------------------------- gathering ------------------------------------*/

static int add_row(const struct tp_volume *volume, void *context)
{
	struct survey *survey = context;
	struct survey_row *larger =
		realloc(survey->rows, (survey->nr_rows + 1) * sizeof(*larger));

	if (!larger)
		return fail("out of memory");
	survey->rows = larger;
	larger[survey->nr_rows++] = (struct survey_row){ .volume = *volume };

	return 0;
}

/* The data blocks of an extent, [*begin, *end); false: it has none. */
static bool blocks_of(const struct survey *survey,
		      const struct tp_extent *extent, uint64_t *begin,
		      uint64_t *end)
{
	if (!extent->mapped)
		return false;
	*begin = extent->data_offset / survey->block_size;
	*end = *begin + extent->length / survey->block_size;

	return *end <= survey->nr_blocks;
}

static int count_users(const struct tp_extent *extent, void *context)
{
	struct survey *survey = context;
	uint64_t begin, end;

	if (!blocks_of(survey, extent, &begin, &end))
		return 0;
	for (uint64_t i = begin; i < end; i++) {
		if (survey->nr_users[i] == BLOCK_FREE)
			survey->users[i] =
				(uint32_t)(survey->row - survey->rows);
		if (survey->nr_users[i] < BLOCK_SHARED)
			survey->nr_users[i]++;
	}

	return 0;
}

static int count_exclusive(const struct tp_extent *extent, void *context)
{
	struct survey *survey = context;
	uint64_t begin, end;

	if (!blocks_of(survey, extent, &begin, &end))
		return 0;
	for (uint64_t i = begin; i < end; i++)
		if (survey->nr_users[i] == BLOCK_EXCLUSIVE)
			survey->row->exclusive += survey->block_size;

	return 0;
}

typedef int (*each_extent_fn)(const struct tp_extent *extent, void *context);

static int see_extents(struct survey *survey, struct tp_thin *thin,
		       each_extent_fn each)
{
	struct tp_thin_info info = TP_THIN_INFO_INIT;
	int r = tp_thin_get_info(thin, &info);

	if (r)
		return r;
	survey->row->mapped = info.mapped_bytes;

	return tp_thin_each_extent(thin, 0, info.highest_mapped_end, each,
				   survey);
}

static int see_row(struct survey *survey, struct survey_row *row,
		   each_extent_fn each)
{
	struct tp_thin_options options = TP_THIN_OPTIONS_INIT;
	struct tp_thin *thin;
	int r;

	survey->row = row;
	options.size = LARGEST_SIZE;
	options.flags = TP_THIN_READ_ONLY;
	r = tp_thin_open(survey->session->pool, row->volume.id, &options,
			 &thin);
	if (!r) {
		r = see_extents(survey, thin, each);
		tp_thin_close(thin);
	}
	if (r)
		return fail_library(r, "cannot look into volume %u",
				    row->volume.id);

	return 0;
}

static int see_all(struct survey *survey, each_extent_fn each)
{
	int r = 0;

	for (size_t i = 0; !r && i < survey->nr_rows; i++)
		r = see_row(survey, &survey->rows[i], each);

	return r;
}

int survey_make(struct survey *survey, struct session *session)
{
	struct tp_pool_status status = TP_POOL_STATUS_INIT;
	int r = tp_pool_get_status(session->pool, &status);

	*survey = (struct survey){ .session = session };

	if (r)
		return fail_library(r, "cannot look at the pool");
	survey->block_size = status.data_block_size;
	survey->nr_blocks = status.data_blocks;
	survey->nr_users = calloc(status.data_blocks + 1, 1);
	survey->users = calloc(status.data_blocks + 1, sizeof(uint32_t));
	if (!survey->nr_users || !survey->users)
		return fail("out of memory");

	r = tp_catalogue_list(survey->session->catalogue, add_row, survey);
	if (r < 0)
		return fail_library(r, "cannot list the volumes");
	if (!r)
		r = see_all(survey, count_users);

	return r ? r : see_all(survey, count_exclusive);
}

void survey_exit(struct survey *survey)
{
	free(survey->users);
	free(survey->nr_users);
	free(survey->rows);
}
