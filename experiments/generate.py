"""Continue a prompt with a trained model.

python -m experiments.generate checkpoint=runs/race/... prompt="제1조" temperature=0
"""

from dataclasses import dataclass

from omegaconf import DictConfig

from experiments.command import run_command
from lab.config import typed


@dataclass
class GenerateSettings:
    """``checkpoint`` is a run folder; at most ``new_tokens`` are added; ``temperature`` 0 is greedy."""

    checkpoint: str
    prompt: str
    new_tokens: int
    temperature: float
    seed: int
    device: str


def continue_prompt(container: DictConfig, overrides: list[str]) -> None:
    """Print the prompt and its continuation."""
    settings: GenerateSettings = typed(container, GenerateSettings)
    from lab.face import load_with_tokenizer
    from lab.job import choose_device
    from lab.model.generate import Sampling, generate_text

    model, tokenizer = load_with_tokenizer(settings.checkpoint)
    model = model.to(choose_device(settings.device))
    sampling = Sampling(temperature=settings.temperature, seed=settings.seed)
    print(generate_text(model, tokenizer, settings.prompt, settings.new_tokens, sampling))


if __name__ == "__main__":
    run_command(continue_prompt, "generate")
