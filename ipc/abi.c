/* SPDX-License-Identifier: Apache-2.0 */
/* abi.c: the fingerprint, the derived geometry and the names of what abi.h defines. */
#include <errno.h>
#include <stdbool.h>

#include "ipc/abi.h"
#include "ipc/events.h"
#include "ipc/hash.h"

/*
 * The version number says what we meant to change, the fingerprint what we did change: it is a hash
 * over the size and the member offsets of every shared struct and over the limits, after LMDB's
 * check of its lock file. A padding that another compiler chose differently is found at attach,
 * and not as a wrong byte.
 */
#define SHAPE(type, member) sizeof(struct type), offsetof(struct type, member)

uint64_t abi_fingerprint(void)
{
	static const uint32_t shapes[] = {
		ABI_VERSION,
		SHAPE(abi_bucket, link),
		SHAPE(abi_record, expire_ms),
		offsetof(struct abi_record, generation),
		offsetof(struct abi_record, tail),
		offsetof(struct abi_record, key),
		offsetof(struct abi_record, tier),
		SHAPE(abi_tail, bytes),
		offsetof(struct abi_tail, mark),
		SHAPE(abi_hints, position),
		SHAPE(abi_index, n_buckets),
		offsetof(struct abi_index, bucket_off),
		offsetof(struct abi_index, dram_size),
		offsetof(struct abi_index, cxl_identity),
		SHAPE(abi_worker, counter),
		SHAPE(abi_histogram, sum_ns),
		offsetof(struct abi_worker, request),
		offsetof(struct abi_worker, operation_time),
		ABI_N_COUNTERS,
		ABI_N_GAUGES,
		SHAPE(abi_session, attached_ms),
		offsetof(struct abi_session, request_ino),
		offsetof(struct abi_session, staging_size),
		offsetof(struct abi_session, state),
		offsetof(struct abi_session, epoch),
		offsetof(struct abi_session, pid_ns),
		offsetof(struct abi_session, held_since_ms),
		SHAPE(abi_plane, epoch),
		offsetof(struct abi_plane, socket_path),
		offsetof(struct abi_plane, gauge),
		offsetof(struct abi_plane, worker),
		offsetof(struct abi_plane, session),
		SHAPE(abi_submission, word),
		SHAPE(abi_completion, result),
		SHAPE(abi_lane_request, need_wakeup),
		offsetof(struct abi_lane_request, logged),
		offsetof(struct abi_lane_request, holds_used),
		offsetof(struct abi_lane_request, miss),
		offsetof(struct abi_lane_request, wait),
		SHAPE(abi_lane_response, consumed),
		SHAPE(abi_geometry, response_stride),
		offsetof(struct abi_geometry, elsewhere_off),
		SHAPE(events_head, written),
		EVENTS_RECORD_WORDS,
		EVENTS_N_KINDS,
		ABI_N_OPERATIONS,
		ABI_N_STATUSES,
		ABI_N_FAULTS,
		ABI_N_STAGES,
		ABI_N_MISSES,
		offsetof(struct abi_worker, fetch_miss),
		ABI_N_FETCH_MISSES,
		ABI_N_WRITE_BACKS,
	};

	return hash_bytes(ABI_MAGIC, shapes, sizeof(shapes));
}

static bool is_power_of_two(uint64_t n)
{
	return n && !(n & (n - 1));
}

static uint64_t align_up(uint64_t n, uint64_t align)
{
	return (n + align - 1) & ~(align - 1);
}

int abi_geometry_init(struct abi_geometry *g)
{
	uint64_t off;

	if (!g->n_lanes || g->n_lanes > ABI_LANES_MAX)
		return -EINVAL;
	if (!is_power_of_two(g->n_queue) || g->n_queue < 16 || g->n_queue > 4096)
		return -EINVAL;
	if (!is_power_of_two(g->n_log) || g->n_log < 64 || g->n_log > 1U << 20)
		return -EINVAL;
	if (g->n_holds < 64 || g->n_holds > 65536 || g->n_holds % 16)
		return -EINVAL;
	if (g->staging_size < 64U << 10 || g->staging_size > 64U << 20 || g->staging_size % 4096)
		return -EINVAL;

	off = sizeof(struct abi_lane_request);
	g->submission_off = (uint32_t)off;
	off = align_up(off + g->n_queue * sizeof(struct abi_submission), ABI_APART);
	g->hold_off = (uint32_t)off;
	off = align_up(off + g->n_holds * sizeof(struct shared_u64), ABI_APART);
	g->log_off = (uint32_t)off;
	off = align_up(off + g->n_log * sizeof(struct shared_u32), 4096);
	g->staging_off = (uint32_t)off;
	g->request_stride = (uint32_t)(off + g->staging_size);

	off = sizeof(struct abi_lane_response);
	g->completion_off = (uint32_t)off;
	off = align_up(off + g->n_queue * sizeof(struct abi_completion), ABI_APART);
	g->elsewhere_off = (uint32_t)off;
	off += g->n_queue * sizeof(struct abi_submission);
	g->response_stride = (uint32_t)align_up(off, 4096);
	return 0;
}

static const char *name_of(const char *const *names, unsigned n_names, unsigned i)
{
	return i < n_names && names[i] ? names[i] : "?";
}

