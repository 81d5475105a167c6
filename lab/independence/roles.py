"""What a tensor is, by its name: ours, those of the released families, and the common ones of other houses."""

import re
from dataclasses import dataclass

MODULES = ("embedding", "attention", "experts", "router", "norms", "encoder", "other")
"""Sub-modules that get a verdict of their own; ``experts`` holds dense feed-forwards too."""

ENCODER = re.compile(
    r"(^|\.)(visual|vision\w*|audio\w*|speech\w*|encoder|image_\w+|mm_projector|multi_modal_projector)\."
)
EMBEDDING = re.compile(
    r"(^|\.)(embedding|embeddings|embed_tokens|wte|word_embeddings|tok_embeddings|embed_in|shared|lm_head|embed_out|"
    r"head|output)\.weight$"
)
NORM = re.compile(r"(norm\w*|ln_\w+|subln)\.weight$", re.IGNORECASE)
FIXED = re.compile(
    r"(inv_freq|freqs_cis|masked_bias|position_ids|attn\.bias|attention\.bias|sinusoid\w*|embed_positions\.weights)$"
)
"""Tables that a formula gives: equal in unrelated models, so never compared."""
ROUTER = re.compile(r"(router\.weight|mlp\.gate\.weight|block_sparse_moe\.gate\.weight|router\.\w+\.weight)$")
FEED_FORWARD = re.compile(
    r"\.(feed_forward|mlp|experts|shared_experts?|block_sparse_moe|ffn|DenseReluDense)\.|\.(w_in|w_out)$|"
    r"\.(gate_proj|up_proj|down_proj|gate_up_proj|fc1|fc2)(\.weight)?$"
)
ATTENTION = re.compile(
    r"\.(mixer|self_attn|attn|attention|linear_attn|self_attention|SelfAttention|EncDecAttention)\."
)
WRITES = re.compile(
    r"(^|\.)(output|o_proj|wo|out_proj|c_proj|dense|down|down_proj|w_out|w2|fc2|dense_4h_to_h)(\.weight)?$"
)
LAYER = re.compile(r"(?:^|\.)(?:blocks|layers|h|block)\.(\d+)\.")
UNIT_PARTS = {
    "gate": re.compile(r"(?<!mlp\.)(?:gate|gate_proj|w1)(?:\.weight)?$"),
    "up": re.compile(r"(?:^|\.)(?:up|up_proj|w3|fc1|c_fc|dense_h_to_4h)(?:\.weight)?$"),
    "down": re.compile(r"(?:^|\.)(?:down|down_proj|w2|w_out|fc2|c_proj|dense_4h_to_h)(?:\.weight)?$"),
    "gate and up": re.compile(r"(?:^|\.)(?:w_in|gate_up_proj)(?:\.weight)?$"),
}


@dataclass(frozen=True)
class Role:
    """``writes`` is set where a tensor's columns, not its rows, live in the residual stream."""

    module: str
    writes: bool
    layer: int | None


def role_of(name: str) -> Role:
    """The role of the tensor called ``name``."""
    found = LAYER.search(name)
    return Role(_module(name), bool(WRITES.search(name)), int(found.group(1)) if found else None)


def unit_part(name: str) -> str | None:
    """Which matrix of a feed-forward's hidden units this is: gate, up, down or ``gate and up``."""
    for part, pattern in UNIT_PARTS.items():
        if pattern.search(name):
            return part
    return None


def _module(name: str) -> str:
    if ENCODER.search(name):
        return "encoder"
    if NORM.search(name):
        return "norms"
    if LAYER.search(name) is None:
        return "embedding" if EMBEDDING.search(name) else "other"
    if ROUTER.search(name):
        return "router"
    if ATTENTION.search(name):
        return "attention"
    return "experts" if FEED_FORWARD.search(name) else "other"
