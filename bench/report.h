/*
 * report.h - prints figures: as a table, as Markdown or as JSON.
 */
#ifndef BENCH_REPORT_H
#define BENCH_REPORT_H

#include "row.h"

struct report_ops {
	void (*begin)(void);
	void (*print)(const struct figure *figure, bool is_first);
	void (*end)(void);
};

extern const struct report_ops report_table, report_markdown, report_json;

#endif
