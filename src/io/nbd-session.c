/*
 * nbd-session.c - driving the connections to an NBD server with libnbd.
 *
 * Whoever drives them does one step at a time: connect if need be, send what has
 * come in, wait for the server (or, in the session's thread, for more to do),
 * take the answers.  The lock is for what comes in; libnbd is called without it.
 *
 * A request may be several commands: one for each piece of its iovec, and for
 * each piece that the server is willing to take at once.  It ends with the last
 * of them.
 */
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "io/nbd-session.h"

/* The driver's room in a request: how many commands it still is. */
enum { ROOM_NR_COMMANDS = TPI_ROOM_FREE };

/* Between attempts to connect. */
#define PAUSE_NS 200000000u

/* How long to wait at a time. */
#define TURN_NS 1000000000u

/* Of requests without data, and with; any server can. */
#define MAX_EMPTY_BYTES (1u << 30)
#define MAX_DATA_BYTES (32u << 20)

static const uint32_t default_timeouts_ms[TPI_NBD_NR_TIMEOUTS] = {
	[TPI_NBD_CONNECT] = 5000,
	[TPI_NBD_RECONNECT] = 10000,
	[TPI_NBD_ANSWER] = 30000,
};

static uint64_t now_ns(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);

	return (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
}

static uint64_t timeout_ns(const struct tpi_nbd_session *session,
			   enum tpi_nbd_timeout timeout)
{
	uint32_t ms = session->timeouts_ms[timeout];

	return (uint64_t)(ms ? ms : default_timeouts_ms[timeout]) * 1000000u;
}

static int ms_until(uint64_t until_ns)
{
	uint64_t now = now_ns();

	return until_ns > now ? (int)((until_ns - now) / 1000000 + 1) : 0;
}

/* libnbd's errno, which it does not always have. */
static int nbd_error(void)
{
	int error = nbd_get_errno();

	return error > 0 ? -error : -EIO;
}

/*---------------------------- the sockets ----------------------------------*/

static bool is_gone(struct nbd_handle *handle)
{
	return nbd_aio_is_dead(handle) > 0 || nbd_aio_is_closed(handle) > 0;
}

static bool is_any_gone(const struct tpi_nbd_session *session)
{
	for (unsigned i = 0; i < session->nr_handles; i++)
		if (is_gone(session->handles[i]))
			return true;

	return false;
}

static struct pollfd as_pollfd(struct nbd_handle *handle)
{
	unsigned direction = nbd_aio_get_direction(handle);
	struct pollfd fd = { .fd = nbd_aio_get_fd(handle) };

	if (direction & LIBNBD_AIO_DIRECTION_READ)
		fd.events |= POLLIN;
	if (direction & LIBNBD_AIO_DIRECTION_WRITE)
		fd.events |= POLLOUT;

	return fd;
}

/* Errors of these show in the handle's state. */
static void notify(struct nbd_handle *handle, short events, short revents)
{
	if (revents & (POLLIN | POLLHUP | POLLERR) && events & POLLIN)
		nbd_aio_notify_read(handle);
	else if (revents && events & POLLOUT)
		nbd_aio_notify_write(handle);
}

/* Wait until @until_ns for the server or, if @wake_fd is not -1, for a signal
 * there; then let libnbd do its part. */
static void wait_and_notify(struct tpi_nbd_session *session, int wake_fd,
			    uint64_t until_ns)
{
	struct pollfd fds[TPI_NBD_MAX_CONNECTIONS + 1];
	unsigned nr = session->nr_handles;

	for (unsigned i = 0; i < nr; i++)
		fds[i] = as_pollfd(session->handles[i]);
	fds[nr] = (struct pollfd){ .fd = wake_fd, .events = POLLIN };
	if (poll(fds, nr + 1, ms_until(until_ns)) <= 0)
		return;
	for (unsigned i = 0; i < nr; i++)
		notify(session->handles[i], fds[i].events, fds[i].revents);
}

/*---------------------------- connecting -----------------------------------*/

