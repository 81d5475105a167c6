"""The judging of one trained model: what ``results.json`` says of its quality and decoding speed."""

from typing import Any

from lab.data.corpus import Corpus
from lab.data.recall import RecallTask
from lab.data.training import TrainingData
from lab.evaluation.config import EvaluationConfig
from lab.evaluation.items import Probe
from lab.evaluation.likelihood import draw_documents, measure
from lab.evaluation.measures.take import take_measures
from lab.evaluation.particles import particle_probes
from lab.evaluation.probes import score_probe
from lab.evaluation.speed import decode_tokens_per_second
from lab.model.decoder import Decoder

PROBED_LANGUAGE = "ko"


def judge(
    model: Decoder, corpus: TrainingData, config: EvaluationConfig, sequence_length: int
) -> dict[str, Any]:
    """The figures of ``model`` on what is held out of ``corpus``, as plain data for ``results.json``.

    Args:
        model: on the device that it is to be judged on.
        corpus: gives the held-out documents and the tokenizer the model was trained with.
        config: how much to measure.
        sequence_length: the trainer's, used where ``config.sequence_length`` is None.

    Returns:
        ``bits_per_byte`` by language and ``bits_per_byte_interval`` (95 %, bootstrap over documents);
        ``held_out`` with the bits and bytes of each document, so that models can be compared document by
        document; ``probes`` by name; ``throughput.decode_tokens_per_second``; ``measures`` by name. A model that
        was trained on a task and not on texts has the last two alone.

    Raises:
        ConfigError: where a length exceeds ``model.max_positions``, a probe finds no item or a measure cannot be taken.
    """
    config.require_within(model.config.max_positions, sequence_length)
    length = config.sequence_length or sequence_length
    return {
        **(_judge_texts(model, corpus, config, length) if not isinstance(corpus, RecallTask) else {}),
        "throughput": {
            "decode_tokens_per_second": decode_tokens_per_second(model, config.decoding, config.seed)
        },
        "measures": take_measures(model, corpus, config, sequence_length),
    }


def _judge_texts(model: Decoder, corpus: Corpus, config: EvaluationConfig, length: int) -> dict[str, Any]:
    """Bits per byte and probes, read in windows of ``length`` tokens."""
    likelihoods = {
        language: measure(
            draw_documents(corpus.held_out(language), config.max_bytes, config.seed),
            corpus.tokenizer,
            model,
            length,
            config.batch_size,
        )
        for language in corpus.languages
    }
    return {
        "bits_per_byte": {language: found.bits_per_byte for language, found in likelihoods.items()},
        "bits_per_byte_interval": {
            language: list(found.interval(config.seed)) for language, found in likelihoods.items()
        },
        "held_out": {
            language: {
                "documents": list(found.documents),
                "bits": found.bits.tolist(),
                "bytes": found.bytes.tolist(),
            }
            for language, found in likelihoods.items()
        },
        "probes": {
            probe.name: score_probe(probe, model, corpus.tokenizer, length, config.batch_size)
            for probe in build_probes(corpus, config)
        },
    }


def build_probes(corpus: TrainingData, config: EvaluationConfig) -> list[Probe]:
    """The probes that the languages of ``corpus`` allow, from its held-out documents.

    Call it before training to learn early that a probe would find no item (:class:`ConfigError`).
    """
    if isinstance(corpus, RecallTask) or PROBED_LANGUAGE not in corpus.languages or config.num_items == 0:
        return []
    return particle_probes(corpus.held_out(PROBED_LANGUAGE), config.num_items, config.seed)
