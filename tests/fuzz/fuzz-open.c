/*
 * fuzz-open.c - a pool with damaged metadata is opened and used (F-21 to F-24).
 */
#include "fuzz/edits.h"
#include "fuzz/target.h"
#include "support/exercise.h"

#define STEPS 15

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct edited edited;
	struct exercise one;

	if (!edits_apply(data, size, &edited))
		return 0;
	one = (struct exercise){
		.specimen = edited.specimen,
		.seed = edited.seed,
		.nr_steps = STEPS,
		.metadata = edited.metadata,
		.damage = "edits of a fuzzer",
		.shows = !edited.sealed,
	};
	exercise(&one);
	edits_free(&edited);

	return 0;
}
