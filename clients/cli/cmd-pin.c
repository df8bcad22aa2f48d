/* SPDX-License-Identifier: Apache-2.0 */
/*
 * cmd-pin.c: keep entries from eviction, for as long as this command runs.
 *
 * A pin belongs to a session, and a session to a process: when the process ends, however it
 * ends, the broker drops the pin. That is what keeps a crashed job from pinning memory for
 * ever, and it is why there is no `unpin` here: it would be another process, with another
 * session, that has no pin to give up. So this command stays in the foreground, or runs
 * another one meanwhile, and letting go is ending it.
 *
 * The configuration bounds how long one pin lasts, so it is renewed every second. That also
 * pins again what a restarted broker has forgotten, or what somebody has replaced
 * meanwhile.
 *
 * Signals are blocked and taken one by one in the waiting loop: there is no handler and no
 * race between looking and sleeping. Those that another process sent are passed on to the
 * child; those that come from the terminal's keys have reached it already, as part of the
 * foreground job.
 */
#include <errno.h>
#include <signal.h>
#include <spawn.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "clients/cli/command.h"
#include "clients/cli/key.h"
#include "clients/cli/options.h"
#include "clients/cli/progress.h"

#define RENEW_NS (UINT64_C(1000) * 1000 * 1000)
#define FOR_MAX_MS (UINT64_C(1) << 42) /* a century, and no overflow in nanoseconds */

enum { OPT_FOR = OPTIONS_OWN };

static const struct option pin_longs[] = {
	{ "for", required_argument, NULL, OPT_FOR },
	{ NULL, 0, NULL, 0 },
};

struct pin {
	struct cli *cli;
	char **keys;
	int n_keys;
	char **command;	 /* NULL: none */
	uint64_t for_ms; /* 0: till the end */
	uint64_t end_ns; /* UINT64_MAX: none */
	bool lost;	 /* the broker is away, and it was said */
	bool ended;	 /* nothing to renew any more */
	pid_t child;	 /* 0: none (any more) */
	int child_status;
	sigset_t signals, before;
};

static int pin_key(struct pin *pin, const struct key *key)
{
	uint64_t now = progress_now(), left_ms = 0;

	if (pin->end_ns != UINT64_MAX)
		left_ms = pin->end_ns > now ? (pin->end_ns - now) / 1000000 + 1 : 1;
	return shmc_pin(
		pin->cli->cache, key->bytes, key->size, left_ms, SHMC_TIMEOUT_DEFAULT);
}

/* Pin all of them, anew. A broker that is away may come back: wait for it, and say so once. */
static enum cli_exit pin_renew(struct pin *pin, bool first)
{
	enum cli_exit status;
	struct key key;

	for (int i = 0; i < pin->n_keys; i++) {
		int r;

		(void)key_parse(pin->cli, pin->keys[i], &key);
		r = pin_key(pin, &key);
		if (!first && (r == -ENOTCONN || r == -ETIMEDOUT)) {
			if (!pin->lost)
				cli_say(pin->cli, "the broker is away; waiting for it");
			pin->lost = true;
			return CLI_OK;
		}
		status = cli_result(pin->cli, r, "pin", key.bytes, key.size);
		if (status)
			return status;
	}
	pin->lost = false;
	return CLI_OK;
}

static void pin_drop(struct pin *pin)
{
	struct key key;

	for (int i = 0; i < pin->n_keys && !pin->lost; i++) {
		(void)key_parse(pin->cli, pin->keys[i], &key);
		(void)shmc_unpin(pin->cli->cache, key.bytes, key.size, SHMC_TIMEOUT_DEFAULT);
	}
	pin->ended = true;
}

static void pin_signals_block(struct pin *pin)
{
	static const int numbers[] = { SIGINT, SIGTERM, SIGHUP, SIGQUIT, SIGCHLD };

	sigemptyset(&pin->signals);
	for (size_t i = 0; i < sizeof(numbers) / sizeof(numbers[0]); i++)
		sigaddset(&pin->signals, numbers[i]);
	/* who started us may ignore it, and then the child's status would be lost */
	signal(SIGCHLD, SIG_DFL);
	sigprocmask(SIG_BLOCK, &pin->signals, &pin->before);
}

static int pin_spawn(struct pin *pin)
{
	posix_spawnattr_t attr;
	int r;

	r = posix_spawnattr_init(&attr);
	if (r)
		return -r;
	posix_spawnattr_setsigmask(&attr, &pin->before);
	posix_spawnattr_setflags(&attr, POSIX_SPAWN_SETSIGMASK);
	r = posix_spawnp(&pin->child, pin->command[0], NULL, &attr, pin->command, environ);
	posix_spawnattr_destroy(&attr);
	if (r)
		pin->child = 0;
	return -r;
}

static void pin_reap(struct pin *pin)
{
	if (pin->child && waitpid(pin->child, &pin->child_status, WNOHANG) == pin->child)
		pin->child = 0;
}

