/*
 * thinpool-bench - what the engine costs, as a ratio to the device beneath.
 *
 *	thinpool-bench [--json] [--rounds N] [--size MIB] [--file PATH]
 *
 * Each job is run on the raw device and on a thin volume over a device of the
 * same kind, in turn, several rounds; the figure that counts is the ratio of
 * the two within a round, of which the median and the spread are printed.  The
 * device is memory or, with --file, that file; either is driven through the
 * asynchronous ops of thinpool/device.h, by the library or by us.
 */
#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>
#include <thinpool/thinpool.h>

#define DEPTH 32
#define BLOCK 65536u
#define ROUNDS_MAX 99

static void die(const char *what)
{
	fprintf(stderr, "thinpool-bench: %s: %s\n", what, tp_last_error());
	exit(1);
}

static void check(int r, const char *what)
{
	if (r)
		die(what);
}

static double now(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);

	return (double)t.tv_sec + (double)t.tv_nsec * 1e-9;
}

/*---------------------------- the device -----------------------------------*/

struct disk {
	char *memory; /* or NULL: the file */
	int fd;
	uint64_t size;
};

struct channel {
	struct disk *disk;
	struct tp_device_request *first, **last;
};

static int open_channel(void *context, int event_fd, int inline_only,
			void **result)
{
	struct channel *channel = calloc(1, sizeof(*channel));

	(void)event_fd;
	(void)inline_only;
	if (!channel)
		return -ENOMEM;
	channel->disk = context;
	channel->last = &channel->first;
	*result = channel;

	return 0;
}

static void close_channel(void *channel)
{
	free(channel);
}

static void copy(struct disk *disk, const struct tp_device_request *request)
{
	char *place = disk->memory + request->offset;

	for (int i = 0; i < request->iovcnt; i++) {
		const struct iovec *iov = &request->iov[i];

		if (request->op == TP_READ)
			memcpy(iov->iov_base, place, iov->iov_len);
		else
			memcpy(place, iov->iov_base, iov->iov_len);
		place += iov->iov_len;
	}
}

static int transfer(struct disk *disk, const struct tp_device_request *request)
{
	ssize_t n;

	if (request->op == TP_FLUSH)
		return disk->memory || !fdatasync(disk->fd) ? 0 : -errno;
	if (disk->memory) {
		copy(disk, request);
		return 0;
	}
	if (request->op == TP_READ)
		n = preadv(disk->fd, request->iov, request->iovcnt,
			   (off_t)request->offset);
	else
		n = pwritev(disk->fd, request->iov, request->iovcnt,
			    (off_t)request->offset);

	return n == (ssize_t)request->length ? 0 : -EIO;
}

/* Done here and told by poll; the room keeps the status and the list. */
static void submit(void *context, struct tp_device_request *request)
{
	struct channel *channel = context;

	request->device_room[0] = NULL;
	request->device_room[1] =
		(void *)(intptr_t)transfer(channel->disk, request);
	*channel->last = request;
	channel->last = (struct tp_device_request **)&request->device_room[0];
}

static unsigned poll_channel(void *context, unsigned max)
{
	struct channel *channel = context;
	unsigned nr = 0;

	while (channel->first && nr < max) {
		struct tp_device_request *request = channel->first;

		channel->first = request->device_room[0];
		if (!channel->first)
			channel->last = &channel->first;
		request->done(request, (int)(intptr_t)request->device_room[1]);
		nr++;
	}

	return nr;
}

static int arm(void *context)
{
	struct channel *channel = context;

	return channel->first != NULL;
}

static uint64_t disk_size(void *context)
{
	struct disk *disk = context;

	return disk->size;
}

