/*
 * Walking along vectors, over empty pieces too.
 */
#include <string.h>

#include "io/iov.h"
#include "support/run-tests.h"

static char text[] = "abcdefghij";
static const struct iovec iov[] = {
	{ text, 0 },     { text, 3 },     { text + 3, 0 },
	{ text + 3, 2 }, { text + 5, 5 }, { text, 0 },
};

START_TEST(test_lengths_add_up)
{
	ck_assert_uint_eq(tpi_iov_length(iov, 6), 10);
	ck_assert_uint_eq(tpi_iov_length(iov, 0), 0);
}
END_TEST

/* Wherever it is taken up, it goes on with the right byte. */
START_TEST(test_what_is_left_begins_where_it_was_left)
{
	for (uint64_t skip = 0; skip < 10; skip++) {
		struct tpi_iov_rest rest;

		tpi_iov_skip(&rest, iov, 6, skip);
		ck_assert_int_gt(rest.iovcnt, 0);
		ck_assert_uint_gt(rest.iov[0].iov_len, 0);
		ck_assert_ptr_eq(rest.iov[0].iov_base, text + skip);
		ck_assert_uint_le(tpi_iov_length(rest.iov, rest.iovcnt),
				  10 - skip);
	}
}
END_TEST

START_TEST(test_every_range_can_be_copied_out_and_in)
{
	char copy[16], saved[16];

	memcpy(saved, text, sizeof(text));
	for (uint64_t skip = 0; skip < 10; skip++)
		for (size_t length = 0; length <= 10 - skip; length++) {
			memset(copy, '.', sizeof(copy));
			tpi_iov_gather(copy, iov, skip, length);
			ck_assert_mem_eq(copy, text + skip, length);
			ck_assert_int_eq(copy[length], '.');

			memset(copy, '-', sizeof(copy));
			tpi_iov_scatter(iov, skip, copy, length);
			ck_assert_mem_eq(text, saved, skip);
			ck_assert_mem_eq(text + skip, copy, length);
			ck_assert_str_eq(text + skip + length,
					 saved + skip + length);
			memcpy(text, saved, sizeof(text));
		}
}
END_TEST

int main(void)
{
	return RUN_TESTS("iov", 1, test_lengths_add_up,
			 test_what_is_left_begins_where_it_was_left,
			 test_every_range_can_be_copied_out_and_in);
}
