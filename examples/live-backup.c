/*
 * live-backup.c - back up a volume while it is being written: take a snapshot,
 * copy what is mapped in it, delete it.
 *
 *	cc live-backup.c -o live-backup \
 *		$(pkg-config --cflags --libs libthinpool) -pthread
 *	./live-backup
 *
 * A writer gives every sector of the volume the same number, then the next
 * number, and so on.  The snapshot is taken at one instant, so in the backup
 * each sector has some number N or N + 1, and the N + 1 come first.  Holes
 * cost nothing: tp_thin_each_extent tells where there is something to copy.
 */
#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <thinpool/thinpool.h>
#include <unistd.h>

#define MIB ((uint64_t)1 << 20)
#define VOLUME_BYTES (64 * MIB)
#define WRITTEN_BYTES (4 * MIB) /* the rest stays a hole */
#define VOLUME 1
#define SNAPSHOT 2

static atomic_bool stop;
static _Atomic uint64_t rounds;
static char backup[VOLUME_BYTES];

static void check(int r, const char *what)
{
	if (r < 0) {
		fprintf(stderr, "%s: %s\n", what, tp_last_error());
		exit(1);
	}
}

static struct tp_thin *open_thin(struct tp_pool *pool, uint32_t id)
{
	struct tp_thin_options options = TP_THIN_OPTIONS_INIT;
	struct tp_thin *thin;

	options.size = VOLUME_BYTES;
	check(tp_thin_open(pool, id, &options, &thin), "open a thin");
	return thin;
}

static void *write_rounds(void *context)
{
	uint64_t piece[2048]; /* 16 KiB: 32 sectors */

	while (!stop) {
		uint64_t number = rounds + 1;

		for (unsigned i = 0; i < 2048; i++)
			piece[i] = number;
		for (uint64_t at = 0; at < WRITTEN_BYTES; at += sizeof(piece))
			check(tp_thin_write(context, piece, sizeof(piece), at,
					    0),
			      "write");
		rounds = number;
	}
	return NULL;
}

struct copy {
	struct tp_thin *from;
	uint64_t nr_bytes;
};

static int copy_extent(const struct tp_extent *extent, void *context)
{
	struct copy *copy = context;

	if (!extent->mapped)
		return 0;
	copy->nr_bytes += extent->length;
	return tp_thin_read(copy->from, backup + extent->offset, extent->length,
			    extent->offset);
}

/* Numbers only fall, once, by one, and then there is nothing. */
static void check_backup(void)
{
	const uint64_t *numbers = (const uint64_t *)(const void *)backup;
	uint64_t nr = VOLUME_BYTES / sizeof(*numbers);
	uint64_t nr_written = WRITTEN_BYTES / sizeof(*numbers);
	uint64_t first = numbers[0], last = numbers[nr_written - 1];

	check(first - last <= 1 ? 0 : -EIO, "the backup mixes instants");
	for (uint64_t i = 1; i < nr_written; i++)
		check(numbers[i] <= numbers[i - 1] && numbers[i] >= last ? 0
									 : -EIO,
		      "the backup mixes instants");
	for (uint64_t i = nr_written; i < nr; i++)
		check(numbers[i] ? -EIO : 0, "the backup has what was a hole");
	printf("each sector is of round %llu or %llu, in order\n",
	       (unsigned long long)last, (unsigned long long)last + 1);
}

static void back_up(struct tp_pool *pool)
{
	struct copy copy = { .nr_bytes = 0 };

	check(tp_pool_create_snapshot(pool, SNAPSHOT, VOLUME), "snapshot");
	copy.from = open_thin(pool, SNAPSHOT);
	check(tp_thin_each_extent(copy.from, 0, VOLUME_BYTES, copy_extent,
				  &copy),
	      "copy");
	check(tp_thin_close(copy.from), "close the snapshot");
	check(tp_pool_delete_thin(pool, SNAPSHOT), "delete the snapshot");
	printf("%llu of %llu MiB copied, while round %llu was written\n",
	       (unsigned long long)(copy.nr_bytes / MIB),
	       (unsigned long long)(VOLUME_BYTES / MIB),
	       (unsigned long long)rounds + 1);
}

int main(void)
{
	struct tp_device *metadata, *data;
	struct tp_pool *pool;
	struct tp_thin *thin;
	pthread_t writer;

	check(tp_device_open_memory(4 * MIB, &metadata), "metadata");
	check(tp_device_open_memory(64 * MIB, &data), "data");
	check(tp_pool_format(metadata, data, NULL), "format");
	check(tp_pool_open(metadata, data, NULL, &pool), "pool");
	tp_device_unref(data); /* the pool has references of its own */
	tp_device_unref(metadata);
	check(tp_pool_create_thin(pool, VOLUME), "create");
	thin = open_thin(pool, VOLUME);

	check(-pthread_create(&writer, NULL, write_rounds, thin), "thread");
	while (rounds < 10) /* let it get going */
		usleep(1000);
	back_up(pool);
	stop = true;
	pthread_join(writer, NULL);
	check_backup();

	check(tp_thin_close(thin), "close the thin");
	check(tp_pool_close(pool), "close the pool");
	return 0;
}
