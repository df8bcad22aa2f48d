# SPDX-License-Identifier: Apache-2.0
# What the guest's tests share: brokers, and steps that are said and may fail.

n_failed=0
broker_pid=

# step WHAT COMMAND...: one line, and the command's output where it fails.
step()
{
	what=$1
	shift
	if "$@" >/tmp/step 2>&1; then
		echo "ok $what"
	else
		echo "FAILED $what: $*"
		sed 's/^/    /' /tmp/step
		[ -z "$broker_pid" ] || tail -n 5 /tmp/broker.log | sed 's/^/    broker: /'
		n_failed=$((n_failed + 1))
	fi
}

not()
{
	! "$@"
}

# broker NAME [-o ...]...: start one, and wait until it serves; fails if it does not.
broker()
{
	name=$1
	shift
	: >/tmp/broker.log
	shmcached -o "cache.name=$name" -o dram.size=16MiB "$@" 2>/tmp/broker.log &
	broker_pid=$!
	export SHMCACHE_NAME="$name"
	for i in $(seq 200); do
		grep -q event=serving /tmp/broker.log && return 0
		kill -0 "$broker_pid" 2>/dev/null || break
		sleep 0.1
	done
	cat /tmp/broker.log
	broker_pid=
	return 1
}

# broker_end SIGNAL
broker_end()
{
	kill "-$1" "$broker_pid"
	wait "$broker_pid"
	status=$?
	broker_pid=
	[ "$1" != TERM ] || [ "$status" = 0 ]
}

# said EVENT [TEXT]: did the broker log that?
said()
{
	grep "event=$1 " /tmp/broker.log | grep -q -- "${2:-}"
}

# put KEY SIZE-KIB [TIER]: a value that its key and size determine.
value()
{
	yes "$1 of $2 KiB, and nobody else's" | head -c $(($2 * 1024))
}

put()
{
	value "$1" "$2" | shmcache put "$1" --tier "${3:-cxl}"
}

# get KEY SIZE-KIB: it is what was put.
get()
{
	value "$1" "$2" >/tmp/wanted
	shmcache get "$1" -o /tmp/got && cmp /tmp/wanted /tmp/got
}

is_in()
{
	shmcache stat "$1" | grep -q "^tier *$2\$"
}

# figure NAME: a counter or gauge.
figure()
{
	shmcache stats | sed -n "s/^$1 *//p"
}

# is NUMBER OPERATOR NUMBER, said when it is not.
is()
{
	[ "$1" "$2" "$3" ] || { echo "$1 is not $2 $3"; return 1; }
}

# client COMMAND...: a helper in the background that says so when it is where it should be.
client()
{
	: >/tmp/client.log
	vm-helper "$@" >/tmp/client.log 2>&1 &
	client_pid=$!
	for i in $(seq 100); do
		[ -s /tmp/client.log ] && return 0
		kill -0 "$client_pid" 2>/dev/null || break
		sleep 0.1
	done
	cat /tmp/client.log
	return 1
}

client_kill()
{
	kill -9 "$client_pid"
	wait "$client_pid" 2>/dev/null
	return 0
}
