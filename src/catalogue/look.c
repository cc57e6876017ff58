/*
 * look.c - looking at a catalogue, and opening what it names.
 */
#include "catalogue/catalogue.h"

#include <string.h>

#include "io/sized-struct.h"

/*---------------------------- what the host gets ---------------------------*/

void tpi_volume_fill(struct tp_volume *volume, const struct tpi_entry *entry)
{
	strcpy(volume->name, entry->name);
	volume->id = entry->id;
	volume->size = entry->size;
	volume->has_origin = entry->origin != TPI_NO_ORIGIN;
	volume->origin = volume->has_origin ? entry->origin : 0;
	volume->flags = entry->flags & TPI_ENTRY_KNOWN_FLAGS;
}

/* A thin without an entry has no name and ends where its mappings do. */
static void fill_nameless(struct tp_volume *volume,
			  const struct tp_thin_info *info)
{
	volume->id = info->id;
	volume->size = info->highest_mapped_end;
}

int tpi_volume_check(const struct tp_volume *volume)
{
	if (volume && volume->struct_size < sizeof(size_t))
		return tpi_error(-EINVAL, "tp_volume: struct_size is not set");

	return 0;
}

int tpi_volume_give(struct tp_volume *volume, const struct tp_volume *from)
{
	if (!volume)
		return 0;

	return tpi_give_struct(volume, from, sizeof(*from), "tp_volume");
}

int tpi_no_such_volume(const char *name)
{
	return tpi_error(-ENODATA, "there is no volume \"%s\"",
			 name ? name : "");
}

int tpi_no_such_thin(uint32_t id)
{
	return tpi_error(-ENODATA, "there is no thin %u", id);
}

/*---------------------------- finding --------------------------------------*/

static bool find(struct tp_catalogue *catalogue, const char *name,
		 struct tp_volume *volume)
{
	const struct tpi_entry *entry;

	pthread_mutex_lock(&catalogue->lock);
	entry = name ? tpi_table_find(&catalogue->table, name) : NULL;
	if (entry)
		tpi_volume_fill(volume, entry);
	pthread_mutex_unlock(&catalogue->lock);

	return entry;
}

static bool find_id(struct tp_catalogue *catalogue, uint32_t id,
		    struct tp_volume *volume)
{
	const struct tpi_entry *entry;

	pthread_mutex_lock(&catalogue->lock);
	entry = tpi_table_find_id(&catalogue->table, id);
	if (entry)
		tpi_volume_fill(volume, entry);
	pthread_mutex_unlock(&catalogue->lock);

	return entry;
}

static int find_nameless(struct tp_catalogue *catalogue, uint32_t id,
			 struct tp_volume *volume)
{
	struct tpi_thin_list thins = { 0 };
	const struct tp_thin_info *info;
	int r = tpi_thin_list_init(&thins, catalogue->pool);

	if (r)
		return r;
	info = tpi_thin_list_find(&thins, id);
	if (info)
		fill_nameless(volume, info);
	tpi_thin_list_exit(&thins);

	return info ? 0 : tpi_no_such_thin(id);
}

int tp_catalogue_find(struct tp_catalogue *catalogue, const char *name,
		      struct tp_volume *volume)
{
	struct tp_volume found = TP_VOLUME_INIT;

	if (!find(catalogue, name, &found))
		return tpi_no_such_volume(name);

	return tpi_volume_give(volume, &found);
}

int tp_catalogue_find_id(struct tp_catalogue *catalogue, uint32_t id,
			 struct tp_volume *volume)
{
	struct tp_volume found = TP_VOLUME_INIT;
	int r = 0;

	if (!find_id(catalogue, id, &found))
		r = find_nameless(catalogue, id, &found);

	return r ? r : tpi_volume_give(volume, &found);
}

int tpi_catalogue_size_of(void *context, uint32_t id, uint64_t *size)
{
	struct tp_volume volume = TP_VOLUME_INIT;

	if (!find_id(context, id, &volume))
		return -ENODATA;
	*size = volume.size;

	return 0;
}

/*---------------------------- listing --------------------------------------*/

typedef int (*each_fn)(const struct tp_volume *volume, void *context);

/* Whether this thin has an entry: an entry may be another thin's, that had its
 * id before and was not missed yet. */
