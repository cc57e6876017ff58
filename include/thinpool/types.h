/*
 * thinpool/types.h - the words that every other header uses: operations and
 * their flags, errors and how they are explained, the log.
 *
 * Units:   offsets and lengths are bytes and multiples of 512.
 * Errors:  0 or a negative errno; a count where the comment says so.
 * Threads: everything here may be called from any thread at any time.
 */
#ifndef THINPOOL_TYPES_H
#define THINPOOL_TYPES_H

#include <stddef.h>
#include <stdint.h>
#include <sys/uio.h>

#ifdef __cplusplus
extern "C" {
#endif

/* The unit of atomicity, and of every offset and length. */
#define TP_SECTOR_SIZE 512

/* In a time of an option: for ever, or not at all. */
#define TP_NEVER UINT32_MAX

/* What a bio, or a request to a device, asks for.  TP_COPY: of devices only. */
enum tp_op {
	TP_READ,
	TP_WRITE,
	TP_FLUSH,
	TP_DISCARD,
	TP_WRITE_ZEROES,
	TP_COPY,
};

/*
 * Flags of a write.
 *
 * TP_FUA       when it completes, the data is durable, and so is the mapping
 *              that leads to it (B-FUA-1).
 * TP_PREFLUSH  first a flush, then the write (B-REQ-6).
 * TP_NO_UNMAP  write zeroes: do not unmap, keep or make mappings (B-WZ-3).
 */
#define TP_FUA (1u << 0)
#define TP_PREFLUSH (1u << 1)
#define TP_NO_UNMAP (1u << 2)

/* One sentence for an errno of ours, negative or positive; never NULL. */
const char *tp_strerror(int error);

/*
 * The last failure of the calling thread, as a sentence: which device, which
 * block, what was expected.  Empty if there was none.  The string is the
 * library's; it stays until the next call of this thread that fails.
 */
const char *tp_last_error(void);

/* The version of the library that is linked, such as "0.1.0". */
const char *tp_version(void);

enum tp_log_level {
	TP_LOG_ERROR,
	TP_LOG_WARNING,
	TP_LOG_INFO,
	TP_LOG_DEBUG,
};

/*
 * Called with one sentence, no newline.  From any thread of the library or of
 * the host, several at once; it must not call the library.
 */
typedef void (*tp_log_fn)(void *context, enum tp_log_level level,
			  const char *message);

/*
 * Where sentences go; NULL (the default): nowhere.  Messages above @level are
 * left out.  Set it before the first pool is opened: a change meanwhile may
 * take a moment to be seen by other threads.
 */
void tp_set_log(tp_log_fn log, void *context, enum tp_log_level level);

#ifdef __cplusplus
}
#endif

#endif