const char *abi_operation_name(unsigned operation)
{
	static const char *const names[ABI_N_OPERATIONS] = {
		[ABI_OP_NONE] = "none",
		[ABI_OP_PING] = "ping",
		[ABI_OP_PUT] = "put",
		[ABI_OP_RESERVE] = "reserve",
		[ABI_OP_WRITE] = "write",
		[ABI_OP_COMMIT] = "commit",
		[ABI_OP_ABORT] = "abort",
		[ABI_OP_DELETE] = "delete",
		[ABI_OP_TOUCH] = "touch",
		[ABI_OP_PIN] = "pin",
		[ABI_OP_UNPIN] = "unpin",
		[ABI_OP_FLUSH] = "flush",
		[ABI_OP_FETCH] = "fetch",
	};

	return name_of(names, ABI_N_OPERATIONS, operation);
}

const char *abi_status_name(unsigned status)
{
	static const char *const names[ABI_N_STATUSES] = {
		[ABI_STATUS_OK] = "ok",
		[ABI_STATUS_MISS] = "miss",
		[ABI_STATUS_EXISTS] = "exists",
		[ABI_STATUS_NOSPACE] = "no space",
		[ABI_STATUS_QUOTA] = "quota",
		[ABI_STATUS_GONE] = "gone",
		[ABI_STATUS_DENIED] = "denied",
		[ABI_STATUS_TOO_BIG] = "too big",
		[ABI_STATUS_NOMEM] = "no memory",
		[ABI_STATUS_DAMAGED] = "damaged",
		[ABI_STATUS_STOPPING] = "stopping",
	};

	return name_of(names, ABI_N_STATUSES, status);
}

const char *abi_fault_name(unsigned fault)
{
	static const char *const names[ABI_N_FAULTS] = {
		[ABI_FAULT_NONE] = "none",
		[ABI_FAULT_OPERATION] = "unknown operation",
		[ABI_FAULT_KEY] = "key size out of range",
		[ABI_FAULT_RANGE] = "bytes outside the staging area or the reservation",
		[ABI_FAULT_FIELD] = "field with an impossible value",
		[ABI_FAULT_POSITION] = "impossible ring position",
		[ABI_FAULT_HOLDS] = "holds past the quota",
		[ABI_FAULT_PROTOCOL] = "nonsense on the socket",
		[ABI_FAULT_RESOURCES] = "the broker is out of memory",
	};

	return name_of(names, ABI_N_FAULTS, fault);
}

const char *abi_miss_name(unsigned miss)
{
	static const char *const names[ABI_N_MISSES] = {
		[ABI_MISS_ABSENT] = "absent",
		[ABI_MISS_EXPIRED] = "expired",
		[ABI_MISS_HOLDS] = "no hold cell",
	};

	return name_of(names, ABI_N_MISSES, miss);
}

const char *abi_fetch_miss_name(unsigned miss)
{
	static const char *const names[ABI_N_FETCH_MISSES] = {
		[ABI_FETCH_NONE] = "none",
		[ABI_FETCH_NOBODY] = "nobody",
		[ABI_FETCH_UNREACHABLE] = "unreachable",
		[ABI_FETCH_TIMEOUT] = "timeout",
		[ABI_FETCH_CORRUPT] = "corrupt",
		[ABI_FETCH_CANCELLED] = "cancelled",
		[ABI_FETCH_NOSPACE] = "no space",
		[ABI_FETCH_OFF] = "off",
		[ABI_FETCH_BUSY] = "busy",
		[ABI_FETCH_DECLINED] = "declined",
	};

	return name_of(names, ABI_N_FETCH_MISSES, miss);
}

const char *abi_write_back_name(unsigned policy)
{
	static const char *const names[ABI_N_WRITE_BACKS] = {
		[ABI_WRITE_BACK_ALWAYS] = "always",
		[ABI_WRITE_BACK_ALL_FOUND] = "all-found",
		[ABI_WRITE_BACK_CONTIGUOUS_PREFIX] = "contiguous-prefix",
		[ABI_WRITE_BACK_SECOND_HIT] = "second-hit",
		[ABI_WRITE_BACK_FREE_SPACE] = "free-space",
		[ABI_WRITE_BACK_OFF] = "off",
	};

	return name_of(names, ABI_N_WRITE_BACKS, policy);
}

#define TEXT_NAME(name, text, help) text,
#define TEXT_HELP(name, text, help) help,

const char *abi_counter_name(unsigned counter)
{
	static const char *const names[] = {ABI_COUNTERS(TEXT_NAME)};

	return name_of(names, ABI_N_COUNTERS, counter);
}

const char *abi_counter_help(unsigned counter)
{
	static const char *const names[] = {ABI_COUNTERS(TEXT_HELP)};

	return name_of(names, ABI_N_COUNTERS, counter);
}

const char *abi_gauge_name(unsigned gauge)
{
	static const char *const names[] = {ABI_GAUGES(TEXT_NAME)};

	return name_of(names, ABI_N_GAUGES, gauge);
}

const char *abi_gauge_help(unsigned gauge)
{
	static const char *const names[] = {ABI_GAUGES(TEXT_HELP)};

	return name_of(names, ABI_N_GAUGES, gauge);
}

const char *abi_stage_name(unsigned stage)
{
	static const char *const names[] = {ABI_STAGES(TEXT_NAME)};

	return name_of(names, ABI_N_STAGES, stage);
}

const char *abi_stage_help(unsigned stage)
{
	static const char *const names[] = {ABI_STAGES(TEXT_HELP)};

	return name_of(names, ABI_N_STAGES, stage);
}
