"""The pipeline's bubble (Megatron-LM, arXiv 2104.04473, section 2.2)."""

from lab.planner.config import LayoutConfig


def bubble(layout: LayoutConfig) -> float:
    """Idle time over busy time, a plain ratio: (p - 1) / (m v); 0 without a pipeline.

    p stages, m micro-batches a step, v virtual stages (interleaved 1F1B).
    """
    return (layout.pipeline - 1) / (layout.micro_batches * layout.virtual_stages)
