/*
 * forgetful.h - a device of any size that takes no room: it forgets what is
 * written, and reads as zeroes.  For big thins of which nobody reads the data.
 */
#ifndef TESTS_SUPPORT_FORGETFUL_H
#define TESTS_SUPPORT_FORGETFUL_H

#include <thinpool/device.h>

/* The caller has the only reference. */
struct tp_device *forgetful_device(uint64_t size_bytes);

#endif
