/* SPDX-License-Identifier: Apache-2.0 */
/*
 * kill.c: clients, and brokers, killed by the thousand in the middle of whatever they do.
 *
 *	kill [--brokers] [--full] [--kills N] [--clients N] [--seed N]
 *
 * Two dozen clients and a broker with two workers. Every few milliseconds one of the clients is
 * killed and another one comes; with --brokers one kill in four is the broker's, which is started
 * again at once, and is killed again while it starts one time in eight. Without --full the tier has
 * room for all, and each acknowledged entry must be there; with it, most are evicted, and what is
 * gone must have been counted.
 *
 * Where $SHMCACHED is a shmcached-double (tests/clients/double-broker.c), what is fetched comes
 * from it; else from nowhere.
 *
 * Who is killed when follows from the seed; what he was at then does so only as far as the kernel's
 * scheduler does.
 */
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "tests/soak/kill-client.h"
#include "tests/soak/watch.h"

#define N_KEYS 900
#define N_LOOSE 160
#define PAUSE_NS 5000000 /* between two kills, at the mean */
#define DEAD_MAX 1024

struct supervisor {
	struct watch watch;
	struct ledger *ledger;
	unsigned n_clients, n_failed;
	uint64_t random;
	uint32_t n_lives;
	/* Clients that were reaped, and may not be forgotten by the broker yet. */
	struct ledger_slot dead[DEAD_MAX];
	unsigned n_dead;
	uint64_t n_client_kills, n_broker_kills, n_early_kills;
};

/* --- clients ---------------------------------------------------------------------------------- */

static void client_start(struct supervisor *s, struct ledger_slot *slot)
{
	pid_t parent = getpid(), pid;

	memset(slot, 0, sizeof(*slot));
	slot->life = ++s->n_lives;
	pid = fork();
	if (!pid) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		if (getppid() != parent)
			_exit(127);
		kill_client(s->ledger, slot);
	}
	slot->pid = pid;
}

/* Whoever ended by himself has said why. */
static void client_kill(struct supervisor *s, struct ledger_slot *slot)
{
	int status = 0;

	kill(slot->pid, SIGKILL);
	waitpid(slot->pid, &status, 0);
	if (!WIFSIGNALED(status) || WTERMSIG(status) != SIGKILL) {
		printf("life %u ended with status 0x%x\n", slot->life, (unsigned)status);
		s->n_failed++;
	}
	s->n_client_kills++;
	s->dead[s->n_dead++] = *slot;
}

/*
 * Give back the keys of those whom the broker has forgotten; of all of them if it was killed since,
 * as no other broker ever looks at their rings.
 */
static void bury(struct supervisor *s, bool has_new_broker)
{
	unsigned i, n = 0;

	for (i = 0; i < s->n_dead; i++) {
		if (has_new_broker || !watch_knows(&s->watch, s->dead[i].pid))
			ledger_bury(s->ledger, &s->dead[i]);
		else
			s->dead[n++] = s->dead[i];
	}
	s->n_dead = n;
}

/* --- the broker ------------------------------------------------------------------------------- */

static void pause_for(uint64_t ns)
{
	nanosleep(&(struct timespec){(time_t)(ns / 1000000000), (long)(ns % 1000000000)}, NULL);
}

static int broker_kill(struct supervisor *s)
{
	int r = watch_kill(&s->watch);

	if (!r && mix_any(&s->random, 8) == 0) {
		r = watch_launch(&s->watch);
		pause_for(mix_any(&s->random, 20000000));
		if (!r)
			r = watch_kill(&s->watch);
		s->n_early_kills++;
	}
	if (!r)
		r = watch_again(&s->watch);
	if (r) {
		printf("the broker did not come back: %s\n", shmc_strerror(r));
		s->n_failed++;
		return r;
	}
	s->n_broker_kills++;
	bury(s, true);
	return 0;
}

/* --- the run ---------------------------------------------------------------------------------- */

static void kill_one(struct supervisor *s)
{
	struct ledger_slot *slot;

	pause_for(mix_any(&s->random, 2 * PAUSE_NS));
	if (s->ledger->loses_brokers && mix_any(&s->random, 4) == 0) {
		broker_kill(s);
		return;
	}
	slot = &s->ledger->slot[mix_any(&s->random, s->n_clients)];
	client_kill(s, slot);
	client_start(s, slot);
	bury(s, false);
	while (s->n_dead == DEAD_MAX) {
		pause_for(PAUSE_NS);
		bury(s, false);
	}
}

