/*
 * stress.c - all at once, contents verified.
 *
 * Two origins are written by all queues, wherever they please; history.h tells
 * what a read or a snapshot may show.  The devices are the library's own, for
 * a lock in a test's device would order what is to be found unordered.
 */
#include "support/stress.h"

#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "support/history.h"
#include "support/scratch.h"
#include "support/world.h"

#define NR_QUEUES 4u
#define NR_ORIGINS 2u
#define DEPTH 16u
#define ORIGIN_BYTES (4u * MIB)
#define LENGTH_MAX (160u * KIB)

/* So many that no bio waits for space: one that does is in a snapshot block by
 * block (N1), and here it is taken for granted that none is. */
#define DATA_BYTES (192u * MIB)
#define DATA_BYTES_MAX (320u * MIB)
#define METADATA_BYTES (4u * MIB)
#define METADATA_BYTES_MAX (12u * MIB)

static struct {
	char metadata_path[SCRATCH_PATH_BYTES], data_path[SCRATCH_PATH_BYTES];
	bool on_files;
	struct tp_device *metadata, *data;
	struct tp_pool *pool;
	struct history history;
	struct history_volume origins[NR_ORIGINS];
	atomic_bool stop;
	atomic_uint suspends; /* odd while the pool is suspended */
	atomic_uint nr_snapshots, nr_lives, nr_hooks, nr_turns;
} all;

/* Everybody goes on until this. */
static bool is_over(void)
{
	return all.stop || history_is_full(&all.history);
}

/* Calls are refused while another thread has the pool suspended; only then. */
#define ck_done(call)                                                          \
	do {                                                                   \
		unsigned suspends_;                                            \
		int status_;                                                   \
		do {                                                           \
			suspends_ = all.suspends;                              \
			status_ = call;                                        \
		} while (status_ == -EBUSY &&                                  \
			 (suspends_ % 2 || all.suspends != suspends_));        \
		ck_assert_msg(!status_, "%s: %d, %s", #call, status_,          \
			      tp_last_error());                                \
	} while (0)

static struct tp_thin *open_thin(uint32_t id, uint64_t size)
{
	struct tp_thin_options options = TP_THIN_OPTIONS_INIT;
	struct tp_thin *thin = NULL;

	options.size = size;
	ck_done(tp_thin_open(all.pool, id, &options, &thin));

	return thin;
}

/*---------------------------- queues ---------------------------------------*/

struct slot {
	struct tp_bio bio;
	struct iovec iov;
	bool busy;
	struct history_volume *volume;
	uint32_t op; /* in the history, or 0 */
	char *buffer;
	struct history_read read;
};

struct driver {
	pthread_t thread;
	uint64_t random;
	struct tp_thin *thins[NR_ORIGINS];
	struct tp_queue *queue;
	struct slot slots[DEPTH];
};

static void ended(struct tp_bio *bio)
{
	struct slot *slot = bio->context;

	ck_assert_msg(!bio->status,
		      "a bio (op %u, flags %x, %llu+%llu) ended with %d",
		      bio->op, bio->flags, (unsigned long long)bio->offset,
		      (unsigned long long)bio->length, bio->status);
	ck_assert_msg(slot->busy, "a bio ended twice");
	if (slot->op)
		history_end(&all.history, slot->op);
	else if (bio->op == TP_READ)
		history_check_read(&slot->read, slot->buffer);
	slot->busy = false;
}

static enum tp_op choose_op(uint64_t *random)
{
	static const enum tp_op ops[] = {
		TP_WRITE, TP_WRITE, TP_WRITE,   TP_WRITE,       TP_READ,
		TP_READ,  TP_READ,  TP_DISCARD, TP_WRITE_ZEROES
	};

	if (random_in(random, 0, 50) == 0)
		return TP_FLUSH;

	return ops[random_in(random, 0, sizeof(ops) / sizeof(ops[0]))];
}

static unsigned choose_flags(uint64_t *random, enum tp_op op)
{
	if (op != TP_WRITE && op != TP_WRITE_ZEROES)
		return 0;
	switch (random_in(random, 0, 12)) {
	case 0:
		return TP_FUA;
	case 1:
		return TP_PREFLUSH;
	default:
		return 0;
	}
}

