/*
 * sweep.c - reading many metadata blocks with all the cores there are.
 *
 * The threads sleep until a slice is laid before them, take batches of it until
 * none is left, and sleep again.  The caller's thread takes batches too.  What
 * a slice is, is written while they sleep; only the number of the next batch is
 * shared.
 */
#include "check/sweep.h"

#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdlib.h>

#include "pool/device-wait.h"

#define SLICE_BLOCKS 512u
#define BATCH_BLOCKS 32u
#define NR_THREADS_MAX 64u

struct worker {
	struct tpi_sweep *sweep;
	struct tpi_sync_channel channel;
	pthread_t thread;
};

struct tpi_sweep {
	struct worker *workers; /* the first is the caller's thread */
	unsigned nr_workers;
	char *buffer; /* SLICE_BLOCKS */

	int (*progress)(void *context, size_t nr_read);
	void *progress_context;

	/* The slice. */
	tp_mblock blocks[SLICE_BLOCKS];
	unsigned nr_blocks;
	int status[SLICE_BLOCKS];
	const struct tpi_sweep_ops *ops;
	void *context;
	atomic_uint next; /* block to be taken */

	pthread_mutex_t lock;
	pthread_cond_t wake, done;
	uint64_t nr_slices; /* laid before the threads so far */
	unsigned nr_busy;
	bool stopping;
};

static void *data_of(const struct tpi_sweep *sweep, unsigned i)
{
	return sweep->buffer + (size_t)i * TPI_MBLOCK_BYTES;
}

/*---------------------------- reading --------------------------------------*/

struct run_read {
	struct tp_device_request request;
	struct iovec iov;
	unsigned begin, nr; /* in the slice */
	unsigned *nr_pending;
	int status;
};

static void read_done(struct tp_device_request *request, int status)
{
	struct run_read *read =
		tpi_container_of(request, struct run_read, request);

	read->status = status;
	--*read->nr_pending;
}

static void submit_read(struct worker *worker, struct run_read *read)
{
	const struct tpi_sweep *sweep = worker->sweep;
	uint64_t length = (uint64_t)read->nr * TPI_MBLOCK_BYTES;

	read->iov = (struct iovec){ data_of(sweep, read->begin), length };
	read->request = (struct tp_device_request){
		.op = TP_READ,
		.offset = sweep->blocks[read->begin] * TPI_MBLOCK_BYTES,
		.length = length,
		.iov = &read->iov,
		.iovcnt = 1,
		.done = read_done,
	};
	++*read->nr_pending;
	tpi_channel_submit(worker->channel.channel, &read->request);
}

/* The end of the run of adjacent blocks that begins at @i. */
static unsigned end_of_run(const struct tpi_sweep *sweep, unsigned i,
			   unsigned end)
{
	unsigned begin = i;

	while (++i < end)
		if (sweep->blocks[i] != sweep->blocks[begin] + (i - begin))
			break;

	return i;
}

/* All of a run that failed, block by block: most of it may be well. */
static void read_singly(struct worker *worker, const struct run_read *run)
{
	struct tpi_sweep *sweep = worker->sweep;

	for (unsigned i = run->begin; i < run->begin + run->nr; i++)
		sweep->status[i] = tpi_sync_read(
			&worker->channel, sweep->blocks[i] * TPI_MBLOCK_BYTES,
			data_of(sweep, i), TPI_MBLOCK_BYTES);
}

static void read_batch(struct worker *worker, unsigned begin, unsigned end)
{
	struct run_read runs[BATCH_BLOCKS];
	unsigned i, nr_runs = 0, nr_pending = 0;

	for (i = begin; i < end; i = end_of_run(worker->sweep, i, end)) {
		runs[nr_runs] = (struct run_read){
			.begin = i,
			.nr = end_of_run(worker->sweep, i, end) - i,
			.nr_pending = &nr_pending,
		};
		submit_read(worker, &runs[nr_runs++]);
	}
	while (nr_pending)
		tpi_sync_wait(&worker->channel);

	for (i = 0; i < nr_runs; i++)
		if (runs[i].status)
			read_singly(worker, &runs[i]);
}

/*---------------------------- a slice --------------------------------------*/

static void do_batch(struct worker *worker, unsigned begin, unsigned end)
{
	struct tpi_sweep *sweep = worker->sweep;

	for (unsigned i = begin; i < end; i++)
		sweep->status[i] = 0;
	read_batch(worker, begin, end);
	if (!sweep->ops->examine)
		return;
	for (unsigned i = begin; i < end; i++)
		sweep->ops->examine(sweep->context, sweep->blocks[i],
				    data_of(sweep, i), sweep->status[i]);
}

static void do_batches(struct worker *worker)
{
	struct tpi_sweep *sweep = worker->sweep;

	for (;;) {
		unsigned begin = atomic_fetch_add_explicit(
			&sweep->next, BATCH_BLOCKS, memory_order_relaxed);

		if (begin >= sweep->nr_blocks)
			return;
		do_batch(worker, begin,
			 (unsigned)tpi_min(begin + BATCH_BLOCKS,
					   sweep->nr_blocks));
	}
}

static void *run_worker(void *context)
{
	struct worker *worker = context;
	struct tpi_sweep *sweep = worker->sweep;
	uint64_t nr_seen = 0;

	pthread_mutex_lock(&sweep->lock);
	for (;;) {
		while (sweep->nr_slices == nr_seen && !sweep->stopping)
			pthread_cond_wait(&sweep->wake, &sweep->lock);
		if (sweep->stopping)
			break;
		nr_seen = sweep->nr_slices;
		pthread_mutex_unlock(&sweep->lock);
		do_batches(worker);
		pthread_mutex_lock(&sweep->lock);
		if (!--sweep->nr_busy)
			pthread_cond_signal(&sweep->done);
	}
	pthread_mutex_unlock(&sweep->lock);

	return NULL;
}

