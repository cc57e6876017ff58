/*
 * device.c - devices as the library sees them: channels that take requests and
 * give them back when they are due.
 */
#include <stdlib.h>
#include <unistd.h>

#include "write.h"

#define ALL_FLAGS (TP_SIMULATED_HARSH_FLUSH | TP_SIMULATED_LYING_FLUSH)

/*---------------------------- channels -------------------------------------*/

static int open_channel(void *context, int event_fd, int inline_only,
			void **result)
{
	struct tpi_sim_channel *channel = calloc(1, sizeof(*channel));
	struct tpi_sim_device *device = context;

	if (!channel)
		return -ENOMEM;
	channel->device = device;
	channel->event_fd = event_fd;
	channel->is_timed = inline_only;
	tpi_sim_lock(device->simulator);
	channel->life = device->simulator->life;
	channel->next = device->channels;
	device->channels = channel;
	tpi_sim_unlock(device->simulator);
	*result = channel;

	return 0;
}

static void close_channel(void *context)
{
	struct tpi_sim_channel *channel = context, **at;
	struct tp_simulator *simulator = channel->device->simulator;

	tpi_sim_lock(simulator);
	for (at = &channel->device->channels; *at != channel; at = &(*at)->next)
		;
	*at = channel->next;
	tpi_sim_unlock(simulator);
	free(channel);
}

/* Its place in the list, or NULL: nothing is due. */
static struct tpi_sim_flight **next_due(struct tpi_sim_channel *channel)
{
	uint64_t now = channel->device->simulator->now_ns;
	struct tpi_sim_flight **at, **next = NULL;

	for (at = &channel->flights; *at; at = &(*at)->next) {
		if ((*at)->due_ns > now)
			continue;
		if (!next || (*at)->due_ns < (*next)->due_ns ||
		    ((*at)->due_ns == (*next)->due_ns &&
		     (*at)->tie < (*next)->tie))
			next = at;
	}

	return next;
}

static bool may_end(struct tpi_sim_channel *channel)
{
	return channel->refused || next_due(channel);
}

void tpi_sim_signal(struct tpi_sim_channel *channel)
{
	uint64_t one = 1;

	if (!channel->is_armed || !may_end(channel))
		return;
	channel->is_armed = false;

	/* A full counter means that it is readable anyway. */
	if (write(channel->event_fd, &one, sizeof(one)) < 0)
		return;
}

void tpi_sim_lose_flights(struct tpi_sim_device *device)
{
	for (struct tpi_sim_channel *channel = device->channels; channel;
	     channel = channel->next) {
		for (struct tpi_sim_flight *flight = channel->flights; flight;
		     flight = flight->next) {
			flight->is_lost = true;
			flight->write = NULL;
			flight->due_ns = 0;
		}
		tpi_sim_signal(channel);
	}
}

/*---------------------------- submit, poll ---------------------------------*/

static void refuse(struct tpi_sim_channel *channel,
		   struct tp_device_request *request)
{
	request->device_room[0] = channel->refused;
	channel->refused = request;
}

static void add_flight(struct tpi_sim_channel *channel,
		       struct tpi_sim_flight *flight)
{
	const struct tp_simulator *simulator = channel->device->simulator;
	struct tpi_sim_flight **end;

	for (end = &channel->flights; *end; end = &(*end)->next)
		;
	*end = flight;
	if (simulator->is_off || channel->life != simulator->life)
		flight->is_lost = true;
	else
		tpi_sim_begin(channel, flight);
}

static void submit(void *context, struct tp_device_request *request)
{
	struct tpi_sim_flight *flight = calloc(1, sizeof(*flight));
	struct tpi_sim_channel *channel = context;

	tpi_sim_lock(channel->device->simulator);
	if (flight) {
		flight->request = request;
		add_flight(channel, flight);
	} else {
		refuse(channel, request);
	}
	tpi_sim_signal(channel);
	tpi_sim_unlock(channel->device->simulator);
}

static struct tp_device_request *take_refused(struct tpi_sim_channel *channel)
{
	struct tp_device_request *request = channel->refused;

	if (request)
		channel->refused = request->device_room[0];

	return request;
}

static struct tp_device_request *take_due(struct tpi_sim_channel *channel,
					  int *status)
{
	struct tpi_sim_flight **at = next_due(channel), *flight;
	struct tp_device_request *request;

	if (!at)
		return NULL;
	flight = *at;
	*at = flight->next;
	request = flight->request;
	*status = tpi_sim_end(channel, flight);
	free(flight);

	return request;
}

