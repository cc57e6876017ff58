/*
 * volumes.c - the changes that a host can make: each is a plan for
 * tpi_catalogue_change(), from what was wished for to what becomes of the pool
 * and of the table.
 */
#include "catalogue/catalogue.h"

#include <stdlib.h>
#include <string.h>

#include "catalogue/name.h"

/* What the host wants, as far as it said. */
struct wish {
	const char *name; /* of the volume as it is, or the origin */
	const char *new_name;
	const char *displaced; /* the name of whoever had the new one */
	uint32_t id;
	uint64_t size;
	unsigned flags;
	struct tp_volume *volume; /* to be filled */
};

/*---------------------------- what may not be ------------------------------*/

static int check_name(const char *name)
{
	const char *fault;

	if (!name)
		return tpi_error(-EINVAL, "there is no name");
	fault = tpi_name_fault(name, strnlen(name, TP_NAME_MAX + 1));
	if (fault)
		return tpi_error(-EINVAL, "a volume's name %s", fault);

	return 0;
}

static int check_size(uint64_t size)
{
	if (!tpi_size_is_good(size))
		return tpi_error(-EINVAL,
				 "a volume's size is a multiple of 512 below "
				 "2^63, not %llu",
				 (unsigned long long)size);

	return 0;
}

static int check_not_taken(const struct tp_catalogue *catalogue,
			   const char *name)
{
	if (tpi_table_find(&catalogue->table, name))
		return tpi_error(-EEXIST, "there is a volume \"%s\" already",
				 name);

	return 0;
}

static int find_named(const struct tp_catalogue *catalogue, const char *name,
		      struct tpi_entry **entry)
{
	*entry = name ? tpi_table_find(&catalogue->table, name) : NULL;

	return *entry ? 0 : tpi_no_such_volume(name);
}

/* A new entry, and the lowest free id for it. */
static int new_entry(const struct tp_catalogue *catalogue, const char *name,
		     struct tpi_entry **result)
{
	struct tpi_entry *entry;
	uint32_t id;
	int r = tpi_thin_list_free_id(&catalogue->thins, &id);

	if (r)
		return r;
	entry = tpi_entry_new(name, strlen(name));
	if (!entry)
		return tpi_no_memory();
	entry->id = id;
	*result = entry;

	return 0;
}

/*---------------------------- create ---------------------------------------*/

static int plan_create(struct tp_catalogue *catalogue, void *context,
		       struct tpi_edit *edit)
{
	struct wish *wish = context;
	struct tpi_entry *new;
	int r = check_not_taken(catalogue, wish->new_name);

	if (!r)
		r = new_entry(catalogue, wish->new_name, &new);
	if (r)
		return r;
	new->size = wish->size;
	new->flags = wish->flags;
	tpi_volume_fill(wish->volume, new);
	*edit = (struct tpi_edit){ .kind = TPI_CHANGE_CREATE,
				   .id = new->id,
				   .new = { new } };

	return 0;
}

int tp_catalogue_create(struct tp_catalogue *catalogue, const char *name,
			uint64_t size, unsigned flags, struct tp_volume *volume)
{
	struct tp_volume made = TP_VOLUME_INIT;
	struct wish wish = {
		.new_name = name, .size = size, .flags = flags, .volume = &made
	};
	int r = check_name(name);

	if (!r)
		r = check_size(size);
	if (!r && flags & ~TPI_ENTRY_KNOWN_FLAGS)
		r = tpi_error(-EINVAL, "unknown flags of a volume: %#x", flags);
	if (!r)
		r = tpi_volume_check(volume);
	if (!r)
		r = tpi_catalogue_change(catalogue, plan_create, &wish);

	return r ? r : tpi_volume_give(volume, &made);
}

/*---------------------------- snapshot -------------------------------------*/

/* A snapshot can be written even if its origin cannot. */
static int plan_snapshot(struct tp_catalogue *catalogue, void *context,
			 struct tpi_edit *edit)
{
	struct wish *wish = context;
	struct tpi_entry *origin, *new;
	int r = find_named(catalogue, wish->name, &origin);

	if (!r)
		r = check_not_taken(catalogue, wish->new_name);
	if (!r)
		r = new_entry(catalogue, wish->new_name, &new);
	if (r)
		return r;
	new->origin = origin->id;
	new->size = origin->size;
	new->flags = origin->flags &TP_VOLUME_EXTERNAL_ORIGIN;
	tpi_volume_fill(wish->volume, new);
	*edit = (struct tpi_edit){ .kind = TPI_CHANGE_SNAPSHOT,
				   .id = new->id,
				   .origin = origin->id,
				   .new = { new } };

	return 0;
}

int tp_catalogue_snapshot(struct tp_catalogue *catalogue, const char *origin,
			  const char *name, struct tp_volume *volume)
{
	struct tp_volume made = TP_VOLUME_INIT;
	struct wish wish = { .name = origin,
			     .new_name = name,
			     .volume = &made };
	int r = check_name(name);

	if (!r)
		r = tpi_volume_check(volume);
	if (!r)
		r = tpi_catalogue_change(catalogue, plan_snapshot, &wish);

	return r ? r : tpi_volume_give(volume, &made);
}

/*---------------------------- adopt ----------------------------------------*/

static int plan_adopt(struct tp_catalogue *catalogue, void *context,
		      struct tpi_edit *edit)
{
	const struct wish *wish = context;
	const struct tp_thin_info *info =
		tpi_thin_list_find(&catalogue->thins, wish->id);
	struct tpi_entry *new = tpi_table_find_id(&catalogue->table, wish->id);
	int r;

