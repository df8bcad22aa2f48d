/* SPDX-License-Identifier: Apache-2.0 */
/* pair.h: two brokers' nets in one process, over the loopback, driven by hand. */
#ifndef TESTS_SHMCACHE_REMOTE_PEERS_PAIR_H
#define TESTS_SHMCACHE_REMOTE_PEERS_PAIR_H

#include "shmcache/remote/peers/link.h"

#define PAIR_REQUESTS_MAX 256

/* One end: what it was told, and what the holder answers by itself. */
struct pair_end {
	struct link_net *net;
	struct log log;
	char name[16], why[LINK_WHY_SIZE];
	bool refuses_all; /* nobody is a member */
	bool keeps_questions; /* lookups are not answered */
	bool knows_nothing; /* lookups are answered, for none of their items */
	struct link_guest *guest;
	unsigned n_arrived, n_left, n_gone, n_lookups, n_erases, n_notices;

	/*
	 * What a fetch gets: this value, or, when there is none, nothing until the test
	 * answers.
	 */
	const uint8_t *value;
	uint64_t value_size, sum;
	struct link_request *requests[PAIR_REQUESTS_MAX];
	unsigned n_requests, n_sent, n_unsent;

	/* Of the link. */
	struct link *link;
	unsigned n_up, n_down, n_found, n_erased, n_holders;
	char down[LINK_WHY_SIZE];
};

/* A fetch and where it goes. */
struct pair_fetch {
	struct link_fetch fetch; /* first */
	uint8_t *to;
	uint64_t room, size, n_come;
	unsigned n_done, *n_all;
	enum link_result result;
	bool is_unwanted;
};

struct pair {
	int epoll;
	struct pair_end a, b; /* a asks, b holds */
	char address[32];
};

/* Where `shmcache pki` put its files. */
extern char pair_certificates[64];

/* Settings for a member of the cluster "test": security none, two lanes. */
struct link_settings pair_settings(const char *name, enum link_security security, bool data_tls);

/* Both, and a's link to b, which need not be up. Ends the process when there is no net. */
void pair_begin(struct pair *p, enum link_security security, bool data_tls);
void pair_begin_with(struct pair *p, const struct link_settings *a, const struct link_settings *b);
void pair_end(struct pair *p);
int pair_end_begin(struct pair_end *e, int epoll, const struct link_settings *settings);

/* Go round until *@n is @wanted; false after ten seconds. */
bool pair_run(struct pair *p, const unsigned *n, unsigned wanted);
/* One event, or, after a moment, none. */
bool pair_turn(struct pair *p);
/* Go round for so long. */
void pair_rest(struct pair *p, unsigned ms);

/* Another link of a's to somebody who is called b. As link_open(). */
int pair_link(struct pair *p, struct link **out, const char *address);

void pair_fetch(struct pair *p, struct pair_fetch *f, const char *key);
void pair_fetch_from(
	struct pair *p, struct link *link, struct pair_fetch *f, const char *key);
/* The same without a kick. */
void pair_ask(struct link *link, struct pair_fetch *f, const char *key);

#endif
