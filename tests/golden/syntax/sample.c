#include <linux/fs.h>
#include "a.h"
/* Doc of foo. */
static int *foo(int a, char **b)
{
	int local = a;
	return bar(local, b->field, GLOBAL);
}
typedef struct { int x, y; } point_t;
struct s { int a; struct { int in; } n; void (*f)(int); };
enum e { A, B = 2 };
int g1, *g2 = 0, arr[3];
#define MAX(a,b) \
   ((a) > do_it(b))
int proto(void);
static int __init fn(void)
{
	return 0;
}
