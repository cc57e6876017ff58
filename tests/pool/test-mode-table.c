/*
 * The table of modes (5.5): what each operation does in each of them, how the
 * pool gets from one to another, and what the host is told of it.
 */
#include <stdlib.h>

#include "support/world.h"

#define METADATA_BYTES (512 * KIB)
#define THIN_BYTES (4 * MIB)

/* Room for whatever uses up either kind of space. */
#define WIDE_BYTES ((uint64_t)1 << 50)
#define FEW_BLOCKS 8u
#define MANY_BLOCKS 256u

/* Of thin 0: shared with thin 1, its own, and not mapped. */
enum { SHARED, OWN, ANOTHER, UNMAPPED };

static struct world w;
static struct tp_thin *thin;
static char block[WORLD_BLOCK];

/*---------------------------- ways into the modes --------------------------*/

static enum tp_pool_mode mode(void)
{
	return world_status(&w).mode;
}

static void make_pool(int kind, unsigned nr_data_blocks, unsigned flags)
{
	world_make_sized(&w, kind, METADATA_BYTES,
			 (uint64_t)nr_data_blocks * WORLD_BLOCK, NULL);
	w.options.flags |= flags;
	world_format(&w);
	world_open(&w);
	thin = world_new_thin(&w, 0, THIN_BYTES);
	thin_fill(thin, SHARED * WORLD_BLOCK, WORLD_BLOCK, 1);
	ck_ok(tp_pool_create_snapshot(w.pool, 1, 0));
	thin_fill(thin, OWN * WORLD_BLOCK, 2 * WORLD_BLOCK, 1);
	ck_ok(tp_pool_create_thin(w.pool, 2));
	ck_ok(tp_thin_flush(thin));
}

static void be_in_write(int kind)
{
	make_pool(kind, MANY_BLOCKS, 0);
}

static void use_up_data(void)
{
	struct tp_thin *filler = world_open_thin(&w, 2, WIDE_BYTES);
	uint64_t nr = world_status(&w).data_blocks - world_used(&w);
	struct tp_queue *queue;
	struct io io;

	for (uint64_t i = 0; i < nr; i++)
		ck_ok(tp_thin_write(filler, block, 512, i * WORLD_BLOCK, 0));
	ck_ok(tp_thin_flush(filler));
	ck_ok(tp_queue_create(w.pool, 1, &queue));
	io_init(&io, TP_WRITE, block, nr * WORLD_BLOCK, 512, 0);
	io_submit(&io, queue, filler);
	world_until(&w, mode() == TP_MODE_OUT_OF_DATA_SPACE);
	tp_queue_destroy(queue);
	ck_assert_int_eq(io.bio.status, -ENOSPC);
	ck_ok(tp_thin_close(filler));
}

static void run_out_of_data(int kind)
{
	make_pool(kind, FEW_BLOCKS, 0);
	use_up_data();
}

static void run_out_of_data_with_errors(int kind)
{
	make_pool(kind, FEW_BLOCKS, TP_POOL_ERROR_IF_NO_SPACE);
	use_up_data();
}

/* Each thin has a root of its own; then what is mapped finds no room. */
static void use_up_metadata(void)
{
	struct tp_thin *filler = world_open_thin(&w, 2, THIN_BYTES);
	uint32_t id = 100;
	uint64_t at = 0;
	int r;

	do
		r = tp_pool_create_thin(w.pool, id++);
	while (!r && id < 1000);
	ck_assert(r == -ENOSPC || r == -EOPNOTSUPP);
	do
		r = tp_thin_write(filler, block, 512, at, 0);
	while (!r && (at += WORLD_BLOCK) < THIN_BYTES);
	ck_assert_int_eq(r, -EIO);
	ck_ok(tp_thin_close(filler));
	ck_assert_int_eq(mode(), TP_MODE_OUT_OF_METADATA_SPACE);
}

