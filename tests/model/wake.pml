/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Append, sleep, look, kill: no wake-up is lost. The order of kernel/wake.c, for one
 * client with several waiters.
 *
 * What is promised: each waiter that is on the wait queue of a client when an entry is
 * appended is called less than LIMIT after that, or has looked by itself, or
 * there is nothing to read any more. Whoever watches by edges is called for each entry,
 * at once. The waiter may do with a call what it likes: be killed before it looks, too.
 *
 * Time is in halves of a tick, and passes while nobody has rx_lock and no timer is
 * due; programs are as slow as they like. So "for ever" is a limit that is passed, and
 * each promise is an assertion.
 *
 * The waiters, and so the parts of the state space, are chosen by -D:
 *   READER   a blocking read(): wait_event_interruptible()
 *   POLL     a poll(), which leaves with what it has found
 *   EPOLL    an epoll instance that two programs sleep on, by level
 *   EDGES    a watch by edges (multishot poll of io_uring, EPOLLET), of a program that
 *            takes from memory and never looks
 *
 *   OTHERS   whatever else uses the same descriptor: looks, and takes, at any time
 *
 * Faults, also by -D:
 *   LOOK_FIRST   a waiter looks before it is on the queue, and not behind
 *   ARM_UNLOCKED it is put among the sleepers after the look, without the lock
 *   NO_TIMER     wake-ups are not repeated
 *   NOTIFY_FIRST those that sleep are woken before the entry is there
 *   UNLOCKED     the queue is looked at before the lock is taken
 *   NO_EACH      a watch by edges is treated like all others
 *   WOKEN_ONLY   the timer passes by those that have been looked for since
 */
#ifndef ENTRIES
#define ENTRIES 3
#endif
#define PROGRAMS 2
#define TICK  2
#ifndef LIMIT
#define LIMIT (2 * TICK)
#endif

/* Waiters of the client, as they are on its queue. */
#define R 0
#define P 1
#define E 2
#define W 3
#define WAITERS 4

mtype = { NOWHERE, SLEEPERS, WOKEN };

bit lock;			/* rx_lock */
byte head;			/* of the log */
byte cursor;			/* of the client */
mtype place = NOWHERE;		/* the list that it is in */
bool each;
byte wake_head;
bool this_jiffy;		/* client->wake.at is jiffies */
byte timer;			/* so long until it is due, 0 if it is not queued */
bool due;
bool half;			/* of a jiffy */

bool queued[WAITERS];		/* is on the wait queue */
bool called[WAITERS];		/* was called by a wake-up, and has not run yet */

/* The epoll instance: the client is in its ready list; its programs. */
bool listed;
byte asleep;
byte woken;
byte looking;
byte alive = PROGRAMS;

/* What is only for the assertions. */
bool waits[WAITERS];		/* its last look has found nothing, or it will not look */
bool owed[WAITERS];		/* an entry has come, and no call since */
byte age[WAITERS];

#define ANY_QUEUED (queued[R] || queued[P] || queued[E] || queued[W])
#define EMPTY      (cursor == head)

inline take_lock()
{
	atomic { lock == 0 -> lock = 1 }
}

inline drop_lock()
{
	lock = 0
}

inline paid(w)
{
	owed[w] = false;
	age[w] = 0
}

/* mydev_client_arm() */
inline arm(by_edges)
{
	place = SLEEPERS;
	each = each || by_edges
}

/* mydev_client_disarm() */
inline disarm()
{
	place = NOWHERE;
	each = false
}

/* mydev_client_looked() */
inline looked()
{
	d_step {
		if
		:: place == WOKEN && ANY_QUEUED -> arm(false)
		:: place == WOKEN && !ANY_QUEUED -> disarm()
		:: else
		fi
	}
}

/* One program of the instance is woken, if one sleeps. */
inline pass_on()
{
	if
	:: asleep ->
		asleep--;
		woken++
	:: else
	fi
}

inline call(w, leaves)
{
	if
	:: queued[w] ->
		called[w] = true;
		queued[w] = !leaves;
		/* A thread looks now; who runs of an instance may never do. */
		waits[w] = waits[w] && w >= E;
		paid(w);
		if
		:: w == E ->
			listed = true;
			pass_on()
		:: else
		fi
	:: else
	fi
}

/* mydev_client_wake_up(); of a read() autoremove_wake_function() */
inline wake_up()
{
	d_step {
		call(R, true);
		call(P, false);
		call(E, false);
		call(W, false);
		wake_head = head;
		this_jiffy = true
	}
}

inline start_timer()
{
	if
	:: timer == 0 && !due -> timer = TICK
	:: else
	fi
}

inline owe(w)
{
	if
	:: waits[w] -> owed[w] = true
	:: else
	fi
}

/* mydev_log_append() */
inline append()
{
	d_step {
		head++;
		owe(R);
		owe(P);
		owe(E);
		owe(W)
	}
}

/* mydev_sleepers_notify(), mydev_client_notify() */
inline notify()
{
	if
	:: place == WOKEN ->
#ifndef NO_TIMER
		start_timer()
#else
		skip
#endif
	:: place == NOWHERE
	:: place == SLEEPERS ->
#ifndef UNLOCKED
		waiting = ANY_QUEUED;
#endif
		if
		:: !waiting -> disarm()
		:: waiting && EMPTY
		:: waiting && !EMPTY ->
			wake_up();
			if
#ifndef NO_EACH
			:: each
#else
			:: false
#endif
			:: else -> place = WOKEN
			fi
		fi
	fi
}

