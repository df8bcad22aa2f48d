/* SPDX-License-Identifier: Apache-2.0 */
/* config.h - what the operator may choose: the broker's configuration, an INI file. */
#ifndef SHMCACHE_CONFIG_CONFIG_H
#define SHMCACHE_CONFIG_CONFIG_H

#include "shmcache/log/log.h"

#include <sched.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <sys/socket.h>
#include <sys/types.h>

/*
 * Order of use, by one thread:
 *
 *     config_init(&c);                              every key has its default
 *     config_load(&c, path, &errs);                 the file, if there is one
 *     config_set(&c, "dram.size", "1GiB", &errs);   each -o of the command line
 *     config_check(&c, &errs);                      what the keys say together
 *
 * After that the struct is only read, by anybody. It owns no memory: copy it by assignment,
 * drop it without ceremony. Sizes are bytes, durations nanoseconds, shares whole percents.
 */

enum {
	CONFIG_NAME_MAX = 48,
	CONFIG_PATH_MAX = 107, /* what fits sockaddr_un */
	CONFIG_POLICY_MAX = 32,
	CONFIG_LIST_MAX = 180, /* of members, of URLs: with its key it fits a line */
	CONFIG_CONGESTION_MAX = 15, /* what fits TCP_CONGESTION */
	CONFIG_RULES_MAX = 64,
	CONFIG_KEYS_MAX = 128,
	CONFIG_ERRORS_MAX = 20,
	CONFIG_ERROR_SIZE = 1024,
	CONFIG_VALUE_SIZE = 256,	/* room for any printed value */
	CONFIG_WHY_SIZE = 384,		/* room for a complaint about a value */
	CONFIG_LINE_MAX = 198,		/* bytes of a line that is not a comment */
	CONFIG_FILE_SIZE_MAX = 1 << 20, /* bytes of a file */
};

enum config_huge_pages {
	CONFIG_HUGE_PAGES_OFF,
	CONFIG_HUGE_PAGES_ADVISE, /* madvise(MADV_HUGEPAGE) */
};

/* What the CXL tier lies on. */
enum config_backend {
	CONFIG_BACKEND_AUTO,   /* what the machine has; see docs/configuration.md */
	CONFIG_BACKEND_DEVDAX, /* a device /dev/daxX.Y */
	CONFIG_BACKEND_NUMA,   /* shared memory on a node without CPUs */
	CONFIG_BACKEND_SHM,    /* plain shared memory stands in */
	CONFIG_BACKEND_OFF,    /* no such tier */
};

enum config_poll {
	CONFIG_POLL_ADAPTIVE, /* spin for broker.spin, then sleep */
	CONFIG_POLL_BUSY,     /* never sleep */
	CONFIG_POLL_SLEEP,    /* never spin */
};

/* How it is found out which other broker has a value. */
enum config_locate {
	CONFIG_LOCATE_AUTO,	 /* ask, up to three members; beyond, the directory */
	CONFIG_LOCATE_DIRECTORY, /* a table that is sharded over the members */
	CONFIG_LOCATE_ASK,	 /* all members at once */
};

/* What of that which came from another broker is published here: see docs/remote.md. */
enum config_write_back {
	CONFIG_WRITE_BACK_ALWAYS,
	CONFIG_WRITE_BACK_ALL_FOUND,	     /* of a batch, if none of it was missed */
	CONFIG_WRITE_BACK_CONTIGUOUS_PREFIX, /* of a batch, what comes before the first miss */
	CONFIG_WRITE_BACK_SECOND_HIT,	     /* what was fetched once before, not long ago */
	CONFIG_WRITE_BACK_FREE_SPACE,	     /* what needs no eviction */
	CONFIG_WRITE_BACK_OFF,
	CONFIG_N_WRITE_BACKS,
};

enum config_security {
	CONFIG_SECURITY_TLS,
	CONFIG_SECURITY_NONE,
};

/* What a client may do; each includes those before it. */
enum config_role {
	CONFIG_ROLE_NONE,   /* is turned away */
	CONFIG_ROLE_READER, /* get */
	CONFIG_ROLE_STAGER, /* put through its staging area, delete, pin */
	CONFIG_ROLE_WRITER, /* fill reserved blocks in place */
};

/* One line uid.N, user.NAME, gid.N or group.NAME of [access]. */
struct config_rule {
	bool is_group;
	uint32_t id;	      /* uid or gid; a name is resolved when it is read */
	enum config_role role;
	unsigned set_at;      /* as in struct config */
	char name[33];	      /* as given, or empty where the number was given */
};