static void run_out_of_metadata(int kind)
{
	make_pool(kind, MANY_BLOCKS, 0);
	use_up_metadata();
}

static void open_read_only(int kind)
{
	make_pool(kind, MANY_BLOCKS, 0);
	ck_ok(tp_thin_close(thin));
	w.options.flags |= TP_POOL_READ_ONLY;
	world_reopen(&w);
	thin = world_open_thin(&w, 0, THIN_BYTES);
}

/* Of another thin, so that this one loses nothing. */
static void fail_a_commit(void)
{
	struct tp_thin *other = world_open_thin(&w, 1, THIN_BYTES);

	ck_ok(tp_thin_write(other, block, 512, UNMAPPED * WORLD_BLOCK, 0));
	ck_assert_int_eq(tp_thin_flush(other), -EIO);
	observer_heal(&w.metadata);
	ck_ok(tp_thin_close(other));
}

static void abort_a_transaction(int kind)
{
	make_pool(kind, MANY_BLOCKS, 0);
	observer_fail(&w.metadata, OPS(TP_FLUSH), 0, 1, -EIO);
	fail_a_commit();
}

static void lose_the_metadata(int kind)
{
	make_pool(kind, MANY_BLOCKS, 0);
	observer_fail(&w.metadata, ALL_OPS, 0, 0, -EIO);
	fail_a_commit();
}

static void end(void)
{
	bool failed = mode() == TP_MODE_FAILED;

	ck_ok(tp_thin_close(thin));
	if (failed) {
		tp_pool_close(w.pool);
		world_open(&w);
	}
	world_end(&w);
}

/*---------------------------- the table ------------------------------------*/

#define WAITS 1

struct row {
	void (*enter)(int kind);
	enum tp_pool_mode mode;
	int in_place;  /* reads, writes in place, flushes */
	int provision; /* of what is unmapped, or shared */
	int discard;
	bool changes; /* discards and zeroes unmap; commits */
	int message;
	int open;
	int grow_data, grow_metadata;
};

static const struct row rows[] = {
	{ be_in_write, TP_MODE_WRITE, 0, 0, 0, true, 0, 0, 0, 0 },
	{ run_out_of_data, TP_MODE_OUT_OF_DATA_SPACE, 0, WAITS, 0, true, 0, 0,
	  0, 0 },
	{ run_out_of_data_with_errors, TP_MODE_OUT_OF_DATA_SPACE, 0, -ENOSPC, 0,
	  true, 0, 0, 0, 0 },
	{ run_out_of_metadata, TP_MODE_OUT_OF_METADATA_SPACE, 0, -EIO, 0, false,
	  -EOPNOTSUPP, 0, -EOPNOTSUPP, 0 },
	{ open_read_only, TP_MODE_READ_ONLY, 0, -EIO, 0, false, -EOPNOTSUPP, 0,
	  -EOPNOTSUPP, -EOPNOTSUPP },
	{ abort_a_transaction, TP_MODE_READ_ONLY, 0, -EIO, 0, false,
	  -EOPNOTSUPP, 0, -EOPNOTSUPP, -EOPNOTSUPP },
	{ lose_the_metadata, TP_MODE_FAILED, -EIO, -EIO, -EIO, false,
	  -EOPNOTSUPP, -EINVAL, -EOPNOTSUPP, -EOPNOTSUPP },
};
#define NR_ROWS (sizeof(rows) / sizeof(rows[0]))

