/* The only file that knows OpenMP: a team of threads for one run, and the barrier its steps meet at.
 *
 * A run opens one parallel region and keeps its team to the end; between steps the team meets at a barrier of
 * its own, which spins for a moment (steps are microseconds apart) and then gives the processor away. Without
 * OpenMP the system's own threads are the team (team.c); without a system, the calling thread alone.
 */
#ifndef CI_PARALLEL_H
#define CI_PARALLEL_H

#include <stdatomic.h>
#include <stdint.h>

#ifdef CI_USE_OPENMP
#    include <omp.h>
#endif
#if defined(_WIN32)
#    ifndef WIN32_LEAN_AND_MEAN
#        define WIN32_LEAN_AND_MEAN
#    endif
#    include <windows.h>
#    define ci_yield() SwitchToThread()
#elif __STDC_HOSTED__ && (defined(__unix__) || defined(__APPLE__))
#    include <sched.h>
#    define ci_yield() sched_yield()
#else /* no operating system, no other thread */
#    define CI_ALONE 1
#    define ci_yield() ((void)0)
#endif
#if defined(_MSC_VER) && defined(_M_X64)
#    include <immintrin.h>
#    define ci_pause() _mm_pause()
#elif defined(__x86_64__) || defined(__i386__)
#    define ci_pause() __builtin_ia32_pause()
#elif defined(__aarch64__)
#    define ci_pause() __asm__ volatile("yield")
#else
#    define ci_pause() ((void)0)
#endif

typedef struct {
    atomic_int arrived;
    atomic_int generation;
} ci_barrier;

static inline void ci_barrier_wait(ci_barrier *barrier, int32_t threads) {
    if (threads == 1)
        return;
    int generation = atomic_load_explicit(&barrier->generation, memory_order_relaxed);
    if (atomic_fetch_add_explicit(&barrier->arrived, 1, memory_order_acq_rel) == threads - 1) {
        atomic_store_explicit(&barrier->arrived, 0, memory_order_relaxed);
        atomic_store_explicit(&barrier->generation, generation + 1, memory_order_release);
        return;
    }
    for (int spins = 0; atomic_load_explicit(&barrier->generation, memory_order_acquire) == generation;
         spins++) {
        if (spins < 2000)
            ci_pause();
        else
            ci_yield();
    }
}

/* Calls worker(context, thread, threads) on every thread of a team of at most `wanted`. */
typedef void ci_worker_fn(void *context, int32_t thread, int32_t threads);

/* The same by threads of the operating system, which live for this call. */
void ci_team_run(int32_t wanted, ci_worker_fn *worker, void *context);

static inline void ci_parallel(int32_t wanted, ci_worker_fn *worker, void *context) {
#if defined(CI_USE_OPENMP)
    if (wanted > 1) {
#    pragma omp parallel num_threads(wanted)
        worker(context, omp_get_thread_num(), omp_get_num_threads());
        return;
    }
#elif !defined(CI_ALONE)
    if (wanted > 1) {
        ci_team_run(wanted, worker, context);
        return;
    }
#else
    (void)wanted;
#endif
    worker(context, 0, 1);
}

#endif
