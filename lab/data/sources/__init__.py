"""Where text comes from: pinned wheels, a local folder, the hub. Each yields a ``Harvest``."""