active proctype completion()
{
	bool waiting;

	do
	:: head < ENTRIES ->
#ifdef UNLOCKED
		waiting = ANY_QUEUED;
#endif
		take_lock();
#ifdef NOTIFY_FIRST
		notify();
		append();
#else
		append();
		notify();
#endif
#ifdef EDGES
		assert(!owed[W] || EMPTY);
#endif
		drop_lock()
	:: head == ENTRIES -> break
	od
}

/* mydev_clients_timer() */
active proctype tick_timer()
{
	do
	:: due ->
		take_lock();
		due = false;
		if
		:: wake_head == head
		:: wake_head != head && place == NOWHERE
		:: wake_head != head && place != NOWHERE ->
			if
#ifdef WOKEN_ONLY
			:: place == SLEEPERS
#endif
			:: this_jiffy -> start_timer()
			:: else ->
				if
				:: !ANY_QUEUED -> disarm()
				:: ANY_QUEUED && EMPTY -> place = SLEEPERS
				:: ANY_QUEUED && !EMPTY -> wake_up()
				fi
			fi
		fi;
		drop_lock()
	od
}

inline grow_old(w)
{
	if
	/* Of an instance, nobody sleeps just now, or one looks, and goes through with it. */
	:: owed[w] && !EMPTY && w == E && (!asleep || looking)
	:: owed[w] && !EMPTY && (w != E || asleep && !looking) ->
		age[w]++;
		assert(age[w] < LIMIT)
	:: else -> paid(w)
	fi
}

active proctype time()
{
	do
	/* Where nothing can come to be late, time is of no interest. */
	:: d_step {
		!lock && !due && (timer || this_jiffy || owed[R] ||
			owed[P] || owed[E] || owed[W]) ->
		half = !half;
		this_jiffy = this_jiffy && half;
		if
		:: timer == 1 ->
			timer = 0;
			due = true
		:: timer > 1 -> timer--
		:: else
		fi;
		grow_old(R);
		grow_old(P);
		grow_old(E);
		grow_old(W)
	}
	od
}

/* A look of a waiter under the lock, which puts the client among the sleepers. */
inline look(w, by_edges)
{
	take_lock();
	d_step {
		found = !EMPTY;
		paid(w);
		waits[w] = !found && !called[w] || w >= E;
#ifndef ARM_UNLOCKED
		arm(by_edges);
#endif
	}
	drop_lock();
#ifdef ARM_UNLOCKED
	d_step {
		arm(by_edges)
	}
#endif
}

inline take()
{
	take_lock();
	d_step {
		if
		:: cursor < head -> cursor++
		:: cursor < head -> cursor = head
		:: else
		fi
	}
	looked();
	drop_lock()
}

#ifdef READER
/* mydev_client_ready() */
inline ready(sleeps)
{
	take_lock();
	d_step {
		found = !EMPTY;
		paid(R);
		waits[R] = sleeps && !found && !called[R]
	}
	if
	:: found -> looked()
	:: else ->
#ifndef ARM_UNLOCKED
		arm(false)
#else
		skip
#endif
	fi;
	drop_lock();
#ifdef ARM_UNLOCKED
	if
	:: !found -> arm(false)
	:: else
	fi
#endif
}

active proctype reader()
{
	bool found;

	do
	:: true ->
#ifndef LOOK_FIRST
		ready(false);
#else
		ready(true);
#endif
		do
		:: found -> break
		:: else ->
			d_step {
				called[R] = false;
				queued[R] = true
			}
#ifndef LOOK_FIRST
			ready(true);
			if
			:: found -> break
			:: else
			fi;
#endif
			if
			:: called[R]
			/* A signal, which may be its end. */
			:: goto killed
			fi;
#ifdef LOOK_FIRST
			ready(true)
#endif
		od;
		queued[R] = false;
		take()
	od;
killed:
	atomic {
		queued[R] = false;
		waits[R] = false;
		paid(R)
	}
}
#endif

#ifdef POLL
active proctype poller()
{
	bool found;

	do
	:: true ->
#ifdef LOOK_FIRST
		look(P, false);
#endif
		queued[P] = true;
		called[P] = false;
#ifndef LOOK_FIRST
		look(P, false);
#endif
		do
		:: found -> break
		:: else ->
			if
			:: called[P]
			:: break
			fi;
			called[P] = false;
			look(P, false)
		od;
		atomic {
			queued[P] = false;
			waits[P] = false;
			paid(P)
		}
		if
		:: found -> take()
		:: found
		:: break
		fi
	od
}
#endif

#ifdef EPOLL
init {
	bool found;

#ifdef LOOK_FIRST
	look(E, false);
	queued[E] = true;
#else
	queued[E] = true;
	look(E, false);
	listed = listed || found;
#endif
	atomic {
		run program();
		run program()
	}
}

proctype program()
{
	bool found;

	do
	:: true ->
		if
		:: listed
		:: atomic { !listed -> asleep++ };
			atomic { woken -> woken-- }
		fi;
		if
		/* It is killed before it looks; one that was not can tell of it. */
		:: atomic { alive > 1 -> alive-- };
			break
		:: d_step {
				listed = false;
				looking++
			};
			look(E, false);
			/* By level, the instance goes on to the next one. */
			d_step {
				looking--;
				if
				:: found ->
					listed = true;
					pass_on()
				:: else
				fi
			};
			if
			:: found -> take()
			:: true
			fi
		fi
	od
}
#endif

#ifdef OTHERS
active proctype others()
{
	do
	:: true ->
		take_lock();
		d_step {
			arm(false)
		}
		drop_lock()
	:: take()
	od
}
#endif

#ifdef EDGES
active proctype edges()
{
	bool found;

	queued[W] = true;
	look(W, true);
	do
	:: called[W] ->
		called[W] = false;
		cursor = head
	/* Something is left. */
	:: called[W] ->
		called[W] = false
	od
}
#endif
