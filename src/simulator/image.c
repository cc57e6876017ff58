/*
 * image.c - which of all the images that a power failure may leave are tried.
 *
 * An image is a number, and so is all that it needs to be made: the random ones
 * are drawn by a hash of the seed, the instant and their number.
 */
#include "write.h"

#define MAX_EXHAUSTIVE 10u
#define MAX_SINGLES 64u
#define NR_RANDOM 32u

/* What there is to choose from. */
struct census {
	uint64_t nr_sectors, nr_writes, nr_in_superblocks;
};

static uint64_t count_in_superblock(const struct tpi_sim_write *write,
				    uint64_t chunk, unsigned mask)
{
	uint64_t nr = 0;

	for (unsigned i = 0; i < TPI_SIM_CHUNK_SECTORS; i++)
		nr += mask & 1u << i &&
		      (chunk * TPI_SIM_CHUNK_SECTORS + i) * TP_SECTOR_SIZE <
			      write->device->options.superblock_bytes;

	return nr;
}

static void count_write(const struct tpi_sim_write *write,
			struct census *census)
{
	uint64_t end = tpi_sim_write_end_chunk(write), before;

	before = census->nr_sectors;
	for (uint64_t i = tpi_sim_write_first_chunk(write); i < end; i++) {
		unsigned mask = tpi_sim_write_unstable(write, i);

		census->nr_sectors += (unsigned)__builtin_popcount(mask);
		census->nr_in_superblocks +=
			count_in_superblock(write, i, mask);
	}
	census->nr_writes += census->nr_sectors != before;
}

static struct census take_census(const struct tp_simulator *simulator)
{
	struct census census = { 0 };

	for (const struct tpi_sim_write *write = simulator->first; write;
	     write = write->next)
		count_write(write, &census);

	return census;
}

/*---------------------------- the list of them -----------------------------*/

static uint64_t nr_singles(const struct census *census)
{
	return census->nr_sectors < MAX_SINGLES ? census->nr_sectors
						: MAX_SINGLES;
}

/* How many of a kind there are, if they are not all subsets. */
static uint64_t nr_of_kind(const struct tp_simulator *simulator,
			   const struct census *census, enum tp_image_kind kind)
{
	switch (kind) {
	case TP_IMAGE_SUBSET:
		return 0;
	case TP_IMAGE_NONE:
	case TP_IMAGE_ALL:
		return 1;
	case TP_IMAGE_ALL_BUT_SECTOR:
	case TP_IMAGE_ONLY_SECTOR:
		return nr_singles(census);
	case TP_IMAGE_FIRST_WRITES:
		return census->nr_writes - 1;
	case TP_IMAGE_ONLY_DEVICE:
		return simulator->nr_devices > 1 ? simulator->nr_devices : 0;
	case TP_IMAGE_ONLY_SUPERBLOCK:
	case TP_IMAGE_ALL_BUT_SUPERBLOCK:
		return census->nr_in_superblocks &&
		       census->nr_in_superblocks < census->nr_sectors;
	case TP_IMAGE_RANDOM_SECTORS:
	case TP_IMAGE_RANDOM_WRITES:
		return NR_RANDOM;
	}

	return 0;
}

static uint64_t draw(const struct tp_simulator *simulator, uint64_t n)
{
	uint64_t at = tpi_sim_mix(simulator->options.seed);

	at = tpi_sim_mix(at ^ simulator->last_id);
	at = tpi_sim_mix(at ^ simulator->nr_ended);

	return tpi_sim_mix(at ^ n);
}

/* One sector of each of so many equal parts of all there are. */
static uint64_t single(const struct tp_simulator *simulator,
		       const struct census *census, uint64_t n)
{
	uint64_t nr = nr_singles(census);
	uint64_t begin = n * census->nr_sectors / nr;
	uint64_t end = (n + 1) * census->nr_sectors / nr;

	return begin + draw(simulator, n) % (end - begin);
}

static uint64_t value_of(const struct tp_simulator *simulator,
			 const struct census *census, enum tp_image_kind kind,
			 uint64_t n)
{
	switch (kind) {
	case TP_IMAGE_ALL_BUT_SECTOR:
	case TP_IMAGE_ONLY_SECTOR:
		return single(simulator, census, n);
	case TP_IMAGE_FIRST_WRITES:
		return n + 1;
	case TP_IMAGE_RANDOM_SECTORS:
	case TP_IMAGE_RANDOM_WRITES:
		return draw(simulator, kind * MAX_SINGLES + n);
	default:
		return n;
	}
}

