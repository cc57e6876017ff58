/*
 * pool-files.c - what the word POOL stands for.
 */
#include "pool-files.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "command.h"

static bool is_directory(const char *path)
{
	struct stat st;

	return !stat(path, &st) && S_ISDIR(st.st_mode);
}

static char *path_within(const char *directory, const char *name)
{
	char *path;

	return asprintf(&path, "%s/%s", directory, name) < 0 ? NULL : path;
}

int pool_files_init(struct pool_files *files, const char *pool)
{
	const char *comma = is_directory(pool) ? NULL : strchr(pool, ',');

	*files = (struct pool_files){ 0 };
	if (comma) {
		files->metadata = strndup(pool, (size_t)(comma - pool));
		files->data = strdup(comma + 1);
	} else {
		files->directory = pool;
		files->metadata = path_within(pool, "metadata");
		files->data = path_within(pool, "data");
	}
	if (files->metadata && files->data)
		return 0;
	pool_files_exit(files);

	return fail("out of memory");
}

void pool_files_exit(struct pool_files *files)
{
	free(files->metadata);
	free(files->data);
	*files = (struct pool_files){ 0 };
}

int file_size(const char *path, uint64_t *size)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	off_t end;

	if (fd < 0)
		return fail_errno("cannot open %s", path);
	end = lseek(fd, 0, SEEK_END);
	close(fd);
	if (end < 0)
		return fail_errno("cannot tell the size of %s", path);
	*size = (uint64_t)end;

	return 0;
}

static bool is_same_file(const char *path, const struct stat *file)
{
	struct stat st;

	if (stat(path, &st))
		return false;
	if (S_ISBLK(st.st_mode) && S_ISBLK(file->st_mode))
		return st.st_rdev == file->st_rdev;

	return st.st_dev == file->st_dev && st.st_ino == file->st_ino;
}

bool pool_files_include(const struct pool_files *files, const struct stat *file)
{
	return is_same_file(files->metadata, file) ||
	       is_same_file(files->data, file);
}
