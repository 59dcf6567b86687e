/* Included first, makes a compiler that has GNU's extensions pretend to have none, and to be Microsoft's: the
 * system's headers have been read by then. */
#ifndef _DEFAULT_SOURCE
#    define _DEFAULT_SOURCE
#endif
#include <float.h>
#include <immintrin.h>
#include <limits.h>
#include <math.h>
#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

void __cpuid(int values[4], int leaf);
void __cpuidex(int values[4], int leaf, int subleaf);

#undef _DEFAULT_SOURCE
#undef __GNUC__
#undef __clang__
#define _MSC_VER 1940
#define _M_X64 100
#define __forceinline inline
#define __declspec(attribute)
