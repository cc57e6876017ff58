/*
 * thinpool/thinpool.h - everything: thin volumes and snapshots of any depth, in
 * user space, in the on-disk format of the Linux kernel's dm-thin.
 *
 *	device  what a pool is built on             thinpool/device.h
 *	pool    a metadata and a data device        thinpool/pool.h
 *	thin    a volume that takes space only      thinpool/thin.h
 *	        when written
 *	queue   where a thread submits and reaps    thinpool/queue.h
 *	bio     one request                         thinpool/bio.h
 *	names   a name and a size for each thin     thinpool/catalogue.h
 *	check   is all of the metadata right?       thinpool/check.h
 *
 * After a fork only the parent may go on with what is open; the child may exec
 * or _exit, or open what it needs if nothing was open.
 */
#ifndef THINPOOL_THINPOOL_H
#define THINPOOL_THINPOOL_H

#include <thinpool/bio.h>
#include <thinpool/catalogue.h>
#include <thinpool/check.h>
#include <thinpool/device.h>
#include <thinpool/pool.h>
#include <thinpool/queue.h>
#include <thinpool/thin.h>
#include <thinpool/types.h>

#endif
