/*
 * check.c - thinpool check: verifies all metadata of a pool that nobody uses.
 *
 * Findings are told as they come; the verdict, and what to do next, in the end.
 */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <sys/stat.h>
#include <thinpool/thinpool.h>

#include "command.h"
#include "json.h"
#include "pool-files.h"
#include "progress.h"
#include "size.h"

struct run {
	const struct arguments *arguments;
	struct progress progress;
	bool json_begun;
};

static bool is_given(const struct run *run, unsigned option)
{
	return run->arguments->given & option;
}

/*---------------------------- findings, for people -------------------------*/

static void print_where(const struct tp_check_finding *finding)
{
	if (finding->block != TP_CHECK_NONE)
		printf(" block %" PRIu64 ",", finding->block);
	printf(" %s", tp_check_place_name(finding->place));
	if (finding->thin != TP_CHECK_NONE)
		printf(" of thin %" PRIu64, finding->thin);
	if (finding->held)
		printf(" in the metadata snapshot");
	if (finding->end)
		printf(", %" PRIu64 "..", finding->begin);
	if (finding->end && finding->end != UINT64_MAX)
		printf("%" PRIu64, finding->end - 1);
	if (finding->path[0])
		printf(", by %s", finding->path);
}

static void print_finding(struct run *run,
			  const struct tp_check_finding *finding)
{
	progress_end(&run->progress);
	printf("%s:", tp_check_severity_name(finding->severity));
	print_where(finding);
	printf(": %s [%s]\n", finding->what, tp_check_kind_name(finding->kind));
}

/*---------------------------- findings, for programs -----------------------*/

static void begin_json(struct run *run)
{
	if (run->json_begun)
		return;
	run->json_begun = true;
	json_begin_object(NULL);
	json_begin_array("findings");
}

static void json_optional(const char *key, uint64_t value, uint64_t none)
{
	if (value == none)
		json_null(key);
	else
		json_number(key, value);
}

static void json_finding(struct run *run,
			 const struct tp_check_finding *finding)
{
	begin_json(run);
	json_begin_object(NULL);
	json_string("severity", tp_check_severity_name(finding->severity));
	json_string("kind", tp_check_kind_name(finding->kind));
	json_string("place", tp_check_place_name(finding->place));
	json_bool("metadata_snapshot", finding->held);
	json_optional("block", finding->block, TP_CHECK_NONE);
	json_optional("thin", finding->thin, TP_CHECK_NONE);
	if (finding->end) {
		json_number("begin", finding->begin);
		json_optional("end", finding->end, UINT64_MAX);
	}
	json_string("path", finding->path);
	json_string("what", finding->what);
	json_end_object();
}

static void json_report(struct run *run, const struct tp_check_report *report)
{
	begin_json(run);
	json_end_array();
	json_number("findings_left_out", report->nr_untold);
	json_bool("clean", report->worst <= TP_CHECK_WARNING);
	json_string("worst", tp_check_severity_name(report->worst));
	json_number("warnings", report->nr_warnings);
	json_number("leaks", report->nr_leaks);
	json_number("corruptions", report->nr_corruptions);
	json_number("fatal", report->nr_fatal);
	json_bool("needs_check", report->needs_check);
	json_bool("repaired", report->repaired);
	json_bool("cleared_needs_check", report->cleared_needs_check);
	json_number("volumes", report->nr_thins);
	json_number("mappings", report->nr_mappings);
	json_number("metadata_block_size", METADATA_BLOCK_SIZE);
	json_number("metadata_blocks", report->metadata_blocks);
	json_number("used_metadata_blocks", report->used_metadata_blocks);
	json_number("leaked_metadata_blocks", report->leaked_metadata_blocks);
	json_number("data_block_size", report->data_block_size);
	json_number("data_blocks", report->data_blocks);
	json_number("used_data_blocks", report->used_data_blocks);
	json_number("leaked_data_blocks", report->leaked_data_blocks);
	json_number("blocks_read", report->nr_blocks_read);
	json_end_object();
}

/*---------------------------- what it comes to -----------------------------*/

static void print_space(uint64_t metadata_blocks, uint64_t data_bytes,
			const char *what)
{
	printf("%s of metadata and %s of data %s\n",
	       size_format(metadata_blocks * METADATA_BLOCK_SIZE).text,
	       size_format(data_bytes).text, what);
}

