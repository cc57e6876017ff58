/*
 * No memory while a deleted thin, too big for one transaction, is emptied in
 * the background: it goes on by itself when memory is back (F-19).
 *
 * The data device forgets what is written, so that the thin can be big.
 */
#include <stdlib.h>

#include "support/failing-memory.h"
#include "support/forgetful.h"
#include "support/world.h"

#define RUN_BYTES (256 * (size_t)WORLD_BLOCK)
#define NR_RUNS 300u
#define THIN_BYTES (NR_RUNS * RUN_BYTES)

static struct world w;

static void make_big_thin(void)
{
	char *buffer = calloc(1, RUN_BYTES);
	struct tp_thin *thin = world_new_thin(&w, 1, THIN_BYTES);

	/* From the end, so that leaves stay half full and are many. */
	for (unsigned i = NR_RUNS; i > 0; i--)
		ck_ok(tp_thin_write(thin, buffer, RUN_BYTES,
				    (i - 1) * RUN_BYTES, 0));
	free(buffer);
	ck_ok(tp_thin_close(thin));
}

/* It may find memory for a while: the pool keeps some.  Each node has to be read
 * from a slow device, so that it is not through before memory is short. */
START_TEST(test_emptying_goes_on_when_memory_is_back)
{
	struct tp_device *data;

	world_make_sized(&w, _i, 16 * MIB, MIB, NULL);
	w.options.commit_interval_ms = 10;
	w.options.metadata_cache_bytes = 1;
	data = forgetful_device(2 * THIN_BYTES);
	ck_ok(tp_pool_format(w.metadata.device, data, NULL));
	ck_ok(tp_pool_open(w.metadata.device, data, &w.options, &w.pool));
	make_big_thin();
	w.metadata.delay_us = world_is_host_driven(&w) ? 0 : 1000;
	ck_ok(tp_pool_delete_thin(w.pool, 1));
	failing_memory_arm(1, true);
	world_until(&w, failing_memory_has_failed());
	world_idle(&w);
	failing_memory_disarm();
	w.metadata.delay_us = 0;
	ck_assert_int_eq(world_status(&w).mode, TP_MODE_WRITE);
	world_until(&w, world_used(&w) == 0);
	world_close(&w);
	world_check(&w);
	tp_device_unref(data);
	world_unmake(&w);
}
END_TEST

int main(void)
{
	return RUN_TESTS("memory-deletion", NR_KINDS,
			 test_emptying_goes_on_when_memory_is_back);
}
