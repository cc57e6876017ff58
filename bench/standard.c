/*
 * standard.c - the rows of the standard set, and their goals.
 *
 * What is compared with "raw" does on the device what the job does on a thin
 * over it, or the least that the job must do: who breaks sharing reads a block
 * and writes one.
 */
#include "special.h"

#define MAPPED_BYTES (1 * GIB)
#define FRESH_BYTES (4 * GIB) /* in memory; of files there is less */
#define SHARED_BYTES (2 * GIB)
#define FILE_BYTES (512 * MIB)

#define MEMORY_RUN_NS 300000000u
#define FILE_RUN_NS 500000000u
#define SECOND 1000000000u

#define BLOCK ((uint32_t)BLOCK_BYTES)

#define READ_4K .steps = { { TP_READ, 4096 } }, .nr_steps = 1
#define WRITE_4K .steps = { { TP_WRITE, 4096 } }, .nr_steps = 1
#define READ_1M .steps = { { TP_READ, MIB } }, .nr_steps = 1
#define WRITE_BLOCK .steps = { { TP_WRITE, BLOCK } }, .nr_steps = 1
#define COPY_BLOCK                                                             \
	.steps = { { TP_READ, BLOCK }, { TP_WRITE, BLOCK } }, .nr_steps = 2
#define COPY_ELSEWHERE                                                         \
	.steps = { { TP_READ, BLOCK },                                         \
		   { TP_WRITE, BLOCK, .is_elsewhere = true } },                \
	.nr_steps = 2
#define WRITE_AND_FLUSH                                                        \
	.steps = { { TP_WRITE, 4096 }, { TP_FLUSH, 0 } }, .nr_steps = 2

/* Where, how often and for how long. */
#define ANYWHERE(size, nr, ns)                                                 \
	.is_random = true, .stride = 4096, .size_bytes = (size),               \
	.depth = (nr), .run_ns = (ns)
#define EACH_BLOCK(size, nr)                                                   \
	.is_random = true, .stride = BLOCK, .size_bytes = (size), .depth = (nr)
#define IN_ORDER(bytes, size, nr, ns)                                          \
	.stride = (bytes), .size_bytes = (size), .depth = (nr), .run_ns = (ns)

#define RAW .is_raw = true, .threads = 1
#define FRESH .state = STATE_FRESH, .threads = 1
#define MAPPED .state = STATE_MAPPED, .threads = 1
#define SHARED .state = STATE_SHARED, .threads = 1
#define NESTED .state = STATE_NESTED, .threads = 1

/* The usual: the same work, on the device and on a thin in this state. */
#define RAW_AND(state, ...)                                                    \
	.base = { RAW, __VA_ARGS__ }, .job = { state, __VA_ARGS__ }

#define IN_MEMORY(nr) ANYWHERE(MAPPED_BYTES, nr, MEMORY_RUN_NS)
#define IN_FILE(nr) ANYWHERE(FILE_BYTES, nr, FILE_RUN_NS)

/* Beside something big: first writes, which need the run loop that it keeps
 * busy; reads and writes of what is mapped, which do not. */
#define FIRST_WRITES                                                           \
	FRESH, WRITE_4K, EACH_BLOCK(256 * GIB, 1), .is_all_timed = true
#define MAPPED_IO                                                              \
	MAPPED, WRITE_4K, .read_percent = 50, ANYWHERE(256 * MIB, 1, 0),       \
			  .is_all_timed = true

#define GROWTH_READS(size)                                                     \
	MAPPED, READ_4K, EACH_BLOCK(size, 32), .run_ns = SECOND
#define GROWTH_BREAKS(size)                                                    \
	SHARED, WRITE_4K, EACH_BLOCK(size, 32), .nr_operations = 100000

