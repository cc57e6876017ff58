/*
 * map.c - thinpool map: where on the data device a volume's bytes lie.
 */
#include <inttypes.h>
#include <stdio.h>

#include "json.h"
#include "picture.h"
#include "session.h"

static int print_text(const struct tp_extent *extent, void *context)
{
	if (extent->mapped)
		printf("%16" PRIu64 " %16" PRIu64 " %16" PRIu64 " %6s\n",
		       extent->offset, extent->length, extent->data_offset,
		       extent->shared ? "yes" : "no");

	return 0;
}

static int print_json(const struct tp_extent *extent, void *context)
{
	if (!extent->mapped)
		return 0;
	json_begin_object(NULL);
	json_number("offset", extent->offset);
	json_number("length", extent->length);
	json_number("data_offset", extent->data_offset);
	json_bool("shared", extent->shared);
	json_end_object();

	return 0;
}

static int each_extent(struct session *session,
		       int (*each)(const struct tp_extent *extent,
				   void *context))
{
	int r = tp_thin_each_extent(session->thin, 0, session->size, each,
				    NULL);

	if (r)
		return fail_library(r, "cannot map volume %s",
				    session_label(session).text);

	return 0;
}

static int map(struct session *session, const struct arguments *arguments)
{
	int r;

	if (arguments->picture)
		return picture_make(session, arguments->picture);
	r = session_open_volume(session, arguments, READ_ONLY);
	if (r)
		return r;
	if (!(arguments->given & OPTION_JSON)) {
		printf("%16s %16s %16s %6s\n", "OFFSET", "LENGTH",
		       "DATA-OFFSET", "SHARED");
		return each_extent(session, print_text);
	}
	json_begin_object(NULL);
	json_begin_array("extents");
	r = each_extent(session, print_json);
	json_end_array();
	json_end_object();

	return r;
}

int run_map(const struct arguments *arguments)
{
	struct session session;
	int r = session_open(&session, arguments, READ_ONLY);

	return r ? r : session_close(&session, map(&session, arguments));
}
