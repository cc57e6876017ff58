/*
 * request.c - what a request does, when it begins and when it ends.
 *
 * A write is done when it begins: what is newest has it from then on, in the
 * order of beginning.  Whether others see it before it has ended is decided at
 * each read.  What survives is decided when the power fails, by what is in the
 * simulator's list of writes then; here writes leave the list as they become
 * stable.
 */
#include <stdlib.h>
#include <string.h>
#include <xxhash.h>

#include "write.h"

/* Most requests are fast, and some take as long as many others: latencies are
 * spread over so many powers of two. */
#define LATENCY_ORDERS 8u

static uint64_t draw(struct tp_simulator *simulator, uint64_t below)
{
	return tpi_sim_random(&simulator->device_state, below);
}

static bool toss(struct tp_simulator *simulator)
{
	return draw(simulator, 2);
}

/*---------------------------- telling of it --------------------------------*/

static void note_bytes(struct tp_simulator *simulator,
		       const struct tp_device_request *request)
{
	for (int i = 0; i < request->iovcnt; i++)
		tpi_sim_note(simulator, XXH3_64bits(request->iov[i].iov_base,
						    request->iov[i].iov_len));
}

static void note_event(struct tp_simulator *simulator,
		       const struct tp_simulated_event *event)
{
	tpi_sim_note(simulator, event->id);
	tpi_sim_note(simulator, event->time_ns);
	tpi_sim_note(simulator, (uint64_t)event->device << 32 | event->op << 8 |
					event->flags << 4 | event->has_ended);
	tpi_sim_note(simulator, event->offset);
	tpi_sim_note(simulator, event->length);
	tpi_sim_note(simulator, (uint64_t)event->status);
}

static void tell(struct tpi_sim_device *device,
		 const struct tpi_sim_flight *flight, bool has_ended,
		 int status)
{
	struct tp_simulator *simulator = device->simulator;
	const struct tp_device_request *request = flight->request;
	const struct tp_simulated_event event = {
		.has_ended = has_ended,
		.device = device->number,
		.id = flight->id,
		.op = request->op,
		.flags = request->flags,
		.offset = request->offset,
		.length = request->length,
		.iov = request->iov,
		.iovcnt = request->iovcnt,
		.status = status,
		.time_ns = simulator->now_ns,
	};

	note_event(simulator, &event);
	if (request->op == (has_ended ? TP_READ : TP_WRITE))
		note_bytes(simulator, request);
	if (simulator->observer)
		simulator->observer(simulator->observer_context, &event);
}

/*---------------------------- reading --------------------------------------*/

static unsigned some_sectors(void *context, const struct tpi_sim_write *write,
			     uint64_t chunk, unsigned mask)
{
	return write->in_flight ? mask & (unsigned)draw(context, 0) : mask;
}

/* What a reader sees: of the writes in flight with it some sectors. */
static int content_to_read(struct tpi_sim_device *device, uint64_t offset,
			   uint64_t length, struct tpi_sim_content *content)
{
	struct tp_simulator *simulator = device->simulator;
	const struct tpi_sim_write *write;
	int r = 0;

	*content = tpi_sim_content_copy(&device->stable);
	for (write = simulator->first; write && !r; write = write->next)
		if (tpi_sim_write_touches(write, device, offset, length))
			r = tpi_sim_write_apply(write, content, some_sectors,
						simulator);

	return r;
}

static bool meets_a_write(const struct tpi_sim_device *device, uint64_t offset,
			  uint64_t length)
{
	const struct tpi_sim_write *write;

	for (write = device->simulator->first; write; write = write->next)
		if (write->in_flight &&
		    tpi_sim_write_touches(write, device, offset, length))
			return true;

	return false;
}

