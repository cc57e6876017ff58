/*
 * hello-pool.c - the smallest whole program: a pool in memory, a volume, a
 * snapshot of it, and what the two have in common.
 *
 *	cc hello-pool.c -o hello-pool $(pkg-config --cflags --libs libthinpool)
 *	./hello-pool
 *
 * Put tp_device_open_file() in place of tp_device_open_memory() to keep it.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <thinpool/thinpool.h>

#define MIB ((uint64_t)1 << 20)

/* Every call answers 0 or a negative errno, and leaves a sentence. */
static void check(int r, const char *what)
{
	if (r) {
		fprintf(stderr, "%s: %s (%s)\n", what, tp_last_error(),
			tp_strerror(r));
		exit(1);
	}
}

static struct tp_pool *make_pool(void)
{
	struct tp_device *metadata, *data;
	struct tp_pool *pool;

	check(tp_device_open_memory(4 * MIB, &metadata), "metadata");
	check(tp_device_open_memory(64 * MIB, &data), "data");
	check(tp_pool_format(metadata, data, NULL), "format");
	check(tp_pool_open(metadata, data, NULL, &pool), "open the pool");

	/* The pool has references of its own. */
	tp_device_unref(data);
	tp_device_unref(metadata);

	return pool;
}

static void write_text(struct tp_thin *thin, const char *text)
{
	char sector[TP_SECTOR_SIZE] = { 0 };

	strncpy(sector, text, sizeof(sector) - 1);
	check(tp_thin_write(thin, sector, sizeof(sector), 0, 0), "write");
}

static void print_text(struct tp_catalogue *catalogue, const char *name)
{
	char sector[TP_SECTOR_SIZE];
	struct tp_thin *thin;

	check(tp_catalogue_open_thin(catalogue, name, NULL, &thin), name);
	check(tp_thin_read(thin, sector, sizeof(sector), 0), "read");
	check(tp_thin_close(thin), "close");
	printf("%-10s \"%s\"\n", name, sector);
}

static void print_usage(struct tp_pool *pool, const char *when)
{
	struct tp_pool_status status = TP_POOL_STATUS_INIT;

	check(tp_pool_get_status(pool, &status), "status");
	printf("%-26s %2llu data blocks of %u KiB in use\n", when,
	       (unsigned long long)status.used_data_blocks,
	       status.data_block_size / 1024);
}

int main(void)
{
	struct tp_pool *pool = make_pool();
	struct tp_catalogue *catalogue;
	struct tp_thin *base;

	/* A volume of 1 TiB in a pool of 64 MiB: it takes what is written. */
	check(tp_catalogue_open(pool, &catalogue), "catalogue");
	check(tp_catalogue_create(catalogue, "base", MIB << 20, 0, NULL),
	      "create");
	print_usage(pool, "an empty volume (*):");

	check(tp_catalogue_open_thin(catalogue, "base", NULL, &base), "base");
	write_text(base, "hello, pool");
	print_usage(pool, "after a write:");

	/* The snapshot shares everything with the volume it was made of ... */
	check(tp_catalogue_snapshot(catalogue, "base", "yesterday", NULL),
	      "snapshot");
	print_usage(pool, "after a snapshot:");

	/* ... until one of them is written. */
	write_text(base, "hello, world");
	check(tp_thin_flush(base), "flush"); /* durable when it returns */
	check(tp_thin_close(base), "close");
	print_usage(pool, "after a write to the one:");

	print_text(catalogue, "base");
	print_text(catalogue, "yesterday");
	puts("(*) the catalogue keeps names and sizes in the pool, too");

	tp_catalogue_close(catalogue);
	check(tp_pool_close(pool), "close the pool");

	return 0;
}