static void check_in_place(const struct row *row)
{
	ck_assert_int_eq(tp_thin_read(thin, block, WORLD_BLOCK, 0),
			 row->in_place);
	ck_assert_int_eq(tp_thin_read(thin, block, 512, UNMAPPED * WORLD_BLOCK),
			 row->in_place);
	if (!row->in_place) {
		thin_verify(thin, 0, 3 * WORLD_BLOCK, 1);
		thin_verify_zero(thin, UNMAPPED * WORLD_BLOCK, WORLD_BLOCK);
	}
	fill_pattern(block, 512, OWN * WORLD_BLOCK, 2);
	ck_assert_int_eq(tp_thin_write(thin, block, 512, OWN * WORLD_BLOCK, 0),
			 row->in_place);
	ck_assert_int_eq(tp_thin_write(thin, block, 512, OWN * WORLD_BLOCK,
				       TP_FUA),
			 row->in_place);
	ck_assert_int_eq(tp_thin_write_zeroes(thin, OWN * WORLD_BLOCK + 1024,
					      512, 0),
			 row->in_place);
	ck_assert_int_eq(tp_thin_flush(thin), row->in_place);
	if (row->in_place)
		return;
	thin_verify(thin, OWN * WORLD_BLOCK, 512, 2);
	thin_verify_zero(thin, OWN * WORLD_BLOCK + 1024, 512);
}

/* A flush goes to the device, though nothing is to be committed. */
static void check_flush(const struct row *row)
{
	unsigned before = w.data.nr_begun[TP_FLUSH];
	uint64_t nr_commits = world_status(&w).nr_commits;

	ck_assert_int_eq(tp_thin_flush(thin), row->in_place);
	ck_assert_uint_eq(w.data.nr_begun[TP_FLUSH], before + !row->in_place);
	ck_assert_uint_eq(world_status(&w).nr_commits, nr_commits);
}

static void check_provision(const struct row *row, uint64_t vblock)
{
	struct tp_queue *queue;
	struct io io;

	ck_ok(tp_queue_create(w.pool, 1, &queue));
	io_init(&io, TP_WRITE, block, vblock * WORLD_BLOCK, 512, 0);
	io_submit(&io, queue, thin);
	if (row->provision == WAITS) {
		world_idle(&w);
		ck_assert(!io_has_ended(&io, queue));
	} else {
		ck_assert_int_eq(io_wait(&w, &io, queue), row->provision);
	}
	tp_queue_destroy(queue);
	ck_assert_uint_eq(io.nr_ended, 1);
	ck_assert_int_eq(io.bio.status,
			 row->provision == WAITS ? -ENOSPC : row->provision);
}

static void check_messages(const struct row *row)
{
	uint64_t nr_thins = world_status(&w).nr_thins;

	ck_assert_int_eq(tp_pool_create_thin(w.pool, 7), row->message);
	ck_assert_int_eq(tp_pool_create_snapshot(w.pool, 8, 1), row->message);
	ck_assert_int_eq(tp_pool_delete_thin(w.pool, 8), row->message);
	ck_assert_int_eq(tp_pool_set_transaction_id(w.pool, 0, 5),
			 row->message);
	ck_assert_int_eq(tp_pool_reserve_metadata_snapshot(w.pool),
			 row->message);
	ck_assert_int_eq(tp_pool_release_metadata_snapshot(w.pool),
			 row->message);
	ck_assert_int_eq(tp_pool_commit(w.pool), row->message);
	if (row->mode == TP_MODE_FAILED)
		return;
	ck_assert_uint_eq(world_status(&w).nr_thins, nr_thins + !row->message);
	ck_assert_uint_eq(world_status(&w).transaction_id,
			  row->message ? 0 : 5);
}

static void check_open(const struct row *row)
{
	struct tp_thin_options options = TP_THIN_OPTIONS_INIT;
	struct tp_thin *other;

	options.size = THIN_BYTES;
	ck_assert_int_eq(tp_thin_open(w.pool, 1, &options, &other), row->open);
	if (!row->open)
		ck_ok(tp_thin_close(other));
}

/* The last two blocks: one is discarded, the other zeroed as a whole; then a
 * flush needs a commit, if anything changed. */
