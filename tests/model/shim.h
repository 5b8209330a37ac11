/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * As much of the kernel as kernel/log.c and what is on its floor needs to run in a
 * program: one thread, no interrupts, and time that the program sets.
 *
 * Locks are checked, so that none is taken twice or dropped without being held.
 */
#ifndef MODEL_SHIM_H
#define MODEL_SHIM_H

#include <errno.h>
#include <limits.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/types.h>
#include <linux/types.h>

typedef uint8_t u8;
typedef uint16_t u16;
typedef uint32_t u32;
typedef uint64_t u64;
typedef int32_t s32;
typedef int64_t s64;
typedef s64 ktime_t;
typedef unsigned int gfp_t;

/* linux/compiler.h, linux/kernel.h */
#define __aligned(n)                  __attribute__((aligned(n)))
#define likely(x)                     (x)
#define unlikely(x)                   (x)
#define data_race(x)                  (x)
#define READ_ONCE(x)                  (*(const volatile __typeof__(x) *)&(x))
#define WRITE_ONCE(x, value)          (*(volatile __typeof__(x) *)&(x) = (value))
#define smp_wmb()                     atomic_thread_fence(memory_order_release)
#define smp_mb()                      atomic_thread_fence(memory_order_seq_cst)
#define smp_load_acquire(p)           __atomic_load_n(p, __ATOMIC_ACQUIRE)
#define smp_store_release(p, value)   __atomic_store_n(p, value, __ATOMIC_RELEASE)
#define container_of(p, type, member) ((type *)((char *)(p) - offsetof(type, member)))
#define min(a, b)                     ((a) < (b) ? (a) : (b))
#define max(a, b)                     ((a) > (b) ? (a) : (b))
#define clamp(x, low, high)           min(max(x, low), high)
#define ALIGN(x, to)                  (((x) + (to) - 1) / (to) * (to))
#define round_up(x, to)               ((((x) - 1) | ((__typeof__(x))(to) - 1)) + 1)
#define EXPORT_SYMBOL_IF_KUNIT(name)
#define IS_ENABLED(option)      0
#define IS_ERR(p)               ((unsigned long)(p) >= (unsigned long)-4095)
#define ERR_PTR(error)          ((void *)(long)(error))
#define MAX_ERRNO               4095
#define U16_MAX                 UINT16_MAX
#define U64_MAX                 UINT64_MAX
#define S64_MAX                 INT64_MAX
#define static_assert           _Static_assert
#define KERNEL_VERSION(a, b, c) (((a) << 16) + ((b) << 8) + (c))
#define LINUX_VERSION_CODE      KERNEL_VERSION(6, 18, 0)
#define MYDEV_HAS_RING          1
#define BITS_PER_LONG           64
#define ERESTARTSYS             512
#define SZ_4K                   4096
#define SZ_32K                  32768
#define SZ_64K                  65536
#define SZ_256K                 262144
#define SZ_64M                  67108864
#undef PAGE_SIZE
#define PAGE_SIZE     4096
#define PAGE_SHIFT    12
#define PAGE_ALIGN(x) ALIGN(x, PAGE_SIZE)

_Noreturn void model_fail(const char *file, int line, const char *what);
#define MODEL_CHECK(x) ((x) ? (void)0 : model_fail(__FILE__, __LINE__, #x))
/* A warning of the driver is a failure here. */
#define WARN_ON_ONCE(x) ((x) ? model_fail(__FILE__, __LINE__, #x), true : false)

/* linux/list.h */
struct list_head {
	struct list_head *next, *prev;
};

static inline void INIT_LIST_HEAD(struct list_head *list)
{
	list->next = list;
	list->prev = list;
}

static inline void list_add(struct list_head *new, struct list_head *head)
{
	new->next = head->next;
	new->prev = head;
	head->next->prev = new;
	head->next = new;
}

static inline void list_add_tail(struct list_head *new, struct list_head *head)
{
	list_add(new, head->prev);
}

static inline void list_del(struct list_head *entry)
{
	entry->next->prev = entry->prev;
	entry->prev->next = entry->next;
}

static inline void list_del_init(struct list_head *entry)
{
	list_del(entry);
	INIT_LIST_HEAD(entry);
}

static inline void list_move_tail(struct list_head *entry, struct list_head *head)
{
	list_del(entry);
	list_add_tail(entry, head);
}

static inline bool list_empty(const struct list_head *head)
{
	return head->next == head;
}

static inline void list_replace_init(struct list_head *old, struct list_head *new)
{
	INIT_LIST_HEAD(new);
	if (!list_empty(old)) {
		list_add(new, old);
		list_del_init(old);
	}
}

