/* A team of threads by the system's own means, for compilers that have no OpenMP (Apple's) or one whose
 * library users would have to install (Microsoft's). Starting a thread takes some ten microseconds, and each
 * run does so. */
#include "parallel.h"

#if !defined(CI_USE_OPENMP) && !defined(CI_ALONE)
#    if defined(_WIN32)
#        include <process.h>
typedef HANDLE thread_handle;
#    else
#        include <pthread.h>
typedef pthread_t thread_handle;
#    endif

enum { MOST_THREADS = 1024, STACK_BYTES = 1 << 20 };

typedef struct {
    ci_worker_fn *worker;
    void *context;
    atomic_int threads; /* 0 until all have been started, and it is known how many the system has granted */
} team;

typedef struct {
    team *team;
    int32_t thread;
    thread_handle handle;
} member;

static void take_part(const member *self) {
    int32_t threads;
    while ((threads = atomic_load_explicit(&self->team->threads, memory_order_acquire)) == 0)
        ci_yield();
    self->team->worker(self->team->context, self->thread, threads);
}

#    if defined(_WIN32)
static unsigned __stdcall start(void *self) {
    take_part(self);
    return 0;
}

static int begin(member *self) {
    self->handle = (HANDLE)_beginthreadex(NULL, STACK_BYTES, start, self, 0, NULL);
    return self->handle != NULL;
}

static void await(const member *self) {
    WaitForSingleObject(self->handle, INFINITE);
    CloseHandle(self->handle);
}
#    else
static void *start(void *self) {
    take_part(self);
    return NULL;
}

static int begin(member *self) {
    pthread_attr_t attributes;
    if (pthread_attr_init(&attributes) != 0)
        return 0;
    pthread_attr_setstacksize(&attributes, STACK_BYTES); /* the default is anything from 128 KiB to 8 MiB */
    const int refused = pthread_create(&self->handle, &attributes, start, self);
    pthread_attr_destroy(&attributes);
    return !refused;
}

static void await(const member *self) {
    pthread_join(self->handle, NULL);
}
#    endif

void ci_team_run(int32_t wanted, ci_worker_fn *worker, void *context) {
    member members[MOST_THREADS];
    team shared = {.worker = worker, .context = context};
    atomic_init(&shared.threads, 0);
    int32_t threads = 1;
    while (threads < wanted && threads < MOST_THREADS) {
        members[threads].team = &shared;
        members[threads].thread = threads;
        if (!begin(&members[threads]))
            break;
        threads++;
    }
    atomic_store_explicit(&shared.threads, threads, memory_order_release);
    worker(context, 0, threads);
    for (int32_t thread = 1; thread < threads; thread++)
        await(&members[thread]);
}
#endif
