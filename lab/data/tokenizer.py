"""The tokenizer: byte-level byte-pair encoding, trained on the training split, with single digits.

Bytes are the alphabet (Sennrich et al. 2016 on the bytes of UTF-8), so that no text is unknown.
"""

from collections.abc import Iterable, Sequence
from pathlib import Path

from tokenizers import Tokenizer as Backend
from tokenizers import decoders, models, pre_tokenizers, trainers

SPECIAL_TOKENS = ("<|pad|>", "<|begin|>", "<|end|>")
FILE = "tokenizer.json"


class Tokenizer:
    """Text to token numbers and back. Special tokens are only ever added by number, never read from text."""

    def __init__(self, backend: Backend) -> None:
        backend.encode_special_tokens = True  # the words "<|end|>" in a text are ordinary characters
        self._backend = backend
        self.pad_id, self.begin_id, self.end_id = range(len(SPECIAL_TOKENS))
        assert [backend.token_to_id(token) for token in SPECIAL_TOKENS] == [0, 1, 2]

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
        return cls(backend)

    @classmethod
    def load(cls, folder: Path) -> "Tokenizer":
        """The tokenizer that :meth:`save` wrote into ``folder``."""
        return cls(Backend.from_file(str(folder / FILE)))

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
