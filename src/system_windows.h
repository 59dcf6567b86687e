/* What Windows tells of cores and caches: one record for each. */
#ifndef CI_SYSTEM_WINDOWS_H
#define CI_SYSTEM_WINDOWS_H

#define WIN32_LEAN_AND_MEAN
#include <stdlib.h>
#include <windows.h>

typedef SYSTEM_LOGICAL_PROCESSOR_INFORMATION ci_processor_record;

/* The records of up to 64 processors, those of this process's group, in memory to be freed; NULL, and a
 * count of 0, where there are none. */
static inline ci_processor_record *ci_processor_records(size_t *count) {
    DWORD bytes = 0;
    *count = 0;
    GetLogicalProcessorInformation(NULL, &bytes);
    ci_processor_record *records = bytes ? malloc(bytes) : NULL;
    if (records && GetLogicalProcessorInformation(records, &bytes)) {
        *count = bytes / sizeof *records;
        return records;
    }
    free(records);
    return NULL;
}

#endif
