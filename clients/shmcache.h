/* SPDX-License-Identifier: Apache-2.0 */
/* shmcache.h: the public interface of libshmcache, a client of the shmcached broker. */
#ifndef SHMCACHE_H
#define SHMCACHE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

/*
 * A process attaches to a cache by name and reads values in place: a hit takes no system call, no
 * lock, no copy and no word to the broker. Everything else travels to the broker on a ring.
 *
 *	struct shmc *cache;
 *	struct shmc_view view;
 *
 *	if (shmc_attach(&cache, "kv0", NULL) == 0) {
 *		if (shmc_get(cache, "answer", 6, &view) == 0) {
 *			use(view.data, view.size);
 *			shmc_release(cache, &view);
 *		}
 *		shmc_detach(cache);
 *	}
 *
 * Results. Every function that can fail returns an int: 0 is success, a negative errno is a
 * failure, and a positive enum shmc_outcome is an answer that the caller must handle. Out
 * parameters are written on success only. shmc_strerror() names all three.
 *
 * Threads. All functions on a struct shmc may be called from many threads at once, but for
 * shmc_detach(). A thread gets a lane of its own in shared memory at its first call, which asks the
 * broker for it and may wait as long as shmc_attach_options says, and gives it back when it ends. A
 * struct shmc_queue belongs to one thread at a time.
 *
 * Fork. A child can neither use nor harm its parent's handle: calls return -ECHILD, the maps are
 * not inherited (a view's bytes are not there). The child attaches anew; shmc_detach() of the
 * inherited handle frees its heap memory only.
 *
 * Broker gone. Calls find out by themselves, re-attach when a broker is back, and else answer
 * -ENOTCONN. Reads, which don't wait, may answer so while the way back is being found. What a
 * broker that was killed has left stands still, and reads are served from it until a request has
 * found the broker gone or another one has come. Views of before, and reserved blocks, stay what
 * they are: a broker that was started again asks for them before it uses any memory anew. Where it
 * can't (it may not look into this process, and no call of ours has attached again in time),
 * shmc_view_check() tells. Pins and open reservations are lost with the broker that granted them.
 *
 * Keys are 1 to SHMC_KEY_SIZE_MAX bytes of any content, values 1 byte to SHMC_VALUE_SIZE_MAX.
 * Sizes are in bytes, times in milliseconds unless a name says otherwise.
 */

#if defined(__GNUC__) && !defined(SHMC_PUBLIC)
#define SHMC_PUBLIC __attribute__((visibility("default")))
#elif !defined(SHMC_PUBLIC)
#define SHMC_PUBLIC
#endif

/* Of this header; the library keeps its binary interface while its soname stays. */
#define SHMC_VERSION_MAJOR 0
#define SHMC_VERSION_MINOR 1

#define SHMC_KEY_SIZE_MAX 1024
#define SHMC_VALUE_SIZE_MAX (UINT64_C(1) << 30)

/* Timeouts of blocking calls, besides 0 (don't wait) and milliseconds. */
#define SHMC_TIMEOUT_NEVER (-1)	  /* wait for ever */
#define SHMC_TIMEOUT_DEFAULT (-2) /* what shmc_attach_options asked for */

/* Answers that are no failure. */
enum shmc_outcome {
	SHMC_MISS = 1,	  /* no such entry (or it has expired) */
	SHMC_EXISTS = 2,  /* SHMC_IF_ABSENT, and somebody was first */
	SHMC_NOSPACE = 3, /* everything that could make room is held, pinned or reserved */
	SHMC_QUOTA = 4,	  /* this session's holds, pins, reservations or lanes are used up */
	SHMC_GONE = 5,	  /* the broker was restarted: the reservation or pin is lost */
	SHMC_FAILED = 6,  /* what was asked of the broker by shmc_control() */
};

enum shmc_role {
	SHMC_ROLE_NONE = 0,
	SHMC_ROLE_READER = 1, /* reads */
	SHMC_ROLE_STAGER = 2, /* reads, puts through its staging area */
	SHMC_ROLE_WRITER = 3, /* reads, puts, fills reserved blocks in place */
};

