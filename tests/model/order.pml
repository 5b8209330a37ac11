/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The order of memory between the kernel, which appends and retires, and a program that
 * maps the log: struct mydev_ring in uapi/linux/mydev.h, kernel/log.c, kernel/cursor.c.
 *
 * Both sides are a list of loads and stores of one memory, and each of them is done at
 * any moment when what has to be done before it is done: by a barrier, by an acquire or a
 * release, as it is at the same place in memory, or as a store waits for the branch that
 * it is behind. Everything else changes places: stores with stores, loads with loads, and
 * each with the other. Memory itself is the same for both, which is what x86,
 * ARMv8 and RISC-V promise; with two sides, machines that promise less have no outcome more.
 *
 * The log has SLOTS entries, and each packet is in the buffer of its slot. An entry and a
 * packet are two words each, so that either can be torn.
 *
 *   REUSE  a program that nobody waits for takes one entry, at any time: what it has
 *	    validated is whole, and is what it wanted
 *   HOLD   a program that is waited for takes all: what it has not given back is left
 *	    alone, and so needs no validation
 *
 * Faults, by -D:
 *   NO_WMB	     no smp_wmb() behind the tail
 *   NO_FENCE	     no acquire fence before the second look at the tail
 *   HEAD_RELAXED    the head is not published with release
 *   HEAD_UNACQUIRED it is not read with acquire
 *   CURSOR_RELAXED  the cursor is not published with release
 */
#define SLOTS	2
#ifndef ENTRIES
#define ENTRIES 4
#endif

/* Memory. */
byte head, tail, cursor;
byte slot_a[SLOTS] = 255, slot_b[SLOTS] = 255;
byte data_a[SLOTS] = 255, data_b[SLOTS] = 255;

/* Steps of the kernel for one entry, in the order of the program. */
#define TAIL 0
#define SLOT_A 1
#define SLOT_B 2
#define DATA_A 3
#define DATA_B 4
#define HEAD 5
#define STEPS 6

int done;	/* one bit for each step of each entry */

#define BIT(entry, step)  (1 << ((entry) * STEPS + (step)))
#define DID(entry, step)  ((done & BIT(entry, step)) != 0)
/* All steps before this one. */
#define ALL(entry, step)  ((done & (BIT(entry, step) - 1)) == BIT(entry, step) - 1)
/* The one before at the same place in memory. */
#define SAME(entry, step, back) ((entry) < (back) || DID((entry) - (back), step))
#define RETIRES(entry)	  ((entry) >= SLOTS)

#ifdef NO_WMB
#define BEHIND_WMB(entry) true
#else
/* The last barrier: all before is done, and the tail before it. */
#define BEHIND_WMB(entry) (!RETIRES(entry) || ALL(entry, TAIL) && DID(entry, TAIL))
#endif

#ifdef HOLD
/* The look at the cursor, an acquire, is one step with the tail, which it decides of. */
#define BEHIND_LOOK(entry) (!RETIRES(entry) || DID(entry, TAIL))
#define GIVEN_BACK(entry)  (!RETIRES(entry) || cursor > (entry) - SLOTS)
#else
#define BEHIND_LOOK(entry) true
#define GIVEN_BACK(entry)  true
#endif

#ifdef HEAD_RELAXED
#define RELEASED(entry) true
#else
#define RELEASED(entry) ALL(entry, HEAD)
#endif

#define MAY_STORE(entry, step, back) \
	(!DID(entry, step) && SAME(entry, step, back) && BEHIND_WMB(entry) && \
	 BEHIND_LOOK(entry))

inline store(entry, step, place, value)
{
	place = value;
	done = done | BIT(entry, step)
}

/* Any step of one entry that may be done now. */
#define STEPS_OF(entry) \
	:: d_step { !DID(entry, TAIL) && SAME(entry, TAIL, 1) && \
		    GIVEN_BACK(entry) -> \
		tail = (RETIRES(entry) -> (entry) - SLOTS + 1 : 0); \
		done = done | BIT(entry, TAIL) } \
	:: d_step { MAY_STORE(entry, SLOT_A, SLOTS) -> \
		store(entry, SLOT_A, slot_a[(entry) % SLOTS], entry) } \
	:: d_step { MAY_STORE(entry, SLOT_B, SLOTS) -> \
		store(entry, SLOT_B, slot_b[(entry) % SLOTS], entry) } \
	:: d_step { MAY_STORE(entry, DATA_A, SLOTS) -> \
		store(entry, DATA_A, data_a[(entry) % SLOTS], entry) } \
	:: d_step { MAY_STORE(entry, DATA_B, SLOTS) -> \
		store(entry, DATA_B, data_b[(entry) % SLOTS], entry) } \
	:: d_step { MAY_STORE(entry, HEAD, 1) && RELEASED(entry) -> \
		store(entry, HEAD, head, (entry) + 1) }

