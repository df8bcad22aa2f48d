/* SPDX-License-Identifier: Apache-2.0 */
/* log.h - the broker's log: one line per event, bounded however often it happens. */
#ifndef SHMCACHE_LOG_LOG_H
#define SHMCACHE_LOG_LOG_H

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/*
 * A line looks like
 *
 *     level=info event=serving name=kv0 size=8589934592
 *     level=warning event=client-broken pid=4711 why="bad opcode \x07"
 *     level=warning event=client-broken repeated=3 suppressed=120
 *
 * and is written so:
 *
 *     log_warning(log, "client-broken", LOG_I64("pid", pid), LOG_STR("why", why));
 *     log_info(log, "stopped", LOG_NONE);
 *
 * Event names and keys are literals of the program, [a-z0-9_-] by convention. Values may be
 * anything, hostile bytes included: what could end a line, a value or a quotation is escaped.
 *
 * Whoever collects standard error stamps the time (the journal, a container runtime): lines
 * carry none, so that equal events give equal lines.
 */

enum log_level {
	LOG_LEVEL_ERROR,
	LOG_LEVEL_WARNING,
	LOG_LEVEL_INFO,
	LOG_LEVEL_DEBUG,
};

enum log_target {
	LOG_TARGET_STDERR,  /* plain lines */
	LOG_TARGET_JOURNAL, /* lines that begin with <N>, where a journal reads them */
};

enum {
	LOG_LINE_SIZE = 1024, /* a line with its newline; fields that don't fit become ... */
	LOG_VALUE_MAX = 256,  /* the room of one value as it is written; longer ones end in ... */
	LOG_SITES_MAX = 64,   /* events that are counted apart; later ones share the last place */
	LOG_PER_SECOND = 10,  /* lines of one event in one second, by default */
};

/* One key=value of a line; made by the macros below only. */
struct log_field {
	const char *key; /* NULL: no field */
	enum log_type { LOG_TYPE_STR, LOG_TYPE_I64, LOG_TYPE_U64, LOG_TYPE_HEX, LOG_TYPE_ERRNO } type;
	union log_value {
		const char *str;
		int64_t i64;
		uint64_t u64;
	} value;
	size_t len; /* of str; SIZE_MAX: NUL-terminated */
};

#define LOG_FIELD_(k, t, member, v, n) \
	((struct log_field){.key = (k), .type = (t), .value.member = (v), .len = (n)})

#define LOG_NONE LOG_FIELD_(NULL, LOG_TYPE_STR, str, NULL, 0)
/* A NUL-terminated string, or NULL, which is shown as an empty one. */
#define LOG_STR(key, s) LOG_FIELD_(key, LOG_TYPE_STR, str, s, SIZE_MAX)
/* n bytes that need no terminator, such as a key of the cache. */
#define LOG_BYTES(key, p, n) LOG_FIELD_(key, LOG_TYPE_STR, str, (const char *)(p), n)
#define LOG_I64(key, v) LOG_FIELD_(key, LOG_TYPE_I64, i64, v, 0)
#define LOG_U64(key, v) LOG_FIELD_(key, LOG_TYPE_U64, u64, v, 0)
#define LOG_HEX(key, v) LOG_FIELD_(key, LOG_TYPE_HEX, u64, v, 0)
/* An errno, positive or negative, shown by its name: error=ENOSPC. */
#define LOG_ERRNO(key, e) LOG_FIELD_(key, LOG_TYPE_ERRNO, i64, e, 0)

/* What one event (its level and its name) did in the second that began at since_ns. */
struct log_site {
	const char *event; /* NULL: free */
	enum log_level level;
	uint64_t since_ns;
	unsigned n_lines;      /* written in this second */
	unsigned n_repeated;   /* left out, being equal to last */
	unsigned n_suppressed; /* left out, being too many */
	char last[LOG_LINE_SIZE];
};

struct log {
	int fd; /* borrowed */
	unsigned per_second;
	uint64_t (*now_ns)(void); /* monotonic; a test may put its own clock here */
	_Atomic unsigned level;
	atomic_bool is_prefixed; /* <N> at the head of each line */

	pthread_mutex_t lock; /* what follows, and the order of lines on fd */
	unsigned n_lost;      /* lines that fd would not take without blocking */
	struct log_site sites[LOG_SITES_MAX];
};

/*
 * Begins a log at level info on fd, which stays the caller's and must stay open. Whoever makes
 * the log owns it (about 68 KiB: not on a small stack). The process should ignore SIGPIPE, for
 * the reader of fd may go at any time.
 */
void log_init(struct log *log, int fd);

/* Writes the counts that are still owed. Nobody else may be using the log. */
void log_deinit(struct log *log);

/* Any thread, at any time: events above that level cost one relaxed load from now on. */
void log_set_level(struct log *log, enum log_level level);

/*
 * With LOG_TARGET_JOURNAL lines get the <N> prefix by which a journal knows their level,
 * provided that fd really leads there: journal_stream is the value of JOURNAL_STREAM in the
 * environment ("device:inode", or NULL). Returns whether they do; where they don't, lines stay
 * plain.
 */
bool log_set_target(struct log *log, enum log_target target, const char *journal_stream);

/* Whether an event of that level would be written; to spare the work of gathering fields. */
bool log_enabled(struct log *log, enum log_level level);

/*
 * Writes one event. Any thread; never blocks on a reader that does not read (the line is then
 * counted as lost), never allocates. event must outlive the log: a literal.
 *
 * Within one second of the first line of an event, equal lines that follow each other are
 * counted instead of written, and so is whatever goes beyond LOG_PER_SECOND lines. The counts
 * come out as one line when the event happens again after that second, or with log_flush().
 */
void log_write(struct log *log, enum log_level level, const char *event,
	       const struct log_field *fields, size_t n_fields);

/* Writes the counts whose second is over. For the broker's timer, once a second or less. */
void log_flush(struct log *log);

#define log_event(log, level, event, ...)                                                \
	log_write(log, level, event, (const struct log_field[]){__VA_ARGS__},            \
		  sizeof((const struct log_field[]){__VA_ARGS__}) / sizeof(struct log_field))

#define log_error(log, event, ...) log_event(log, LOG_LEVEL_ERROR, event, __VA_ARGS__)
#define log_warning(log, event, ...) log_event(log, LOG_LEVEL_WARNING, event, __VA_ARGS__)
#define log_info(log, event, ...) log_event(log, LOG_LEVEL_INFO, event, __VA_ARGS__)
#define log_debug(log, event, ...) log_event(log, LOG_LEVEL_DEBUG, event, __VA_ARGS__)

/* "error", "warning", "info", "debug". */
const char *log_level_name(enum log_level level);

#endif
