/*
 * list.c - thinpool list: the volumes of a pool, and what each takes.
 */
#include <inttypes.h>
#include <stdio.h>

#include "json.h"
#include "size.h"
#include "survey.h"

static const struct survey_row *find_id(const struct survey *survey,
					uint32_t id)
{
	for (size_t i = 0; i < survey->nr_rows; i++)
		if (survey->rows[i].volume.id == id)
			return &survey->rows[i];

	return NULL;
}

/* The origin's name, if it still is there; NULL: it has none. */
static const char *origin_name(const struct survey *survey,
			       const struct survey_row *row)
{
	const struct survey_row *origin =
		row->volume.has_origin ? find_id(survey, row->volume.origin)
				       : NULL;

	return origin && *origin->volume.name ? origin->volume.name : NULL;
}

static void print_json_row(const struct survey *survey,
			   const struct survey_row *row)
{
	const struct tp_volume *volume = &row->volume;

	json_begin_object(NULL);
	json_string("name", *volume->name ? volume->name : NULL);
	json_number("id", volume->id);
	json_number("size", volume->size);
	json_number("mapped_bytes", row->mapped);
	json_number("exclusive_bytes", row->exclusive);
	json_string("origin", origin_name(survey, row));
	if (volume->has_origin)
		json_number("origin_id", volume->origin);
	else
		json_null("origin_id");
	json_bool("read_only", volume->flags & TP_VOLUME_READ_ONLY);
	json_bool("external_origin", volume->flags & TP_VOLUME_EXTERNAL_ORIGIN);
	json_end_object();
}

static void print_json(const struct survey *survey)
{
	json_begin_object(NULL);
	json_begin_array("volumes");
	for (size_t i = 0; i < survey->nr_rows; i++)
		print_json_row(survey, &survey->rows[i]);
	json_end_array();
	json_end_object();
}

static void print_origin(const struct survey *survey,
			 const struct survey_row *row)
{
	const char *name = origin_name(survey, row);

	if (name)
		printf("%s\n", name);
	else if (row->volume.has_origin)
		printf("id %u\n", row->volume.origin);
	else
		printf("-\n");
}

static void print_text(const struct survey *survey)
{
	const struct survey_row *row;

	printf("%-24s %8s %7s %7s %9s  %s\n", "NAME", "ID", "SIZE", "MAPPED",
	       "EXCLUSIVE", "ORIGIN");
	for (size_t i = 0; i < survey->nr_rows; i++) {
		row = &survey->rows[i];
		printf("%-24s %8u %7s %7s %9s  ",
		       *row->volume.name ? row->volume.name : "-",
		       row->volume.id, size_format(row->volume.size).text,
		       size_format(row->mapped).text,
		       size_format(row->exclusive).text);
		print_origin(survey, row);
	}
}

static int list(struct session *session, const struct arguments *arguments)
{
	struct survey survey;
	int r = survey_make(&survey, session);

	if (!r && arguments->given & OPTION_JSON)
		print_json(&survey);
	else if (!r)
		print_text(&survey);
	survey_exit(&survey);

	return r;
}

int run_list(const struct arguments *arguments)
{
	struct session session;
	int r = session_open(&session, arguments, READ_ONLY);

	return r ? r : session_close(&session, list(&session, arguments));
}
