"""The two ways midgap can fail: what was asked is wrong, or what was computed went wrong."""


class InputError(ValueError):
    """What was asked cannot be done: one sentence that says what, where, and what to do."""


class ComputationError(RuntimeError):
    """What was asked is sound, but computing it failed."""