/*
 * Where a value lies, and as a hint with a put, where it should: ANY leaves it to the broker, which
 * prefers DRAM but for what is as large as its cxl.size_threshold; DRAM overrides that; CXL suits
 * what need not push others out of DRAM. A hint is followed where there is room, and binds nobody
 * later: what is cold in DRAM moves to CXL, what is read again and again there moves up. Neither is
 * seen by who reads or holds a view. Where there is one tier, hints have no effect.
 */
enum shmc_tier {
	SHMC_TIER_ANY = 0,
	SHMC_TIER_DRAM = 1,
	SHMC_TIER_CXL = 2,
};

/* Flags of a put or a reservation. */
#define SHMC_IF_ABSENT (1U << 0) /* first writer wins; else a put replaces */

/* And of a delete. */
#define SHMC_CLUSTER (1U << 1) /* tell all brokers: see shmc_delete_cluster() */

struct shmc;	   /* one attached cache */
struct shmc_queue; /* one asynchronous queue on it */

/* A key, as the batches take it. The bytes stay the caller's. */
struct shmc_key {
	const void *data;
	size_t size;
};

/*
 * A value in place. @data is aligned to 64 bytes, to 4096 from 64 KiB on, must not be written, and
 * stays as it is until shmc_release(), whatever happens to the entry meanwhile, and to the broker:
 * see shmc_view_check(). A view costs the cache the memory it holds: release it soon; a process
 * that keeps more than [session] held_max of the tier is cut off. The struct may be copied and
 * moved to another thread; it is released once.
 */
struct shmc_view {
	const void *data;
	size_t size;
	uint64_t reserved[2]; /* the library's */
};

/* What a put may say. Zeroes, or NULL for the whole, are the defaults. */
struct shmc_put_options {
	uint32_t flags;	   /* SHMC_IF_ABSENT */
	uint8_t tier;	   /* enum shmc_tier, a hint */
	uint8_t priority;  /* 0 normal; the higher, the later evicted */
	uint64_t ttl_ms;   /* 0: does not expire */
	uint64_t group;	   /* 0: none; chunks of one chain share it */
	uint32_t position; /* in the group, 0 is the head */
};

/*
 * A block to fill in place. @data is writable until shmc_commit() or shmc_abort(), nobody sees it
 * before the commit. Opened by one thread, it may be filled and finished by another.
 */
struct shmc_reservation {
	void *data;
	size_t size;
	uint64_t reserved[4]; /* the library's */
};

/* What is known of an entry without reading its value. */
struct shmc_entry {
	const void *key; /* valid as the function that filled it says */
	size_t key_size;
	size_t value_size;
	uint8_t tier;	 /* enum shmc_tier */
	uint8_t priority;
	uint64_t ttl_ms; /* what is left, 0: does not expire */
	uint64_t group;	 /* 0: none */
	uint32_t position;
};

/* --- attach ----------------------------------------------------------------------------------- */

struct shmc_attach_options {
	int timeout_ms;	    /* for attach itself, and SHMC_TIMEOUT_DEFAULT; 0: 5000; may be
			     * SHMC_TIMEOUT_NEVER */
	enum shmc_role role; /* ask for no more than this; 0: all that the broker allows */
	unsigned spin_us;   /* wait awake so long before sleeping; 0: 50; UINT_MAX: not at all */
	char *why;	    /* on failure: a sentence for a person, or NULL */
	size_t why_size;
};

/*
 * Attach to the cache @name (1 to 48 characters of A-Z a-z 0-9 _ -). @options may be NULL. The
 * handle is the caller's, to be given to shmc_detach().
 *
 * Errors: -EINVAL (name), -ENOENT (no such cache), -ECONNREFUSED (the cache is there, no broker
 * serves it), -EPROTONOSUPPORT (broker of another version), -EACCES (the broker's configuration
 * gives this user no role, or less than asked), -ETIMEDOUT, -EUSERS (too many sessions), -ENOMEM,
 * and what the system calls behind it say.
 */
SHMC_PUBLIC int shmc_attach(
	struct shmc **cache, const char *name, const struct shmc_attach_options *options);

/*
 * Give everything back and free @cache (NULL is ignored). The caller sees to it that no other call
 * on the handle runs; views become invalid, open reservations are aborted, pins dropped, queues
 * closed.
 */
SHMC_PUBLIC void shmc_detach(struct shmc *cache);