static void ask_export(struct nbd_handle *handle, struct tpi_nbd_export *export)
{
	int64_t size = nbd_get_size(handle);
	int64_t least = nbd_get_block_size(handle, LIBNBD_SIZE_MINIMUM);
	int64_t most = nbd_get_block_size(handle, LIBNBD_SIZE_MAXIMUM);

	if (least < TP_SECTOR_SIZE)
		least = TP_SECTOR_SIZE;
	if (most < least || most > MAX_DATA_BYTES)
		most = MAX_DATA_BYTES;
	*export = (struct tpi_nbd_export){
		.size_bytes = size < 0 ? 0 : (uint64_t)size,
		.block_bytes = (uint32_t)least,
		.max_bytes = (uint32_t)(most - most % least),
		.read_only = nbd_is_read_only(handle) > 0,
		.can_flush = nbd_can_flush(handle) > 0,
		.can_fua = nbd_can_fua(handle) > 0,
		.can_trim = nbd_can_trim(handle) > 0,
		.can_zero = nbd_can_zero(handle) > 0,
		.can_multi_conn = nbd_can_multi_conn(handle) > 0,
	};
}

static int negotiate(const struct tpi_nbd_session *session,
		     struct nbd_handle *handle, uint64_t deadline)
{
	if (nbd_aio_connect_uri(handle, session->uri))
		return nbd_error();
	while (nbd_aio_is_ready(handle) <= 0) {
		struct pollfd fd = as_pollfd(handle);

		if (is_gone(handle))
			return -ECONNREFUSED;
		if (now_ns() >= deadline)
			return -ETIMEDOUT;
		if (poll(&fd, 1, ms_until(deadline)) > 0)
			notify(handle, fd.events, fd.revents);
	}

	return 0;
}

static void disconnect(struct tpi_nbd_session *session)
{
	while (session->nr_handles)
		nbd_close(session->handles[--session->nr_handles]);
}

static int add_handle(struct tpi_nbd_session *session, uint64_t deadline,
		      struct tpi_nbd_export *export)
{
	struct nbd_handle *handle = nbd_create();
	int r;

	if (!handle)
		return -ENOMEM;
	session->handles[session->nr_handles++] = handle;
	r = negotiate(session, handle, deadline);
	if (r)
		return r;
	ask_export(handle, export);
	session->max_bytes = export->max_bytes;

	return session->owner->compare(session->owner, export);
}

static int try_to_connect(struct tpi_nbd_session *session)
{
	uint64_t deadline = now_ns() + timeout_ns(session, TPI_NBD_CONNECT);
	struct tpi_nbd_export export;
	unsigned nr = 1;
	int r = 0;

	while (!r && session->nr_handles < nr) {
		r = add_handle(session, deadline, &export);
		if (!r && export.can_multi_conn)
			nr = TPI_NBD_MAX_CONNECTIONS;
	}
	if (r)
		disconnect(session);
	else
		session->state = TPI_NBD_UP;

	return r;
}

/*---------------------------- sending --------------------------------------*/

static uintptr_t nr_commands(const struct tp_device_request *request)
{
	return (uintptr_t)request->device_room[ROOM_NR_COMMANDS];
}

static void note_error(struct tp_device_request *request, int error)
{
	if (!tpi_fifo_status(request))
		request->device_room[TPI_ROOM_STATUS] = (void *)(intptr_t)error;
}

/* One command less; the last ends the request. */
static void command_ended(struct tpi_nbd_session *session,
			  struct tp_device_request *request)
{
	uintptr_t left = nr_commands(request) - 1;

	request->device_room[ROOM_NR_COMMANDS] = (void *)left;
	if (left)
		return;
	session->nr_in_flight--;
	tpi_fifo_push(&session->finished, request, tpi_fifo_status(request));
}

/* libnbd's until it calls free. */
struct command {
	struct tpi_nbd_session *session;
	struct tp_device_request *request;
	bool *is_answered; /* while it is being sent */
};

static int answered(void *context, int *error)
{
	struct command *command = context;
	bool *is_answered = command->is_answered;

	if (is_answered)
		*is_answered = true;
	command->session->last_answer_ns = now_ns();
	if (*error)
		note_error(command->request, -*error);
	else
		command->session->has_answered = true;
	command_ended(command->session, command->request);

	/* libnbd still looks at a command that it is sending: 1 would free it. */
	return !is_answered;
}

