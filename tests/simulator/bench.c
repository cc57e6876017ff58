/*
 * bench.c - see bench.h.
 */
#include <check.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "simulator/bench.h"

const struct tp_simulated_device_options bench_defaults = {
	.struct_size = sizeof(struct tp_simulated_device_options),
	.size = BENCH_BYTES,
	.features = TP_DEVICE_FUA | TP_DEVICE_DISCARD | TP_DEVICE_WRITE_ZEROES,
	.min_latency_ns = 1000,
	.max_latency_ns = 1000000,
};

void bench_begin(struct bench *bench, uint64_t seed, unsigned nr_devices,
		 const struct tp_simulated_device_options *options)
{
	const struct tp_simulator_options simulator = {
		.struct_size = sizeof(simulator),
		.seed = seed,
	};
	struct tp_device *device;

	bench->nr_devices = nr_devices;
	ck_assert_int_eq(tp_simulator_new(&simulator, &bench->simulator), 0);
	for (unsigned i = 0; i < nr_devices; i++)
		ck_assert_int_eq(tp_simulator_add_device(
					 bench->simulator,
					 options ? options : &bench_defaults,
					 &device),
				 0);
}

void bench_end(struct bench *bench)
{
	tp_simulator_free(bench->simulator);
}

/*---------------------------- requests -------------------------------------*/

static void ended(struct tp_device_request *request, int status)
{
	struct shot *shot = request->context;

	ck_assert(!shot->has_ended);
	shot->has_ended = true;
	shot->status = status;
}

static struct shot *make(struct tp_simulator *simulator, unsigned device,
			 enum tp_op op, unsigned flags, uint64_t sector,
			 uint64_t nr, unsigned char byte)
{
	size_t length = op == TP_READ || op == TP_WRITE ? nr * SECTOR : 0;
	struct shot *shot = calloc(1, sizeof(*shot) + length);

	ck_assert_ptr_nonnull(shot);
	memset(shot->bytes, byte, length);
	shot->iov = (struct iovec){ shot->bytes, length };
	shot->request = (struct tp_device_request){
		.op = op,
		.flags = flags,
		.offset = sector * SECTOR,
		.length = nr * SECTOR,
		.iov = &shot->iov,
		.iovcnt = 1,
		.done = ended,
		.context = shot,
	};
	shot->event_fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
	ck_assert_int_eq(
		tpi_channel_open(tp_simulator_device(simulator, device),
				 shot->event_fd, true, &shot->channel),
		0);

	return shot;
}

static struct shot *submitted(struct shot *shot)
{
	tpi_channel_submit(shot->channel, &shot->request);
	tpi_channel_kick(shot->channel);

	return shot;
}

struct shot *shot_begin(struct tp_simulator *simulator, unsigned device,
			enum tp_op op, unsigned flags, uint64_t sector,
			uint64_t nr, unsigned char byte)
{
	return submitted(make(simulator, device, op, flags, sector, nr, byte));
}

struct shot *shot_copy(struct tp_simulator *simulator, unsigned device,
		       uint64_t source, uint64_t sector, uint64_t nr)
{
	struct shot *shot = make(simulator, device, TP_COPY, 0, sector, nr, 0);

	shot->request.source = source * SECTOR;

	return submitted(shot);
}

int shot_end(struct tp_simulator *simulator, struct shot *shot)
{
	for (unsigned i = 0; !shot->has_ended; i++) {
		ck_assert_uint_lt(i, 100000);
		if (!tpi_channel_poll(shot->channel, 1))
			tp_simulator_step(simulator, UINT64_MAX);
	}

	return shot->status;
}

void shot_free(struct shot *shot)
{
	tpi_channel_close(shot->channel);
	close(shot->event_fd);
	free(shot);
}

int shot_finish(struct tp_simulator *simulator, struct shot *shot)
{
	int status = shot_end(simulator, shot);

	shot_free(shot);

	return status;
}

int do_write(struct tp_simulator *simulator, unsigned device, uint64_t sector,
	     uint64_t nr, unsigned char byte)
{
	return shot_finish(simulator, shot_begin(simulator, device, TP_WRITE, 0,
						 sector, nr, byte));
}

int do_write_fua(struct tp_simulator *simulator, unsigned device,
		 uint64_t sector, uint64_t nr, unsigned char byte)
{
	return shot_finish(simulator, shot_begin(simulator, device, TP_WRITE,
						 TP_FUA, sector, nr, byte));
}

int do_flush(struct tp_simulator *simulator, unsigned device)
{
	return shot_finish(simulator,
			   shot_begin(simulator, device, TP_FLUSH, 0, 0, 0, 0));
}

/*---------------------------- looking at it --------------------------------*/

/* No ck_assert where it is called a million times: each tells libcheck. */
static unsigned char uniform_byte(const unsigned char *sector)
{
	if (memcmp(sector, sector + 1, SECTOR - 1))
		ck_abort_msg("a torn sector");

	return sector[0];
}

unsigned char byte_of(struct tp_simulator *simulator, unsigned device,
		      enum tp_simulated_content content, uint64_t sector)
{
	unsigned char bytes[SECTOR];

	if (tp_simulator_peek(simulator, device, content, bytes, SECTOR,
			      sector * SECTOR))
		ck_abort_msg("%s", tp_simulator_last_error());

	return uniform_byte(bytes);
}

unsigned char stable_byte(struct tp_simulator *simulator, unsigned device,
			  uint64_t sector)
{
	return byte_of(simulator, device, TP_CONTENT_STABLE, sector);
}

unsigned char read_byte(struct tp_simulator *simulator, unsigned device,
			uint64_t sector)
{
	struct shot *shot =
		shot_begin(simulator, device, TP_READ, 0, sector, 1, 0);
	unsigned char byte;

	ck_assert_int_eq(shot_end(simulator, shot), 0);
	byte = uniform_byte(shot->bytes);
	shot_free(shot);

	return byte;
}

/*---------------------------- what survives --------------------------------*/

bool keep_none(void *context, const struct tp_unstable_write *write, size_t i,
	       uint64_t sector, uint64_t offset)
{
	return false;
}

bool keep_all(void *context, const struct tp_unstable_write *write, size_t i,
	      uint64_t sector, uint64_t offset)
{
	return true;
}

bool keep_mask(void *context, const struct tp_unstable_write *write, size_t i,
	       uint64_t sector, uint64_t offset)
{
	return *(const uint64_t *)context >> sector & 1;
}
