/* SPDX-License-Identifier: Apache-2.0 */
/*
 * main.c: the command line of shmcache.
 *
 * One run is one command: read the common options, find the command, let it attach and do
 * its work, see that all output really went out, detach. There is no interactive mode: a
 * shell has a better one, and attaching takes less time than starting a process does.
 *
 * Every file cmd-NAME.c holds one command with its help; command.c lists them. They talk to
 * the cache through the public library alone and so do nothing that another program could
 * not.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "clients/cli/command.h"
#include "clients/cli/options.h"

static enum cli_exit run_help(struct cli *cli, int argc, char **argv)
{
	if (argc > 1) {
		cli->command = command_find(argv[1]);
		if (!cli->command)
			return cli_usage(cli, "there is no command '%s'", argv[1]);
		command_print_help(cli->command);
	} else {
		command_print_list();
	}
	return CLI_OK;
}

static enum cli_exit run_command(struct cli *cli, int argc, char **argv)
{
	const struct command *command = command_find(argv[0]), *nearest;

	if (command) {
		cli->command = command;
		return command->run(cli, argc, argv);
	}
	if (!strcmp(argv[0], "help"))
		return run_help(cli, argc, argv);
	nearest = command_nearest(argv[0]);
	if (nearest)
		return cli_usage(cli, "there is no command '%s'; did you mean '%s'?", argv[0],
			nearest->name);
	return cli_usage(cli, "there is no command '%s'", argv[0]);
}

static enum cli_exit run(struct cli *cli, int argc, char **argv)
{
	struct options options;

	options_begin(&options, cli, argc, argv, "", NULL, true);
	if (options_next(&options) == OPTIONS_STOP)
		return options.status;
	if (optind == argc)
		return cli_usage(cli, "no command given");
	return run_command(cli, argc - optind, argv + optind);
}

/* A full disk or a closed pipe shows up only when stdio lets go of its buffer. */
static enum cli_exit output_close(const struct cli *cli, enum cli_exit status)
{
	errno = 0;
	if (!fflush(stdout) && !ferror(stdout))
		return status;
	cli_say(cli, "cannot write the output: %s", errno ? strerror(errno) : "it was cut off");
	return CLI_ERROR;
}

/*
 * A descriptor 0 to 2 that is closed would be given to the next file opened, and a value written to
 * "standard output" go into the broker's socket. So they are filled up, the wrong way round:
 * reading from the one and writing to the others fails, as it would have.
 */
static void standard_fill(void)
{
	for (int fd = STDIN_FILENO; fd <= STDERR_FILENO; fd++)
		if (fcntl(fd, F_GETFD) < 0)
			(void)!open("/dev/null", fd == STDIN_FILENO ? O_WRONLY : O_RDONLY);
}

int main(int argc, char **argv)
{
	const char *name = getenv("SHMCACHE_NAME");
	struct cli cli = { .name = name && name[0] ? name : "shmcache" };
	enum cli_exit status;

	standard_fill();
	status = run(&cli, argc, argv);
	status = output_close(&cli, status);
	shmc_detach(cli.cache);
	return status;
}