SHMC_PUBLIC enum shmc_role shmc_role(const struct shmc *cache);
SHMC_PUBLIC const char *shmc_name(const struct shmc *cache);

/* A static text for a result of any function here: 0, a negative errno, an outcome. */
SHMC_PUBLIC const char *shmc_strerror(int result);

/* --- read: one-sided, never blocks ------------------------------------------------------------ */

/*
 * Look @key up and hold its value. 0 and a view, SHMC_MISS, or SHMC_QUOTA when this thread holds as
 * many views as a lane has cells, or has no lane since others have them all. Errors: -EINVAL (key
 * size), -ENOTCONN, -ECHILD; from a thread's first call also -ETIMEDOUT, -ENOMEM, -EMFILE.
 */
SHMC_PUBLIC int shmc_get(
	struct shmc *cache, const void *key, size_t key_size, struct shmc_view *view);

/* Let go of a view, from any thread. The view is cleared; releasing a cleared one does nothing. */
SHMC_PUBLIC void shmc_release(struct shmc *cache, struct shmc_view *view);

/*
 * Was what was read in @view until now the value? 0; SHMC_GONE when a broker was started that does
 * not honour it, or this process was cut off since, and the bytes may be others. To be asked after
 * the bytes were used, and before shmc_release(), where a wrong byte matters more than the price of
 * a lock: shmc_read() does the like by itself. -EINVAL: a cleared view; -ECHILD.
 */
SHMC_PUBLIC int shmc_view_check(struct shmc *cache, const struct shmc_view *view);

/*
 * shmc_get() for @n keys at once, at a fraction of the price for each: results[i] is what
 * shmc_get() would return, views[i] is written where it is 0. Returns the number of hits, or a
 * negative errno that concerns all (-ENOTCONN, -ECHILD).
 */
SHMC_PUBLIC int shmc_get_many(struct shmc *cache, const struct shmc_key *keys, size_t n,
	struct shmc_view *views, int *results);
SHMC_PUBLIC void shmc_release_many(struct shmc *cache, struct shmc_view *views, size_t n);

/*
 * Copy a value out. *value_size (may be NULL) gets the value's size on 0, and also on -ENOSPC,
 * which says that @buffer is too small and nothing was copied. Else as shmc_get().
 */
SHMC_PUBLIC int shmc_read(struct shmc *cache, const void *key, size_t key_size, void *buffer,
	size_t buffer_size, size_t *value_size);

/* 0 or SHMC_MISS, without a hold that outlasts the call and without a trace in the statistics. */
SHMC_PUBLIC int shmc_exists(struct shmc *cache, const void *key, size_t key_size);

/* Describe an entry; entry->key is @key. 0 or SHMC_MISS. */
SHMC_PUBLIC int shmc_stat(
	struct shmc *cache, const void *key, size_t key_size, struct shmc_entry *entry);

/*
 * Visit entries whose key begins with @prefix (prefix_size 0: all), a page at a time. *cursor is 0
 * at the start and 0 again after the last page. @visit gets each entry, valid during the call; a
 * non-zero return ends the page early and is returned, with *cursor behind that entry. A page looks
 * at up to @budget buckets of the index (0: 1024). An entry that is there from the first page to
 * the last is seen at least once (twice, when the index grows meanwhile). @visit may call the
 * library; when that finds the broker gone, the page ends with -ENOTCONN. 0, -EINVAL, and the
 * errors of shmc_get().
 */
typedef int shmc_visit_fn(void *context, const struct shmc_entry *entry);
SHMC_PUBLIC int shmc_scan(struct shmc *cache, uint64_t *cursor, const void *prefix,
	size_t prefix_size, size_t budget, shmc_visit_fn *visit, void *context);

/* --- events ----------------------------------------------------------------------------------- */

/*
 * What happens to the entries of a cache, for those who keep book of it elsewhere: told in the
 * order in which it happened. The broker writes events to a ring in shared memory, does not know
 * who reads them, and waits for nobody: who is slower than it for longer than the ring lasts (some
 * 30,000 events with keys of 100 bytes) loses events, and is told how many. A subscription takes
 * one of the broker's sessions, depends in nothing else on the handle, and may outlive it. One
 * thread at a time uses it; not in a fork's child.
 */