static int64_t send_command(struct nbd_handle *handle,
			    const struct tp_device_request *request,
			    char *memory, uint64_t offset, uint64_t length,
			    nbd_completion_callback callback)
{
	unsigned flags = request->flags & TP_FUA ? LIBNBD_CMD_FLAG_FUA : 0;

	switch (request->op) {
	case TP_READ:
		return nbd_aio_pread(handle, memory, length, offset, callback,
				     0);
	case TP_WRITE:
		return nbd_aio_pwrite(handle, memory, length, offset, callback,
				      flags);
	case TP_FLUSH:
		return nbd_aio_flush(handle, callback, 0);
	case TP_DISCARD:
		return nbd_aio_trim(handle, length, offset, callback, 0);
	default:
		return nbd_aio_zero(handle, length, offset, callback, 0);
	}
}

static struct nbd_handle *next_handle(struct tpi_nbd_session *session)
{
	return session->handles[session->next_handle++ % session->nr_handles];
}

/* A command that could not be sent may have been answered all the same. */
static void send_part(struct tpi_nbd_session *session,
		      struct tp_device_request *request, char *memory,
		      uint64_t offset, uint64_t length)
{
	struct nbd_handle *handle = next_handle(session);
	struct command *command = malloc(sizeof(*command));
	bool is_answered = false;
	nbd_completion_callback callback = {
		.callback = answered,
		.user_data = command,
		.free = free,
	};
	int error = -ENOMEM;
	int64_t cookie;

	request->device_room[ROOM_NR_COMMANDS] =
		(void *)(nr_commands(request) + 1);
	if (command) {
		*command = (struct command){ session, request, &is_answered };
		cookie = send_command(handle, request, memory, offset, length,
				      callback);
		if (cookie >= 0 && is_answered)
			nbd_aio_command_completed(handle, (uint64_t)cookie);
		else if (cookie >= 0)
			command->is_answered = NULL;
		if (cookie >= 0)
			return;
		error = nbd_error();
	}
	if (is_answered)
		return;
	note_error(request, error);
	command_ended(session, request);
}

static void send_range(struct tpi_nbd_session *session,
		       struct tp_device_request *request, char *memory,
		       uint64_t offset, uint64_t length)
{
	uint64_t max = memory ? session->max_bytes : MAX_EMPTY_BYTES;

	while (length) {
		uint64_t part = tpi_min(length, max);

		send_part(session, request, memory, offset, part);
		memory = memory ? memory + part : NULL;
		offset += part;
		length -= part;
	}
}

/* One command more than there are keeps it from ending while it is sent. */
static void send_request(struct tpi_nbd_session *session,
			 struct tp_device_request *request)
{
	uint64_t offset = request->offset;

	if (!session->nr_in_flight++)
		session->last_answer_ns = now_ns();
	request->device_room[TPI_ROOM_STATUS] = NULL;
	request->device_room[ROOM_NR_COMMANDS] = (void *)(uintptr_t)1;
	if (request->op == TP_FLUSH)
		send_part(session, request, NULL, 0, 0);
	else if (!request->iovcnt)
		send_range(session, request, NULL, offset, request->length);
	for (int i = 0; i < request->iovcnt; i++) {
		send_range(session, request, request->iov[i].iov_base, offset,
			   request->iov[i].iov_len);
		offset += request->iov[i].iov_len;
	}
	command_ended(session, request);
}

static struct tpi_request_fifo take_incoming(struct tpi_nbd_session *session)
{
	struct tpi_request_fifo taken = { 0 };

	pthread_mutex_lock(&session->lock);
	tpi_fifo_splice(&taken, &session->incoming);
	pthread_mutex_unlock(&session->lock);

	return taken;
}

static void send_incoming(struct tpi_nbd_session *session)
{
	struct tpi_request_fifo incoming = take_incoming(session);
	struct tp_device_request *request;

	while ((request = tpi_fifo_pop(&incoming)))
		send_request(session, request);
}

/*---------------------------- what ends ------------------------------------*/

static void end_request(struct tpi_nbd_session *session,
			struct tp_device_request *request, int status)
{
	session->owner->ended(session->owner, request, status);
}

static void deliver(struct tpi_nbd_session *session)
{
	struct tp_device_request *request;

	while ((request = tpi_fifo_pop(&session->finished)))
		end_request(session, request, tpi_fifo_status(request));
}

static void fail_incoming(struct tpi_nbd_session *session)
{
	struct tpi_request_fifo incoming = take_incoming(session);
	struct tp_device_request *request;

	while ((request = tpi_fifo_pop(&incoming)))
		end_request(session, request, -EIO);
}