static void open_disk(struct disk *disk, const char *path, uint64_t size)
{
	disk->size = size;
	if (!path) {
		disk->memory = aligned_alloc(4096, size);
		if (!disk->memory)
			die("no memory for the device");
		memset(disk->memory, 1, size);
		return;
	}
	disk->fd = open(path, O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
	if (disk->fd < 0 || ftruncate(disk->fd, (off_t)size))
		die(path);
	unlink(path);
}

static void close_disk(struct disk *disk)
{
	if (disk->memory)
		free(disk->memory);
	else
		close(disk->fd);
}

static struct tp_device *device_over(struct disk *disk)
{
	const struct tp_device_async_ops ops = {
		TP_DEVICE_ASYNC_OPS_INIT,
		.open_channel = open_channel,
		.close_channel = close_channel,
		.submit = submit,
		.poll = poll_channel,
		.arm = arm,
		.size = disk_size,
	};
	struct tp_device *device;

	check(tp_device_new_async(&ops, disk, &device), "device");

	return device;
}

/*---------------------------- jobs -----------------------------------------*/

struct job {
	const char *name;
	enum tp_op op;
	uint32_t bytes, stride; /* of each bio; between two */
	bool random;
	enum { FRESH, MAPPED, SHARED } state;
};

static const struct job jobs[] = {
	{ "4 KiB random read", TP_READ, 4096, 4096, true, MAPPED },
	{ "4 KiB random write", TP_WRITE, 4096, 4096, true, MAPPED },
	{ "1 MiB sequential read", TP_READ, 1 << 20, 1 << 20, false, MAPPED },
	{ "64 KiB first write", TP_WRITE, BLOCK, BLOCK, false, FRESH },
	{ "4 KiB first write", TP_WRITE, 4096, BLOCK, true, FRESH },
	{ "4 KiB breaks sharing", TP_WRITE, 4096, BLOCK, true, SHARED },
};

/* The offsets of a job: each once, in an order that is the same every time. */
static uint64_t offset_of(const struct job *job, uint64_t i, uint64_t nr)
{
	return job->random ? i * 7919 % nr * job->stride : i * job->stride;
}

static char buffer[1 << 20];

/*---------------------------- raw ------------------------------------------*/

struct raw {
	struct tp_device_request request;
	struct iovec iov;
	bool busy;
};

static void raw_done(struct tp_device_request *request, int status)
{
	if (status)
		die("raw request");
	((struct raw *)request->context)->busy = false;
}

static void raw_submit(struct channel *channel, struct raw *raw,
		       const struct job *job, uint64_t offset)
{
	raw->busy = true;
	raw->iov = (struct iovec){ buffer, job->bytes };
	raw->request = (struct tp_device_request){
		.op = job->op,
		.offset = offset,
		.length = job->bytes,
		.iov = &raw->iov,
		.iovcnt = 1,
		.done = raw_done,
		.context = raw,
	};
	submit(channel, &raw->request);
}

static double run_raw(struct disk *disk, const struct job *job, uint64_t nr)
{
	struct raw raws[DEPTH] = { { .busy = false } };
	struct channel *channel;
	uint64_t i = 0;
	double start;

	check(open_channel(disk, -1, 1, (void **)&channel), "channel");
	start = now();
	while (i < nr) {
		for (unsigned k = 0; k < DEPTH && i < nr; k++, i++)
			raw_submit(channel, &raws[k], job,
				   offset_of(job, i, nr));
		while (channel->first)
			poll_channel(channel, DEPTH);
	}
	start = now() - start;
	close_channel(channel);

	return start / (double)nr;
}

/*---------------------------- thin -----------------------------------------*/

struct thin_bio {
	struct tp_bio bio;
	struct iovec iov;
	unsigned *in_flight;
};

static void bio_done(struct tp_bio *bio)
{
	struct thin_bio *thin_bio = bio->context;

	if (bio->status)
		die("bio");
	--*thin_bio->in_flight;
}

static double drive(struct tp_queue *queue, struct tp_thin *thin,
		    const struct job *job, uint64_t nr)
{
	static struct thin_bio bios[DEPTH];
	unsigned in_flight = 0;
	uint64_t i = 0;
	double start = now();

	while (i < nr) {
		for (unsigned k = 0; k < DEPTH && i < nr; k++, i++) {
			struct thin_bio *b = &bios[k];

			b->iov = (struct iovec){ buffer, job->bytes };
			b->in_flight = &in_flight;
			b->bio = (struct tp_bio){
				.op = job->op,
				.offset = offset_of(job, i, nr),
				.iov = &b->iov,
				.iovcnt = 1,
				.end_io = bio_done,
				.context = b,
			};
			check(tp_queue_submit(queue, thin, &b->bio), "submit");
			in_flight++;
		}
		while (in_flight)
			if (tp_queue_wait(queue, in_flight, -1) < 0)
				die("wait");
	}

	return (now() - start) / (double)nr;
}

static void fill(struct tp_pool *pool, struct tp_thin *thin, uint64_t size,
		 const struct job *job)
{
	if (job->state == FRESH)
		return;
	for (uint64_t at = 0; at < size; at += sizeof(buffer))
		check(tp_thin_write(thin, buffer, sizeof(buffer), at, 0),
		      "fill");
	if (job->state == SHARED)
		check(tp_pool_create_snapshot(pool, 2, 1), "snapshot");
	check(tp_pool_commit(pool), "commit");
}

static double run_thin(struct disk *disk, const struct job *job, uint64_t nr,
		       uint64_t size)
{
	struct tp_thin_options options = TP_THIN_OPTIONS_INIT;
	struct tp_device *metadata, *data = device_over(disk);
	struct tp_queue *queue;
	struct tp_pool *pool;
	struct tp_thin *thin;
	double seconds;

	options.size = size;
	check(tp_device_open_memory(64 << 20, &metadata), "metadata");
	check(tp_pool_format(metadata, data, NULL), "format");
	check(tp_pool_open(metadata, data, NULL, &pool), "open");
	check(tp_pool_create_thin(pool, 1), "create");
	check(tp_thin_open(pool, 1, &options, &thin), "open thin");
	check(tp_queue_create(pool, DEPTH, &queue), "queue");
	fill(pool, thin, size, job);
	seconds = drive(queue, thin, job, nr);
	tp_queue_destroy(queue);
	check(tp_thin_close(thin), "close thin");
	check(tp_pool_close(pool), "close");
	tp_device_unref(data);
	tp_device_unref(metadata);

	return seconds;
}

/*---------------------------- figures --------------------------------------*/

struct options {
	bool json;
	unsigned rounds;
	uint64_t size;
	const char *path;
};

static int compare(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;

	return (x > y) - (x < y);
}

static double median(double *values, unsigned nr)
{
	qsort(values, nr, sizeof(*values), compare);

	return values[nr / 2];
}

static void print(const struct options *options, const struct job *job,
		  double raw, double thin, const double *ratios, bool last)
{
	double low = ratios[0], high = ratios[options->rounds - 1];
	double middle = ratios[options->rounds / 2];

	if (options->json)
		printf("  {\"job\": \"%s\", \"raw_ns\": %.0f, \"thin_ns\": "
		       "%.0f, \"ratio\": %.3f, \"ratio_min\": %.3f, "
		       "\"ratio_max\": %.3f}%s\n",
		       job->name, raw * 1e9, thin * 1e9, middle, low, high,
		       last ? "" : ",");
	else
		printf("%-24s %10.0f %10.0f %8.3f  %.3f .. %.3f\n", job->name,
		       raw * 1e9, thin * 1e9, middle, low, high);
}

/* The ratio is of rates: 1 is as fast as the device, less is slower. */
static void run_job(const struct options *options, const struct job *job,
		    bool last)
{
	double raw[ROUNDS_MAX], thin[ROUNDS_MAX], ratios[ROUNDS_MAX];
	uint64_t nr = options->size / job->stride;

	for (unsigned i = 0; i < options->rounds; i++) {
		struct disk disk = { .memory = NULL };

		/* Room for the volume and its copy. */
		open_disk(&disk, options->path, 2 * options->size + BLOCK);
		raw[i] = run_raw(&disk, job, nr);
		thin[i] = run_thin(&disk, job, nr, options->size);
		ratios[i] = raw[i] / thin[i];
		close_disk(&disk);
	}
	qsort(ratios, options->rounds, sizeof(*ratios), compare);
	print(options, job, median(raw, options->rounds),
	      median(thin, options->rounds), ratios, last);
}

static void usage(FILE *out)
{
	fputs("usage: thinpool-bench [--json] [--rounds N] [--size MIB] "
	      "[--file PATH]\n",
	      out);
}

static unsigned long number(const char *text, unsigned long max)
{
	char *end;
	unsigned long value = strtoul(text, &end, 10);

	if (*end || value == 0 || value > max) {
		fprintf(stderr, "thinpool-bench: '%s' is not 1 to %lu\n", text,
			max);
		exit(2);
	}

	return value;
}

static void parse(int argc, char **argv, struct options *options)
{
	static const struct option names[] = {
		{ "json", no_argument, NULL, 'j' },
		{ "rounds", required_argument, NULL, 'r' },
		{ "size", required_argument, NULL, 's' },
		{ "file", required_argument, NULL, 'f' },
		{ "help", no_argument, NULL, 'h' },
		{ NULL, 0, NULL, 0 },
	};
	int c;

	while ((c = getopt_long(argc, argv, "", names, NULL)) != -1) {
		if (c == 'j') {
			options->json = true;
		} else if (c == 'r') {
			options->rounds = (unsigned)number(optarg, ROUNDS_MAX);
		} else if (c == 's') {
			options->size = (uint64_t)number(optarg, 65536) << 20;
		} else if (c == 'f') {
			options->path = optarg;
		} else {
			usage(c == 'h' ? stdout : stderr);
			exit(c == 'h' ? 0 : 2);
		}
	}
}

int main(int argc, char **argv)
{
	struct options options = { .rounds = 5, .size = 256 << 20 };
	size_t nr = sizeof(jobs) / sizeof(jobs[0]);

	parse(argc, argv, &options);
	if (options.json)
		puts("[");
	else
		printf("%s, %llu MiB, depth %d, ns per bio and rate by raw\n"
		       "%-24s %10s %10s %8s  %s\n",
		       options.path ? options.path : "memory",
		       (unsigned long long)(options.size >> 20), DEPTH, "",
		       "raw", "thin", "ratio", "spread");
	for (size_t i = 0; i < nr; i++)
		run_job(&options, &jobs[i], i + 1 == nr);
	if (options.json)
		puts("]");

	return 0;
}
