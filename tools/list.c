/*
 * list.c - thinpool list: the volumes of a pool, and what each takes.
 *
 * What is exclusive to a volume, the library does not count; so we do: first
 * how many volumes use each data block, then for each volume those that it
 * uses alone.  That is what deleting it would give back, but for what a
 * metadata snapshot still holds.
 */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "json.h"
#include "session.h"
#include "size.h"

/* Large enough to see what lies beyond a volume's end, too. */
#define LARGEST_SIZE ((UINT64_C(1) << 63) - 512)

struct row {
	struct tp_volume volume;
	uint64_t mapped, exclusive;
};

struct table {
	struct session *session;
	struct row *rows;
	size_t nr_rows;

	uint64_t block_size, nr_blocks;
	uint8_t *nr_users; /* of each data block; 2 stands for many */

	struct row *row; /* whose extents are being seen */
};

/*---------------------------- gathering ------------------------------------*/

static int add_row(const struct tp_volume *volume, void *context)
{
	struct table *table = context;
	struct row *larger =
		realloc(table->rows, (table->nr_rows + 1) * sizeof(*larger));

	if (!larger)
		return fail("out of memory");
	table->rows = larger;
	larger[table->nr_rows++] = (struct row){ .volume = *volume };

	return 0;
}

/* The data blocks of an extent, [*begin, *end); false: it has none. */
static bool blocks_of(const struct table *table, const struct tp_extent *extent,
		      uint64_t *begin, uint64_t *end)
{
	if (!extent->mapped)
		return false;
	*begin = extent->data_offset / table->block_size;
	*end = *begin + extent->length / table->block_size;

	return *end <= table->nr_blocks;
}

static int count_users(const struct tp_extent *extent, void *context)
{
	struct table *table = context;
	uint64_t begin, end;

	if (!blocks_of(table, extent, &begin, &end))
		return 0;
	for (uint64_t i = begin; i < end; i++)
		if (table->nr_users[i] < 2)
			table->nr_users[i]++;

	return 0;
}

static int count_exclusive(const struct tp_extent *extent, void *context)
{
	struct table *table = context;
	uint64_t begin, end;

	if (!blocks_of(table, extent, &begin, &end))
		return 0;
	for (uint64_t i = begin; i < end; i++)
		if (table->nr_users[i] == 1)
			table->row->exclusive += table->block_size;

	return 0;
}

typedef int (*each_extent_fn)(const struct tp_extent *extent, void *context);

static int see_extents(struct table *table, struct tp_thin *thin,
		       each_extent_fn each)
{
	struct tp_thin_info info = TP_THIN_INFO_INIT;
	int r = tp_thin_get_info(thin, &info);

	if (r)
		return r;
	table->row->mapped = info.mapped_bytes;

	return tp_thin_each_extent(thin, 0, info.highest_mapped_end, each,
				   table);
}

static int see_row(struct table *table, struct row *row, each_extent_fn each)
{
	struct tp_thin_options options = TP_THIN_OPTIONS_INIT;
	struct tp_thin *thin;
	int r;

	table->row = row;
	options.size = LARGEST_SIZE;
	options.flags = TP_THIN_READ_ONLY;
	r = tp_thin_open(table->session->pool, row->volume.id, &options, &thin);
	if (!r) {
		r = see_extents(table, thin, each);
		tp_thin_close(thin);
	}
	if (r)
		return fail_library(r, "cannot look into volume %u",
				    row->volume.id);

	return 0;
}

static int see_all(struct table *table, each_extent_fn each)
{
	int r = 0;

	for (size_t i = 0; !r && i < table->nr_rows; i++)
		r = see_row(table, &table->rows[i], each);

	return r;
}

static int gather(struct table *table)
{
	struct tp_pool_status status = TP_POOL_STATUS_INIT;
	int r = tp_pool_get_status(table->session->pool, &status);

	if (r)
		return fail_library(r, "cannot look at the pool");
	table->block_size = status.data_block_size;
	table->nr_blocks = status.data_blocks;
	table->nr_users = calloc(status.data_blocks + 1, 1);
	if (!table->nr_users)
		return fail("out of memory");

	r = tp_catalogue_list(table->session->catalogue, add_row, table);
	if (r < 0)
		return fail_library(r, "cannot list the volumes");
	if (!r)
		r = see_all(table, count_users);

	return r ? r : see_all(table, count_exclusive);
}

/*---------------------------- showing --------------------------------------*/

static const struct row *find_id(const struct table *table, uint32_t id)
{
	for (size_t i = 0; i < table->nr_rows; i++)
		if (table->rows[i].volume.id == id)
			return &table->rows[i];

	return NULL;
}

/* The origin's name, if it still is there; NULL: it has none. */
static const char *origin_name(const struct table *table, const struct row *row)
{
	const struct row *origin = row->volume.has_origin
					   ? find_id(table, row->volume.origin)
					   : NULL;

	return origin && *origin->volume.name ? origin->volume.name : NULL;
}

static void print_json_row(const struct table *table, const struct row *row)
{
	const struct tp_volume *volume = &row->volume;

	json_begin_object(NULL);
	json_string("name", *volume->name ? volume->name : NULL);
	json_number("id", volume->id);
	json_number("size", volume->size);
	json_number("mapped_bytes", row->mapped);
	json_number("exclusive_bytes", row->exclusive);
	json_string("origin", origin_name(table, row));
	if (volume->has_origin)
		json_number("origin_id", volume->origin);
	else
		json_null("origin_id");
	json_bool("read_only", volume->flags & TP_VOLUME_READ_ONLY);
	json_bool("external_origin", volume->flags & TP_VOLUME_EXTERNAL_ORIGIN);
	json_end_object();
}

static void print_json(const struct table *table)
{
	json_begin_object(NULL);
	json_begin_array("volumes");
	for (size_t i = 0; i < table->nr_rows; i++)
		print_json_row(table, &table->rows[i]);
	json_end_array();
	json_end_object();
}

static void print_origin(const struct table *table, const struct row *row)
{
	const char *name = origin_name(table, row);

	if (name)
		printf("%s\n", name);
	else if (row->volume.has_origin)
		printf("id %u\n", row->volume.origin);
	else
		printf("-\n");
}

static void print_text(const struct table *table)
{
	const struct row *row;

	printf("%-24s %8s %7s %7s %9s  %s\n", "NAME", "ID", "SIZE", "MAPPED",
	       "EXCLUSIVE", "ORIGIN");
	for (size_t i = 0; i < table->nr_rows; i++) {
		row = &table->rows[i];
		printf("%-24s %8u %7s %7s %9s  ",
		       *row->volume.name ? row->volume.name : "-",
		       row->volume.id, size_format(row->volume.size).text,
		       size_format(row->mapped).text,
		       size_format(row->exclusive).text);
		print_origin(table, row);
	}
}

static int list(struct session *session, const struct arguments *arguments)
{
	struct table table = { .session = session };
	int r = gather(&table);

	if (!r && arguments->given & OPTION_JSON)
		print_json(&table);
	else if (!r)
		print_text(&table);
	free(table.nr_users);
	free(table.rows);

	return r;
}

int run_list(const struct arguments *arguments)
{
	struct session session;
	int r = session_open(&session, arguments, READ_ONLY);

	return r ? r : session_close(&session, list(&session, arguments));
}