enum shmc_event_kind {
	SHMC_EVENT_STORED = 0,	 /* a value was published */
	SHMC_EVENT_ACCESSED = 1, /* it was read: a sample, as the broker gets to know of reads, and late */
	SHMC_EVENT_EVICTED = 2,	 /* given up for room */
	SHMC_EVENT_DELETED = 3,	 /* by request, or because its time was over */
	SHMC_EVENT_LOST = 100,	 /* events were lost here, of whatever kind: n_lost */
};

#define SHMC_EVENTS_ALL 0xfU /* 1 << kind, for each of the first four */

#define SHMC_EVENT_REPLACED (1U << 0) /* of STORED: instead of another value, which is gone */
#define SHMC_EVENT_EXPIRED (1U << 1)  /* of DELETED: its time was over */

struct shmc_event {
	enum shmc_event_kind kind;
	uint32_t flags;
	enum shmc_tier tier; /* where the value is, or was */
	const void *key;     /* until the next call for this subscription */
	size_t key_size;
	uint64_t value_size;
	uint64_t time_ms; /* of the day: since 1970 */
	uint64_t number;  /* of this run of the broker: one more at each event of any kind */
	uint64_t n_lost;  /* of LOST */
};

struct shmc_events;

/*
 * Hear of what happens from now on: @kinds are 1 << kind of those that are wanted, 0: all. What
 * nobody wants is not written, and hits are many: who has no use for ACCESSED better leaves it out.
 * 0, -EINVAL, -ENOMEM, -ETIMEDOUT, -ECHILD, and the errors of shmc_attach().
 */
SHMC_PUBLIC int shmc_events_open(
	struct shmc *cache, unsigned kinds, int timeout_ms, struct shmc_events **events);

/*
 * The next event. Waits up to @timeout_ms (SHMC_TIMEOUT_NEVER: for ever). 0, SHMC_MISS: none came;
 * -ENOTCONN: the broker is gone, and all that it wrote was read; open another subscription.
 * -EINVAL, -ECHILD.
 *
 * Who reads as fast as events come, or stands still, costs the broker nothing. Who has read all is
 * woken by the next one of his kinds: at once where it is the first for 5 ms, else when these are
 * over, with all that came meanwhile.
 */
SHMC_PUBLIC int shmc_events_next(
	struct shmc_events *events, struct shmc_event *event, int timeout_ms);

/*
 * A descriptor that polls readable when shmc_events_next() would return something else than
 * SHMC_MISS; now and then for nothing. It stays the subscription's: only poll it. Take events with
 * timeout 0 until there is SHMC_MISS before waiting on it: with that the broker is asked to tell of
 * the next. -EINVAL: NULL.
 */
SHMC_PUBLIC int shmc_events_fd(const struct shmc_events *events);

/* NULL is fine. */
SHMC_PUBLIC void shmc_events_close(struct shmc_events *events);

/* --- write: by the broker, blocks up to the timeout ------------------------------------------- */

/*
 * All of them: -ETIMEDOUT says that no answer came in time; the broker may still carry the request
 * out. -EACCES: the role does not allow it. -ENOTCONN: no broker; unknown whether it was carried
 * out when the broker went away in the middle. -EINVAL: key or option. -EFBIG: the value is larger
 * than SHMC_VALUE_SIZE_MAX or than the tier. -ENOMEM: the broker's own memory is exhausted, or this
 * process's; -EMFILE: its descriptors. -EIO: the memory of the tier was taken away. -ECHILD.
 * SHMC_QUOTA: more threads of this process are at it than the session has lanes.
 */

/* Store @value under @key. 0, SHMC_EXISTS (with SHMC_IF_ABSENT), SHMC_NOSPACE. */
SHMC_PUBLIC int shmc_put(struct shmc *cache, const void *key, size_t key_size, const void *value,
	size_t value_size, const struct shmc_put_options *options, int timeout_ms);

/*
 * Reserve a block of @size bytes for @key (role writer). 0, SHMC_EXISTS (with SHMC_IF_ABSENT),
 * SHMC_NOSPACE, SHMC_QUOTA. The contents are undefined, old bytes may be there.
 */
