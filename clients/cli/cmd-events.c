/* SPDX-License-Identifier: Apache-2.0 */
/*
 * cmd-events.c: what happens in the cache, as it happens: a line an event.
 *
 * What is lost is told as a line of its own where it is missing, so that whoever reads the lines
 * knows that his books are wrong from here on. A line goes out at once; while events come without a
 * pause, they go out together.
 */
#include <errno.h>
#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "clients/cli/command.h"
#include "clients/cli/key.h"
#include "clients/cli/options.h"
#include "clients/cli/text.h"
#include "clients/cli/units.h"

enum { OPT_PREFIX = OPTIONS_OWN, OPT_KINDS, OPT_COUNT };

static const struct option events_longs[] = {
	{ "prefix", required_argument, NULL, OPT_PREFIX },
	{ "kinds", required_argument, NULL, OPT_KINDS },
	{ "count", required_argument, NULL, OPT_COUNT },
	{ NULL, 0, NULL, 0 },
};

struct events {
	struct cli *cli;
	struct key prefix;
	unsigned kinds;
	uint64_t count, n_printed;
};

static const char *const kind_names[] = { "stored", "accessed", "evicted", "deleted" };

static const char *event_name(const struct shmc_event *event)
{
	return event->kind == SHMC_EVENT_LOST ? "lost" : kind_names[event->kind];
}

static void events_print_json(const struct shmc_event *event)
{
	struct json_object *object = json_new();

	json_add_string(object, "event", event_name(event));
	if (event->kind == SHMC_EVENT_LOST) {
		json_add_uint(object, "n_lost", event->n_lost);
	} else {
		json_add_bytes(object, "key", event->key, event->key_size);
		json_add_uint(object, "value_size", event->value_size);
		json_add_string(object, "tier", key_tier_name(event->tier));
		json_add_uint(object, "time_ms", event->time_ms);
		json_add_uint(object, "number", event->number);
		if (event->kind == SHMC_EVENT_STORED)
			json_add_bool(object, "replaced", event->flags & SHMC_EVENT_REPLACED);
		if (event->kind == SHMC_EVENT_DELETED)
			json_add_bool(object, "expired", event->flags & SHMC_EVENT_EXPIRED);
	}
	json_print(object);
}

static void events_print_text(const struct shmc_event *event)
{
	char clock[16], size[UNITS_TEXT_SIZE];
	time_t seconds = (time_t)(event->time_ms / 1000);
	struct tm tm;

	if (event->kind == SHMC_EVENT_LOST) {
		printf("%" PRIu64 " events lost\n", event->n_lost);
		return;
	}
	strftime(clock, sizeof(clock), "%H:%M:%S", localtime_r(&seconds, &tm));
	printf("%s.%03u  %-8s  %10s  %-4s  ", clock, (unsigned)(event->time_ms % 1000),
		event_name(event), units_size_format(size, event->value_size),
		key_tier_name(event->tier));
	text_print_escaped(stdout, event->key, event->key_size);
	putchar('\n');
}

static bool events_wants(const struct events *events, const struct shmc_event *event)
{
	return event->kind == SHMC_EVENT_LOST ||
		(event->key_size >= events->prefix.size &&
			!memcmp(event->key, events->prefix.bytes, events->prefix.size));
}

static void events_print(struct events *events, const struct shmc_event *event)
{
	if (!events_wants(events, event))
		return;
	if (events->cli->json)
		events_print_json(event);
	else
		events_print_text(event);
	events->n_printed++;
}

static bool events_is_done(const struct events *events)
{
	/* Nobody listens; main() tells why. */
	return ferror(stdout) || (events->count && events->n_printed >= events->count);
}

/* Flushed where there is a pause, so that a reader sees at once what there is. */
static int events_follow(struct events *events, struct shmc_events *subscription)
{
	struct shmc_event event;
	int r = 0;

	while (!events_is_done(events)) {
		r = shmc_events_next(subscription, &event, 0);
		if (r == SHMC_MISS) {
			fflush(stdout);
			r = shmc_events_next(subscription, &event, SHMC_TIMEOUT_NEVER);
		}
		if (r)
			break;
		events_print(events, &event);
	}
	return r;
}

static enum cli_exit events_kinds(struct events *events, const char *text)
{
	size_t n;
	unsigned i;

	for (; *text; text += n + (text[n] == ',')) {
		n = strcspn(text, ",");
		for (i = 0; i < 4; i++)
			if (strlen(kind_names[i]) == n && !memcmp(kind_names[i], text, n))
				break;
		if (i == 4)
			return cli_usage(events->cli, "'%.*s' is no kind of event: stored, accessed, "
				"evicted, deleted", (int)n, text);
		events->kinds |= 1U << i;
	}
	return CLI_OK;
}

static enum cli_exit events_option(struct events *events, int option)
{
	switch (option) {
	case OPT_PREFIX:
		return key_parse_prefix(events->cli, optarg, &events->prefix);
	case OPT_KINDS:
		return events_kinds(events, optarg);
	default:
		return options_number(events->cli, "--count", UINT64_MAX, &events->count);
	}
}

static enum cli_exit events_run(struct cli *cli, int argc, char **argv)
{
	struct events events = { .cli = cli };
	struct shmc_events *subscription;
	enum cli_exit status = CLI_OK;
	struct options o;
	int c, r;

	options_begin(&o, cli, argc, argv, "", events_longs, false);
	while (!status && (c = options_next(&o)) >= 0)
		status = events_option(&events, c);
	if (c == OPTIONS_STOP)
		return o.status;
	if (!status)
		status = options_operands(&o, 0, 0);
	if (!status)
		status = cli_attach(cli);
	if (status)
		return status;
	r = shmc_events_open(cli->cache, events.kinds, SHMC_TIMEOUT_DEFAULT, &subscription);
	if (r)
		return cli_result(cli, r, "subscribe to events", NULL, 0);
	r = events_follow(&events, subscription);
	shmc_events_close(subscription);
	return r ? cli_result(cli, r, "listen to events", NULL, 0) : CLI_OK;
}

const struct command command_events = {
	.name = "events",
	.summary = "print what is stored, read, evicted and deleted, as it happens",
	.usage = "[--prefix PREFIX] [--kinds KIND,...] [--count N]",
	.help = "      --prefix PREFIX  only of keys that begin so\n"
		"      --kinds KIND,... of stored, accessed, evicted, deleted: only these\n"
		"      --count N        end after N lines\n"
		"\n"
		"One event a line, with --json one JSON object a line. Reads are known to the\n"
		"broker late, and as a sample. Who reads the lines too slowly loses events, and\n"
		"a line says how many; the cache does not wait.\n"
		"\n"
		"Examples:\n"
		"  shmcache events --prefix model/\n"
		"  shmcache events --kinds stored,evicted,deleted --json | jq -r .key\n",
	.run = events_run,
};