#define list_entry(p, type, member) container_of(p, type, member)
#define list_first_entry_or_null(head, type, member) \
	(list_empty(head) ? NULL : list_entry((head)->next, type, member))
#define list_next(pos, member) list_entry((pos)->member.next, __typeof__(*(pos)), member)
#define list_for_each_entry(pos, head, member) \
	for (pos = list_entry((head)->next, __typeof__(*pos), member); &pos->member != (head); \
	     pos = list_next(pos, member))
#define list_for_each_entry_safe(pos, n, head, member) \
	for (pos = list_entry((head)->next, __typeof__(*pos), member), n = list_next(pos, member); \
	     &pos->member != (head); pos = n, n = list_next(n, member))

/* linux/kfifo.h */
#define DECLARE_KFIFO_PTR(name, type) \
	struct { \
		unsigned int in, out, count; \
		type *data; \
	} name
#define kfifo_init(fifo, memory, bytes) \
	((fifo)->in = 0, (fifo)->out = 0, (fifo)->count = (bytes) / sizeof(*(fifo)->data), \
	 (fifo)->data = (memory), 0)
#define kfifo_size(fifo)    ((fifo)->count)
#define kfifo_is_full(fifo) ((fifo)->in - (fifo)->out == (fifo)->count)
#define kfifo_put(fifo, value) \
	(kfifo_is_full(fifo) \
		 ? 0 \
		 : ((fifo)->data[(fifo)->in % (fifo)->count] = (value), (fifo)->in++, 1))
#define kfifo_skip(fifo) ((fifo)->out++)

/* Locks: all by one thread, so each is free when it is asked for. */
typedef struct {
	bool held;
} spinlock_t;

struct mutex {
	bool held;
};

#define model_lock(lock)                    (MODEL_CHECK(!(lock)->held), (void)((lock)->held = true))
#define model_unlock(lock)                  (MODEL_CHECK((lock)->held), (void)((lock)->held = false))
#define spin_lock_irq(lock)                 model_lock(lock)
#define spin_unlock_irq(lock)               model_unlock(lock)
#define spin_lock_irqsave(lock, flags)      ((void)((flags) = 0), model_lock(lock))
#define spin_unlock_irqrestore(lock, flags) ((void)(flags), model_unlock(lock))
#define mutex_init(lock)                    ((lock)->held = false)
#define mutex_lock(lock)                    model_lock(lock)
#define mutex_unlock(lock)                  model_unlock(lock)
#define mutex_lock_killable(lock)           (model_lock(lock), 0)
#define mutex_lock_interruptible(lock)      (model_lock(lock), 0)

static inline bool mutex_trylock(struct mutex *lock)
{
	bool free = !lock->held;

	lock->held = true;
	return free;
}

/* Waiting: nobody does; what would have been woken is counted. */
typedef struct {
	unsigned int waiters, calls;
} wait_queue_head_t;

struct fasync_struct;
#define TASK_INTERRUPTIBLE                         1
#define init_waitqueue_head(queue)                 ((queue)->waiters = 0)
#define waitqueue_active(queue)                    ((queue)->waiters != 0)
#define wake_up_interruptible_poll(queue, events)  ((queue)->calls++)
#define poll_to_key(events)                        NULL
#define __wake_up(queue, mode, nr, key)            ((queue)->calls++)
#define kill_fasync(fasync, signal, band)          ((void)(fasync))
#define wait_event_interruptible(queue, condition) ((condition) ? 0 : -ERESTARTSYS)
#define signal_pending(task)                       false
#define POLL_IN                                    1
#define POLL_ERR                                   4
#define POLL_HUP                                   6

/* Time */
extern u64 model_now;
extern unsigned long jiffies;
#define HZ                            250
#define NSEC_PER_USEC                 1000
#define TICK_NSEC                     (1000000000 / HZ)
#define TK_OFFS_BOOT                  1
#define time_after(a, b)              ((long)((b) - (a)) < 0)
#define msecs_to_jiffies(ms)          ((unsigned long)(ms) * HZ / 1000)
#define ktime_get()                   ((ktime_t)++model_now)
#define ktime_to_ns(time)             (time)
#define ktime_to_us(time)             ((time) / NSEC_PER_USEC)
#define ns_to_ktime(ns)               ((ktime_t)(ns))
#define ktime_add(a, b)               ((a) + (b))
#define ktime_sub(a, b)               ((a) - (b))
#define ktime_compare(a, b)           ((a) < (b) ? -1 : (a) > (b))
#define ktime_mono_to_any(time, base) (time)
#define ktime_mono_to_real(time)      (time)

