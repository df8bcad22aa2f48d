// SPDX-License-Identifier: Apache-2.0
/*
 * replay.c - hit ratios of eviction policies on a trace.
 *
 *	replay [--policy NAME,...] [--size N,...] [--bytes] [--hints]
 *	       [--tiers PERCENT [--promote-after N]] [--one-off PERCENT]
 *	       [--format jsonl|oracle] [--seed N] [TRACE | KIND[:...]]
 *
 * TRACE is a file; a name that is none but starts with a made-up kind (see
 * trace.h) is made up, and with neither all the kinds are.  Sizes are entries,
 * or with --bytes bytes (KiB, MiB, GiB are understood).  --hints tells the
 * policies the group and position of each block, in a second run of each.
 *
 * --tiers replays each also in two tiers, the upper one of PERCENT of the size;
 * what the whole then hits less than one tier does, in points, is to stay within
 * TIERS_POINTS_MAX.
 *
 * --one-off replays each also with a stream between the trace's reads of which
 * nothing is read twice, PERCENT of all reads, as a broker sees that writes back
 * all that it fetches; what the trace's reads lose by it, in points, is to stay
 * within ONE_OFF_POINTS_MAX.  A second figure is what they lose where, without
 * such a stream, all that they miss is fetched, and so unproven.
 *
 * LRU and ARC always run too: a row's "theirs" is the better of the two at
 * that size.  The goal of the default policy is to be no worse on a trace, and
 * within 2 % on what is made up, where each shape is some policy's best case.
 */
#include <errno.h>
#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "bench/replay-run.h"
#include "bench/report.h"
#include "shmcache/policy/policy.h"

static const char *const args_text =
	"[--policy NAME[,NAME...]] [--size N[,N...]] [--bytes] [--hints] "
	"[--tiers PERCENT [--promote-after N]] [--one-off PERCENT] "
	"[--format jsonl|oracle] [--seed N] [TRACE|KIND[:NAME=N,...]]";

enum { LIST_MAX = 16, QUICK_READS = 150000 };
enum { DEMOTE_AT = 95, DEMOTE_TO = 90, PROMOTE_AFTER = 2 }; /* as the broker's defaults */
#define TIERS_POINTS_MAX 2.0
#define ONE_OFF_POINTS_MAX 1.0
#define ONE_OFF_POINTS_MAX_MADE 2.0 /* of a loop that just fits, all that the share takes */

struct replay {
	struct report rep;
	const char *policies[LIST_MAX + 1];
	uint64_t sizes[LIST_MAX];
	unsigned n_sizes;
	bool by_bytes, hints;
	unsigned upper_percent, promote_after; /* 0: one tier alone */
	unsigned one_off_percent;
	enum trace_format format;
	uint64_t seed;
	const char *trace;
	/* of what runs now, for the rows */
	char label[64];
	double goal, one_off_goal;
};

_Noreturn static void usage(const char *what, const char *value)
{
	fprintf(stderr, "replay: %s '%s'\nusage: replay [--json] [--quick] %s\n", what,
		value ? value : "", args_text);
	fputs("policies:", stderr);
	for (unsigned i = 0; policy_names(i); i++)
		fprintf(stderr, " %s", policy_names(i));
	fputc('\n', stderr);
	exit(2);
}

static bool known_policy(const char *name)
{
	for (unsigned i = 0; policy_names(i); i++) {
		if (!strcmp(policy_names(i), name))
			return true;
	}
	return false;
}

static void parse_policies(struct replay *rp, char *list)
{
	unsigned n = 0;

	for (char *at, *name = strtok_r(list, ",", &at); name;
		name = strtok_r(NULL, ",", &at)) {
		if (n == LIST_MAX || !known_policy(name))
			usage("no such policy:", name);
		rp->policies[n++] = name;
	}
	if (!n)
		usage("no policy in", list);
	rp->policies[n] = NULL;
}

static uint64_t parse_number(const char *text)
{
	static const struct {
		const char *name;
		unsigned shift;
	} units[] = {{"", 0}, {"KiB", 10}, {"MiB", 20}, {"GiB", 30}};
	unsigned long long value;
	char *end;

	errno = 0;
	value = strtoull(text, &end, 10);
	for (size_t i = 0; i < sizeof(units) / sizeof(units[0]); i++) {
		if (end > text && *text != '-' && !errno && !strcmp(end, units[i].name) &&
			value <= UINT64_MAX >> units[i].shift)
			return value << units[i].shift;
	}
	usage("not a number:", text);
}

