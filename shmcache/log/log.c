/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The broker logs what its clients do wrong, and a client may do wrong as often as it likes. So
 * the log is bounded in three ways, none of which hides that something happened:
 *
 *   - each event has a budget of lines per second; what exceeds it is counted, and what merely
 *     repeats the line before is counted apart. The counts come out as a line of their own;
 *   - the books of the budget are a fixed table, and events that find no place in it share one;
 *   - a line that the reader of standard error is too slow for is dropped and counted, because
 *     a worker that waits for a terminal or a log shipper is a cache that stands still.
 *
 *	         level?      equal to the last?     budget left?      reader ready?
 *	event ----> format ----> n_repeated++ ----> n_suppressed++ ----> n_lost++ ----> write
 *
 * The budget belongs to the event, not to the client: a client's number is one more value that
 * it could change with each attempt. One loud client may therefore use up the budget of an
 * event for a second, but never of another event.
 *
 * One lock covers the table and the descriptor. It is held for a table walk and one write that
 * does not block; formatting, the larger part, happens outside it.
 */
#include "shmcache/log/log.h"

#include "shmcache/log/line.h"

#include <poll.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#define SECOND_NS 1000000000u

static uint64_t now_monotonic_ns(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (uint64_t)t.tv_sec * SECOND_NS + (uint64_t)t.tv_nsec;
}

void log_init(struct log *log, int fd)
{
	memset(log, 0, sizeof(*log));
	pthread_mutex_init(&log->lock, NULL);
	log->fd = fd;
	log->per_second = LOG_PER_SECOND;
	log->now_ns = now_monotonic_ns;
	atomic_init(&log->level, LOG_LEVEL_INFO);
	atomic_init(&log->is_prefixed, false);
}

void log_set_level(struct log *log, enum log_level level)
{
	atomic_store_explicit(&log->level, level, memory_order_relaxed);
}

bool log_enabled(struct log *log, enum log_level level)
{
	return level <= atomic_load_explicit(&log->level, memory_order_relaxed);
}

/*
 * JOURNAL_STREAM alone proves nothing: it is inherited by children whose standard error was
 * redirected since. Only if it names the very file behind fd does a journal read there.
 */
static bool leads_to_journal(int fd, const char *journal_stream)
{
	struct stat st;
	unsigned long long dev, ino;
	char *end;

	if (!journal_stream || fstat(fd, &st) < 0)
		return false;
	dev = strtoull(journal_stream, &end, 10);
	if (end == journal_stream || *end != ':')
		return false;
	journal_stream = end + 1;
	ino = strtoull(journal_stream, &end, 10);
	return end != journal_stream && *end == '\0' && dev == st.st_dev && ino == st.st_ino;
}

bool log_set_target(struct log *log, enum log_target target, const char *journal_stream)
{
	bool prefixed = target == LOG_TARGET_JOURNAL && leads_to_journal(log->fd, journal_stream);

	atomic_store_explicit(&log->is_prefixed, prefixed, memory_order_relaxed);
	return prefixed;
}

/*
 * A pipe that polls writable has room for PIPE_BUF bytes at least, which is more than a line,
 * so the write neither blocks nor is cut. A reader that has gone is an error here and not a
 * SIGPIPE there.
 */
static bool write_line(struct log *log, const struct line *line)
{
	struct pollfd p = {.fd = log->fd, .events = POLLOUT};

	if (poll(&p, 1, 0) != 1 || p.revents != POLLOUT)
		return false;
	return write(log->fd, line->text, line->len) == (ssize_t)line->len;
}

static void begin_line(struct log *log, struct line *line, enum log_level level,
		const char *event)
{
	bool prefixed = atomic_load_explicit(&log->is_prefixed, memory_order_relaxed);

	line_begin(line, prefixed, level, event);
}

static void put_lost_locked(struct log *log)
{
	struct line line;

	if (!log->n_lost)
		return;
	begin_line(log, &line, LOG_LEVEL_WARNING, "log-lost");
	line_add(&line, &LOG_U64("lines", log->n_lost));
	line_end(&line);
	if (write_line(log, &line))
		log->n_lost = 0;
}

/* The loss is told before what comes after it, so that it stands where it happened. */
static void put_line_locked(struct log *log, const struct line *line)
{
	put_lost_locked(log);
	if (log->n_lost || !write_line(log, line))
		log->n_lost++;
}

/* Ends the second of a site: what was left out in it is told now. */
static void site_close_locked(struct log *log, struct log_site *site, uint64_t now)
{
	struct line line;

	if (site->n_repeated || site->n_suppressed) {
		begin_line(log, &line, site->level, site->event);
		line_add(&line, &LOG_U64("repeated", site->n_repeated));
		line_add(&line, &LOG_U64("suppressed", site->n_suppressed));
		line_end(&line);
		put_line_locked(log, &line);
	}
	site->since_ns = now;
	site->n_lines = 0;
	site->n_repeated = 0;
	site->n_suppressed = 0;
}

/* The site of an event, a fresh one, or the last one, which all that came too late share. */
static struct log_site *site_find_locked(struct log *log, enum log_level level,
		const char *event)
{
	struct log_site *site = log->sites;

	for (; site < &log->sites[LOG_SITES_MAX - 1]; site++) {
		if (!site->event) {
			site->event = event;
			site->level = level;
			return site;
		}
		if (site->level == level && !strcmp(site->event, event))
			return site;
	}
	site->event = "other-events";
	site->level = LOG_LEVEL_WARNING;
	return site;
}

static void site_count_locked(struct log *log, struct log_site *site, const struct line *line)
{
	if (site->n_lines && !strcmp(site->last, line->text)) {
		site->n_repeated++;
	} else if (site->n_lines >= log->per_second) {
		site->n_suppressed++;
	} else {
		put_line_locked(log, line);
		site->n_lines++;
		memcpy(site->last, line->text, line->len + 1);
	}
}

void log_write(struct log *log, enum log_level level, const char *event,
		const struct log_field *fields, size_t n_fields)
{
	struct log_site *site;
	struct line line;
	uint64_t now;

	if (!log_enabled(log, level))
		return;
	begin_line(log, &line, level, event);
	for (size_t i = 0; i < n_fields; i++)
		line_add(&line, &fields[i]);
	line_end(&line);

	pthread_mutex_lock(&log->lock);
	now = log->now_ns();
	site = site_find_locked(log, level, event);
	if (now - site->since_ns >= SECOND_NS)
		site_close_locked(log, site, now);
	site_count_locked(log, site, &line);
	pthread_mutex_unlock(&log->lock);
}

static void flush_older_than(struct log *log, uint64_t age_ns)
{
	uint64_t now;

	pthread_mutex_lock(&log->lock);
	now = log->now_ns();
	for (struct log_site *site = log->sites; site < &log->sites[LOG_SITES_MAX]; site++)
		if (site->event && now - site->since_ns >= age_ns)
			site_close_locked(log, site, now);
	put_lost_locked(log);
	pthread_mutex_unlock(&log->lock);
}

void log_flush(struct log *log)
{
	flush_older_than(log, SECOND_NS);
}

void log_deinit(struct log *log)
{
	flush_older_than(log, 0);
	pthread_mutex_destroy(&log->lock);
}
