/*
 * call-lane.h - the raw way to a file for which one waits for nothing but the
 * processor, as in tmpfs: calls of the thread that submits.
 */
#ifndef BENCH_CALL_LANE_H
#define BENCH_CALL_LANE_H

#include "lane.h"

struct lane *open_call_lane(int fd, unsigned depth);

#endif