enum hrtimer_restart { HRTIMER_NORESTART };
struct hrtimer {
	enum hrtimer_restart (*function)(struct hrtimer *timer);
	bool queued;
};

#define HRTIMER_MODE_ABS_SOFT                  0
#define HRTIMER_MODE_REL_SOFT                  1
#define CLOCK_MONOTONIC                        1
#define hrtimer_setup(timer, how, clock, mode) ((timer)->function = (how))
#define hrtimer_start(timer, when, mode)       ((void)(when), (timer)->queued = true)
#define hrtimer_is_queued(timer)               ((timer)->queued)
#define hrtimer_try_to_cancel(timer)           ((timer)->queued = false)
#define hrtimer_cancel(timer)                  ((timer)->queued = false)

/* Work: what is wanted from it, the program does. */
struct work_struct {
	bool unused;
};

struct delayed_work {
	bool queued;
};

#define schedule_delayed_work(work, delay)   ((void)(delay), (work)->queued = true)
#define mod_delayed_work(queue, work, delay) ((work)->queued = true)

/* Memory */
struct page;
#define GFP_KERNEL_ACCOUNT             0
#define GFP_NOIO                       0
#define __GFP_ACCOUNT                  0
#define __GFP_ZERO                     0
#define __GFP_NOWARN                   0
#define __vmalloc(bytes, flags)        calloc(1, bytes)
#define vfree(p)                       free(p)
#define kvcalloc(n, size, flags)       calloc(n, size)
#define kvfree(p)                      free(p)
#define kzalloc(size, flags)           calloc(1, size)
#define kfree(p)                       free(p)
#define alloc_pages_exact(size, flags) calloc(1, PAGE_ALIGN(size))
#define free_pages_exact(p, size)      free(p)
#define get_zeroed_page(flags)         ((unsigned long)calloc(1, PAGE_SIZE))
#define free_page(p)                   free((void *)(p))
#define virt_to_page(p)                ((struct page *)(p))

static inline u64 div_u64_rem(u64 a, u32 b, u32 *rest)
{
	*rest = a % b;
	return a / b;
}

/* USB */
#define USB_ENDPOINT_NUMBER_MASK 0x0f
#define USB_DIR_IN               0x80
#define BIT(n)                   (1UL << (n))

/* Tasks and devices */
#define TASK_COMM_LEN 16
struct task_struct {
	struct task_struct *group_leader;
};

extern struct task_struct *current;
#define task_tgid_nr(task)      1
#define get_task_comm(to, task) strcpy(to, "model")

struct device {
	int refs;
};

#define get_device(device) ((device)->refs++)
#define put_device(device) ((device)->refs--)

/* The caller's memory is one block, and always there. */
struct iov_iter {
	char *to;
	size_t count;
};

#define iov_iter_count(iter)                     ((iter)->count)
#define iov_iter_revert(iter, bytes)             ((iter)->to -= (bytes), (iter)->count += (bytes))
#define user_backed_iter(iter)                   false
#define fault_in_iov_iter_writeable(iter, bytes) (bytes)
#define pagefault_disable()                      ((void)0)
#define pagefault_enable()                       ((void)0)
#define ITER_SOURCE                              1

static inline size_t copy_to_iter(const void *from, size_t bytes, struct iov_iter *to)
{
	bytes = min(bytes, to->count);
	if (bytes)
		memcpy(to->to, from, bytes);
	to->to += bytes;
	to->count -= bytes;
	return bytes;
}

/* Members of structures that nothing here looks into. */
struct cdev {
	bool unused;
};

struct completion {
	bool unused;
};

struct rw_semaphore {
	bool unused;
};

typedef struct {
	int counter;
} atomic_t, refcount_t;

struct kref {
	int refs;
};

struct urb {
	u32 actual_length, transfer_buffer_length;
	int status;
};

typedef struct {
	int event;
} pm_message_t;

struct attribute_group;
struct dentry;
struct file;
struct inode;
struct usb_ctrlrequest;
struct usb_device;
struct usb_device_id;
struct usb_endpoint_descriptor;
struct usb_host_interface;
struct usb_interface;
struct vm_area_struct;

/* Nothing is traced. */
#define TRACE_EVENT(name, proto, args, ...) \
	static inline void trace_##name(proto) \
	{ \
	}
#define DECLARE_EVENT_CLASS(...)
#define DEFINE_EVENT(class, name, proto, args) TRACE_EVENT(name, proto, args)
#define TP_PROTO(...)                          __VA_ARGS__
#define TP_ARGS(...)

/* A small log has few entries to spare. */
#include "log.h"
#undef MYDEV_LOG_SPARE
#define MYDEV_LOG_SPARE 2U

#endif /* MODEL_SHIM_H */
