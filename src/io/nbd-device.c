/*
 * nbd-device.c - a device that an NBD server serves.
 *
 * A server that went away may have forgotten writes that it had answered and
 * not been asked to flush.  So when the session is lost and there may be such
 * writes, every flush fails from then on, until all channels are closed: until
 * those who wrote have given up and begin anew.
 */
#include "config.h"
#include "io/device.h"

#ifdef HAVE_LIBNBD

#include <stdlib.h>
#include <string.h>

#include "io/completions.h"
#include "io/device-private.h"
#include "io/nbd-session.h"
#include "io/sized-struct.h"

#define MAX_TIMEOUT_MS (24u * 60 * 60 * 1000)

/* The device's room in a request: its channel. */
enum { ROOM_CHANNEL = TPI_ROOM_FREE + 1 };

struct nbd_device {
	struct tpi_nbd_owner owner;
	struct tpi_nbd_session session;
	struct tpi_nbd_export export; /* as it was first, size_bytes aside */
	_Atomic uint64_t size_bytes;

	pthread_mutex_t lock; /* all below */
	unsigned nr_open;     /* channels */
	unsigned nr_flushes;  /* under way */
	uint64_t nr_writes;   /* ended, and not FUA */
	uint64_t nr_before;   /* when nr_flushes was 0 last */
	uint64_t nr_flushed;  /* so many surely are durable */
	bool in_doubt;
};

struct nbd_channel {
	struct nbd_device *nbd;
	bool inline_only;
	struct tpi_request_fifo batch; /* submitted, not kicked: the owner's */
	struct tpi_completions completions;
};

static struct nbd_device *device_of(struct tpi_nbd_owner *owner)
{
	return tpi_container_of(owner, struct nbd_device, owner);
}

/*---------------------------- what is durable ------------------------------*/

static void write_ended(struct nbd_device *nbd)
{
	pthread_mutex_lock(&nbd->lock);
	nbd->nr_writes++;
	pthread_mutex_unlock(&nbd->lock);
}

/* Covers all writes that have ended; at least those that had when the flushes
 * that are under way began. */
static void flush_submitted(struct nbd_device *nbd)
{
	pthread_mutex_lock(&nbd->lock);
	if (!nbd->nr_flushes++)
		nbd->nr_before = nbd->nr_writes;
	pthread_mutex_unlock(&nbd->lock);
}

static int flush_ended(struct nbd_device *nbd, int status)
{
	pthread_mutex_lock(&nbd->lock);
	nbd->nr_flushes--;
	if (nbd->in_doubt)
		status = -EIO;
	if (!status)
		nbd->nr_flushed = tpi_max(nbd->nr_flushed, nbd->nr_before);
	pthread_mutex_unlock(&nbd->lock);

	return status;
}

static void session_lost(struct tpi_nbd_owner *owner)
{
	struct nbd_device *nbd = device_of(owner);

	pthread_mutex_lock(&nbd->lock);
	if (nbd->nr_writes > nbd->nr_flushed && !nbd->in_doubt) {
		nbd->in_doubt = true;
		tpi_log(TP_LOG_ERROR,
			"%s: the server may have lost what was not flushed: "
			"flushes fail until all who use it have closed it",
			nbd->session.uri);
	}
	pthread_mutex_unlock(&nbd->lock);
}

/* A server may know errors that we do not, and one that vanished none. */
static int as_status(int error)
{
	return error == -ENOTCONN || error == -ESHUTDOWN ? -EIO : error;
}

static void request_ended(struct tpi_nbd_owner *owner,
			  struct tp_device_request *request, int status)
{
	struct nbd_channel *channel = request->device_room[ROOM_CHANNEL];

	status = as_status(status);
	if (request->op == TP_FLUSH)
		status = flush_ended(channel->nbd, status);
	else if (request->op != TP_READ && !(request->flags & TP_FUA) &&
		 !status)
		write_ended(channel->nbd);
	tpi_completions_add(&channel->completions, request, status);
}

/*---------------------------- the export -----------------------------------*/