static void check_unmapping(const struct row *row)
{
	uint64_t nr_commits = world_status(&w).nr_commits;

	ck_assert_int_eq(tp_thin_discard(thin, ANOTHER * WORLD_BLOCK,
					 WORLD_BLOCK),
			 row->discard);
	ck_assert_int_eq(tp_thin_write_zeroes(thin, OWN * WORLD_BLOCK,
					      WORLD_BLOCK, 0),
			 row->in_place);
	ck_assert_int_eq(tp_thin_flush(thin), row->in_place);
	ck_assert_int_eq(world_status(&w).nr_commits > nr_commits,
			 row->changes);
	if (row->in_place)
		return;
	thin_verify_zero(thin, OWN * WORLD_BLOCK, WORLD_BLOCK);
	if (row->changes)
		thin_verify_zero(thin, ANOTHER * WORLD_BLOCK, WORLD_BLOCK);
	else
		thin_verify(thin, ANOTHER * WORLD_BLOCK, WORLD_BLOCK, 1);
}

/* B-MSG-1, B-META-4, B-OODS-2, B-OODS-3, B-DISC-14, B-FLUSH-8,
 * B-BAD-23, B-THIN-6, B-READ-1, RDO-01, RDO-02, RDO-03, RDO-04, RDO-05: all of
 * the table but its last two lines.  NCK-05: the last mode. */
START_TEST(test_each_mode_allows_what_the_table_says)
{
	for (unsigned i = 0; i < NR_ROWS; i++) {
		const struct row *row = &rows[i];
		uint64_t mapped;

		row->enter(_i);
		ck_assert_int_eq(mode(), row->mode);
		check_in_place(row);
		check_flush(row);
		mapped = row->in_place ? 0 : thin_info(thin).mapped_bytes;
		if (row->provision) {
			check_provision(row, UNMAPPED);
			check_provision(row, SHARED);
		}
		check_open(row);
		check_messages(row);
		ck_assert_int_eq(mode(), row->mode);
		check_unmapping(row);
		if (row->mode != TP_MODE_FAILED)
			ck_assert_uint_eq(thin_info(thin).mapped_bytes,
					  mapped - (row->changes ? 2 : 0) *
							   WORLD_BLOCK);
		if (!row->provision) {
			check_provision(row, UNMAPPED);
			check_provision(row, SHARED);
		}
		end();
	}
}
END_TEST

static void expect_blocks(uint64_t nr_data, uint64_t nr_metadata)
{
	ck_assert_uint_eq(world_status(&w).data_blocks, nr_data);
	ck_assert_uint_eq(world_status(&w).metadata_blocks, nr_metadata);
}

/* The table's last two lines; B-GROW-4, NCK-06: where it is refused nothing
 * happens, and a failed pool tells of no sizes at all. */
START_TEST(test_each_mode_grows_as_the_table_says)
{
	for (unsigned i = 0; i < NR_ROWS; i++) {
		const struct row *row = &rows[i];
		uint64_t nr_data, nr_metadata;
		unsigned nr_writes;

		row->enter(_i);
		nr_data = world_status(&w).data_blocks;
		nr_metadata = world_status(&w).metadata_blocks;
		observer_grow(&w.data, w.data.size_bytes + MIB);
		observer_grow(&w.metadata, w.metadata.size_bytes + MIB);
		nr_writes = w.metadata.nr_begun[TP_WRITE];
		ck_assert_int_eq(tp_pool_grow_data(w.pool), row->grow_data);
		if (row->grow_data) {
			ck_assert_int_eq(mode(), row->mode);
			ck_assert_uint_eq(w.metadata.nr_begun[TP_WRITE],
					  nr_writes);
			expect_blocks(nr_data, nr_metadata);
		} else {
			ck_assert_int_eq(mode(), TP_MODE_WRITE);
			expect_blocks(nr_data + 16, nr_metadata);
		}
		ck_assert_int_eq(tp_pool_grow_metadata(w.pool),
				 row->grow_metadata);
		if (row->grow_metadata) {
			ck_assert_int_eq(mode(), row->mode);
			ck_assert_uint_eq(w.metadata.nr_begun[TP_WRITE],
					  nr_writes);
			expect_blocks(nr_data, nr_metadata);
		} else {
			ck_assert_int_eq(mode(), TP_MODE_WRITE);
			ck_ok(tp_pool_grow_data(w.pool));
			expect_blocks(nr_data + 16, nr_metadata + 256);
		}
		end();
	}
}
END_TEST

