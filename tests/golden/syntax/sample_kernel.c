/* What the kernel's macros make of C. */
#include <linux/syscalls.h>

LIST_HEAD(waiting)
static DEFINE_MUTEX(lock);

static int __init first(void)
{
	return 0;
}
module_init(first)

SYSCALL_DEFINE3(read_some, unsigned int, fd, char __user *, buf, size_t, count)
{
	return do_read(fd, buf, count);
}

static __always_inline void
second(struct list_head *list)
	__releases(&lock)
{
#ifdef CONFIG_A
	if (list) {
#else
	if (!list) {
#endif
		third();
	}
}

#if 0
static void never(void) {
#endif

struct __packed wire {
	__le32 a;
};

typedef struct pair { int x; } PAIR, POINTER *PTR_PAIR;

FIXTURE_ADD(tls, 12_aes)
{
	.version = 1,
};

#define LAST(x) \
	do_last(x)

void last(void)
{
}
