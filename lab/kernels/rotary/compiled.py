"""The equation, compiled."""

from lab.kernels.compilation import compiled
from lab.kernels.rotary import naive

rotate = compiled(naive.rotate)
