/*
 * picture.h - the data device as a drawing.
 */
#ifndef TOOLS_PICTURE_H
#define TOOLS_PICTURE_H

#include "session.h"

/* Who uses what, as SVG, to the file at @path or, for "-", standard output. */
int picture_make(struct session *session, const char *path);

#endif
