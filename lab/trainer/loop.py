"""The training loop. It is closed: what a run wants beside it is one of :mod:`lab.trainer.callbacks`."""

import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

import torch
from torch import Tensor

from lab.model.decoder import Decoder
from lab.trainer.balance import load_statistics, update_selection_biases
from lab.trainer.callbacks import Callback, Training
from lab.trainer.checkpoint import Resumable, load_checkpoint, newest_checkpoint
from lab.trainer.clip import clip_gradients, gradient_norm
from lab.trainer.config import TrainerConfig
from lab.trainer.device import arithmetic, keep_freed_memory
from lab.trainer.optimizer import Optimizer
from lab.trainer.plan import Plan
from lab.trainer.run import RunFolder
from lab.trainer.schedule import Schedule
from lab.trainer.stop import StopSignals, TrainingDiverged, TrainingFailed, TrainingInterrupted

IGNORED_TARGET = -100


class Loader(Resumable, Protocol):
    """Endless batches with ``tokens``, ``targets``, ``documents`` and ``positions``, each ``[B, T]``."""

    def __next__(self) -> Any:
        """The next batch."""


@dataclass(frozen=True)
class Outcome:
    """A whole run, all its parts together; ``seconds`` are those of steps, ``final_loss`` the last one's."""

    steps: int
    tokens: int
    flops: float
    seconds: float
    final_loss: float


@dataclass
class StepResult:
    """One step: its losses in nats per token, the gradient's norm before clipping, loads ``[E]``."""

    loss: float
    gradient_norm: float
    learning_rate: float
    auxiliary: dict[str, Tensor] = field(default_factory=dict)
    loads: list[Tensor] = field(default_factory=list)


def train(
    model: Decoder,
    loader: Loader,
    plan: Plan,
    optimizer: Optimizer,
    schedule: Schedule,
    run: RunFolder,
    config: TrainerConfig,
    callbacks: Sequence[Callback],
) -> Outcome:
    """Train until the plan's last step, going on from the newest whole checkpoint of ``run``.

    An interrupted and continued run ends with the same weights, bit for bit, as one left alone. Raises
    :class:`TrainingFailed` where it cannot go on, and :class:`TrainingInterrupted` after SIGINT or SIGTERM,
    when the step is finished and a checkpoint written; the same call then goes on.
    """
    if config.threads is not None:
        torch.set_num_threads(config.threads)
    device = next(model.parameters()).device
    if device.type == "cpu":
        keep_freed_memory()
    training = _resume(Training(model, loader, plan, optimizer, schedule, run, config, device))
    progress = training.progress
    error: BaseException | None = None
    try:
        with StopSignals() as signals:
            run.write_status("running", progress.step, plan.steps)
            _run_steps(training, callbacks, signals)
        _finish(run, progress.step, plan.steps, signals.caught)
    except Exception as failure:
        error = _explained(failure, progress.step + 1)
        _try_to_record(run, progress.step, plan.steps, error)
        if error is failure:
            raise
        raise error from failure
    except BaseException as stop:
        error = stop
        raise
    finally:
        for callback in callbacks:
            callback.on_end(training, error)
    assert progress.loss is not None
    return Outcome(progress.step, progress.tokens, progress.flops, progress.seconds, progress.loss)


def _resume(training: Training) -> Training:
    """Go back to the newest whole checkpoint, if there is one, and cut ``metrics.jsonl`` back to it."""
    checkpoint = newest_checkpoint(training.run.directory)
    if checkpoint is not None:
        training.progress = load_checkpoint(checkpoint, training.model, training.optimizer, training.loader)
    training.logged_before = training.run.metrics.truncate_after(training.progress.step)
    return training


def _finish(run: RunFolder, step: int, steps: int, signal_number: int | None) -> None:
    """Write how the run stands; raises :class:`TrainingInterrupted` where a signal came in."""
    state = "done" if step == steps else "running"
    if signal_number is None:
        run.write_status(state, step, steps)
        return
    stop = TrainingInterrupted(signal_number, step, steps)
    run.write_status(state, step, steps, None if state == "done" else stop.sentence)
    raise stop


def _run_steps(training: Training, callbacks: Sequence[Callback], signals: StopSignals) -> None:
    progress, plan, every = training.progress, training.plan, training.config.log_every
    training.model.train()
    for callback in callbacks:
        callback.on_start(training)
    window_tokens, window_seconds = progress.tokens, progress.seconds
    while progress.step < plan.steps and signals.caught is None:
        started = time.perf_counter()
        result = _step(training)
        progress.step += 1
        progress.tokens += plan.tokens_per_step
        progress.flops = progress.tokens * plan.flops_per_token
        progress.loss = result.loss
        progress.seconds += time.perf_counter() - started
        if progress.step % every == 0 or progress.step in (1, plan.steps):
            speed = (progress.tokens - window_tokens) / (progress.seconds - window_seconds)
            window_tokens, window_seconds = progress.tokens, progress.seconds
            metrics = _metrics(training, result, speed)
            for callback in callbacks:
                callback.on_log(training, metrics)
        for callback in callbacks:
            callback.on_step(training)
    for callback in callbacks:
        callback.on_stop(training)