struct config {
	struct {
		char name[CONFIG_NAME_MAX + 1];
		bool persist;			  /* memory outlives the broker */
		char socket[CONFIG_PATH_MAX + 1]; /* empty: /dev/shm/NAME.sock */
	} cache;
	struct {
		uint64_t size; /* multiple of 4096; 0: a quarter of what is free in /dev/shm */
		int node;      /* NUMA node, -1: any */
		enum config_huge_pages huge_pages;
		unsigned reserve_threads; /* 0: one per CPU */
	} dram;
	struct {
		enum config_backend backend;
		uint64_t size;			    /* 0: what the backend suggests */
		char device[CONFIG_PATH_MAX + 1];   /* empty: the first that fits */
		int node;			    /* -1: the first without CPUs */
		uint64_t threshold;		    /* 0: none (key: size_threshold) */
		char policy[CONFIG_POLICY_MAX + 1]; /* empty: as eviction.policy */
		unsigned demote_at_percent;	    /* of the DRAM tier in use (key: demote_at) */
		unsigned demote_to_percent;	    /* 0: 5 less than that (key: demote_to) */
		unsigned promote_after;		    /* hits; 0: never */
		uint64_t promote_rate;		    /* bytes a second; 0: no limit */
	} cxl;
	struct {
		uint64_t size_max; /* multiple of 4096; 0: as dram.size */
	} index;
	struct {
		char policy[CONFIG_POLICY_MAX + 1]; /* empty: the built-in default */
		unsigned batch;			    /* entries evicted ahead in one go */
	} eviction;
	struct {
		unsigned workers;
		enum config_poll poll;
		uint64_t spin_ns;
		unsigned round; /* submissions taken from one lane in one round */
		uint64_t restart_grace_ns; /* for former clients whose holds can't be seen */
		cpu_set_t cpus; /* where workers may run; empty: anywhere */
	} broker;
	struct config_session {
		unsigned n_max; /* sessions at once (key: max) */
		unsigned lanes;
		unsigned queue;		   /* submissions per lane, power of two */
		unsigned holds;		   /* hold cells per lane, power of two */
		uint64_t staging_size;	   /* per lane, multiple of 4096 (key: staging) */
		unsigned reservations;	   /* open at once, per session */
		unsigned reserved_percent; /* of the tier, per session (key: reserved_max) */
		unsigned pinned_percent;   /* of the tier, per session (key: pinned_max) */
		unsigned held_percent;	   /* of the tier, per session (key: held_max) */
		uint64_t pin_time_max_ns;
		uint64_t hello_timeout_ns;
		unsigned handshakes; /* connections that have not said hello */
	} session;
	struct {
		enum config_role owner; /* the broker's own uid, and root */
		enum config_role other; /* whom nothing else names */
		struct config_rule rules[CONFIG_RULES_MAX];
		unsigned n_rules;
	} access;
	struct config_remote {
		char listen[CONFIG_PATH_MAX + 1];    /* see config_endpoint(); empty: nowhere */
		char advertise[CONFIG_PATH_MAX + 1]; /* empty: as listen */
		char name[CONFIG_NAME_MAX + 1];
		char cluster[CONFIG_NAME_MAX + 1];
		char members[CONFIG_LIST_MAX + 1]; /* see config_member_next(); empty: none */
		char etcd[CONFIG_LIST_MAX + 1];	   /* URLs, commas between; empty: none */
		char etcd_prefix[CONFIG_PATH_MAX + 1];
		char etcd_user[CONFIG_NAME_MAX + 1];	       /* empty: etcd asks for none */
		char etcd_password_file[CONFIG_PATH_MAX + 1];
		char etcd_ca[CONFIG_PATH_MAX + 1];	    /* empty: as ca */
		char etcd_certificate[CONFIG_PATH_MAX + 1]; /* empty: as certificate */
		char etcd_key[CONFIG_PATH_MAX + 1];	    /* empty: as key */
		enum config_locate locate;
		enum config_write_back write_back;
		unsigned lanes;	      /* data connections for each peer */
		uint64_t window_size; /* bytes on their way, per lane (key: window) */
		uint64_t timeout_ns;  /* of one fetch */
		uint64_t absent_for_ns; /* 0: not remembered */
		unsigned fetches;     /* transfers at once */
		unsigned deliver_percent; /* of the tiers (key: deliver_max) */
		enum config_security security;
		bool insecure_network;
		char ca[CONFIG_PATH_MAX + 1];
		char certificate[CONFIG_PATH_MAX + 1];
		char key[CONFIG_PATH_MAX + 1];
		bool data_tls;
		char congestion[CONFIG_CONGESTION_MAX + 1]; /* empty: as the kernel has it */
	} remote;
	struct {
		char listen[CONFIG_PATH_MAX + 1]; /* empty: nowhere */
	} metrics;
	struct {
		enum log_level level;
		enum log_target target;
	} log;

	/*
	 * Where each key was set, by its place in the table (see keys.h): 0, nowhere; else a
	 * line of file; else CONFIG_SET_BY_OPTION + n, by the n-th config_set(). Later is greater.
	 */
	unsigned set_at[CONFIG_KEYS_MAX];
	unsigned n_options;
	char file[256];
};

#define CONFIG_SET_BY_OPTION 0x80000000u

/* One complaint: a whole sentence with file, line, key and value, escaped, no newline. */
struct config_error {
	unsigned line; /* as in set_at: 0 where no line is meant */
	char text[CONFIG_ERROR_SIZE];
};

/* Complaints in the order of their lines. Zero it before the first use. */
struct config_errors {
	struct config_error at[CONFIG_ERRORS_MAX];
	unsigned n;
	unsigned n_more; /* how many there was no place for */
};