/*---------------------------- transitions ----------------------------------*/

/* Written by the run loop; the test's own thread asserts. */
#define NR_EVENTS_MAX 16u
static struct tp_event events[NR_EVENTS_MAX];
static atomic_uint nr_events;
static atomic_bool told_too_early;

/* B-EVT-2: whoever asks now sees what the event tells of, and may be told of
 * the next meanwhile. */
static void note_event(void *context, const struct tp_event *event)
{
	struct tp_pool_status status = TP_POOL_STATUS_INIT;
	unsigned nr;

	if (tp_pool_get_status(w.pool, &status) ||
	    (event->kind == TP_EVENT_MODE && status.mode != event->mode))
		atomic_store(&told_too_early, true);
	nr = atomic_load(&nr_events);
	if (nr == NR_EVENTS_MAX)
		return;
	events[nr] = *event;
	atomic_store(&nr_events, nr + 1);
}

static void forget_events(void)
{
	ck_assert(!atomic_load(&told_too_early));
	ck_assert_uint_lt(atomic_load(&nr_events), NR_EVENTS_MAX);
	atomic_store(&nr_events, 0);
}

static void listen(void)
{
	forget_events();
	ck_ok(tp_pool_set_event_handler(w.pool, note_event, NULL));
}

/* One change of mode, and no more. */
static void expect_change(enum tp_pool_mode from, enum tp_pool_mode to)
{
	unsigned nr_changes = 0;

	world_until(&w, mode() == to);
	world_settle(&w);
	for (unsigned i = 0; i < nr_events; i++) {
		if (events[i].kind != TP_EVENT_MODE)
			continue;
		ck_assert_int_eq(events[i].old_mode, from);
		ck_assert_int_eq(events[i].mode, to);
		nr_changes++;
	}
	ck_assert_uint_eq(nr_changes, 1);
	forget_events();
}

static void expect_no_change(enum tp_pool_mode still)
{
	world_settle(&w);
	ck_assert_int_eq(mode(), still);
	for (unsigned i = 0; i < nr_events; i++)
		ck_assert_int_ne(events[i].kind, TP_EVENT_MODE);
	forget_events();
}

static void resume_with(const struct tp_pool_options *options)
{
	ck_ok(tp_pool_suspend(w.pool));
	ck_ok(tp_pool_resume(w.pool, options));
}

static struct tp_pool_options read_only_options(void)
{
	struct tp_pool_options options = w.options;

	options.flags |= TP_POOL_READ_ONLY;

	return options;
}

/* B-MODE-4, B-MODE-5, B-OODS-7: from write to out of data space and
 * back; a resume that asks for nothing is no way back, one that asks is. */
START_TEST(test_out_of_data_space_comes_and_goes)
{
	make_pool(_i, FEW_BLOCKS, TP_POOL_ERROR_IF_NO_SPACE);
	listen();
	use_up_data();
	expect_change(TP_MODE_WRITE, TP_MODE_OUT_OF_DATA_SPACE);
	ck_assert_int_eq(tp_thin_write(thin, block, 512, 9 * WORLD_BLOCK, 0),
			 -ENOSPC);
	resume_with(NULL);
	expect_no_change(TP_MODE_OUT_OF_DATA_SPACE);
	resume_with(&w.options);
	expect_change(TP_MODE_OUT_OF_DATA_SPACE, TP_MODE_WRITE);
	ck_assert_int_eq(tp_thin_write(thin, block, 512, 9 * WORLD_BLOCK, 0),
			 -ENOSPC);
	expect_change(TP_MODE_WRITE, TP_MODE_OUT_OF_DATA_SPACE);
	ck_ok(tp_pool_delete_thin(w.pool, 2));
	expect_change(TP_MODE_OUT_OF_DATA_SPACE, TP_MODE_WRITE);
	ck_ok(tp_thin_write(thin, block, 512, 9 * WORLD_BLOCK, 0));
	ck_ok(tp_pool_commit(w.pool));
	expect_no_change(TP_MODE_WRITE);
	end();
}
END_TEST

