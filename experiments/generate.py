"""Continue a prompt with a trained model or a released checkpoint.

python -m experiments.generate checkpoint=runs/race/... prompt="제1조" temperature=0
"""

import sys
from dataclasses import dataclass

from omegaconf import DictConfig

from experiments.command import run_command
from lab.config import typed
from lab.errors import ConfigError
from lab.model.sampling import Sampling, require_text


@dataclass
class GenerateSettings:
    """What to continue and how; ``conf/generate.yaml`` says what each setting does."""

    checkpoint: str
    prompt: str
    new_tokens: int
    temperature: float
    top_k: int
    top_p: float
    min_p: float
    repetition_penalty: float
    seed: int
    stop: list[str]
    end_ids: list[int]
    speculative: bool
    device: str

    def __post_init__(self) -> None:
        """Tell what can be told before a model is loaded."""
        for key, texts in (("prompt", [self.prompt]), ("stop", self.stop)):
            for text in texts:
                require_text(key, text)
        if self.new_tokens < 1:
            raise ConfigError(f"new_tokens={self.new_tokens} cannot be used: it must be at least 1.")
        self.sampling()

    def sampling(self) -> Sampling:
        """How tokens are chosen."""
        return Sampling(
            self.temperature, self.top_k, self.top_p, self.min_p, self.repetition_penalty, self.seed
        )


def continue_prompt(container: DictConfig, overrides: list[str]) -> None:
    """Print the prompt and, piece by piece, what follows it; on a terminal the prompt is bold."""
    settings: GenerateSettings = typed(container, GenerateSettings)
    from lab.face import load_with_tokenizer
    from lab.job import choose_device
    from lab.model.generate import Speculation, stream_text

    model, tokenizer = load_with_tokenizer(settings.checkpoint)
    model = model.to(choose_device(settings.device))
    speculation = Speculation() if settings.speculative else None
    pieces = stream_text(
        model,
        tokenizer,
        settings.prompt,
        settings.new_tokens,
        settings.sampling(),
        settings.stop,
        settings.end_ids,
        speculation,
    )
    print(f"\033[1m{settings.prompt}\033[0m" if sys.stdout.isatty() else settings.prompt, end="", flush=True)
    for piece in pieces:
        print(piece, end="", flush=True)
    print()
    if speculation is not None:
        print(
            f"speculative: {speculation.accepted} of {speculation.drafted} drafts accepted "
            f"({speculation.acceptance_rate:.0%}), {speculation.tokens_per_pass:.2f} tokens a forward pass",
            file=sys.stderr,
        )


if __name__ == "__main__":
    run_command(continue_prompt, "generate")
