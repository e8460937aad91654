/* tests/support/sanitized: whether this is a build with AddressSanitizer, where everything takes ten times as
   long and the heap is not ours. */
#ifndef RLHF_TESTS_SANITIZED_H
#define RLHF_TESTS_SANITIZED_H

#if defined(__SANITIZE_ADDRESS__)
#define SANITIZED 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)
#define SANITIZED 1
#endif
#endif
#ifndef SANITIZED
#define SANITIZED 0
#endif

#endif
