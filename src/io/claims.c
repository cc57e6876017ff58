/*
 * claims.c - which devices are in use by pools, so that none is used twice.
 *
 * Within the process a list of claimed devices tells; other processes see the
 * lock that a device's identity takes along with its first claim.
 */
#include <pthread.h>

#include "io/device-private.h"

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static struct tpi_list claimed_devices = { &claimed_devices, &claimed_devices };

bool tpi_device_same(const struct tp_device *a, const struct tp_device *b)
{
	const struct tpi_device_identity *x = &a->identity, *y = &b->identity;

	if (a == b)
		return true;

	return x->kind != TPI_DEVICE_OTHER && x->kind == y->kind &&
	       x->major == y->major && x->minor == y->minor;
}

/* Claims of one device go together if all of them only read. */
static bool is_in_the_way(const struct tp_device *device, bool exclusive)
{
	struct tpi_list *entry, *following;

	tpi_list_each(entry, following, &claimed_devices)
	{
		const struct tp_device *other =
			tpi_container_of(entry, struct tp_device, claimed);

		if (tpi_device_same(device, other) &&
		    (exclusive || other->exclusive))
			return true;
	}

	return false;
}

static int lock_for_other_processes(struct tp_device *device, bool exclusive)
{
	int r = 0;

	if (device->identity.lock)
		r = device->identity.lock(device->context, exclusive);
	if (r == -EBUSY)
		return tpi_error(r, "%s is in use by another process",
				 device->name);
	if (r)
		return tpi_error(r, "%s cannot be locked: %s", device->name,
				 tp_strerror(r));

	return 0;
}

static int claim_locked(struct tp_device *device, bool exclusive)
{
	int r;

	if (is_in_the_way(device, exclusive))
		return tpi_error(-EBUSY,
				 "%s is in use by a pool of this process",
				 device->name);
	if (!device->nr_claims) {
		r = lock_for_other_processes(device, exclusive);
		if (r)
			return r;
		device->exclusive = exclusive;
		tpi_list_add(&claimed_devices, &device->claimed);
	}
	device->nr_claims++;

	return 0;
}

int tpi_device_claim(struct tp_device *device, bool exclusive)
{
	int r;

	pthread_mutex_lock(&lock);
	r = claim_locked(device, exclusive);
	pthread_mutex_unlock(&lock);

	return r;
}

void tpi_device_release(struct tp_device *device, bool exclusive)
{
	pthread_mutex_lock(&lock);
	tpi_assert(device->nr_claims && device->exclusive == exclusive);
	if (!--device->nr_claims) {
		tpi_list_del(&device->claimed);
		if (device->identity.unlock)
			device->identity.unlock(device->context);
	}
	pthread_mutex_unlock(&lock);
}
