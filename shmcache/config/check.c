/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What keys say together. Only what can't be meant is refused: two values of which one makes the
 * other impossible. What is merely unwise is the operator's business, and what depends on the
 * machine (is there that much memory, are there that many CPUs) is found out at start.
 *
 * The complaint stands at the later of the two keys, which is the one that was probably changed.
 * Defaults never contradict each other, nor a lone key: limits and defaults are chosen so.
 */
#include "shmcache/config/impl.h"

#include <errno.h>

static bool staging_exceeds_tier(const struct config *c)
{
	return c->dram.size && c->session.staging_size > c->dram.size;
}

static bool workers_exceed_cpus(const struct config *c)
{
	int n_cpus = CPU_COUNT(&c->broker.cpus);

	return n_cpus && c->broker.workers > (unsigned)n_cpus;
}

static bool shares_exceed_tier(const struct config *c)
{
	return c->session.reserved_percent + c->session.pinned_percent > 100;
}

static bool demotes_upwards(const struct config *c)
{
	return c->cxl.demote_to_percent > c->cxl.demote_at_percent;
}

static const struct contradiction {
	struct {
		const char *section, *name;
	} keys[2];
	bool (*is_there)(const struct config *c);
	const char *why;
} contradictions[] = {
	{{{"session", "staging"}, {"dram", "size"}}, staging_exceeds_tier,
		"what passes through the staging area has to fit the tier; lower staging or "
		"raise size"},
	{{{"broker", "workers"}, {"broker", "cpus"}}, workers_exceed_cpus,
		"there are fewer CPUs than workers, which would take turns; lower workers or "
		"name more CPUs"},
	{{{"session", "reserved_max"}, {"session", "pinned_max"}}, shares_exceed_tier,
		"both are shares of one tier and exceed 100% together; lower one of them"},
	{{{"cxl", "demote_to"}, {"cxl", "demote_at"}}, demotes_upwards,
		"moving values away makes the tier no fuller; lower demote_to or raise demote_at"},
};

static unsigned index_of(const struct key *key)
{
	return (unsigned)(key - keys);
}

/* " (line 7)", so that the other key is found without a search. */
static void print_origin(unsigned set_at, char text[32])
{
	if (set_at >= CONFIG_SET_BY_OPTION)
		snprintf(text, 32, "option -o");
	else if (set_at)
		snprintf(text, 32, "line %u", set_at);
	else
		snprintf(text, 32, "the default");
}

static void complain(const struct config *c, const struct contradiction *x,
		struct config_errors *errs)
{
	const struct key *later = key_find(x->keys[0].section, x->keys[0].name);
	const struct key *earlier = key_find(x->keys[1].section, x->keys[1].name);
	char later_value[KEY_VALUE_SIZE], earlier_value[KEY_VALUE_SIZE], origin[32];
	struct assignment a;

	if (c->set_at[index_of(later)] < c->set_at[index_of(earlier)]) {
		const struct key *swap = later;

		later = earlier;
		earlier = swap;
	}
	key_print(later, c, later_value);
	key_print(earlier, c, earlier_value);
	print_origin(c->set_at[index_of(earlier)], origin);
	a = (struct assignment){later->section, later->name, later_value,
		c->set_at[index_of(later)]};
	errors_add_assignment(errs, c->file, &a, "contradicts [%s] %s = %.64s (%s): %s",
		earlier->section, earlier->name, earlier_value, origin, x->why);
}

static bool is_bad(const struct key_set *bad, const struct contradiction *x)
{
	return bad->has[index_of(key_find(x->keys[0].section, x->keys[0].name))] ||
		bad->has[index_of(key_find(x->keys[1].section, x->keys[1].name))];
}

int check_contradictions(const struct config *c, const struct key_set *bad,
		struct config_errors *errs)
{
	int r = 0;

	for (size_t i = 0; i < sizeof(contradictions) / sizeof(contradictions[0]); i++) {
		if (is_bad(bad, &contradictions[i]) || !contradictions[i].is_there(c))
			continue;
		complain(c, &contradictions[i], errs);
		r = -EINVAL;
	}
	return r;
}

int config_check(const struct config *c, struct config_errors *errs)
{
	return check_contradictions(c, &(struct key_set){0}, errs);
}
