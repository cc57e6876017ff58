/*
 * pool-files.h - what the word POOL stands for: a directory that holds the
 * files `metadata` and `data`, or METADATA,DATA.
 */
#ifndef TOOLS_POOL_FILES_H
#define TOOLS_POOL_FILES_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/stat.h>

struct pool_files {
	char *metadata, *data; /* paths */
	const char *directory; /* NULL: METADATA,DATA */
};

int pool_files_init(struct pool_files *files, const char *pool);
void pool_files_exit(struct pool_files *files);

/* Bytes of a regular file or a block device. */
int file_size(const char *path, uint64_t *size);

/* Whether an open file is one of the pool's own. */
bool pool_files_include(const struct pool_files *files,
			const struct stat *file);

#endif
