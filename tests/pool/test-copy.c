/*
 * Sharing broken on a data device that can copy by itself (TP_DEVICE_COPY): the
 * old block does not come through memory.
 */
#include "support/world.h"

#define THIN_BYTES (16 * WORLD_BLOCK)

static struct world w;
static char bytes[WORLD_BLOCK];

/* A thin that is filled, and a snapshot of it. */
static void begin(int kind, unsigned features, struct tp_thin **thin,
		  struct tp_thin **snapshot)
{
	struct tp_device_limits limits = TP_DEVICE_LIMITS_INIT;

	limits.features = TP_DEVICE_DISCARD | features;
	limits.discard_granularity_bytes = 512;
	world_make_sized(&w, kind, 2 * MIB, 16 * MIB, &limits);
	world_format(&w);
	world_open(&w);
	*thin = world_new_thin(&w, 0, THIN_BYTES);
	thin_fill(*thin, 0, THIN_BYTES, 1);
	*snapshot = world_snapshot(&w, 1, 0, THIN_BYTES);
	ck_ok(tp_pool_commit(w.pool));
	fill_pattern(bytes, WORLD_BLOCK, 0, 2);
}

static void end(struct tp_thin *thin, struct tp_thin *snapshot)
{
	thins_close(thin, snapshot);
	world_end(&w);
}

static unsigned nr_begun(enum tp_op op)
{
	return w.data.nr_begun[op];
}

/* What was there stays in the snapshot, and around the bio's data. */
static void verify_broken(struct tp_thin *thin, struct tp_thin *snapshot,
			  uint64_t offset, uint64_t length)
{
	uint64_t block = offset - offset % WORLD_BLOCK;
	uint64_t end = offset + length;
	static char now[WORLD_BLOCK];

	thin_verify(thin, 0, offset, 1);
	ck_ok(tp_thin_read(thin, now, length, offset));
	ck_assert(!memcmp(now, bytes, length));
	thin_verify(thin, end, block + WORLD_BLOCK - end, 1);
	thin_verify(snapshot, 0, THIN_BYTES, 1);
}

/* B-COW-1. */
START_TEST(test_the_device_copies_and_the_bios_data_goes_on_top)
{
	static const uint64_t offsets[] = { 0, 8192, WORLD_BLOCK - 4096 };
	struct tp_thin *thin, *snapshot;

	begin(_i, TP_DEVICE_COPY, &thin, &snapshot);
	for (unsigned i = 0; i < 3; i++) {
		uint64_t offset = i * WORLD_BLOCK + offsets[i];
		unsigned nr_reads = nr_begun(TP_READ);
		unsigned nr_writes = nr_begun(TP_WRITE);

		ck_ok(tp_thin_write(thin, bytes, 4096, offset, 0));
		ck_assert_uint_eq(nr_begun(TP_COPY), i + 1);
		ck_assert_uint_eq(nr_begun(TP_READ), nr_reads);
		ck_assert_uint_eq(nr_begun(TP_WRITE), nr_writes + 1);
	}
	for (unsigned i = 0; i < 3; i++) {
		static char now[4096];

		ck_ok(tp_thin_read(thin, now, 4096,
				   i * WORLD_BLOCK + offsets[i]));
		ck_assert(!memcmp(now, bytes, 4096));
	}
	thin_verify(thin, 3 * WORLD_BLOCK, THIN_BYTES - 3 * WORLD_BLOCK, 1);
	thin_verify(snapshot, 0, THIN_BYTES, 1);
	end(thin, snapshot);
}
END_TEST

START_TEST(test_what_is_covered_is_not_copied)
{
	struct tp_thin *thin, *snapshot;

	begin(_i, TP_DEVICE_COPY, &thin, &snapshot);
	ck_ok(tp_thin_write(thin, bytes, WORLD_BLOCK, 0, 0));
	ck_assert_uint_eq(nr_begun(TP_COPY), 0);
	verify_broken(thin, snapshot, 0, WORLD_BLOCK);
	end(thin, snapshot);
}
END_TEST

START_TEST(test_a_device_that_cannot_is_not_asked)
{
	struct tp_thin *thin, *snapshot;

	begin(_i, 0, &thin, &snapshot);
	ck_ok(tp_thin_write(thin, bytes, 4096, 4096, 0));
	ck_assert_uint_eq(nr_begun(TP_COPY), 0);
	verify_broken(thin, snapshot, 4096, 4096);
	end(thin, snapshot);
}
END_TEST

START_TEST(test_a_device_that_refuses_is_asked_once)
{
	struct tp_thin *thin, *snapshot;

	begin(_i, TP_DEVICE_COPY, &thin, &snapshot);
	observer_fail(&w.data, OPS(TP_COPY), 0, 0, -EOPNOTSUPP);
	ck_ok(tp_thin_write(thin, bytes, 4096, 4096, 0));
	verify_broken(thin, snapshot, 4096, 4096);
	ck_ok(tp_thin_write(thin, bytes, 4096, 3 * WORLD_BLOCK, 0));
	ck_assert_uint_eq(nr_begun(TP_COPY), 1);
	end(thin, snapshot);
}
END_TEST

/* B-WRITE-5, F-02: nothing was mapped, and what was handed out is given back. */
START_TEST(test_a_copy_that_fails_leaves_all_as_it_was)
{
	struct tp_thin *thin, *snapshot;
	uint64_t used;

	begin(_i, TP_DEVICE_COPY, &thin, &snapshot);
	used = world_used(&w);
	observer_fail(&w.data, OPS(TP_COPY), 0, 1, -EIO);
	ck_assert_int_eq(tp_thin_write(thin, bytes, 4096, 4096, 0), -EIO);
	ck_assert_uint_eq(world_used(&w), used);
	ck_assert_int_eq(world_status(&w).mode, TP_MODE_WRITE);
	thin_verify(thin, 0, THIN_BYTES, 1);
	thin_verify(snapshot, 0, THIN_BYTES, 1);
	ck_ok(tp_thin_write(thin, bytes, 4096, 4096, 0));
	verify_broken(thin, snapshot, 4096, 4096);
	end(thin, snapshot);
}
END_TEST

/* The block is mapped, and the old one let go of, when all of it is there. */
START_TEST(test_others_see_the_old_block_while_it_is_copied)
{
	struct tp_thin *thin, *snapshot;
	struct tp_queue *queue;
	struct io write;

	begin(_i, TP_DEVICE_COPY, &thin, &snapshot);
	ck_ok(tp_queue_create(w.pool, 4, &queue));
	observer_hold(&w.data, OPS(TP_COPY));
	io_init(&write, TP_WRITE, bytes, 4096, 4096, 0);
	io_submit(&write, queue, thin);
	world_until(&w, w.data.nr_held > 0);
	thin_verify(thin, 0, THIN_BYTES, 1);
	ck_assert(!io_has_ended(&write, queue));
	observer_release(&w.data);
	ck_ok(io_wait(&w, &write, queue));
	verify_broken(thin, snapshot, 4096, 4096);
	tp_queue_destroy(queue);
	end(thin, snapshot);
}
END_TEST

int main(void)
{
	return RUN_TESTS("copy", NR_KINDS,
			 test_the_device_copies_and_the_bios_data_goes_on_top,
			 test_what_is_covered_is_not_copied,
			 test_a_device_that_cannot_is_not_asked,
			 test_a_device_that_refuses_is_asked_once,
			 test_a_copy_that_fails_leaves_all_as_it_was,
			 test_others_see_the_old_block_while_it_is_copied);
}
