/*
 * oracles.h - what others say of metadata: thin_check, and metadata-verify.
 */
#ifndef TESTS_SUPPORT_ORACLES_H
#define TESTS_SUPPORT_ORACLES_H

#include <stdint.h>

#include "support/scratch.h"

/* A file with these bytes; unlink it. */
void oracle_file(char path[SCRATCH_PATH_BYTES], const void *bytes,
		 uint64_t size);

/*
 * The exit status of "COMMAND PATH", which says nothing unless @aloud and it is
 * not 0.  -1: there is no such program.
 */
int oracle_status(const char *command, const char *path, int aloud);

/* Commands; that of metadata-verify is NULL where $METADATA_VERIFY names
 * none. */
#define ORACLE_THIN_CHECK "PATH=$PATH:/usr/sbin:/sbin thin_check -q"
const char *oracle_metadata_verify(void);

#endif