const struct row standard_rows[] = {
	/* Mapped. */
	{ "memory/random-read-1", "4 KiB random read, mapped, depth 1", MEMORY,
	  RAW_AND(MAPPED, READ_4K, IN_MEMORY(1)), .goal = GOAL_COST,
	  .bound = 60 },
	{ "memory/random-read-32", "4 KiB random read, mapped, depth 32",
	  MEMORY, RAW_AND(MAPPED, READ_4K, IN_MEMORY(32)), .goal = GOAL_COST,
	  .bound = 60 },
	{ "memory/random-write-1", "4 KiB random write, mapped, depth 1",
	  MEMORY, RAW_AND(MAPPED, WRITE_4K, IN_MEMORY(1)), .goal = GOAL_COST,
	  .bound = 60 },
	{ "memory/random-write-32", "4 KiB random write, mapped, depth 32",
	  MEMORY, RAW_AND(MAPPED, WRITE_4K, IN_MEMORY(32)), .goal = GOAL_COST,
	  .bound = 60 },
	{ "memory/two-threads-read", "random reads, 2 threads beside 1", MEMORY,
	  .base = { MAPPED, READ_4K, IN_MEMORY(32) },
	  .job = { .state = STATE_MAPPED,
		   .threads = 2,
		   READ_4K,
		   IN_MEMORY(32) },
	  .goal = GOAL_RATE, .bound = 1.9 },
	{ "memory/two-threads-write", "random writes, 2 threads beside 1",
	  MEMORY, .base = { MAPPED, WRITE_4K, IN_MEMORY(32) },
	  .job = { .state = STATE_MAPPED,
		   .threads = 2,
		   WRITE_4K,
		   IN_MEMORY(32) },
	  .goal = GOAL_RATE, .bound = 1.9 },
	{ "memory/two-threads-raw",
	  "random reads of the device itself, the "
	  "same",
	  MEMORY, .base = { RAW, READ_4K, IN_MEMORY(32) },
	  .job = { .is_raw = true, .threads = 2, READ_4K, IN_MEMORY(32) },
	  .goal = GOAL_RATE },
	{ "memory/two-threads-raw-write",
	  "random writes of the device itself, the same", MEMORY,
	  .base = { RAW, WRITE_4K, IN_MEMORY(32) },
	  .job = { .is_raw = true, .threads = 2, WRITE_4K, IN_MEMORY(32) },
	  .goal = GOAL_RATE },
	{ "memory/nested-read",
	  "random reads of 1,000 nested snapshots, beside "
	  "none",
	  MEMORY, .base = { MAPPED, READ_4K, IN_MEMORY(32) },
	  .job = { NESTED, READ_4K, IN_MEMORY(32) }, .goal = GOAL_RATE,
	  .bound = 0.97 },
	{ "tmpfs/random-read-32", "4 KiB random read, mapped, depth 32", TMPFS,
	  RAW_AND(MAPPED, READ_4K, IN_FILE(32)), .goal = GOAL_RATE },
	{ "tmpfs/random-write-32", "4 KiB random write, mapped, depth 32",
	  TMPFS, RAW_AND(MAPPED, WRITE_4K, IN_FILE(32)), .goal = GOAL_RATE },
	{ "disk/random-read-1", "4 KiB random read, mapped, depth 1", DISK,
	  RAW_AND(MAPPED, READ_4K, IN_FILE(1)), .goal = GOAL_RATE,
	  .bound = 0.97 },
	{ "disk/random-read-32", "4 KiB random read, mapped, depth 32", DISK,
	  RAW_AND(MAPPED, READ_4K, IN_FILE(32)), .goal = GOAL_RATE,
	  .bound = 0.97 },
	{ "disk/random-write-1", "4 KiB random write, mapped, depth 1", DISK,
	  RAW_AND(MAPPED, WRITE_4K, IN_FILE(1)), .goal = GOAL_RATE,
	  .bound = 0.97 },
	{ "disk/random-write-32", "4 KiB random write, mapped, depth 32", DISK,
	  RAW_AND(MAPPED, WRITE_4K, IN_FILE(32)), .goal = GOAL_RATE,
	  .bound = 0.97 },
	{ "memory/sequential-read", "1 MiB sequential read, written in order",
	  MEMORY,
	  RAW_AND(MAPPED, READ_1M,
		  IN_ORDER(MIB, MAPPED_BYTES, 4, MEMORY_RUN_NS)),
	  .goal = GOAL_RATE, .bound = 0.98 },
	{ "disk/sequential-read", "1 MiB sequential read, written in order",
	  DISK,
	  RAW_AND(MAPPED, READ_1M, IN_ORDER(MIB, FILE_BYTES, 4, FILE_RUN_NS)),
	  .goal = GOAL_RATE, .bound = 0.98 },

	/* Fresh. */
	{ "memory/first-write-64k", "64 KiB sequential first write", MEMORY,
	  RAW_AND(FRESH, WRITE_BLOCK, IN_ORDER(BLOCK, FRESH_BYTES, 32, 0)),
	  .goal = GOAL_RATE, .bound = 0.85 },
	{ "disk/first-write-64k", "64 KiB sequential first write", DISK,
	  RAW_AND(FRESH, WRITE_BLOCK, IN_ORDER(BLOCK, FILE_BYTES, 32, 0)),
	  .goal = GOAL_RATE, .bound = 0.95 },
	{ "memory/first-write-1", "4 KiB first write, depth 1", MEMORY,
	  RAW_AND(FRESH, WRITE_4K, EACH_BLOCK(FRESH_BYTES, 1)),
	  .goal = GOAL_COST, .bound = 700 },
	{ "memory/first-write-32", "4 KiB first write, depth 32", MEMORY,
	  RAW_AND(FRESH, WRITE_4K, EACH_BLOCK(FRESH_BYTES, 32)),
	  .goal = GOAL_COST, .bound = 700 },
	{ "memory/first-write-host-driven", "the same by a host-driven pool",
	  MEMORY,
	  RAW_AND(FRESH, WRITE_4K, EACH_BLOCK(FRESH_BYTES, 32),
		  .is_host_driven = true),
	  .goal = GOAL_COST, .bound = 700 },
	{ "disk/first-write-1", "4 KiB first write, depth 1", DISK,
	  RAW_AND(FRESH, WRITE_4K, EACH_BLOCK(FILE_BYTES, 1)),
	  .goal = GOAL_RATE, .bound = 0.90 },
	{ "disk/first-write-32", "4 KiB first write, depth 32", DISK,
	  RAW_AND(FRESH, WRITE_4K, EACH_BLOCK(FILE_BYTES, 32)),
	  .goal = GOAL_RATE, .bound = 0.80 },
	{ "memory/first-write-zeroing", "the same, zeroing on, beside blocks",
	  MEMORY, .base = { RAW, WRITE_BLOCK, EACH_BLOCK(FRESH_BYTES, 32) },
	  .job = { FRESH, WRITE_4K, EACH_BLOCK(FRESH_BYTES, 32),
		   .is_zeroing = true },
	  .goal = GOAL_COST, .bound = 700 },
	{ "disk/first-write-zeroing-1", "depth 1, zeroing on, beside blocks",
	  DISK, .base = { RAW, WRITE_BLOCK, EACH_BLOCK(FILE_BYTES, 1) },
	  .job = { FRESH, WRITE_4K, EACH_BLOCK(FILE_BYTES, 1),
		   .is_zeroing = true },
	  .goal = GOAL_RATE, .bound = 0.90 },
	{ "disk/first-write-zeroing-32", "depth 32, zeroing on, beside blocks",
	  DISK, .base = { RAW, WRITE_BLOCK, EACH_BLOCK(FILE_BYTES, 32) },
	  .job = { FRESH, WRITE_4K, EACH_BLOCK(FILE_BYTES, 32),
		   .is_zeroing = true },
	  .goal = GOAL_RATE, .bound = 0.80 },

	/* Shared. */
	{ "memory/break-sharing-1",
	  "4 KiB write breaks sharing, depth 1, "
	  "beside copying",
	  MEMORY, .base = { RAW, COPY_BLOCK, EACH_BLOCK(SHARED_BYTES, 1) },
	  .job = { SHARED, WRITE_4K, EACH_BLOCK(SHARED_BYTES, 1) },
	  .goal = GOAL_TIME, .bound = 1.15 },
	{ "memory/break-sharing-32",
	  "4 KiB write breaks sharing, depth 32, "
	  "beside copying",
	  MEMORY, .base = { RAW, COPY_BLOCK, EACH_BLOCK(SHARED_BYTES, 32) },
	  .job = { SHARED, WRITE_4K, EACH_BLOCK(SHARED_BYTES, 32) },
	  .goal = GOAL_TIME, .bound = 1.15 },
	{ "memory/break-sharing-elsewhere-1",
	  "the same, beside copying to another place", MEMORY,
	  .base = { RAW, COPY_ELSEWHERE, EACH_BLOCK(SHARED_BYTES, 1) },
	  .job = { SHARED, WRITE_4K, EACH_BLOCK(SHARED_BYTES, 1) },
	  .goal = GOAL_TIME },
	{ "memory/break-sharing-elsewhere-32",
	  "the same, beside copying to another place", MEMORY,
	  .base = { RAW, COPY_ELSEWHERE, EACH_BLOCK(SHARED_BYTES, 32) },
	  .job = { SHARED, WRITE_4K, EACH_BLOCK(SHARED_BYTES, 32) },
	  .goal = GOAL_TIME },
	{ "disk/break-sharing-32",
	  "4 KiB write breaks sharing, depth 32, "
	  "beside copying",
	  DISK, .base = { RAW, COPY_BLOCK, EACH_BLOCK(FILE_BYTES, 32) },
	  .job = { SHARED, WRITE_4K, EACH_BLOCK(FILE_BYTES, 32) },
	  .goal = GOAL_RATE, .bound = 0.85 },

	/* Flushed. */
	{ "disk/write-and-flush", "4 KiB write and flush each, mapped", DISK,
	  RAW_AND(MAPPED, WRITE_AND_FLUSH, IN_FILE(1)), .goal = GOAL_RATE,
	  .bound = 0.97 },
	{ "disk/first-write-and-flush",
	  "4 KiB first write and flush each, depth "
	  "32 beside 1",
	  DISK,
	  .base = { FRESH, WRITE_AND_FLUSH, EACH_BLOCK(FILE_BYTES, 1),
		    .run_ns = FILE_RUN_NS },
	  .job = { FRESH, WRITE_AND_FLUSH, EACH_BLOCK(FILE_BYTES, 32),
		   .run_ns = FILE_RUN_NS },
	  .goal = GOAL_RATE, .bound = 5 },

	/* A volume with many mappings. */
	{ "big/snapshot", "snapshot, beside one of a volume with ten mappings",
	  .measure = measure_snapshot_of_many, .unit = "times as long",
	  .goal = GOAL_MOST, .bound = 1.1 },
	{ "big/snapshot-batches", "snapshots in batches of 1,000",
	  .measure = measure_snapshot_batches, .unit = "a second",
	  .is_long = true, .goal = GOAL_LEAST, .bound = 20000 },
	{ "big/open-close", "open and close", .measure = measure_open_close,
	  .unit = "ms", .goal = GOAL_MOST, .bound = 100 },
	{ "big/check", "thin_check's time by that of thinpool check",
	  .measure = measure_check_speed, .unit = "times", .is_long = true,
	  .goal = GOAL_LEAST, .bound = 5 },
	{ "big/check-memory", "memory of thinpool check by that of thin_check",
	  .measure = measure_check_memory, .unit = "times", .is_long = true,
	  .goal = GOAL_MOST, .bound = 1 },

	/* Memory. */
	{ "big/cache-memory", "heap after reads all over",
	  .measure = measure_cache_memory, .unit = "MiB", .is_long = true,
	  .goal = GOAL_MOST, .bound = 66 },
	{ "big/open-thin-memory", "heap for each of 10,000 open thins",
	  .measure = measure_open_thin_memory, .unit = "bytes", .is_long = true,
	  .goal = GOAL_MOST, .bound = 1024 },

	/* The longest waits but one in a thousand. */
	{ "beside/commits-first-writes", "first writes beside commits",
	  .measure = measure_beside_commits, .job = { FIRST_WRITES },
	  .unit = "us at 99.9 %", .is_long = true, .goal = GOAL_MOST,
	  .bound = 2000 },
	{ "beside/commits-mapped", "mapped reads and writes beside commits",
	  .measure = measure_beside_commits, .job = { MAPPED_IO },
	  .unit = "us at 99.9 %", .is_long = true, .goal = GOAL_MOST,
	  .bound = 2000 },
	{ "beside/deletion-first-writes", "first writes beside a big deletion",
	  .measure = measure_beside_deletion, .job = { FIRST_WRITES },
	  .unit = "us at 99.9 %", .is_long = true, .goal = GOAL_MOST,
	  .bound = 2000 },
	{ "beside/deletion-mapped",
	  "mapped reads and writes beside a big deletion",
	  .measure = measure_beside_deletion, .job = { MAPPED_IO },
	  .unit = "us at 99.9 %", .is_long = true, .goal = GOAL_MOST,
	  .bound = 2000 },
	{ "beside/discard-first-writes", "first writes beside a big discard",
	  .measure = measure_beside_discard, .job = { FIRST_WRITES },
	  .unit = "us at 99.9 %", .is_long = true, .goal = GOAL_MOST,
	  .bound = 2000 },
	{ "beside/discard-mapped",
	  "mapped reads and writes beside a big discard",
	  .measure = measure_beside_discard, .job = { MAPPED_IO },
	  .unit = "us at 99.9 %", .is_long = true, .goal = GOAL_MOST,
	  .bound = 2000 },

	/* How costs grow with the size of the volume. */
	{ "growth/read-1g", "4 KiB random read, mapped, volume of 1 GiB",
	  .measure = measure_growth, .is_extra = true, .unit = "ns over",
	  .job = { GROWTH_READS(1 * GIB) }, .is_long = true,
	  .goal = GOAL_MOST },
	{ "growth/break-1g", "4 KiB write breaks sharing, volume of 1 GiB",
	  .measure = measure_growth, .is_extra = true, .unit = "ns over",
	  .job = { GROWTH_BREAKS(1 * GIB) }, .is_long = true,
	  .goal = GOAL_MOST },
	{ "growth/read-16g", "4 KiB random read, mapped, volume of 16 GiB",
	  .measure = measure_growth, .is_extra = true, .unit = "ns over",
	  .job = { GROWTH_READS(16 * GIB) }, .is_long = true,
	  .goal = GOAL_MOST },
	{ "growth/break-16g", "4 KiB write breaks sharing, volume of 16 GiB",
	  .measure = measure_growth, .is_extra = true, .unit = "ns over",
	  .job = { GROWTH_BREAKS(16 * GIB) }, .is_long = true,
	  .goal = GOAL_MOST },
	{ "growth/read-256g", "4 KiB random read, mapped, volume of 256 GiB",
	  .measure = measure_growth, .is_extra = true, .unit = "ns over",
	  .job = { GROWTH_READS(256 * GIB) }, .is_long = true,
	  .goal = GOAL_MOST },
	{ "growth/break-256g", "4 KiB write breaks sharing, volume of 256 GiB",
	  .measure = measure_growth, .is_extra = true, .unit = "ns over",
	  .job = { GROWTH_BREAKS(256 * GIB) }, .is_long = true,
	  .goal = GOAL_MOST },
	{ "growth/read-4t", "4 KiB random read, mapped, volume of 4 TiB",
	  .measure = measure_growth, .is_extra = true, .unit = "ns over",
	  .job = { GROWTH_READS(4096 * GIB) }, .is_long = true,
	  .goal = GOAL_MOST },
	{ "growth/break-4t", "4 KiB write breaks sharing, volume of 4 TiB",
	  .measure = measure_growth, .is_extra = true, .unit = "ns over",
	  .job = { GROWTH_BREAKS(4096 * GIB) }, .is_long = true,
	  .goal = GOAL_MOST },
	{ "growth/read-16t", "4 KiB random read, mapped, volume of 16 TiB",
	  .measure = measure_growth, .is_extra = true, .unit = "ns over",
	  .job = { GROWTH_READS(16384 * GIB) }, .is_long = true,
	  .goal = GOAL_MOST },
	{ "growth/break-16t", "4 KiB write breaks sharing, volume of 16 TiB",
	  .measure = measure_growth, .is_extra = true, .unit = "ns over",
	  .job = { GROWTH_BREAKS(16384 * GIB) }, .is_long = true,
	  .goal = GOAL_MOST },
};

const size_t nr_standard_rows = ARRAY_SIZE(standard_rows);
