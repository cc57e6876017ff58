/*
 * journal-hook.c - a pre-commit hook that also writes a record of the host's,
 * which after each of 200 power cuts is not behind the pool.
 *
 *	cc journal-hook.c $(pkg-config --cflags --libs libthinpool-simulator)
 *
 * A server that replicates, or bills, must know of a transaction before the
 * pool shows it.  The hook runs after the transaction's data is written and
 * before its superblock is.  It replaces the flush of the data device, and so
 * has to flush itself.
 */
#include <err.h>
#include <inttypes.h>
#include <stdio.h>
#include <thinpool/simulator.h>
#include <thinpool/thinpool.h>

#define NR_CUTS 200
enum { METADATA, DATA, JOURNAL, NR_DEVICES };

static struct {
	struct tp_simulator *simulator;
	struct tp_device *devices[NR_DEVICES];
	struct tp_pool *pool;
	uint64_t next;         /* what the transaction id becomes */
	uint64_t acknowledged; /* what it was told to have become */
	uint64_t cut_at;       /* the request that the power is cut at */
} host;

static void check(int r, const char *what)
{
	if (r < 0)
		errx(1, "%s: %s", what, tp_strerror(r));
}

/* The journal is one sector.  On a disk it would be written and flushed; this
 * one is stable at once. */
static int set_journal(uint64_t number)
{
	uint64_t sector[64] = { number };

	return tp_simulator_poke(host.simulator, JOURNAL, sector,
				 sizeof(sector), 0);
}

static uint64_t journal(void)
{
	uint64_t sector[64] = { 0 };

	tp_simulator_peek(host.simulator, JOURNAL, TP_CONTENT_STABLE, sector,
			  sizeof(sector), 0);
	return sector[0];
}

/* Before each commit. */
static int write_record(void *context)
{
	int r = tp_pool_flush_data(host.pool);

	return r ? r : set_journal(host.next);
}

static void count_requests(void *context,
			   const struct tp_simulated_event *event)
{
	if (tp_simulator_nr_requests(host.simulator) >= host.cut_at)
		tp_simulator_power_off(host.simulator);
}

static void make_devices(void)
{
	struct tp_simulated_device_options device =
		TP_SIMULATED_DEVICE_OPTIONS_INIT;

	check(tp_simulator_new(NULL, &host.simulator), "simulator");
	device.size = 4 << 20;
	device.max_latency_ns = 100000;
	for (int i = 0; i < NR_DEVICES; i++)
		check(tp_simulator_add_device(host.simulator, &device,
					      &host.devices[i]),
		      "device");
	check(set_journal(0), "journal");
}

static void open_pool(void)
{
	struct tp_pool_options options = TP_POOL_OPTIONS_INIT;
	struct tp_pool_status status = TP_POOL_STATUS_INIT;

	options.flags = TP_POOL_HOST_DRIVEN;
	options.clock_ns = tp_simulator_clock_ns;
	options.clock_wait = tp_simulator_clock_wait;
	options.clock_context = host.simulator;
	host.cut_at = UINT64_MAX; /* not now */
	check(tp_pool_open(host.devices[METADATA], host.devices[DATA], &options,
			   &host.pool),
	      "open");
	check(tp_pool_set_pre_commit_hook(host.pool, write_record, NULL),
	      "hook");
	check(tp_pool_get_status(host.pool, &status), "status");
	if (status.transaction_id > journal() ||
	    status.transaction_id < host.acknowledged)
		errx(1, "the pool is at %" PRIu64 ", the journal at %" PRIu64,
		     status.transaction_id, journal());
	host.next = host.acknowledged = status.transaction_id;
}

/* One transaction after the other, until the power goes. */
static void work(void)
{
	int r = 0;

	host.cut_at = tp_simulator_nr_requests(host.simulator) +
		      tp_simulator_random(host.simulator, 60);
	while (!r) {
		host.next++;
		r = tp_pool_set_transaction_id(host.pool, host.next - 1,
					       host.next);
		if (!r)
			host.acknowledged = host.next;
	}
}

int main(void)
{
	struct tp_format_options format = TP_FORMAT_OPTIONS_INIT;

	make_devices();
	tp_simulator_set_instant(host.simulator, true);
	format.flags = TP_FORMAT_OVERWRITE; /* a new device is poison */
	check(tp_pool_format(host.devices[METADATA], host.devices[DATA],
			     &format),
	      "format");
	tp_simulator_set_instant(host.simulator, false);
	tp_simulator_set_observer(host.simulator, count_requests, NULL);
	for (int i = 0; i < NR_CUTS; i++) {
		open_pool();
		work();
		tp_pool_close(host.pool); /* says that its commit failed */
		check(tp_simulator_power_on(host.simulator, NULL, NULL),
		      "power");
	}
	open_pool();
	printf("%d power cuts, %d transactions: the journal was never behind\n",
	       NR_CUTS, (int)host.acknowledged);
	check(tp_pool_close(host.pool), "close");
	tp_simulator_free(host.simulator);
	return 0;
}
