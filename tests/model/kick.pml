/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * A device that has stopped for programs in ring mode goes on when one gives back what it
 * holds: mydev_holders_tell() and mydev_rx_refill() in kernel/, step 5 of
 * struct mydev_ring in uapi/linux/mydev.h.
 *
 * Stores wait in a buffer of their side, and reach memory at any later time, or at a full
 * barrier; loads do not wait for them. What a program has given back is a number that
 * only grows, so its buffer is the difference of two numbers.
 *
 * What is promised: never do both sides sleep, that is, there is no end but the one
 * in which everything was taken. It is a state without a next step that SPIN looks for.
 *
 * Faults, by -D:
 *   NO_PROGRAM_BARRIER  between its cursor and its look at the flags
 *   NO_KERNEL_BARRIER   between the flags and its look at the cursors
 *   LOOK_ONCE	         no further look at the cursors behind the flags
 *   KEEP_COUNT	         of who is waited for, also where that further look is to come
 *   LOOK_TWICE	         tell by other cursors than those by which it has stopped
 *   LOOK_AT_ONE	         tell by cursors of which only the slowest was looked at anew
 *
 * DRY: the ring stops for want of a buffer, and not as a depth is used up. Then nobody but
 * the slowest is looked at, until that one has moved.
 */
#define PROGRAMS 2
#define ENTRIES  3
#define DEPTH	 1

byte head;
byte cursor[PROGRAMS];		/* as memory has it */
byte stored[PROGRAMS];		/* as the program has it */
bool flag[PROGRAMS];		/* MYDEV_RING_NEED_WAKEUP, in memory */
chan flags[PROGRAMS] = [3] of { bool };	/* on the way there */
byte calls[PROGRAMS];		/* MYDEV_IOC_SYNC */

active [PROGRAMS] proctype program()
{
	byte me = _pid;
	bool wanted;

	do
	:: stored[me] < ENTRIES ->
		/* It is busy, and does not poll. */
		head > stored[me];
		stored[me]++;
#ifndef NO_PROGRAM_BARRIER
		cursor[me] == stored[me];
#endif
		wanted = flag[me];
		if
		:: wanted ->
			/* A system call, which looks at what this processor has stored. */
			cursor[me] == stored[me];
			calls[me]++
		:: else
		fi
	:: else -> break
	od
}

active proctype program_stores()
{
end:
	do
	:: d_step { cursor[0] < stored[0] -> cursor[0]++ }
	:: d_step { cursor[1] < stored[1] -> cursor[1]++ }
	od
}

active proctype kernel_stores()
{
	bool value;

end:
	do
	:: atomic { flags[0] ? value -> flag[0] = value }
	:: atomic { flags[1] ? value -> flag[1] = value }
	od
}

inline look()
{
	seen[0] = cursor[0];
	seen[1] = cursor[1];
	least = (seen[0] < seen[1] -> seen[0] : seen[1]);
	slowest = (seen[0] < seen[1] -> 0 : 1)
}

/* mydev_client_in_the_way() */
#ifdef DRY
#define IN_THE_WAY(i) (seen[i] == least)
#else
#define IN_THE_WAY(i) (head - seen[i] >= DEPTH)
#endif

inline update(i, want)
{
	if
	:: want != told[i] ->
		flags[i] ! want;
		again = again || want;
		told[i] = want
	:: else
	fi;
	waited = waited + want
}

/* mydev_rx_can_submit() */
inline decide()
{
#ifdef DRY
	if
	:: cursor[slowest] != seen[slowest] -> look()
	:: else
	fi
#else
	look()
#endif
}

/* mydev_holders_tell() */
inline tell()
{
	again = false;
	waited = 0;
#ifndef LOOK_TWICE
	if
	:: stopped ->
#ifndef LOOK_AT_ONE
		look();
#endif
		decide();
		again = head - least < DEPTH;
		stopped = !again
	:: else
	fi;
#else
	look();
#endif
	update(0, (stopped && IN_THE_WAY(0)));
	update(1, (stopped && IN_THE_WAY(1)));
#ifndef KEEP_COUNT
	if
	:: again -> waited = 0
	:: else
	fi;
#endif
#ifndef NO_KERNEL_BARRIER
	empty(flags[0]) && empty(flags[1])
#endif
}

/* mydev_client_moved(), in a call */
inline moved(i)
{
	calls[i]--;
	seen[i] = cursor[i];
	if
	:: waited && told[i] && !IN_THE_WAY(i) ->
		flags[i] ! false;
		told[i] = false;
		waited--
	:: else
	fi
}

active proctype kernel()
{
	byte seen[PROGRAMS];
	byte least;
	byte slowest = 1;
	bool told[PROGRAMS];
	bool again;
	byte waited;
	bool stopped;

	do
	:: head < ENTRIES ->
		decide();
		if
		:: head - least < DEPTH ->
			stopped = false;
			tell();
			head++
		:: else ->
			stopped = true;
			tell();
#ifdef LOOK_ONCE
			again = false;
#endif
			/* mydev_rx_may_go_on() */
			do
			:: again && !waited -> break
			:: else ->
				/* The ring is stopped; only a call makes it go on. */
				if
				:: atomic { calls[0] -> moved(0) }
				:: atomic { calls[1] -> moved(1) }
				fi;
				if
				:: !waited -> break
				:: else
				fi
			od
		fi
	:: else -> break
	od
}
