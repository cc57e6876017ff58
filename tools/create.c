/*
 * create.c - thinpool create: makes the files that are missing, and a pool.
 *
 * Files and devices that are there are used as they are, so that a pool can be
 * put on block devices or on files that were allocated beforehand.  Nothing
 * that holds something is overwritten, and what was made goes again on failure.
 */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "session.h"
#include "size.h"

#define DEFAULT_BLOCK_SIZE (64u << 10)

/* What a kernel and we can address: 255 bitmaps of 16320 blocks. */
#define MAX_METADATA_SIZE (255ull * 16320 * METADATA_BLOCK_SIZE)

/*
 * dm-thin's own advice is 48 bytes for each data block and 2 MiB at least;
 * the file is sparse, so we can be generous.
 */
#define METADATA_PER_DATA_BLOCK 64u
#define MIN_METADATA_SIZE (4u << 20)

/* What has to go if the pool does not come to be. */
struct made {
	bool directory, metadata, data;
};

/*---------------------------- files ----------------------------------------*/

static int make_directory(const char *path, bool *made)
{
	struct stat st;

	if (!mkdir(path, 0777)) {
		*made = true;
		return 0;
	}
	if (errno != EEXIST)
		return fail_errno("cannot make the directory %s", path);
	if (stat(path, &st) || !S_ISDIR(st.st_mode))
		return fail("%s is there and is no directory; a pool on two "
			    "files or devices is METADATA,DATA",
			    path);

	return 0;
}

static int make_sparse_file(const char *path, uint64_t size, bool *made)
{
	int r = 0;
	int fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0666);

	if (fd < 0)
		return fail_errno("cannot make %s", path);
	*made = true;
	if (ftruncate(fd, (off_t)size))
		r = fail_errno("cannot make %s %" PRIu64 " bytes long", path,
			       size);
	close(fd);

	return r;
}

/* Use @path as it is, or make it.  *@size: what is wanted, 0: not given. */
static int provide_file(const char *path, const char *option, uint64_t *size,
			bool *made)
{
	uint64_t wanted = *size;
	int r;

	if (access(path, F_OK)) {
		if (!wanted)
			return fail("there is no %s: say with %s how large to "
				    "make it",
				    path, option);
		return make_sparse_file(path, wanted, made);
	}
	r = file_size(path, size);
	if (!r && wanted && *size != wanted)
		return fail("%s is there and has %" PRIu64 " bytes: leave out "
			    "%s to use it as it is",
			    path, *size, option);

	return r;
}

/* Whether the first block, where a superblock would be, is not all zero. */
static bool holds_something(const char *path)
{
	static const char zeroes[METADATA_BLOCK_SIZE];
	char block[METADATA_BLOCK_SIZE] = { 0 };
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	ssize_t n;

	if (fd < 0)
		return false;
	n = read(fd, block, sizeof(block));
	close(fd);

	return n > 0 && memcmp(block, zeroes, (size_t)n);
}

/*---------------------------- sizes ----------------------------------------*/

static uint64_t default_metadata_size(uint64_t data_size, uint64_t block_size)
{
	uint64_t size = data_size / block_size * METADATA_PER_DATA_BLOCK;

	size += -size % METADATA_BLOCK_SIZE;
	if (size < MIN_METADATA_SIZE)
		return MIN_METADATA_SIZE;

	return size < MAX_METADATA_SIZE ? size : MAX_METADATA_SIZE;
}

static int provide_files(const struct pool_files *files,
			 const struct arguments *arguments, struct made *made)
{
	uint64_t block_size = arguments->block_size, size = arguments->size;
	uint64_t metadata_size = arguments->metadata_size;
	int r = provide_file(files->data, "--size", &size, &made->data);

	if (r)
		return r;
	if (!block_size)
		block_size = DEFAULT_BLOCK_SIZE;
	if (size < block_size)
		return fail("%s would be smaller than one data block of %s",
			    files->data, size_format(block_size).text);
	if (!metadata_size && access(files->metadata, F_OK))
		metadata_size = default_metadata_size(size, block_size);

	return provide_file(files->metadata, "--metadata-size", &metadata_size,
			    &made->metadata);
}

/*---------------------------- the pool -------------------------------------*/

static int format(struct tp_device *metadata, struct tp_device *data,
		  const struct arguments *arguments)
{
	struct tp_format_options options = TP_FORMAT_OPTIONS_INIT;
	int r;

	options.data_block_size = (uint32_t)arguments->block_size;
	r = tp_pool_format(metadata, data, &options);
	if (r == -EEXIST)
		return fail("%s holds a pool or something else already",
			    arguments->pool);
	if (r)
		return fail_library(r, "cannot make the pool %s",
				    arguments->pool);

	return 0;
}

static int format_files(const struct pool_files *files,
			const struct arguments *arguments)
{
	struct tp_device *metadata = NULL, *data = NULL;
	int r = tp_device_open_file(files->metadata, NULL, &metadata);

	if (r)
		r = fail_library(r, "cannot open %s", files->metadata);
	else if ((r = tp_device_open_file(files->data, NULL, &data)))
		r = fail_library(r, "cannot open %s", files->data);
	else
		r = format(metadata, data, arguments);
	tp_device_unref(data);
	tp_device_unref(metadata);

	return r;
}

static int create(const struct pool_files *files,
		  const struct arguments *arguments, struct made *made)
{
	int r = 0;

	if (holds_something(files->metadata))
		return fail("%s holds a pool or something else already: "
			    "remove it first, or take another place",
			    files->metadata);
	if (files->directory)
		r = make_directory(files->directory, &made->directory);
	if (!r)
		r = provide_files(files, arguments, made);

	return r ? r : format_files(files, arguments);
}

static void undo(const struct pool_files *files, const struct made *made)
{
	if (made->data)
		unlink(files->data);
	if (made->metadata)
		unlink(files->metadata);
	if (made->directory)
		rmdir(files->directory);
}

int run_create(const struct arguments *arguments)
{
	struct pool_files files;
	struct made made = { 0 };
	int r;

	if (arguments->block_size > UINT32_MAX)
		return fail("a data block has at most 1G");
	r = pool_files_init(&files, arguments->pool);
	if (r)
		return r;
	r = create(&files, arguments, &made);
	if (r)
		undo(&files, &made);
	pool_files_exit(&files);

	return r;
}
