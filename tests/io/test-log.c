/*
 * Sentences: where they go, and whose they are.
 */
#include <pthread.h>
#include <limits.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "io/base.h"
#include "support/run-tests.h"

static char seen[600];
static enum tp_log_level seen_level;
static atomic_uint nr_seen;

static void remember(void *context, enum tp_log_level level,
		     const char *message)
{
	ck_assert_ptr_eq(context, &nr_seen);
	snprintf(seen, sizeof(seen), "%s", message);
	seen_level = level;
	nr_seen++;
}

static void listen_up_to(enum tp_log_level level)
{
	nr_seen = 0;
	tp_set_log(remember, &nr_seen, level);
}

START_TEST(test_errors_are_logged_and_kept)
{
	listen_up_to(TP_LOG_ERROR);
	ck_assert_str_eq(tp_last_error(), "");
	ck_assert_int_eq(tpi_error(-ENOSPC, "%d of %d", 3, 4), -ENOSPC);
	ck_assert_str_eq(tp_last_error(), "3 of 4");
	ck_assert_str_eq(seen, "3 of 4");
	ck_assert_int_eq(seen_level, TP_LOG_ERROR);

	ck_assert_int_eq(tpi_damage("node 5", "%s", "odd"), -EILSEQ);
	ck_assert_str_eq(tp_last_error(), "damage in node 5: odd");
	ck_assert_str_eq(seen, "damage in node 5: odd");
}
END_TEST

/* Such as "commit failed: <why>". */
START_TEST(test_an_error_may_quote_the_last_one)
{
	tpi_error(-EIO, "why");
	tpi_error(-EIO, "what: %s", tp_last_error());
	ck_assert_str_eq(tp_last_error(), "what: why");
}
END_TEST

START_TEST(test_long_sentences_are_cut_off)
{
	char word[2000];

	memset(word, 'x', sizeof(word));
	word[sizeof(word) - 1] = '\0';
	tpi_error(-EIO, "%s", word);
	ck_assert_uint_lt(strlen(tp_last_error()), 600);
	tpi_damage(word, "%s", word);
	ck_assert_uint_lt(strlen(tp_last_error()), 600);
}
END_TEST

START_TEST(test_messages_above_the_level_are_left_out)
{
	listen_up_to(TP_LOG_WARNING);
	tpi_set_last_error("");
	tpi_log(TP_LOG_INFO, "not heard");
	ck_assert_uint_eq(nr_seen, 0);
	tpi_log(TP_LOG_WARNING, "heard %d", 1);
	ck_assert_uint_eq(nr_seen, 1);
	ck_assert_str_eq(seen, "heard 1");
	ck_assert_str_eq(tp_last_error(), "");
}
END_TEST

START_TEST(test_without_a_log_nothing_is_called)
{
	listen_up_to(TP_LOG_DEBUG);
	tp_set_log(NULL, NULL, TP_LOG_DEBUG);
	tpi_error(-EIO, "nobody hears");
	tpi_log(TP_LOG_ERROR, "nobody hears");
	ck_assert_uint_eq(nr_seen, 0);
}
END_TEST

/* For what another thread met and logged. */
START_TEST(test_a_last_error_can_be_handed_on)
{
	listen_up_to(TP_LOG_DEBUG);
	tpi_set_last_error("from elsewhere");
	ck_assert_str_eq(tp_last_error(), "from elsewhere");
	ck_assert_uint_eq(nr_seen, 0);
}
END_TEST

static void *fail_in_thread(void *context)
{
	ck_assert_str_eq(tp_last_error(), "");
	for (unsigned i = 0; i < 1000; i++)
		tpi_error(-EIO, "theirs %d", *(int *)context);

	return strdup(tp_last_error());
}

START_TEST(test_each_thread_has_its_own_last_error)
{
	int numbers[] = { 1, 2 };
	pthread_t threads[2];
	void *theirs;

	tpi_error(-EIO, "mine");
	for (unsigned i = 0; i < 2; i++)
		pthread_create(&threads[i], NULL, fail_in_thread, &numbers[i]);
	for (unsigned i = 0; i < 100; i++) /* while they fail */
		tp_set_log(NULL, NULL, i % 2 ? TP_LOG_ERROR : TP_LOG_DEBUG);
	pthread_join(threads[0], &theirs);
	ck_assert_str_eq(theirs, "theirs 1");
	free(theirs);
	pthread_join(threads[1], &theirs);
	ck_assert_str_eq(theirs, "theirs 2");
	free(theirs);
	ck_assert_str_eq(tp_last_error(), "mine");
}
END_TEST

START_TEST(test_every_errno_has_a_sentence)
{
	ck_assert_str_eq(tp_strerror(-EILSEQ), "damaged metadata");
	ck_assert_str_eq(tp_strerror(EILSEQ), "damaged metadata");
	ck_assert_str_eq(tp_strerror(0), "success");
	for (int error = -200; error < 200; error++)
		ck_assert_uint_gt(strlen(tp_strerror(error)), 0);
	ck_assert_ptr_nonnull(tp_strerror(INT_MIN));
	ck_assert_ptr_nonnull(tp_strerror(INT_MAX));
}
END_TEST

START_TEST(test_the_version_has_three_numbers)
{
	unsigned major, minor, patch;

	ck_assert_int_eq(
		sscanf(tp_version(), "%u.%u.%u", &major, &minor, &patch), 3);
}
END_TEST

int main(void)
{
	return RUN_TESTS("log", 1, test_errors_are_logged_and_kept,
			 test_an_error_may_quote_the_last_one,
			 test_long_sentences_are_cut_off,
			 test_messages_above_the_level_are_left_out,
			 test_without_a_log_nothing_is_called,
			 test_a_last_error_can_be_handed_on,
			 test_each_thread_has_its_own_last_error,
			 test_every_errno_has_a_sentence,
			 test_the_version_has_three_numbers);
}
