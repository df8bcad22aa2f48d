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

static bool has_members(const struct config *c)
{
	return c->remote.members[0] || c->remote.etcd[0];
}

bool config_has_remote(const struct config *c)
{
	return c->remote.listen[0] || has_members(c);
}

static bool has_two_memberships(const struct config *c)
{
	return c->remote.members[0] && c->remote.etcd[0];
}

static bool listens_without_name(const struct config *c)
{
	return c->remote.listen[0] && !c->remote.name[0];
}

static bool has_members_without_name(const struct config *c)
{
	return c->remote.members[0] && !c->remote.name[0];
}

static bool has_etcd_without_name(const struct config *c)
{
	return c->remote.etcd[0] && !c->remote.name[0];
}

static bool is_insecure(const struct config *c)
{
	return c->remote.security == CONFIG_SECURITY_NONE && !c->remote.insecure_network;
}

static bool is_open_endpoint(const char *text)
{
	struct sockaddr_storage address;

	return config_endpoint(text, &address, NULL) == 0 && !config_is_loopback(&address);
}

static bool listens_in_the_open(const struct config *c)
{
	return is_insecure(c) && c->remote.listen[0] && is_open_endpoint(c->remote.listen);
}

static bool reaches_into_the_open(const struct config *c)
{
	const char *at = c->remote.members;
	struct config_member m;

	while (is_insecure(c) && config_member_next(&at, &m))
		if (is_open_endpoint(m.endpoint))
			return true;
	return false;
}

static bool invites_from_the_open(const struct config *c)
{
	return is_insecure(c) && c->remote.advertise[0] && is_open_endpoint(c->remote.advertise);
}

static bool wants_tls(const struct config *c)
{
	return config_has_remote(c) && c->remote.security == CONFIG_SECURITY_TLS;
}

static bool has_no_ca(const struct config *c)
{
	return wants_tls(c) && !c->remote.ca[0];
}

static bool has_no_certificate(const struct config *c)
{
	return wants_tls(c) && !c->remote.certificate[0];
}

static bool has_no_key(const struct config *c)
{
	return wants_tls(c) && !c->remote.key[0];
}

/* One of the two would go with the other of the peers' pair. */
static bool has_half_for_etcd(const struct config *c)
{
	return !c->remote.etcd_certificate[0] != !c->remote.etcd_key[0];
}

#define PLAIN_WHY                                                                                  \
	"without certificates everybody who reaches such an address is a peer; use loopback "      \
	"addresses, security = tls, or confirm it with insecure_network = on"
#define NAME_WHY "peers know each other by names; set name"

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
	{{{"remote", "members"}, {"remote", "etcd"}}, has_two_memberships,
		"both say who the peers are; keep one of them"},
	{{{"remote", "listen"}, {"remote", "name"}}, listens_without_name, NAME_WHY},
	{{{"remote", "members"}, {"remote", "name"}}, has_members_without_name, NAME_WHY},
	{{{"remote", "etcd"}, {"remote", "name"}}, has_etcd_without_name, NAME_WHY},
	{{{"remote", "security"}, {"remote", "listen"}}, listens_in_the_open, PLAIN_WHY},
	{{{"remote", "security"}, {"remote", "members"}}, reaches_into_the_open, PLAIN_WHY},
	{{{"remote", "security"}, {"remote", "advertise"}}, invites_from_the_open, PLAIN_WHY},
	{{{"remote", "ca"}, {"remote", "security"}}, has_no_ca,
		"peers are known by certificates; set ca, or security = none on loopback"},
	{{{"remote", "certificate"}, {"remote", "security"}}, has_no_certificate,
		"peers are known by certificates; set certificate, or security = none on loopback"},
	{{{"remote", "key"}, {"remote", "security"}}, has_no_key,
		"peers are known by certificates; set key, or security = none on loopback"},
	{{{"remote", "etcd_certificate"}, {"remote", "etcd_key"}}, has_half_for_etcd,
		"a certificate is of use with its own key alone; set both, or none"},
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