/*---------------------------- a loss ---------------------------------------*/

/* What was answered with an error fell with the connections: it is sent again. */
static void put_back_failed(struct tpi_nbd_session *session)
{
	struct tpi_request_fifo again = { 0 };
	struct tp_device_request *request;

	while ((request = tpi_fifo_pop(&session->finished))) {
		if (tpi_fifo_status(request))
			tpi_fifo_push(&again, request, 0);
		else
			end_request(session, request, 0);
	}
	pthread_mutex_lock(&session->lock);
	tpi_fifo_splice(&again, &session->incoming);
	session->incoming = again;
	pthread_mutex_unlock(&session->lock);
}

/* Until libnbd has called back for all that is in flight. */
static void break_off(struct tpi_nbd_session *session)
{
	for (unsigned i = 0; i < session->nr_handles; i++) {
		struct nbd_handle *handle = session->handles[i];

		shutdown(nbd_aio_get_fd(handle), SHUT_RDWR);
		while (!is_gone(handle)) {
			struct pollfd fd = as_pollfd(handle);

			poll(&fd, 1, -1);
			notify(handle, fd.events, fd.revents);
		}
	}
}

/* A server that was lost before it answered anything may be so because of what
 * is being asked: the time goes on. */
static void set_deadline(struct tpi_nbd_session *session)
{
	session->next_try_ns = now_ns();
	if (session->has_answered)
		session->give_up_ns = session->next_try_ns +
				      timeout_ns(session, TPI_NBD_RECONNECT);
	session->has_answered = false;
}

static void lose(struct tpi_nbd_session *session)
{
	tpi_log(TP_LOG_WARNING, "%s: the connection is lost, and made again",
		session->uri);
	break_off(session);
	disconnect(session);
	session->owner->lost(session->owner);
	session->state = TPI_NBD_LOST;
	set_deadline(session);
	put_back_failed(session);
}

static void give_up(struct tpi_nbd_session *session)
{
	if (session->state != TPI_NBD_DOWN)
		tpi_log(TP_LOG_ERROR, "%s: no connection: requests fail",
			session->uri);
	session->state = TPI_NBD_DOWN;
	session->has_answered = true; /* the next may take its time again */
	fail_incoming(session);
}

/* One attempt, if it is time for one. */
static void connect_again(struct tpi_nbd_session *session)
{
	uint64_t now = now_ns();

	if (session->state == TPI_NBD_LOST && now >= session->give_up_ns) {
		give_up(session);
		return;
	}
	if (now >= session->next_try_ns) {
		if (!try_to_connect(session)) {
			tpi_log(TP_LOG_INFO, "%s: connected again",
				session->uri);
			return;
		}
		session->next_try_ns = now_ns() + PAUSE_NS;
	}
	if (session->state == TPI_NBD_DOWN)
		give_up(session);
}

/*---------------------------- a step ---------------------------------------*/

/* A server that says nothing for too long is as good as gone. */
static bool is_silent(const struct tpi_nbd_session *session)
{
	return session->nr_in_flight &&
	       now_ns() - session->last_answer_ns >=
		       timeout_ns(session, TPI_NBD_ANSWER);
}

/* Send what has come in, and take what is answered, if need be after a while. */
static void exchange(struct tpi_nbd_session *session, int wake_fd)
{
	uint64_t turn_ns =
		tpi_min(TURN_NS, timeout_ns(session, TPI_NBD_ANSWER));

	send_incoming(session);
	if (tpi_fifo_empty(&session->finished) && !is_any_gone(session))
		wait_and_notify(session, wake_fd, now_ns() + turn_ns);
	if (is_any_gone(session) || is_silent(session))
		lose(session);
	else
		deliver(session);
}

static void step(struct tpi_nbd_session *session, int wake_fd)
{
	struct pollfd fd = { .fd = wake_fd, .events = POLLIN };

	if (session->state != TPI_NBD_UP)
		connect_again(session);
	if (session->state == TPI_NBD_UP)
		exchange(session, wake_fd);
	else if (session->state == TPI_NBD_LOST)
		poll(&fd, 1, ms_until(session->next_try_ns));
}

/*---------------------------- who drives -----------------------------------*/

