/*
 * What becomes of the work when no thread can be had.
 */
#include <pthread.h>

#include "support/run-tests.h"
#include "support/sync-channel.h"
#include "io/worker-threads.h"

/* Takes the place of libc's. */
int pthread_create(pthread_t *thread, const pthread_attr_t *attributes,
		   void *(*start)(void *), void *context)
{
	return EAGAIN;
}

static int work(void *context, const struct tp_device_request *request)
{
	(*(unsigned *)context)++;

	return -ENODATA;
}

static unsigned nr_ended;

static void note_end(struct tp_device_request *request, int status)
{
	ck_assert_int_eq(status, -ENODATA);
	nr_ended++;
}

/* Slowly, in the thread that kicks; and still done() waits for poll. */
START_TEST(test_without_threads_the_work_is_done_all_the_same)
{
	struct tp_device_request requests[3] = { 0 };
	struct tpi_workers *workers;
	unsigned nr_done = 0;
	void *channel;

	ck_assert_int_eq(tpi_workers_new(0, work, &nr_done, &workers), 0);
	ck_assert_int_eq(tpi_workers_open_channel(workers, -1, false, &channel),
			 0);
	for (unsigned i = 0; i < 3; i++) {
		requests[i].done = note_end;
		tpi_workers_submit(channel, &requests[i]);
	}
	ck_assert_uint_eq(nr_done, 0);
	tpi_workers_kick(channel);
	ck_assert_uint_eq(nr_done, 3);
	ck_assert_uint_eq(nr_ended, 0);
	ck_assert_int_eq(tpi_workers_arm(channel), 1);
	ck_assert_uint_eq(tpi_workers_poll(channel, 2), 2);
	ck_assert_int_eq(tpi_workers_arm(channel), 1);
	ck_assert_uint_eq(tpi_workers_poll(channel, 2), 1);
	ck_assert_int_eq(tpi_workers_arm(channel), 0);
	tpi_workers_close_channel(channel);
	tpi_workers_destroy(workers);
}
END_TEST

int main(void)
{
	return RUN_TESTS("worker-threads", 1,
			 test_without_threads_the_work_is_done_all_the_same);
}
