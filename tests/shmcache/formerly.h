/* SPDX-License-Identifier: Apache-2.0 */
/* formerly.h: clients of a broker that is no more, and what the next one makes of them. */
#ifndef TESTS_SHMCACHE_FORMERLY_H
#define TESTS_SHMCACHE_FORMERLY_H

#include "shmcache/former.h"
#include "tests/shmcache/rig.h"

/*
 * The clients are this process, which has their regions among its descriptors, or children that
 * show none. What they hold is a value that was deleted: it is there as long as it is protected.
 */
#define FORMERLY_LINES 8
#define FORMERLY_NOW UINT64_C(5000)
#define FORMERLY_GRACE UINT64_C(700)
#define FORMERLY_SIZE 100000 /* of the value */
#define FORMERLY_SEALS (F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_FUTURE_WRITE)

struct formerly {
	struct rig rig; /* its holds are those of the former clients */
	struct plane plane;
	struct log log;
	int null; /* a descriptor, of no region */
	pthread_mutex_t lock;
	struct formers formers;
	struct abi_geometry geometry; /* of all clients, with three lanes */
	size_t request_size;
};

void formerly_init(struct formerly *f);
void formerly_deinit(struct formerly *f);

/* A value of the former broker, and the next one begins. Returns its cell. */
uint32_t formerly_value(struct formerly *f);
/* The next one deletes it. Is it there after a round? */
void formerly_delete(struct formerly *f);
bool formerly_is_protected(struct formerly *f);

/* The next broker reads the directory; and goes, with nothing changed but the lines. */
void formerly_open(struct formerly *f);
void formerly_come_and_go(struct formerly *f);

/* One whose line is @line, and its region. */
struct client {
	struct abi_session *line;
	int fd;
	uint8_t *request;
	size_t size;
	struct shared_u64 *hold; /* the last cell of its last lane */
};

/* With the id 1000 + @line; a region as it should be, or called, sized and sealed otherwise. */
struct client client_new(struct formerly *f, unsigned line);
struct client client_with(
	struct formerly *f, unsigned line, const char *call, size_t size, int seals);
void client_free(struct client *c);

/* Hold @cell, in the last place of all; 0 lets go. */
void client_hold(struct formerly *f, const struct client *c, uint32_t cell);

/*
 * Somebody else in its process's place: one of whom nothing can be known; a child without
 * descriptors.
 */
void client_hide(const struct client *c);
pid_t client_child(const struct client *c);
/* Kill it; a broker that watches it hears of that. */
void client_kill(struct formerly *f, pid_t pid);

enum abi_session_state client_state(const struct client *c);
uint64_t client_id(const struct client *c);

/* The line is free, and nothing at all is kept; or it is waited for, and all is. */
void formerly_assert_dropped(const struct formerly *f, const struct client *c);
void formerly_assert_pending(const struct formerly *f, const struct client *c);

#endif
