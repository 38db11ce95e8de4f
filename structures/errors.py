"""The two ways midgap can fail: what was asked is wrong, or what was computed went wrong."""

LONGEST = 1000


def one_line(words: str, longest: int = LONGEST) -> str:
    """Words that may quote a file, on one line of printable signs and of bounded length."""
    words = " ".join("".join(sign if sign.isprintable() else " " for sign in words).split())
    return words if len(words) <= longest else f"{words[: longest - 1]}…"


class InputError(ValueError):
    """What was asked cannot be done: one sentence that says what, where, and what to do."""

    def __init__(self, sentence: object = "") -> None:
        super().__init__(one_line(str(sentence)))


class ComputationError(RuntimeError):
    """What was asked is sound, but computing it failed."""

    def __init__(self, sentence: object = "") -> None:
        super().__init__(one_line(str(sentence)))