/* Sleeps while nothing is asked for; false: stop. */
static bool may_go_on(struct tpi_nbd_session *session)
{
	eventfd_t count;
	bool go_on;

	pthread_mutex_lock(&session->lock);
	while (!session->stop && tpi_fifo_empty(&session->incoming) &&
	       !session->nr_in_flight)
		pthread_cond_wait(&session->changed, &session->lock);
	go_on = !session->stop;
	eventfd_read(session->wake_fd, &count);
	pthread_mutex_unlock(&session->lock);

	return go_on;
}

static void *session_main(void *context)
{
	struct tpi_nbd_session *session = context;

	while (may_go_on(session))
		step(session, session->wake_fd);

	return NULL;
}

/* Lock held.  Not while somebody drives it inline. */
static bool have_thread(struct tpi_nbd_session *session)
{
	sigset_t all, old;

	while (session->driven)
		pthread_cond_wait(&session->changed, &session->lock);
	if (session->has_thread)
		return true;
	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &old);
	session->has_thread =
		!pthread_create(&session->thread, NULL, session_main, session);
	pthread_sigmask(SIG_SETMASK, &old, NULL);

	return session->has_thread;
}

bool tpi_nbd_hand_over(struct tpi_nbd_session *session,
		       struct tpi_request_fifo *batch)
{
	bool can;

	pthread_mutex_lock(&session->lock);
	can = have_thread(session);
	if (can) {
		tpi_fifo_splice(&session->incoming, batch);
		pthread_cond_broadcast(&session->changed);
		eventfd_write(session->wake_fd, 1);
	}
	pthread_mutex_unlock(&session->lock);

	return can;
}

static bool is_idle(struct tpi_nbd_session *session)
{
	bool idle;

	pthread_mutex_lock(&session->lock);
	idle = tpi_fifo_empty(&session->incoming) && !session->nr_in_flight;
	pthread_mutex_unlock(&session->lock);

	return idle;
}

/* False: its thread does. */
static bool begin_to_drive(struct tpi_nbd_session *session,
			   struct tpi_request_fifo *batch)
{
	bool mine;

	pthread_mutex_lock(&session->lock);
	while (session->driven)
		pthread_cond_wait(&session->changed, &session->lock);
	mine = !session->has_thread;
	if (mine)
		tpi_fifo_splice(&session->incoming, batch);
	session->driven = mine;
	pthread_mutex_unlock(&session->lock);

	return mine;
}

bool tpi_nbd_do(struct tpi_nbd_session *session, struct tpi_request_fifo *batch)
{
	if (!begin_to_drive(session, batch))
		return false;
	while (!is_idle(session))
		step(session, -1);

	pthread_mutex_lock(&session->lock);
	session->driven = false;
	pthread_cond_broadcast(&session->changed);
	pthread_mutex_unlock(&session->lock);

	return true;
}

/*---------------------------- life -----------------------------------------*/

int tpi_nbd_session_init(struct tpi_nbd_session *session,
			 struct tpi_nbd_owner *owner, char *uri)
{
	int r;

	*session = (struct tpi_nbd_session){
		.owner = owner,
		.uri = uri,
		.has_answered = true,
	};
	pthread_mutex_init(&session->lock, NULL);
	pthread_cond_init(&session->changed, NULL);
	session->wake_fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
	if (session->wake_fd < 0)
		return tpi_error(-errno, "%s: no eventfd", uri);
	r = try_to_connect(session);

	return r ? tpi_error(r, "%s: no connection: %s", uri, tp_strerror(r))
		 : 0;
}

static void stop_thread(struct tpi_nbd_session *session)
{
	pthread_mutex_lock(&session->lock);
	session->stop = true;
	pthread_cond_broadcast(&session->changed);
	pthread_mutex_unlock(&session->lock);
	pthread_join(session->thread, NULL);
}

void tpi_nbd_session_exit(struct tpi_nbd_session *session)
{
	if (session->has_thread)
		stop_thread(session);
	for (unsigned i = 0; i < session->nr_handles; i++)
		nbd_shutdown(session->handles[i], 0);
	disconnect(session);
	if (session->wake_fd >= 0)
		close(session->wake_fd);
	pthread_cond_destroy(&session->changed);
	pthread_mutex_destroy(&session->lock);
	free(session->uri);
}
