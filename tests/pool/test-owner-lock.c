/*
 * The lock of a port: whoever is inside is alone.
 */
#include <pthread.h>
#include <string.h>

#include "pool/owner-lock.h"
#include "support/run-tests.h"

#define NR_BY_OWNER 300000u
#define NR_BY_OTHERS 3000u
#define NR_OTHERS 2u

static struct tpi_owner_lock lock;

/* What no two may touch at once; the same while nobody is inside. */
static struct {
	uint64_t first, second;
	unsigned nr_torn;
} shared;

static void change(void)
{
	shared.nr_torn += shared.first != shared.second;
	shared.first++;
	atomic_signal_fence(memory_order_seq_cst);
	shared.second++;
}

static void change_as_anybody(void)
{
	tpi_owner_lock_enter(&lock);
	change();
	tpi_owner_lock_leave(&lock);
}

static void *change_as_other(void *context)
{
	for (unsigned i = 0; i < NR_BY_OTHERS; i++)
		change_as_anybody();

	return NULL;
}

/* Now and then by functions that do not know it. */
static void *change_as_owner(void *context)
{
	for (unsigned i = 0; i < NR_BY_OWNER; i++) {
		tpi_owner_enter(&lock);
		change();
		tpi_owner_leave(&lock);
		if (i % 1000)
			continue;
		tpi_owner_is_here(&lock, true);
		change_as_anybody();
		tpi_owner_is_here(&lock, false);
	}

	return NULL;
}

/* Not every run has a process for each test. */
static void begin(bool has_owner)
{
	memset(&shared, 0, sizeof(shared));
	tpi_owner_lock_init(&lock, has_owner);
}

/* With what the kernel does for it, and as a mutex. */
START_TEST(test_whoever_is_inside_is_alone)
{
	pthread_t owner, others[NR_OTHERS];

	begin(_i);
	pthread_create(&owner, NULL, change_as_owner, NULL);
	for (unsigned i = 0; i < NR_OTHERS; i++)
		pthread_create(&others[i], NULL, change_as_other, NULL);
	for (unsigned i = 0; i < NR_OTHERS; i++)
		pthread_join(others[i], NULL);
	pthread_join(owner, NULL);
	ck_assert_uint_eq(shared.nr_torn, 0);
	ck_assert_uint_eq(shared.first, NR_BY_OWNER + NR_BY_OWNER / 1000 +
						NR_OTHERS * NR_BY_OTHERS);
	ck_assert_uint_eq(shared.second, shared.first);
	tpi_owner_lock_exit(&lock);
}
END_TEST

/* As queues are: from thread to thread, one after the other. */
START_TEST(test_the_owner_may_be_another)
{
	pthread_t owner;

	begin(_i);
	for (unsigned i = 0; i < 3; i++) {
		pthread_create(&owner, NULL, change_as_owner, NULL);
		change_as_other(NULL);
		pthread_join(owner, NULL);
	}
	ck_assert_uint_eq(shared.nr_torn, 0);
	ck_assert_uint_eq(shared.first, shared.second);
	tpi_owner_lock_exit(&lock);
}
END_TEST

int main(void)
{
	return RUN_TESTS("owner-lock", 2, test_whoever_is_inside_is_alone,
			 test_the_owner_may_be_another);
}