static unsigned poll_channel(void *context, unsigned max)
{
	struct tpi_sim_channel *channel = context;
	unsigned nr;

	for (nr = 0; nr < max; nr++) {
		struct tp_device_request *request;
		int status = -ENOMEM;

		tpi_sim_lock(channel->device->simulator);
		request = take_refused(channel);
		if (!request)
			request = take_due(channel, &status);
		tpi_sim_unlock(channel->device->simulator);
		if (!request)
			break;
		request->done(request, status);
	}

	return nr;
}

static int arm(void *context)
{
	struct tpi_sim_channel *channel = context;
	int has_ended;

	tpi_sim_lock(channel->device->simulator);
	has_ended = may_end(channel);
	channel->is_armed = !has_ended;
	tpi_sim_unlock(channel->device->simulator);

	return has_ended;
}

static uint64_t size_of(void *context)
{
	struct tpi_sim_device *device = context;
	uint64_t size;

	tpi_sim_lock(device->simulator);
	size = device->options.size;
	tpi_sim_unlock(device->simulator);

	return size;
}

/*---------------------------- new, gone ------------------------------------*/

static void forget_writes(struct tpi_sim_device *device)
{
	struct tpi_sim_write *write, *next;

	for (write = device->simulator->first; write; write = next) {
		next = write->next;
		if (write->device == device)
			tpi_sim_write_free(write);
	}
}

static void device_free(struct tpi_sim_device *device)
{
	tpi_sim_forget_faults(device);
	tpi_sim_content_drop(&device->stable);
	tpi_sim_content_drop(&device->newest);
	free(device);
}

/* The last reference is gone: the simulator was freed before. */
static void close_device(void *context)
{
	struct tpi_sim_device *device = context;
	struct tp_simulator *simulator = device->simulator;

	tpi_sim_lock(simulator);
	forget_writes(device);
	tpi_sim_unlock(simulator);
	device_free(device);
	tpi_sim_unref(simulator);
}

static int make_handle(struct tpi_sim_device *device)
{
	const struct tp_simulated_device_options *options = &device->options;
	const struct tp_device_async_ops ops = {
		TP_DEVICE_ASYNC_OPS_INIT,
		.features = options->features,
		.open_channel = open_channel,
		.close_channel = close_channel,
		.submit = submit,
		.poll = poll_channel,
		.arm = arm,
		.size = size_of,
		.close = close_device,
		.logical_block_bytes = options->logical_block_bytes,
		.memory_alignment_bytes = options->memory_alignment_bytes,
		.discard_granularity_bytes = options->discard_granularity_bytes,
		.discard_max_bytes = options->discard_max_bytes,
	};
	int r = tp_device_new_async(&ops, device, &device->device);

	return r ? tpi_sim_error(r, "%s", tp_last_error()) : 0;
}

static int make_room(struct tp_simulator *simulator)
{
	struct tpi_sim_device **devices =
		realloc(simulator->devices,
			(simulator->nr_devices + 1) * sizeof(*devices));

	if (!devices)
		return tpi_sim_error(-ENOMEM, "no memory for a device");
	simulator->devices = devices;

	return 0;
}

int tpi_sim_device_add(struct tp_simulator *simulator,
		       const struct tp_simulated_device_options *options,
		       struct tpi_sim_content stable)
{
	struct tpi_sim_device *device = calloc(1, sizeof(*device));
	int r;

	if (!device) {
		tpi_sim_content_drop(&stable);
		return tpi_sim_error(-ENOMEM, "no memory for a device");
	}
	device->simulator = simulator;
	device->number = simulator->nr_devices;
	device->options = *options;
	device->stable = stable;
	device->newest = tpi_sim_content_copy(&stable);
	r = make_room(simulator);
	if (!r)
		r = make_handle(device);
	if (r) {
		device_free(device);
		return r;
	}
	simulator->devices[simulator->nr_devices++] = device;
	simulator->nr_refs++;

	return 0;
}

/*---------------------------- for the host ---------------------------------*/

static int check_size(uint64_t size)
{
	if (size % TP_SECTOR_SIZE || size > TPI_SIM_MAX_BYTES)
		return tpi_sim_error(-EINVAL,
				     "a device of %llu bytes: it must be a "
				     "multiple of 512, of at most 4 TiB",
				     (unsigned long long)size);

	return 0;
}

static int check_options(const struct tp_simulated_device_options *options)
{
	if (options->flags & ~ALL_FLAGS)
		return tpi_sim_error(-EINVAL, "a device with unknown flags %#x",
				     options->flags & ~ALL_FLAGS);
	if (options->discard_effect > TP_DISCARD_CHANGES_NOTHING)
		return tpi_sim_error(-EINVAL,
				     "a discard with the unknown effect %u",
				     options->discard_effect);
	if (options->min_latency_ns > options->max_latency_ns)
		return tpi_sim_error(-EINVAL, "a shortest latency that is "
					      "longer than the longest");

	return check_size(options->size);
}

