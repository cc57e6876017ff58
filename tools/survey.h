/*
 * survey.h - who uses which data block of a pool.
 */
#ifndef TOOLS_SURVEY_H
#define TOOLS_SURVEY_H

#include "session.h"

struct survey_row {
	struct tp_volume volume;
	uint64_t mapped, exclusive; /* bytes */
};

/* Users of a data block: none, one, or more. */
enum { BLOCK_FREE, BLOCK_EXCLUSIVE, BLOCK_SHARED };

struct survey {
	struct session *session;
	struct survey_row *rows; /* a volume each */
	size_t nr_rows;

	uint64_t block_size, nr_blocks;
	uint8_t *nr_users; /* of each data block */
	uint32_t *users;   /* the first: its row */

	struct survey_row *row; /* whose extents are being seen */
};

/* Look at all volumes; survey_exit() also after an error. */
int survey_make(struct survey *survey, struct session *session);
void survey_exit(struct survey *survey);

#endif