	if (!info)
		return tpi_no_such_thin(wish->id);
	if (new)
		return tpi_error(-EEXIST, "thin %u is called \"%s\" already",
				 wish->id, new->name);
	r = check_not_taken(catalogue, wish->new_name);
	if (r)
		return r;
	new = tpi_entry_new(wish->new_name, strlen(wish->new_name));
	if (!new)
		return tpi_no_memory();
	new->id = wish->id;
	new->size = wish->size;
	new->transaction_id = info->transaction_id;
	new->creation_time = info->creation_time;
	*edit = (struct tpi_edit){ .kind = TPI_CHANGE_PAGES_ONLY,
				   .new = { new } };

	return 0;
}

int tp_catalogue_adopt(struct tp_catalogue *catalogue, uint32_t id,
		       const char *name, uint64_t size)
{
	struct wish wish = { .id = id, .new_name = name, .size = size };
	int r = check_name(name);

	if (!r)
		r = check_size(size);

	return r ? r : tpi_catalogue_change(catalogue, plan_adopt, &wish);
}

/*---------------------------- rename, displace, resize ---------------------*/

static int plan_rename(struct tp_catalogue *catalogue, void *context,
		       struct tpi_edit *edit)
{
	const struct wish *wish = context;
	struct tpi_entry *old, *new;
	int r = find_named(catalogue, wish->name, &old);

	if (!r)
		r = check_not_taken(catalogue, wish->new_name);
	if (r)
		return r;
	new = tpi_entry_renamed(old, wish->new_name);
	if (!new)
		return tpi_no_memory();
	*edit = (struct tpi_edit){ .kind = TPI_CHANGE_PAGES_ONLY,
				   .old = { old },
				   .new = { new } };

	return 0;
}

int tp_catalogue_rename(struct tp_catalogue *catalogue, const char *name,
			const char *new_name)
{
	struct wish wish = { .name = name, .new_name = new_name };
	int r = check_name(new_name);

	return r ? r : tpi_catalogue_change(catalogue, plan_rename, &wish);
}

/* Both entries leave and enter the table at once, so they may swap names. */
static int plan_displace(struct tp_catalogue *catalogue, void *context,
			 struct tpi_edit *edit)
{
	const struct wish *wish = context;
	struct tpi_entry *comes, *goes;
	int r = find_named(catalogue, wish->name, &comes);

	if (!r)
		r = find_named(catalogue, wish->new_name, &goes);
	if (!r && strcmp(wish->displaced, wish->name))
		r = check_not_taken(catalogue, wish->displaced);
	if (r)
		return r;
	*edit = (struct tpi_edit){
		.kind = TPI_CHANGE_PAGES_ONLY,
		.old = { comes, goes },
		.new = { tpi_entry_renamed(comes, wish->new_name),
			 tpi_entry_renamed(goes, wish->displaced) },
	};
	if (edit->new[0] && edit->new[1])
		return 0;
	free(edit->new[0]);
	free(edit->new[1]);

	return tpi_no_memory();
}

int tp_catalogue_displace(struct tp_catalogue *catalogue, const char *name,
			  const char *new_name, const char *displaced)
{
	struct wish wish = { .name = name,
			     .new_name = new_name,
			     .displaced = displaced };
	int r = check_name(displaced);

	if (!r && name && new_name && !strcmp(name, new_name))
		r = tpi_error(-EINVAL, "a volume cannot displace itself");

	return r ? r : tpi_catalogue_change(catalogue, plan_displace, &wish);
}

static int plan_resize(struct tp_catalogue *catalogue, void *context,
		       struct tpi_edit *edit)
{
	const struct wish *wish = context;
	struct tpi_entry *old, *new;
	int r = find_named(catalogue, wish->name, &old);

	if (r)
		return r;
	new = tpi_entry_renamed(old, old->name);
	if (!new)
		return tpi_no_memory();
	new->size = wish->size;
	*edit = (struct tpi_edit){ .kind = TPI_CHANGE_PAGES_ONLY,
				   .old = { old },
				   .new = { new } };

	return 0;
}

int tp_catalogue_resize(struct tp_catalogue *catalogue, const char *name,
			uint64_t size)
{
	struct wish wish = { .name = name, .size = size };
	int r = check_size(size);

	return r ? r : tpi_catalogue_change(catalogue, plan_resize, &wish);
}

/*---------------------------- delete ---------------------------------------*/

static int plan_delete(struct tp_catalogue *catalogue, void *context,
		       struct tpi_edit *edit)
{
	const struct wish *wish = context;
	struct tpi_entry *old;
	int r = find_named(catalogue, wish->name, &old);

	if (r)
		return r;
	*edit = (struct tpi_edit){ .kind = TPI_CHANGE_DELETE,
				   .id = old->id,
				   .old = { old } };

	return 0;
}

int tp_catalogue_delete(struct tp_catalogue *catalogue, const char *name)
{
	struct wish wish = { .name = name };

	return tpi_catalogue_change(catalogue, plan_delete, &wish);
}

static int plan_delete_id(struct tp_catalogue *catalogue, void *context,
			  struct tpi_edit *edit)
{
	const struct wish *wish = context;

	if (!tpi_thin_list_find(&catalogue->thins, wish->id))
		return tpi_no_such_thin(wish->id);
	*edit = (struct tpi_edit){
		.kind = TPI_CHANGE_DELETE,
		.id = wish->id,
		.old = { tpi_table_find_id(&catalogue->table, wish->id) },
	};

	return 0;
}

int tp_catalogue_delete_id(struct tp_catalogue *catalogue, uint32_t id)
{
	struct wish wish = { .id = id };

	return tpi_catalogue_change(catalogue, plan_delete_id, &wish);
}
