/* How many cores this process may use, where Python cannot find out from files as it does on Linux. */
#include "conv_infer/cpu.h"

#if defined(_WIN32)
#    include "system_windows.h"

int32_t ci_cores(void) {
    DWORD_PTR allowed = 0, all = 0;
    if (!GetProcessAffinityMask(GetCurrentProcess(), &allowed, &all))
        return 0;
    size_t count;
    int32_t cores = 0;
    ci_processor_record *records = ci_processor_records(&count);
    for (size_t i = 0; i < count; i++)
        cores += records[i].Relationship == RelationProcessorCore && (records[i].ProcessorMask & allowed);
    free(records);
    return cores;
}
#elif defined(__APPLE__)
#    include <sys/sysctl.h>

static int32_t system_number(const char *name) {
    int32_t number = 0;
    size_t size = sizeof number;
    return sysctlbyname(name, &number, &size, NULL, 0) == 0 && size == sizeof number && number > 0 ? number
                                                                                                   : 0;
}

int32_t ci_cores(void) {
    const int32_t fast = system_number("hw.perflevel0.physicalcpu");
    return fast ? fast : system_number("hw.physicalcpu");
}
#else
int32_t ci_cores(void) {
    return 0;
}
#endif
