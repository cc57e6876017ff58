/*
 * seeds.c - a batch of seeds that must hold.
 */
#include "simulator/seeds.h"

#include <check.h>

void assert_seeds_hold(uint64_t from, uint64_t nr, bool plain,
		       struct totals *totals)
{
	struct batch batch = {
		.from = from,
		.nr = nr,
		.options = { .faults = true, .plain = plain },
	};

	batch_run(&batch, totals);
	batch_print(totals);
	ck_assert_msg(!totals->nr_failed,
		      "seed %llu: %s; ./dev simulate --from %llu%s --trace",
		      (unsigned long long)totals->failed_seed,
		      totals->verdict.sentence,
		      (unsigned long long)totals->failed_seed,
		      plain ? " --plain" : "");
}