/* Sleep for a signal till the next renewal or the end. True if the signal ends the command. */
static bool pin_wait(struct pin *pin)
{
	uint64_t now = progress_now(), ns = RENEW_NS;
	struct timespec timeout;
	siginfo_t info;
	int number;

	if (!pin->ended && pin->end_ns != UINT64_MAX && pin->end_ns < now + ns)
		ns = pin->end_ns > now ? pin->end_ns - now : 0;
	timeout.tv_sec = (time_t)(ns / 1000000000);
	timeout.tv_nsec = (long)(ns % 1000000000);
	number = sigtimedwait(&pin->signals, &info, &timeout);
	if (number == SIGCHLD)
		pin_reap(pin);
	else if (number > 0 && !pin->command)
		return true;
	else if (number > 0 && info.si_code <= 0 && pin->child)
		kill(pin->child, number);
	return false;
}

static enum cli_exit pin_hold(struct pin *pin)
{
	enum cli_exit status = CLI_OK;

	for (;;) {
		if (pin_wait(pin))
			break;
		if (!pin->ended && progress_now() >= pin->end_ns)
			pin_drop(pin);
		if (!pin->ended) {
			status = pin_renew(pin, false);
			pin->ended = status != CLI_OK;
		}
		if (pin->command ? !pin->child : pin->ended)
			break;
	}
	if (!pin->ended)
		pin_drop(pin);
	return status;
}

static enum cli_exit pin_child_status(const struct pin *pin)
{
	/* as a shell does: the command's own status is passed through */
	if (WIFSIGNALED(pin->child_status))
		return (enum cli_exit)(128 + WTERMSIG(pin->child_status));
	return (enum cli_exit)WEXITSTATUS(pin->child_status);
}

static void pin_say(const struct pin *pin)
{
	struct json_object *object;

	if (pin->command)
		return; /* the output is the child's */
	if (pin->cli->json) {
		object = json_new();
		json_add_uint(object, "n_pinned", (uint64_t)pin->n_keys);
		json_print(object);
		fflush(stdout);
	} else if (!pin->cli->quiet) {
		cli_say(pin->cli, "%d pinned; Ctrl-C lets go", pin->n_keys);
	}
}

static enum cli_exit pin_now(struct pin *pin)
{
	enum cli_exit status;
	int r;

	pin_signals_block(pin);
	pin->end_ns = pin->for_ms ? progress_now() + pin->for_ms * 1000000 : UINT64_MAX;
	status = pin_renew(pin, true);
	if (status)
		return status;
	pin_say(pin);
	r = pin->command ? pin_spawn(pin) : 0;
	if (r) {
		pin_drop(pin);
		cli_say(pin->cli, "cannot run '%s': %s", pin->command[0], strerror(-r));
		return CLI_ERROR;
	}
	status = pin_hold(pin);
	return pin->command ? pin_child_status(pin) : status;
}

static enum cli_exit pin_for(struct pin *pin)
{
	enum cli_exit status = options_duration(pin->cli, "--for", &pin->for_ms);

	if (!status && (!pin->for_ms || pin->for_ms > FOR_MAX_MS))
		status = cli_usage(pin->cli, "--for is out of range: %s", optarg);
	return status;
}

static enum cli_exit pin_keys(struct pin *pin, const struct options *o)
{
	enum cli_exit status = options_operands(o, 1, -1);
	struct key key;

	pin->keys = o->argv + optind;
	pin->n_keys = o->argc - optind;
	for (int i = 0; i < pin->n_keys && !status; i++)
		status = key_parse(pin->cli, pin->keys[i], &key);
	return status;
}

static enum cli_exit pin_run(struct cli *cli, int argc, char **argv)
{
	struct pin pin = { .cli = cli };
	enum cli_exit status = CLI_OK;
	struct options o;
	int n_own = 0, c;

	/* getopt would take a "--" out and mix what is behind it with the keys */
	while (n_own < argc && strcmp(argv[n_own], "--"))
		n_own++;
	if (n_own < argc - 1)
		pin.command = argv + n_own + 1;
	else if (n_own < argc)
		return cli_usage(cli, "there is no command behind the '--'");
	argv[n_own] = NULL;
	options_begin(&o, cli, n_own, argv, "", pin_longs, false);
	while (!status && (c = options_next(&o)) >= 0)
		status = pin_for(&pin);
	if (c == OPTIONS_STOP)
		return o.status;
	if (!status)
		status = pin_keys(&pin, &o);
	if (!status)
		status = cli_attach(cli);
	return status ? status : pin_now(&pin);
}

const struct command command_pin = {
	.name = "pin",
	.summary = "keep entries from eviction while this command, or another one, runs",
	.usage = "KEY... [--for TIME] [-- COMMAND [ARGUMENT...]]",
	.help = "      --for TIME       let go after this time\n"
		"\n"
		"Stays in the foreground until the time is over or it is interrupted. With COMMAND it\n"
		"runs that meanwhile, lets go when it ends, and exits with its status. A pin ends with\n"
		"the process that holds it, so there is no command to unpin. Others can still delete\n"
		"or replace the entry; when it is gone, the exit status is 1.\n"
		"\n"
		"Examples:\n"
		"  shmcache pin model.bin --for 10m\n"
		"  shmcache pin model.bin vocab.bin -- ./evaluate.sh\n",
	.run = pin_run,
};
