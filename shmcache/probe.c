/* SPDX-License-Identifier: Apache-2.0 */
/* probe.c: what the machine has, for people. */
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "ipc/wire.h"
#include "shmcache/probe.h"

/*
 * An operator who wants a second tier has to know which of the three ways the machine offers, and
 * one who did not get it, why. So this prints what a start would look at, and the choice is made by
 * the very code of the start, from the same configuration.
 */
void probe_look(struct probe *p, const struct config *c)
{
	memset(p, 0, sizeof(*p));
	machine_look(&p->machine);
	p->knows_memdevs = probe_memdevs(&p->memdev, &p->n_memdevs);
	wire_object_name(c->cache.name, WIRE_OBJECT_CXL, p->name, sizeof(p->name));
	p->choice_error = backend_choose(&p->choice, c, &p->machine, p->name);
}

void probe_free(struct probe *p)
{
	machine_free(&p->machine);
	free(p->memdev);
	memset(p, 0, sizeof(*p));
}

struct text {
	char s[32];
};

static struct text size_text(uint64_t size)
{
	static const char *const units[] = {"B", "KiB", "MiB", "GiB", "TiB"};
	double v = (double)size;
	struct text t;
	size_t i;

	for (i = 0; v >= 1024 && i < sizeof(units) / sizeof(units[0]) - 1; i++)
		v /= 1024;
	snprintf(t.s, sizeof(t.s), "%.*f %s", v < 10 && i ? 1 : 0, v, units[i]);
	return t;
}

static void print_nodes(const struct machine *m, FILE *out)
{
	const struct node *n;

	fputs("NUMA nodes:\n", out);
	if (!m->n_nodes)
		fputs("  none\n", out);
	for (n = m->node; n < m->node + m->n_nodes; n++) {
		fprintf(out, "  node %-4d ", n->number);
		if (n->n_cpus == NODE_CPUS_UNKNOWN)
			fputs("? CPUs, ", out);
		else if (n->n_cpus)
			fprintf(out, "%u CPUs, ", n->n_cpus);
		else
			fputs("no CPUs, ", out);
		fprintf(out, "%s, %s of it free, distance %d%s\n", size_text(n->size).s,
			size_text(n->free).s, n->distance, n->is_allowed ? "" : ", not allowed");
	}
}

static const char *device_state(const struct dax_device *d)
{
	if (d->is_memory)
		return "ordinary memory now";
	return d->is_enabled ? "enabled" : "disabled";
}

static void print_devices(const struct machine *m, FILE *out)
{
	const struct dax_device *d;

	fputs("dax devices:\n", out);
	if (!m->n_devices)
		fputs("  none\n", out);
	for (d = m->device; d < m->device + m->n_devices; d++)
		fprintf(out, "  %s  %s in multiples of %s, node %d, %s%s\n", d->path,
			size_text(d->size).s, size_text(d->align).s, d->target_node,
			device_state(d), d->is_persistent ? ", persistent" : "");
}

static void print_memdevs(const struct probe *p, FILE *out)
{
	const struct probe_memdev *d;

	fputs("CXL memory devices:\n", out);
	if (!p->n_memdevs)
		fputs(p->knows_memdevs ? "  none\n" : "  not told: built without libcxl\n", out);
	for (d = p->memdev; d < p->memdev + p->n_memdevs; d++)
		fprintf(out, "  %s  %s volatile, %s persistent, at %s, %s\n", d->name,
			size_text(d->volatile_size).s, size_text(d->persistent_size).s,
			d->host[0] ? d->host : "?", d->is_enabled ? "enabled" : "disabled");
}

static void print_choice(const struct probe *p, FILE *out)
{
	const struct backend *b = &p->choice;

	fputs("second tier of this configuration:\n  ", out);
	if (p->choice_error)
		fprintf(out, "error: %s\n", b->why);
	else if (b->region.size)
		fprintf(out, "%s, %s: %s\n", backend_name(b->kind),
			size_text(b->region.size).s, b->why);
	else
		fprintf(out, "%s: %s\n", backend_name(b->kind), b->why);
}

static int finish(FILE *out)
{
	errno = 0;
	if (!fflush(out) && !ferror(out))
		return 0;
	return errno ? -errno : -EIO;
}