static bool is_same(const struct tpi_nbd_export *a,
		    const struct tpi_nbd_export *b)
{
	return a->block_bytes == b->block_bytes &&
	       a->read_only == b->read_only && a->can_flush == b->can_flush &&
	       a->can_fua == b->can_fua && a->can_trim == b->can_trim &&
	       a->can_zero == b->can_zero &&
	       a->can_multi_conn == b->can_multi_conn;
}

/* The first connection tells what there is. */
static int compare_export(struct tpi_nbd_owner *owner,
			  const struct tpi_nbd_export *export)
{
	struct nbd_device *nbd = device_of(owner);

	if (!nbd->export.block_bytes)
		nbd->export = *export;
	else if (!is_same(&nbd->export, export) ||
		 export->size_bytes < nbd->size_bytes)
		return tpi_error(-ESTALE,
				 "%s: the server is back with something else",
				 nbd->session.uri);
	nbd->size_bytes = export->size_bytes;

	return 0;
}

/*---------------------------- channels -------------------------------------*/

/* The last who knew of lost writes is gone: what they were is for the next to
 * find out. */
static void count_open(struct nbd_device *nbd, int change)
{
	pthread_mutex_lock(&nbd->lock);
	nbd->nr_open += (unsigned)change;
	if (!nbd->nr_open) {
		nbd->in_doubt = false;
		nbd->nr_flushed = nbd->nr_writes;
	}
	pthread_mutex_unlock(&nbd->lock);
}

static int channel_open(void *context, int event_fd, int inline_only,
			void **result)
{
	struct nbd_device *nbd = context;
	struct nbd_channel *channel = calloc(1, sizeof(*channel));

	if (!channel)
		return -ENOMEM;
	channel->nbd = nbd;
	channel->inline_only = inline_only;
	tpi_completions_init(&channel->completions, event_fd);
	count_open(nbd, 1);
	*result = channel;

	return 0;
}

static void channel_close(void *handle)
{
	struct nbd_channel *channel = handle;

	count_open(channel->nbd, -1);
	tpi_completions_exit(&channel->completions);
	free(channel);
}

static void channel_submit(void *handle, struct tp_device_request *request)
{
	struct nbd_channel *channel = handle;

	if (request->op == TP_FLUSH)
		flush_submitted(channel->nbd);
	tpi_fifo_push(&channel->batch, request, 0);
	request->device_room[ROOM_CHANNEL] = channel;
}

static void fail_batch(struct nbd_channel *channel)
{
	struct tp_device_request *request;

	while ((request = tpi_fifo_pop(&channel->batch)))
		request_ended(&channel->nbd->owner, request, -ENOMEM);
}

/* A host-driven pool waits here for the server, as for any device that blocks.
 * Without a thread to be had, so do the others. */
static void channel_kick(void *handle)
{
	struct nbd_channel *channel = handle;
	struct tpi_nbd_session *session = &channel->nbd->session;

	if (tpi_fifo_empty(&channel->batch))
		return;
	if (!channel->inline_only &&
	    tpi_nbd_hand_over(session, &channel->batch))
		return;
	if (tpi_nbd_do(session, &channel->batch) ||
	    tpi_nbd_hand_over(session, &channel->batch))
		return;
	fail_batch(channel);
}

static unsigned channel_poll(void *handle, unsigned max)
{
	struct nbd_channel *channel = handle;

	return tpi_completions_poll(&channel->completions, max);
}

static int channel_arm(void *handle)
{
	struct nbd_channel *channel = handle;

	return tpi_completions_arm(&channel->completions);
}

/*---------------------------- the device -----------------------------------*/

static uint64_t device_size(void *context)
{
	struct nbd_device *nbd = context;

	return nbd->size_bytes & ~(uint64_t)(nbd->export.block_bytes - 1);
}

static void device_close(void *context)
{
	struct nbd_device *nbd = context;

	tpi_nbd_session_exit(&nbd->session);
	pthread_mutex_destroy(&nbd->lock);
	free(nbd);
}

static unsigned features(const struct tpi_nbd_export *export)
{
	return (export->can_flush ? 0 : TP_DEVICE_NO_CACHE) |
	       (export->can_fua ? TP_DEVICE_FUA : 0) |
	       (export->can_trim ? TP_DEVICE_DISCARD : 0) |
	       (export->can_zero ? TP_DEVICE_WRITE_ZEROES : 0) |
	       (export->read_only ? TP_DEVICE_READ_ONLY : 0);
}