static void parse_sizes(struct replay *rp, char *list)
{
	rp->n_sizes = 0;
	for (char *at, *text = strtok_r(list, ",", &at); text;
		text = strtok_r(NULL, ",", &at)) {
		uint64_t size = parse_number(text);

		if (rp->n_sizes == LIST_MAX || !size || size > UINT64_MAX >> 16)
			usage("too many sizes, or one out of range:", text);
		rp->sizes[rp->n_sizes++] = size;
	}
	if (!rp->n_sizes)
		usage("no size in", list);
}

static char *value_of(char **argv, int *i)
{
	if (!argv[*i + 1])
		usage("a value is missing after", argv[*i]);
	return argv[++*i];
}

static void parse_format(struct replay *rp, const char *name)
{
	if (!strcmp(name, "jsonl"))
		rp->format = TRACE_JSONL;
	else if (!strcmp(name, "oracle"))
		rp->format = TRACE_ORACLE;
	else
		usage("no such format:", name);
}

static unsigned parse_percent(const char *text)
{
	uint64_t percent = parse_number(text);

	if (percent < 1 || percent > 99)
		usage("a percentage from 1 to 99 is wanted, not", text);
	return (unsigned)percent;
}

static unsigned parse_hits(const char *text)
{
	uint64_t n = parse_number(text);

	if (n > 255)
		usage("from 0 to 255 hits are wanted, not", text);
	return (unsigned)n;
}

static void parse(struct replay *rp, char **argv)
{
	for (int i = 1; argv[i]; i++) {
		if (!strcmp(argv[i], "--policy"))
			parse_policies(rp, value_of(argv, &i));
		else if (!strcmp(argv[i], "--size"))
			parse_sizes(rp, value_of(argv, &i));
		else if (!strcmp(argv[i], "--bytes"))
			rp->by_bytes = true;
		else if (!strcmp(argv[i], "--hints"))
			rp->hints = true;
		else if (!strcmp(argv[i], "--tiers"))
			rp->upper_percent = parse_percent(value_of(argv, &i));
		else if (!strcmp(argv[i], "--promote-after"))
			rp->promote_after = parse_hits(value_of(argv, &i));
		else if (!strcmp(argv[i], "--one-off"))
			rp->one_off_percent = parse_percent(value_of(argv, &i));
		else if (!strcmp(argv[i], "--format"))
			parse_format(rp, value_of(argv, &i));
		else if (!strcmp(argv[i], "--seed"))
			rp->seed = parse_number(value_of(argv, &i));
		else if (argv[i][0] == '-' || rp->trace)
			usage("unknown argument", argv[i]);
		else
			rp->trace = argv[i];
	}
}

static struct replay_result run(const struct replay *rp, const struct trace *t,
	const char *policy, uint64_t size, bool hints)
{
	struct replay_options o = {
		.policy = policy, .size = size, .by_bytes = rp->by_bytes, .hints = hints};
	struct replay_result res;
	int r = replay_run(&res, t, &o);

	if (r)
		report_fatal(
			&rp->rep, "%s at %" PRIu64 ": %s", policy, size, strerror(-r));
	return res;
}

static double share(uint64_t part, uint64_t whole)
{
	return (double)part / (double)whole;
}

/* By bytes it is bytes that should hit, else entries. */
static double score(const struct replay *rp, const struct replay_result *res)
{
	return rp->by_bytes ? share(res->n_bytes_hit, res->n_bytes)
			    : share(res->n_hits, res->n_reads);
}

static void tell(struct replay *rp, const char *policy, bool hints, uint64_t size,
	const struct replay_result *res, double theirs)
{
	char name[128], note[160];
	struct report_row row = {
		.name = name,
		.ours = score(rp, res),
		.theirs = theirs,
		.unit = rp->by_bytes ? "byte hits" : "hits",
		.goal = rp->goal,
		.note = note,
	};

	snprintf(name, sizeof(name), "%s/%s%s@%" PRIu64, rp->label, policy,
		hints ? "+hints" : "", size);
	/* where neither LRU nor ARC hits at all there is no ratio to reach */
	row.bound = !strcmp(policy, policy_names(0)) && theirs > 0 ? REPORT_AT_LEAST
								   : REPORT_FIGURE;
	snprintf(note, sizeof(note),
		"hits %.4f bytes %.4f usable %.4f, %.0f ns a read, %.1f B an entry",
		share(res->n_hits, res->n_reads), share(res->n_bytes_hit, res->n_bytes),
		share(res->n_usable, res->n_reads), res->ns_per_read,
		res->books_per_entry);
	report_row(&rp->rep, &row);
}

