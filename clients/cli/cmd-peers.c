/* SPDX-License-Identifier: Apache-2.0 */
/*
 * cmd-peers.c: the other brokers of a cluster, as this one sees them.
 *
 * A table for people, whose columns are as wide as what is in them: a screen of 80 columns is too
 * narrow for it, and less -S or --json is there for that. Names and reasons come over a network, so
 * they are printed as keys are: on one line, and without power over a terminal.
 */
#include <errno.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "clients/cli/command.h"
#include "clients/cli/json.h"
#include "clients/cli/options.h"
#include "clients/cli/text.h"
#include "clients/cli/units.h"

enum column {
	NAME,
	ADDRESS,
	STATE,
	SINCE,
	LANES,
	FETCHED,
	SERVED,
	FETCHES,
	MISSES,
	FAILED,
	ROUND_TRIP,
	P50,
	P99,
	CAPACITY,
	FREE,
	RECORDS,
	WHY,
	N_COLUMNS,
};

static const char *const heads[N_COLUMNS] = { "peer", "address", "state", "since", "lanes",
	"fetched", "served", "fetches", "misses", "failed", "ping", "p50", "p99", "capacity",
	"free", "records", "" };

struct table {
	char *cell[SHMC_PEERS_MAX + 1][N_COLUMNS]; /* the first row is the heads */
	unsigned n;
};

/* A sentence of the broker's, in place of an answer. */
static void peers_told(void *context, const char *sentence)
{
	cli_say(context, "%s", sentence);
}

/* --- the table -------------------------------------------------------------------------------- */

static char *cell_text(const char *raw)
{
	char *text = NULL;
	size_t size;
	FILE *out = open_memstream(&text, &size);

	if (out) {
		text_print_escaped(out, raw, strlen(raw));
		fclose(out);
	}
	return text;
}

__attribute__((format(printf, 1, 2))) static char *cell(const char *format, ...)
{
	char *text = NULL;
	va_list args;

	va_start(args, format);
	if (vasprintf(&text, format, args) < 0)
		text = NULL;
	va_end(args);
	return text;
}

static char *cell_size(uint64_t size)
{
	char text[UNITS_TEXT_SIZE];

	return cell("%s", units_size_format(text, size));
}

/* What there is not yet is no 0. */
static char *cell_ns(uint64_t ns)
{
	char text[UNITS_TEXT_SIZE];

	return cell("%s", ns ? units_ns_format(text, ns) : "-");
}

static void row_fill(char *row[N_COLUMNS], const struct shmc_peer *peer)
{
	char text[UNITS_TEXT_SIZE];

	row[NAME] = cell_text(peer->name);
	row[ADDRESS] = cell_text(peer->address);
	row[STATE] = cell("%s", shmc_peer_state_name(peer->state));
	row[SINCE] = cell("%s", units_duration_format(text, peer->state_ms));
	row[LANES] = cell("%u", peer->n_lanes);
	row[FETCHED] = cell_size(peer->received_bytes);
	row[SERVED] = cell_size(peer->sent_bytes);
	row[FETCHES] = cell("%" PRIu64, peer->n_fetches);
	row[MISSES] = cell("%" PRIu64, peer->n_misses);
	row[FAILED] = cell("%" PRIu64, peer->n_failures);
	row[ROUND_TRIP] = cell_ns(peer->rtt_ns);
	row[P50] = cell_ns(peer->p50_ns);
	row[P99] = cell_ns(peer->p99_ns);
	row[CAPACITY] = peer->capacity ? cell_size(peer->capacity) : cell("-");
	row[FREE] = peer->free == UINT64_MAX ? cell("-") : cell_size(peer->free);
	row[RECORDS] = cell("%" PRIu64, peer->n_records);
	row[WHY] = cell_text(peer->why);
}

static const char *cell_get(const struct table *t, unsigned row, unsigned column)
{
	const char *text = t->cell[row][column];

	return text ? text : "?";
}

static int column_width(const struct table *t, unsigned column)
{
	size_t width = 0, n;

	for (unsigned i = 0; i < t->n; i++) {
		n = strlen(cell_get(t, i, column));
		width = n > width ? n : width;
	}
	return (int)width;
}

/* Text to the left, numbers to the right; the last as long as it is. */
static void table_print(const struct table *t)
{
	int width[N_COLUMNS];

	for (unsigned c = 0; c < N_COLUMNS; c++)
		width[c] = c == WHY ? 0 : column_width(t, c);
	for (unsigned i = 0; i < t->n; i++) {
		for (unsigned c = 0; c < WHY; c++)
			printf("%s%*s", c ? "  " : "", c <= STATE ? -width[c] : width[c],
				cell_get(t, i, c));
		printf("%s%s\n", *cell_get(t, i, WHY) ? "  " : "", cell_get(t, i, WHY));
	}
}

static void table_free(struct table *t)
{
	for (unsigned i = 0; t && i < t->n; i++)
		for (unsigned c = 0; c < N_COLUMNS; c++)
			free(t->cell[i][c]);
	free(t);
}

static enum cli_exit peers_print_table(
	const struct cli *cli, const struct shmc_peer *peers, unsigned n)
{
	struct table *t = calloc(1, sizeof(*t));

	if (!t)
		return cli_result(cli, -ENOMEM, "print the table", NULL, 0);
	for (unsigned c = 0; c < N_COLUMNS; c++)
		t->cell[0][c] = cell("%s", heads[c]);
	for (t->n = 1; t->n <= n; t->n++)
		row_fill(t->cell[t->n], &peers[t->n - 1]);
	table_print(t);
	table_free(t);
	return CLI_OK;
}

