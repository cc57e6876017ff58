/*
 * special.h - rows whose figure is not got by comparing two jobs.
 *
 * Each measures once, in the unit that its row names.
 */
#ifndef BENCH_SPECIAL_H
#define BENCH_SPECIAL_H

#include "row.h"

/* snapshots.c: as long as of a volume with ten mappings; a second. */
double measure_snapshot_of_many(struct bench *bench, const struct row *row);
double measure_snapshot_batches(struct bench *bench, const struct row *row);

/* memory.c: bytes of heap for each; MiB of heap for all. */
double measure_open_thin_memory(struct bench *bench, const struct row *row);
double measure_cache_memory(struct bench *bench, const struct row *row);

/* many-mappings.c: ms; then thin_check's time by ours, our memory by its. */
double measure_open_close(struct bench *bench, const struct row *row);
double measure_check_speed(struct bench *bench, const struct row *row);
double measure_check_memory(struct bench *bench, const struct row *row);

/* beside.c: us of the 99.9th percentile of the row's job. */
double measure_beside_commits(struct bench *bench, const struct row *row);
double measure_beside_deletion(struct bench *bench, const struct row *row);
double measure_beside_discard(struct bench *bench, const struct row *row);

/* growth.c: CPU ns of the row's job, less those of it on the raw device. */
double measure_growth(struct bench *bench, const struct row *row);

#endif
