/* SPDX-License-Identifier: Apache-2.0 */
/* main.c: the ring inspector's command line. */
#include <errno.h>
#include <getopt.h>
#include <inttypes.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "clients/cli/json.h"
#include "clients/cli/text.h"
#include "clients/cli/units.h"
#include "clients/inspect/svg.h"
#include "clients/inspect/view.h"
#include "clients/inspect/watch.h"

/*
 * One run opens one image, live or from a file, and shows one view of it. It changes nothing and
 * asks nobody: what it is for is a broker that does not answer.
 */
enum {
	EXIT_FINE = 0,
	EXIT_USAGE = 1,	     /* or there is nothing to look at */
	EXIT_FINDINGS = 2,
};

enum view { VIEW_SUMMARY, VIEW_RING, VIEW_KEY, VIEW_HOLDERS, VIEW_CHECK, VIEW_WATCH, VIEW_MAP,
	VIEW_SAVE };

struct run {
	enum view view;
	bool json, key_hex;
	const char *name, *offline, *file, *key;
	struct view_ring ring;
	struct svg_options svg;
	struct watch_options watch;
};

static const char usage_text[] =
	"usage: shmcache-inspect [OPTION...] NAME\n"
	"       shmcache-inspect [OPTION...] --offline FILE\n"
	"Look into a cache from outside, also when its broker hangs, is stopped or is dead.\n\n"
	"  without an option      one screen of it all\n"
	"  --ring SESSION[.LANE]  what is in flight in a session's rings\n"
	"  --key KEY              where an entry is, and who holds it (--key-hex: in hexadecimal)\n"
	"  --holders              who keeps how much from being reused, worst first\n"
	"  --check                whether it contradicts itself; exits with 2 if it does\n"
	"  --watch                a live screen; without a terminal, plain pages\n"
	"      --interval TIME    between two looks (1s)\n"
	"      --count N          end after N of them\n"
	"  --map FILE.svg         a picture of each tier\n"
	"      --color WHAT       its colours: class (of size), age, or session (that holds)\n"
	"  --save FILE            a snapshot, for --offline\n"
	"  --offline FILE         look at a snapshot\n"
	"  --json                 print JSON\n"
	"  --help, --version\n\n"
	"Exit status: 0, 1 (usage, or there is nothing to look at), 2 (findings).\n";

__attribute__((format(printf, 1, 2)))
static int complain(const char *fmt, ...)
{
	va_list ap;

	fputs("shmcache-inspect: ", stderr);
	va_start(ap, fmt);
	vfprintf(stderr, fmt, ap);
	va_end(ap);
	fputc('\n', stderr);
	return EXIT_USAGE;
}

/* --- options ---------------------------------------------------------------------------------- */

enum { OPTION_RING = 0x100, OPTION_KEY, OPTION_KEY_HEX, OPTION_HOLDERS, OPTION_CHECK, OPTION_JSON,
	OPTION_WATCH, OPTION_INTERVAL, OPTION_COUNT, OPTION_MAP, OPTION_COLOR, OPTION_SAVE,
	OPTION_OFFLINE, OPTION_VERSION };

static const struct option options[] = {
	{"ring", required_argument, NULL, OPTION_RING},
	{"key", required_argument, NULL, OPTION_KEY},
	{"key-hex", required_argument, NULL, OPTION_KEY_HEX},
	{"holders", no_argument, NULL, OPTION_HOLDERS},
	{"check", no_argument, NULL, OPTION_CHECK},
	{"json", no_argument, NULL, OPTION_JSON},
	{"watch", no_argument, NULL, OPTION_WATCH},
	{"interval", required_argument, NULL, OPTION_INTERVAL},
	{"count", required_argument, NULL, OPTION_COUNT},
	{"map", required_argument, NULL, OPTION_MAP},
	{"color", required_argument, NULL, OPTION_COLOR},
	{"save", required_argument, NULL, OPTION_SAVE},
	{"offline", required_argument, NULL, OPTION_OFFLINE},
	{"help", no_argument, NULL, 'h'},
	{"version", no_argument, NULL, OPTION_VERSION},
	{0},
};

static bool parse_ring(const char *text, struct view_ring *ring)
{
	const char *dot = strchr(text, '.');
	char session[32], *colon;
	uint64_t lane, epoch = 0;

	if (strlen(text) >= sizeof(session))
		return false;
	ring->lane = -1;
	snprintf(session, sizeof(session), "%.*s", dot ? (int)(dot - text) : (int)strlen(text),
		text);
	colon = strchr(session, ':');
	if (colon)
		*colon++ = '\0';
	if (units_number_parse(colon ? colon : session, UINT64_MAX, &ring->session) ||
		(colon && units_number_parse(session, UINT32_MAX, &epoch)))
		return false;
	ring->session |= epoch << 32;
	if (!dot)
		return true;
	if (units_number_parse(dot + 1, ABI_LANES_MAX - 1, &lane))
		return false;
	ring->lane = (int)lane;
	return true;
}

