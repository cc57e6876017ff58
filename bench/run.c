/*
 * run.c - a job on a store as it is, or on a new volume over it.
 */
#include "job.h"
#include "store.h"
#include "volume.h"

void run_job(const struct job *job, struct store *store,
	     struct measure *measure)
{
	struct volume volume;

	if (job->is_raw) {
		drive(job, &store->raw, measure);
		return;
	}
	open_volume(&volume, store, job);
	drive(job, &volume.target, measure);
	close_volume(&volume);
}
