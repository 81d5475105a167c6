"""The products of ``shifted.py``, compiled; the equation itself walks token by token and cannot be."""

from lab.kernels.compilation import compiled
from lab.kernels.short_convolution import shifted

short_convolution = compiled(shifted.short_convolution)
