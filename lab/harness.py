"""The ``lab`` model type of the LM Evaluation Harness: a checkpoint folder, opened and put on its device."""

from pathlib import Path

from lab.errors import ConfigError
from lab.evaluation.harness.model import HarnessModel
from lab.face import load_with_tokenizer
from lab.job import choose_device

AUTOMATIC_BATCH = 16
UNASKED_DEVICE = "cuda:0"
"""What the harness passes where no ``--device`` is given, whether there is such a device or not."""


class LabModel(HarnessModel):
    """``checkpoint`` is a run folder, a released checkpoint of our families, or one under our own names.

    ``device`` is ``auto``, ``cpu`` or a cuda device; ``cuda:0`` falls back to the CPU, as with the harness's ``hf``.
    ``batch_size`` counts requests; ``auto`` is 16 here, as nothing is tried out, and ``max_batch_size`` bounds it. See
    :class:`HarnessModel` for the rest. Raises :class:`ConfigError` in one sentence.
    """

    def __init__(
        self,
        checkpoint: str | None = None,
        batch_size: int | str = 1,
        max_batch_size: int | None = None,
        device: str = "auto",
        max_length: int | None = None,
        add_bos_token: bool = True,
    ) -> None:
        if checkpoint is None:
            raise ConfigError("checkpoint is missing: --model_args must name one, as in checkpoint=FOLDER.")
        if not Path(checkpoint).is_dir():
            raise ConfigError(f"checkpoint={checkpoint} is not a folder: it must be a checkpoint's.")
        model, tokenizer = load_with_tokenizer(checkpoint)
        rows = min(_rows(batch_size), max_batch_size or _rows(batch_size))
        where = choose_device("auto" if device == UNASKED_DEVICE else device)
        super().__init__(model.to(where), tokenizer, rows, max_length, add_bos_token)


def _rows(batch_size: int | str) -> int:
    if str(batch_size).startswith("auto"):
        return AUTOMATIC_BATCH
    try:
        return int(batch_size)
    except ValueError:
        raise ConfigError(
            f"batch_size={batch_size} cannot be used: it must be auto or a whole number from 1 on."
        ) from None
