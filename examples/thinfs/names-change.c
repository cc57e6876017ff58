/*
 * names-change.c - changes to the directory.  Each is one transaction of the
 * pool, but where its comment says what else may be seen after a crash.
 *
 * A library call that needs the thin closed is made when nobody has it open;
 * what the kernel only knows of does no harm.
 */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "names-private.h"
#include "report.h"

/* For renameat2; the C library shows them to those who ask for all of GNU. */
#include <fcntl.h>
#include <linux/fs.h>

/*---------------------------- entries --------------------------------------*/

int names_give_entry(struct names *names, struct volume *volume)
{
	uint64_t size = volume_round_size(volume->size);
	int r = 0;

	if (!volume->has_entry)
		r = tp_catalogue_adopt(names->pool->catalogue, volume->id,
				       volume->name, size);
	if (!r && !volume->has_entry)
		volume->kept_size = size;
	volume->has_entry |= !r;

	return r;
}

static int rename_entry(struct names *names, struct volume *volume,
			const char *name)
{
	int r = names_give_entry(names, volume);

	if (!r)
		r = tp_catalogue_rename(names->pool->catalogue, volume->name,
					name);
	if (!r)
		strcpy(volume->name, name);

	return r;
}

int names_save_size(struct names *names, struct volume *volume)
{
	uint64_t size = volume_round_size(volume->size);
	int r;

	if (volume->is_gone || size == volume->kept_size)
		return 0;
	r = names_give_entry(names, volume);
	if (!r && size != volume->kept_size)
		r = tp_catalogue_resize(names->pool->catalogue, volume->name,
					size);
	if (!r)
		volume->kept_size = size;

	return r;
}

int names_keep_size(struct names *names, struct volume *volume)
{
	int r;

	pthread_mutex_lock(&names->lock);
	r = names_save_size(names, volume);
	pthread_mutex_unlock(&names->lock);

	return r;
}

/*---------------------------- create ---------------------------------------*/

int names_create(struct names *names, const char *name, struct volume **volume)
{
	int r = names_is_hidden(name) ? -EINVAL : 0;

	pthread_mutex_lock(&names->lock);
	if (!r)
		r = tp_catalogue_create(names->pool->catalogue, name, 0, 0,
					NULL);
	if (!r)
		r = names_find(names, name, volume);
	if (!r)
		(*volume)->nr_lookups++;
	pthread_mutex_unlock(&names->lock);

	return r;
}

/*---------------------------- unlink ---------------------------------------*/

/* If it cannot be deleted, it is hidden, and the next mount tries again. */
int names_delete(struct names *names, struct volume *volume)
{
	int r;

	table_remove(&names->table, volume);
	volume_retire(volume);
	r = tp_catalogue_delete_id(names->pool->catalogue, volume->id);
	if (r)
		fail_library(r, "cannot delete %s", volume->name);

	return r;
}

static void hidden_name(const struct volume *volume, char name[TP_NAME_MAX + 1])
{
	snprintf(name, TP_NAME_MAX + 1, HIDDEN_PREFIX "%u", volume->id);
}

static int unlink_volume(struct names *names, struct volume *volume)
{
	char hidden[TP_NAME_MAX + 1];
	int r;

	if (!volume->nr_opens)
		return names_delete(names, volume);
	hidden_name(volume, hidden);
	r = rename_entry(names, volume, hidden);
	volume->is_unlinked = !r;

	return r;
}

int names_unlink(struct names *names, const char *name)
{
	struct volume *volume;
	int r;

	pthread_mutex_lock(&names->lock);
	r = names_find(names, name, &volume);
	if (!r) {
		r = unlink_volume(names, volume);
		names_settle(names, volume);
	}
	pthread_mutex_unlock(&names->lock);

	return r;
}

/*---------------------------- rename ---------------------------------------*/

/* @volume takes the name of @target, and that one @displaced. */
static int displace(struct names *names, struct volume *volume,
		    struct volume *target, const char *displaced)
{
	char name[TP_NAME_MAX + 1];
	int r = names_give_entry(names, volume);

	if (!r)
		r = names_give_entry(names, target);
	if (!r)
		r = tp_catalogue_displace(names->pool->catalogue, volume->name,
					  target->name, displaced);
	if (r)
		return r;
	strcpy(name, target->name);
	snprintf(target->name, sizeof(target->name), "%s", displaced);
	strcpy(volume->name, name);

	return 0;
}

/* There is one volume or the other under the name, at any time. */
static int replace(struct names *names, struct volume *volume,
		   struct volume *target)
{
	char hidden[TP_NAME_MAX + 1];
	int r;