/* Mostly small, sometimes whole blocks. */
static void choose_range(uint64_t *random, uint64_t *offset, uint64_t *length)
{
	if (random_in(random, 0, 3)) {
		*length = 512 * random_in(random, 1, 33);
	} else if (random_in(random, 0, 2)) {
		*length = 512 * random_in(random, 1, LENGTH_MAX / 512);
	} else {
		*length = WORLD_BLOCK * random_in(random, 1, 3);
		*offset = WORLD_BLOCK *
			  random_in(random, 0, ORIGIN_BYTES / WORLD_BLOCK - 2);
		return;
	}
	*offset = 512 * random_in(random, 0, (ORIGIN_BYTES - *length) / 512);
}

/* What the bio will have done (6.2): a discard, only to whole blocks. */
static void foresee(struct slot *slot)
{
	const struct tp_bio *bio = &slot->bio;
	uint64_t begin = bio->offset, end = bio->offset + bio->length;

	slot->op = 0;
	if (bio->op == TP_FLUSH)
		return;
	if (bio->op == TP_READ) {
		history_begin_read(slot->volume, begin, bio->length,
				   &slot->read);
		return;
	}
	if (bio->op == TP_DISCARD) {
		begin = (begin + WORLD_BLOCK - 1) / WORLD_BLOCK * WORLD_BLOCK;
		end = end / WORLD_BLOCK * WORLD_BLOCK;
	}
	if (begin >= end)
		return;
	slot->op = history_begin(slot->volume, begin, end - begin,
				 bio->op != TP_WRITE);
	if (bio->op == TP_WRITE)
		history_fill(&all.history, slot->op, slot->buffer);
}

static void submit_one(struct driver *driver, struct slot *slot)
{
	uint64_t *random = &driver->random;
	unsigned which = (unsigned)random_in(random, 0, NR_ORIGINS);
	uint64_t offset, length;

	choose_range(random, &offset, &length);
	slot->bio = (struct tp_bio){
		.op = choose_op(random),
		.offset = offset,
		.length = length,
		.iov = &slot->iov,
		.iovcnt = 1,
		.end_io = ended,
		.context = slot,
	};
	slot->bio.flags = choose_flags(random, slot->bio.op);
	slot->iov = (struct iovec){ slot->buffer, length };
	slot->volume = &all.origins[which];
	slot->busy = true;
	foresee(slot);
	ck_ok(tp_queue_submit(driver->queue, driver->thins[which], &slot->bio));
}

static struct slot *find_idle(struct driver *driver)
{
	for (unsigned i = 0; i < DEPTH; i++)
		if (!driver->slots[i].busy)
			return &driver->slots[i];

	return NULL;
}

static void plug_or_unplug(struct driver *driver)
{
	if (random_in(&driver->random, 0, 2))
		tp_queue_plug(driver->queue);
	else
		tp_queue_unplug(driver->queue);
}

static void drive(struct driver *driver)
{
	while (!is_over()) {
		struct slot *slot = find_idle(driver);

		if (random_in(&driver->random, 0, 100) == 0)
			plug_or_unplug(driver);
		if (slot)
			submit_one(driver, slot);
		else
			tp_queue_wait(driver->queue, 1, -1);
	}
	while (tp_queue_wait(driver->queue, DEPTH, -1) > 0)
		;
}

static void *driver_main(void *context)
{
	struct driver *driver = context;

	for (unsigned i = 0; i < NR_ORIGINS; i++)
		driver->thins[i] = open_thin(i, ORIGIN_BYTES);
	ck_ok(tp_queue_create(all.pool, DEPTH, &driver->queue));
	for (unsigned i = 0; i < DEPTH; i++)
		driver->slots[i].buffer = malloc(LENGTH_MAX);
	drive(driver);
	tp_queue_destroy(driver->queue);
	for (unsigned i = 0; i < DEPTH; i++)
		free(driver->slots[i].buffer);
	for (unsigned i = 0; i < NR_ORIGINS; i++)
		ck_ok(tp_thin_close(driver->thins[i]));

	return NULL;
}

/*---------------------------- snapshots ------------------------------------*/

/* Of both origins; they are kept for a while, and never change. */
struct image {
	uint32_t id;
	char *content;
};

