/*
 * trim.c - thinpool trim: tells the data device what is free.
 */
#include <inttypes.h>
#include <stdio.h>

#include "json.h"
#include "session.h"
#include "size.h"

static int trim(struct session *session, const struct arguments *arguments)
{
	uint64_t trimmed;
	int r = tp_pool_trim(session->pool, 0, TP_TO_THE_END, &trimmed);

	if (r)
		return fail_library(r, "cannot trim %s", arguments->pool);
	if (arguments->given & OPTION_JSON) {
		json_begin_object(NULL);
		json_number("trimmed_bytes", trimmed);
		json_end_object();
	} else {
		printf("%s trimmed\n", size_format(trimmed).text);
	}

	return 0;
}

int run_trim(const struct arguments *arguments)
{
	struct session session;
	int r = session_open(&session, arguments, WRITABLE);

	return r ? r : session_close(&session, trim(&session, arguments));
}
