/*
 * beside-deletion - what others notice of a big volume's deletion.
 *
 *	beside-deletion METADATA DATA ID
 *
 * Deletes the thin ID, and beside it does 4 KiB of this or that on a fresh one,
 * a bio at a time: reads and writes of what is mapped, and first writes, which
 * need the run loop that empties the other.  How long these take is told for a
 * while before and until the last block is free, and how much memory it took.
 */
#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <time.h>
#include <unistd.h>
#include <thinpool/thinpool.h>

#define BIO_BYTES 4096u
#define NR_MAPPED 256u
#define NR_BLOCKS_MAX (1u << 18) /* of the fresh thin */
#define SECONDS_BEFORE 5
#define NR_SAMPLES_MAX (64u << 20)

static void check(int r, const char *what)
{
	if (!r)
		return;
	fprintf(stderr, "beside-deletion: %s: %s\n", what, tp_last_error());
	exit(1);
}

static uint64_t now_ns(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);

	return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

static long peak_kib(void)
{
	struct rusage usage;

	getrusage(RUSAGE_SELF, &usage);

	return usage.ru_maxrss;
}

/*---------------------------- bios in the foreground -----------------------*/

enum kind { KIND_READ, KIND_WRITE, KIND_FIRST_WRITE, NR_KINDS };

static const char *const kind_names[NR_KINDS] = {
	[KIND_READ] = "read",
	[KIND_WRITE] = "write",
	[KIND_FIRST_WRITE] = "first write",
};

struct foreground {
	struct tp_pool *pool;
	struct tp_thin *thin;
	struct tp_queue *queue;
	uint64_t block_bytes, nr_written; /* blocks */
	unsigned seed;
	char *data;

	uint32_t *samples[NR_KINDS]; /* nanoseconds */
	size_t nr[NR_KINDS];
};

static void ended(struct tp_bio *bio)
{
	check(bio->status, "a bio");
}

/* The latency. */
static uint64_t do_bio(struct foreground *fg, enum tp_op op, uint64_t vblock)
{
	struct iovec iov = { fg->data, BIO_BYTES };
	struct tp_bio bio = {
		.op = op,
		.offset = vblock * fg->block_bytes,
		.iov = &iov,
		.iovcnt = 1,
		.end_io = ended,
	};
	uint64_t begin = now_ns();

	check(tp_queue_submit(fg->queue, fg->thin, &bio), "submit");
	tp_queue_wait(fg->queue, 1, -1);

	return now_ns() - begin;
}

/* First writes as long as there are new blocks: one bio in sixteen. */
static void do_one(struct foreground *fg)
{
	unsigned choice = (unsigned)rand_r(&fg->seed);
	enum kind kind = choice & 1 ? KIND_WRITE : KIND_READ;
	uint64_t vblock = (choice >> 8) % fg->nr_written;
	uint64_t ns;

	if (choice >> 1 & 15 || fg->nr_written == NR_BLOCKS_MAX) {
		ns = do_bio(fg, kind == KIND_READ ? TP_READ : TP_WRITE, vblock);
	} else {
		kind = KIND_FIRST_WRITE;
		ns = do_bio(fg, TP_WRITE, fg->nr_written++);
	}
	if (fg->nr[kind] < NR_SAMPLES_MAX)
		fg->samples[kind][fg->nr[kind]++] =
			ns > UINT32_MAX ? UINT32_MAX : (uint32_t)ns;
}

static int compare(const void *a, const void *b)
{
	uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;

	return (x > y) - (x < y);
}

static double at(const struct foreground *fg, enum kind kind, double part)
{
	return fg->samples[kind][(size_t)((double)(fg->nr[kind] - 1) * part)] /
	       1e3;
}

static void tell(struct foreground *fg, const char *when)
{
	for (enum kind kind = 0; kind < NR_KINDS; kind++) {
		if (!fg->nr[kind])
			continue;
		qsort(fg->samples[kind], fg->nr[kind], sizeof(uint32_t),
		      compare);
		printf("%-7s %-12s %9zu %9.1f %9.1f %9.1f %9.1f\n", when,
		       kind_names[kind], fg->nr[kind], at(fg, kind, .5),
		       at(fg, kind, .99), at(fg, kind, .999), at(fg, kind, 1));
		fg->nr[kind] = 0;
	}
}

