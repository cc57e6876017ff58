/*
 * session.h - a pool opened for one command, with its catalogue, and a volume
 * of it.
 */
#ifndef TOOLS_SESSION_H
#define TOOLS_SESSION_H

#include <thinpool/thinpool.h>

#include "command.h"
#include "pool-files.h"

struct session {
	const struct arguments *arguments;
	struct pool_files files;
	struct tp_pool *pool;
	struct tp_catalogue *catalogue;

	/* The volume, once session_open_volume() found it. */
	struct tp_volume volume;
	struct tp_thin *thin;
	uint64_t size; /* of the handle */
};

enum access { READ_ONLY, WRITABLE };

/* Open POOL, or what its metadata snapshot holds if that was asked for.  A
 * read-only session changes nothing, and files that cannot be written will
 * do. */
int session_open(struct session *session, const struct arguments *arguments,
		 enum access access);

/* Find the volume that NAME or --id stands for. */
int session_find_volume(struct session *session,
			const struct arguments *arguments);

/* The same, and open it: as large as the catalogue, --size or its highest
 * mapped block says. */
int session_open_volume(struct session *session,
			const struct arguments *arguments, enum access access);

/* "base", or "5" for a volume without a name: for sentences. */
struct volume_label {
	char text[TP_NAME_MAX + 16];
};
struct volume_label session_label(const struct session *session);

/*
 * Close what is open.  @status is what the command came to; if that is 0 and
 * closing fails, it says so and fails.
 */
int session_close(struct session *session, int status);

#endif
