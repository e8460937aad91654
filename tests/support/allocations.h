/* tests/support/allocations: counts what a program takes from the heap, in all threads and libraries but
   OpenMP's, which takes and gives back a little for each team of threads. A test that calls this is linked
   with counting malloc, calloc, realloc, aligned_alloc, memalign and posix_memalign. */
#ifndef RLHF_TESTS_ALLOCATIONS_H
#define RLHF_TESTS_ALLOCATIONS_H

/* So far. Skips the test, with a word, under AddressSanitizer, whose heap it is. */
long allocations_so_far(void);

#endif