#define NR_KEPT 2u
#define FIRST_SNAPSHOT 100u

static void read_all(uint32_t id, char *content)
{
	struct tp_thin *thin = open_thin(id, ORIGIN_BYTES);

	ck_ok(tp_thin_read(thin, content, ORIGIN_BYTES, 0));
	ck_ok(tp_thin_close(thin));
}

static int take_snapshots(uint32_t id)
{
	struct tp_snapshot_pair pairs[NR_ORIGINS];

	for (uint32_t i = 0; i < NR_ORIGINS; i++)
		pairs[i] = (struct tp_snapshot_pair){ id + i, i };

	return tp_pool_create_snapshots(all.pool, pairs, NR_ORIGINS);
}

static void take_images(uint32_t id, struct image *images)
{
	struct history_cut cuts[NR_ORIGINS];

	for (unsigned i = 0; i < NR_ORIGINS; i++)
		history_begin_cut(&all.origins[i], &cuts[i]);
	ck_done(take_snapshots(id));
	for (unsigned i = 0; i < NR_ORIGINS; i++)
		history_end_cut(&cuts[i]);
	for (unsigned i = 0; i < NR_ORIGINS; i++) {
		images[i] = (struct image){ id + i, malloc(ORIGIN_BYTES) };
		read_all(id + i, images[i].content);
		history_check_cut(&cuts[i], images[i].content);
		history_cut_exit(&cuts[i]);
	}
}

static void drop_images(struct image *images)
{
	char *again = malloc(ORIGIN_BYTES);

	for (unsigned i = 0; i < NR_ORIGINS; i++) {
		read_all(images[i].id, again);
		ck_assert_msg(!memcmp(again, images[i].content, ORIGIN_BYTES),
			      "snapshot %u has changed", images[i].id);
		ck_done(tp_pool_delete_thin(all.pool, images[i].id));
	}
	for (unsigned i = 0; i < NR_ORIGINS; i++) {
		free(images[i].content);
		images[i].content = NULL;
	}
	free(again);
}

static void *snapshot_main(void *context)
{
	static struct image kept[NR_KEPT][NR_ORIGINS];
	uint32_t id = FIRST_SNAPSHOT;

	memset(kept, 0, sizeof(kept));
	for (unsigned turn = 0; !is_over(); turn++, id += NR_ORIGINS) {
		struct image *images = kept[turn % NR_KEPT];

		if (images->content)
			drop_images(images);
		take_images(id, images);
		all.nr_snapshots++;
	}
	for (unsigned i = 0; i < NR_KEPT; i++)
		if (kept[i]->content)
			drop_images(kept[i]);

	return context;
}

/*---------------------------- other thins ----------------------------------*/

#define LIFE_BYTES (2u * MIB)
#define LIFE_ID 50u

static void expect_pattern(uint32_t id, uint64_t seed, char *buffer)
{
	struct tp_thin *thin = open_thin(id, LIFE_BYTES);

	ck_ok(tp_thin_read(thin, buffer, LIFE_BYTES, 0));
	ck_assert_msg(find_other(buffer, LIFE_BYTES, 0, seed) == UINT64_MAX,
		      "thin %u does not hold what was written to it", id);
	ck_ok(tp_thin_close(thin));
}

static void fill_thin(uint32_t id, uint64_t seed, char *buffer)
{
	struct tp_thin *thin = open_thin(id, LIFE_BYTES);

	fill_pattern(buffer, LIFE_BYTES, 0, seed);
	ck_ok(tp_thin_write(thin, buffer, LIFE_BYTES, 0, TP_FUA));
	ck_ok(tp_thin_close(thin));
}

/* Made, written, copied, overwritten, and deleted: the blocks go round. */
static void *life_main(void *context)
{
	char *buffer = malloc(LIFE_BYTES);

	for (uint64_t seed = 1; !is_over(); seed++) {
		ck_done(tp_pool_create_thin(all.pool, LIFE_ID));
		fill_thin(LIFE_ID, seed, buffer);
		ck_done(tp_pool_create_snapshot(all.pool, LIFE_ID + 1,
						LIFE_ID));
		fill_thin(LIFE_ID, ++seed, buffer);
		expect_pattern(LIFE_ID + 1, seed - 1, buffer);
		expect_pattern(LIFE_ID, seed, buffer);
		ck_done(tp_pool_delete_thin(all.pool, LIFE_ID));
		expect_pattern(LIFE_ID + 1, seed - 1, buffer);
		ck_done(tp_pool_delete_thin(all.pool, LIFE_ID + 1));
		all.nr_lives++;
	}
	free(buffer);

	return context;
}

