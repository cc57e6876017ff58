/*
 * failing-memory.h - the library's n-th allocation fails.
 *
 * The programs of tests/memory are linked with a copy of the library whose calls
 * of malloc and its like come here (tests/meson.build), and so do those that ask
 * the kernel for something it may not have: descriptors, threads, rings.  All of
 * them count as allocations; what tests and libc allocate does not.
 *
 * Threads: arm and disarm from one; the allocations of all are counted.
 */
#ifndef TESTS_SUPPORT_FAILING_MEMORY_H
#define TESTS_SUPPORT_FAILING_MEMORY_H

#include <stdbool.h>

/* From now on the @nth allocation fails, counted from 1; if @lasting, all that
 * come after it, too. */
void failing_memory_arm(unsigned nth, bool lasting);

/* Has any allocation failed since? */
bool failing_memory_has_failed(void);

/* Memory is back.  Did any allocation fail? */
bool failing_memory_disarm(void);

/* None fails: how many there are is all that is asked. */
void failing_memory_count(void);

/* Since it was armed, or told to count; not more of them after it was disarmed. */
unsigned failing_memory_nr_calls(void);

/* May a call that met a failure answer this? */
bool is_want_of_memory(int error);

#endif
