/* SPDX-License-Identifier: Apache-2.0 */
/* image.c: copies of a shared memory object, page by page. */
#include "tests/step/image.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

/*
 * A kill changes a handful of pages of some hundred, and is followed by the next within a
 * millisecond: so pages are compared, which the processor does quickly, and only those that differ
 * are copied.
 */
#define PAGE 4096

int image_save(struct image *image, const char *name)
{
	struct stat st;
	int fd = shm_open(name, O_RDWR | O_CLOEXEC, 0);
	int r = fd < 0 || fstat(fd, &st) ? -errno : 0;

	if (!r) {
		image->size = (size_t)st.st_size;
		image->map = mmap(
			NULL, image->size, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
		if (image->map == MAP_FAILED)
			r = -errno;
	}
	if (fd >= 0)
		close(fd);
	if (r)
		return r;
	image->saved = malloc(image->size);
	image->last = malloc(image->size);
	if (!image->saved || !image->last)
		return -ENOMEM;
	memcpy(image->saved, image->map, image->size);
	memcpy(image->last, image->map, image->size);
	return 0;
}

void image_forget(struct image *image)
{
	if (image->map)
		munmap(image->map, image->size);
	free(image->saved);
	free(image->last);
	memset(image, 0, sizeof(*image));
}

/* Make @to what @from is; whether it was something else. */
static bool copy(uint8_t *to, const uint8_t *from, size_t size)
{
	bool differs = false;
	size_t off;

	for (off = 0; off < size; off += PAGE) {
		if (!memcmp(to + off, from + off, PAGE))
			continue;
		memcpy(to + off, from + off, PAGE);
		differs = true;
	}
	return differs;
}

void image_restore(struct image *image)
{
	copy(image->map, image->saved, image->size);
}

bool image_has_changed(struct image *image)
{
	return copy(image->last, image->map, image->size);
}