static bool choose(struct run *run, enum view view)
{
	if (run->view != VIEW_SUMMARY && run->view != view)
		return false;
	run->view = view;
	return true;
}

static int bad(const char *option)
{
	return complain("%s: '%s' is nothing that it takes (see --help)", option, optarg);
}

#define TWO_VIEWS complain("one view at a time (see --help)")

/* 0, or -1 to end with *status. */
static int take_option(struct run *run, int c, int *status)
{
	uint64_t number;

	*status = EXIT_FINE;
	switch (c) {
	case OPTION_RING:
		if (!choose(run, VIEW_RING))
			*status = TWO_VIEWS;
		else if (!parse_ring(optarg, &run->ring))
			*status = bad("--ring");
		break;
	case OPTION_KEY:
	case OPTION_KEY_HEX:
		run->key = optarg;
		run->key_hex = c == OPTION_KEY_HEX;
		*status = choose(run, VIEW_KEY) ? EXIT_FINE : TWO_VIEWS;
		break;
	case OPTION_HOLDERS:
		*status = choose(run, VIEW_HOLDERS) ? EXIT_FINE : TWO_VIEWS;
		break;
	case OPTION_CHECK:
		*status = choose(run, VIEW_CHECK) ? EXIT_FINE : TWO_VIEWS;
		break;
	case OPTION_WATCH:
		*status = choose(run, VIEW_WATCH) ? EXIT_FINE : TWO_VIEWS;
		break;
	case OPTION_MAP:
	case OPTION_SAVE:
		run->file = optarg;
		*status = choose(run, c == OPTION_MAP ? VIEW_MAP : VIEW_SAVE) ? EXIT_FINE
			: TWO_VIEWS;
		break;
	case OPTION_INTERVAL:
		if (units_duration_parse(optarg, &number) || !number || number > 3600000)
			*status = bad("--interval");
		else
			run->watch.interval_ms = (unsigned)number;
		break;
	case OPTION_COUNT:
		if (units_number_parse(optarg, UINT32_MAX, &number) || !number)
			*status = bad("--count");
		else
			run->watch.count = (unsigned)number;
		break;
	case OPTION_COLOR:
		if (svg_color_parse(optarg, &run->svg.color))
			*status = bad("--color");
		break;
	case OPTION_OFFLINE:
		run->offline = optarg;
		break;
	case OPTION_JSON:
		run->json = run->watch.json = true;
		break;
	case 'h':
		fputs(usage_text, stdout);
		return -1;
	case OPTION_VERSION:
		puts("shmcache-inspect " SHMCACHE_VERSION);
		return -1;
	default:
		*status = complain("%s is no option, or wants an argument (see --help)",
			run->name ? run->name : "that");
	}
	return *status ? -1 : 0;
}

/* EXIT_FINE and run->name or run->offline, or -1 to end with *status. */
static int take_options(struct run *run, int argc, char **argv, int *status)
{
	int c;

	opterr = 0;
	while ((c = getopt_long(argc, argv, "h", options, NULL)) != -1) {
		run->name = c == '?' ? argv[optind - 1] : NULL;
		if (take_option(run, c, status))
			return -1;
	}
	run->name = optind < argc ? argv[optind++] : NULL;
	if (optind < argc)
		*status = complain("'%s' is one argument too many", argv[optind]);
	else if (!run->name == !run->offline)
		*status = complain(run->name ? "a name or --offline, not both"
					     : "the name of a cache is missing (see --help)");
	else if (run->offline && run->view == VIEW_WATCH)
		*status = complain("nothing changes in a snapshot: --watch wants a name");
	else
		return 0;
	return -1;
}

/* --- views ------------------------------------------------------------------------------------ */

static int show(struct json_object *json)
{
	json_print(json);
	return EXIT_FINE;
}

static int by_kept(const void *a, const void *b)
{
	const struct holder *x = &((const struct session_sum *)a)->held;
	const struct holder *y = &((const struct session_sum *)b)->held;

	if (x->kept_size != y->kept_size)
		return x->kept_size < y->kept_size ? 1 : -1;
	return (x->held_size < y->held_size) - (x->held_size > y->held_size);
}

/* Two looks at the holds of a live cache: those that stand are kept, the others come and go. */
#define STANDING_MS 250

static int look_twice(struct image *image, struct hold_ages *ages)
{
	struct timespec pause = {.tv_nsec = STANDING_MS * 1000000L};
	int r = hold_ages_look(ages, image);

	if (r || !image->is_live)
		return r;
	nanosleep(&pause, NULL);
	r = image_refresh(image);
	return r ? r : hold_ages_look(ages, image);
}

