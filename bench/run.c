/*
 * run.c - a job on a store as it is, or on a new volume over it.
 */
#include "job.h"
#include "store.h"
#include "volume.h"

void run_job(const struct job *job, struct store *store,
	     struct measure *measure)
{
	struct job timed = *job;
	struct volume volume;

	timed.is_all_timed = store->is_slow;
	if (job->is_raw) {
		drive(&timed, &store->raw, measure);
		return;
	}
	open_volume(&volume, store, job);
	drive(&timed, &volume.target, measure);
	close_volume(&volume);
}