/* B-META-3, B-META-5, B-STAT-2: more data is no help, and is not taken; a
 * resume that asks for write gets it, until it is found full
 * again. */
START_TEST(test_out_of_metadata_space_ends_when_metadata_grows)
{
	make_pool(_i, MANY_BLOCKS, 0);
	listen();
	use_up_metadata();
	expect_change(TP_MODE_WRITE, TP_MODE_OUT_OF_METADATA_SPACE);
	observer_grow(&w.data, w.data.size_bytes + MIB);
	resume_with(NULL);
	expect_no_change(TP_MODE_OUT_OF_METADATA_SPACE);
	expect_blocks(MANY_BLOCKS, METADATA_BYTES / 4096);
	w.data.size_bytes -= MIB;
	resume_with(&w.options);
	expect_change(TP_MODE_OUT_OF_METADATA_SPACE, TP_MODE_WRITE);
	ck_assert_int_eq(tp_pool_create_thin(w.pool, 9), -ENOSPC);
	ck_assert_int_eq(tp_thin_write(thin, block, 512, UNMAPPED * WORLD_BLOCK,
				       0),
			 -EIO);
	expect_change(TP_MODE_WRITE, TP_MODE_OUT_OF_METADATA_SPACE);
	ck_assert(!world_status(&w).needs_check);
	observer_grow(&w.metadata, METADATA_BYTES + MIB);
	observer_grow(&w.data, w.data.size_bytes + MIB);
	resume_with(NULL);
	expect_change(TP_MODE_OUT_OF_METADATA_SPACE, TP_MODE_WRITE);
	expect_blocks(MANY_BLOCKS + 16, METADATA_BYTES / 4096 + 256);
	ck_ok(tp_thin_write(thin, block, 512, 9 * WORLD_BLOCK, 0));
	end();
}
END_TEST

/* B-MODE-4, B-MODE-5, 5.5: as configured, and back. */
START_TEST(test_a_resume_makes_a_pool_read_only_and_writable_again)
{
	struct tp_pool_options options;

	make_pool(_i, MANY_BLOCKS, 0);
	options = read_only_options();
	listen();
	resume_with(&options);
	expect_change(TP_MODE_WRITE, TP_MODE_READ_ONLY);
	resume_with(NULL);
	expect_no_change(TP_MODE_READ_ONLY);
	resume_with(&options);
	expect_no_change(TP_MODE_READ_ONLY);
	resume_with(&w.options);
	expect_change(TP_MODE_READ_ONLY, TP_MODE_WRITE);

	/* The options of an inner resume count too. */
	ck_ok(tp_pool_suspend(w.pool));
	ck_ok(tp_pool_suspend(w.pool));
	ck_ok(tp_pool_resume(w.pool, &options));
	expect_no_change(TP_MODE_WRITE);
	ck_ok(tp_pool_resume(w.pool, NULL));
	expect_change(TP_MODE_WRITE, TP_MODE_READ_ONLY);
	ck_ok(tp_pool_suspend(w.pool));
	ck_ok(tp_pool_suspend(w.pool));
	ck_ok(tp_pool_resume(w.pool, &w.options));
	ck_ok(tp_pool_resume(w.pool, NULL));
	expect_change(TP_MODE_READ_ONLY, TP_MODE_WRITE);
	end();
}
END_TEST

static atomic_uint nr_sentences;

static void note_growth(void *context, enum tp_log_level level,
			const char *sentence)
{
	nr_sentences += strstr(sentence, "has grown") != NULL;
}

