"""Energy of a run: devices near their limit, hosts and network beside them, the building around them."""

from lab.planner.config import ClusterConfig
from lab.planner.facts import Device
from lab.planner.interval import Uncertain
from lab.planner.quantity import DEVICE, WATT, Quantity

LOAD = 0.85
"""Mean draw over the stated limit while training (an assumption, with a spread of 10 %)."""


def energy(device_time: Quantity, device: Device, cluster: ClusterConfig) -> Uncertain[Quantity]:
    """Joules of ``device_time`` (device-seconds): (limit x load + overhead) x power usage effectiveness."""
    draw = LOAD * device.power + cluster.watts_per_device_overhead * WATT
    joules = device_time / DEVICE * draw * cluster.power_usage_effectiveness
    return Uncertain(joules, {"power drawn": 0.1})