/* The same in two tiers, against what one tier of the size had. */
static void replay_tiers(struct replay *rp, const struct trace *t, const char *policy,
	bool hints, uint64_t size, const struct replay_result *one)
{
	struct replay_options o = {.policy = policy,
		.size = size,
		.by_bytes = rp->by_bytes,
		.hints = hints,
		.upper_percent = rp->upper_percent,
		.demote_at = DEMOTE_AT,
		.demote_to = DEMOTE_TO,
		.promote_after = rp->promote_after};
	struct replay_result res;
	char name[128], note[200];
	struct report_row row = {.name = name,
		.theirs = NAN,
		.unit = "points",
		.bound = strcmp(policy, policy_names(0)) ? REPORT_FIGURE : REPORT_AT_MOST,
		.goal = TIERS_POINTS_MAX,
		.note = note};
	int r = replay_run_tiers(&res, t, &o);

	if (r)
		report_fatal(&rp->rep, "%s in two tiers at %" PRIu64 ": %s", policy, size,
			strerror(-r));
	row.ours = 100 * (score(rp, one) - score(rp, &res));
	snprintf(name, sizeof(name), "%s/%s%s@%" PRIu64 "-tiers-lose", rp->label, policy,
		hints ? "+hints" : "", size);
	snprintf(note, sizeof(note),
		"hits %.4f in two, %.4f in one; usable %.4f, %.4f; %.4f above, moves a read: "
		"%.4f down, %.4f up, %.4f refused",
		share(res.n_hits, res.n_reads), share(one->n_hits, one->n_reads),
		share(res.n_usable, res.n_reads), share(one->n_usable, one->n_reads),
		share(res.n_hits - res.n_hits_below, res.n_reads),
		share(res.n_demotions, res.n_reads), share(res.n_promotions, res.n_reads),
		share(res.n_refused, res.n_reads));
	report_row(&rp->rep, &row);
}

/*
 * What is lost against @alone, which had no such stream: its values were delivered and not cached.
 */
static void replay_unproven(struct replay *rp, const struct trace *t, const char *policy,
	uint64_t size, const struct replay_result *alone, bool one_offs)
{
	struct replay_options o = {.policy = policy,
		.size = size,
		.by_bytes = rp->by_bytes,
		.one_off_percent = one_offs ? rp->one_off_percent : 0,
		.unproven = !one_offs};
	struct replay_result res;
	char name[128], note[120];
	struct report_row row = {.name = name,
		.theirs = NAN,
		.unit = "points",
		.bound = one_offs ? REPORT_AT_MOST : REPORT_FIGURE,
		.goal = rp->one_off_goal,
		.note = note};
	int r = replay_run(&res, t, &o);

	if (r)
		report_fatal(&rp->rep, "%s at %" PRIu64 ": %s", policy, size, strerror(-r));
	row.ours = 100 * (score(rp, alone) - score(rp, &res));
	snprintf(name, sizeof(name), "%s/%s@%" PRIu64 "-%s-lose", rp->label, policy, size,
		one_offs ? "one-offs" : "fetched");
	snprintf(note, sizeof(note), "hits %.4f, against %.4f; usable %.4f, against %.4f",
		share(res.n_hits, res.n_reads), share(alone->n_hits, alone->n_reads),
		share(res.n_usable, res.n_reads), share(alone->n_usable, alone->n_reads));
	report_row(&rp->rep, &row);
}

static void tell_bound(struct replay *rp, const struct trace *t, uint64_t size)
{
	struct report_row row = {.unit = "hits", .theirs = NAN, .bound = REPORT_FIGURE};
	uint64_t n_hits;
	char name[128];

	if (rp->by_bytes)
		return;
	if (replay_belady(&n_hits, t, size))
		report_fatal(&rp->rep, "not enough memory for Belady's bound");
	snprintf(name, sizeof(name), "%s/belady@%" PRIu64, rp->label, size);
	row.name = name;
	row.ours = share(n_hits, t->n_reads);
	report_row(&rp->rep, &row);
}

