/*
 * status.c - thinpool status: how a pool is.
 */
#include <inttypes.h>
#include <stdio.h>

#include "json.h"
#include "session.h"
#include "size.h"

#define BAR_CELLS 24

/*
 * The mode that the pool will have for whoever opens it to use it: we opened it
 * to look, so for us it is read-only.
 */
static const char *mode_name(const struct tp_pool_status *status)
{
	enum tp_pool_mode mode = TP_MODE_WRITE;

	if (status->mode == TP_MODE_FAILED)
		mode = TP_MODE_FAILED;
	else if (status->needs_check)
		mode = TP_MODE_READ_ONLY;
	else if (status->used_metadata_blocks == status->metadata_blocks)
		mode = TP_MODE_OUT_OF_METADATA_SPACE;
	else if (status->used_data_blocks == status->data_blocks)
		mode = TP_MODE_OUT_OF_DATA_SPACE;

	return tp_pool_mode_name(mode);
}

static void print_count(const char *key, const struct tp_io_count *count)
{
	json_begin_object(key);
	json_number("bios", count->nr_bios);
	json_number("bytes", count->bytes);
	json_end_object();
}

static void print_io(const struct tp_io_statistics *io)
{
	print_count("reads", &io->reads);
	print_count("writes", &io->writes);
	print_count("write_zeroes", &io->write_zeroes);
	print_count("discards", &io->discards);
	print_count("flushes", &io->flushes);
	json_number("fua", io->nr_fua);
	json_number("direct", io->nr_direct);
	json_number("mapping_cache_hits", io->mapping_cache_hits);
	json_number("mapping_cache_misses", io->mapping_cache_misses);
	json_number("provisioned_blocks", io->provisioned_blocks);
	json_number("unshared_blocks", io->unshared_blocks);
	json_number("copied_blocks", io->copied_blocks);
	json_number("zeroed_blocks", io->zeroed_blocks);
	json_number("avoided_breaks", io->avoided_breaks);
	json_number("unmapped_blocks", io->unmapped_blocks);
}

static void print_statistics(const struct tp_pool_statistics *statistics)
{
	json_begin_object("statistics");
	print_io(&statistics->io);
	json_number("commits", statistics->nr_commits);
	json_number("committed_flushes", statistics->nr_committed_flushes);
	json_number("data_flushes", statistics->nr_data_flushes);
	json_number("flushed_flushes", statistics->nr_flushed_flushes);
	json_begin_array("commit_latency");
	for (unsigned i = 0; i < TP_LATENCY_BUCKETS; i++)
		json_number(NULL, statistics->commit_latency[i]);
	json_end_array();
	json_end_object();
}

static void print_json(const struct tp_pool_status *status,
		       const struct tp_pool_statistics *statistics)
{
	json_begin_object(NULL);
	json_string("mode", mode_name(status));
	json_bool("needs_check", status->needs_check);
	json_number("transaction_id", status->transaction_id);
	json_number("time", status->time);
	json_number("data_block_size", status->data_block_size);
	json_number("data_blocks", status->data_blocks);
	json_number("used_data_blocks", status->used_data_blocks);
	json_number("metadata_block_size", METADATA_BLOCK_SIZE);
	json_number("metadata_blocks", status->metadata_blocks);
	json_number("used_metadata_blocks", status->used_metadata_blocks);
	json_number("metadata_low_water_blocks",
		    status->metadata_low_water_blocks);
	if (status->held_root)
		json_number("held_root", status->held_root);
	else
		json_null("held_root");
	json_number("volumes", status->nr_thins);
	print_statistics(statistics);
	json_end_object();
}

/* Something in use shows, however little; and so does something free. */
static void print_bar(uint64_t used, uint64_t total)
{
	int filled = (int)((double)used / (double)total * BAR_CELLS + 0.5);

	if (used && !filled)
		filled = 1;
	if (used < total && filled == BAR_CELLS)
		filled--;
	printf("  [");
	for (int i = 0; i < BAR_CELLS; i++)
		putchar(i < filled ? '#' : '.');
	printf("] %.1f%%", 100 * (double)used / (double)total);
}

static void print_usage(const char *what, uint64_t used, uint64_t total,
			uint64_t block_size)
{
	printf("%-18s %6s used of %6s", what,
	       size_format(used * block_size).text,
	       size_format(total * block_size).text);
	if (total)
		print_bar(used, total);
	printf("\n");
}

static void print_text(const struct tp_pool_status *status)
{
	printf("%-18s %s\n", "mode", mode_name(status));
	printf("%-18s %s\n", "needs check",
	       status->needs_check ? "yes: see 'thinpool check'" : "no");
	printf("%-18s %" PRIu64 "\n", "transaction id", status->transaction_id);
	printf("%-18s %s\n", "data block",
	       size_format(status->data_block_size).text);
	print_usage("data", status->used_data_blocks, status->data_blocks,
		    status->data_block_size);
	print_usage("metadata", status->used_metadata_blocks,
		    status->metadata_blocks, METADATA_BLOCK_SIZE);
	printf("%-18s %" PRIu64 "\n", "volumes", status->nr_thins);
	if (status->held_root)
		printf("%-18s at block %" PRIu64 "\n", "metadata snapshot",
		       status->held_root);
}

static int report(struct session *session, const struct arguments *arguments)
{
	struct tp_pool_status status = TP_POOL_STATUS_INIT;
	struct tp_pool_statistics statistics = TP_POOL_STATISTICS_INIT;
	int r = tp_pool_get_status(session->pool, &status);

	if (!r)
		r = tp_pool_get_statistics(session->pool, &statistics);
	if (r)
		return fail_library(r, "cannot tell how %s is",
				    arguments->pool);
	if (arguments->given & OPTION_JSON)
		print_json(&status, &statistics);
	else
		print_text(&status);

	return 0;
}

int run_status(const struct arguments *arguments)
{
	struct session session;
	int r = session_open(&session, arguments, READ_ONLY);

	return r ? r : session_close(&session, report(&session, arguments));
}
