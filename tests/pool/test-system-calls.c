/*
 * A load of mapped and unshared blocks makes no system call but those of the
 * devices (R-83, B-LOCK-10): the kernel counts them, by trapping each.
 */
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <signal.h>
#include <stddef.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "support/world.h"

#define THIN_BYTES (4 * MIB)
#define NR_IOS 20000u
#define DEPTH 128u

/* These call the kernel themselves; so does valgrind, under which tests do not
 * fork. */
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define UNDER_SANITIZER 1
#else
#define UNDER_SANITIZER 0
#endif

static struct tp_device *metadata, *data;
static struct tp_pool *pool;
static struct tp_thin *thin;
static struct tp_queue *queue;

static struct tp_bio bios[DEPTH];
static struct iovec iovs[DEPTH];
static char buffers[DEPTH][4096];
static unsigned nr_ended, nr_failed;

static volatile sig_atomic_t nr_calls;

static void make_pool(int kind)
{
	struct tp_pool_options options = TP_POOL_OPTIONS_INIT;
	struct tp_thin_options thin_options = TP_THIN_OPTIONS_INIT;

	options.commit_interval_ms = TP_NEVER;
	if (kind == HOST_DRIVEN)
		options.flags = TP_POOL_HOST_DRIVEN;
	thin_options.size = THIN_BYTES;
	ck_ok(tp_device_open_memory(2 * MIB, &metadata));
	ck_ok(tp_device_open_memory(16 * MIB, &data));
	ck_ok(tp_pool_format(metadata, data, NULL));
	ck_ok(tp_pool_open(metadata, data, &options, &pool));
	ck_ok(tp_pool_create_thin(pool, 1));
	ck_ok(tp_thin_open(pool, 1, &thin_options, &thin));
	thin_fill(thin, 0, THIN_BYTES, 1);
	thin_verify(thin, 0, THIN_BYTES, 1);
	ck_ok(tp_pool_commit(pool));
	ck_ok(tp_queue_create(pool, DEPTH, &queue));
}

static void unmake_pool(void)
{
	tp_queue_destroy(queue);
	ck_ok(tp_thin_close(thin));
	ck_ok(tp_pool_close(pool));
	tp_device_unref(data);
	tp_device_unref(metadata);
}

/*---------------------------- the load -------------------------------------*/

static void ended(struct tp_bio *bio)
{
	nr_ended++;
	nr_failed += bio->status != 0;
}

static bool submit(unsigned i)
{
	struct tp_bio *bio = &bios[i % DEPTH];
	struct iovec *iov = &iovs[i % DEPTH];

	*iov = (struct iovec){ buffers[i % DEPTH], sizeof(buffers[0]) };
	*bio = (struct tp_bio){
		.op = i % 2 ? TP_READ : TP_WRITE,
		.offset = i * UINT64_C(17) % (THIN_BYTES / 4096) * 4096,
		.iov = iov,
		.iovcnt = 1,
		.end_io = ended,
	};

	return !tp_queue_submit(queue, thin, bio);
}

/* Bios end in the order of the ring: a memory device has none wait. */
static bool run_load(unsigned nr)
{
	nr_ended = 0;
	for (unsigned i = 0; i < nr; i++) {
		while (i - nr_ended == DEPTH)
			tp_queue_poll(queue, DEPTH);
		if (!submit(i))
			return false;
	}
	while (nr_ended < nr)
		tp_queue_poll(queue, DEPTH);

	return !nr_failed;
}

/*---------------------------- counting -------------------------------------*/

static void trapped(int signal, siginfo_t *info, void *context)
{
	(void)signal;
	(void)info;
	(void)context;
	nr_calls++;
}

/* Of this thread only; there is no way back but the end. */
static bool trap_system_calls(void)
{
	struct sock_filter filter[] = {
		BPF_STMT(BPF_LD | BPF_W | BPF_ABS,
			 offsetof(struct seccomp_data, nr)),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_exit_group, 1, 0),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_rt_sigreturn, 0, 1),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_TRAP),
	};
	struct sock_fprog program = { sizeof(filter) / sizeof(filter[0]),
				      filter };
	struct sigaction action = { .sa_sigaction = trapped,
				    .sa_flags = SA_SIGINFO };

	return !sigaction(SIGSYS, &action, NULL) &&
	       !prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) &&
	       !prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program);
}

enum { NO_CALLS, CALLS, LOAD_FAILED, CANNOT_TRAP };

/* In a child, which makes the pool itself: threads do not survive a fork. */
static int count_system_calls(int kind)
{
	make_pool(kind);
	if (!run_load(NR_IOS))
		return LOAD_FAILED;
	if (!trap_system_calls())
		return CANNOT_TRAP;
	if (!run_load(NR_IOS))
		return LOAD_FAILED;

	return nr_calls ? CALLS : NO_CALLS;
}

START_TEST(test_mapped_io_makes_no_system_calls)
{
	int status;
	pid_t child;

	if (UNDER_SANITIZER || getenv("CK_FORK")) {
		make_pool(_i);
		ck_assert(run_load(NR_IOS));
		unmake_pool();
		return;
	}
	child = fork();
	ck_assert_int_ge(child, 0);
	if (!child)
		_exit(count_system_calls(_i));
	ck_assert_int_eq(waitpid(child, &status, 0), child);
	ck_assert(WIFEXITED(status));
	ck_assert_int_eq(WEXITSTATUS(status), NO_CALLS);
}
END_TEST

int main(void)
{
	return RUN_TESTS("system-calls", NR_KINDS,
			 test_mapped_io_makes_no_system_calls);
}
