/* The list of steps, and the loop that runs it. */
#include "conv_infer/program.h"

#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "parallel.h"

typedef struct {
    ci_task_fn *task;
    const void *params;
    int32_t tasks;
    int32_t barrier; /* the next step needs what this one writes */
} step;

typedef struct kept {
    struct kept *next;
    max_align_t data[];
} kept;

/* A step's tasks are shared out in runs, one for each thread (of many threads, several begin with the same):
 * how many of each have been taken. */
enum { MOST_SHARES = 16 };
typedef struct {
    atomic_int taken[MOST_SHARES];
} shares;

struct ci_program {
    int32_t slots;
    int64_t *slot_bytes;
    int32_t steps, capacity;
    step *step;
    shares *share; /* of each step, while running */
    int64_t scratch_bytes;
    kept *kept;
};

ci_program *ci_program_create(int32_t slots, const int64_t *slot_bytes) {
    ci_program *program = calloc(1, sizeof *program);
    if (!program)
        return NULL;
    program->slots = slots;
    program->slot_bytes = malloc((size_t)slots * sizeof *slot_bytes);
    if (!program->slot_bytes) {
        free(program);
        return NULL;
    }
    memcpy(program->slot_bytes, slot_bytes, (size_t)slots * sizeof *slot_bytes);
    return program;
}

void ci_program_destroy(ci_program *program) {
    if (!program)
        return;
    while (program->kept) {
        kept *next = program->kept->next;
        free(program->kept);
        program->kept = next;
    }
    free(program->share);
    free(program->step);
    free(program->slot_bytes);
    free(program);
}

const void *ci_program_keep(ci_program *program, const void *data, size_t bytes) {
    kept *block = malloc(sizeof *block + bytes);
    if (!block)
        return NULL;
    memcpy(block->data, data, bytes);
    block->next = program->kept;
    program->kept = block;
    return block->data;
}

static ci_status grow(ci_program *program) {
    if (program->steps < program->capacity)
        return CI_OK;
    int32_t capacity = program->capacity ? 2 * program->capacity : 64;
    step *steps = realloc(program->step, (size_t)capacity * sizeof *steps);
    if (!steps)
        return CI_ERROR_MEMORY;
    program->step = steps;
    shares *counters = realloc(program->share, (size_t)capacity * sizeof *counters);
    if (!counters)
        return CI_ERROR_MEMORY;
    program->share = counters;
    program->capacity = capacity;
    return CI_OK;
}

ci_status ci_program_add(ci_program *program, ci_task_fn *task, const void *params, size_t param_bytes,
                         int32_t tasks, int64_t scratch_bytes) {
    if (!task || tasks < 1 || scratch_bytes < 0)
        return CI_ERROR_ARGUMENT;
    ci_status status = grow(program);
    if (status != CI_OK)
        return status;
    const void *copy = ci_program_keep(program, params, param_bytes);
    if (!copy)
        return CI_ERROR_MEMORY;
    program->step[program->steps++] = (step){.task = task, .params = copy, .tasks = tasks, .barrier = 1};
    int64_t rounded = (scratch_bytes + 63) & ~(int64_t)63;
    if (rounded > program->scratch_bytes)
        program->scratch_bytes = rounded;
    return CI_OK;
}

void ci_program_no_barrier(ci_program *program) {
    if (program->steps)
        program->step[program->steps - 1].barrier = 0;
}

void ci_program_grow_slot(ci_program *program, int32_t slot, int64_t bytes) {
    if (slot >= 0 && slot < program->slots && bytes > program->slot_bytes[slot])
        program->slot_bytes[slot] = bytes;
}

ci_status ci_program_check(const ci_program *program, ci_ref ref, int64_t bytes) {
    if (ref.slot < 0 || ref.slot >= program->slots || ref.offset < 0 || bytes < 0)
        return CI_ERROR_BOUNDS;
    int64_t size = program->slot_bytes[ref.slot];
    return ref.offset <= size && bytes <= size - ref.offset ? CI_OK : CI_ERROR_BOUNDS;
}

