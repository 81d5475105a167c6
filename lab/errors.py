"""The one error a user can cause."""


class ConfigError(ValueError):
    """A setting that cannot be used.

    The message is one sentence that names the configuration key, the offending value and what is allowed.
    """