static void scatter(const struct tpi_sim_content *content,
		    const struct tp_device_request *request)
{
	uint64_t offset = request->offset;

	for (int i = 0; i < request->iovcnt; i++) {
		const struct iovec *iov = &request->iov[i];

		tpi_sim_content_read(content, iov->iov_base, iov->iov_len,
				     offset);
		offset += iov->iov_len;
	}
}

static int look(struct tpi_sim_device *device,
		const struct tp_device_request *request,
		struct tpi_sim_content *content)
{
	if (meets_a_write(device, request->offset, request->length))
		return content_to_read(device, request->offset, request->length,
				       content);
	*content = tpi_sim_content_copy(&device->newest);

	return 0;
}

/* What was not read is not there to be used. */
static void poison(const struct tp_device_request *request, uint64_t from)
{
	for (int i = 0; i < request->iovcnt; i++) {
		const struct iovec *iov = &request->iov[i];

		if (from < iov->iov_len)
			memset((char *)iov->iov_base + from,
			       TP_SIMULATOR_POISON, iov->iov_len - from);
		from -= from < iov->iov_len ? from : iov->iov_len;
	}
}

static void begin_read(struct tpi_sim_device *device,
		       struct tpi_sim_flight *flight)
{
	int error = 0;

	if (flight->status >= 0)
		error = look(device, flight->request, &flight->seen);
	if (error)
		flight->status = error;
}

/* Each sector is read at the beginning, or at the end. */
static int read_rest(struct tpi_sim_device *device,
		     struct tpi_sim_flight *flight)
{
	const struct tp_device_request *request = flight->request;
	struct tpi_sim_content now;
	int r;

	r = look(device, request, &now);
	if (!r)
		r = tpi_sim_content_mix(&flight->seen, &now, request->offset,
					request->length,
					&device->simulator->device_state);
	if (!r)
		scatter(&flight->seen, request);
	tpi_sim_content_drop(&now);

	return r;
}

static void end_read(struct tpi_sim_device *device,
		     struct tpi_sim_flight *flight)
{
	int error = 0;

	if (flight->status >= 0)
		error = read_rest(device, flight);
	if (error)
		flight->status = error;
	if (flight->status)
		poison(flight->request,
		       flight->status > 0 ? (uint64_t)flight->status : 0);
}

/*---------------------------- writing --------------------------------------*/

/* Of a write that will fail. */
static void leave_out(struct tpi_sim_write *write, int status)
{
	struct tp_simulator *simulator = write->device->simulator;
	uint64_t nr = tpi_sim_write_nr_sectors(write);

	for (uint64_t i = 0; i < nr; i++)
		if (status > 0 ? i >= (uint64_t)status / TP_SECTOR_SIZE
			       : toss(simulator))
			tpi_sim_write_leave_out(write, i);
}

static int apply_newest(struct tpi_sim_write *write)
{
	struct tpi_sim_device *device = write->device;
	struct tpi_sim_content newest = tpi_sim_content_copy(&device->newest);
	int r = tpi_sim_write_apply(write, &newest, NULL, NULL);

	if (r)
		tpi_sim_content_drop(&newest);
	else
		tpi_sim_content_replace(&device->newest, newest);

	return r;
}

static void begin_write_of(struct tpi_sim_device *device,
			   struct tpi_sim_flight *flight,
			   const struct tp_device_request *request)
{
	struct tpi_sim_write *write =
		tpi_sim_write_new(device, flight->id, request);

	if (!write) {
		flight->status = -ENOMEM;
		return;
	}
	if (flight->status)
		leave_out(write, flight->status);
	if (apply_newest(write)) {
		flight->status = -ENOMEM;
		tpi_sim_write_free(write);
		return;
	}
	flight->write = write;
}

static void begin_write(struct tpi_sim_device *device,
			struct tpi_sim_flight *flight)
{
	begin_write_of(device, flight, flight->request);
}