/* B-MODE-1, B-MODE-4, B-NC-1, B-NC-2, B-GROW-3, NCK-02, NCK-06: whatever is
 * asked for, a pool that needs a check stays read-only and as big as it is,
 * says so, and resumes. */
START_TEST(test_a_pool_that_needs_a_check_neither_writes_nor_grows)
{
	make_pool(_i, MANY_BLOCKS, 0);
	listen();
	observer_fail(&w.metadata, OPS(TP_FLUSH), 0, 1, -EIO);
	fail_a_commit();
	expect_change(TP_MODE_WRITE, TP_MODE_READ_ONLY);
	observer_grow(&w.data, w.data.size_bytes + MIB);
	observer_grow(&w.metadata, w.metadata.size_bytes + MIB);
	for (unsigned round = 0; round < 10; round++) {
		unsigned nr_writes = w.metadata.nr_begun[TP_WRITE];

		ck_assert_int_eq(tp_pool_grow_data(w.pool), -EOPNOTSUPP);
		ck_assert_int_eq(tp_pool_grow_metadata(w.pool), -EOPNOTSUPP);
		nr_sentences = 0;
		tp_set_log(note_growth, NULL, TP_LOG_WARNING);
		resume_with(round % 2 ? &w.options : NULL);
		tp_set_log(NULL, NULL, TP_LOG_ERROR);
		ck_assert_uint_eq(nr_sentences, 1);
		expect_no_change(TP_MODE_READ_ONLY);
		expect_blocks(MANY_BLOCKS, METADATA_BYTES / 4096);
		ck_assert(world_status(&w).needs_check);
		ck_ok(tp_thin_close(thin));
		world_reopen(&w);
		listen();
		thin = world_open_thin(&w, 0, THIN_BYTES);
		ck_assert_int_eq(mode(), TP_MODE_READ_ONLY);
		ck_assert_uint_eq(w.metadata.nr_begun[TP_WRITE], nr_writes);
	}
	end();
}
END_TEST

/* B-MODE-2, B-MODE-5, B-GROW-6, B-BAD-24, R-53: nothing leads out of failed,
 * and a resume lets go of what waited, with errors. */
START_TEST(test_nothing_leads_out_of_failed)
{
	struct tp_queue *queue;
	struct io io;

	make_pool(_i, MANY_BLOCKS, 0);
	ck_ok(tp_thin_write(thin, block, 512, UNMAPPED * WORLD_BLOCK, 0));
	listen();
	observer_fail(&w.metadata, ALL_OPS, 0, 0, -EIO);
	ck_assert_int_eq(tp_pool_suspend(w.pool), -EIO);
	expect_change(TP_MODE_WRITE, TP_MODE_FAILED);
	observer_heal(&w.metadata);
	ck_ok(tp_queue_create(w.pool, 1, &queue));
	io_init(&io, TP_READ, block, 0, 512, 0);
	io_submit(&io, queue, thin);
	ck_ok(tp_pool_resume(w.pool, NULL));
	ck_assert_int_eq(io_wait(&w, &io, queue), -EIO);
	tp_queue_destroy(queue);
	for (unsigned i = 0; i < 3; i++) {
		struct tp_pool_options options = read_only_options();

		resume_with(i ? &w.options : &options);
		listen();
		expect_no_change(TP_MODE_FAILED);
		ck_assert_int_eq(tp_thin_read(thin, block, 512, 0), -EIO);
	}
	end();
}
END_TEST

int main(void)
{
	return RUN_TESTS(
		"mode-table", NR_KINDS,
		test_each_mode_allows_what_the_table_says,
		test_each_mode_grows_as_the_table_says,
		test_out_of_data_space_comes_and_goes,
		test_out_of_metadata_space_ends_when_metadata_grows,
		test_a_resume_makes_a_pool_read_only_and_writable_again,
		test_a_pool_that_needs_a_check_neither_writes_nor_grows,
		test_nothing_leads_out_of_failed);
}
