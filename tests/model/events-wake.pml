/* SPDX-License-Identifier: Apache-2.0 */
/* Waking who reads events: none is slept over, and who is awake wakes nobody. */

/*
 *	writer --- ring ---> subscribers, who read up to its end
 *	   |                     |  ^
 *	   | bell: a timer       |  | READY
 *	   '-----> broker <------'  |
 *	             |    WAIT pos  |
 *	             '--------------'
 *
 * A subscriber who has read all sends WAIT with the place that he has read to, and sleeps until his socket
 * is readable. The broker's control thread compares that place with the end of the ring, and arms the
 * bell, in one section of the lock under which the writer writes. An event that finds the bell armed
 * makes the timer ready, unless it was made so and not answered. Answering it, the control thread empties
 * the timer first and takes the mark then. All subscribers share the bell.
 *
 * Property: who sleeps for good has read all there is. READY is sent once for each WAIT.
 *
 * Mutants:
 *	NO_POSITION	the place is not compared: any WAIT arms the bell
 *	UNLOCKED	it is, and the bell is armed in another section of the lock
 *	TAKE_FIRST	the mark is taken before the timer is emptied
 *	WAKE_ONE	one of those who wait is told
 *	HEAR_LATE	READY is taken off the socket behind the WAIT
 */
#define N_TOTAL 4
#define N_SUBSCRIBERS 2

byte written;
bool armed, rung, timer; /* the first two under the lock */

byte wait_position[N_SUBSCRIBERS]; /* the WAIT that is on its way */
bool wait_is_sent[N_SUBSCRIBERS];
byte n_ready[N_SUBSCRIBERS]; /* on the socket */

proctype writer()
{
	do
	:: written < N_TOTAL ->
		atomic {
			written++;
			if
			:: armed ->
				armed = false;
				if
				:: !rung -> timer = true
				:: else
				fi;
				rung = true
			:: else
			fi
		}
	:: else -> break
	od
}

/* The control thread: it has no end. */
proctype broker()
{
	bool is_waiting[N_SUBSCRIBERS], is_due[N_SUBSCRIBERS], was_rung, is_there;
	byte i, position;

end:	do
	:: wait_is_sent[0] || wait_is_sent[1] ->
		atomic {
			i = (wait_is_sent[0] -> 0 : 1);
			position = wait_position[i];
			wait_is_sent[i] = false;
			is_waiting[i] = true
		}
#ifdef UNLOCKED
		is_there = (written > position);
		if
		:: !is_there -> armed = true
		:: else
		fi;
#else
		atomic {
#ifdef NO_POSITION
			is_there = false;
#else
			is_there = (written > position);
#endif
			if
			:: !is_there -> armed = true
			:: else
			fi
		}
#endif
		atomic {
			if
			:: is_there ->
				is_due[i] = true;
				timer = true
			:: else
			fi;
			is_there = false;
			i = 0;
			position = 0
		}
	:: timer ->
#ifdef TAKE_FIRST
		atomic { was_rung = rung; rung = false };
		timer = false;
#else
		timer = false;
		atomic { was_rung = rung; rung = false };
#endif
		do
		:: i < N_SUBSCRIBERS ->
			atomic {
				if
				:: is_waiting[i] && (is_due[i] || was_rung) ->
					is_waiting[i] = false;
					is_due[i] = false;
					n_ready[i]++;
#ifdef WAKE_ONE
					was_rung = false;
#endif
				:: else
				fi;
				i++
			}
		:: else -> break
		od;
		atomic {
			i = 0;
			was_rung = false
		}
	od
}

proctype subscriber(byte me)
{
	byte pos;
	bool is_waiting;

	do
	:: pos == N_TOTAL -> break
	:: else ->
		/* Read what there is; hear; look again. */
		pos = written;
#ifndef HEAR_LATE
		atomic {
			if
			:: n_ready[me] ->
				assert(is_waiting && n_ready[me] == 1);
				n_ready[me] = 0;
				is_waiting = false
			:: else
			fi
		}
		pos = written;
#endif
		if
		:: pos < N_TOTAL && !is_waiting ->
			atomic {
				wait_position[me] = pos;
				wait_is_sent[me] = true;
				is_waiting = true
			}
		:: else
		fi;
#ifdef HEAR_LATE
		atomic {
			if
			:: n_ready[me] ->
				n_ready[me] = 0;
				is_waiting = false
			:: else
			fi
		}
#endif
		/* poll() */
		if
		:: pos == N_TOTAL || n_ready[me] -> skip
		fi
	od
}

init {
	atomic {
		run writer();
		run broker();
		run subscriber(0);
		run subscriber(1)
	}
}
