/*
 * commit-steps.c - the steps of a commit, as the devices see them.
 */
#include "support/commit-steps.h"

static const struct {
	bool on_data;
	enum tp_op op;
	uint64_t begin, end;
	unsigned skip; /* requests of that kind before it */
} steps[NR_COMMIT_STEPS] = {
	[DATA_FLUSH] = { true, TP_FLUSH, 0, UINT64_MAX, 0 },
	[WRITE_BACK] = { false, TP_WRITE, 4096, UINT64_MAX, 0 },
	[METADATA_FLUSH] = { false, TP_FLUSH, 0, UINT64_MAX, 0 },
	[SUPERBLOCK] = { false, TP_WRITE, 0, 4096, 0 },
	[SUPERBLOCK_FLUSH] = { false, TP_FLUSH, 0, UINT64_MAX, 1 },
};

static struct observer *device_of(struct world *w, enum commit_step step)
{
	return steps[step].on_data ? &w->data : &w->metadata;
}

void commit_stop_at(struct world *w, enum commit_step step)
{
	observer_hold_range(device_of(w, step), OPS(steps[step].op),
			    steps[step].begin, steps[step].end);
}

void commit_await(struct world *w, enum commit_step step)
{
	struct observer *device = device_of(w, step);

	world_until(w, device->nr_held > 0);
	for (unsigned i = 0; i < steps[step].skip; i++) {
		ck_assert(observer_release_one(device, OPS(steps[step].op)));
		world_until(w, device->nr_held > 0);
	}
}

void commit_go_on(struct world *w)
{
	observer_release(&w->data);
	observer_release(&w->metadata);
}

void commit_fail_at(struct world *w, enum commit_step step, unsigned times)
{
	observer_fail_range(device_of(w, step), OPS(steps[step].op),
			    steps[step].skip, times, -EIO, steps[step].begin,
			    steps[step].end);
}

void commit_heal(struct world *w)
{
	observer_heal(&w->data);
	observer_heal(&w->metadata);
}

unsigned nr_superblocks(struct io_log *log)
{
	unsigned nr = 0;

	for (unsigned i = 0; i < io_log_nr(log); i++) {
		struct io_event event = io_log_get(log, i);

		nr += event.when == IO_BEGIN && event.op == TP_WRITE &&
		      !strcmp(event.name, "metadata") && !event.offset;
	}

	return nr;
}