SHMC_PUBLIC int shmc_reserve(struct shmc *cache, const void *key, size_t key_size, size_t size,
	const struct shmc_put_options *options, struct shmc_reservation *reservation,
	int timeout_ms);

/*
 * Publish it, whole. 0, SHMC_EXISTS (with SHMC_IF_ABSENT: another came first, the block is given
 * back), SHMC_GONE. The reservation is cleared whatever the result but -ETIMEDOUT and SHMC_QUOTA,
 * after which it may be tried again.
 */
SHMC_PUBLIC int shmc_commit(
	struct shmc *cache, struct shmc_reservation *reservation, int timeout_ms);

/*
 * Give it back unpublished. 0 or SHMC_GONE; cleared as above. Aborting a cleared one does nothing.
 */
SHMC_PUBLIC int shmc_abort(
	struct shmc *cache, struct shmc_reservation *reservation, int timeout_ms);

/* 0 or SHMC_MISS. Views that others hold stay valid. */
SHMC_PUBLIC int shmc_delete(
	struct shmc *cache, const void *key, size_t key_size, int timeout_ms);

/* Set the time to live from now (0: does not expire) and renew the recency. 0 or SHMC_MISS. */
SHMC_PUBLIC int shmc_touch(
	struct shmc *cache, const void *key, size_t key_size, uint64_t ttl_ms, int timeout_ms);

/*
 * Keep an entry from eviction for @limit_ms (at most, and for 0, what the configuration allows), or
 * until shmc_unpin(), shmc_detach() or the end of this process. Pinning again extends the time. A
 * pin does not keep others from deleting or replacing it. 0, SHMC_MISS, SHMC_QUOTA.
 */
SHMC_PUBLIC int shmc_pin(
	struct shmc *cache, const void *key, size_t key_size, uint64_t limit_ms, int timeout_ms);
/* 0, or SHMC_MISS when this session has no pin there. */
SHMC_PUBLIC int shmc_unpin(
	struct shmc *cache, const void *key, size_t key_size, int timeout_ms);

/* Delete all entries, or those whose key begins with @prefix. *n_deleted may be NULL. */
SHMC_PUBLIC int shmc_flush(struct shmc *cache, const void *prefix, size_t prefix_size,
	uint64_t *n_deleted, int timeout_ms);

/* Ask the broker for nothing: a round trip. */
SHMC_PUBLIC int shmc_ping(struct shmc *cache, int timeout_ms);

/* --- fetch: from other brokers ---------------------------------------------------------------- */

/* What the broker does with a value that it fetched for us. */
enum shmc_write_back {
	SHMC_WRITE_BACK_CONFIGURED = 0, /* as its configuration says */
	SHMC_WRITE_BACK_ALWAYS = 1,	/* it becomes an entry here */
	SHMC_WRITE_BACK_ALL_FOUND = 2,	/* so it does if all of its batch were found */
	SHMC_WRITE_BACK_CONTIGUOUS_PREFIX = 3, /* if all before it in its batch were found */
	SHMC_WRITE_BACK_SECOND_HIT = 4, /* if it was fetched before, not long ago */
	SHMC_WRITE_BACK_FREE_SPACE = 5, /* if nothing has to be evicted for it */
	SHMC_WRITE_BACK_OFF = 6,	/* never */
};

/* Why a fetch was a miss. New ones may come: take one that is not here for a miss as any other. */
enum shmc_fetch_miss {
	SHMC_FETCH_NONE = 0,	    /* not told */
	SHMC_FETCH_NOBODY = 1,	    /* no other broker has it, as far as is known */
	SHMC_FETCH_UNREACHABLE = 2, /* none that may have it could be asked */
	SHMC_FETCH_TIMEOUT = 3,	    /* the deadline is over */
	SHMC_FETCH_CORRUPT = 4,	    /* what came was not what was stored */
	SHMC_FETCH_CANCELLED = 5,   /* the key was changed here meanwhile, or gone again each time it came */
	SHMC_FETCH_NOSPACE = 6,	    /* no memory could be had for it here */
	SHMC_FETCH_OFF = 7,	    /* the broker has nobody to ask */
	SHMC_FETCH_BUSY = 8,	    /* it fetches as much as it may */
	SHMC_FETCH_DECLINED = 9,    /* a prefetch of what would not become an entry */
};

