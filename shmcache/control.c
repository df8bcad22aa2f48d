/* SPDX-License-Identifier: Apache-2.0 */
/* control.c: commands on the attach socket, and the one that reads the configuration again. */
#include <errno.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "shmcache/broker.h"
#include "shmcache/control.h"

/*
 * A signal has no answer: who sends SIGHUP has to look for the outcome in the log. So commands come
 * on the socket that is there anyway, where the kernel says who asks; the broker's own user and
 * root may, which are those who could signal it. SIGHUP does the same as a reload, for those who
 * expect it.
 *
 * A reload is all or nothing at its beginning (a configuration with an error changes nothing), and
 * key by key then: what a running broker can change takes effect, the rest is named and stays. The
 * effective configuration is written by this thread alone; workers look at struct broker_tuning,
 * sessions at the limits that they were welcomed with.
 */
void control_tell(int fd, enum wire_outcome outcome, const char *format, ...)
{
	struct wire_told message = {.outcome = outcome};
	va_list args;

	if (fd < 0)
		return;
	va_start(args, format);
	vsnprintf(message.text, sizeof(message.text), format, args);
	va_end(args);
	/* Who does not read loses it. */
	(void)wire_send(fd, WIRE_TOLD, &message, sizeof(message), NULL, 0);
}

/* --- reload ----------------------------------------------------------------------------------- */

struct reload {
	struct broker *b;
	int fd;
	unsigned n_changed, n_kept;
};

static void tell_change(void *context, enum config_change change, const char *key, const char *was,
	const char *value)
{
	struct reload *reload = context;
	struct log *log = reload->b->log;

	if (change == CONFIG_CHANGE_NEXT_START) {
		reload->n_kept++;
		log_warning(log, "reload-needs-restart", LOG_STR("key", key), LOG_STR("runs", was),
			LOG_STR("wanted", value));
		control_tell(reload->fd, WIRE_OUTCOME_MORE,
			"%s = %.60s: needs a restart, %.60s stays until then", key, value,
			*was ? was : "(empty)");
		return;
	}
	reload->n_changed++;
	log_info(log, "reload-changed", LOG_STR("key", key), LOG_STR("was", was),
		LOG_STR("value", value),
		LOG_STR("for", change == CONFIG_CHANGE_NEXT_SESSION ? "new sessions" : "all"));
	control_tell(reload->fd, WIRE_OUTCOME_MORE, "%s = %.60s%s (was %.60s)", key, value,
		change == CONFIG_CHANGE_NEXT_SESSION ? ", for sessions from now on" : "",
		*was ? was : "empty");
}

static void tell_errors(struct broker *b, int fd, const struct config_errors *errors)
{
	unsigned i;

	for (i = 0; i < errors->n; i++) {
		log_error(b->log, "reload-failed", LOG_STR("why", errors->at[i].text));
		control_tell(fd, WIRE_OUTCOME_MORE, "%.250s", errors->at[i].text);
	}
	control_tell(fd, WIRE_OUTCOME_FAILED, "nothing was changed");
}

/*
 * The plane has so many lines for sessions, half of them for those of a broker before, and no more
 * until it is made anew.
 */
static void limit_sessions(struct reload *reload, struct config *wanted)
{
	unsigned n_lines = reload->b->plane.shared->n_sessions_max / 2;
	char was[16], value[16];

	if (wanted->session.n_max <= n_lines)
		return;
	snprintf(was, sizeof(was), "%u", n_lines);
	snprintf(value, sizeof(value), "%u", wanted->session.n_max);
	tell_change(reload, CONFIG_CHANGE_NEXT_START, "session.max", was, value);
	wanted->session.n_max = n_lines;
}

static void tell_nothing(void *context, enum config_change change, const char *key,
	const char *was, const char *value)
{
	(void)context;
	(void)change;
	(void)key;
	(void)was;
	(void)value;
}