def _step(training: Training) -> StepResult:
    """Gradients of all micro-batches, one optimiser step, one step of the routers' balance."""
    model, optimizer, config = training.model, training.optimizer, training.config
    batches = [next(training.loader) for _ in range(config.gradient_accumulation)]
    factor = training.schedule.factor(training.progress.step)
    result = StepResult(0.0, 0.0, optimizer.learning_rate * factor)
    loss = torch.zeros((), device=training.device)
    for batch, share in zip(batches, _shares(batches), strict=True):
        loss += _backward(training, batch, share, result)
    gradients = [p.grad for p in optimizer.parameters() if p.grad is not None]
    norm = gradient_norm(gradients)
    result.loss, result.gradient_norm = torch.stack((loss, norm)).tolist()
    _check_finite(result, training.progress.step + 1)
    if config.clip_norm is not None:
        clip_gradients(gradients, result.gradient_norm, config.clip_norm)
    optimizer.step(factor)
    optimizer.zero_grad()
    update_selection_biases(model.routers(), result.loads)
    return result


def _backward(training: Training, batch: Any, share: float, result: StepResult) -> Tensor:
    """Add one micro-batch's gradients, auxiliary losses and loads; its part of the main loss."""
    config, device = training.config, training.device
    given = (batch.tokens, batch.targets, batch.documents, batch.positions)
    tokens, targets, documents, positions = (tensor.to(device, non_blocking=True) for tensor in given)
    with arithmetic(device, config.precision):
        losses = training.model.losses(tokens, targets, documents, positions, config.activation_checkpointing)
    passes = config.gradient_accumulation
    main = losses.main * share
    total = main
    for name, value in losses.auxiliary.items():
        total = total + value / passes
        result.auxiliary[name] = result.auxiliary.get(name, 0) + value.detach() / passes
    total.backward()
    result.loads = (
        [a + b for a, b in zip(result.loads, losses.loads, strict=True)] if result.loads else losses.loads
    )
    return main.detach()


def _shares(batches: Sequence[Any]) -> list[float]:
    """The weight of each micro-batch: its share of the targets, as if they were one large batch."""
    if len(batches) == 1:
        return [1.0]
    counts = [int((batch.targets != IGNORED_TARGET).sum()) for batch in batches]
    return [count / max(1, sum(counts)) for count in counts]


def _metrics(training: Training, result: StepResult, tokens_per_second: float) -> dict[str, float]:
    """One line of ``metrics.jsonl``."""
    progress, plan = training.progress, training.plan
    flops_per_second = tokens_per_second * plan.flops_per_token
    metrics: dict[str, float] = {
        "step": progress.step,
        "tokens": progress.tokens,
        "flops": progress.flops,
        "seconds": round(progress.seconds, 4),
        "train/loss": result.loss,
        **{f"train/{name}": float(value) for name, value in result.auxiliary.items()},
        "optim/lr": result.learning_rate,
        "optim/grad_norm": result.gradient_norm,
        "throughput/tokens_per_second": round(tokens_per_second, 1),
        "throughput/flops_per_second": round(flops_per_second),
    }
    if plan.peak_flops is not None:
        metrics["throughput/mfu"] = flops_per_second / plan.peak_flops
    return metrics | load_statistics(result.loads)


def _check_finite(result: StepResult, step: int) -> None:
    """Stop before the weights are touched."""
    for name, value in (("loss", result.loss), ("gradient norm", result.gradient_norm)):
        if not abs(value) < float("inf"):
            raise TrainingDiverged(
                f"The {name} became {value} at step {step}; the weights are those before it: try a lower "
                "optimizer.learning_rate or trainer.clip_norm, a longer schedule.warmup_fraction or "
                "trainer.precision=float32."
            )


def _explained(failure: Exception, step: int) -> Exception:
    """The failure itself, or one that says in a sentence what to do about it."""
    text = str(failure)
    if isinstance(failure, torch.OutOfMemoryError) or "can't allocate memory" in text:
        return TrainingFailed(
            f"Memory ran out at step {step}: set trainer.activation_checkpointing=true, or halve "
            "trainer.batch_size and double trainer.gradient_accumulation."
        )
    if isinstance(failure, OSError) and failure.strerror:
        return TrainingFailed(
            f"The system refused a file at step {step} ({failure.filename}: {failure.strerror}): "
            "mend that and give the same command again."
        )
    return failure


def _try_to_record(run: RunFolder, step: int, steps: int, error: Exception) -> None:
    """Write the failure into the run folder, unless the folder is what failed."""
    sentence = str(error) if isinstance(error, TrainingFailed) else f"{type(error).__name__}: {error}"
    try:
        run.write_status("failed", step, steps, sentence)
    except OSError:
        return