struct shmc_fetch_options {
	uint8_t write_back;   /* enum shmc_write_back */
	uint32_t deadline_ms; /* for the broker; 0: as it is configured */
	/*
	 * For single requests of a batch, in a queue: a number that they share, and no other batch
	 * of the queue; where each stands, ascending; how many there are. One that is already here
	 * is no request: leave it out, and its position. shmc_fetch_many() does all that by itself.
	 */
	uint64_t batch; /* 0: none */
	uint32_t position, n_batch;
};

/*
 * shmc_get(), and on a miss have the broker get the value from another one. A hit asks nobody.
 * @options may be NULL. 0 and a view; SHMC_MISS, with the reason in *why (may be NULL); SHMC_QUOTA:
 * no hold cell or lane, or as much was delivered to this process as it may hold. What does not
 * become an entry is a view all the same, of memory that goes when it is released. Errors: those of
 * shmc_get() and shmc_ping(); after -ETIMEDOUT the broker may still bring it. @timeout_ms is for all
 * of it, also for the lane that a thread's first call needs.
 */
SHMC_PUBLIC int shmc_fetch(struct shmc *cache, const void *key, size_t key_size,
	const struct shmc_fetch_options *options, struct shmc_view *view, unsigned *why,
	int timeout_ms);

/*
 * The same for @n keys at once, which are one batch: results[i] is what shmc_fetch() would return,
 * views[i] is written where it is 0, whys[i] (@whys may be NULL) where it is SHMC_MISS. Returns the
 * number of values, or a negative errno when nothing was looked at (-EINVAL, -ENOTCONN, -ECHILD,
 * -ENOMEM, and -ETIMEDOUT where the thread's first call got no lane in that time).
 */
SHMC_PUBLIC int shmc_fetch_many(struct shmc *cache, const struct shmc_key *keys, size_t n,
	const struct shmc_fetch_options *options, struct shmc_view *views, int *results,
	unsigned *whys, int timeout_ms);

/*
 * Have the broker get what is not here, and wait for nothing. Returns how many of the keys were
 * seen to: less than @n when as many as may be are under way from this thread; or -EINVAL,
 * -ENOTCONN, -ECHILD.
 */
SHMC_PUBLIC int shmc_prefetch(struct shmc *cache, const struct shmc_key *keys, size_t n,
	const struct shmc_fetch_options *options);

/*
 * shmc_delete() here, and at all brokers that this one knows. *n_told of them have heard of it,
 * *n_failed could not be told in time and may go on to serve the value (both may be NULL). 0, or
 * SHMC_MISS: there was none here; in both cases the others were told.
 */
SHMC_PUBLIC int shmc_delete_cluster(struct shmc *cache, const void *key, size_t key_size,
	uint64_t *n_told, uint64_t *n_failed, int timeout_ms);

/* A static name for a reason, "?" for one that this library does not know. */
SHMC_PUBLIC const char *shmc_fetch_miss_name(unsigned why);

/* --- batches and asynchronous requests -------------------------------------------------------- */

enum shmc_operation {
	SHMC_OP_PING,
	SHMC_OP_GET,
	SHMC_OP_READ, /* value is the buffer, value_size its size, afterwards the value's */
	SHMC_OP_EXISTS,
	SHMC_OP_PUT,
	SHMC_OP_RESERVE, /* value_size is the size */
	SHMC_OP_COMMIT,
	SHMC_OP_ABORT,
	SHMC_OP_DELETE,
	SHMC_OP_TOUCH, /* options.ttl_ms */
	SHMC_OP_PIN,   /* limit_ms */
	SHMC_OP_UNPIN,
	SHMC_OP_FETCH,	  /* fetch; out: view, why */
	SHMC_OP_PREFETCH, /* fetch; done when it is known whether it came; out: why */
};

/*
 * One request of a batch or of a queue. The struct, the key, the value and the buffers are the
 * caller's, and stay as they are until the request is done; then @result holds what the function of
 * that name would return, and the out members are written where it is 0.
 */
