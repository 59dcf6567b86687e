/* A plugin for QEMU (7.2 or later, interface 1) that counts how often each instruction of a program is
 * executed:
 *
 *     qemu-aarch64 -plugin ./count_instructions.so -d plugin PROGRAM
 *
 * At the program's end it says how many there were. A program on Linux may ask for more: its first system
 * call getpgid sets the count to nothing, each one after that prints what was executed since then, as lines
 *
 *     block: ADDRESS INSTRUCTIONS EXECUTIONS
 *
 * The interface is declared here as QEMU documents it; Debian packages no header of it. */
#include <inttypes.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>

#define GETPGID 155 /* the number of this system call on 64-bit Arm */

typedef uint64_t plugin_id;
struct qemu_plugin_tb;
enum qemu_plugin_op { QEMU_PLUGIN_INLINE_ADD_U64 };

void qemu_plugin_register_vcpu_tb_trans_cb(plugin_id id,
                                           void (*translated)(plugin_id, struct qemu_plugin_tb *));
size_t qemu_plugin_tb_n_insns(const struct qemu_plugin_tb *block);
uint64_t qemu_plugin_tb_vaddr(const struct qemu_plugin_tb *block);
void qemu_plugin_register_vcpu_tb_exec_inline(struct qemu_plugin_tb *block, enum qemu_plugin_op op,
                                              void *number, uint64_t addend);
void qemu_plugin_register_vcpu_syscall_cb(plugin_id id, void (*called)(plugin_id, unsigned, int64_t, uint64_t,
                                                                       uint64_t, uint64_t, uint64_t, uint64_t,
                                                                       uint64_t, uint64_t, uint64_t));
void qemu_plugin_register_atexit_cb(plugin_id id, void (*end)(plugin_id, void *), void *argument);

__attribute__((visibility("default"))) int qemu_plugin_version = 1;
__attribute__((visibility("default"))) int qemu_plugin_install(plugin_id id, const void *info, int argc,
                                                               char **argv);

/* Of a stretch of code that runs from its beginning to its end. The programs measured have one thread. */
typedef struct block {
    struct block *before;
    uint64_t address, instructions, executions;
} block;

static block *last;
static int is_marked;

static void translated(plugin_id id, struct qemu_plugin_tb *code) {
    (void)id;
    block *next = malloc(sizeof *next);
    if (!next)
        abort();
    *next = (block){last, qemu_plugin_tb_vaddr(code), qemu_plugin_tb_n_insns(code), 0};
    last = next;
    qemu_plugin_register_vcpu_tb_exec_inline(code, QEMU_PLUGIN_INLINE_ADD_U64, &next->executions, 1);
}

static void called(plugin_id id, unsigned cpu, int64_t number, uint64_t a, uint64_t b, uint64_t c, uint64_t d,
                   uint64_t e, uint64_t f, uint64_t g, uint64_t h) {
    (void)id, (void)cpu, (void)a, (void)b, (void)c, (void)d, (void)e, (void)f, (void)g, (void)h;
    if (number != GETPGID)
        return;
    for (block *at = last; at; at = at->before) {
        if (is_marked && at->executions)
            fprintf(stderr, "block: %" PRIx64 " %" PRIu64 " %" PRIu64 "\n", at->address, at->instructions,
                    at->executions);
        at->executions = 0;
    }
    is_marked = 1;
}

static void end(plugin_id id, void *argument) {
    (void)id, (void)argument;
    uint64_t executed = 0;
    for (const block *at = last; at; at = at->before)
        executed += at->instructions * at->executions;
    fprintf(stderr, "instructions: %" PRIu64 "\n", executed);
}

int qemu_plugin_install(plugin_id id, const void *info, int argc, char **argv) {
    (void)info, (void)argc, (void)argv;
    qemu_plugin_register_vcpu_tb_trans_cb(id, translated);
    qemu_plugin_register_vcpu_syscall_cb(id, called);
    qemu_plugin_register_atexit_cb(id, end, NULL);
    return 0;
}
