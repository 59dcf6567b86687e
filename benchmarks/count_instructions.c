/* A plugin for QEMU (7.2 or later, interface 1) that counts the instructions a program executes, and says so
 * at its end:
 *
 *     qemu-aarch64 -plugin ./count_instructions.so -d plugin PROGRAM
 *
 * The interface is declared here as QEMU documents it; Debian packages no header of it. */
#include <inttypes.h>
#include <stddef.h>
#include <stdio.h>

typedef uint64_t plugin_id;
struct qemu_plugin_tb;

void qemu_plugin_register_vcpu_tb_trans_cb(plugin_id id,
                                           void (*translated)(plugin_id, struct qemu_plugin_tb *));
size_t qemu_plugin_tb_n_insns(const struct qemu_plugin_tb *block);
void qemu_plugin_register_vcpu_tb_exec_cb(struct qemu_plugin_tb *block, void (*run)(unsigned, void *),
                                          int flags, void *argument);
void qemu_plugin_register_atexit_cb(plugin_id id, void (*end)(plugin_id, void *), void *argument);

__attribute__((visibility("default"))) int qemu_plugin_version = 1;
__attribute__((visibility("default"))) int qemu_plugin_install(plugin_id id, const void *info, int argc,
                                                               char **argv);

static uint64_t executed; /* of one thread: the programs measured have one */

static void run(unsigned cpu, void *instructions) {
    (void)cpu;
    executed += (uintptr_t)instructions;
}

static void translated(plugin_id id, struct qemu_plugin_tb *block) {
    (void)id;
    qemu_plugin_register_vcpu_tb_exec_cb(block, run, 0, (void *)(uintptr_t)qemu_plugin_tb_n_insns(block));
}

static void end(plugin_id id, void *argument) {
    (void)id, (void)argument;
    fprintf(stderr, "instructions: %" PRIu64 "\n", executed);
}

int qemu_plugin_install(plugin_id id, const void *info, int argc, char **argv) {
    (void)info, (void)argc, (void)argv;
    qemu_plugin_register_vcpu_tb_trans_cb(id, translated);
    qemu_plugin_register_atexit_cb(id, end, NULL);
    return 0;
}