static void print_report(const struct run *run,
			 const struct tp_check_report *report)
{
	if (report->nr_untold)
		printf("... and %" PRIu64 " more\n", report->nr_untold);
	if (report->worst == TP_CHECK_FATAL)
		return;
	printf("%" PRIu64 " volumes, %" PRIu64 " mappings; ", report->nr_thins,
	       report->nr_mappings);
	print_space(report->used_metadata_blocks,
		    report->used_data_blocks * report->data_block_size,
		    "in use");
	if (report->leaked_metadata_blocks || report->leaked_data_blocks)
		print_space(report->leaked_metadata_blocks,
			    report->leaked_data_blocks *
				    report->data_block_size,
			    "leaked");
	if (report->repaired)
		printf("the leaks were repaired\n");
	if (report->cleared_needs_check)
		printf("needs_check was cleared\n");
	else if (report->needs_check && report->worst <= TP_CHECK_WARNING)
		printf("needs_check is set, and 'thinpool check "
		       "--clear-needs-check' clears it\n");
	if (report->worst <= TP_CHECK_WARNING || report->repaired)
		printf("the metadata of %s is sound\n", run->arguments->pool);
}

static int judge(const struct run *run, const struct tp_check_report *report)
{
	const char *pool = run->arguments->pool;

	switch (report->worst) {
	case TP_CHECK_CLEAN:
	case TP_CHECK_WARNING:
		return 0;
	case TP_CHECK_LEAK:
		if (report->repaired)
			return 0;
		return fail("the metadata of %s is sound but for leaks: "
			    "'thinpool check --repair' gives the space back",
			    pool);
	case TP_CHECK_CORRUPTION:
		return fail("the metadata of %s is not sound: save what can be "
			    "read with 'thinpool export', or see what "
			    "thin_repair makes of it",
			    pool);
	default:
		return fail("the metadata of %s is not sound: it cannot be "
			    "opened; see what thin_repair makes of it",
			    pool);
	}
}

/*---------------------------- running it -----------------------------------*/

static void found(void *context, const struct tp_check_finding *finding)
{
	struct run *run = context;

	if (is_given(run, OPTION_JSON))
		json_finding(run, finding);
	else if (!is_given(run, OPTION_QUIET))
		print_finding(run, finding);
}

static int tell_progress(void *context, uint64_t done, uint64_t total)
{
	struct run *run = context;

	if (is_given(run, OPTION_QUIET))
		return 0;
	run->progress.total = total * METADATA_BLOCK_SIZE;
	progress_tell(&run->progress, done * METADATA_BLOCK_SIZE);

	return 0;
}

static int check_device(struct run *run, struct tp_device *metadata,
			uint64_t data_bytes)
{
	struct tp_check_options options = TP_CHECK_OPTIONS_INIT;
	struct tp_check_report report = TP_CHECK_REPORT_INIT;
	int r;

	if (is_given(run, OPTION_REPAIR))
		options.flags |= TP_CHECK_REPAIR_LEAKS;
	if (is_given(run, OPTION_CLEAR_NEEDS_CHECK))
		options.flags |= TP_CHECK_CLEAR_NEEDS_CHECK;
	options.data_bytes = data_bytes;
	options.found = found;
	options.progress = tell_progress;
	options.context = run;

	progress_begin(&run->progress, 0);
	r = tp_check(metadata, &options, &report);
	progress_end(&run->progress);
	if (is_given(run, OPTION_JSON) && (!r || run->json_begun))
		json_report(run, &report);
	if (r)
		return fail_library(r, "cannot check %s", run->arguments->pool);
	if (!is_given(run, OPTION_JSON) && !is_given(run, OPTION_QUIET))
		print_report(run, &report);

	return judge(run, &report);
}

static int check(struct run *run, const char *path, uint64_t data_bytes)
{
	struct tp_file_options options = TP_FILE_OPTIONS_INIT;
	struct tp_device *metadata;
	int r;

	if (!is_given(run, OPTION_REPAIR | OPTION_CLEAR_NEEDS_CHECK))
		options.flags = TP_FILE_READ_ONLY;
	r = tp_device_open_file(path, &options, &metadata);
	if (r)
		return fail_library(r, "cannot open %s", path);
	r = check_device(run, metadata, data_bytes);
	tp_device_unref(metadata);

	return r;
}

static bool is_metadata_alone(const char *pool)
{
	struct stat st;

	return !stat(pool, &st) && !S_ISDIR(st.st_mode);
}

/* The data's size is all that is wanted of it. */
static int check_pool(struct run *run, const char *pool)
{
	struct pool_files files;
	uint64_t data_bytes;
	int r = pool_files_init(&files, pool);

	if (r)
		return r;
	r = file_size(files.data, &data_bytes);
	if (!r)
		r = check(run, files.metadata, data_bytes);
	pool_files_exit(&files);

	return r;
}

int run_check(const struct arguments *arguments)
{
	struct run run = { .arguments = arguments };

	if (is_metadata_alone(arguments->pool))
		return check(&run, arguments->pool, 0);

	return check_pool(&run, arguments->pool);
}
