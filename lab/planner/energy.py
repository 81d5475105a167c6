"""Energy of a run: devices near their limit, hosts and network beside them, the building around them."""

from lab.planner.config import ClusterConfig
from lab.planner.facts import Device
from lab.planner.interval import Uncertain, from_range
from lab.planner.quantity import DEVICE, WATT, Quantity

LOAD = from_range("power of devices", 0.75, 1.0)
"""Mean draw over the stated limit while training (assumed; the two published energies lie within, see README.md)."""
HOSTS = from_range("power of hosts and network (assumed)", 0.5, 2.0)
"""Their share over the cluster's own figure."""
BUILDING = from_range("power of the building (assumed)", 0.85, 1.0 / 0.85)
"""Power usage effectiveness over the cluster's own figure."""


def energy(device_time: Quantity, device: Device, cluster: ClusterConfig) -> Uncertain[Quantity]:
    """Joules of ``device_time`` (device-seconds): (limit x load + overhead) x power usage effectiveness."""
    draw = LOAD * device.power + HOSTS * (cluster.watts_per_device_overhead * WATT)
    return draw * BUILDING * (device_time / DEVICE * cluster.power_usage_effectiveness)


def device_energy(device_time: Quantity, device: Device) -> Uncertain[Quantity]:
    """Joules of the devices alone, which is what reports of energy seem to count."""
    return LOAD * device.power * (device_time / DEVICE)
