"""A model and a loader of a few lines that keep the contracts of lab/model and lab/data."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from lab.model.record import Losses
from lab.trainer.callbacks import Callback, Checkpoints, MetricsLog, StatusFile
from lab.trainer.config import AdamWConfig, AdamWForTheRest, MuonConfig, ScheduleConfig, TrainerConfig
from lab.trainer.loop import Outcome, train
from lab.trainer.optimizer import build_optimizer
from lab.trainer.plan import Plan, make_plan
from lab.trainer.run import RunFolder
from lab.trainer.schedule import Schedule

VOCABULARY, WIDTH, HIDDEN, EXPERTS = 40, 16, 24, 4
ADAMW = AdamWConfig("adamw", learning_rate=1e-2)
MUON = MuonConfig("muon", learning_rate=1e-2, adamw=AdamWForTheRest("adamw", learning_rate=1e-2))


class Router(nn.Module):
    """Sends a token to the expert with the best biased score."""

    def __init__(self, bias_update_rate: float) -> None:
        super().__init__()
        self.weight = nn.Parameter(0.1 * torch.randn(EXPERTS, WIDTH))
        self.selection_bias: Tensor
        self.register_buffer("selection_bias", torch.zeros(EXPERTS))
        self.bias_update_rate = bias_update_rate

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        scores = torch.sigmoid(functional.linear(x.float(), self.weight.float()))
        chosen = (scores.detach() + self.selection_bias).argmax(-1)
        return chosen, scores.gather(-1, chosen.unsqueeze(-1))


class TinyModel(nn.Module):
    """Embedding, a noisy linear map, four experts, a norm and a head, tied on request."""

    def __init__(self, tied: bool = False, bias_update_rate: float = 1e-2, noise: float = 0.1) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.embedding = nn.Embedding(VOCABULARY, WIDTH)
        self.linear = nn.Linear(2 * WIDTH, WIDTH)
        self.router = Router(bias_update_rate)
        self.w_in = nn.Parameter(0.2 * torch.randn(EXPERTS, 2 * HIDDEN, WIDTH))
        self.w_out = nn.Parameter(0.2 * torch.randn(EXPERTS, WIDTH, HIDDEN))
        self.norm = nn.Parameter(torch.ones(WIDTH))
        self.head = nn.Linear(WIDTH, VOCABULARY, bias=False)
        self.noise = noise
        if tied:
            self.head.weight = self.embedding.weight

    def routers(self) -> list[Router]:
        return [self.router]

    def logits(self, tokens: Tensor) -> tuple[Tensor, Tensor]:
        now = self.embedding(tokens)
        before = functional.pad(now, (0, 0, 1, 0))[:, :-1]
        x = self.linear(torch.cat((now, before), dim=-1))
        if self.training:
            x = functional.dropout(x, self.noise)
        chosen, weight = self.router(x)
        gate, up = torch.einsum("btfd,btd->btf", self.w_in[chosen], x).chunk(2, dim=-1)
        y = torch.einsum("btdf,btf->btd", self.w_out[chosen], functional.silu(gate) * up)
        x = functional.rms_norm((x + weight * y).float(), (WIDTH,), self.norm)
        return self.head(x), torch.bincount(chosen.flatten(), minlength=EXPERTS)

    def losses(
        self,
        tokens: Tensor,
        targets: Tensor,
        documents: Tensor,
        positions: Tensor,
        activation_checkpointing: bool = False,
    ) -> Losses:
        logits, load = self.logits(tokens)
        main = functional.cross_entropy(logits.float().flatten(0, 1), targets.flatten(), ignore_index=-100)
        return Losses(main, {"balance": 1e-3 * self.router.weight.square().sum()}, [load])


@dataclass
class Batch:
    tokens: Tensor
    targets: Tensor
    documents: Tensor
    positions: Tensor


class TinyLoader:
    """Batch number i is a function of i; rows count upwards, so that there is much to learn."""

    def __init__(self, rows: int = 4, length: int = 12) -> None:
        self.rows, self.length, self.index = rows, length, 0

    def __next__(self) -> Batch:
        generator = torch.Generator().manual_seed(self.index)
        self.index += 1
        start = torch.randint(VOCABULARY, (self.rows, 1), generator=generator)
        text = (start + torch.arange(self.length + 1)) % VOCABULARY
        targets = text[:, 1:].clone()
        targets[0, : self.index % 5] = -100
        positions = torch.arange(self.length).expand(self.rows, -1)
        return Batch(text[:, :-1], targets, torch.zeros_like(targets), positions)

    def state(self) -> dict[str, Any]:
        return {"index": self.index}

    def restore(self, state: Mapping[str, Any]) -> None:
        self.index = state["index"]


def trainer_config(**changes: Any) -> TrainerConfig:
    settings = {
        "sequence_length": 12,
        "batch_size": 4,
        "steps": 12,
        "threads": 1,
        "checkpoint_every_seconds": None,
    }
    return TrainerConfig(**(settings | changes))


def tiny_plan(config: TrainerConfig, optimizer_bytes: int = 0) -> Plan:
    size = SimpleNamespace(parameters_total=5000, parameters_active=4000, flops_per_token_training=30_000.0)
    return make_plan(config, size, optimizer_bytes, torch.device("cpu"), {"attention": "naive"})


def open_run(directory: Path, **settings: Any) -> RunFolder:
    return RunFolder.open(directory, settings or {"seed": 0}, torch.device("cpu"))


def train_tiny(
    directory: Path,
    *callbacks: Callback,
    model: TinyModel | None = None,
    optimizer: AdamWConfig | MuonConfig = ADAMW,
    **changes: Any,
) -> tuple[TinyModel, Outcome]:
    """Train the stand-in in a run folder with the callbacks that every run has, then ``callbacks``."""
    config = trainer_config(**changes)
    model = model or TinyModel()
    plan = tiny_plan(config)
    schedule = Schedule(ScheduleConfig(), plan.steps)
    torch.manual_seed(1)
    with open_run(directory) as run:
        outcome = train(
            model,
            TinyLoader(),
            plan,
            build_optimizer(model, optimizer),
            schedule,
            run,
            config,
            [MetricsLog(), StatusFile(), Checkpoints(), *callbacks],
        )
    return model, outcome
