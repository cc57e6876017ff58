/*
 * replay.c - run a fuzz target over files, without a fuzzer: the corpus, and
 * inputs that once broke something.  Directories stand for the files in them.
 */
#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "fuzz/target.h"

#define MAX_BYTES (1 << 20)

static int replay_file(const char *path)
{
	uint8_t *bytes = malloc(MAX_BYTES);
	FILE *file = fopen(path, "rb");
	size_t size;

	if (!bytes || !file) {
		perror(path);
		free(bytes);
		return 1;
	}
	fprintf(stderr, "%s\n", path);
	size = fread(bytes, 1, MAX_BYTES, file);
	fclose(file);
	LLVMFuzzerTestOneInput(bytes, size);
	free(bytes);

	return 0;
}

static int replay_directory(const char *path)
{
	struct dirent **entries;
	int nr = scandir(path, &entries, NULL, alphasort);
	int r = nr < 0;

	for (int i = 0; i < nr; i++) {
		char name[4096];

		snprintf(name, sizeof(name), "%s/%s", path, entries[i]->d_name);
		if (entries[i]->d_name[0] != '.')
			r |= replay_file(name);
		free(entries[i]);
	}
	if (nr >= 0)
		free(entries);

	return r;
}

int main(int argc, char **argv)
{
	struct stat stat_buffer;
	int r = argc < 2;

	for (int i = 1; i < argc; i++)
		r |= !stat(argv[i], &stat_buffer) &&
				     S_ISDIR(stat_buffer.st_mode)
			     ? replay_directory(argv[i])
			     : replay_file(argv[i]);

	return r;
}
