"""The hub tier: documents streamed from pinned data sets, up to a cap."""

from collections.abc import Iterator
from dataclasses import asdict
from itertools import islice
from typing import Any

from lab.data.config import HubData, HubDataset
from lab.data.document import Document, Harvest
from lab.data.sources.fetch import Progress
from lab.errors import ConfigError

REPORT_EVERY = 5_000


class HubSource:
    """The first documents of every data set in ``config.sources``, one data set a language."""

    def __init__(self, config: HubData) -> None:
        self.config = config

    def identity(self) -> object:
        """What the corpus depends on: data sets, commits and caps."""
        return {language: asdict(source) for language, source in sorted(self.config.sources.items())}

    def harvest(self, progress: Progress) -> Harvest:
        """Stream every data set; raises :class:`ConfigError` where one cannot be reached or read."""
        harvest = Harvest()
        for language, source in sorted(self.config.sources.items()):
            progress(f"streaming {source.dataset}")
            for number, text in enumerate(_texts(language, source)):
                group = f"{source.dataset}#{number}"
                harvest.documents.append(
                    Document(f"{group}/{language}", language, source.dataset, text, group)
                )
                if (number + 1) % REPORT_EVERY == 0:
                    progress(f"streamed {number + 1} of at most {source.max_documents} from {source.dataset}")
            harvest.provenance.append({"source": source.dataset, "extractor": "streaming", **asdict(source)})
        return harvest


def _texts(language: str, source: HubDataset) -> Iterator[str]:
    key = f"data.sources.{language}"
    rows = _open(key, source)
    while True:
        try:
            row = next(rows, None)
        except Exception as error:  # whatever the hub client, the file system or a decoder raises
            raise _unreachable(key, source, error) from error
        if row is None:
            return
        if source.text_field not in row:
            raise ConfigError(
                f"{key}.text_field={source.text_field} is not a field of {source.dataset}: "
                f"it has {', '.join(map(str, row))}."
            )
        yield str(row[source.text_field] or "")


def _open(key: str, source: HubDataset) -> Iterator[dict[str, Any]]:
    from datasets import load_dataset

    try:
        stream = load_dataset(
            source.dataset, source.config, split=source.split, revision=source.revision, streaming=True
        )
    except Exception as error:  # the client raises many kinds: offline, unknown id, gated, unknown subset
        raise _unreachable(key, source, error) from error
    return islice(iter(stream), source.max_documents)


def _unreachable(key: str, source: HubDataset, error: Exception) -> ConfigError:
    reason = " ".join(str(error).split())[:160] or type(error).__name__
    return ConfigError(
        f"{key}.dataset={source.dataset} could not be streamed ({reason}): it must be a data set that this "
        "machine can reach; without a network use data=folder, or data=packages once its corpus is built."
    )
