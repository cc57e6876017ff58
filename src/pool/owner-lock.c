/*
 * owner-lock.c - see owner-lock.h.
 */
#include "pool/owner-lock.h"

#include <linux/membarrier.h>
#include <sched.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

/* Both sides are inside for a microsecond or less, mostly: as long as a device
 * takes to be told, or the copy of a bio's data. */
#define NR_LOOKS 1000u
#define NR_YIELDS 100u
#define NAP_NS 20000

/* Longer than any processor keeps a store to itself. */
#define SETTLED_NS 10000000

static void nap(long ns)
{
	struct timespec time = { .tv_nsec = ns };

	nanosleep(&time, NULL);
}

static bool membarrier(int command)
{
	return !syscall(SYS_membarrier, command, 0, 0);
}

void tpi_owner_lock_init(struct tpi_owner_lock *lock, bool has_owner)
{
	bool can = has_owner &&
		   membarrier(MEMBARRIER_CMD_REGISTER_PRIVATE_EXPEDITED);

	pthread_mutex_init(&lock->mutex, NULL);
	atomic_init(&lock->is_inside, false);
	atomic_init(&lock->is_wanted, !can);
	atomic_init(&lock->here, 0);
	lock->has_mutex = false;
	lock->is_plain = !can;
}

void tpi_owner_lock_exit(struct tpi_owner_lock *lock)
{
	pthread_mutex_destroy(&lock->mutex);
}

/*---------------------------- the owner ------------------------------------*/

static void pause_processor(void)
{
#if defined(__x86_64__) || defined(__i386__)
	__builtin_ia32_pause();
#endif
}

static bool is_wanted(struct tpi_owner_lock *lock)
{
	return atomic_load_explicit(&lock->is_wanted, memory_order_acquire);
}

/* Others are soon gone: that is sooner than this thread would be woken. */
static bool try_again(struct tpi_owner_lock *lock)
{
	for (unsigned i = 0; i < NR_LOOKS && is_wanted(lock); i++)
		pause_processor();
	atomic_store_explicit(&lock->is_inside, true, memory_order_relaxed);
	atomic_signal_fence(memory_order_seq_cst);

	return !is_wanted(lock);
}

void tpi_owner_enter_slowly(struct tpi_owner_lock *lock)
{
	atomic_store_explicit(&lock->is_inside, false, memory_order_release);
	if (!lock->is_plain && try_again(lock))
		return;
	atomic_store_explicit(&lock->is_inside, false, memory_order_release);
	pthread_mutex_lock(&lock->mutex);
	lock->has_mutex = true;
}

void tpi_owner_leave_slowly(struct tpi_owner_lock *lock)
{
	lock->has_mutex = false;
	pthread_mutex_unlock(&lock->mutex);
}

static uintptr_t this_thread(void)
{
	static _Thread_local char place;

	return (uintptr_t)&place;
}

void tpi_owner_is_here(struct tpi_owner_lock *lock, bool here)
{
	atomic_store_explicit(&lock->here, here ? this_thread() : 0,
			      memory_order_relaxed);
}

static bool is_owner(struct tpi_owner_lock *lock)
{
	return atomic_load_explicit(&lock->here, memory_order_relaxed) ==
	       this_thread();
}

/*---------------------------- others ---------------------------------------*/

/* A kernel that had it may be told later to refuse it (seccomp). */
static void barrier_in_all_threads(void)
{
	if (!membarrier(MEMBARRIER_CMD_PRIVATE_EXPEDITED))
		nap(SETTLED_NS);
}

static bool is_inside(struct tpi_owner_lock *lock)
{
	return atomic_load_explicit(&lock->is_inside, memory_order_acquire);
}

static void await_owner(struct tpi_owner_lock *lock)
{
	for (unsigned i = 0; is_inside(lock); i++) {
		if (i >= NR_LOOKS + NR_YIELDS)
			nap(NAP_NS);
		else if (i >= NR_LOOKS)
			sched_yield();
		else
			pause_processor();
	}
}

void tpi_owner_lock_enter(struct tpi_owner_lock *lock)
{
	if (is_owner(lock)) {
		tpi_owner_enter(lock);
		return;
	}
	pthread_mutex_lock(&lock->mutex);
	if (lock->is_plain)
		return;
	atomic_store_explicit(&lock->is_wanted, true, memory_order_relaxed);
	barrier_in_all_threads();
	await_owner(lock);
}

void tpi_owner_lock_leave(struct tpi_owner_lock *lock)
{
	if (is_owner(lock)) {
		tpi_owner_leave(lock);
		return;
	}
	if (!lock->is_plain)
		atomic_store_explicit(&lock->is_wanted, false,
				      memory_order_release);
	pthread_mutex_unlock(&lock->mutex);
}
