/*
 * store.c - the part of a store that all kinds have.
 */
#include "store.h"

void close_store(struct store *store)
{
	tp_device_unref(store->data);
	tp_device_unref(store->metadata);
	store->close(store);
}
