/*
 * name.h - what a volume may be called.
 */
#ifndef TPI_CATALOGUE_NAME_H
#define TPI_CATALOGUE_NAME_H

#include <stddef.h>

/*
 * What is wrong with a name of so many bytes, as the end of a sentence that
 * begins with "it"; NULL: nothing.  It need not end with a zero byte.
 */
const char *tpi_name_fault(const char *name, size_t length);

#endif
