/* SPDX-License-Identifier: Apache-2.0 */
/*
 * directories.h: the directories of several brokers in one process, whose messages go through a
 * list, or get lost, and a clock of their own.
 */
#ifndef TESTS_SHMCACHE_REMOTE_PEERS_DIRECTORIES_H
#define TESTS_SHMCACHE_REMOTE_PEERS_DIRECTORIES_H

#include "shmcache/remote/peers/directory.h"

#define DIRECTORIES_MAX 5
#define DIRECTORIES_KEYS 400 /* that a node may have */
#define DIRECTORIES_BATCH_MS 10

struct directories;

struct node {
	struct directories *all;
	struct directory *d;
	struct membership *m;
	unsigned idx;
	bool is_there, is_deaf; /* deaf: its messages are not taken */
	bool has[DIRECTORIES_KEYS];
	uint32_t generation[DIRECTORIES_KEYS];
	unsigned n_asked; /* lookups that it sent */
};

enum { MESSAGE_ANNOUNCE, MESSAGE_ASK, MESSAGE_ANSWER };

struct message {
	struct message *next;
	int type;
	struct node *from, *to;
	uint64_t id;
	unsigned n;
	union {
		struct directory_record record[DIRECTORY_BATCH];
		XXH128_hash_t name[DIRECTORY_BATCH];
		struct directory_found found[DIRECTORY_BATCH];
	} u;
};

/* What node @at asked, and was answered, of keys 0 to n - 1. */
struct question {
	struct directory_query q;
	struct node *at;
	XXH128_hash_t name[DIRECTORIES_KEYS];
	unsigned n_done[DIRECTORIES_KEYS], n_holders[DIRECTORIES_KEYS];
	bool is_known[DIRECTORIES_KEYS];
	unsigned holder[DIRECTORIES_KEYS][DIRECTORY_HOLDERS]; /* places in node[] */
};

struct directories {
	struct node node[DIRECTORIES_MAX];
	struct message *first, **last; /* that are on their way */
	uint64_t now_ms;
	struct question question; /* the last one that was asked */
};

XXH128_hash_t directories_name(unsigned key);
/* What node @at calls node @i. */
uint16_t directories_number(struct directories *all, unsigned at, unsigned i);

/* The first @n begin, and know each other; all end. */
void directories_start(struct directories *all, unsigned n);
void directories_stop(struct directories *all);

/* One begins or ends; nobody knows before directories_agree(): all there see all there. */
void directories_start_node(struct directories *all, unsigned i);
void directories_stop_node(struct directories *all, unsigned i);
void directories_agree(struct directories *all);

/* What is on its way arrives; and the same while @ms go by. */
void directories_deliver(struct directories *all);
void directories_pass(struct directories *all, unsigned ms);
/* The only message on its way does not arrive: the caller frees it. */
struct message *directories_catch(struct directories *all);

/* Node @i stores key @key, or has it no more. */
void directories_store(struct directories *all, unsigned i, unsigned key);
void directories_lose(struct directories *all, unsigned i, unsigned key);

/* Node @i asks who has keys 0 to @n; and whether it was told that node @holder has key @key. */
void directories_ask(struct directories *all, unsigned i, unsigned n);
bool directories_is_told(const struct directories *all, unsigned key, unsigned holder);
/* What every node is told is what there is. */
void directories_check(struct directories *all);

#endif