static void begin(struct foreground *fg, uint32_t id)
{
	struct tp_thin_options options = TP_THIN_OPTIONS_INIT;

	options.size = (uint64_t)NR_BLOCKS_MAX * fg->block_bytes;
	check(tp_pool_create_thin(fg->pool, id), "create");
	check(tp_thin_open(fg->pool, id, &options, &fg->thin), "open");
	check(tp_queue_create(fg->pool, 1, &fg->queue), "queue");
	fg->data = aligned_alloc(BIO_BYTES, BIO_BYTES);
	if (!fg->data)
		exit(1);
	memset(fg->data, 'x', BIO_BYTES);
	for (enum kind kind = 0; kind < NR_KINDS; kind++) {
		fg->samples[kind] = malloc(NR_SAMPLES_MAX * sizeof(uint32_t));
		if (!fg->samples[kind])
			exit(1);
	}
	while (fg->nr_written < NR_MAPPED)
		do_bio(fg, TP_WRITE, fg->nr_written++);
	check(tp_pool_commit(fg->pool), "commit");
}

static void end(struct foreground *fg)
{
	tp_queue_destroy(fg->queue);
	check(tp_thin_close(fg->thin), "close");
	for (enum kind kind = 0; kind < NR_KINDS; kind++)
		free(fg->samples[kind]);
	free(fg->data);
}

/*---------------------------- the deletion ---------------------------------*/

struct deletion {
	struct tp_pool *pool;
	uint32_t id;
	double call_s, all_s;
	atomic_bool ended;
};

static uint64_t nr_used(struct tp_pool *pool)
{
	struct tp_pool_status status = TP_POOL_STATUS_INIT;

	check(tp_pool_get_status(pool, &status), "status");

	return status.used_data_blocks;
}

/* It is emptied when only the fresh thin, and perhaps a catalogue, use any. */
static void *run_deletion(void *context)
{
	struct deletion *deletion = context;
	uint64_t begin_ns = now_ns();

	check(tp_pool_delete_thin(deletion->pool, deletion->id), "delete");
	deletion->call_s = (double)(now_ns() - begin_ns) * 1e-9;
	while (nr_used(deletion->pool) > NR_BLOCKS_MAX + 1024)
		usleep(20000);
	deletion->all_s = (double)(now_ns() - begin_ns) * 1e-9;
	atomic_store(&deletion->ended, true);

	return NULL;
}

static void measure(struct foreground *fg, uint32_t id)
{
	struct deletion deletion = { .pool = fg->pool, .id = id };
	uint64_t until = now_ns() + SECONDS_BEFORE * (uint64_t)1000000000;
	uint64_t nr_before = nr_used(fg->pool);
	long kib_before;
	pthread_t thread;

	printf("%-7s %-12s %9s %9s %9s %9s %9s\n", "", "", "bios", "median us",
	       "99 %", "99.9 %", "longest");
	while (now_ns() < until)
		do_one(fg);
	tell(fg, "before");
	kib_before = peak_kib();
	if (pthread_create(&thread, NULL, run_deletion, &deletion))
		exit(1);
	while (!atomic_load(&deletion.ended))
		do_one(fg);
	pthread_join(thread, NULL);
	tell(fg, "beside");
	printf("%llu blocks: the call took %.3f s, all of it %.1f s; %ld KiB "
	       "more memory at most\n",
	       (unsigned long long)nr_before, deletion.call_s, deletion.all_s,
	       peak_kib() - kib_before);
}

int main(int argc, char **argv)
{
	struct tp_pool_options options = TP_POOL_OPTIONS_INIT;
	struct tp_pool_status status = TP_POOL_STATUS_INIT;
	struct foreground fg = { .seed = 1 };
	struct tp_device *metadata, *data;
	uint32_t id;

	if (argc != 4) {
		fputs("usage: beside-deletion METADATA DATA ID\n", stderr);
		return 2;
	}
	id = (uint32_t)strtoul(argv[3], NULL, 10);
	options.flags = TP_POOL_SKIP_ZEROING;
	check(tp_device_open_file(argv[1], NULL, &metadata), "metadata");
	check(tp_device_open_file(argv[2], NULL, &data), "data");
	check(tp_pool_open(metadata, data, &options, &fg.pool), "open");
	check(tp_pool_get_status(fg.pool, &status), "status");
	fg.block_bytes = status.data_block_size;
	begin(&fg, id + 1);
	measure(&fg, id);
	end(&fg);
	check(tp_pool_close(fg.pool), "close");
	tp_device_unref(metadata);
	tp_device_unref(data);

	return 0;
}