/* One batch is not worth waking anybody. */
static void read_slice(struct tpi_sweep *sweep, struct tpi_frontier *blocks)
{
	bool alone;

	pthread_mutex_lock(&sweep->lock);
	sweep->nr_blocks =
		tpi_frontier_take(blocks, sweep->blocks, SLICE_BLOCKS);
	alone = sweep->nr_blocks <= BATCH_BLOCKS;
	atomic_store_explicit(&sweep->next, 0, memory_order_relaxed);
	if (!alone) {
		sweep->nr_busy = sweep->nr_workers - 1;
		sweep->nr_slices++;
		pthread_cond_broadcast(&sweep->wake);
	}
	pthread_mutex_unlock(&sweep->lock);

	do_batches(&sweep->workers[0]);

	pthread_mutex_lock(&sweep->lock);
	while (sweep->nr_busy)
		pthread_cond_wait(&sweep->done, &sweep->lock);
	pthread_mutex_unlock(&sweep->lock);
}

static int integrate_slice(const struct tpi_sweep *sweep)
{
	int r = 0;

	if (!sweep->ops->integrate)
		return 0;
	for (unsigned i = 0; i < sweep->nr_blocks && !r; i++)
		r = sweep->ops->integrate(sweep->context, sweep->blocks[i],
					  data_of(sweep, i), sweep->status[i]);

	return r;
}

int tpi_sweep_run(struct tpi_sweep *sweep, struct tpi_frontier *blocks,
		  const struct tpi_sweep_ops *ops, void *context)
{
	int r = 0;

	sweep->ops = ops;
	sweep->context = context;
	while (blocks->nr && !r) {
		read_slice(sweep, blocks);
		r = integrate_slice(sweep);
		if (!r && sweep->progress)
			r = sweep->progress(sweep->progress_context,
					    sweep->nr_blocks);
	}

	return r;
}

int tpi_sweep_read(struct tpi_sweep *sweep, tp_mblock block, void *data)
{
	return tpi_sync_read(&sweep->workers[0].channel,
			     block * TPI_MBLOCK_BYTES, data, TPI_MBLOCK_BYTES);
}

void tpi_sweep_set_progress(struct tpi_sweep *sweep,
			    int (*progress)(void *context, size_t nr_read),
			    void *context)
{
	sweep->progress = progress;
	sweep->progress_context = context;
}

/*---------------------------- life -----------------------------------------*/

static void stop_threads(struct tpi_sweep *sweep)
{
	pthread_mutex_lock(&sweep->lock);
	sweep->stopping = true;
	pthread_cond_broadcast(&sweep->wake);
	pthread_mutex_unlock(&sweep->lock);
	for (unsigned i = 1; i < sweep->nr_workers; i++)
		pthread_join(sweep->workers[i].thread, NULL);
}

void tpi_sweep_destroy(struct tpi_sweep *sweep)
{
	if (!sweep)
		return;
	stop_threads(sweep);
	for (unsigned i = 0; i < sweep->nr_workers; i++)
		tpi_sync_close(&sweep->workers[i].channel);
	pthread_cond_destroy(&sweep->done);
	pthread_cond_destroy(&sweep->wake);
	pthread_mutex_destroy(&sweep->lock);
	free(sweep->buffer);
	free(sweep->workers);
	free(sweep);
}

static bool start_thread(struct worker *worker, struct tp_device *device)
{
	sigset_t all, old;
	int r;

	if (tpi_sync_open(&worker->channel, device))
		return false;
	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &old);
	r = pthread_create(&worker->thread, NULL, run_worker, worker);
	pthread_sigmask(SIG_SETMASK, &old, NULL);
	if (r)
		tpi_sync_close(&worker->channel);

	return !r;
}

/* It can be done with fewer than that. */
static void start_threads(struct tpi_sweep *sweep, struct tp_device *device,
			  unsigned nr_threads)
{
	for (unsigned i = 1; i < nr_threads; i++) {
		sweep->workers[i].sweep = sweep;
		if (!start_thread(&sweep->workers[i], device))
			return;
		sweep->nr_workers++;
	}
}

static int open_first(struct tpi_sweep *sweep, struct tp_device *device,
		      const struct tpi_sweep_options *options)
{
	struct worker *first = &sweep->workers[0];
	int r;

	first->sweep = sweep;
	r = tpi_sync_open(&first->channel, device);
	if (r)
		return r;
	first->channel.wait = options->clock_wait;
	first->channel.context = options->clock_context;
	sweep->nr_workers = 1;

	return 0;
}

int tpi_sweep_new(struct tp_device *device,
		  const struct tpi_sweep_options *options,
		  struct tpi_sweep **result)
{
	unsigned nr_threads =
		(unsigned)tpi_min(options->nr_threads, NR_THREADS_MAX);
	struct tpi_sweep *sweep = calloc(1, sizeof(*sweep));
	int r = -ENOMEM;

	if (!sweep)
		return r;
	pthread_mutex_init(&sweep->lock, NULL);
	pthread_cond_init(&sweep->wake, NULL);
	pthread_cond_init(&sweep->done, NULL);
	sweep->workers = calloc(nr_threads, sizeof(*sweep->workers));
	if (sweep->workers &&
	    !posix_memalign((void **)&sweep->buffer, TPI_MBLOCK_BYTES,
			    SLICE_BLOCKS * TPI_MBLOCK_BYTES))
		r = open_first(sweep, device, options);
	if (r) {
		tpi_sweep_destroy(sweep);
		return r;
	}
	start_threads(sweep, device, nr_threads);
	*result = sweep;

	return 0;
}
