/*
 * findings.c - counting findings, and telling them.
 */
#include "check/check.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#define FINDINGS_PER_KIND 100

/*---------------------------- names ----------------------------------------*/

const char *tp_check_severity_name(enum tp_check_severity severity)
{
	static const char *const names[] = {
		[TP_CHECK_CLEAN] = "clean",
		[TP_CHECK_WARNING] = "warning",
		[TP_CHECK_LEAK] = "leak",
		[TP_CHECK_CORRUPTION] = "corruption",
		[TP_CHECK_FATAL] = "fatal",
	};

	return (size_t)severity < TPI_ARRAY_SIZE(names) ? names[severity]
							: "unknown";
}

static const char *const kind_names[] = {
	[TP_FOUND_NOT_FORMATTED] = "not-formatted",
	[TP_FOUND_SUPERBLOCK] = "superblock",
	[TP_FOUND_NEEDS_CHECK] = "needs-check",
	[TP_FOUND_SIZE] = "size",
	[TP_FOUND_HELD_ROOT] = "held-root",
	[TP_FOUND_IO] = "io",
	[TP_FOUND_CHECKSUM] = "checksum",
	[TP_FOUND_BLOCK_NUMBER] = "block-number",
	[TP_FOUND_PADDING] = "padding",
	[TP_FOUND_POINTER] = "pointer",
	[TP_FOUND_TWO_ROLES] = "two-roles",
	[TP_FOUND_SHARED] = "shared",
	[TP_FOUND_CYCLE] = "cycle",
	[TP_FOUND_NODE_FLAGS] = "node-flags",
	[TP_FOUND_NODE_SIZES] = "node-sizes",
	[TP_FOUND_NODE_ENTRIES] = "node-entries",
	[TP_FOUND_UNDERFULL] = "underfull",
	[TP_FOUND_KEY_ORDER] = "key-order",
	[TP_FOUND_KEY_RANGE] = "key-range",
	[TP_FOUND_DEPTH] = "depth",
	[TP_FOUND_THIN_SET] = "thin-set",
	[TP_FOUND_MAPPED_BLOCKS] = "mapped-blocks",
	[TP_FOUND_DETAILS_TIME] = "details-time",
	[TP_FOUND_MAPPING_TIME] = "mapping-time",
	[TP_FOUND_DATA_BLOCK] = "data-block",
	[TP_FOUND_UNSAFE_SHARING] = "unsafe-sharing",
	[TP_FOUND_MAPPED_TWICE] = "mapped-twice",
	[TP_FOUND_SHARING_UNCHECKED] = "sharing-unchecked",
	[TP_FOUND_INDEX_KEYS] = "index-keys",
	[TP_FOUND_BEYOND_END] = "beyond-end",
	[TP_FOUND_OVERFLOW] = "overflow",
	[TP_FOUND_COUNT_LOW] = "count-low",
	[TP_FOUND_COUNT_HIGH] = "count-high",
	[TP_FOUND_NR_FREE] = "nr-free",
	[TP_FOUND_HINT] = "hint",
	[TP_FOUND_NR_ALLOCATED] = "nr-allocated",
	[TP_FOUND_LEAKS_UNCHECKED] = "leaks-unchecked",
};
_Static_assert(TPI_ARRAY_SIZE(kind_names) == TP_CHECK_NR_KINDS,
	       "each kind has a name");
_Static_assert(TP_CHECK_NR_KINDS <= TP_CHECK_KINDS_ROOM,
	       "the report has room for each kind");

const char *tp_check_kind_name(enum tp_check_kind kind)
{
	return (size_t)kind < TPI_ARRAY_SIZE(kind_names) ? kind_names[kind]
							 : "unknown";
}

const char *tp_check_place_name(enum tp_check_place place)
{
	static const char *const names[] = {
		[TP_PLACE_IMAGE] = "metadata",
		[TP_PLACE_SUPERBLOCK] = "superblock",
		[TP_PLACE_HELD_SUPERBLOCK] = "metadata snapshot",
		[TP_PLACE_THINS] = "tree of thins",
		[TP_PLACE_MAPPINGS] = "mapping tree",
		[TP_PLACE_DETAILS] = "details tree",
		[TP_PLACE_DATA_INDEX] = "data index tree",
		[TP_PLACE_DATA_BITMAP] = "data bitmap",
		[TP_PLACE_DATA_OVERFLOW] = "data overflow tree",
		[TP_PLACE_METADATA_INDEX] = "metadata index",
		[TP_PLACE_METADATA_BITMAP] = "metadata bitmap",
		[TP_PLACE_METADATA_OVERFLOW] = "metadata overflow tree",
		[TP_PLACE_DATA_SPACE_MAP] = "data space map",
		[TP_PLACE_METADATA_SPACE_MAP] = "metadata space map",
	};

	return (size_t)place < TPI_ARRAY_SIZE(names) ? names[place] : "unknown";
}

/*---------------------------- telling --------------------------------------*/

static void count(struct tp_check_report *report,
		  enum tp_check_severity severity, enum tp_check_kind kind)
{
	uint64_t *of_severity[] = {
		[TP_CHECK_WARNING] = &report->nr_warnings,
		[TP_CHECK_LEAK] = &report->nr_leaks,
		[TP_CHECK_CORRUPTION] = &report->nr_corruptions,
		[TP_CHECK_FATAL] = &report->nr_fatal,
	};

	++*of_severity[severity];
	report->nr_findings++;
	report->nr_by_kind[kind]++;
	if (severity > report->worst)
		report->worst = severity;
}

static bool may_be_told(const struct tpi_check *check, enum tp_check_kind kind)
{
	uint32_t limit = check->options.findings_per_kind;

	if (limit == TP_CHECK_ALL_FINDINGS)
		return true;

	return check->report.nr_by_kind[kind] <=
	       (limit ? limit : FINDINGS_PER_KIND);
}

/* Room for each step: a block, an entry, three signs. */
#define PATH_BYTES (TPI_CHECK_STEPS * 36 + 1)

static void print_path(const struct tpi_check *check, char path[PATH_BYTES])
{
	size_t at = 0;

	path[0] = '\0';
	for (unsigned i = 0; i < check->nr_steps; i++)
		at += (size_t)snprintf(path + at, PATH_BYTES - at,
				       "%s%" PRIu64 "[%" PRIu32 "]",
				       i ? "/" : "", check->steps[i].block,
				       check->steps[i].entry);
}

void tpi_tell(struct tpi_check *check, enum tp_check_severity severity,
	      enum tp_check_kind kind, const struct tpi_where *where,
	      const char *format, ...)
{
	struct tp_check_finding finding = {
		.struct_size = sizeof(finding),
		.severity = severity,
		.kind = kind,
		.place = where->place,
		.held = where->held,
		.block = where->block,
		.thin = where->thin,
		.begin = where->begin,
		.end = where->end,
	};
	char path[PATH_BYTES], what[512];
	va_list args;

	count(&check->report, severity, kind);
	if (!may_be_told(check, kind)) {
		check->report.nr_untold++;
		return;
	}
	if (!check->options.found)
		return;
	print_path(check, path);
	va_start(args, format);
	vsnprintf(what, sizeof(what), format, args);
	va_end(args);
	finding.path = path;
	finding.what = what;
	check->options.found(check->options.context, &finding);
}
