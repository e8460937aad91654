#include "core/ops/ops.h"

void device_close(device *dev) {
    if (dev) dev->ops->close(dev);
}

double device_peak_flops(device *dev) {
    if (dev->peak_flops == 0) dev->peak_flops = dev->ops->measure_peak(dev);
    return dev->peak_flops;
}