/*---------------------------- hooks ----------------------------------------*/

/* The context is freed as soon as the hook was replaced. */
static int hook(void *context)
{
	struct tp_pool **pool = context;

	return tp_pool_flush_data(*pool);
}

static void *hook_main(void *context)
{
	struct tp_pool **old = NULL;

	while (!is_over()) {
		struct tp_pool **new = NULL;

		if (all.nr_hooks++ % 3) {
			new = malloc(sizeof(*new));
			*new = all.pool;
		}
		ck_ok(tp_pool_set_pre_commit_hook(all.pool, new ? hook : NULL,
						  new));
		free(old);
		old = new;
		usleep(300);
	}
	ck_ok(tp_pool_set_pre_commit_hook(all.pool, NULL, NULL));
	free(old);

	return context;
}

/*---------------------------- the administrator ----------------------------*/

static void grow_data(uint64_t size)
{
	if (size > DATA_BYTES_MAX)
		return;
	if (all.on_files)
		ck_assert_msg(!truncate(all.data_path, (off_t)size),
			      "truncate");
	else
		ck_ok(tp_device_grow_memory(all.data, size));
	ck_ok(tp_pool_grow_data(all.pool));
}

static void grow_metadata(uint64_t size)
{
	if (size > METADATA_BYTES_MAX)
		return;
	ck_assert_msg(!truncate(all.metadata_path, (off_t)size), "truncate");
	ck_ok(tp_pool_grow_metadata(all.pool));
}

static void look_around(uint64_t turn)
{
	struct tp_pool_status status = TP_POOL_STATUS_INIT;

	ck_ok(tp_pool_get_status(all.pool, &status));
	ck_assert_msg(status.mode == TP_MODE_WRITE, "the pool is in mode %d",
		      status.mode);
	ck_ok(tp_pool_set_transaction_id(all.pool, turn, turn + 1));
	ck_ok(tp_pool_commit(all.pool));
}

static void suspend_for_a_while(void)
{
	all.suspends++;
	ck_ok(tp_pool_suspend(all.pool));
	usleep(200);
	ck_ok(tp_pool_resume(all.pool, NULL));
	all.suspends++;
}

static void *admin_main(void *context)
{
	for (uint64_t turn = 0; !is_over(); turn++) {
		ck_ok(tp_pool_reserve_metadata_snapshot(all.pool));
		grow_data(DATA_BYTES + (turn + 1) * 3 * WORLD_BLOCK);
		grow_metadata(METADATA_BYTES + (turn + 1) * 5 * 4096);
		look_around(turn);
		ck_ok(tp_pool_release_metadata_snapshot(all.pool));
		if (turn % 4 == 0)
			suspend_for_a_while();
		all.nr_turns++;
	}

	return context;
}

/*---------------------------- the run --------------------------------------*/

static void open_devices(const struct stress *stress)
{
	static const enum tp_file_engine engines[] = {
		TP_FILE_ENGINE_THREADS,
		TP_FILE_ENGINE_INLINE,
		TP_FILE_ENGINE_DEFAULT,
		TP_FILE_ENGINE_DEFAULT,
	};
	struct tp_file_options options = TP_FILE_OPTIONS_INIT;

	scratch_file(all.metadata_path, METADATA_BYTES);
	scratch_file(all.data_path, DATA_BYTES);
	all.on_files = stress->on_files;
	ck_ok(tp_device_open_file(all.metadata_path, NULL, &all.metadata));
	options.engine = engines[stress->seed / 2 % 4];
	if (all.on_files)
		ck_ok(tp_device_open_file(all.data_path, &options, &all.data));
	else
		ck_ok(tp_device_open_memory(DATA_BYTES, &all.data));
}

