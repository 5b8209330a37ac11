/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * What differs between the kernels that the driver builds for, and nothing
 * else: code outside of this file is written for the newest of them.
 */
#ifndef MYDEV_COMPAT_H
#define MYDEV_COMPAT_H

#include <linux/version.h>

#if LINUX_VERSION_CODE < KERNEL_VERSION(6, 1, 0)
#error "mydev needs Linux 6.1 or newer"
#endif

/*
 * Newer kernels, and updates of older ones, have a word for what is not cleared;
 * GCC has the attribute since 12.
 */
#include <linux/compiler.h>
#ifndef __uninitialized
#if __has_attribute(__uninitialized__)
#define __uninitialized __attribute__((__uninitialized__))
#else
#define __uninitialized
#endif
#endif

/* 6.4 moved hex_to_bin() out of linux/kernel.h. */
#if LINUX_VERSION_CODE >= KERNEL_VERSION(6, 4, 0)
#include <linux/hex.h>
#else
#include <linux/kernel.h>
#endif

/* 6.5 replaced the pipe-backed splice of ->read_iter() files. */
#if LINUX_VERSION_CODE < KERNEL_VERSION(6, 5, 0)
#define copy_splice_read generic_file_splice_read
#endif

/* 6.2 named the direction of an iterator after what it is to the caller. */
#include <linux/uio.h>
#ifndef ITER_SOURCE
#define ITER_SOURCE WRITE
#endif

/* 6.3 put the flags of a mapping behind functions. */
#if LINUX_VERSION_CODE < KERNEL_VERSION(6, 3, 0)
#include <linux/mm.h>
static inline void mydev_vm_flags_set(struct vm_area_struct *vma,
				      vm_flags_t flags)
{
	vma->vm_flags |= flags;
}

static inline void mydev_vm_flags_clear(struct vm_area_struct *vma,
					vm_flags_t flags)
{
	vma->vm_flags &= ~flags;
}

#define vm_flags_set   mydev_vm_flags_set
#define vm_flags_clear mydev_vm_flags_clear
#endif

/* 6.13 joined hrtimer_init() and the assignment of the function. */
#if LINUX_VERSION_CODE < KERNEL_VERSION(6, 13, 0)
#include <linux/hrtimer.h>
static inline void
mydev_hrtimer_setup(struct hrtimer *timer,
		    enum hrtimer_restart (*function)(struct hrtimer *),
		    clockid_t clock, enum hrtimer_mode mode)
{
	hrtimer_init(timer, clock, mode);
	timer->function = function;
}

#define hrtimer_setup mydev_hrtimer_setup
#endif

/* 6.17 named the workqueue after where its works run, and deprecated the old name. */
#include <linux/workqueue.h>
#if LINUX_VERSION_CODE < KERNEL_VERSION(6, 17, 0)
#define system_percpu_wq system_wq
#endif

/*
 * What the unit tests need to see; kernels without KUnit need no exports. The
 * header came with an update of 6.1, and sparse does not know how to ask for it.
 */
#if IS_ENABLED(CONFIG_KUNIT) && defined(__has_include)
#if __has_include("kunit/visibility.h")
#include <kunit/visibility.h>
#endif
#endif
#ifndef EXPORT_SYMBOL_IF_KUNIT
#define EXPORT_SYMBOL_IF_KUNIT(...)
#endif

/* 6.13 made the name of a namespace a string. */
#if LINUX_VERSION_CODE < KERNEL_VERSION(6, 13, 0)
#define MYDEV_IMPORT_KUNIT_SYMBOLS MODULE_IMPORT_NS(EXPORTED_FOR_KUNIT_TESTING)
#else
#define MYDEV_IMPORT_KUNIT_SYMBOLS \
	MODULE_IMPORT_NS("EXPORTED_FOR_KUNIT_TESTING")
#endif

#endif /* MYDEV_COMPAT_H */
