/*
 * background.h - going on without the terminal, once that is known to succeed.
 *
 * The fork comes first, since the library does not survive one; the parent
 * waits to hear from its child how it went, and ends with that.
 */
#ifndef THINFS_BACKGROUND_H
#define THINFS_BACKGROUND_H

/* Returns in the child; 0, or -1 with the reason told.  The parent ends with
 * status 0 if the child is ready, else with the child's own. */
int background_begin(void);

/* We are mounted: let the parent end, leave the terminal. */
void background_ready(void);

#endif