static void open_pool(void)
{
	struct tp_pool_options options = TP_POOL_OPTIONS_INIT;

	options.commit_interval_ms = 20;
	ck_ok(tp_pool_open(all.metadata, all.data, &options, &all.pool));
}

static void make_world(const struct stress *stress)
{
	struct tp_format_options options = TP_FORMAT_OPTIONS_INIT;

	memset(&all, 0, sizeof(all));
	open_devices(stress);
	options.data_block_size = WORLD_BLOCK;
	ck_ok(tp_pool_format(all.metadata, all.data, &options));
	open_pool();
	history_init(&all.history);
	all.history.may_tear = stress->on_files;
	for (uint32_t i = 0; i < NR_ORIGINS; i++) {
		ck_ok(tp_pool_create_thin(all.pool, i));
		history_volume_init(&all.history, &all.origins[i],
				    ORIGIN_BYTES);
	}
}

static void unmake_world(void)
{
	for (unsigned i = 0; i < NR_ORIGINS; i++)
		history_volume_exit(&all.origins[i]);
	history_exit(&all.history);
	tp_device_unref(all.data);
	tp_device_unref(all.metadata);
	unlink(all.data_path);
	unlink(all.metadata_path);
}

static void run_threads(const struct stress *stress)
{
	static struct driver drivers[NR_QUEUES];
	static void *(*const callers[])(void *context) = { snapshot_main,
							   life_main, hook_main,
							   admin_main };
	pthread_t threads[sizeof(callers) / sizeof(callers[0])];

	memset(drivers, 0, sizeof(drivers));
	for (unsigned i = 0; i < NR_QUEUES; i++) {
		drivers[i].random = mix(stress->seed) + i;
		pthread_create(&drivers[i].thread, NULL, driver_main,
			       &drivers[i]);
	}
	for (unsigned i = 0; i < sizeof(callers) / sizeof(callers[0]); i++)
		pthread_create(&threads[i], NULL, callers[i], NULL);
	for (unsigned i = 0; i < 100 * stress->seconds && !is_over(); i++)
		usleep(10000);
	all.stop = true;
	for (unsigned i = 0; i < NR_QUEUES; i++)
		pthread_join(drivers[i].thread, NULL);
	for (unsigned i = 0; i < sizeof(callers) / sizeof(callers[0]); i++)
		pthread_join(threads[i], NULL);
}

/* Nothing is in flight any more: all of it, now and after the pool is opened
 * again. */
static void verify_at_rest(char *content[NR_ORIGINS])
{
	static struct history_read read;

	for (uint32_t i = 0; i < NR_ORIGINS; i++) {
		history_begin_read(&all.origins[i], 0, ORIGIN_BYTES, &read);
		read_all(i, content[i]);
		history_check_read(&read, content[i]);
	}
}

static void reopen_and_compare(char *content[NR_ORIGINS])
{
	char *again = malloc(ORIGIN_BYTES);

	ck_ok(tp_pool_close(all.pool));
	world_check_file(all.metadata_path);
	open_pool();
	for (uint32_t i = 0; i < NR_ORIGINS; i++) {
		read_all(i, again);
		ck_assert_msg(!memcmp(again, content[i], ORIGIN_BYTES),
			      "thin %u has changed by closing the pool", i);
	}
	ck_ok(tp_pool_close(all.pool));
	free(again);
}

void stress_run(const struct stress *stress)
{
	char *content[NR_ORIGINS];

	make_world(stress);
	run_threads(stress);
	for (unsigned i = 0; i < NR_ORIGINS; i++)
		content[i] = malloc(ORIGIN_BYTES);
	verify_at_rest(content);
	reopen_and_compare(content);
	printf("%u operations, %u snapshots, %u lives, %u hooks, %u turns\n",
	       all.history.nr_ops, all.nr_snapshots, all.nr_lives, all.nr_hooks,
	       all.nr_turns);
	ck_assert_uint_gt(all.nr_snapshots, 0);
	ck_assert_uint_gt(all.nr_lives, 0);
	ck_assert_uint_gt(all.nr_hooks, 0);
	ck_assert_uint_gt(all.nr_turns, 0);
	for (unsigned i = 0; i < NR_ORIGINS; i++)
		free(content[i]);
	unmake_world();
}
