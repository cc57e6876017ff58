/*
 * picture.c - thinpool map --picture: the data device as a drawing (SVG).
 *
 * The device is a grid, read like a page; a cell is one data block, or several
 * if there are many.  Its colour is that of the volume that has most of it, it
 * is the paler the more of it is free, and it has a dot if most of what is in
 * use is shared.
 */
#include "picture.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "size.h"
#include "survey.h"

#define NR_COLUMNS 64u
#define NR_ROWS_MAX 64u
#define CELL 10u   /* pixels */
#define MARGIN 20u /* around everything */
#define LINE 18u   /* of the legend */
#define NR_LEGEND_MAX 24u

struct picture {
	FILE *file;
	const struct survey *survey;
	uint64_t blocks_per_cell;
	unsigned nr_grid_rows;
	uint64_t *counts; /* of the cell being drawn, by volume */
};

struct cell {
	uint64_t nr_blocks, nr_used, nr_shared;
	uint32_t user; /* who has most of it */
};

/* Far apart for volumes that follow each other. */
static unsigned hue(size_t row)
{
	return (unsigned)(row * 137 + 210) % 360;
}

/* A name may be anything that is UTF-8. */
static void put_escaped(FILE *file, const char *text)
{
	for (; *text; text++) {
		if (*text == '<')
			fputs("&lt;", file);
		else if (*text == '&')
			fputs("&amp;", file);
		else
			fputc(*text, file);
	}
}

static void put_name(struct picture *picture, size_t row)
{
	const struct tp_volume *volume = &picture->survey->rows[row].volume;

	if (*volume->name)
		put_escaped(picture->file, volume->name);
	else
		fprintf(picture->file, "id %" PRIu32, volume->id);
}

/*---------------------------- cells ----------------------------------------*/

static struct cell look_at_cell(struct picture *picture, uint64_t begin)
{
	const struct survey *survey = picture->survey;
	uint64_t end = begin + picture->blocks_per_cell;
	struct cell cell = { .nr_blocks = 0 };

	if (end > survey->nr_blocks)
		end = survey->nr_blocks;
	cell.nr_blocks = end - begin;
	memset(picture->counts, 0, survey->nr_rows * sizeof(*picture->counts));
	for (uint64_t i = begin; i < end; i++) {
		uint32_t user = survey->users[i];

		if (survey->nr_users[i] == BLOCK_FREE)
			continue;
		cell.nr_used++;
		cell.nr_shared += survey->nr_users[i] == BLOCK_SHARED;
		if (++picture->counts[user] > picture->counts[cell.user] ||
		    cell.nr_used == 1)
			cell.user = user;
	}

	return cell;
}

static void draw_used(struct picture *picture, const struct cell *cell,
		      unsigned x, unsigned y)
{
	unsigned light = 88 - (unsigned)(38 * cell->nr_used / cell->nr_blocks);

	fprintf(picture->file,
		"<rect x=\"%u\" y=\"%u\" width=\"%u\" height=\"%u\" "
		"fill=\"hsl(%u,65%%,%u%%)\"/>",
		x, y, CELL - 1, CELL - 1, hue(cell->user), light);
	if (2 * cell->nr_shared > cell->nr_used)
		fprintf(picture->file,
			"<circle cx=\"%u\" cy=\"%u\" r=\"2\" fill=\"#222\"/>",
			x + CELL / 2, y + CELL / 2);
}

static void draw_cell(struct picture *picture, uint64_t i)
{
	uint64_t begin = i * picture->blocks_per_cell;
	struct cell cell = look_at_cell(picture, begin);
	unsigned x = MARGIN + (unsigned)(i % NR_COLUMNS) * CELL;
	unsigned y = MARGIN + LINE + (unsigned)(i / NR_COLUMNS) * CELL;

	if (!cell.nr_used)
		return;
	fputs("<g>", picture->file);
	draw_used(picture, &cell, x, y);
	fprintf(picture->file,
		"<title>blocks %" PRIu64 " to %" PRIu64 ": %" PRIu64
		" in use, %" PRIu64 " shared; ",
		begin, begin + cell.nr_blocks - 1, cell.nr_used,
		cell.nr_shared);
	put_name(picture, cell.user);
	fputs("</title></g>\n", picture->file);
}

