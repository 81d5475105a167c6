"""Training: optimisers, schedules, load balance, the loop and its callbacks, checkpoints, run folders."""
