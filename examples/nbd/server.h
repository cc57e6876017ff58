/*
 * server.h - the one pool that this process serves, and its catalogue.
 */
#ifndef NBD_SERVER_H
#define NBD_SERVER_H

#include <stdbool.h>
#include <thinpool/thinpool.h>

/* Where the pool is, and how it is to be opened. */
struct server_options {
	char *metadata, *data; /* absolute paths */
	bool read_only;        /* nothing of the pool is changed */
};

/*
 * @name: a directory with the files `metadata` and `data`, or METADATA,DATA.
 * nbdkit changes its directory later, so paths are made absolute here.  -1: told.
 */
int server_options_name(struct server_options *options, const char *name);
void server_options_exit(struct server_options *options);

struct server {
	struct tp_pool *pool;
	struct tp_catalogue *catalogue;
	bool read_only;
};

/*
 * @flags: TP_POOL_HOST_DRIVEN, to look and close again: no thread is started.
 * 0, or -1 with everything told and nothing open.
 */
int server_open(struct server *server, const struct server_options *options,
		unsigned flags);

/* Commits.  -1: told. */
int server_close(struct server *server);

#endif