	hidden_name(target, hidden);
	r = displace(names, volume, target, hidden);
	if (r)
		return r;
	target->is_unlinked = true;
	if (!target->nr_opens)
		names_delete(names, target);

	return 0;
}

static int exchange(struct names *names, struct volume *volume,
		    struct volume *target)
{
	char name[TP_NAME_MAX + 1];

	strcpy(name, volume->name);

	return displace(names, volume, target, name);
}

static int rename_to(struct names *names, struct volume *volume, const char *to,
		     unsigned flags)
{
	struct volume *target;
	int r = names_find(names, to, &target);

	if (r == -ENOENT && !(flags & RENAME_EXCHANGE))
		return rename_entry(names, volume, to);
	if (r)
		return r;
	if (target == volume)
		r = 0;
	else if (flags & RENAME_EXCHANGE)
		r = exchange(names, volume, target);
	else if (flags & RENAME_NOREPLACE)
		r = -EEXIST;
	else
		r = replace(names, volume, target);
	if (target != volume)
		names_settle(names, target);

	return r;
}

int names_rename(struct names *names, const char *from, const char *to,
		 unsigned flags)
{
	struct volume *volume;
	int r;

	if (flags & ~(RENAME_NOREPLACE | RENAME_EXCHANGE) ||
	    names_is_hidden(to))
		return -EINVAL;
	pthread_mutex_lock(&names->lock);
	r = names_find(names, from, &volume);
	if (!r) {
		r = rename_to(names, volume, to, flags);
		names_settle(names, volume);
	}
	pthread_mutex_unlock(&names->lock);

	return r;
}

/*---------------------------- snapshots and copies -------------------------*/

/* As large as the origin is now. */
static int snapshot(struct names *names, struct volume *origin,
		    const char *name, struct tp_volume *made)
{
	int r = names_give_entry(names, origin);

	if (!r)
		r = names_save_size(names, origin);
	if (!r)
		r = tp_catalogue_snapshot(names->pool->catalogue, origin->name,
					  name, made);

	return r;
}

int names_snapshot(struct names *names, struct volume *origin, const char *name)
{
	int r;

	if (names_is_hidden(name))
		return -EINVAL;
	pthread_mutex_lock(&names->lock);
	r = snapshot(names, origin, name, NULL);
	pthread_mutex_unlock(&names->lock);

	return r;
}

/*
 * The thin @made, called @name, takes the place of the one behind @copy: first
 * in the catalogue, where a crash leaves the one or the other, then here.
 */
static int take_place(struct names *names, const struct tp_volume *made,
		      struct volume *copy)
{
	struct tp_catalogue *catalogue = names->pool->catalogue;
	char hidden[TP_NAME_MAX + 1];
	uint32_t old = copy->id;
	struct tp_thin *thin;
	int r = volume_open_thin(copy, made->id, &thin);

	if (r)
		return r;
	hidden_name(copy, hidden);
	r = tp_catalogue_displace(catalogue, made->name, copy->name, hidden);
	if (r) {
		tp_thin_close(thin);
		return r;
	}
	table_remove(&names->table, copy);
	volume_switch(copy, made->id, thin);
	table_insert(&names->table, copy);
	copy->kept_size = made->size;
	if (tp_catalogue_delete_id(catalogue, old))
		fail("cannot delete what was %s before", copy->name);

	return 0;
}

static int make_copy(struct names *names, struct volume *origin,
		     struct volume *copy)
{
	struct tp_volume made = TP_VOLUME_INIT;
	uint64_t mapped = 0;
	int r = volume_mapped_bytes(copy, &mapped);

	if (!r && (mapped || copy->size))
		r = -EAGAIN;
	if (!r)
		r = names_give_entry(names, copy);
	if (!r)
		r = snapshot(names, origin, HIDDEN_PREFIX "copy", &made);
	if (r)
		return r;
	r = take_place(names, &made, copy);
	if (r) {
		tp_catalogue_delete_id(names->pool->catalogue, made.id);
		return r;
	}
	volume_touch(copy);
	copy->tail_is_clear = false;
	copy->copied_version = origin->version;

	return 0;
}

/* With the origin held, its version says what is in the snapshot. */
int names_make_copy(struct names *names, struct volume *origin,
		    struct volume *copy)
{
	struct range theirs, ours;
	int r;

	pthread_mutex_lock(&names->lock);
	range_take_all(&origin->ranges, &theirs, RANGE_SHARED);
	range_take_all(&copy->ranges, &ours, RANGE_EXCLUSIVE);
	r = make_copy(names, origin, copy);
	range_leave(&copy->ranges, &ours);
	range_leave(&origin->ranges, &theirs);
	pthread_mutex_unlock(&names->lock);

	return r;
}
