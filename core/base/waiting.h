/* core/base/waiting: how threads wait for each other. */
#ifndef RLHF_BASE_WAITING_H
#define RLHF_BASE_WAITING_H

/* Call first in main. OpenMP's threads spin for milliseconds at each barrier unless the environment says
   otherwise when its library is loaded, and on a machine with other work each spin costs a whole turn of the
   scheduler (a small run took 14 times as long). So where neither OMP_WAIT_POLICY nor GOMP_SPINCOUNT is set,
   the program starts itself again, once, with OMP_WAIT_POLICY=passive; it costs about a millisecond. Returns
   when there is nothing to do. */
void waiting_make_passive(char **argv);

#endif
