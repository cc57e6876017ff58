/*
 * nbdkit.h - nbdkit's API, in the version that the plugin is written for.
 */
#ifndef NBD_NBDKIT_H
#define NBD_NBDKIT_H

#define NBDKIT_API_VERSION 2
#include <nbdkit-plugin.h>

#endif
