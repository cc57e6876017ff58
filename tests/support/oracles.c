/*
 * oracles.c - what others say of metadata.
 */
#include "support/oracles.h"

#include <check.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/wait.h>

void oracle_file(char path[SCRATCH_PATH_BYTES], const void *bytes,
		 uint64_t size)
{
	FILE *file;

	scratch_file(path, 0);
	file = fopen(path, "w");
	ck_assert_ptr_nonnull(file);
	ck_assert_uint_eq(fwrite(bytes, 1, size, file), size);
	ck_assert_int_eq(fclose(file), 0);
}

int oracle_status(const char *command, const char *path, int aloud)
{
	char line[4 * SCRATCH_PATH_BYTES + 256];
	int status;

	snprintf(line, sizeof(line),
		 "said=$(%s %s 2>&1); status=$?; "
		 "[ $status = 0 ] || [ %d = 0 ] || echo \"$said\" >&2; "
		 "exit $status",
		 command, path, aloud);
	status = system(line);
	ck_assert_int_ne(status, -1);
	ck_assert(WIFEXITED(status));

	return WEXITSTATUS(status) == 127 ? -1 : WEXITSTATUS(status);
}

const char *oracle_metadata_verify(void)
{
	const char *verify = getenv("METADATA_VERIFY");

	return verify && verify[0] ? verify : NULL;
}