ci_status ci_program_check_view(const ci_program *program, ci_ref ref, int32_t rank, const int64_t *shape,
                                const int64_t *strides, int32_t element_bytes) {
    int64_t lowest = 0, highest = 0;
    for (int32_t axis = 0; axis < rank; axis++) {
        const int64_t limit = INT64_MAX / 64 / (element_bytes > 0 ? element_bytes : 1);
        if (shape[axis] < 0)
            return CI_ERROR_ARGUMENT;
        if (shape[axis] == 0)
            return CI_OK;
        int64_t count = shape[axis] - 1;
        int64_t magnitude = strides[axis] < 0 ? -strides[axis] : strides[axis];
        if (magnitude < 0 || (count && magnitude > limit / count))
            return CI_ERROR_OVERFLOW;
        if (strides[axis] < 0)
            lowest += count * strides[axis];
        else
            highest += count * strides[axis];
        if (lowest < -limit || highest > limit)
            return CI_ERROR_OVERFLOW;
    }
    ref.offset += lowest * element_bytes;
    return ci_program_check(program, ref, (highest - lowest + 1) * element_bytes);
}

ci_status ci_program_check_image(const ci_program *program, ci_ref ref, const ci_image *image,
                                 int32_t element_bytes) {
    const int64_t shape[4] = {image->images, image->height, image->width, image->channels};
    const int64_t strides[4] = {image->image_stride, image->row_stride, image->pixel_stride, 1};
    return ci_program_check_view(program, ref, 4, shape, strides, element_bytes);
}

int32_t ci_program_steps(const ci_program *program) {
    return program->steps;
}

int64_t ci_program_scratch_bytes(const ci_program *program) {
    return program->scratch_bytes;
}

typedef struct {
    ci_program *program;
    char *const *slots;
    char *scratch;
    double *seconds;
    ci_barrier barrier;
} team;

static double now_seconds(void) {
    struct timespec time;
    timespec_get(&time, TIME_UTC);
    return (double)time.tv_sec + 1e-9 * (double)time.tv_nsec;
}

/* Runs tasks of its own share first, then what others have left. Neighbouring steps cut their rows into the
 * same shares, so that a thread tends to find in its cache what it has written itself. */
static void work_on(const step *current, shares *share, const ci_run *run, int32_t thread, int32_t threads) {
    const int32_t count = threads < MOST_SHARES ? threads : MOST_SHARES;
    for (int32_t offset = 0; offset < count; offset++) {
        const int32_t number = (thread + offset) % count;
        const int32_t first = (int32_t)(((int64_t)current->tasks * number + count - 1) / count);
        const int32_t end = (int32_t)(((int64_t)current->tasks * (number + 1) + count - 1) / count);
        while (first + atomic_load_explicit(&share->taken[number], memory_order_relaxed) < end) {
            const int32_t task =
                first + atomic_fetch_add_explicit(&share->taken[number], 1, memory_order_relaxed);
            if (task < end)
                current->task(current->params, run, task);
        }
    }
}

static void work(void *context, int32_t thread, int32_t threads) {
    team *shared = context;
    ci_program *program = shared->program;
    const ci_run run = {shared->slots, shared->scratch + thread * program->scratch_bytes};
    double start = shared->seconds ? now_seconds() : 0.0;
    if (shared->seconds) /* here and below: nobody begins a step before the time of the last is taken */
        ci_barrier_wait(&shared->barrier, threads);
    for (int32_t index = 0; index < program->steps; index++) {
        const step *current = &program->step[index];
        if (threads == 1) {
            for (int32_t task = 0; task < current->tasks; task++)
                current->task(current->params, &run, task);
        } else {
            work_on(current, &program->share[index], &run, thread, threads);
            if (current->barrier || shared->seconds || index == program->steps - 1)
                ci_barrier_wait(&shared->barrier, threads);
        }
        if (shared->seconds && thread == 0) {
            double end = now_seconds();
            shared->seconds[index] = end - start;
            start = end;
        }
        if (shared->seconds)
            ci_barrier_wait(&shared->barrier, threads);
    }
}

void ci_program_run(ci_program *program, char *const *slots, char *scratch, int32_t threads,
                    double *seconds) {
    team shared = {.program = program, .slots = slots, .scratch = scratch, .seconds = seconds};
    atomic_init(&shared.barrier.arrived, 0);
    atomic_init(&shared.barrier.generation, 0);
    if (threads > 1) {
        for (int32_t index = 0; index < program->steps; index++)
            for (int32_t number = 0; number < MOST_SHARES; number++)
                atomic_init(&program->share[index].taken[number], 0);
    }
    ci_parallel(threads, work, &shared);
}
