"""Gate rank: how many directions the gates of a trained model really use.

The gate of a token is ``act(W_gate x)``, F channels: what multiplies ``W_up x``. The gates of N held-out tokens are a
matrix ``[N, F]`` with singular values ``s``, not centred. Three measures of its rank:

* ``effective_rank``: ``sum s^2 / max s^2`` (numerical or stable rank), the measure that secondary reading of the
  Motif 3 report (arXiv 2608.09119) gives for its comparison of PolyNorm with SwiGLU;
* ``entropy_rank``: ``exp(-sum p log p)`` with ``p = s / sum s`` (Roy and Vetterli, EUSIPCO 2007), which is not
  decided by the largest direction alone;
* ``centred_rank``: ``effective_rank`` after the mean gate is taken away, which may itself be the largest direction.

All lie between 1 and the rank, and do not change when the gates are scaled.
"""

from typing import Any

import torch
from torch import Tensor, nn

from lab.data.corpus import Corpus
from lab.errors import ConfigError
from lab.evaluation.config import EvaluationConfig
from lab.evaluation.likelihood import draw_documents, encode, evaluating
from lab.model.decoder import Decoder
from lab.model.feed_forward.gated import GatedFeedForward
from lab.report.instruments import effective_rank

TOKENS_PER_LANGUAGE = 2048


def gate_rank(
    model: Decoder, corpus: Corpus, config: EvaluationConfig, trained_length: int
) -> dict[str, Any]:
    """Ranks of the gates of each gated unit of ``model``, dense and shared ones, on held-out text of every language.

    Returns ``effective_rank``, ``entropy_rank`` and ``centred_rank``, each with ``units`` (first layer to last) and
    their ``mean``, and ``tokens``, N. Raises :class:`ConfigError` where the model has no such unit or the text fills no
    row of ``trained_length`` tokens.
    """
    units = [module for module in model.modules() if isinstance(module, GatedFeedForward)]
    if not units:
        raise ConfigError(
            "evaluation.measures=gate_rank cannot be used: every feed-forward is routed experts."
        )
    rows = [row for language in corpus.languages for row in _rows(corpus, language, config, trained_length)]
    if not rows:
        raise ConfigError(
            f"evaluation.measures=gate_rank cannot be used: no held-out document has {trained_length} tokens."
        )
    with evaluating(model):
        gates = gates_of(model, units, torch.tensor(rows), config.batch_size)
    return {
        "effective_rank": _by_unit([effective_rank(gate) for gate in gates]),
        "entropy_rank": _by_unit([entropy_rank(gate) for gate in gates]),
        "centred_rank": _by_unit([effective_rank(gate - gate.mean(0)) for gate in gates]),
        "tokens": len(rows) * trained_length,
    }


@torch.no_grad()
def gates_of(model: Decoder, units: list[GatedFeedForward], tokens: Tensor, batch_size: int) -> list[Tensor]:
    """``act(W_gate x)`` of each unit for every token of ``tokens [B, T]``: ``[B T, F]`` each."""
    found: list[list[Tensor]] = [[] for _ in units]

    def keep(place: int) -> Any:
        def hook(activation: nn.Module, inputs: tuple[Tensor, ...]) -> None:
            gate = inputs[0]
            found[place].append(activation.forward(gate, torch.ones_like(gate)).flatten(0, -2).cpu())

        return hook

    handles = [unit.activation.register_forward_pre_hook(keep(place)) for place, unit in enumerate(units)]
    try:
        for batch in tokens.split(batch_size):
            model(batch.to(next(model.parameters()).device))
    finally:
        for handle in handles:
            handle.remove()
    return [torch.cat(gates) for gates in found]


def entropy_rank(matrix: Tensor) -> float:
    """``exp`` of the entropy of the singular values of ``matrix [N, F]`` divided by their sum."""
    values = torch.linalg.svdvals(matrix.double())
    return torch.special.entr(values / values.sum()).sum().exp().item()


def _rows(corpus: Corpus, language: str, config: EvaluationConfig, length: int) -> list[list[int]]:
    """Rows of ``length`` tokens of held-out text, ``<|begin|>`` before each document; short ends are left out."""
    documents = draw_documents(corpus.held_out(language), config.max_bytes, config.seed)
    rows = [
        tokens[start : start + length]
        for tokens in encode(corpus.tokenizer, [document.text for document in documents])
        for start in range(0, len(tokens) - length + 1, length)
    ]
    return rows[: max(1, TOKENS_PER_LANGUAGE // length)]


def _by_unit(ranks: list[float]) -> dict[str, Any]:
    return {"units": ranks, "mean": sum(ranks) / len(ranks)}
