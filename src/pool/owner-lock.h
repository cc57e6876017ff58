/*
 * owner-lock.h - a lock that one thread takes for every bio, and others seldom.
 *
 * For the owner it is two stores and a load, and none of them waits for what the
 * processor still has to write: after 4 KiB were copied, an atomic exchange
 * would.  Others pay for that: they tell that they want the lock, have the kernel
 * put a barrier into all threads of the process (membarrier(2)), and wait until
 * the owner is outside.  Where there is no such call it is a mutex for all.
 *
 * Who the owner is may change, as a host hands its queue from thread to thread,
 * which is ordered by the host.
 */
#ifndef TPI_POOL_OWNER_LOCK_H
#define TPI_POOL_OWNER_LOCK_H

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

struct tpi_owner_lock {
	atomic_bool is_inside; /* the owner, without the mutex */
	atomic_bool is_wanted; /* by others: the owner takes the mutex, too */
	bool has_mutex;        /* the owner */
	bool is_plain;         /* a mutex for all */
	atomic_uintptr_t here; /* the owner's thread while it goes by any */
	pthread_mutex_t mutex;
};

/* Without @has_owner all are others. */
void tpi_owner_lock_init(struct tpi_owner_lock *lock, bool has_owner);
void tpi_owner_lock_exit(struct tpi_owner_lock *lock);

/* By anybody, the owner only if it is here. */
void tpi_owner_lock_enter(struct tpi_owner_lock *lock);
void tpi_owner_lock_leave(struct tpi_owner_lock *lock);

/* The owner, from outside: until @here is false again its thread calls functions
 * that enter as anybody. */
void tpi_owner_is_here(struct tpi_owner_lock *lock, bool here);

void tpi_owner_enter_slowly(struct tpi_owner_lock *lock);
void tpi_owner_leave_slowly(struct tpi_owner_lock *lock);

/*
 * Either the owner sees that others want the lock, or they see it inside: the
 * barrier of theirs falls between its store and its load, or before, or after
 * both.  The compiler has to leave them in this order.
 */
static inline void tpi_owner_enter(struct tpi_owner_lock *lock)
{
	atomic_store_explicit(&lock->is_inside, true, memory_order_relaxed);
	atomic_signal_fence(memory_order_seq_cst);
	if (atomic_load_explicit(&lock->is_wanted, memory_order_acquire))
		tpi_owner_enter_slowly(lock);
}

static inline void tpi_owner_leave(struct tpi_owner_lock *lock)
{
	if (lock->has_mutex)
		tpi_owner_leave_slowly(lock);
	else
		atomic_store_explicit(&lock->is_inside, false,
				      memory_order_release);
}

#endif