static bool has_entry(struct tp_catalogue *catalogue,
		      const struct tp_thin_info *info)
{
	bool has;
	const struct tpi_entry *entry;

	pthread_mutex_lock(&catalogue->lock);
	entry = tpi_table_find_id(&catalogue->table, info->id);
	has = entry && tpi_entry_describes(entry, info);
	pthread_mutex_unlock(&catalogue->lock);

	return has;
}

static int each_nameless(struct tp_catalogue *catalogue,
			 const struct tpi_thin_list *thins, each_fn each,
			 void *context)
{
	int r = 0;

	for (size_t i = 0; !r && i < thins->nr; i++) {
		struct tp_volume volume = TP_VOLUME_INIT;

		if (has_entry(catalogue, &thins->thins[i]))
			continue;
		fill_nameless(&volume, &thins->thins[i]);
		r = each(&volume, context);
	}

	return r;
}

/* Steps from @volume to the next by name of those in @thins; false: none. */
static bool next_named(struct tp_catalogue *catalogue,
		       const struct tpi_thin_list *thins,
		       struct tp_volume *volume)
{
	const struct tpi_entry *entry;

	pthread_mutex_lock(&catalogue->lock);
	entry = tpi_table_next(&catalogue->table, volume->name);
	while (entry && !tpi_entry_describes(
				entry, tpi_thin_list_find(thins, entry->id)))
		entry = tpi_table_next(&catalogue->table, entry->name);
	if (entry)
		tpi_volume_fill(volume, entry);
	pthread_mutex_unlock(&catalogue->lock);

	return entry;
}

static int each_named(struct tp_catalogue *catalogue,
		      const struct tpi_thin_list *thins, each_fn each,
		      void *context)
{
	struct tp_volume cursor = TP_VOLUME_INIT;
	int r = 0;

	while (!r && next_named(catalogue, thins, &cursor))
		r = each(&cursor, context);

	return r;
}

int tp_catalogue_list(struct tp_catalogue *catalogue, each_fn each,
		      void *context)
{
	struct tpi_thin_list thins = { 0 };
	int r = tpi_thin_list_init(&thins, catalogue->pool);

	if (!r)
		r = each_nameless(catalogue, &thins, each, context);
	if (!r)
		r = each_named(catalogue, &thins, each, context);
	tpi_thin_list_exit(&thins);

	return r;
}

/*---------------------------- opening --------------------------------------*/

/* What the host asked for, with the catalogue's word where it said nothing. */
static int settle_options(const struct tp_volume *volume,
			  const struct tp_thin_options *asked,
			  struct tp_thin_options *options)
{
	int r = 0;

	if (asked)
		r = tpi_take_struct(options, sizeof(*options), asked,
				    "tp_thin_options");
	if (r)
		return r;
	options->struct_size = sizeof(*options);
	if (!options->size)
		options->size = volume->size;
	if (volume->flags & TP_VOLUME_READ_ONLY)
		options->flags |= TP_THIN_READ_ONLY;
	if (volume->flags & TP_VOLUME_EXTERNAL_ORIGIN &&
	    !options->external_origin)
		return tpi_error(-EINVAL,
				 "volume \"%s\" has an external origin: it "
				 "cannot be opened without",
				 volume->name);

	return 0;
}

/* Opened by id, it may be another than the one that had this name. */
static int check_is_named(struct tp_catalogue *catalogue, struct tp_thin *thin,
			  const char *name)
{
	struct tp_thin_info info = TP_THIN_INFO_INIT;
	int r = tp_thin_get_info(thin, &info);

	if (!r && !has_entry(catalogue, &info))
		r = tpi_no_such_volume(name);

	return r;
}

int tp_catalogue_open_thin(struct tp_catalogue *catalogue, const char *name,
			   const struct tp_thin_options *options,
			   struct tp_thin **result)
{
	struct tp_thin_options settled = TP_THIN_OPTIONS_INIT;
	struct tp_volume volume = TP_VOLUME_INIT;
	struct tp_thin *thin;
	int r;

	if (!find(catalogue, name, &volume))
		return tpi_no_such_volume(name);
	r = settle_options(&volume, options, &settled);
	if (!r)
		r = tp_thin_open(catalogue->pool, volume.id, &settled, &thin);
	if (r)
		return r;

	r = check_is_named(catalogue, thin, name);
	if (r)
		tp_thin_close(thin);
	else
		*result = thin;

	return r;
}
