/*
 * big-deletion.h - power fails while a thin is deleted that is too big for one
 * transaction, and while it is emptied in the background.
 */
#ifndef TESTS_SIMULATOR_BIG_DELETION_H
#define TESTS_SIMULATOR_BIG_DELETION_H

#include "simulator/big-pool.h"

/* How densely to look.  Reads change nothing and are no events here. */
struct big_deletion {
	uint64_t seed;
	unsigned call_one_in; /* of the events while the call is under way */
	unsigned rest_one_in; /* and of those after it */
	unsigned nr_images;   /* at each, drawn by the seed */
	unsigned read_one_in; /* big_pool_check */
};

/* Fails the test at the first image that is not as it may be, or if it came
 * upon too little to tell anything. */
void big_deletion_play(const struct big_deletion *how);

#endif
