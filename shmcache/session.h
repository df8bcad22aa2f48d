/* SPDX-License-Identifier: Apache-2.0 */
/* session.h: one attached client: its regions, lanes, quotas and what it must give back. */
#ifndef SHMCACHE_SESSION_H
#define SHMCACHE_SESSION_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "ipc/abi.h"
#include "ipc/histogram.h"
#include "ipc/wire.h"
#include "shmcache/config/config.h"
#include "shmcache/holds.h"
#include "shmcache/remote/desk.h"
#include "shmcache/store.h"
#include "shmcache/watch.h"

struct session;

/* A flush that goes on over several rounds. */
struct lane_flush {
	uint32_t id;
	uint64_t bucket, n_deleted, begin_ns;
	size_t prefix_size;
	uint8_t prefix[ABI_KEY_SIZE_MAX];
};

/*
 * One lane. The control thread sets it up and hands it to the session's worker, which is the only
 * one to touch it from then on, but for the holds and the counters, which anybody may read.
 */
struct lane {
	struct session *session;
	unsigned idx;
	int doorbell;
	const struct abi_lane_request *request; /* hostile memory */
	const struct abi_submission *submission;
	const uint8_t *staging;
	struct abi_lane_response *response;
	struct abi_completion *completion;
	struct abi_submission *elsewhere; /* shown to inspectors: fetch.c */
	uint16_t *spare; /* places there that were used and are free; NULL: none was ever used */
	unsigned n_spare, n_used;
	uint64_t consumed;  /* submissions taken; but for a running flush and tickets, answered */
	uint64_t completed; /* completions published */
	uint64_t reaped;    /* as the client last told, checked */
	uint64_t logged, hits, cxl_hits, misses; /* what was taken of the client's numbers so far */
	uint64_t miss[ABI_N_MISSES];
	struct histogram wait;
	bool owes_ring;			 /* the doorbell could not be rung for the last answer */
	struct lane_flush *flush;	 /* running, or NULL */
	struct lane *inbox_next;	 /* on its way to the worker */
};

struct session_reservation {
	uint64_t id; /* store_reservation(), 0: free */
	uint64_t size;
	bool if_absent;
};

struct session_pin {
	uint64_t pin; /* of the store */
	uint64_t size;
	uint64_t deadline_ms;
};

/* A record that no slot names, on its way into a hold of the client's; see store-fill.c. */
struct session_delivery {
	uint64_t id; /* as a reservation's */
	uint64_t size;
};

#define SESSION_PINS_MAX 1024
#define SESSION_REQUEST_NAME "shmcache-request" /* what /proc shows of a request region */

#ifndef SO_PASSRIGHTS
#define SO_PASSRIGHTS 83 /* Linux 6.16 */
#endif

/* The two regions, as they go to the client. */
struct session_descriptors {
	int request, response;
};

struct session {
	/* Set at the start, constant. */
	uint64_t id;
	pid_t pid;
	uid_t uid;
	enum wire_role role;
	struct abi_geometry geometry;
	struct config_session limits; /* as they were when it attached */
	uint8_t *request;
	uint8_t *response;
	size_t request_size, response_size;
	struct lane *lane; /* geometry.n_lanes */
	struct abi_session *directory;
	struct session_descriptors kept; /* of the regions: an inspector gets at them through /proc */
	struct worker *worker;
	struct desk *desk; /* where it may ask for what others have, NULL: nowhere */
	struct tray *tray; /* its worker's, for the answers */

	/* The control thread's. */
	struct watch socket, death; /* the connection; the process's pidfd */
	bool is_leaving, is_shut;
	unsigned event_kinds;  /* that it subscribed to; the control thread, then who gives back */
	bool is_due;	       /* it waits for events, and there are some */
	struct session *wait_next, **wait_link; /* of those that wait; link NULL: it does not */
	unsigned n_hand_overs; /* how many it may still send */
	unsigned n_unawaited;  /* how many it has sent besides */
	struct holds_seen held; /* at the last look */

	/* How many lanes the client has got; release, then never less. */
	_Atomic unsigned n_lanes;
	_Atomic unsigned fault; /* enum abi_fault; set once, see session_cut_off() */

	/* The worker's. */
	struct session_reservation *reservation; /* limits.reservations */
	struct session_pin *pin;
	unsigned n_reservations, n_pins, n_pins_max, next_drain;
	uint64_t reserved_size, pinned_size;
	struct session_delivery *delivery;
	unsigned n_deliveries, n_deliveries_max;
	uint64_t delivered_size;
	struct ticket *tickets; /* out */
	struct ticket *leave;	/* to tell that it left; NULL: it never asked */

	struct session *next, **link;	/* of the broker's list, under its sessions lock */
	struct session *inbox_next;	/* on its way out */
};

/*
 * Make a session with its regions. 0 or a negative errno. The sockets are the caller's to
 * fill in, and so is @kept, from @fds; session_free() closes them.
 */
int session_new(struct session **out, const struct config *config, struct session_descriptors *fds);

/* Tell in the session's line of the directory where its regions are, and how they are laid out. */
void session_tell_regions(const struct session *s);

/* Unmap and free; what it held of the store must have been given back. */
void session_free(struct session *s);

/*
 * Set up the next lane; *client_end is the caller's to send and close. The client must have mapped
 * its request region: from the first lane on nobody can map it for writing, nor punch holes into
 * it. 0, -EUSERS: no more lanes, -EBADMSG: the client keeps us from sealing the region, or -errno.
 */
int session_lane_open(struct session *s, struct lane **lane, int *client_end);

/* Mark the hold cells' cells. Any thread; the session must not go meanwhile. */
void session_scan_holds(const struct session *s, struct index *ix, uint8_t round);

/* How many hold cells are set. As session_scan_holds(). */
uint64_t session_n_held(const struct session *s);

/*
 * The same, and its line of the directory tells since when they have stood. By the control thread,
 * now and then; the session must not go meanwhile.
 */
uint64_t session_look_at_holds(struct session *s, uint64_t now_ms);

/* Bytes of retired blocks of a tier that its holds keep. As session_scan_holds(). */
uint64_t session_held_size(const struct session *s, struct store *store, unsigned tier);

/*
 * Reservations, deliveries and pins go back to the store, tickets are nobody's. By the worker, or
 * after it.
 */
void session_give_back(struct session *s, struct store *store, struct abi_worker *w);

/* Let pins go whose time is over, with @gone also those whose entry is no more. By the worker. */
void session_expire_pins(struct session *s, struct store *store, uint64_t now_ms, bool gone);

/*
 * Mark the session as broken, once: its rings are dead, its holds, pins and reservations stay until
 * it hangs up. Any broker thread; returns whether it was this call that did it.
 */
bool session_cut_off(struct session *s, struct abi_worker *w, enum abi_fault fault);

static inline bool session_is_cut_off(const struct session *s)
{
	return atomic_load_explicit(&s->fault, memory_order_relaxed) != ABI_FAULT_NONE;
}

/* Feed access log and counters to the store. By the worker. */
void session_drain_logs(struct session *s, struct store *store, struct abi_worker *w);

/* Take over what its clients tell of their waits; now and then, and at the end. By the worker. */
void session_drain_waits(struct session *s, struct abi_worker *w);

#endif