/* Where metrics are served is the one change that can fail. */
static bool listen_there(struct broker *b, const struct config *wanted, int fd)
{
	char why[256];

	if (!strcmp(b->config->metrics.listen, wanted->metrics.listen) ||
		!broker_listen(b, wanted->metrics.listen, why, sizeof(why)))
		return true;
	log_error(b->log, "reload-failed", LOG_STR("why", why));
	control_tell(fd, WIRE_OUTCOME_MORE, "%.240s", why);
	control_tell(fd, WIRE_OUTCOME_FAILED, "nothing was changed");
	return false;
}

static void apply(struct broker *b, struct config *wanted)
{
	struct config *c = b->config;

	b->as_read = *wanted;
	/*
	 * What was filled in at the start stays; so far @wanted has the file's 0 for "as you like".
	 */
	config_take_over(c, wanted, tell_nothing, NULL);
	*c = *wanted;
	log_set_level(b->log, c->log.level);
	log_set_target(b->log, c->log.target, getenv("JOURNAL_STREAM"));
	pthread_mutex_lock(&b->store.lock);
	b->store.batch = c->eviction.batch;
	pthread_mutex_unlock(&b->store.lock);
	broker_tune(b);
	remote_reload(b->remote, c);
}

void control_reload(struct broker *b, int fd)
{
	struct reload reload = {.b = b, .fd = fd};
	struct config *wanted = calloc(1, sizeof(*wanted));
	struct config_errors *errors = calloc(1, sizeof(*errors));

	if (!wanted || !errors) {
		log_error(b->log, "reload-failed", LOG_STR("why", "out of memory"));
		control_tell(fd, WIRE_OUTCOME_FAILED, "out of memory; nothing was changed");
	} else if (settings_read(b->settings, wanted, errors)) {
		tell_errors(b, fd, errors);
	} else {
		limit_sessions(&reload, wanted);
		config_take_over(&b->as_read, wanted, tell_change, &reload);
		/* What stays and what changes has to make sense together as well. */
		if (config_check(wanted, errors)) {
			tell_errors(b, fd, errors);
		} else if (listen_there(b, wanted, fd)) {
			apply(b, wanted);
			log_info(b->log, "reloaded", LOG_U64("changed", reload.n_changed),
				LOG_U64("kept", reload.n_kept));
			control_tell(fd, WIRE_OUTCOME_DONE, "%u changed, %u need%s a restart",
				reload.n_changed, reload.n_kept, reload.n_kept == 1 ? "s" : "");
		}
	}
	free(errors);
	free(wanted);
}

/* --- commands --------------------------------------------------------------------------------- */

bool control_run(struct broker *b, int fd, const struct ucred *peer,
	const struct wire_control *message)
{
	struct wire_refused refused = {.refusal = WIRE_REFUSAL_ACCESS,
		.why = "only the broker's own user and root may do that"};

	if (peer->uid != geteuid() && peer->uid != 0) {
		log_warning(b->log, "control-refused", LOG_I64("pid", peer->pid),
			LOG_U64("uid", peer->uid));
		(void)wire_send(fd, WIRE_REFUSED, &refused, sizeof(refused), NULL, 0);
		return false;
	}
	switch (message->command) {
	case WIRE_COMMAND_RELOAD:
		log_info(b->log, "reload", LOG_I64("pid", peer->pid), LOG_U64("uid", peer->uid));
		control_reload(b, fd);
		return false;
	case WIRE_COMMAND_DRAIN:
		log_info(b->log, "drain", LOG_I64("pid", peer->pid), LOG_U64("uid", peer->uid),
			LOG_U64("within_ms", message->within_ms));
		return drain_begin(b, fd, message->within_ms);
	case WIRE_COMMAND_PEERS:
		peers_show(b, fd);
		return false;
	default:
		control_tell(fd, WIRE_OUTCOME_FAILED, "this broker knows no command %u",
			message->command);
		return false;
	}
}
