/*
 * checking.c - an image of metadata with a bit of everything in it, and checking
 * it.
 */
#include "check/checking.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "io/iov.h"

/* libcheck's own assertions are for within tests; an image is made before. */
static void must(int error)
{
	if (!error)
		return;
	fprintf(stderr, "no image: %s, %s\n", tp_strerror(error),
		tp_last_error());
	abort();
}

/*---------------------------- a device -------------------------------------*/

static bool goes_bad(struct byte_device *device, uint64_t offset,
		     uint64_t length)
{
	uint64_t bad = device->bad_block * TPI_MBLOCK_BYTES;

	if (!bad || offset >= bad + TPI_MBLOCK_BYTES || bad >= offset + length)
		return false;
	if (!device->good_reads)
		return true;
	device->good_reads--;

	return false;
}

static int byte_read(void *context, const struct iovec *iov, int iovcnt,
		     uint64_t offset)
{
	struct byte_device *device = context;
	uint64_t length = tpi_iov_length(iov, iovcnt);

	if (goes_bad(device, offset, length))
		return -EIO;
	tpi_iov_scatter(iov, 0, device->bytes + offset, length);

	return 0;
}

static int byte_write(void *context, const struct iovec *iov, int iovcnt,
		      uint64_t offset, unsigned flags)
{
	struct byte_device *device = context;

	device->nr_writes++;
	if (device->fail_write && device->nr_writes >= device->fail_write)
		return -EIO;
	tpi_iov_gather(device->bytes + offset, iov, 0,
		       tpi_iov_length(iov, iovcnt));

	return 0;
}

static int byte_flush(void *context)
{
	return 0;
}

static uint64_t byte_size(void *context)
{
	const struct byte_device *device = context;

	return device->size_bytes;
}

void byte_device_init(struct byte_device *device, char *bytes, uint64_t size)
{
	static const struct tp_device_ops ops = {
		TP_DEVICE_OPS_INIT,  .read = byte_read, .write = byte_write,
		.flush = byte_flush, .size = byte_size,
	};

	*device = (struct byte_device){ .bytes = bytes, .size_bytes = size };
	must(tp_device_new(&ops, device, &device->device));
}

void byte_device_exit(struct byte_device *device)
{
	tp_device_unref(device->device);
}

/*---------------------------- an image -------------------------------------*/

#define BLOCK (64 * KIB)
#define NR_BLOCKS 300
#define THIN_BYTES (uint64_t)(NR_BLOCKS * BLOCK)

static struct tp_thin *open_thin(struct tp_pool *pool, uint32_t id)
{
	struct tp_thin_options options = TP_THIN_OPTIONS_INIT;
	struct tp_thin *thin;

	options.size = THIN_BYTES;
	must(tp_thin_open(pool, id, &options, &thin));

	return thin;
}

/* One sector is enough to have a block. */
static void touch(struct tp_pool *pool, uint32_t id, unsigned begin,
		  unsigned end)
{
	struct tp_thin *thin = open_thin(pool, id);
	static const char sector[TP_SECTOR_SIZE] = { 1 };

	for (unsigned i = begin; i < end; i++)
		must(tp_thin_write(thin, sector, sizeof(sector),
				   (uint64_t)i * BLOCK, 0));
	must(tp_thin_close(thin));
}

static void make_thins(struct tp_pool *pool)
{
	must(tp_pool_create_thin(pool, 1));
	touch(pool, 1, 0, NR_BLOCKS);
	for (uint32_t id = 2; id <= 4; id++) {
		must(tp_pool_create_snapshot(pool, id, 1));
		touch(pool, id, 10 * id, 10 * id + 1);
		touch(pool, id, 200 + 10 * id, 200 + 10 * id + 1);
	}
	for (uint32_t id = 5; id <= 8; id++)
		must(tp_pool_create_snapshot(pool, id, 4));
	must(tp_pool_create_thin(pool, 9));
	touch(pool, 9, 0, NR_BLOCKS);
	must(tp_pool_create_thin(pool, 10));
	must(tp_pool_create_thin(pool, 12));
	touch(pool, 12, 0, 20);
	must(tp_pool_create_snapshot(pool, 13, 12));
	touch(pool, 13, 0, 1);
	must(tp_pool_reserve_metadata_snapshot(pool));
	must(tp_pool_create_thin(pool, 11));
	touch(pool, 11, 0, 10);
	must(tp_pool_delete_thin(pool, 11));
}

static char *build_image(void)
{
	struct tp_pool_options options = TP_POOL_OPTIONS_INIT;
	char *bytes = calloc(1, IMAGE_BYTES);
	struct byte_device metadata;
	struct tp_device *data;
	struct tp_pool *pool;

	must(bytes ? 0 : -ENOMEM);
	byte_device_init(&metadata, bytes, IMAGE_BYTES);
	must(tp_device_open_memory(32768ull * BLOCK, &data));
	must(tp_pool_format(metadata.device, data, NULL));
	options.flags = TP_POOL_HOST_DRIVEN | TP_POOL_SKIP_ZEROING;
	options.commit_interval_ms = TP_NEVER;
	must(tp_pool_open(metadata.device, data, &options, &pool));
	make_thins(pool);
	must(tp_pool_close(pool));
	tp_device_unref(data);
	byte_device_exit(&metadata);

	return bytes;
}

char *make_image(void)
{
	static char *image; /* what a fork has, it need not build */
	char *bytes = malloc(IMAGE_BYTES);

	must(bytes ? 0 : -ENOMEM);
	if (!image)
		image = build_image();

	return memcpy(bytes, image, IMAGE_BYTES);
}

/*---------------------------- checking -------------------------------------*/

static void found(void *context, const struct tp_check_finding *finding)
{
	FILE *told = context;

	fprintf(told, "%s %s: %s", tp_check_severity_name(finding->severity),
		tp_check_kind_name(finding->kind),
		tp_check_place_name(finding->place));
	fprintf(told,
		" block %" PRIu64 " thin %" PRIu64 " %" PRIu64 "..%" PRIu64
		"%s (%s): %s\n",
		finding->block, finding->thin, finding->begin, finding->end,
		finding->held ? " held" : "", finding->path, finding->what);
}

void check_device(struct tp_device *device, unsigned flags, unsigned nr_threads,
		  struct checked *checked)
{
	struct tp_check_options options = TP_CHECK_OPTIONS_INIT;
	size_t size;
	FILE *told;

	*checked = (struct checked){ .report = TP_CHECK_REPORT_INIT };
	told = open_memstream(&checked->told, &size);
	ck_assert_ptr_nonnull(told);
	options.flags = flags;
	options.nr_threads = nr_threads;
	options.found = found;
	options.context = told;
	checked->result = tp_check(device, &options, &checked->report);
	ck_assert_int_eq(fclose(told), 0);
}

void check_bytes(char *bytes, unsigned flags, struct checked *checked)
{
	struct byte_device device;

	byte_device_init(&device, bytes, IMAGE_BYTES);
	check_device(device.device, flags, 0, checked);
	byte_device_exit(&device);
}

void checked_exit(struct checked *checked)
{
	free(checked->told);
}
