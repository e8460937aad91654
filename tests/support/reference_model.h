/* tests/support/reference_model: the whole transformer and its gradient in f64, written from the papers'
   equations, sharing no code with core/model: to be read beside Radford et al. 2019 and Touvron et al. 2023.
   It knows the parameters by name alone. */
#ifndef RLHF_TESTS_REFERENCE_MODEL_H
#define RLHF_TESTS_REFERENCE_MODEL_H

#include "core/model/model.h"

/* parameters: [layout->count] at the layout's offsets. Values of the batch's rows are written where they are
   not NULL. With grad ([layout->count], added to) also the gradient of sum_r grads.logprob[r] logprob[r] +
   grads.entropy[r] entropy[r] + grads.score[r] score[r]. */
struct reference_values {
    double *logprob, *entropy, *score; /* [n_row] */
};
void reference_model(const model_config *config, const flat *layout, const double *parameters, const batch *b,
                     const forward_options *options, struct reference_values values, const row_grads *grads,
                     double *grad);

#endif
