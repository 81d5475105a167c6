"""Any causal language model that ``transformers`` reads, with the interface that scoring asks of a model.

``transformers`` is imported when a folder is opened; neither training nor our own checkpoints need it. Code in a
folder is never run (``trust_remote_code`` stays off) and nothing is fetched.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from lab.errors import ConfigError


class TransformersModel(nn.Module):
    """A model of ``transformers`` that tells the nats of targets."""

    def __init__(self, model: Any) -> None:
        super().__init__()
        self.model = model

    @torch.no_grad()
    def token_losses(self, tokens: Tensor, targets: Tensor) -> Tensor:
        """Nats of each target ``[B, T]``, float32; 0 where it is -100. Rows are padded on the right."""
        mask = torch.ones_like(
            tokens
        )  # a token sees only those before it, so that padding behind it is harmless
        logits = self.model(input_ids=tokens, attention_mask=mask, use_cache=False).logits.float()
        losses = functional.cross_entropy(
            logits.flatten(0, 1), targets.flatten(), reduction="none", ignore_index=-100
        )
        return losses.view_as(targets)


class TransformersTokenizer:
    """A tokenizer of ``transformers`` that adds no special tokens; ``begin_id`` is its bos, else its eos token."""

    def __init__(self, backend: Any, directory: str) -> None:
        self._backend = backend
        begin = backend.bos_token_id if backend.bos_token_id is not None else backend.eos_token_id
        if begin is None:
            raise ConfigError(
                f"checkpoint={directory} cannot be scored: its tokenizer must have a bos or eos token to begin with."
            )
        self.begin_id: int = begin

    @property
    def vocab_size(self) -> int:
        """Entries, added tokens included."""
        return len(self._backend)

    def encode_batch(self, texts: Sequence[str]) -> list[list[int]]:
        """Token numbers of each text, without special tokens."""
        if not texts:
            return []
        return self._backend(list(texts), add_special_tokens=False)["input_ids"]

    def decode(self, ids: Sequence[int]) -> str:
        """The text of ``ids`` as it was, blanks included."""
        return self._backend.decode(list(ids), skip_special_tokens=True, clean_up_tokenization_spaces=False)


def open_transformers(directory: str | Path) -> tuple[TransformersModel, TransformersTokenizer, int]:
    """Model in float32 on the CPU, tokenizer and the most positions of a folder that ``transformers`` reads.

    Raises :class:`ConfigError` where ``transformers`` is not installed, or cannot read the folder.
    """
    try:
        import transformers
    except ImportError as error:
        raise ConfigError(
            f"checkpoint={directory} is of no format known here, and transformers, which may know it, is not "
            'installed: run .venv/bin/python -m pip install "transformers==5.23.0".'
        ) from error
    places: dict[str, Any] = {"local_files_only": True, "trust_remote_code": False}
    try:
        tokenizer = transformers.AutoTokenizer.from_pretrained(str(directory), **places)
        model = transformers.AutoModelForCausalLM.from_pretrained(
            str(directory), dtype=torch.float32, **places
        )
    except (OSError, ValueError, KeyError, ImportError, RuntimeError) as error:
        first = str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
        raise ConfigError(f"checkpoint={directory} cannot be read by transformers: {first}") from error
    positions = getattr(model.config, "max_position_embeddings", None) or 2**20
    return TransformersModel(model.eval()), TransformersTokenizer(tokenizer, str(directory)), int(positions)
