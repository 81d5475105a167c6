"""Released checkpoints in and out: a folder with ``config.json`` and safetensors shards, in each house's own
format.

``family`` tells the formats apart, ``reader`` loads one, ``writer`` writes one; ``layout`` holds the tables
of tensor names that both follow.
"""
