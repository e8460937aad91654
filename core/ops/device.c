#include "core/ops/ops.h"

void device_close(device *dev) {
    if (dev) dev->ops->close(dev);
}