static uint64_t nr_images(const struct tp_simulator *simulator,
			  const struct census *census)
{
	uint64_t nr = 0;

	if (census->nr_sectors <= MAX_EXHAUSTIVE)
		return 1u << census->nr_sectors;
	for (unsigned kind = 0; kind <= TP_IMAGE_RANDOM_WRITES; kind++)
		nr += nr_of_kind(simulator, census, kind);

	return nr;
}

static int get_image(struct tp_simulator *simulator,
		     const struct census *census, uint64_t n,
		     struct tp_image *image)
{
	unsigned kind = TP_IMAGE_SUBSET;

	if (n >= nr_images(simulator, census))
		return tpi_sim_error(-EINVAL, "image %llu, and there are fewer",
				     (unsigned long long)n);
	while (census->nr_sectors > MAX_EXHAUSTIVE &&
	       n >= nr_of_kind(simulator, census, kind))
		n -= nr_of_kind(simulator, census, kind++);
	*image = (struct tp_image){
		.kind = kind,
		.value = value_of(simulator, census, kind, n),
		.simulator = simulator,
	};

	return 0;
}

uint64_t tp_simulator_nr_images(struct tp_simulator *simulator)
{
	struct census census;
	uint64_t nr;

	tpi_sim_lock(simulator);
	census = take_census(simulator);
	nr = nr_images(simulator, &census);
	tpi_sim_unlock(simulator);

	return nr;
}

int tp_simulator_get_image(struct tp_simulator *simulator, uint64_t n,
			   struct tp_image *image)
{
	struct census census;
	int r;

	tpi_sim_lock(simulator);
	census = take_census(simulator);
	r = get_image(simulator, &census, n, image);
	tpi_sim_unlock(simulator);

	return r;
}

/*---------------------------- what one of them keeps -----------------------*/

static bool is_in_superblock(const struct tp_image *image,
			     const struct tp_unstable_write *write,
			     uint64_t offset)
{
	const struct tpi_sim_device *device =
		image->simulator->devices[write->device];

	return offset < device->options.superblock_bytes;
}

static bool toss(uint64_t by, uint64_t n)
{
	return tpi_sim_mix(by ^ tpi_sim_mix(n)) & 1;
}

bool tp_keep_image(void *context, const struct tp_unstable_write *write,
		   size_t i, uint64_t sector, uint64_t offset)
{
	const struct tp_image *image = context;

	switch (image->kind) {
	case TP_IMAGE_SUBSET:
		return image->value >> sector & 1;
	case TP_IMAGE_NONE:
		return false;
	case TP_IMAGE_ALL:
		return true;
	case TP_IMAGE_ALL_BUT_SECTOR:
		return sector != image->value;
	case TP_IMAGE_ONLY_SECTOR:
		return sector == image->value;
	case TP_IMAGE_FIRST_WRITES:
		return i < image->value;
	case TP_IMAGE_ONLY_DEVICE:
		return write->device == image->value;
	case TP_IMAGE_ONLY_SUPERBLOCK:
		return is_in_superblock(image, write, offset);
	case TP_IMAGE_ALL_BUT_SUPERBLOCK:
		return !is_in_superblock(image, write, offset);
	case TP_IMAGE_RANDOM_SECTORS:
		return toss(image->value, sector);
	case TP_IMAGE_RANDOM_WRITES:
		return toss(image->value, i);
	}

	return false;
}

const char *tp_image_kind_name(enum tp_image_kind kind)
{
	switch (kind) {
	case TP_IMAGE_SUBSET:
		return "a subset of the sectors";
	case TP_IMAGE_NONE:
		return "none";
	case TP_IMAGE_ALL:
		return "all";
	case TP_IMAGE_ALL_BUT_SECTOR:
		return "all but one sector";
	case TP_IMAGE_ONLY_SECTOR:
		return "only one sector";
	case TP_IMAGE_FIRST_WRITES:
		return "the first writes";
	case TP_IMAGE_ONLY_DEVICE:
		return "only one device";
	case TP_IMAGE_ONLY_SUPERBLOCK:
		return "only the superblock";
	case TP_IMAGE_ALL_BUT_SUPERBLOCK:
		return "all but the superblock";
	case TP_IMAGE_RANDOM_SECTORS:
		return "random sectors";
	case TP_IMAGE_RANDOM_WRITES:
		return "random writes";
	}

	return "an unknown kind";
}
