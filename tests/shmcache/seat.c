/* SPDX-License-Identifier: Apache-2.0 */
/* seat.c: the other side of a session, in the same process. */
#include "tests/shmcache/seat.h"

#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>
#include <cmocka.h>

static void scan_holds(void *context, struct index *ix, uint8_t round)
{
	struct seat *d = context;

	if (d->session)
		session_scan_holds(d->session, ix, round);
}

static void drain_logs(void *context, struct abi_worker *w)
{
	struct seat *d = context;

	if (d->session)
		session_drain_logs(d->session, &d->rig.store, w);
}

void seat_init(struct seat *d, uint64_t dram_size)
{
	memset(d, 0, sizeof(*d));
	d->client_end = -1;
	config_init(&d->config);
	d->config.session.staging_size = 256 * KIB;
	d->config.session.lanes = 4;
	rig_init(&d->rig, dram_size, 4 * MIB);
	d->rig.store.sessions = (struct store_sessions){scan_holds, drain_logs, d};
}

void seat_open(struct seat *d, enum wire_role role)
{
	uint8_t *map;

	if (!d->rig.is_open)
		rig_open(&d->rig, false);
	assert_int_equal(session_new(&d->session, &d->config, &d->fds), 0);
	d->session->role = role;
	d->session->directory = &d->directory;
	d->session->kept.request = fcntl(d->fds.request, F_DUPFD_CLOEXEC, 0);
	assert_true(d->session->kept.request >= 0);
	map = mmap(NULL, d->session->request_size, PROT_READ | PROT_WRITE, MAP_SHARED,
		d->fds.request, 0);
	assert_ptr_not_equal(map, MAP_FAILED);
	d->request = (void *)map;
	assert_int_equal(session_lane_open(d->session, &d->lane, &d->client_end), 0);
	d->staging = map + d->session->geometry.staging_off;
	d->staging_size = d->session->geometry.staging_size;
}

void seat_leave(struct seat *d)
{
	if (!d->session)
		return;
	session_give_back(d->session, &d->rig.store, &d->rig.w);
	munmap(d->request, d->session->request_size);
	session_free(d->session);
	d->session = NULL;
	close(d->fds.request);
	close(d->fds.response);
	close(d->client_end);
	d->client_end = -1;
}

void seat_close(struct seat *d)
{
	seat_leave(d);
	rig_remove(&d->rig);
}

enum request_outcome seat_run(struct seat *d, const struct submission *sub)
{
	enum request_outcome outcome;
	unsigned rounds = 0;

	memset(&d->completion, 0xee, sizeof(d->completion));
	d->lane->consumed++; /* as the worker counts */
	outcome = request_run(&d->rig.store, &d->rig.w, d->lane, sub, &d->completion, &d->fault);
	while (outcome == REQUEST_GOES_ON) {
		assert_true(rounds++ < 100000);
		outcome = request_flush_on(&d->rig.store, &d->rig.w, d->lane, &d->completion);
	}
	assert_null(d->lane->flush);
	return outcome;
}

enum abi_status seat_ask(struct seat *d, const struct submission *sub)
{
	enum request_outcome outcome = seat_run(d, sub);

	if (outcome != REQUEST_DONE)
		fail_msg("%s: cut off for: %s", abi_operation_name(sub->operation),
			abi_fault_name(d->fault));
	assert_int_equal(d->completion.id, sub->id);
	return d->completion.status;
}

enum abi_fault seat_break(struct seat *d, const struct submission *sub)
{
	enum request_outcome outcome = seat_run(d, sub);

	if (outcome != REQUEST_BROKEN)
		fail_msg("%s: answered: %s", abi_operation_name(sub->operation),
			abi_status_name(d->completion.status));
	return d->fault;
}

struct submission seat_make(struct seat *d, enum abi_operation operation, const char *key,
	uint32_t size, uint64_t seed)
{
	static uint32_t id;
	struct submission sub = {.operation = (uint8_t)operation, .id = ++id, .value_size = size};

	sub.key_size = (uint16_t)strlen(key);
	memcpy(d->staging, key, sub.key_size);
	if (submission_value_off(&sub) + size <= d->staging_size)
		rig_fill(d->staging + submission_value_off(&sub), size, seed);
	return sub;
}

enum abi_status seat_ask_of(struct seat *d, enum abi_operation operation, const char *key,
	uint32_t size, uint64_t seed)
{
	struct submission sub = seat_make(d, operation, key, size, seed);

	return seat_ask(d, &sub);
}

uint64_t seat_reserve(struct seat *d, const char *key, uint32_t size)
{
	assert_int_equal(seat_ask_of(d, ABI_OP_RESERVE, key, size, 0), ABI_STATUS_OK);
	assert_int_not_equal(d->completion.result[0], 0);
	return d->completion.result[0];
}

enum abi_status seat_finish(struct seat *d, enum abi_operation operation, uint64_t reservation)
{
	struct submission sub = {
		.operation = (uint8_t)operation, .id = 1, .argument = reservation};

	return seat_ask(d, &sub);
}

uint64_t seat_get(struct seat *d, const char *key, uint64_t seed)
{
	struct index_key k = index_key(&d->rig.store.index, key, strlen(key));
	const struct abi_record *r;
	uint32_t cell;

	if (!index_find(&d->rig.store.index, &k, &cell))
		return 0;
	r = &d->rig.store.index.cell[cell];
	assert_true(rig_is_filled(rig_value(&d->rig, cell), r->value_size, seed));
	return r->value_size;
}

int seat_setup(void **state)
{
	struct seat *d = *state;

	seat_init(d, 16 * MIB);
	seat_open(d, WIRE_ROLE_WRITER);
	return 0;
}

int seat_teardown(void **state)
{
	seat_close(*state);
	return rig_leftovers() ? -1 : 0;
}
