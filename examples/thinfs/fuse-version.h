/*
 * fuse-version.h - libfuse, and the version of its interface that we speak.
 */
#ifndef THINFS_FUSE_VERSION_H
#define THINFS_FUSE_VERSION_H

#define FUSE_USE_VERSION 35

#include <fuse_lowlevel.h>

#endif
