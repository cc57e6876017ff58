/*
 * fuzz-check.c - damaged metadata is checked, and repaired if it lets itself be;
 * then nothing that was to be repaired is left.
 */
#include <stdlib.h>
#include <thinpool/check.h>

#include "fuzz/edits.h"
#include "fuzz/target.h"

static int check(struct image_pool *pool, unsigned flags,
		 struct tp_check_report *report)
{
	struct tp_check_options options = TP_CHECK_OPTIONS_INIT;

	options.flags = flags;
	options.nr_threads = 1;
	options.data_bytes = pool->data.size_bytes;
	options.clock_wait = pool->options.clock_wait;
	options.clock_context = pool->options.clock_context;
	*report = (struct tp_check_report)TP_CHECK_REPORT_INIT;

	return image_pool_expect(pool, "check",
				 tp_check(pool->metadata.device, &options,
					  report));
}

static void check_all(struct image_pool *pool, unsigned flags)
{
	struct tp_check_report before, after;

	check(pool, 0, &before);
	if (check(pool, TP_CHECK_REPAIR_LEAKS | flags, &after))
		return;
	if (after.repaired && before.worst > TP_CHECK_LEAK)
		image_pool_complain(pool, "repaired what is worse than leaks");
	if (!after.repaired)
		return;
	if (check(pool, 0, &after) || after.worst > TP_CHECK_LEAK)
		image_pool_complain(pool, "worse after a repair");
	if (after.leaked_metadata_blocks || after.leaked_data_blocks)
		image_pool_complain(pool, "leaks are left after a repair");
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct image_pool pool;
	struct edited edited;

	if (!edits_apply(data, size, &edited))
		return 0;
	specimen_copy(edited.specimen, &pool, true);
	image_device_put(&pool.metadata, edited.metadata,
			 edited.specimen->sizes.metadata_bytes);
	check_all(&pool, edited.seed % 2 ? TP_CHECK_CLEAR_NEEDS_CHECK : 0);
	image_pool_exit(&pool);
	edits_free(&edited);

	return 0;
}
