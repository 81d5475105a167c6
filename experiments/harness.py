"""The LM Evaluation Harness's own command line, with the model type ``lab`` added to its list.

python -m experiments.harness run --model lab --model_args checkpoint=runs/mine --tasks kobest,haerae --batch_size 16
python -m experiments.harness run --model lab --model_args checkpoint=runs/mine --include_path TASKS --tasks lab
python -m experiments.harness ls tasks

Every word goes to ``lm_eval`` (0.4.13), which knows no plugins: a model type must be registered in its own process.
The public Korean suites it ships are kmmlu, kmmlu_hard, haerae, kobest, click, hrm8k, kbl and kormedmcqa; their
questions are fetched from the Hugging Face hub, or read from a local copy there (``HF_HOME``).
"""

import sys
from importlib.util import find_spec

from experiments.command import ends_in_a_sentence
from lab.errors import ConfigError

NEEDED = "lm-eval==0.4.13"
KOREAN_SUITES = ("kmmlu", "kmmlu_hard", "haerae", "kobest", "click", "hrm8k", "kbl", "kormedmcqa")


def main() -> None:
    """Run the command line; status 2 and one sentence for what the user can mend."""
    with ends_in_a_sentence():
        if find_spec("lm_eval") is None:
            raise ConfigError(
                f'The harness is not installed: run .venv/bin/python -m pip install "{NEEDED}".'
            )
        register()
        from lm_eval.__main__ import cli_evaluate

        try:
            cli_evaluate()
        except ConnectionError as error:  # what the library of data sets raises, with a hub or without one
            raise ConfigError(
                f"The questions of a task are not here ({error}): either connect to the hub, or point HF_HOME to a "
                "folder that holds a copy and set HF_DATASETS_OFFLINE=1."
            ) from error


def register() -> None:
    """Add ``lab`` to the model types of this process; it is loaded when a command asks for it."""
    from lm_eval.api.registry import model_registry

    if "lab" not in model_registry:
        model_registry.register("lab", target="lab.harness:LabModel")


if __name__ == "__main__":
    sys.argv[0] = "lm_eval"
    main()
