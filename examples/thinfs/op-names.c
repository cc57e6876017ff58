/*
 * op-names.c - looking up, making, renaming and unlinking.
 */
#include <errno.h>
#include <stdbool.h>

#include "operations.h"

static int fill_entry(fuse_req_t req, struct volume *volume,
		      struct fuse_entry_param *entry)
{
	*entry = (struct fuse_entry_param){
		.ino = ino_of(volume),
		.generation = 1,
		.attr_timeout = ATTRIBUTE_SECONDS,
		.entry_timeout = NAME_SECONDS,
	};

	return get_attributes(req, volume, &entry->attr);
}

/* The reference for the kernel is given back if it does not get it. */
static void reply_entry(fuse_req_t req, struct volume *volume)
{
	struct names *names = thinfs_of(req)->names;
	struct fuse_entry_param entry;
	int r = fill_entry(req, volume, &entry);

	if (r)
		reply(req, r);
	else
		r = fuse_reply_entry(req, &entry);
	if (r)
		names_forget(names, volume, 1);
}

void op_lookup(fuse_req_t req, fuse_ino_t parent, const char *name)
{
	struct volume *volume;
	int r = names_look_up(thinfs_of(req)->names, name, &volume);

	if (r)
		reply(req, r);
	else
		reply_entry(req, volume);
}

void op_forget(fuse_req_t req, fuse_ino_t ino, uint64_t nr)
{
	if (volume_of(ino))
		names_forget(thinfs_of(req)->names, volume_of(ino), nr);
	fuse_reply_none(req);
}

void op_mknod(fuse_req_t req, fuse_ino_t parent, const char *name, mode_t mode,
	      dev_t rdev)
{
	struct volume *volume;
	int r = S_ISREG(mode) ? 0 : -EPERM;

	if (!r)
		r = names_create(thinfs_of(req)->names, name, &volume);
	if (r)
		reply(req, r);
	else
		reply_entry(req, volume);
}

/*
 * Nothing that was made goes wrong with it open: who asked is gone, then, and
 * will not close it.
 */
static void reply_created(fuse_req_t req, struct volume *volume,
			  struct fuse_file_info *fi)
{
	struct names *names = thinfs_of(req)->names;
	struct fuse_entry_param entry;
	int r = fill_entry(req, volume, &entry);

	fi->keep_cache = 1;
	if (r)
		reply(req, r);
	else
		r = fuse_reply_create(req, &entry, fi);
	if (r) {
		names_release(names, volume);
		names_forget(names, volume, 1);
	}
}

void op_create(fuse_req_t req, fuse_ino_t parent, const char *name, mode_t mode,
	       struct fuse_file_info *fi)
{
	struct names *names = thinfs_of(req)->names;
	struct volume *volume;
	int r = names_create(names, name, &volume);

	if (r) {
		reply(req, r);
		return;
	}
	r = names_hold(names, volume);
	if (r) {
		names_forget(names, volume, 1);
		reply(req, r);
		return;
	}
	reply_created(req, volume, fi);
}

/*---------------------------- what there is not ----------------------------*/

void op_mkdir(fuse_req_t req, fuse_ino_t parent, const char *name, mode_t mode)
{
	reply(req, -EPERM);
}

void op_symlink(fuse_req_t req, const char *target, fuse_ino_t parent,
		const char *name)
{
	reply(req, -EPERM);
}

void op_link(fuse_req_t req, fuse_ino_t ino, fuse_ino_t parent,
	     const char *name)
{
	reply(req, -EPERM);
}

/*---------------------------- changing names -------------------------------*/

void op_unlink(fuse_req_t req, fuse_ino_t parent, const char *name)
{
	reply(req, names_unlink(thinfs_of(req)->names, name));
}

void op_rename(fuse_req_t req, fuse_ino_t parent, const char *name,
	       fuse_ino_t new_parent, const char *new_name, unsigned flags)
{
	reply(req, names_rename(thinfs_of(req)->names, name, new_name, flags));
}
