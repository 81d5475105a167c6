"""What a configuration will cost: parameters, FLOPs and cache, by arithmetic alone.

A test builds every model on the meta device and holds this arithmetic to the last parameter.
"""

from dataclasses import asdict, dataclass

from lab.model.config import ModelConfig
from lab.model.leaves.layers import LayerPlan, keys_seen

BYTES_PER_WEIGHT = 2  # weights are published and served in bfloat16
BACKWARD_OVER_FORWARD = 2  # every product of the forward pass has two in the backward pass


@dataclass(frozen=True)
class Size:
    """The size of a model. FLOPs count a multiply-add as two and are averages over ``sequence`` causal tokens."""

    parameters_total: int
    parameters_active: int
    parts: dict[str, int]
    sequence: int
    flops_per_token_forward: float
    flops_per_token_training: float
    cache_bytes_per_token: int
    cache_bytes_fixed: int
    weight_bytes: int

    def as_dict(self) -> dict[str, object]:
        """Plain data for JSON."""
        return asdict(self)


def size(config: ModelConfig, sequence: int) -> Size:
    """The size of ``config``; FLOPs at sequences of ``sequence`` tokens."""
    plan = config.plan()
    parts = _parts(config, plan, active=False)
    active = _parts(config, plan, active=True)
    forward = _forward_flops(config, plan, sequence)
    cache = config.cache()
    return Size(
        parameters_total=sum(parts.values()),
        parameters_active=sum(active.values()),
        parts=parts,
        sequence=sequence,
        flops_per_token_forward=forward,
        flops_per_token_training=forward * (1 + BACKWARD_OVER_FORWARD),
        cache_bytes_per_token=cache.per_token,
        cache_bytes_fixed=cache.fixed,
        weight_bytes=sum(parts.values()) * BYTES_PER_WEIGHT,
    )


def _parts(config: ModelConfig, plan: list[LayerPlan], active: bool) -> dict[str, int]:
    """Parameters by part; ``active`` counts only what one token uses (the embedding matrix included)."""
    width, unit, router = config.width, config.feed_forward, config.router
    sparse = sum(layer.sparse for layer in plan)
    joins = sum(
        config.residual.num_params(width, site, config.norm)
        for layer in plan
        for site in ("attention", feed_forward_site(layer))
    )
    routers = router.routing_params(width) if sparse else 0
    return {
        "embedding": config.vocab_size * width,
        "attention": sum(config.mixer(layer).num_params(width) for layer in plan),
        "feed_forward": (len(plan) - sparse) * unit.num_params(width, unit.width),
        "experts": sparse * (router.num_params(width, unit, active) - routers) if sparse else 0,
        "router": sparse * routers,
        "joins": joins + config.norm.num_params(width, "final"),
        "multi_token": config.multi_token.num_params(width, config.attention, unit, config.norm),
        "head": 0 if config.tied_embeddings else config.vocab_size * width,
    }


def _forward_flops(config: ModelConfig, plan: list[LayerPlan], sequence: int) -> float:
    width, unit = config.width, config.feed_forward
    total = 2.0 * config.vocab_size * width
    for layer in plan:
        total += config.mixer(layer).flops_per_token(width, keys_seen(layer.window, sequence))
        if layer.sparse:
            total += 2 * config.router.num_params(width, unit, active=True)
        else:
            total += 2 * unit.num_params(width, unit.width)
        for site in ("attention", feed_forward_site(layer)):
            total += config.residual.flops_per_token(width, site, config.norm)
    return total + config.multi_token.flops_per_token(
        width, config.vocab_size, config.attention, unit, sequence
    )


def feed_forward_site(layer: LayerPlan) -> str:
    """The join site of a layer's feed-forward."""
    return "experts" if layer.sparse else "dense"
