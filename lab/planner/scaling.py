"""Scaling laws: the loss that parameters and tokens buy, and how to split compute between them.

The losses are those of the corpus a law was fitted on (Chinchilla's MassiveText, in nats per token of its tokenizer):
good for ranking plans, not for predicting the loss of another corpus. ``parameters`` is a plain count, tokens and
FLOPs are quantities.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from lab.errors import ConfigError
from lab.planner.interval import EIGHTY_PERCENT, Uncertain
from lab.planner.quantity import FLOP, TOKEN, Quantity

FLOPS_PER_PARAMETER = 6 * FLOP / TOKEN
"""Forward and backward, a multiply-add as two: the C = 6 N D of the scaling laws (arXiv 2001.08361, section 2.1)."""
FORWARD_FLOPS_PER_PARAMETER = 2 * FLOP / TOKEN


@dataclass(frozen=True)
class ScalingLaw:
    """``L(N, D) = E + A / N^alpha + B / D^beta``, nats per token (Hoffmann et al., arXiv 2203.15556, approach 3)."""

    source: str
    irreducible: float
    parameter_scale: float
    token_scale: float
    alpha: float
    beta: float

    def loss(self, parameters: float, tokens: Quantity) -> float:
        """Nats per token of a dense model of ``parameters`` after ``tokens``."""
        return (
            self.irreducible
            + self.parameter_scale / parameters**self.alpha
            + self.token_scale / tokens.to(TOKEN) ** self.beta
        )

    def optimal(self, compute: Quantity) -> tuple[float, Quantity]:
        """Parameters and tokens of least loss for ``compute`` FLOPs of training.

        ``N* = G (C/6)^(beta/(alpha+beta))``, ``D* = (C/6) / N*``, ``G = (alpha A / (beta B))^(1/(alpha+beta))``
        (arXiv 2203.15556, equation 4).
        """
        total = self.alpha + self.beta
        scale = (self.alpha * self.parameter_scale / (self.beta * self.token_scale)) ** (1 / total)
        product = (compute / FLOPS_PER_PARAMETER).to(TOKEN)
        parameters = scale * product ** (self.beta / total)
        return parameters, product / parameters * TOKEN

    def tokens_for(self, loss: float, parameters: float) -> Quantity | None:
        """Tokens after which ``parameters`` reach ``loss``; None where no number of tokens does."""
        left = loss - self.irreducible - self.parameter_scale / parameters**self.alpha
        return (self.token_scale / left) ** (1 / self.beta) * TOKEN if left > 0 else None

    def cheapest(self, loss: float, served: Quantity) -> tuple[float, Quantity]:
        """Parameters and tokens that reach ``loss`` with the fewest FLOPs of training and service together.

        Minimises ``6 N D + 2 N T`` over N for ``T = served`` tokens (arXiv 2401.00448, section 2). Raises
        :class:`ConfigError` for a loss at or below the irreducible one.
        """
        if loss <= self.irreducible:
            raise ConfigError(
                f"target_loss={loss} is out of reach: under {self.source} no size and no number of tokens goes "
                f"below {self.irreducible:.4g}; ask for more than that."
            )
        smallest = (self.parameter_scale / (loss - self.irreducible)) ** (1 / self.alpha)

        def cost(log_size: float) -> float:
            tokens = self.tokens_for(loss, math.exp(log_size))
            assert tokens is not None
            flops = FLOPS_PER_PARAMETER * tokens + FORWARD_FLOPS_PER_PARAMETER * served
            return math.exp(log_size) * flops.to(FLOP)

        parameters = math.exp(_minimum(cost, math.log(smallest) + 1e-9, math.log(smallest) + 30))
        tokens = self.tokens_for(loss, parameters)
        assert tokens is not None
        return parameters, tokens


@dataclass(frozen=True)
class LawFamily:
    """A central law and ``others`` that the same evidence allows; their disagreement is the uncertainty."""

    central: ScalingLaw
    others: tuple[ScalingLaw, ...]
    contributor: str

    def loss(self, parameters: Uncertain, tokens: Uncertain) -> Uncertain:
        """Nats per token with the spreads of the law, of ``parameters`` and of ``tokens`` carried to first order."""
        size, data = float(parameters.central), tokens.central
        central = self.central.loss(size, data)
        spreads = {self.contributor: self._spread([law.loss(size, data) for law in self.others], central)}
        for part, shift in (
            (parameters, lambda step: self.central.loss(size * math.exp(step), data)),
            (tokens, lambda step: self.central.loss(size, data * math.exp(step))),
        ):
            for name, spread in part.spreads.items():
                change = (math.log(shift(spread)) - math.log(shift(-spread))) / 2
                spreads[name] = spreads.get(name, 0.0) + change
        return Uncertain(central, spreads)

    def optimal(self, compute: Quantity) -> tuple[Uncertain, Uncertain]:
        """Parameters and tokens of least loss for ``compute``; see :meth:`ScalingLaw.optimal`."""
        parameters, tokens = self.central.optimal(compute)
        spread = self._spread([law.optimal(compute)[0] for law in self.others], parameters)
        return (
            Uncertain(parameters, {self.contributor: spread}),
            Uncertain(tokens, {self.contributor: -spread}),
        )

    def _spread(self, others: Sequence[float], central: float) -> float:
        """Root mean square distance in the logarithm."""
        return math.sqrt(sum(math.log(other / central) ** 2 for other in others) / max(1, len(others)))


CHINCHILLA = ScalingLaw(
    "Chinchilla, refitted (arXiv 2404.10102; best fit of the authors' notebook, to five digits by our refit)",
    irreducible=1.81722,
    parameter_scale=477.83,
    token_scale=2143.42,
    alpha=0.34731,
    beta=0.36717,
)
CHINCHILLA_PRINTED = ScalingLaw(
    "Chinchilla, refitted, as printed (arXiv 2404.10102)", 1.8172, 482.01, 2085.43, 0.3478, 0.3658
)
HOFFMANN = ScalingLaw(
    "Chinchilla, as first published (arXiv 2203.15556, rounded: inconsistent with its other two approaches)",
    irreducible=1.69,
    parameter_scale=406.4,
    token_scale=410.7,
    alpha=0.3392,
    beta=0.2849,
)
CHINCHILLA_FAMILY = LawFamily(
    CHINCHILLA, (CHINCHILLA_PRINTED, HOFFMANN), "scaling law (published fits differ)"
)


@dataclass(frozen=True)
class EfficiencyLeverage:
    """How much compute a dense model needs for the loss of a mixture, as a factor on the mixture's.

    ``EL = A^(alpha + gamma (log G)^2 + beta log G)`` for the activation ratio A (active over total parameters) and the
    granularity ``G = 2 D / F_expert`` (Tian et al., arXiv 2507.17702). The paper's coefficients could not be read, so
    the default is pinned to its one published check (0.85 billion active of 17.5 billion equals 6.1 billion dense),
    which fixes ``alpha`` alone, and ``doubt`` is the 80 % range assumed for the exponent, as a share of it.
    """

    alpha: float = -math.log(6.1 / 0.85) / math.log(17.5 / 0.85)
    beta: float = 0.0
    gamma: float = 0.0
    doubt: float = 0.25

    def leverage(self, activation: float, granularity: float = 1.0) -> Uncertain:
        """The factor, 1 for a dense model (``activation`` 1)."""
        fineness = math.log(granularity)
        exponent = self.alpha + self.gamma * fineness**2 + self.beta * fineness
        logarithm = exponent * math.log(activation)
        return Uncertain(
            math.exp(logarithm), {"mixture efficiency": self.doubt * abs(logarithm) / EIGHTY_PERCENT}
        )

    def dense_equivalent(self, active: float, total: float) -> Uncertain:
        """Parameters of the dense model that reaches the same loss on the same tokens."""
        return self.leverage(active / total) * active


@dataclass(frozen=True)
class Point:
    """One finished training: its parameters, its tokens, its loss in nats per token."""

    parameters: float
    tokens: Quantity
    loss: float


FEWEST_POINTS = 8
HUBER = 1e-3  # on the logarithm of the loss, as in arXiv 2203.15556, section 3.3


def fit(points: Sequence[Point], source: str, near: ScalingLaw | None = None) -> ScalingLaw:
    """The law of least Huber loss on log-losses (arXiv 2203.15556, equation 3), from ``near`` or several starts.

    Raises :class:`ConfigError` where ``points`` are too few, or all of one size or one length, for five coefficients.
    """
    sizes, lengths = {point.parameters for point in points}, {point.tokens.to(TOKEN) for point in points}
    if len(points) < FEWEST_POINTS or len(sizes) < 3 or len(lengths) < 3:
        raise ConfigError(
            f"sweep={source} cannot be fitted: it has {len(points)} finished runs of {len(sizes)} sizes and "
            f"{len(lengths)} lengths, and five coefficients need at least "
            f"{FEWEST_POINTS} runs of 3 sizes and 3 lengths."
        )
    import numpy as np
    from scipy.optimize import minimize
    from scipy.special import huber, logsumexp

    log_size = np.log([point.parameters for point in points])
    log_tokens = np.log([point.tokens.to(TOKEN) for point in points])
    log_loss = np.log([point.loss for point in points])

    def misfit(theta: np.ndarray) -> float:
        a, b, e, alpha, beta = theta
        terms = np.stack([a - alpha * log_size, b - beta * log_tokens, np.full_like(log_size, e)])
        return float(1e3 * huber(HUBER, logsumexp(terms, axis=0) - log_loss).sum())

    floor = float(log_loss.min())
    starts = [
        (a, b, floor - 0.2, alpha, alpha) for a in (2.0, 6.0) for b in (2.0, 7.0) for alpha in (0.2, 0.5)
    ]
    if near is not None:
        scales = (near.parameter_scale, near.token_scale, near.irreducible)
        starts = [(*map(math.log, scales), near.alpha, near.beta)]  # type: ignore[list-item]
    results = [minimize(misfit, start, method="Nelder-Mead", options={"maxiter": 4000}) for start in starts]
    a, b, e, alpha, beta = min(results, key=lambda result: result.fun).x
    return ScalingLaw(source, math.exp(e), math.exp(a), math.exp(b), float(alpha), float(beta))


def fit_family(points: Sequence[Point], source: str, resamples: int = 8, seed: int = 0) -> LawFamily:
    """:func:`fit` with ``resamples`` bootstrap fits as the laws that the same sweep allows."""
    import numpy as np

    central, chance = fit(points, source), np.random.default_rng(seed)
    others: list[ScalingLaw] = []
    for _ in range(10 * resamples):
        drawn = [points[index] for index in chance.integers(len(points), size=len(points))]
        try:
            others.append(replace(fit(drawn, source, near=central), source=f"{source}, resampled"))
        except ConfigError:  # a draw of too few sizes or lengths says nothing
            continue
        if len(others) == resamples:
            break
    return LawFamily(central, tuple(others), "scaling law (bootstrap of the sweep)")


def _minimum(function: Callable[[float], float], low: float, high: float) -> float:
    """Where a function of one valley is least, by golden sections."""
    ratio = (math.sqrt(5) - 1) / 2
    for _ in range(100):
        left, right = high - ratio * (high - low), low + ratio * (high - low)
        if function(left) < function(right):
            high = right
        else:
            low = left
    return (low + high) / 2
