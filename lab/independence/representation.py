r"""Similarity of what two models compute on the same texts: centred kernel alignment. It describes, never decides.

**Equation.** For hidden states X, Y (texts by features) with Gram matrices K, L, zero diagonals:
:math:`\mathrm{HSIC}=[\mathrm{tr}(KL)+\frac{1^\top K1\,1^\top L1}{(n-1)(n-2)}-\frac{2}{n-2}1^\top KL1]/(n(n-3))` and
:math:`\mathrm{CKA}=\mathrm{HSIC}(K,L)/\sqrt{\mathrm{HSIC}(K,K)\,\mathrm{HSIC}(L,L)}`, unbiased.

**Assumption and control.** None that gives a null: two random networks fed the same structured inputs are alike
because the inputs are. The control is an untrained model of B's shape on the same texts; only what exceeds it could be
of interest. After REEF, arXiv 2410.14273, which uses the biased estimate: 0.95 for independent Gaussian features of
width 4096 on 200 texts.
"""

from collections.abc import Callable, Sequence

import torch
from torch import Tensor

from lab.model.decoder import Decoder

LONGEST = 128  # tokens of a text that are read


@torch.no_grad()
def last_states(model: Decoder, encode: Callable[[str], list[int]], texts: Sequence[str]) -> Tensor:
    """Hidden states ``N D`` at the last token of each text."""
    rows = [torch.tensor([encode(text)[:LONGEST]]) for text in texts]
    return torch.cat([model(tokens).hidden[:, -1] for tokens in rows])


def cka(x: Tensor, y: Tensor) -> float:
    """Unbiased linear CKA of features ``N D`` and ``N E`` of the same N >= 4 texts."""
    k, gram = _gram(x), _gram(y)
    return (_hsic(k, gram) / (_hsic(k, k) * _hsic(gram, gram)).sqrt()).item()


def _gram(x: Tensor) -> Tensor:
    return (x.double() @ x.double().T).fill_diagonal_(0)


def _hsic(k: Tensor, gram: Tensor) -> Tensor:
    n = len(k)
    total = (k * gram).sum()
    total = total + k.sum() * gram.sum() / ((n - 1) * (n - 2)) - 2 / (n - 2) * (k.sum(0) @ gram.sum(0))
    return total / (n * (n - 3))