static void own_print(const struct shmc_cluster *c)
{
	text_print_escaped(stdout, c->name, strlen(c->name));
	fputs(" of ", stdout);
	text_print_escaped(stdout, c->cluster, strlen(c->cluster));
	if (c->listen[0]) {
		fputs(", listens on ", stdout);
		text_print_escaped(stdout, c->listen, strlen(c->listen));
	}
	if (c->is_shard)
		printf(", is a shard of the directory: %" PRIu64 " records", c->n_records);
	putchar('\n');
}

static enum cli_exit peers_print(
	const struct cli *cli, const struct shmc_cluster *cluster, const struct shmc_peer *peers)
{
	if (!cluster->is_joined) {
		printf("%s knows no other brokers: its configuration has no [remote]\n", cli->name);
		return CLI_OK;
	}
	own_print(cluster);
	if (!cluster->n_peers) {
		puts("there are no other members");
		return CLI_OK;
	}
	return peers_print_table(cli, peers, cluster->n_peers);
}

/* --- JSON ------------------------------------------------------------------------------------- */

static void json_add_text(struct json_object *object, const char *name, const char *raw)
{
	json_add_bytes(object, name, raw, strlen(raw));
}

static struct json_object *peer_json(const struct shmc_peer *peer)
{
	struct json_object *object = json_new();

	json_add_text(object, "name", peer->name);
	json_add_text(object, "address", peer->address);
	json_add_string(object, "state", shmc_peer_state_name(peer->state));
	json_add_text(object, "why", peer->why);
	json_add_uint(object, "state_ms", peer->state_ms);
	json_add_uint(object, "n_lanes", peer->n_lanes);
	json_add_uint(object, "n_links", peer->n_links);
	json_add_uint(object, "n_fetches", peer->n_fetches);
	json_add_uint(object, "n_misses", peer->n_misses);
	json_add_uint(object, "n_failures", peer->n_failures);
	json_add_uint(object, "received_bytes", peer->received_bytes);
	json_add_uint(object, "n_served", peer->n_served);
	json_add_uint(object, "sent_bytes", peer->sent_bytes);
	json_add_uint(object, "rtt_ns", peer->rtt_ns);
	json_add_uint(object, "p50_ns", peer->p50_ns);
	json_add_uint(object, "p99_ns", peer->p99_ns);
	json_add_uint(object, "capacity", peer->capacity);
	if (peer->free != UINT64_MAX)
		json_add_uint(object, "free", peer->free);
	json_add_uint(object, "n_records", peer->n_records);
	return object;
}

static void peers_print_json(const struct shmc_cluster *cluster, const struct shmc_peer *peers)
{
	struct json_object *object = json_new(), *array = json_new_array();

	json_add_bool(object, "is_joined", cluster->is_joined);
	json_add_text(object, "name", cluster->name);
	json_add_text(object, "cluster", cluster->cluster);
	json_add_text(object, "listen", cluster->listen);
	json_add_bool(object, "is_shard", cluster->is_shard);
	json_add_uint(object, "n_records", cluster->n_records);
	for (unsigned i = 0; i < cluster->n_peers; i++)
		json_append(array, peer_json(&peers[i]));
	json_add_object(object, "peers", array);
	json_print(object);
}

/* --- the command ------------------------------------------------------------------------------ */

static enum cli_exit peers_show(struct cli *cli, struct shmc_peer *peers)
{
	char why[256] = "";
	const struct shmc_control_options options = {
		.timeout_ms = cli->timeout_ms,
		.told = peers_told,
		.context = cli,
		.why = why,
		.why_size = sizeof(why),
	};
	struct shmc_cluster cluster;
	int r = shmc_peers(cli->name, &cluster, peers, SHMC_PEERS_MAX, &options);

	if (r)
		return cli_control_result(cli, r, why);
	if (!cli->json)
		return peers_print(cli, &cluster, peers);
	peers_print_json(&cluster, peers);
	return CLI_OK;
}

static enum cli_exit peers_run(struct cli *cli, int argc, char **argv)
{
	struct shmc_peer *peers;
	enum cli_exit status;

	if (!options_only_operands(cli, argc, argv, 0, 0, &status))
		return status;
	peers = calloc(SHMC_PEERS_MAX, sizeof(*peers));
	if (!peers)
		return cli_result(cli, -ENOMEM, "read the table", NULL, 0);
	status = peers_show(cli, peers);
	free(peers);
	return status;
}

const struct command command_peers = {
	.name = "peers",
	.summary = "show the other brokers that this one knows",
	.usage = "",
	.help = "A line for each member of the cluster: where it is, whether it can be reached\n"
		"and since when, what was fetched from it and served to it, how long that takes,\n"
		"what room it has, and of how many keys the shard of the directory here knows that\n"
		"it has them. Counts are since this broker started. For the broker's own user, and\n"
		"root.\n"
		"\n"
		"Examples:\n"
		"  shmcache peers | less -S\n"
		"  shmcache peers --json | jq '.peers[] | select(.state != \"up\") | .name'\n",
	.run = peers_run,
};
