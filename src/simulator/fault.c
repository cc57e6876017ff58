/*
 * fault.c - requests that are made to fail.
 */
#include <stdlib.h>

#include "private.h"

#define ALL_OPS ((1u << (TP_COPY + 1)) - 1)
#define MAX_ERRNO 4095

static int check_fault(const struct tp_simulated_fault *fault)
{
	if (fault->ops & ~ALL_OPS)
		return tpi_sim_error(-EINVAL, "a fault of unknown ops %#x",
				     fault->ops & ~ALL_OPS);
	if (fault->flags & ~TP_FAULT_SHORT)
		return tpi_sim_error(-EINVAL, "a fault with unknown flags %#x",
				     fault->flags & ~TP_FAULT_SHORT);
	if (fault->status > 0 || fault->status < -MAX_ERRNO)
		return tpi_sim_error(-EINVAL,
				     "a fault of status %d, which is no "
				     "negative errno",
				     fault->status);
	if (fault->end && fault->begin >= fault->end)
		return tpi_sim_error(-EINVAL, "a fault in an empty range");

	return 0;
}

static int add_fault(struct tpi_sim_device *device,
		     const struct tp_simulated_fault *fault)
{
	struct tpi_sim_fault *added = calloc(1, sizeof(*added)), **end;

	if (!added)
		return tpi_sim_error(-ENOMEM, "no memory for a fault");
	added->fault = *fault;
	if (!added->fault.ops)
		added->fault.ops = ALL_OPS;
	if (!added->fault.end)
		added->fault.end = UINT64_MAX;
	if (!added->fault.status)
		added->fault.status = -EIO;
	for (end = &device->faults; *end; end = &(*end)->next)
		;
	*end = added;

	return 0;
}

int tp_simulator_fail(struct tp_simulator *simulator, unsigned number,
		      const struct tp_simulated_fault *theirs)
{
	struct tp_simulated_fault fault;
	struct tpi_sim_device *device;
	int r = tpi_sim_take_struct(&fault, sizeof(fault), theirs,
				    "struct tp_simulated_fault");

	if (!r)
		r = check_fault(&fault);
	if (r)
		return r;

	tpi_sim_lock(simulator);
	device = tpi_sim_device(simulator, number);
	r = device ? add_fault(device, &fault) : -EINVAL;
	tpi_sim_unlock(simulator);

	return r;
}

void tpi_sim_forget_faults(struct tpi_sim_device *device)
{
	struct tpi_sim_fault *fault;

	while ((fault = device->faults)) {
		device->faults = fault->next;
		free(fault);
	}
}

int tp_simulator_heal(struct tp_simulator *simulator, unsigned number)
{
	struct tpi_sim_device *device;

	tpi_sim_lock(simulator);
	device = tpi_sim_device(simulator, number);
	if (device)
		tpi_sim_forget_faults(device);
	tpi_sim_unlock(simulator);

	return device ? 0 : -EINVAL;
}

uint64_t tp_simulator_nr_failed(struct tp_simulator *simulator)
{
	return tpi_sim_get(simulator, &simulator->nr_failed);
}

static bool touches(const struct tp_simulated_fault *fault, uint64_t offset,
		    uint64_t length)
{
	return offset < fault->end && fault->begin < offset + length;
}

static bool matches(const struct tp_simulated_fault *fault,
		    const struct tp_device_request *request)
{
	if (!(fault->ops & 1u << request->op))
		return false;

	return request->op == TP_FLUSH ||
	       touches(fault, request->offset, request->length) ||
	       (request->op == TP_COPY &&
		touches(fault, request->source, request->length));
}

struct tpi_sim_verdict tpi_sim_judge(struct tpi_sim_device *device,
				     const struct tp_device_request *request)
{
	for (struct tpi_sim_fault *at = device->faults; at; at = at->next) {
		struct tp_simulated_fault *fault = &at->fault;

		if (!matches(fault, request))
			continue;
		if (fault->skip) {
			fault->skip--;
			continue;
		}
		if (fault->times && at->nr_failed == fault->times)
			continue;
		at->nr_failed++;
		device->simulator->nr_failed++;
		return (struct tpi_sim_verdict){
			.status = fault->status,
			.is_short = fault->flags & TP_FAULT_SHORT,
		};
	}

	return (struct tpi_sim_verdict){ 0 };
}
