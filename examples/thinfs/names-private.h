/*
 * names-private.h - what the files names*.c share.  All of it with the lock
 * held.
 */
#ifndef THINFS_NAMES_PRIVATE_H
#define THINFS_NAMES_PRIVATE_H

#include "names.h"
#include "table.h"

struct names {
	const struct pool *pool;
	pthread_mutex_t lock;
	struct table table;
	bool closing;
};

bool names_is_hidden(const char *name);

/* The volume of this name, known from now on.  It is dropped by names_settle()
 * if nobody took it. */
int names_find(struct names *names, const char *name, struct volume **volume);
void names_settle(struct names *names, struct volume *volume);

/* Have it have an entry in the catalogue. */
int names_give_entry(struct names *names, struct volume *volume);

/* Thin and entry; nobody has it open. */
int names_delete(struct names *names, struct volume *volume);

/* names_keep_size() without taking the lock. */
int names_save_size(struct names *names, struct volume *volume);

#endif
