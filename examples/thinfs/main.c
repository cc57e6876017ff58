/*
 * main.c - thinfs: a thin pool as a directory of volumes.
 *
 * From the command line to the last commit: open the pool, mount, serve until
 * somebody unmounts or a signal comes, close the pool.
 *
 * What is durable.  When fsync(2) returns, so is what was written to the file
 * before, with its size; when close(2) does, the size is; and every change to
 * a name when it has returned.  All else follows within a second, or is lost
 * when we are killed, as on other file systems.  A signal to end loses nothing.
 */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/signalfd.h>
#include <sys/stat.h>
#include <unistd.h>

#include "background.h"
#include "init-reply.h"
#include "operations.h"
#include "options.h"
#include "report.h"
#include "worker.h"

struct run {
	struct options options;
	struct thinfs thinfs;
	char *mountpoint; /* absolute */
	struct fuse_session *session;
	int signals, ended; /* descriptors to wait on */
};

/*---------------------------- serving --------------------------------------*/

/*
 * Have the kernel hand over what it has of mapped pages, while there is still
 * somebody to take it.
 */
static void collect_pages(const char *mountpoint)
{
	int fd = open(mountpoint, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

	if (fd < 0)
		return;
	syncfs(fd);
	close(fd);
}

/* Until a signal, or until the workers find that they were unmounted. */
static void wait_for_the_end(struct run *run)
{
	struct pollfd fds[] = {
		{ .fd = run->signals, .events = POLLIN },
		{ .fd = run->ended, .events = POLLIN },
	};

	while (poll(fds, 2, -1) < 0 && errno == EINTR)
		;
	if (fds[0].revents)
		collect_pages(run->mountpoint);
}

static void say_ready(const struct run *run)
{
	if (!run->options.foreground)
		background_ready();
	report_running(!run->options.foreground);
}

static int serve(struct run *run)
{
	struct workers *workers;
	int r = workers_start(run->thinfs.pool.pool, run->session,
			      run->options.nr_workers, run->ended, &workers);

	if (r)
		return fail_library(r, "cannot start to serve");
	say_ready(run);
	wait_for_the_end(run);
	workers_stop(workers);

	return 0;
}

/*---------------------------- mounting -------------------------------------*/

/* -o fsname=POOL,subtype=thinfs, where the user's own -o may say otherwise. */
static int add_mount_options(struct options *options)
{
	char *list = NULL, *fsname;
	int r;

	if (asprintf(&fsname, "fsname=%s", options->pool) < 0)
		return -1;
	r = fuse_opt_add_opt_escaped(&list, fsname);
	if (!r)
		r = fuse_opt_add_opt(&list, "subtype=thinfs");
	if (!r)
		r = fuse_opt_add_opt(&list, "default_permissions");
	if (!r && options->read_only)
		r = fuse_opt_add_opt(&list, "ro");
	if (!r)
		r = fuse_opt_insert_arg(&options->rest, 1, list);
	if (!r)
		r = fuse_opt_insert_arg(&options->rest, 1, "-o");
	free(fsname);
	free(list);

	return r;
}

/* libfuse tells what is wrong with a mount itself. */
static int mount_and_serve(struct run *run)
{
	int r;

	if (add_mount_options(&run->options))
		return fail("out of memory");
	run->session = fuse_session_new(&run->options.rest, &thinfs_operations,
					sizeof(thinfs_operations),
					&run->thinfs);
	if (!run->session)
		return -1;
	r = fuse_session_mount(run->session, run->mountpoint);
	if (!r) {
		r = init_reply_complete(run->session);
		if (!r)
			r = serve(run);
		fuse_session_unmount(run->session);
	}
	fuse_session_destroy(run->session);

	return r ? -1 : 0;
}

/*---------------------------- the pool around it ---------------------------*/

/* To keep sizes and to delete what was unlinked takes I/O. */
static int close_names(struct thinfs *thinfs)
{
	int r = worker_become(thinfs->pool.pool);

	if (r)
		return fail_library(r, "cannot close the files");
	names_close(thinfs->names);
	worker_resign();

	return 0;
}

static int with_names(struct run *run)
{
	struct thinfs *thinfs = &run->thinfs;
	int r = names_open(&thinfs->pool, &thinfs->names), r2;

	if (r)
		return fail_library(r, "cannot delete what was unlinked in %s",
				    run->options.pool);
	r = mount_and_serve(run);
	r2 = close_names(thinfs);

	return r ? r : r2;
}

static int with_pool(struct run *run)
{
	struct options *options = &run->options;
	int r, r2;

	run->thinfs.nr_workers = options->nr_workers;
	run->thinfs.solid = options->solid;
	r = pool_open(&run->thinfs.pool, options->pool, options->read_only);
	if (r)
		return r;
	r = with_names(run);
	r2 = pool_close(&run->thinfs.pool);

	return r ? r : r2;
}

/*---------------------------- the process ----------------------------------*/

/* Before any thread is started, for it inherits this. */
static int take_signals(void)
{
	sigset_t signals;

	sigemptyset(&signals);
	sigaddset(&signals, SIGTERM);
	sigaddset(&signals, SIGINT);
	sigaddset(&signals, SIGHUP);
	if (pthread_sigmask(SIG_BLOCK, &signals, NULL))
		return -1;
	signal(SIGPIPE, SIG_IGN);

	return signalfd(-1, &signals, SFD_CLOEXEC);
}

static int find_mountpoint(struct run *run)
{
	struct stat st;

	run->mountpoint = realpath(run->options.mountpoint, NULL);
	if (!run->mountpoint || stat(run->mountpoint, &st))
		return fail("%s: %s", run->options.mountpoint, strerror(errno));
	if (!S_ISDIR(st.st_mode))
		return fail("%s is no directory to mount on", run->mountpoint);

	return 0;
}

static int run_in_child(struct run *run)
{
	int r;

	run->signals = take_signals();
	run->ended = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	if (run->signals < 0 || run->ended < 0)
		return fail("signalfd or eventfd: %s", strerror(errno));
	r = find_mountpoint(run);
	if (!r)
		r = with_pool(run);
	free(run->mountpoint);

	return r;
}

int main(int argc, char **argv)
{
	struct run run = { .signals = -1, .ended = -1 };
	int r = options_read(&run.options, argc, argv);

	if (!r && !run.options.done) {
		r = run.options.foreground ? 0 : background_begin();
		if (!r)
			r = run_in_child(&run);
		r = r ? 1 : 0;
	}
	options_free(&run.options);

	return r;
}
