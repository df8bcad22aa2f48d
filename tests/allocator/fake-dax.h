/* SPDX-License-Identifier: Apache-2.0 */
/* fake-dax.h: devices of directly mapped memory, as libdaxctl and the kernel show them. */
#ifndef TESTS_ALLOCATOR_FAKE_DAX_H
#define TESTS_ALLOCATOR_FAKE_DAX_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/*
 * The linker puts these in front of libdaxctl and of the system calls that concern them
 * (FAKE_DAX_WRAPS in meson.build). A device is a memfd that behaves as the kernel's devices were
 * seen to: fstat() says size 0, opening a disabled one is ENXIO, private maps and maps that are not
 * multiples of the alignment are EINVAL, and a map beyond the end succeeds.
 */
struct fake_device {
	char name[16];	      /* "dax9.0" */
	const char *driver;   /* "device_dax", "kmem", NULL: none */
	const char *bus;      /* of its region; NULL: a platform device */
	uint64_t size, align;
	int target_node;
	uint64_t binding;
	int fd;		      /* the memory */
	int open_errno;	      /* for whom it is shut */
	bool is_other;	      /* under its path is another device */
};

#define FAKE_DEVICES_MAX 4

struct fake_dax {
	struct fake_device device[FAKE_DEVICES_MAX];
	size_t n;
	int list_errno;	  /* libdaxctl can't be had */
	int read_errno;	  /* of /dev/zero into memory */
	uint64_t read_left; /* bytes before that */
};

extern struct fake_dax fake_dax;

/* A device more: enabled, of a platform, empty. */
struct fake_device *fake_dax_add(const char *name, uint64_t size, uint64_t align);

/* All of its memory, or as much of it as there is, writable; the caller unmaps. */
void *fake_dax_map(const struct fake_device *device);

/* Away with all devices. */
void fake_dax_reset(void);

#endif
