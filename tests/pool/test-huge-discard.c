/*
 * Discards of a terabyte: in steps, so that others get their turn; in several
 * transactions, so that what is in memory is bounded; and cut short by a close.
 *
 * The data device forgets what is written, so that much can be mapped.
 */
#include <stdlib.h>

#include "support/forgetful.h"
#include "support/world.h"

#define THIN_BYTES (1ull << 40)
#define RUN_BYTES (256ull * WORLD_BLOCK)
#define NR_MAPPED (68u * 1024) /* more than a transaction takes */
#define MAPPED_BYTES ((uint64_t)NR_MAPPED * WORLD_BLOCK)

static struct world w;
static struct tp_device *data;
static struct tp_queue *queue;

static struct tp_thin *begin(int kind, uint64_t nr_blocks)
{
	char *bytes = calloc(1, RUN_BYTES);
	struct tp_thin *thin;

	ck_assert_ptr_nonnull(bytes);
	world_make_sized(&w, kind, 16 * MIB, MIB, NULL);
	data = forgetful_device(2 * MAPPED_BYTES);
	ck_ok(tp_pool_format(w.metadata.device, data, NULL));
	ck_ok(tp_pool_open(w.metadata.device, data, &w.options, &w.pool));
	ck_ok(tp_queue_create(w.pool, 8, &queue));
	thin = world_new_thin(&w, 0, THIN_BYTES);
	for (uint64_t at = 0; at < nr_blocks * WORLD_BLOCK; at += RUN_BYTES)
		ck_ok(tp_thin_write(thin, bytes, RUN_BYTES, at, 0));
	free(bytes);
	ck_ok(tp_pool_commit(w.pool));

	return thin;
}

static void end(struct tp_thin *thin)
{
	tp_queue_destroy(queue);
	ck_ok(tp_thin_close(thin));
	world_close(&w);
	world_check(&w);
	tp_device_unref(data);
	world_unmake(&w);
}

/* B-DISC-5, B-META-6: one request; a transaction takes part of it, nobody asks
 * for the commits; and a bio that came after it, to another thin, does not wait
 * for its end. */
START_TEST(test_others_get_their_turn_during_a_discard_of_a_terabyte)
{
	struct tp_thin *thin = begin(_i, NR_MAPPED), *other;
	uint64_t nr_commits;
	static char bytes[4096];
	struct io discard, read;

	other = world_new_thin(&w, 1, THIN_BYTES);
	nr_commits = world_status(&w).nr_commits;
	io_log_clear(&w.log);
	io_init(&discard, TP_DISCARD, NULL, 0, THIN_BYTES, 0);
	io_init(&read, TP_READ, bytes, THIN_BYTES / 2, sizeof(bytes), 0);
	discard.log = read.log = &w.log;
	discard.note = "discarded";
	read.note = "read";
	io_submit(&discard, queue, thin);
	io_submit(&read, queue, other);
	while (!io_has_ended(&discard, queue) || !io_has_ended(&read, queue))
		world_run(&w);
	ck_ok(discard.bio.status);
	ck_ok(read.bio.status);
	/* Of a pool with a thread of its own nobody knows how far it came in
	 * between. */
	if (world_is_host_driven(&w))
		ck_assert_uint_lt(io_log_find_note(&w.log, 0, "read"),
				  io_log_find_note(&w.log, 0, "discarded"));
	ck_assert_uint_gt(world_status(&w).nr_commits, nr_commits);
	ck_assert_uint_eq(thin_mapped(thin), 0);
	ck_ok(tp_pool_commit(w.pool));
	world_until(&w, !world_used(&w));
	ck_ok(tp_thin_close(other));
	end(thin);
}
END_TEST

/* api.md: a close cuts it short where it is: what was unmapped is, the rest is
 * not, and it ends with -ECANCELED. */
START_TEST(test_a_close_cuts_a_discard_of_a_terabyte_short)
{
	uint64_t mapped = 4096ull * WORLD_BLOCK, left;
	struct tp_thin *thin = begin(_i, 4096);
	struct io discard;

	ck_ok(tp_thin_close(thin));
	tp_queue_destroy(queue);
	ck_ok(tp_pool_close(w.pool));
	ck_ok(tp_pool_open(w.metadata.device, data, &w.options, &w.pool));
	ck_ok(tp_queue_create(w.pool, 8, &queue));
	thin = world_open_thin(&w, 0, THIN_BYTES);
	ck_assert(!world_status(&w).changed);
	observer_hold(&w.metadata, OPS(TP_READ));
	io_init(&discard, TP_DISCARD, NULL, 0, THIN_BYTES, 0);
	io_submit(&discard, queue, thin);
	while (!world_status(&w).changed) {
		observer_release_one(&w.metadata, OPS(TP_READ));
		world_run(&w);
	}
	ck_assert_int_eq(tp_thin_close(thin), -EBUSY);
	observer_release(&w.metadata);
	ck_assert_int_eq(io_wait(&w, &discard, queue), -ECANCELED);
	left = thin_mapped(thin);
	ck_assert_uint_gt(left, 0);
	ck_assert_uint_lt(left, mapped);
	ck_ok(tp_pool_commit(w.pool));
	world_until(&w, world_used(&w) == left / WORLD_BLOCK);
	ck_ok(tp_thin_discard(thin, 0, THIN_BYTES));
	ck_assert_uint_eq(thin_mapped(thin), 0);
	end(thin);
}
END_TEST

int main(void)
{
	return RUN_TESTS(
		"huge-discard", NR_KINDS,
		test_others_get_their_turn_during_a_discard_of_a_terabyte,
		test_a_close_cuts_a_discard_of_a_terabyte_short);
}