/* Gives every key its default, set nowhere. */
void config_init(struct config *c);

/*
 * Reads a file on top of c. 0; or -EINVAL, with all that is wrong with it in errs (bounded by
 * CONFIG_ERRORS_MAX); or another -errno with one complaint, when it can't be read. After a
 * failure c is fit for nothing but config_init(). One file at most.
 * A file has to make sense by itself: what its keys say together is checked here too.
 */
int config_load(struct config *c, const char *path, struct config_errors *errs);

/* The same from an open stream, which stays the caller's; name is for the complaints. */
int config_load_stream(struct config *c, FILE *stream, const char *name,
		       struct config_errors *errs);

/*
 * Sets one key from the command line, over whatever the file said: key is "section.key".
 * 0, or -EINVAL and a complaint. What keys say together waits for config_check(), since the
 * next option may be what makes sense of this one.
 */
int config_set(struct config *c, const char *key, const char *value, struct config_errors *errs);

/* Looks for keys that contradict each other. 0, or -EINVAL and a complaint at the later key. */
int config_check(const struct config *c, struct config_errors *errs);

/*
 * Writes the effective configuration: a file that reads back as an equal config. 0, or -errno
 * of the stream.
 */
int config_print(const struct config *c, FILE *out);

/* Writes every key with its default and what it is for: docs/shmcached.conf. As above. */
int config_print_defaults(FILE *out);

/* Writes the complaints, one a line. */
void config_errors_print(const struct config_errors *errs, FILE *out);

/*
 * What a broker that runs @running (as it was read, before sizes were filled in) can take over of
 * @wanted: @wanted keeps the keys that it can, and gets those that it can't from @running. @tell is
 * called for each key that differs, with "section.key" and both values, and with the rules of
 * [access] as one key, "access.*".
 */
enum config_change {
	CONFIG_CHANGE_NEXT_START,   /* not taken over */
	CONFIG_CHANGE_AT_ONCE,
	CONFIG_CHANGE_NEXT_SESSION, /* for clients that attach from then on */
};
typedef void config_tell_fn(void *context, enum config_change change, const char *key,
		const char *was, const char *value);
void config_take_over(const struct config *running, struct config *wanted, config_tell_fn *tell,
		void *context);

/* Whether both say the same, wherever they say it. */
bool config_equal(const struct config *a, const struct config *b);

/*
 * Where "section.key" was set: as in set_at; 0 also for a key that does not exist. A rule of
 * [access] has its own set_at.
 */
unsigned config_set_at(const struct config *c, const char *key);

/*
 * The role of a client with these effective ids, as SO_PEERCRED tells them. The most specific
 * rule wins: its uid; then owner, if it has the broker's uid or is root; then its gid
 * (supplementary groups don't count: SO_PEERCRED does not tell them); then other.
 */
enum config_role config_role(const struct config *c, uid_t uid, gid_t gid, uid_t broker_uid);

/* "none", "reader", "stager", "writer". */
const char *config_role_name(enum config_role role);

/* Are other brokers part of this configuration? If not, there is no remote thread. */
bool config_has_remote(const struct config *c);

/*
 * An address as remote.listen and members have it: "PORT" (of 127.0.0.1), "10.0.0.1:PORT",
 * "[fe80::1]:PORT". 0, or -EINVAL for what key_parse() would refuse. @len may be NULL.
 */
int config_endpoint(const char *text, struct sockaddr_storage *address, socklen_t *len);

/* Does what is sent there stay on this machine: 127.0.0.0/8, ::1? */
bool config_is_loopback(const struct sockaddr_storage *address);

/*
 * The members of remote.members, one after another: begin with *@at at the list, false at its end.
 * The list was checked when it was read: names are all different.
 */
struct config_member {
	char name[CONFIG_NAME_MAX + 1];
	char endpoint[CONFIG_PATH_MAX + 1];
};
bool config_member_next(const char **at, struct config_member *member);

/* "always", "all-found", ... */
const char *config_write_back_name(enum config_write_back policy);

/*
 * Keys of [remote] that can be set for all brokers of a cluster at once (docs/remote.md), by their
 * place; NULL behind the last.
 */
const char *config_cluster_key(unsigned i);

/*
 * Sets such a key, over what the file said. 0; -ENOENT: no such key, or none that a cluster sets;
 * -EPERM: it would weaken the security of what stands in @c; -EINVAL: no value for it. After those
 * three c is as it was, and @why (CONFIG_WHY_SIZE) is a sentence that may hold any bytes of what
 * was given.
 */
int config_cluster_set(struct config *c, const char *name, const char *value,
		char why[CONFIG_WHY_SIZE]);

/* The value of one of them, as it is always printed; empty for another name. */
void config_cluster_print(const struct config *c, const char *name, char text[CONFIG_VALUE_SIZE]);

/* Writes the path of the broker's socket: cache.socket, or the one beside the plane. */
void config_socket_path(const struct config *c, char path[CONFIG_PATH_MAX + 1]);

#endif
