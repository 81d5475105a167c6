"""What a training run or a service would need: compute, memory, time and money. Not built yet."""
