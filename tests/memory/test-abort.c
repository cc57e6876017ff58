/*
 * No memory while a transaction is given up: rolling back ends, read-only
 * or failed, and so does every bio; nothing durable is lost.
 */
#include "support/commit-steps.h"
#include "support/failing-memory.h"

#define THIN_BYTES (1 * MIB)

static struct world w;

/* Metadata of which not much stays in memory. */
static struct tp_thin *begin(int kind)
{
	struct tp_thin *thin;

	world_make(&w, kind);
	w.options.metadata_cache_bytes = 1;
	if (kind == HOST_DRIVEN)
		world_use_virtual_clock(&w);
	world_format(&w);
	world_open(&w);
	thin = world_new_thin(&w, 1, THIN_BYTES);
	thin_fill(thin, 0, THIN_BYTES / 2, 1);
	ck_ok(tp_thin_flush(thin));
	thin_fill(thin, THIN_BYTES / 2, WORLD_BLOCK, 2);

	return thin;
}

static void end(struct tp_thin *thin, bool check)
{
	ck_ok(tp_thin_close(thin));
	tp_pool_close(w.pool);
	w.pool = NULL;
	if (check)
		world_check(&w);
	world_open(&w);
	thin = world_open_thin(&w, 1, THIN_BYTES);
	thin_verify(thin, 0, THIN_BYTES / 2, 1);
	thin_verify_zero(thin, THIN_BYTES / 2, WORLD_BLOCK);
	ck_ok(tp_thin_close(thin));
	tp_pool_close(w.pool);
	w.pool = NULL;
	world_unmake(&w);
}

/* True if memory was wanted. */
static bool abort_without(unsigned nth, bool lasting, int kind)
{
	struct tp_thin *thin = begin(kind);
	enum tp_pool_mode mode;
	bool failed;

	commit_fail_at(&w, METADATA_FLUSH, 1);
	failing_memory_arm(nth, lasting);
	ck_assert_int_lt(tp_thin_flush(thin), 0);
	failed = failing_memory_disarm();
	commit_heal(&w);
	mode = world_status(&w).mode;
	ck_assert(mode == TP_MODE_READ_ONLY || mode == TP_MODE_FAILED);
	end(thin, nth % 16 == 1);

	return failed;
}

/* R-56, F-19. */
START_TEST(test_a_rollback_without_memory_ends)
{
	for (unsigned lasting = 0; lasting < 2; lasting++) {
		unsigned nth = 1;

		while (abort_without(nth, lasting, _i))
			ck_assert_uint_lt(++nth, 200);
		ck_assert_uint_gt(nth, 2); /* or nothing was shown */
	}
}
END_TEST

int main(void)
{
	return RUN_TESTS("memory-abort", NR_KINDS,
			 test_a_rollback_without_memory_ends);
}