/* The device reads what a reader would see now, and writes that. */
static int read_for_copy(struct tpi_sim_device *device,
			 const struct tp_device_request *request, void *bytes)
{
	const struct iovec iov = { bytes, request->length };
	const struct tp_device_request read = {
		.op = TP_READ,
		.offset = request->source,
		.length = request->length,
		.iov = &iov,
		.iovcnt = 1,
	};
	struct tpi_sim_content content;
	int r = look(device, &read, &content);

	if (!r)
		scatter(&content, &read);
	tpi_sim_content_drop(&content);

	return r;
}

static void begin_copy(struct tpi_sim_device *device,
		       struct tpi_sim_flight *flight)
{
	const struct tp_device_request *request = flight->request;
	struct iovec iov = { malloc(request->length), request->length };
	struct tp_device_request write = *request;

	if (!iov.iov_base) {
		flight->status = -ENOMEM;
		return;
	}
	write.op = TP_WRITE;
	write.iov = &iov;
	write.iovcnt = 1;
	if (read_for_copy(device, request, iov.iov_base))
		flight->status = -ENOMEM;
	else
		begin_write_of(device, flight, &write);
	free(iov.iov_base);
}

static int make_stable(struct tpi_sim_write *write)
{
	struct tpi_sim_device *device = write->device;
	struct tpi_sim_content stable = tpi_sim_content_copy(&device->stable);
	int r = tpi_sim_write_apply(write, &stable, NULL, NULL);

	if (r) {
		tpi_sim_content_drop(&stable);
		return r;
	}
	tpi_sim_content_replace(&device->stable, stable);
	tpi_sim_write_free(write);

	return 0;
}

static void end_write(struct tpi_sim_device *device,
		      struct tpi_sim_flight *flight)
{
	struct tpi_sim_write *write = flight->write;
	bool has_cache = !(device->options.features & TP_DEVICE_NO_CACHE);
	bool fua = flight->request->flags & TP_FUA;
	int r = 0;

	if (!write)
		return;
	write->in_flight = false;
	write->when_ended = device->simulator->nr_ended;

	/* Without a cache, what a failed write did is done as well. */
	if (!has_cache || (fua && !flight->status))
		r = make_stable(write);
	if (!flight->status)
		flight->status = r;
}

/*---------------------------- flushing -------------------------------------*/

static bool is_covered(const struct tpi_sim_write *write,
		       const struct tpi_sim_device *device,
		       const struct tpi_sim_flight *flush)
{
	return write->device == device && write->when_ended &&
	       write->when_ended <= flush->nr_ended_before;
}

static void forget_covered(struct tpi_sim_device *device,
			   const struct tpi_sim_flight *flush)
{
	struct tpi_sim_write *write, *next;

	for (write = device->simulator->first; write; write = next) {
		next = write->next;
		if (is_covered(write, device, flush))
			tpi_sim_write_free(write);
	}
}

static int flush_covered(struct tpi_sim_device *device,
			 const struct tpi_sim_flight *flush)
{
	struct tpi_sim_content stable = tpi_sim_content_copy(&device->stable);
	const struct tpi_sim_write *write;
	int r = 0;

	for (write = device->simulator->first; write && !r; write = write->next)
		if (is_covered(write, device, flush))
			r = tpi_sim_write_apply(write, &stable, NULL, NULL);
	if (r) {
		tpi_sim_content_drop(&stable);
		return r;
	}
	tpi_sim_content_replace(&device->stable, stable);
	forget_covered(device, flush);

	return 0;
}

/* What is newest without the sectors that were left out since. */
static void renew_newest(struct tpi_sim_device *device)
{
	struct tpi_sim_content newest = tpi_sim_content_copy(&device->stable);
	const struct tpi_sim_write *write;
	int r = 0;

	for (write = device->simulator->first; write && !r; write = write->next)
		if (write->device == device)
			r = tpi_sim_write_apply(write, &newest, NULL, NULL);
	if (r)
		tpi_sim_content_drop(&newest);
	else
		tpi_sim_content_replace(&device->newest, newest);
}