static void draw_grid(struct picture *picture)
{
	uint64_t nr_cells =
		(picture->survey->nr_blocks + picture->blocks_per_cell - 1) /
		picture->blocks_per_cell;

	fprintf(picture->file,
		"<rect x=\"%u\" y=\"%u\" width=\"%u\" height=\"%u\" "
		"fill=\"#eee\"/>\n",
		MARGIN, MARGIN + LINE, NR_COLUMNS * CELL,
		picture->nr_grid_rows * CELL);
	for (uint64_t i = 0; i < nr_cells; i++)
		draw_cell(picture, i);
}

/*---------------------------- words ----------------------------------------*/

static void draw_title(struct picture *picture)
{
	const struct survey *survey = picture->survey;

	fprintf(picture->file,
		"<text x=\"%u\" y=\"%u\">%s in blocks of %s; a cell is %" PRIu64
		" block%s, a dot: shared</text>\n",
		MARGIN, MARGIN + LINE / 2,
		size_format(survey->nr_blocks * survey->block_size).text,
		size_format(survey->block_size).text, picture->blocks_per_cell,
		picture->blocks_per_cell == 1 ? "" : "s");
}

static size_t nr_legend(const struct survey *survey)
{
	return survey->nr_rows < NR_LEGEND_MAX ? survey->nr_rows
					       : NR_LEGEND_MAX;
}

static void draw_legend(struct picture *picture)
{
	const struct survey *survey = picture->survey;
	unsigned y = MARGIN + 2 * LINE + picture->nr_grid_rows * CELL;
	size_t nr = nr_legend(survey);

	for (size_t i = 0; i < nr; i++, y += LINE) {
		fprintf(picture->file,
			"<rect x=\"%u\" y=\"%u\" width=\"%u\" height=\"%u\" "
			"fill=\"hsl(%u,65%%,50%%)\"/><text x=\"%u\" "
			"y=\"%u\">",
			MARGIN, y - CELL, CELL, CELL, hue(i), MARGIN + 2 * CELL,
			y);
		put_name(picture, i);
		fprintf(picture->file, ": %s, %s its own</text>\n",
			size_format(survey->rows[i].mapped).text,
			size_format(survey->rows[i].exclusive).text);
	}
	if (nr < survey->nr_rows)
		fprintf(picture->file,
			"<text x=\"%u\" y=\"%u\">and %zu more</text>\n",
			MARGIN + 2 * CELL, y, survey->nr_rows - nr);
}

static void draw(struct picture *picture)
{
	const struct survey *survey = picture->survey;
	unsigned width = 2 * MARGIN + NR_COLUMNS * CELL;
	unsigned height = 2 * MARGIN + picture->nr_grid_rows * CELL +
			  (unsigned)(nr_legend(survey) + 3) * LINE;

	fprintf(picture->file,
		"<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"%u\" "
		"height=\"%u\" font-family=\"sans-serif\" "
		"font-size=\"12\">\n"
		"<rect width=\"100%%\" height=\"100%%\" fill=\"#fff\"/>\n",
		width, height);
	draw_title(picture);
	draw_grid(picture);
	draw_legend(picture);
	fputs("</svg>\n", picture->file);
}

/*---------------------------- the file -------------------------------------*/

static void lay_out(struct picture *picture)
{
	uint64_t nr = picture->survey->nr_blocks;
	uint64_t max = NR_COLUMNS * NR_ROWS_MAX;

	picture->blocks_per_cell = nr > max ? (nr + max - 1) / max : 1;
	nr = (nr + picture->blocks_per_cell - 1) / picture->blocks_per_cell;
	picture->nr_grid_rows = (unsigned)((nr + NR_COLUMNS - 1) / NR_COLUMNS);
}

static int draw_to(struct picture *picture, const char *path)
{
	bool is_stdout = !strcmp(path, "-");

	picture->file = is_stdout ? stdout : fopen(path, "we");
	if (!picture->file)
		return fail_errno("cannot make %s", path);
	draw(picture);
	if (is_stdout)
		return 0;
	if (ferror(picture->file)) {
		fclose(picture->file);
		return fail("cannot write %s", path);
	}

	return fclose(picture->file) ? fail_errno("cannot write %s", path) : 0;
}

int picture_make(struct session *session, const char *path)
{
	struct survey survey;
	struct picture picture = { .survey = &survey };
	int r = survey_make(&survey, session);

	if (!r) {
		lay_out(&picture);
		picture.counts =
			calloc(survey.nr_rows + 1, sizeof(*picture.counts));
		r = picture.counts ? draw_to(&picture, path)
				   : fail("out of memory");
	}
	free(picture.counts);
	survey_exit(&survey);

	return r;
}
