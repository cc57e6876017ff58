/*
 * base.h - what every folder shares: block numbers, disk integers, errors and
 * the log, assertions, small intrusive lists.
 */
#ifndef TPI_IO_BASE_H
#define TPI_IO_BASE_H

#include <endian.h>
#include <errno.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <thinpool/types.h>

/*---------------------------- block numbers --------------------------------*/

/* A block number says in its type which space it lives in. */
typedef uint64_t tp_mblock; /* 4096 bytes of the metadata device */
typedef uint64_t tp_dblock; /* a data block of the data device */
typedef uint64_t tp_vblock; /* a block of that size in a thin's space */

#define TPI_MBLOCK_BYTES 4096u
#define TPI_SECTOR_SHIFT 9

/*---------------------------- disk integers --------------------------------*/

/* Types of their own, so that a forgotten conversion does not compile. */
typedef struct {
	uint32_t raw;
} le32;
typedef struct {
	uint64_t raw;
} le64;

static inline uint32_t le32_get(le32 v)
{
	return le32toh(v.raw);
}

static inline uint64_t le64_get(le64 v)
{
	return le64toh(v.raw);
}

static inline le32 le32_make(uint32_t v)
{
	return (le32){ htole32(v) };
}

static inline le64 le64_make(uint64_t v)
{
	return (le64){ htole64(v) };
}

/*---------------------------- small things ---------------------------------*/

#define tpi_container_of(pointer, type, member)                                \
	((type *)((char *)(pointer)-offsetof(type, member)))

#define TPI_ARRAY_SIZE(array) (sizeof(array) / sizeof((array)[0]))

static inline uint64_t tpi_min(uint64_t a, uint64_t b)
{
	return a < b ? a : b;
}

static inline uint64_t tpi_max(uint64_t a, uint64_t b)
{
	return a > b ? a : b;
}

static inline uint64_t tpi_div_up(uint64_t n, uint64_t d)
{
	return n / d + (n % d != 0);
}

/*---------------------------- lists ----------------------------------------*/

/* A ring; an empty list, and an entry on none, points at itself. */
struct tpi_list {
	struct tpi_list *next, *prev;
};

static inline void tpi_list_init(struct tpi_list *list)
{
	list->next = list->prev = list;
}

static inline bool tpi_list_empty(const struct tpi_list *list)
{
	return list->next == list;
}

static inline void tpi_list_add_tail(struct tpi_list *list,
				     struct tpi_list *entry)
{
	entry->next = list;
	entry->prev = list->prev;
	list->prev->next = entry;
	list->prev = entry;
}

static inline void tpi_list_add(struct tpi_list *list, struct tpi_list *entry)
{
	tpi_list_add_tail(list->next, entry);
}

static inline void tpi_list_del(struct tpi_list *entry)
{
	entry->prev->next = entry->next;
	entry->next->prev = entry->prev;
	tpi_list_init(entry);
}

/* The first entry, taken off; NULL if there is none. */
static inline struct tpi_list *tpi_list_pop(struct tpi_list *list)
{
	struct tpi_list *entry = list->next;

	if (entry == list)
		return NULL;
	tpi_list_del(entry);

	return entry;
}

/* Everything of @from, in order, to the end of @to. */
static inline void tpi_list_splice(struct tpi_list *to, struct tpi_list *from)
{
	if (tpi_list_empty(from))
		return;
	from->next->prev = to->prev;
	to->prev->next = from->next;
	from->prev->next = to;
	to->prev = from->prev;
	tpi_list_init(from);
}

/* The entry may be taken off within the loop. */
#define tpi_list_each(entry, following, list)                                  \
	for (entry = (list)->next, following = entry->next; entry != (list);   \
	     entry = following, following = entry->next)

/*---------------------------- errors and the log ---------------------------*/

/* A sentence to the host's log. */
void tpi_log(enum tp_log_level level, const char *format, ...)
	__attribute__((format(printf, 2, 3)));

/*
 * Keep a sentence as the calling thread's last error, log it, and return
 * @error (a negative errno), so that a caller can return it at once.
 */
int tpi_error(int error, const char *format, ...)
	__attribute__((format(printf, 2, 3)));

/* The same sentence for the thread only, without logging it again: for what
 * another thread met and logged. */
void tpi_set_last_error(const char *sentence);

/*
 * What a device gave makes no sense: log where and what, return -EILSEQ.  The
 * one place for a breakpoint.
 */
int tpi_damage(const char *where, const char *format, ...)
	__attribute__((format(printf, 2, 3)));

/* What the program itself guarantees.  Never about what a device or a host
 * gave. */
#ifdef NDEBUG
#define tpi_assert(condition) ((void)sizeof(condition))
#else
#define tpi_assert(condition)                                                  \
	((condition) ? (void)0                                                 \
		     : tpi_assertion_failed(#condition, __FILE__, __LINE__))
#endif
void tpi_assertion_failed(const char *condition, const char *file, int line)
	__attribute__((noreturn));

#endif
