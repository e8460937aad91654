/* datasets/judge/final_number: answers to be checked: worked-out problems that end in "#### 42", as GSM8K's
   do (Cobbe et al. 2021). */
#ifndef RLHF_JUDGE_FINAL_NUMBER_H
#define RLHF_JUDGE_FINAL_NUMBER_H

#include "core/base/buffer.h"

/* 1: the answer ends in "####" and the reference's number; 0.1: in another number; 0: in none. Commas between
   digits, a dollar sign before and zeros behind a decimal point make no difference. NaN: the reference (NULL
   is allowed) ends in no number itself. */
float final_number_score(const char *reference, text_span answer);

#endif