active proctype kernel()
{
	do
	STEPS_OF(0)
	STEPS_OF(1)
	STEPS_OF(2)
#if ENTRIES > 3
	STEPS_OF(3)
#endif
	od
}

/* What a program has loaded for an entry, and whether it has. */
#define L_HEAD 1
#define L_SLOT_A 2
#define L_SLOT_B 4
#define L_DATA_A 8
#define L_DATA_B 16
#define L_PACKET (L_SLOT_A | L_SLOT_B | L_DATA_A | L_DATA_B)
#define L_TAIL 32
#define S_CURSOR 64

#ifdef HEAD_UNACQUIRED
#define BEHIND_HEAD(has) true
#else
#define BEHIND_HEAD(has) ((has) & L_HEAD)
#endif

#ifdef NO_FENCE
#define BEHIND_FENCE(has) true
#else
#define BEHIND_FENCE(has) (((has) & L_PACKET) == L_PACKET)
#endif

#ifdef REUSE
active proctype program()
{
	byte has, want, first, last;
	bool whole = true;

	select(want : 0 .. ENTRIES - 1);
	do
	:: d_step { !(has & L_HEAD) && BEHIND_HEAD(L_HEAD) ->
		first = head;
		has = has | L_HEAD }
	:: d_step { !(has & L_SLOT_A) && BEHIND_HEAD(has) ->
		whole = whole && slot_a[want % SLOTS] == want;
		has = has | L_SLOT_A }
	:: d_step { !(has & L_SLOT_B) && BEHIND_HEAD(has) ->
		whole = whole && slot_b[want % SLOTS] == want;
		has = has | L_SLOT_B }
	:: d_step { !(has & L_DATA_A) && BEHIND_HEAD(has) ->
		whole = whole && data_a[want % SLOTS] == want;
		has = has | L_DATA_A }
	:: d_step { !(has & L_DATA_B) && BEHIND_HEAD(has) ->
		whole = whole && data_b[want % SLOTS] == want;
		has = has | L_DATA_B }
	:: d_step { !(has & L_TAIL) && BEHIND_HEAD(has) && BEHIND_FENCE(has) ->
		last = tail;
		has = has | L_TAIL }
	:: has == (L_HEAD | L_PACKET | L_TAIL) -> break
	od;
	/* Validated: it was there, and the tail has not passed it. */
	assert(!(want < first && last <= want) || whole)
}
#endif

#ifdef HOLD
byte has[ENTRIES];

/* Acquire: nothing of an entry before the heads up to its own; loads of one place in order. */
#ifdef HEAD_UNACQUIRED
#define HEADS(entry) true
#else
#define HEADS(entry) (has[entry] & L_HEAD)
#endif

#ifdef CURSOR_RELAXED
/* It is behind the branch of the look at the head, all the same. */
#define GIVES(entry) (has[entry] & L_HEAD)
#else
#define GIVES(entry) ((has[entry] & (L_HEAD | L_DATA_A | L_DATA_B)) == \
		      (L_HEAD | L_DATA_A | L_DATA_B))
#endif
#define BEFORE(entry, what) ((entry) == 0 || (has[((entry) + ENTRIES - 1) % ENTRIES] & (what)))

#define TAKE(entry) \
	:: d_step { !(has[entry] & L_HEAD) && BEFORE(entry, L_HEAD) && head > (entry) -> \
		has[entry] = has[entry] | L_HEAD } \
	:: d_step { !(has[entry] & L_DATA_A) && HEADS(entry) -> \
		assert(data_a[(entry) % SLOTS] == (entry)); \
		has[entry] = has[entry] | L_DATA_A } \
	:: d_step { !(has[entry] & L_DATA_B) && HEADS(entry) -> \
		assert(data_b[(entry) % SLOTS] == (entry)); \
		has[entry] = has[entry] | L_DATA_B } \
	:: d_step { !(has[entry] & S_CURSOR) && BEFORE(entry, S_CURSOR) && GIVES(entry) -> \
		cursor = (entry) + 1; \
		has[entry] = has[entry] | S_CURSOR }

active proctype program()
{
	do
	TAKE(0)
	TAKE(1)
	TAKE(2)
#if ENTRIES > 3
	TAKE(3)
#endif
	od
}
#endif
