/* SPDX-License-Identifier: Apache-2.0 */
/* raw-client.h: a client on the bare protocol, which does what no honest library would. */
#ifndef SUPPORT_RAW_CLIENT_H
#define SUPPORT_RAW_CLIENT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "ipc/abi.h"
#include "ipc/lookup.h"
#include "ipc/submission.h"
#include "ipc/wire.h"

/*
 * Everything is open to the caller, who is there to misuse it: descriptors, maps, cursors. Used
 * straight, raw_put() and its like behave. One thread a client. Whatever waits does so for a
 * minute at most, and then says -ETIMEDOUT: the broker is stuck.
 */
struct raw_lane {
	unsigned idx;
	int doorbell;
	struct abi_lane_request *request;
	struct abi_submission *submission;
	struct shared_u64 *hold;
	struct shared_u32 *log;
	uint8_t *staging;
	const struct abi_lane_response *response;
	const struct abi_completion *completion;
	uint64_t submitted, reaped;
};

enum raw_descriptor {
	RAW_INDEX,
	RAW_REQUEST,
	RAW_RESPONSE,
	RAW_DRAM,
	RAW_DESCRIPTORS,
};

struct raw_client {
	int socket;
	const struct abi_plane *plane;
	size_t plane_size;
	struct wire_welcome welcome;
	struct abi_geometry geometry;
	int fd[WIRE_DESCRIPTORS_MAX]; /* enum raw_descriptor */
	size_t n_fds;
	const uint8_t *index;
	struct lookup lookup;
	uint8_t *request;
	const uint8_t *response;
	uint8_t *dram; /* writable for a writer */
	size_t request_size, response_size;
	struct raw_lane *lane; /* as many as the geometry has */
	unsigned n_lanes;
};

/* Map the plane of @name. NULL: there is none. To be unmapped with raw_plane_close(). */
const struct abi_plane *raw_plane_open(const char *name, size_t *size);
void raw_plane_close(const struct abi_plane *plane, size_t size);

/* Connect to the socket that the plane of @name tells, and say nothing. A descriptor or -errno. */
int raw_connect(const char *name);

/* The hello of an honest client. */
void raw_hello_init(struct wire_hello *hello, enum wire_role role);

/* Wait for a message; the descriptors are the caller's. 0, -EPIPE, -EBADMSG, -ETIMEDOUT. */
int raw_receive(int fd, union wire_message *message, int descriptors[WIRE_DESCRIPTORS_MAX],
	size_t *n);

/* Wait until the other side has hung up, whatever it says before. 0 or -ETIMEDOUT. */
int raw_wait_hangup(int fd);

/*
 * Attach and map. 0, a negative errno, or the enum wire_refusal. On failure there is nothing to
 * detach. raw_detach() of a zeroed or detached client does nothing.
 */
int raw_attach(struct raw_client *c, const char *name, enum wire_role role);
void raw_detach(struct raw_client *c);

/* Ask for a lane. 0, a negative errno, or the enum abi_status. */
int raw_lane_open(struct raw_client *c, struct raw_lane **lane);

/* Put key and value at the head of the staging area, and say so in @s. */
void raw_stage(struct raw_lane *lane, struct submission *s, const void *key, size_t key_size,
	const void *value, size_t value_size);

/* Hand @s over, and wake the worker if it sleeps. Looks at no limit. */
void raw_submit(struct raw_client *c, struct raw_lane *lane, const struct submission *s);
void raw_wake(struct raw_client *c, struct raw_lane *lane);

/* Wait for the next completion. 0, -EPIPE when the broker hung up, -ETIMEDOUT. */
int raw_reap(struct raw_client *c, struct raw_lane *lane, struct completion *completion);

/* Both; the status, or as raw_reap(). @completion may be NULL. */
int raw_call(struct raw_client *c, struct raw_lane *lane, const struct submission *s,
	struct completion *completion);

/* Whole requests; the status or a negative errno. */
int raw_ping(struct raw_client *c, struct raw_lane *lane);
int raw_put(struct raw_client *c, struct raw_lane *lane, const char *key, const void *value,
	size_t size);
int raw_delete(struct raw_client *c, struct raw_lane *lane, const char *key);
int raw_reserve(struct raw_client *c, struct raw_lane *lane, const char *key, size_t size,
	uint64_t *reservation, uint64_t *value_off);
int raw_commit(struct raw_client *c, struct raw_lane *lane, uint64_t reservation);

/* The record of @key and the word that names it, or NULL. Takes no hold. */
const struct abi_record *raw_find(const struct raw_client *c, const char *key, uint64_t *word);

/* Is the value of @key these bytes? */
bool raw_value_is(const struct raw_client *c, const char *key, const void *value, size_t size);

/* Counters of all threads together, and gauges. */
uint64_t raw_counter(const struct raw_client *c, enum abi_counter counter);
uint64_t raw_gauge(const struct raw_client *c, enum abi_gauge gauge);

#endif
