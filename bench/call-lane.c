/*
 * call-lane.c - a file, by calls of the lane's own thread: all that a submit
 * asks for is done when it returns, and told by the next reap.
 */
#include "call-lane.h"

#include <fcntl.h>
#include <stdlib.h>
#include <unistd.h>

struct call_lane {
	struct lane lane;
	int fd;
	unsigned nr_ended;
	struct slot *ended[];
};

static bool transfer(int fd, const struct slot *slot)
{
	ssize_t n = slot->op == TP_READ
			    ? pread(fd, slot->iov.iov_base, slot->length,
				    (off_t)slot->offset)
			    : pwrite(fd, slot->iov.iov_base, slot->length,
				     (off_t)slot->offset);

	return n == (ssize_t)slot->length;
}

static bool carry_out(int fd, const struct slot *slot)
{
	switch (slot->op) {
	case TP_READ:
	case TP_WRITE:
		return transfer(fd, slot);
	case TP_FLUSH:
		return !fdatasync(fd);
	case TP_WRITE_ZEROES:
		return !fallocate(fd, FALLOC_FL_ZERO_RANGE, (off_t)slot->offset,
				  (off_t)slot->length);
	case TP_DISCARD:
		return !fallocate(fd,
				  FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE,
				  (off_t)slot->offset, (off_t)slot->length);
	case TP_COPY:
		break;
	}

	return false;
}

static void call_submit(struct lane *lane, struct slot *slot)
{
	struct call_lane *calls = (struct call_lane *)lane;

	if (!carry_out(calls->fd, slot))
		die("a raw request of the file");
	calls->ended[calls->nr_ended++] = slot;
}

/* Not more than there are now: what these submit is for the next time, and
 * takes the places of those that were told. */
static void call_reap(struct lane *lane)
{
	struct call_lane *calls = (struct call_lane *)lane;
	unsigned nr = calls->nr_ended;

	calls->nr_ended = 0;
	for (unsigned i = 0; i < nr; i++)
		calls->ended[i]->ended(calls->ended[i]);
}

static void call_close(struct lane *lane)
{
	free(lane);
}

struct lane *open_call_lane(int fd, unsigned depth)
{
	static const struct lane_ops ops = {
		.submit = call_submit,
		.reap = call_reap,
		.close = call_close,
	};
	struct call_lane *calls;

	calls = allocate(sizeof(*calls) + depth * sizeof(calls->ended[0]));
	calls->lane.ops = &ops;
	calls->fd = fd;

	return &calls->lane;
}
