/*
 * What a volume may be called.  A name goes into paths, terminals and other
 * people's databases, so what is refused here cannot hurt there.
 */
#include <stdlib.h>
#include <string.h>

#include "catalogue/name.h"
#include "support/run-tests.h"

static const char *fault_of(const char *name)
{
	return tpi_name_fault(name, strlen(name));
}

START_TEST(test_ordinary_names_are_good)
{
	static const char *const names[] = {
		"a",
		"base",
		"a.b",
		"...",
		".hidden",
		"-x",
		"a b",
		"\"q\"",
		"caf\xc3\xa9",
		"\xe6\x97\xa5\xe6\x9c\xac",
		"\xf0\x9f\x98\x80",
		"\xc2\xa0",
		"\xed\x9f\xbf",
		"\xee\x80\x80",
		"\xf4\x8f\xbf\xbf",
	};

	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
		ck_assert_msg(!fault_of(names[i]), "%s", names[i]);
}
END_TEST

START_TEST(test_names_that_mean_something_else_are_refused)
{
	ck_assert_ptr_nonnull(fault_of(""));
	ck_assert_ptr_nonnull(fault_of("."));
	ck_assert_ptr_nonnull(fault_of(".."));
	ck_assert_ptr_nonnull(fault_of("a/b"));
	ck_assert_ptr_nonnull(fault_of("/"));
}
END_TEST

/* C0, DEL and C1: U+0080 to U+009F are two bytes of good UTF-8. */
START_TEST(test_control_characters_are_refused)
{
	char name[] = "a?b", wide[] = "a\xc2?b";

	for (int c = 0; c < 0x20; c++) {
		name[1] = (char)c;
		ck_assert_ptr_nonnull(tpi_name_fault(name, 3));
	}
	name[1] = 0x7f;
	ck_assert_ptr_nonnull(tpi_name_fault(name, 3));
	for (int c = 0x80; c < 0xa0; c++) {
		wide[2] = (char)c;
		ck_assert_ptr_nonnull(tpi_name_fault(wide, 4));
	}
}
END_TEST

START_TEST(test_bytes_that_are_not_utf8_are_refused)
{
	static const char *const names[] = {
		"\x80",             /* goes on with nothing before it */
		"\xc3",             /* cut */
		"\xc3(",            /* cut by something else */
		"\xe6\x97",         /* cut */
		"\xf0\x9f\x98",     /* cut */
		"\xc0\xaf",         /* '/' in two bytes */
		"\xc1\xbf",         /* longer than need be */
		"\xe0\x80\xaf",     /* '/' in three */
		"\xe0\x9f\xbf",     /* longer than need be */
		"\xf0\x80\x80\xaf", /* '/' in four */
		"\xf0\x8f\xbf\xbf", /* longer than need be */
		"\xed\xa0\x80",     /* the first surrogate */
		"\xed\xbf\xbf",     /* the last */
		"\xf4\x90\x80\x80", /* beyond U+10FFFF */
		"\xf5\x80\x80\x80", /* no such first byte */
		"\xff",
	};

	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
		ck_assert_msg(fault_of(names[i]), "number %zu", i);
}
END_TEST

START_TEST(test_255_bytes_are_good_and_256_are_not)
{
	char name[256];

	memset(name, 'x', sizeof(name));
	ck_assert_ptr_null(tpi_name_fault(name, 255));
	ck_assert_ptr_nonnull(tpi_name_fault(name, 256));
}
END_TEST

/* No byte behind the length may be looked at: valgrind and the sanitizers see
 * to it. */
START_TEST(test_a_name_is_not_read_beyond_its_length)
{
	char *name = malloc(2);

	memcpy(name, "a\xe6", 2);
	ck_assert_ptr_nonnull(tpi_name_fault(name, 2));
	ck_assert_ptr_null(tpi_name_fault(name, 1));
	free(name);
}
END_TEST

int main(void)
{
	return RUN_TESTS("catalogue/name", 1, test_ordinary_names_are_good,
			 test_names_that_mean_something_else_are_refused,
			 test_control_characters_are_refused,
			 test_bytes_that_are_not_utf8_are_refused,
			 test_255_bytes_are_good_and_256_are_not,
			 test_a_name_is_not_read_beyond_its_length);
}
