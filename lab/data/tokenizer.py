"""The tokenizer: byte-level byte-pair encoding, trained on the training split, with single digits.

Bytes are the alphabet (Sennrich et al. 2016 on the bytes of UTF-8), so that no text is unknown.
"""

from collections.abc import Iterable, Sequence
from pathlib import Path

from tokenizers import Tokenizer as Backend
from tokenizers import decoders, models, pre_tokenizers, trainers

from lab.errors import ConfigError

SPECIAL_TOKENS = ("<|pad|>", "<|begin|>", "<|end|>")
FILE = "tokenizer.json"


class Tokenizer:
    """Text to token numbers and back. Special tokens are only ever added by number, never read from text."""

    def __init__(self, backend: Backend, pad_id: int = 0, begin_id: int = 1, end_id: int = 2) -> None:
        backend.encode_special_tokens = True  # the words "<|end|>" in a text are ordinary characters
        self._backend = backend
        self.pad_id, self.begin_id, self.end_id = pad_id, begin_id, end_id

    @classmethod
    def train(cls, texts: Iterable[str], vocab_size: int) -> "Tokenizer":
        """The tokenizer of ``vocab_size`` entries, fewer where ``texts`` run out of pairs met twice."""
        backend = Backend(models.BPE())
        backend.pre_tokenizer = pre_tokenizers.Sequence(
            [pre_tokenizers.Digits(individual_digits=True), pre_tokenizers.ByteLevel(add_prefix_space=False)]
        )
        backend.decoder = decoders.ByteLevel()
        trainer = trainers.BpeTrainer(
            vocab_size=vocab_size,
            min_frequency=2,
            special_tokens=list(SPECIAL_TOKENS),
            initial_alphabet=sorted(pre_tokenizers.ByteLevel.alphabet()),
            show_progress=False,
        )
        backend.train_from_iterator(texts, trainer)
        return cls._own(backend)

    @classmethod
    def load(cls, folder: Path) -> "Tokenizer":
        """The tokenizer that :meth:`save` wrote into ``folder``."""
        return cls._own(Backend.from_file(str(folder / FILE)))

    @classmethod
    def load_released(cls, folder: Path, pad_id: int, begin_id: int, end_id: int) -> "Tokenizer":
        """A tokenizer of another make from ``tokenizer.json``, whose special tokens have these numbers.

        Raises :class:`ConfigError` where the file is missing, cannot be read or has no such numbers.
        """
        path = folder / FILE
        if not path.is_file():
            raise ConfigError(f"checkpoint={folder} has no tokenizer: it must hold {FILE}.")
        try:
            backend = Backend.from_file(str(path))
        except Exception as error:  # the library raises nothing more exact
            raise ConfigError(f"{path} cannot be read as a tokenizer: {error}.") from error
        for key, number in {"pad": pad_id, "bos": begin_id, "eos": end_id}.items():
            if backend.id_to_token(number) is None:
                raise ConfigError(f"{path} has no token {number}, which {key}_token_id names.")
        return cls(backend, pad_id, begin_id, end_id)

    @classmethod
    def _own(cls, backend: Backend) -> "Tokenizer":
        """A tokenizer that was trained here."""
        assert [backend.token_to_id(token) for token in SPECIAL_TOKENS] == [0, 1, 2]
        return cls(backend)

    def save(self, folder: Path) -> None:
        """Write ``tokenizer.json``, the format that other libraries read too."""
        self._backend.save(str(folder / FILE))

    @property
    def vocab_size(self) -> int:
        """Entries, special tokens included."""
        return self._backend.get_vocab_size()

    def encode(self, text: str) -> list[int]:
        """Token numbers of ``text``, without begin and end."""
        return self._backend.encode(text, add_special_tokens=False).ids

    def encode_batch(self, texts: Sequence[str]) -> list[list[int]]:
        """:meth:`encode` of many texts at once, in parallel."""
        return [
            encoding.ids
            for encoding in self._backend.encode_batch_fast(list(texts), add_special_tokens=False)
        ]

    def decode(self, ids: Sequence[int]) -> str:
        """The text of ``ids``; special tokens have none, and bytes that are no UTF-8 become U+FFFD."""
        return self._backend.decode(list(ids), skip_special_tokens=True)