int probe_print(const struct probe *p, FILE *out)
{
	print_nodes(&p->machine, out);
	print_devices(&p->machine, out);
	print_memdevs(p, out);
	fprintf(out, "/dev/shm:\n  %s, %s of it free\n", size_text(p->machine.shm_size).s,
		size_text(p->machine.shm_free).s);
	print_choice(p, out);
	return finish(out);
}

/* --- the same for programs -------------------------------------------------------------------- */

static void json_string(FILE *out, const char *text)
{
	fputc('"', out);
	for (; *text; text++) {
		unsigned char ch = (unsigned char)*text;

		if (ch == '"' || ch == '\\')
			fprintf(out, "\\%c", ch);
		else if (ch < ' ' || ch >= 0x7f)
			fprintf(out, "\\u%04x", ch);
		else
			fputc(ch, out);
	}
	fputc('"', out);
}

static void json_key(FILE *out, const char *name)
{
	fprintf(out, "\"%s\":", name);
}

static void json_text(FILE *out, const char *name, const char *value)
{
	json_key(out, name);
	json_string(out, value);
}

static const char *json_bool(bool value)
{
	return value ? "true" : "false";
}

static void json_nodes(const struct machine *m, FILE *out)
{
	const struct node *n;

	for (n = m->node; n < m->node + m->n_nodes; n++) {
		fprintf(out, "%s{\"node\":%d,\"size\":%" PRIu64 ",\"free\":%" PRIu64 ",\"cpus\":",
			n == m->node ? "" : ",", n->number, n->size, n->free);
		if (n->n_cpus == NODE_CPUS_UNKNOWN)
			fputs("null", out);
		else
			fprintf(out, "%u", n->n_cpus);
		fprintf(out, ",\"distance\":%d,\"allowed\":%s}", n->distance,
			json_bool(n->is_allowed));
	}
}

static void json_devices(const struct machine *m, FILE *out)
{
	const struct dax_device *d;

	for (d = m->device; d < m->device + m->n_devices; d++) {
		fputs(d == m->device ? "{" : ",{", out);
		json_text(out, "path", d->path);
		fprintf(out, ",\"size\":%" PRIu64 ",\"align\":%" PRIu64 ",\"node\":%d,\"enabled\":%s,"
			"\"memory\":%s,\"persistent\":%s}", d->size, d->align, d->target_node,
			json_bool(d->is_enabled), json_bool(d->is_memory),
			json_bool(d->is_persistent));
	}
}

static void json_memdevs(const struct probe *p, FILE *out)
{
	const struct probe_memdev *d;

	for (d = p->memdev; d < p->memdev + p->n_memdevs; d++) {
		fputs(d == p->memdev ? "{" : ",{", out);
		json_text(out, "name", d->name);
		fputc(',', out);
		json_text(out, "host", d->host);
		fprintf(out, ",\"volatile\":%" PRIu64 ",\"persistent\":%" PRIu64 ",\"node\":%d,"
			"\"enabled\":%s}", d->volatile_size, d->persistent_size, d->node,
			json_bool(d->is_enabled));
	}
}

int probe_print_json(const struct probe *p, FILE *out)
{
	fputs("{\"nodes\":[", out);
	json_nodes(&p->machine, out);
	fputs("],\"devices\":[", out);
	json_devices(&p->machine, out);
	fputs("],\"cxl_devices\":", out);
	fputs(p->knows_memdevs ? "[" : "null", out);
	json_memdevs(p, out);
	fprintf(out, "%s,\"shm\":{\"size\":%" PRIu64 ",\"free\":%" PRIu64 "},\"choice\":{",
		p->knows_memdevs ? "]" : "", p->machine.shm_size, p->machine.shm_free);
	json_text(out, "backend", p->choice_error ? "error" : backend_name(p->choice.kind));
	fprintf(out, ",\"size\":%" PRIu64 ",\"node\":%d,", p->choice.region.size,
		p->choice.region.node);
	json_text(out, "device", p->choice.device);
	fputc(',', out);
	json_text(out, "why", p->choice.why);
	fputs("}}\n", out);
	return finish(out);
}
