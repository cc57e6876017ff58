/*
 * op-directory.c - reading the directory: its names are noted when it is
 * opened, so that a place in it stays the same place.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "operations.h"

/* For which the kernel will ask when it wants to know. */
#define UNKNOWN_INO 0xffffffff

struct listing {
	char **names;
	size_t nr, capacity;
};

static void listing_free(struct listing *listing)
{
	for (size_t i = 0; i < listing->nr; i++)
		free(listing->names[i]);
	free(listing->names);
	free(listing);
}

static int add_name(const char *name, void *context)
{
	struct listing *listing = context;
	size_t capacity = listing->capacity ? 2 * listing->capacity : 64;
	char **longer;

	if (listing->nr == listing->capacity) {
		longer = realloc(listing->names, capacity * sizeof(*longer));
		if (!longer)
			return -ENOMEM;
		listing->names = longer;
		listing->capacity = capacity;
	}
	listing->names[listing->nr] = strdup(name);

	return listing->names[listing->nr++] ? 0 : -ENOMEM;
}

void op_opendir(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi)
{
	struct listing *listing = calloc(1, sizeof(*listing));
	int r = listing ? 0 : -ENOMEM;

	if (!r)
		r = add_name(".", listing);
	if (!r)
		r = add_name("..", listing);
	if (!r)
		r = names_list(thinfs_of(req)->names, add_name, listing);
	if (r) {
		reply(req, r);
	} else {
		fi->fh = (uintptr_t)listing;
		r = fuse_reply_open(req, fi);
	}
	if (r && listing)
		listing_free(listing);
}

/* As many as there is room for, from number @offset on. */
void op_readdir(fuse_req_t req, fuse_ino_t ino, size_t size, off_t offset,
		struct fuse_file_info *fi)
{
	const struct listing *listing = (struct listing *)(uintptr_t)fi->fh;
	struct stat st = { .st_ino = UNKNOWN_INO };
	char *entries = malloc(size);
	size_t used = 0, needed;

	if (!entries) {
		reply(req, -ENOMEM);
		return;
	}
	for (size_t i = (size_t)offset; i < listing->nr; i++) {
		st.st_mode = i < 2 ? S_IFDIR : S_IFREG;
		needed = fuse_add_direntry(req, entries + used, size - used,
					   listing->names[i], &st,
					   (off_t)i + 1);
		if (needed > size - used)
			break;
		used += needed;
	}
	fuse_reply_buf(req, entries, used);
	free(entries);
}

void op_releasedir(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi)
{
	listing_free((struct listing *)(uintptr_t)fi->fh);
	reply(req, 0);
}

/* Every change to a name was durable when it was made. */
void op_fsyncdir(fuse_req_t req, fuse_ino_t ino, int only_data,
		 struct fuse_file_info *fi)
{
	reply(req, 0);
}