struct shmc_request {
	enum shmc_operation operation;
	const void *key;
	size_t key_size;
	void *value; /* PUT: only read; READ: written */
	size_t value_size;
	struct shmc_put_options options;
	uint64_t limit_ms;
	struct shmc_view view;		     /* out of GET, FETCH */
	struct shmc_reservation reservation; /* out of RESERVE, in and cleared by COMMIT and ABORT */
	struct shmc_fetch_options fetch; /* FETCH, PREFETCH */
	unsigned why; /* out of FETCH, PREFETCH: enum shmc_fetch_miss, with SHMC_MISS */
	int result;
	void *user; /* the caller's own */
	struct {
		struct shmc_request *next;
		uint64_t words[6];
	} reserved; /* the library's until it is done */
};

/*
 * Run @n requests of any kinds, pipelined, and wait for all. They are begun in order, and requests
 * on one key take effect in order. 0 when each has its own result (look at each). Else all that
 * were not finished have the result that is returned: -ETIMEDOUT, -ENOTCONN, -ECHILD, -ENOMEM, or
 * SHMC_QUOTA (no lane for this thread). -EINVAL: nothing was looked at.
 */
SHMC_PUBLIC int shmc_execute(
	struct shmc *cache, struct shmc_request *requests, size_t n, int timeout_ms);

/*
 * Open a queue for asynchronous requests: a lane of its own. 0, SHMC_QUOTA (no lane left),
 * -ENOTCONN, -ENOMEM, -EMFILE. One thread at a time may use it.
 */
SHMC_PUBLIC int shmc_queue_open(struct shmc_queue **queue, struct shmc *cache);
/* Waits for nothing: unfinished requests are abandoned, their memory is the caller's again. */
SHMC_PUBLIC void shmc_queue_close(struct shmc_queue *queue);

/*
 * Begin up to @n requests in order. Returns how many were taken (less than @n when the ring or the
 * staging area is full: reap, then submit the rest) or a negative errno if none could be. A request
 * that is wrong in itself is taken, and done at once with its error as the result. After -ENOTCONN
 * reap what is left, and submit again once a broker is back; -EUSERS: one is, but others have all
 * the lanes.
 */
SHMC_PUBLIC int shmc_submit(
	struct shmc_queue *queue, struct shmc_request *const *requests, size_t n);

/*
 * Take finished requests, up to @max, in the order in which they finished; waits up to @timeout_ms
 * for the first. Returns how many, 0 when none came in time, or -ENOTCONN when none is ever to come
 * (unfinished requests are returned with that result before).
 */
SHMC_PUBLIC int shmc_reap(struct shmc_queue *queue, struct shmc_request **done, size_t max,
	int timeout_ms);

/*
 * A descriptor that polls readable when shmc_reap() would return something, or when nothing is
 * under way and a submit that did not take all can be tried again; now and then for nothing. It
 * stays the queue's: only poll it. Reap with timeout 0 until it returns 0 before waiting on it.
 */
SHMC_PUBLIC int shmc_queue_fd(const struct shmc_queue *queue);

/* --- numbers ---------------------------------------------------------------------------------- */

/* One counter or gauge. The names are stable, end in their unit, and follow Prometheus' custom. */
struct shmc_stat_value {
	const char *name; /* static */
	const char *help; /* static */
	bool is_counter;  /* only grows while a broker runs; else a gauge */
	uint64_t value;
	/*
	 * Of what is counted in kinds, such as requests by operation: what is told apart, and which
	 * kind this is, both static; else NULL. The kinds of one name stand together.
	 */
	const char *label, *kind;
};

/*
 * Fill up to @max values; returns how many there are in all (call with 0 to learn it), or a
 * negative errno. Read from shared memory: the broker is not asked.
 */
SHMC_PUBLIC int shmc_stats(struct shmc *cache, struct shmc_stat_value *values, size_t max);

struct shmc_tier_usage {
	uint64_t size; /* 0: there is no such tier */
	uint64_t used; /* in published entries, reservations and blocks that await reclaim */
	uint64_t largest_free;
	uint64_t n_entries;
	uint64_t n_hits; /* since the plane was made, as far as the broker has heard of them */
};

