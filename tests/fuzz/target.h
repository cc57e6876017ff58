/*
 * target.h - what every fuzz target is: one function that takes any bytes, and
 * must return.
 *
 * Built with -Dfuzz=true (clang), libFuzzer calls it; else replay.c does, with
 * the files that it is given.
 */
#ifndef TESTS_FUZZ_TARGET_H
#define TESTS_FUZZ_TARGET_H

#include <stddef.h>
#include <stdint.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#endif
