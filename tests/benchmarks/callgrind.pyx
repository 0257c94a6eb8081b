# cython: language_level=3
"""Has valgrind's callgrind, under which this process runs, count the instructions of a round and of nothing else."""

cdef extern from *:
    """
    #include <valgrind/callgrind.h>
    static void start_counting(void) { CALLGRIND_START_INSTRUMENTATION; }
    /* The counts are at 0 whenever it starts, and gone when it has stopped. */
    static void stop_counting(void) { CALLGRIND_DUMP_STATS; CALLGRIND_STOP_INSTRUMENTATION; }
    """
    void start_counting()
    void stop_counting()


class Counter:
    def start(self):
        start_counting()

    def stop(self):
        stop_counting()