/* Not what is in flight: it is not in the cache yet. */
static void lose_some_of_cache(struct tpi_sim_device *device)
{
	struct tp_simulator *simulator = device->simulator;
	struct tpi_sim_write *write;

	for (write = simulator->first; write; write = write->next)
		if (write->device == device && !write->in_flight)
			leave_out(write, -EIO);
	renew_newest(device);
}

static void end_flush(struct tpi_sim_device *device,
		      struct tpi_sim_flight *flight)
{
	unsigned flags = device->options.flags;

	if (!flight->status && !(flags & TP_SIMULATED_LYING_FLUSH))
		flight->status = flush_covered(device, flight);
	if (flight->status && flags & TP_SIMULATED_HARSH_FLUSH)
		lose_some_of_cache(device);
}

/*---------------------------- begin, end -----------------------------------*/

static bool changes_nothing(const struct tpi_sim_device *device, enum tp_op op)
{
	return op == TP_DISCARD &&
	       device->options.discard_effect == TP_DISCARD_CHANGES_NOTHING;
}

static void set_due(const struct tpi_sim_channel *channel,
		    struct tpi_sim_flight *flight)
{
	const struct tp_simulated_device_options *options =
		&channel->device->options;
	struct tp_simulator *simulator = channel->device->simulator;
	uint64_t spread = options->max_latency_ns - options->min_latency_ns;
	uint64_t latency = options->min_latency_ns;

	/* Drawn in any case: what is instant changes nothing else. */
	spread >>= draw(simulator, LATENCY_ORDERS);
	latency += draw(simulator, spread + 1);
	flight->tie = draw(simulator, 0);
	flight->due_ns = simulator->now_ns;
	if (channel->is_timed && !simulator->is_instant)
		flight->due_ns += latency;
}

/* A short transfer is one of several sectors, and tells how many bytes. */
static int status_of(struct tp_simulator *simulator,
		     struct tpi_sim_verdict verdict,
		     const struct tp_device_request *request)
{
	uint64_t nr = request->length / TP_SECTOR_SIZE;

	if (!verdict.is_short || nr < 2 ||
	    (request->op != TP_READ && request->op != TP_WRITE))
		return verdict.status;
	if (nr > INT32_MAX / TP_SECTOR_SIZE)
		nr = INT32_MAX / TP_SECTOR_SIZE;

	return (int)((1 + draw(simulator, nr - 1)) * TP_SECTOR_SIZE);
}

void tpi_sim_begin(struct tpi_sim_channel *channel,
		   struct tpi_sim_flight *flight)
{
	struct tpi_sim_device *device = channel->device;
	struct tp_simulator *simulator = device->simulator;
	const struct tp_device_request *request = flight->request;

	simulator->nr_requests++;
	flight->id = ++simulator->last_id;
	flight->nr_ended_before = simulator->nr_ended;
	set_due(channel, flight);
	flight->status =
		status_of(simulator, tpi_sim_judge(device, request), request);
	if (request->op == TP_READ)
		begin_read(device, flight);
	else if (request->op == TP_COPY)
		begin_copy(device, flight);
	else if (request->op != TP_FLUSH &&
		 !changes_nothing(device, request->op))
		begin_write(device, flight);
	tell(device, flight, false, 0);
}

int tpi_sim_end(struct tpi_sim_channel *channel, struct tpi_sim_flight *flight)
{
	struct tpi_sim_device *device = channel->device;

	if (flight->is_lost) {
		tpi_sim_content_drop(&flight->seen);
		return -EIO;
	}
	device->simulator->nr_ended++;
	switch (flight->request->op) {
	case TP_READ:
		end_read(device, flight);
		break;
	case TP_FLUSH:
		end_flush(device, flight);
		break;
	default:
		end_write(device, flight);
	}
	tpi_sim_content_drop(&flight->seen);
	tell(device, flight, true, flight->status);

	return flight->status;
}