static int check_export(const struct nbd_device *nbd)
{
	uint32_t block = nbd->export.block_bytes;

	if (block > 4096 || block & (block - 1))
		return tpi_error(-EINVAL,
				 "%s: blocks of %u bytes, not 512 to 4096",
				 nbd->session.uri, block);
	if (!nbd->export.can_flush && !nbd->export.read_only)
		tpi_log(TP_LOG_WARNING,
			"%s: the server has no flush: what it has answered "
			"is taken for durable",
			nbd->session.uri);

	return 0;
}

static int make_device(struct nbd_device *nbd, struct tp_device **device)
{
	struct tpi_device_identity identity = {
		.kind = TPI_DEVICE_OTHER,
		.name = nbd->session.uri,
	};
	struct tp_device_async_ops ops = {
		TP_DEVICE_ASYNC_OPS_INIT,
		.features = features(&nbd->export),
		.open_channel = channel_open,
		.close_channel = channel_close,
		.submit = channel_submit,
		.kick = channel_kick,
		.poll = channel_poll,
		.arm = channel_arm,
		.size = device_size,
		.close = device_close,
		.logical_block_bytes = nbd->export.block_bytes,

		/* It takes any; but pieces of memory are to have lengths that
		 * the server takes, and be few. */
		.memory_alignment_bytes = 2,
	};

	return tpi_device_new(&ops, nbd, &identity, device);
}

int tp_device_set_nbd_timeouts(struct tp_device *device,
			       const struct tp_nbd_timeouts *timeouts)
{
	struct tp_nbd_timeouts ours;
	struct nbd_device *nbd;
	int r;

	if (!device || device->ops.close != device_close)
		return tpi_error(-EINVAL, "timeouts for what is no NBD device");
	r = tpi_take_struct(&ours, sizeof(ours), timeouts,
			    "struct tp_nbd_timeouts");
	if (r)
		return r;
	if (ours.connect_ms > MAX_TIMEOUT_MS ||
	    ours.reconnect_ms > MAX_TIMEOUT_MS ||
	    ours.answer_ms > MAX_TIMEOUT_MS)
		return tpi_error(-EINVAL, "a timeout of more than a day");
	nbd = device->context;
	nbd->session.timeouts_ms[TPI_NBD_CONNECT] = ours.connect_ms;
	nbd->session.timeouts_ms[TPI_NBD_RECONNECT] = ours.reconnect_ms;
	nbd->session.timeouts_ms[TPI_NBD_ANSWER] = ours.answer_ms;

	return 0;
}

static int nbd_init(struct nbd_device *nbd, char *uri,
		    struct tp_device **device)
{
	int r;

	nbd->owner = (struct tpi_nbd_owner){
		.ended = request_ended,
		.lost = session_lost,
		.compare = compare_export,
	};
	pthread_mutex_init(&nbd->lock, NULL);
	r = tpi_nbd_session_init(&nbd->session, &nbd->owner, uri);
	if (!r)
		r = check_export(nbd);

	return r ? r : make_device(nbd, device);
}

int tp_device_open_nbd(const char *uri, struct tp_device **device)
{
	struct nbd_device *nbd;
	char *copy;
	int r;

	if (!uri || !device)
		return tpi_error(-EINVAL, "tp_device_open_nbd: NULL argument");
	nbd = calloc(1, sizeof(*nbd));
	copy = strdup(uri);
	if (!nbd || !copy) {
		free(nbd);
		free(copy);
		return tpi_error(-ENOMEM, "no memory for an NBD device");
	}
	r = nbd_init(nbd, copy, device);
	if (r)
		device_close(nbd);

	return r;
}

#else

int tp_device_set_nbd_timeouts(struct tp_device *device,
			       const struct tp_nbd_timeouts *timeouts)
{
	return tpi_error(-EINVAL, "timeouts for what is no NBD device");
}

int tp_device_open_nbd(const char *uri, struct tp_device **device)
{
	if (!uri || !device)
		return tpi_error(-EINVAL, "tp_device_open_nbd: NULL argument");

	return tpi_error(-EOPNOTSUPP,
			 "%s: this library was built without libnbd", uri);
}

#endif