int tp_simulator_add_device(struct tp_simulator *simulator,
			    const struct tp_simulated_device_options *theirs,
			    struct tp_device **device)
{
	const struct tpi_sim_content poison = { NULL };
	struct tp_simulated_device_options options;
	int r = tpi_sim_take_struct(&options, sizeof(options), theirs,
				    "struct tp_simulated_device_options");

	if (!r)
		r = check_options(&options);
	if (r)
		return r;

	tpi_sim_lock(simulator);
	r = tpi_sim_device_add(simulator, &options, poison);
	if (!r)
		*device = simulator->devices[simulator->nr_devices - 1]->device;
	tpi_sim_unlock(simulator);

	return r;
}

struct tpi_sim_device *tpi_sim_device(struct tp_simulator *simulator,
				      unsigned number)
{
	if (number < simulator->nr_devices)
		return simulator->devices[number];
	tpi_sim_error(-EINVAL, "device %u of a simulator that has %u", number,
		      simulator->nr_devices);

	return NULL;
}

struct tp_device *tp_simulator_device(struct tp_simulator *simulator,
				      unsigned number)
{
	struct tpi_sim_device *device;

	tpi_sim_lock(simulator);
	device = tpi_sim_device(simulator, number);
	tpi_sim_unlock(simulator);

	return device ? device->device : NULL;
}

static int grow(struct tpi_sim_device *device, uint64_t size)
{
	if (!device)
		return -EINVAL;
	if (size < device->options.size)
		return tpi_sim_error(-EINVAL, "a device cannot shrink");
	device->options.size = size;

	return 0;
}

int tp_simulator_grow(struct tp_simulator *simulator, unsigned number,
		      uint64_t size)
{
	int r = check_size(size);

	if (r)
		return r;
	tpi_sim_lock(simulator);
	r = grow(tpi_sim_device(simulator, number), size);
	tpi_sim_unlock(simulator);

	return r;
}

/*---------------------------- past the device ------------------------------*/

static int check_range(const struct tpi_sim_device *device, size_t length,
		       uint64_t offset)
{
	if (!device)
		return -EINVAL;
	if ((length | offset) % TP_SECTOR_SIZE ||
	    offset > device->options.size ||
	    length > device->options.size - offset)
		return tpi_sim_error(-EINVAL,
				     "%zu bytes at %llu of a device of %llu "
				     "bytes, by sectors",
				     length, (unsigned long long)offset,
				     (unsigned long long)device->options.size);

	return 0;
}

int tp_simulator_peek(struct tp_simulator *simulator, unsigned number,
		      enum tp_simulated_content content, void *buffer,
		      size_t length, uint64_t offset)
{
	struct tpi_sim_device *device;
	int r;

	tpi_sim_lock(simulator);
	device = tpi_sim_device(simulator, number);
	r = check_range(device, length, offset);
	if (!r)
		tpi_sim_content_read(content == TP_CONTENT_STABLE
					     ? &device->stable
					     : &device->newest,
				     buffer, length, offset);
	tpi_sim_unlock(simulator);

	return r;
}

/* As a write that no other request began after, and that is stable. */
static int poke(struct tpi_sim_device *device, const void *bytes, size_t length,
		uint64_t offset)
{
	struct iovec iov = { (void *)bytes, length };
	const struct tp_device_request request = {
		.op = TP_WRITE,
		.offset = offset,
		.length = length,
		.iov = &iov,
		.iovcnt = 1,
	};
	struct tpi_sim_content stable, newest;
	struct tpi_sim_write *write;
	int r;

	write = tpi_sim_write_new(device, device->simulator->last_id + 1,
				  &request);
	if (!write)
		return tpi_sim_error(-ENOMEM, "no memory to poke");
	stable = tpi_sim_content_copy(&device->stable);
	newest = tpi_sim_content_copy(&device->newest);
	r = tpi_sim_write_apply(write, &stable, NULL, NULL);
	if (!r)
		r = tpi_sim_write_apply(write, &newest, NULL, NULL);
	tpi_sim_write_free(write);
	if (r) {
		tpi_sim_content_drop(&stable);
		tpi_sim_content_drop(&newest);
		return tpi_sim_error(r, "no memory to poke");
	}
	tpi_sim_content_replace(&device->stable, stable);
	tpi_sim_content_replace(&device->newest, newest);
	device->simulator->last_id++;

	return 0;
}

int tp_simulator_poke(struct tp_simulator *simulator, unsigned number,
		      const void *bytes, size_t length, uint64_t offset)
{
	struct tpi_sim_device *device;
	int r;

	tpi_sim_lock(simulator);
	device = tpi_sim_device(simulator, number);
	r = check_range(device, length, offset);
	if (!r && length)
		r = poke(device, bytes, length, offset);
	tpi_sim_unlock(simulator);

	return r;
}
