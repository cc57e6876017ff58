/*
 * volume.c - see volume.h.
 */
#include "volume.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "report.h"

/* Of inodes and of versions: no number is given out twice.  The first inode is
 * the directory's. */
static _Atomic uint64_t last_number = 1;

struct volume *volume_new(const struct pool *pool,
			  const struct tp_volume *found)
{
	struct volume *volume = calloc(1, sizeof(*volume));

	if (!volume)
		return NULL;
	volume->pool = pool;
	volume->number = ++last_number;
	volume->version = ++last_number;
	volume->read_only = pool->read_only ||
			    found->flags & TP_VOLUME_READ_ONLY;
	volume->needs_origin = found->flags & TP_VOLUME_EXTERNAL_ORIGIN;
	volume->id = found->id;
	volume->has_entry = *found->name;
	volume->kept_size = found->size;
	volume->size = found->size;
	clock_gettime(CLOCK_REALTIME, &volume->changed_at);
	range_lock_init(&volume->ranges);
	pthread_mutex_init(&volume->lock, NULL);
	pthread_cond_init(&volume->unused, NULL);

	return volume;
}

void volume_free(struct volume *volume)
{
	pthread_cond_destroy(&volume->unused);
	pthread_mutex_destroy(&volume->lock);
	range_lock_exit(&volume->ranges);
	free(volume);
}

/*---------------------------- its thin -------------------------------------*/

int volume_open_thin(const struct volume *volume, uint32_t id,
		     struct tp_thin **thin)
{
	struct tp_thin_options options = TP_THIN_OPTIONS_INIT;

	options.size = VOLUME_BYTES_MAX;
	options.flags = volume->read_only ? TP_THIN_READ_ONLY : 0;

	return tp_thin_open(volume->pool->pool, id, &options, thin);
}

static void close_thin(struct volume *volume)
{
	int r = tp_thin_close(volume->thin);

	if (r) /* no bio is in flight, so this is not to be expected */
		fail_library(r, "cannot close volume %u", volume->id);
}

int volume_use(struct volume *volume)
{
	int r = 0;

	pthread_mutex_lock(&volume->lock);
	if (volume->is_gone)
		r = -ENOENT;
	else if (volume->needs_origin)
		r = -ENXIO;
	else if (!volume->nr_users)
		r = volume_open_thin(volume, volume->id, &volume->thin);
	volume->nr_users += !r;
	pthread_mutex_unlock(&volume->lock);

	return r;
}

void volume_unuse(struct volume *volume)
{
	pthread_mutex_lock(&volume->lock);
	if (!--volume->nr_users) {
		close_thin(volume);
		pthread_cond_broadcast(&volume->unused);
	}
	pthread_mutex_unlock(&volume->lock);
}

void volume_retire(struct volume *volume)
{
	pthread_mutex_lock(&volume->lock);
	volume->is_gone = true;
	while (volume->nr_users)
		pthread_cond_wait(&volume->unused, &volume->lock);
	pthread_mutex_unlock(&volume->lock);
}

void volume_switch(struct volume *volume, uint32_t id, struct tp_thin *thin)
{
	pthread_mutex_lock(&volume->lock);
	close_thin(volume);
	volume->thin = thin;
	volume->id = id;
	pthread_mutex_unlock(&volume->lock);
}

struct bytes volume_bytes(const struct volume *volume)
{
	return (struct bytes){ volume->thin, volume->pool->sector_bytes };
}

int volume_mapped_bytes(struct volume *volume, uint64_t *bytes)
{
	struct tp_thin_info info = TP_THIN_INFO_INIT;
	int r = volume_use(volume);

	if (r)
		return r;
	pthread_mutex_lock(&volume->lock);
	r = tp_thin_get_info(volume->thin, &info);
	pthread_mutex_unlock(&volume->lock);
	volume_unuse(volume);
	if (!r)
		*bytes = info.mapped_bytes;

	return r;
}

/*---------------------------- its content and size -------------------------*/

uint64_t volume_round_size(uint64_t size)
{
	return (size + TP_SECTOR_SIZE - 1) / TP_SECTOR_SIZE * TP_SECTOR_SIZE;
}

void volume_touch(struct volume *volume)
{
	volume->version = ++last_number;
	pthread_mutex_lock(&volume->lock);
	clock_gettime(CLOCK_REALTIME, &volume->changed_at);
	pthread_mutex_unlock(&volume->lock);
}

int volume_clear_tail(struct volume *volume)
{
	int r;

	if (volume->tail_is_clear)
		return 0;
	volume->copied_version = 0;
	r = bytes_clear(volume_bytes(volume), volume->size, VOLUME_BYTES_MAX);
	volume->tail_is_clear = !r;

	return r;
}

int volume_grow(struct volume *volume, uint64_t size)
{
	int r = volume_clear_tail(volume);

	if (!r)
		volume->size = size;

	return r;
}

int volume_set_size(struct volume *volume, uint64_t size)
{
	volume_touch(volume);
	if (size >= volume->size)
		return volume_grow(volume, size);
	volume->size = size;
	volume->tail_is_clear = false;

	return volume_clear_tail(volume);
}