static void replay_size(struct replay *rp, const struct trace *t, uint64_t size)
{
	struct replay_result lru = run(rp, t, "lru", size, false);
	struct replay_result arc = run(rp, t, "arc", size, false);
	double theirs = fmax(score(rp, &lru), score(rp, &arc));

	for (unsigned i = 0; rp->policies[i]; i++) {
		const char *policy = rp->policies[i];
		struct replay_result res;

		if (!strcmp(policy, "lru"))
			res = lru;
		else if (!strcmp(policy, "arc"))
			res = arc;
		else
			res = run(rp, t, policy, size, false);
		tell(rp, policy, false, size, &res, theirs);
		if (rp->upper_percent)
			replay_tiers(rp, t, policy, false, size, &res);
		if (rp->one_off_percent) {
			replay_unproven(rp, t, policy, size, &res, true);
			replay_unproven(rp, t, policy, size, &res, false);
		}
		if (!rp->hints || !t->chained)
			continue;
		res = run(rp, t, policy, size, true);
		tell(rp, policy, true, size, &res, theirs);
		if (rp->upper_percent)
			replay_tiers(rp, t, policy, true, size, &res);
	}
	tell_bound(rp, t, size);
}

static void replay_trace(struct replay *rp, const char *name, const struct trace *t)
{
	report_say(&rp->rep, "%s: %zu reads of %" PRIu32 " keys, %zu of size 0 skipped",
		name, t->n_reads, t->n_keys, t->n_skipped);
	report_say(&rp->rep, "theirs: the better of lru and arc at the same size");
	for (unsigned i = 0; i < rp->n_sizes; i++)
		replay_size(rp, t, rp->sizes[i]);
}

static void replay_made(struct replay *rp, const char *spec)
{
	char text[256];
	struct trace_error error;
	struct trace t;

	snprintf(text, sizeof(text), "%s", spec);
	if (rp->rep.quick && !strstr(spec, "reads="))
		snprintf(text, sizeof(text), "%s%sreads=%d", spec,
			strchr(spec, ':') ? "," : ":", QUICK_READS);
	if (trace_make(&t, text, rp->seed, &error))
		report_fatal(&rp->rep, "%s", error.text);
	report_say(&rp->rep, "seed %" PRIu64, rp->seed);
	snprintf(rp->label, sizeof(rp->label), "%.*s", (int)strcspn(spec, ":"), spec);
	rp->goal = 0.98;
	rp->one_off_goal = ONE_OFF_POINTS_MAX_MADE;
	replay_trace(rp, text, &t);
	trace_free(&t);
}

static void replay_file(struct replay *rp)
{
	struct trace_error error;
	const char *base;
	struct trace t;

	if (trace_load(&t, rp->trace, rp->format, rp->rep.quick ? 2 * QUICK_READS : 0,
		    &error))
		report_fatal(&rp->rep, "%s", error.text);
	/* the file's name without its folders and what follows the first dot */
	base = strrchr(rp->trace, '/');
	base = base ? base + 1 : rp->trace;
	snprintf(rp->label, sizeof(rp->label), "%.*s", (int)strcspn(base, "."), base);
	rp->one_off_goal = ONE_OFF_POINTS_MAX;
	rp->goal = 1;
	replay_trace(rp, rp->trace, &t);
	trace_free(&t);
}

static bool is_made(const char *name)
{
	for (unsigned i = 0; trace_kinds(i); i++) {
		size_t len = strlen(trace_kinds(i));

		if (!strncmp(name, trace_kinds(i), len) &&
			(!name[len] || name[len] == ':'))
			return access(name, F_OK);
	}
	return false;
}

int main(int argc, char **argv)
{
	struct replay rp = {
		.sizes = {1000, 3000, 10000, 30000, 50000},
		.n_sizes = 5,
		.seed = 1,
		.promote_after = PROMOTE_AFTER,
	};

	for (unsigned i = 0; i < LIST_MAX && policy_names(i); i++)
		rp.policies[i] = policy_names(i);
	report_open(&rp.rep, &argc, argv, "replay", args_text);
	parse(&rp, argv);
	if (rp.trace && !is_made(rp.trace)) {
		replay_file(&rp);
	} else if (rp.trace) {
		replay_made(&rp, rp.trace);
	} else {
		for (unsigned i = 0; trace_kinds(i); i++)
			replay_made(&rp, trace_kinds(i));
	}
	return report_close(&rp.rep);
}
