/*
 * trace.h - what a run did, as a number to compare and, if wanted, as text.
 */
#ifndef TESTS_SIMULATOR_TRACE_H
#define TESTS_SIMULATOR_TRACE_H

#include <stdint.h>
#include <stdio.h>
#include <thinpool/simulator.h>

#include "simulator/history.h"
#include "simulator/workload.h"

struct trace {
	uint64_t digest;
	FILE *file;     /* NULL: no text */
	unsigned depth; /* of the crash image that it is about; 0: none */
};

void trace_step(struct trace *trace, const struct step *step);
void trace_submit(struct trace *trace, uint32_t number,
		  const struct operation *operation);
void trace_end(struct trace *trace, uint32_t number, int status);
void trace_result(struct trace *trace, int result);
void trace_request(struct trace *trace, const struct tp_simulated_event *event);
void trace_note(struct trace *trace, const char *format, ...)
	__attribute__((format(printf, 2, 3)));

#endif
