/*
 * trace.c - what a run did.
 */
#include <stdarg.h>

#include "simulator/trace.h"
#include "support/pattern.h"

static void add(struct trace *trace, uint64_t value)
{
	trace->digest = mix(trace->digest ^ value);
}

static void __attribute__((format(printf, 2, 3)))
print(struct trace *trace, const char *format, ...)
{
	va_list arguments;

	if (!trace->file)
		return;
	va_start(arguments, format);
	fprintf(trace->file, "%*s", (int)(8 * trace->depth), "");
	vfprintf(trace->file, format, arguments);
	fputc('\n', trace->file);
	va_end(arguments);
}

void trace_step(struct trace *trace, const struct step *step)
{
	char text[160];

	add(trace, step->number);
	if (!trace->file)
		return;
	step_describe(step, text, sizeof(text));
	print(trace, "step %u: %s", step->number, text);
}

void trace_submit(struct trace *trace, uint32_t number,
		  const struct operation *operation)
{
	add(trace, number);
	print(trace, "  operation %u is submitted, on volume %u", number,
	      operation->volume);
}

void trace_end(struct trace *trace, uint32_t number, int status)
{
	add(trace, (uint64_t)number << 32 | (uint32_t)status);
	print(trace, "  operation %u ends: %d", number, status);
}

void trace_result(struct trace *trace, int result)
{
	add(trace, (uint32_t)result);
	print(trace, "  the call returns %d", result);
}

void trace_request(struct trace *trace, const struct tp_simulated_event *event)
{
	static const char *const names[] = { "read", "write", "flush",
					     "discard", "write zeroes" };

	add(trace, event->id << 1 | event->has_ended);
	add(trace,
	    event->offset ^ event->length << 20 ^ (uint32_t)event->status);
	if (!trace->file)
		return;
	if (event->has_ended)
		print(trace, "    request %llu ends: %d",
		      (unsigned long long)event->id, event->status);
	else
		print(trace, "    request %llu: %s%s, %s, %llu + %llu",
		      (unsigned long long)event->id, names[event->op],
		      event->flags & TP_FUA ? " fua" : "",
		      event->device ? "data" : "metadata",
		      (unsigned long long)event->offset,
		      (unsigned long long)event->length);
}

void trace_note(struct trace *trace, const char *format, ...)
{
	va_list arguments;
	char text[200];

	if (!trace->file)
		return;
	va_start(arguments, format);
	vsnprintf(text, sizeof(text), format, arguments);
	va_end(arguments);
	print(trace, "%s", text);
}
