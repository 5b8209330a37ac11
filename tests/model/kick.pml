/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * A device that has stopped for programs in ring mode goes on when one gives back what it
 * holds: mydev_rings_update_flags() and mydev_rx_refill() in kernel/, step 5 of
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
 */
#define PROGRAMS 2
#define ENTRIES  3
#define DEPTH	 1

byte head;
byte cursor[PROGRAMS];		/* as memory has it */
byte stored[PROGRAMS];		/* as the program has it */
bool flag[PROGRAMS];		/* MYDEV_RING_NEED_WAKEUP, in memory */
chan flags[PROGRAMS] = [3] of { bool };	/* on the way there */
byte calls;			/* MYDEV_IOC_SYNC */

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
			calls++
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
	least = (seen[0] < seen[1] -> seen[0] : seen[1])
}

/* mydev_client_in_the_way(): it is the furthest behind, or lets nothing more come. */
#define IN_THE_WAY(i) (seen[i] == least || head - seen[i] >= DEPTH)

inline update(i, want)
{
	if
	:: want != told[i] ->
		flags[i] ! want;
		again = again || want;
		told[i] = want
	:: else
	fi
}

/* mydev_rings_update_flags() */
inline update_flags(stopped)
{
	again = false;
	if
	:: stopped -> look()
	:: else
	fi;
	update(0, (stopped && IN_THE_WAY(0)));
	update(1, (stopped && IN_THE_WAY(1)));
#ifndef NO_KERNEL_BARRIER
	empty(flags[0]) && empty(flags[1])
#endif
}

active proctype kernel()
{
	byte seen[PROGRAMS];
	byte least;
	bool told[PROGRAMS];
	bool again;

	do
	:: head < ENTRIES ->
		look();
		if
		:: head - least < DEPTH ->
			update_flags(false);
			head++
		:: else ->
			update_flags(true);
#ifdef LOOK_ONCE
			again = false;
#endif
			if
			:: again
			:: !again ->
				/* The ring is stopped; only a call makes it go on. */
				atomic { calls -> calls-- }
			fi
		fi
	:: else -> break
	od
}
