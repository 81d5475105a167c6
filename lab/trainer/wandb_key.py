"""Whether Weights & Biases finds a key here; the key itself is never taken up."""

from wandb.sdk import wandb_setup
from wandb.sdk.lib import wbauth


def has_key() -> bool:
    """Whether W&B finds a key, by the look-up that ``wandb.init`` makes, but without asking for one.

    Raises ``wandb.errors.AuthenticationError`` for a key that is none by its form; its message doesn't repeat it.
    """
    return (
        wbauth.authenticate_session(host=service(), source="lab", prompt=False, update_session=False)
        is not None
    )


def service() -> str:
    """The address of the W&B server that this machine is set up for."""
    return wandb_setup.singleton().settings.base_url