struct shmc_usage {
	struct shmc_tier_usage dram, cxl;
	uint64_t n_entries;
	uint64_t index_size;  /* bytes of the index that are backed by memory */
	uint64_t books_size;  /* bytes of the broker's private books */
	uint64_t pinned_size, reserved_size, limbo_size; /* limbo: retired, not yet reusable */
	uint64_t n_sessions;
	uint64_t uptime_ms;
	uint64_t epoch; /* how often a broker has been started on this memory */
	int broker_pid;
};

/* A snapshot; 0 or a negative errno. */
SHMC_PUBLIC int shmc_usage(struct shmc *cache, struct shmc_usage *usage);

/* --- for operators ---------------------------------------------------------------------------- */

enum shmc_command {
	SHMC_RELOAD = 1, /* read the configuration again; one with an error changes nothing */
	SHMC_DRAIN = 2,	 /* no new sessions; stop when no view and no reservation is left */
};

/* One sentence of what the broker tells on the way, without a newline; valid during the call. */
typedef void shmc_told_fn(void *context, const char *sentence);

struct shmc_control_options {
	int timeout_ms;	    /* for the outcome; 0: 5000, but for a drain SHMC_TIMEOUT_NEVER */
	uint32_t within_ms; /* drain: stop after this time, whatever is held then; 0: never */
	shmc_told_fn *told; /* or NULL */
	void *context;
	char *why; /* on failure: a sentence for a person, or NULL */
	size_t why_size;
};

/*
 * Ask the broker of @name, as its own user or as root, without attaching. @options may be NULL. 0:
 * it is done (after a drain, the broker's process is gone); SHMC_FAILED: it is not, or a drain gave
 * up on what was held, and the sentences told say why. Giving up on the answer does not take a
 * drain back.
 *
 * Errors: those of shmc_attach(); -EACCES (another user), -ENOTCONN (it went away meanwhile).
 */
SHMC_PUBLIC int shmc_control(
	const char *name, enum shmc_command command, const struct shmc_control_options *options);

enum shmc_peer_state {
	SHMC_PEER_CONNECTING = 0, /* there is no connection; it is tried again and again */
	SHMC_PEER_UP = 1,
	SHMC_PEER_REFUSED = 2,	  /* so, and the last attempt ended as one refused the other */
	SHMC_PEER_LEFT_ALONE = 3, /* connected, but too much failed: it is not asked for a while */
};

/* "connecting", "up", "refused", "breaker open", "?" for what there is none. Static. */
SHMC_PUBLIC const char *shmc_peer_state_name(unsigned state);

/* Another broker, as one sees it. Counters since that one started, strings of any bytes. */
struct shmc_peer {
	char name[64], address[128];
	char why[320]; /* there is no connection */
	unsigned state; /* enum shmc_peer_state */
	unsigned n_lanes; /* connections for values that stand */
	uint64_t state_ms; /* it has been in that state for so long */
	uint64_t n_links; /* times that a connection came up */
	uint64_t n_fetches; /* values that it was asked for */
	uint64_t n_misses, n_failures; /* of these: it had none; it sent none */
	uint64_t received_bytes; /* of values that it sent */
	uint64_t n_served, sent_bytes; /* values that were sent to it */
	uint64_t rtt_ns; /* of the last ping; 0: none yet */
	uint64_t p50_ns, p99_ns; /* of fetches that brought a value; 0: none yet */
	uint64_t capacity, free; /* bytes of its tiers, as it says; free UINT64_MAX: it does not */
	uint64_t n_records; /* keys that the shard of the directory here knows it to have */
};

#define SHMC_PEERS_MAX 256

struct shmc_cluster {
	bool is_joined; /* there is a section [remote]: else there is nothing else */
	bool is_shard;	/* the broker keeps a shard of the directory */
	uint64_t n_records; /* keys of which that knows who has them */
	char name[64], cluster[64], listen[128]; /* the broker's own */
	unsigned n_peers;
};

/*
 * Ask the broker of @name for the others that it knows, as shmc_control() does. 0: up to @max of
 * cluster->n_peers are in @peers, as of the last second; SHMC_FAILED: the sentence told says why.
 *
 * Errors: as there; -EBADMSG (the answer makes no sense).
 */
SHMC_PUBLIC int shmc_peers(const char *name, struct shmc_cluster *cluster, struct shmc_peer *peers,
	size_t max, const struct shmc_control_options *options);

#ifdef __cplusplus
}
#endif

#endif
