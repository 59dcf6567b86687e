/* A compiled graph: a flat list of steps over one arena, run by one call.
 *
 * Everything is decided when a step is added: which kernel, which offsets, how many tasks. Each ci_add_*()
 * function checks its parameters against the sizes of the buffers they name and answers a status; running
 * cannot fail.
 *
 * A buffer is named by a slot and a byte offset (ci_ref). Slots: the arena (scratch and intermediate
 * tensors), the weights, then the caller's inputs and outputs, whose addresses change from run to run.
 */
#ifndef CONV_INFER_PROGRAM_H
#define CONV_INFER_PROGRAM_H

#include "conv_infer/types.h"

#ifdef __cplusplus
extern "C" {
#endif

enum { CI_SLOT_NONE = -1, CI_SLOT_ARENA = 0, CI_SLOT_WEIGHTS = 1, CI_SLOT_FIRST_EXTERNAL = 2 };

typedef struct {
    int32_t slot;   /* CI_SLOT_NONE: there is no buffer */
    int64_t offset; /* bytes */
} ci_ref;

/* What a task sees of the run it belongs to. */
typedef struct {
    char *const *slots; /* the address of each slot */
    char *scratch;      /* this thread's own, aligned to 64 bytes */
} ci_run;

static inline void *ci_address(const ci_run *run, ci_ref ref) {
    return ref.slot == CI_SLOT_NONE ? (void *)0 : (void *)(run->slots[ref.slot] + ref.offset);
}

/* One of a step's tasks, 0 .. tasks - 1. Tasks of a step may run at the same time and in any order. */
typedef void ci_task_fn(const void *params, const ci_run *run, int32_t task);

typedef struct ci_program ci_program;

/* A program over `slots` buffers of the given sizes in bytes. NULL where memory is refused. */
ci_program *ci_program_create(int32_t slots, const int64_t *slot_bytes);
void ci_program_destroy(ci_program *program);

/* Appends a step; `params` (param_bytes of it) is copied. `scratch_bytes` is what one task needs. */
ci_status ci_program_add(ci_program *program, ci_task_fn *task, const void *params, size_t param_bytes,
                         int32_t tasks, int64_t scratch_bytes);

/* Copies a table that a step's parameters point to; it lives as long as the program. NULL where memory is
 * refused. */
const void *ci_program_keep(ci_program *program, const void *data, size_t bytes);

/* Says that the step added last and the one added next touch nothing in common: no barrier between them. */
void ci_program_no_barrier(ci_program *program);

/* Says that a slot will have so many bytes after all, at least as many as before: steps added from now on may
 * use them. */
void ci_program_grow_slot(ci_program *program, int32_t slot, int64_t bytes);

/* CI_ERROR_BOUNDS unless `bytes` from `ref` on lie inside its slot (and the slot exists). */
ci_status ci_program_check(const ci_program *program, ci_ref ref, int64_t bytes);

/* The same for every element of a strided view: `shape` and `strides` (elements, may be 0 or negative) of
 * `rank`. */
ci_status ci_program_check_view(const ci_program *program, ci_ref ref, int32_t rank, const int64_t *shape,
                                const int64_t *strides, int32_t element_bytes);
ci_status ci_program_check_image(const ci_program *program, ci_ref ref, const ci_image *image,
                                 int32_t element_bytes);

int32_t ci_program_steps(const ci_program *program);
int64_t ci_program_scratch_bytes(const ci_program *program); /* of one thread */

/* Runs every step. `slots` holds the address of each buffer, `scratch` threads * ci_program_scratch_bytes
 * bytes aligned to 64. `seconds`, where not NULL, receives the time of each step. One run of a program at a
 * time. */
void ci_program_run(ci_program *program, char *const *slots, char *scratch, int32_t threads, double *seconds);

#ifdef __cplusplus
}
#endif
#endif
