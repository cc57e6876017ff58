/*
 * op-xattr.c - what a volume is beyond a file, as extended attributes, and the
 * one that takes a snapshot when it is set.
 */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "content.h"
#include "operations.h"

#define PREFIX "user.thinpool."

struct value {
	char text[TP_NAME_MAX + 1];
};

static int number(struct value *value, uint64_t n)
{
	snprintf(value->text, sizeof(value->text), "%" PRIu64, n);

	return 0;
}

static int get_id(struct names *names, struct volume *volume,
		  struct value *value)
{
	return number(value, volume->id);
}

static int get_mapped(struct names *names, struct volume *volume,
		      struct value *value)
{
	uint64_t bytes;
	int r = volume_mapped_bytes(volume, &bytes);

	return r ? r : number(value, bytes);
}

static int get_shared(struct names *names, struct volume *volume,
		      struct value *value)
{
	uint64_t bytes;
	int r = volume_use(volume);

	if (r)
		return r;
	r = content_shared_bytes(volume, &bytes);
	volume_unuse(volume);

	return r ? r : number(value, bytes);
}

/* Empty: none. */
static int get_origin(struct names *names, struct volume *volume,
		      struct value *value)
{
	names_of_origin(names, volume, value->text);

	return 0;
}

static const struct attribute {
	const char *name;
	int (*get)(struct names *names, struct volume *volume,
		   struct value *value);
} attributes[] = {
	{ PREFIX "id", get_id },
	{ PREFIX "mapped", get_mapped },
	{ PREFIX "shared", get_shared },
	{ PREFIX "origin", get_origin },
};

#define NR_ATTRIBUTES (sizeof(attributes) / sizeof(attributes[0]))

/*---------------------------- get and list ---------------------------------*/

/* Who asks with no room wants to know how much it takes. */
static void reply_value(fuse_req_t req, const char *value, size_t length,
			size_t room)
{
	if (!room)
		fuse_reply_xattr(req, length);
	else if (room < length)
		fuse_reply_err(req, ERANGE);
	else
		fuse_reply_buf(req, value, length);
}

static const struct attribute *find_attribute(const char *name)
{
	for (size_t i = 0; i < NR_ATTRIBUTES; i++)
		if (!strcmp(attributes[i].name, name))
			return &attributes[i];

	return NULL;
}

void op_getxattr(fuse_req_t req, fuse_ino_t ino, const char *name, size_t size)
{
	const struct attribute *attribute = find_attribute(name);
	struct volume *volume = volume_of(ino);
	struct value value = { "" };
	int r = 0;

	if (volume && attribute)
		r = attribute->get(thinfs_of(req)->names, volume, &value);
	if (r)
		reply(req, r);
	else if (!*value.text)
		fuse_reply_err(req, ENODATA);
	else
		reply_value(req, value.text, strlen(value.text), size);
}

void op_listxattr(fuse_req_t req, fuse_ino_t ino, size_t size)
{
	struct volume *volume = volume_of(ino);
	char list[512];
	size_t length = 0;

	for (size_t i = 0; i < NR_ATTRIBUTES && volume; i++) {
		struct value value = { "" };

		if (attributes[i].get == get_origin &&
		    (get_origin(thinfs_of(req)->names, volume, &value) ||
		     !*value.text))
			continue;
		strcpy(list + length, attributes[i].name);
		length += strlen(attributes[i].name) + 1;
	}
	reply_value(req, list, length, size);
}

/*---------------------------- set ------------------------------------------*/

void op_setxattr(fuse_req_t req, fuse_ino_t ino, const char *name,
		 const char *value, size_t size, int flags)
{
	struct volume *volume = volume_of(ino);
	char *snapshot;
	int r;

	if (!volume || strcmp(name, PREFIX "snapshot")) {
		fuse_reply_err(req, volume ? EOPNOTSUPP : EPERM);
		return;
	}
	snapshot = strndup(value, size);
	r = snapshot ? names_snapshot(thinfs_of(req)->names, volume, snapshot)
		     : -ENOMEM;
	free(snapshot);
	reply(req, r);
}