static int show_holders(const struct run *run, struct image *image)
{
	struct hold_ages ages = {0};
	struct summary s;

	if (look_twice(image, &ages) || summary_make(image, &s)) {
		hold_ages_deinit(&ages);
		return complain("out of memory");
	}
	summary_add_ages(image, &s, &ages);
	qsort(s.session, s.n_sessions, sizeof(*s.session), by_kept);
	if (run->json) {
		show(view_json_holders(image, &s));
	} else {
		text_unseen(image, stdout);
		text_holders(image, &s, stdout);
	}
	summary_deinit(&s);
	hold_ages_deinit(&ages);
	return EXIT_FINE;
}

static int show_summary(const struct run *run, const struct image *image)
{
	struct summary s;

	if (summary_make(image, &s))
		return complain("out of memory");
	if (run->json)
		show(view_json_summary(image, &s));
	else
		text_summary(image, &s, stdout);
	summary_deinit(&s);
	return EXIT_FINE;
}

static int show_ring(const struct run *run, const struct image *image)
{
	struct json_object *json;

	if (run->json) {
		json = view_json_ring(image, &run->ring);
		if (json)
			return show(json);
	} else if (text_ring(image, &run->ring, stdout)) {
		return EXIT_FINE;
	}
	return complain("there is no such session or lane");
}

static int show_key(const struct run *run, const struct image *image)
{
	uint8_t bytes[ABI_KEY_SIZE_MAX];
	struct view_key key = {.data = run->key, .size = strlen(run->key)};
	struct json_object *json;

	if (run->key_hex) {
		if (text_hex_parse(run->key, bytes, sizeof(bytes), &key.size))
			return complain("--key-hex: '%s' is no key in hexadecimal", run->key);
		key.data = bytes;
	}
	if (!key.size || key.size > ABI_KEY_SIZE_MAX)
		return complain("keys are 1 to %d bytes", ABI_KEY_SIZE_MAX);
	if (!image->has_index)
		return complain("%s", image->index_unseen);
	if (run->json) {
		json = view_json_key(image, &key);
		if (json)
			return show(json);
	} else if (text_key(image, &key, stdout)) {
		return EXIT_FINE;
	}
	return complain("there is no such key");
}

static int show_check(const struct run *run, struct image *image)
{
	struct findings f = {0};
	struct check_counts counts;
	int status = EXIT_FINE;

	if (check_run(image, &f, &counts))
		status = complain("out of memory");
	else if (run->json)
		show(view_json_check(image, &f, &counts));
	else
		text_check(image, &f, &counts, stdout);
	if (!status && f.n)
		status = EXIT_FINDINGS;
	findings_deinit(&f);
	return status;
}

static int show_map(const struct run *run, const struct image *image)
{
	char why[512];

	return svg_write(image, &run->svg, run->file, why, sizeof(why)) ? complain("%s", why)
									 : EXIT_FINE;
}

static int save(const struct run *run, const struct image *image)
{
	char why[512];

	return image_save(image, run->file, why, sizeof(why)) ? complain("%s", why) : EXIT_FINE;
}

static int show_view(const struct run *run, struct image *image)
{
	switch (run->view) {
	case VIEW_RING:
		return show_ring(run, image);
	case VIEW_KEY:
		return show_key(run, image);
	case VIEW_HOLDERS:
		return show_holders(run, image);
	case VIEW_CHECK:
		return show_check(run, image);
	case VIEW_WATCH:
		return watch_run(image, &run->watch) ? complain("can't watch") : EXIT_FINE;
	case VIEW_MAP:
		return show_map(run, image);
	case VIEW_SAVE:
		return save(run, image);
	default:
		return show_summary(run, image);
	}
}

/* Whoever owns the memory can cut it short under us; that is an answer too. */
static void memory_is_gone(int number)
{
	static const char text[] =
		"shmcache-inspect: the memory was cut short while it was looked at\n";

	(void)number;
	(void)!write(STDERR_FILENO, text, sizeof(text) - 1);
	_exit(EXIT_USAGE);
}

int main(int argc, char **argv)
{
	struct run run = {.watch.interval_ms = 1000};
	char why[512] = "";
	struct image image;
	int status;

	signal(SIGBUS, memory_is_gone);
	if (take_options(&run, argc, argv, &status))
		return status;
	if (run.offline ? image_open_file(&image, run.offline, why, sizeof(why))
			: image_open_live(&image, run.name, why, sizeof(why)))
		return complain("%s", why[0] ? why : "out of memory");
	status = show_view(&run, &image);
	image_close(&image);
	if (fflush(stdout) || ferror(stdout))
		return complain("can't write the output: %s", strerror(errno));
	return status;
}
