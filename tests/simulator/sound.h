/*
 * sound.h - is the metadata of a closed pool right, to the last count?
 */
#ifndef TESTS_SIMULATOR_SOUND_H
#define TESTS_SIMULATOR_SOUND_H

#include <thinpool/simulator.h>

/* Neither tp_check nor the reader of our own, which shares no line with it,
 * finds anything on device 0 (M2, M3). */
void assert_metadata_is_sound(struct tp_simulator *simulator);

#endif