/* Each key as it is in the end, by a look at the index that nobody changes any more. */
static void audit(struct supervisor *s, uint64_t *n_present, uint64_t *n_absent)
{
	struct ledger *l = s->ledger;
	struct ledger_look look;
	struct shmc_view view;
	char key[VALUE_KEY_MAX];
	uint64_t version;
	unsigned i;
	int r;

	for (i = 0; i < l->n_keys; i++) {
		look = ledger_look(l, i);
		version = 0;
		r = shmc_get(s->watch.cache, key, value_key(LEDGER_PREFIX, i, key), &view);
		if (r && r != SHMC_MISS)
			ledger_wrong(l, "audit of key %u: %s", i, shmc_strerror(r));
		if (!r && !value_is(view.data, view.size, i, &version))
			ledger_wrong(l, "audit: wrong bytes under key %u", i);
		if (!r || r == SHMC_MISS)
			ledger_judge(l, i, &look, version);
		*n_present += !r;
		*n_absent += r == SHMC_MISS && look.acked & 1 && !(look.begun & 1) &&
			!ledger_is_fleeting(i);
		if (!r)
			shmc_release(s->watch.cache, &view);
	}
}

static void run(struct supervisor *s, uint64_t n_kills)
{
	struct ledger *l = s->ledger;
	uint64_t n_present = 0, n_absent = 0, begin_ms = ledger_now_ms();
	unsigned i;

	for (i = 0; i < s->n_clients; i++)
		client_start(s, &l->slot[i]);
	while (s->n_client_kills + s->n_broker_kills < n_kills && !s->n_failed && !l->n_wrong)
		kill_one(s);
	for (i = 0; i < s->n_clients; i++)
		client_kill(s, &l->slot[i]);
	s->n_failed += watch_all_given_back(&s->watch);
	s->n_failed += watch_complaints(&s->watch);
	if (!l->loses_brokers)
		s->n_failed += watch_books(&s->watch);
	audit(s, &n_present, &n_absent);
	if (n_absent > watch_lost(&s->watch)) {
		printf("%llu acknowledged entries are missing, the counters own up to %llu\n",
			(unsigned long long)n_absent, (unsigned long long)watch_lost(&s->watch));
		s->n_failed++;
	}
	if (l->keeps && watch_stat(&s->watch, "shmcache_evictions_total")) {
		printf("the tier is too small for all that must stay in it\n");
		s->n_failed++;
	}
	printf("kill: %llu clients and %llu brokers killed (%llu of these as they started) in %.0f s; "
	       "%llu changes settled, %llu left unsettled; %llu reads judged, %llu of them misses; "
	       "%llu held views, %llu of them gone; %llu blocks filled at leisure; %llu values fetched; in the end %llu entries there, %llu missing, "
	       "%llu evicted or dropped by the counters\n",
		(unsigned long long)s->n_client_kills, (unsigned long long)s->n_broker_kills,
		(unsigned long long)s->n_early_kills,
		(double)(ledger_now_ms() - begin_ms) / 1000, (unsigned long long)l->n_acked,
		(unsigned long long)l->n_unsettled, (unsigned long long)l->n_judged,
		(unsigned long long)l->n_misses, (unsigned long long)l->n_held,
		(unsigned long long)l->n_gone_views, (unsigned long long)l->n_lingered,
		(unsigned long long)l->n_fetched,
		(unsigned long long)n_present, (unsigned long long)n_absent, (unsigned long long)watch_lost(&s->watch));
}

static uint64_t option(int argc, char **argv, const char *name, uint64_t otherwise)
{
	int i;

	for (i = 1; i < argc; i++)
		if (!strcmp(argv[i], name))
			return i + 1 < argc && argv[i + 1][0] != '-'
				? strtoull(argv[i + 1], NULL, 10)
				: 1;
	return otherwise;
}

int main(int argc, char **argv)
{
	static struct supervisor s;
	struct broker_run_options options = {.cpu = PROC_CPU_ANY,
		.config = "[broker]\nworkers = 2\n"
			  "[session]\nlanes = 8\nholds = 64\nqueue = 64\nstaging = 256KiB\n"};
	bool is_full = option(argc, argv, "--full", 0);
	int r;

	if (cleanup_guard())
		return 1;
	setvbuf(stdout, NULL, _IOLBF, 0);
	s.n_clients = (unsigned)option(argc, argv, "--clients", 24);
	s.ledger = mmap(NULL, sizeof(*s.ledger), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS,
		-1, 0);
	if (s.ledger == MAP_FAILED || s.n_clients > LEDGER_SLOTS_MAX)
		return 1;
	s.ledger->seed = s.random = option(argc, argv, "--seed", 1);
	s.ledger->n_keys = N_KEYS;
	s.ledger->n_loose = N_LOOSE;
	s.ledger->keeps = !is_full;
	s.ledger->loses_brokers = option(argc, argv, "--brokers", 0);
	options.persist = s.ledger->loses_brokers;
	options.dram_size = is_full ? "32MiB" : "256MiB";
	if (watch_open(&s.watch, &options))
		return 1;
	snprintf(s.ledger->name, sizeof(s.ledger->name), "%s", s.watch.broker.name);
	printf("kill: seed %llu, %u clients, %s, %s\n", (unsigned long long)s.ledger->seed,
		s.n_clients, options.dram_size,
		s.ledger->loses_brokers ? "clients and brokers" : "clients");
	run(&s, option(argc, argv, "--kills", 10000));
	s.n_failed += watch_close(&s.watch);
	r = s.n_failed || s.ledger->n_wrong;
	printf("kill: %s\n", r ? "FAILED" : "passed");
	return r;
}
