#include "core/ops/ops.h"

void device_close(device *dev) {
    if (dev) dev->ops->close(dev);
}

double device_peak_flops(device *dev, dtype type) {
    double *peak = &dev->peak_flops[type];
    if (*peak == 0) *peak = dev->ops->measure_peak(dev, type);
    return *peak;
}
