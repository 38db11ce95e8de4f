"""What an engine may be asked to do; jobs that have none of these as their task are light."""

from __future__ import annotations

from typing import Literal, get_args

Task = Literal["relax", "static", "forces"]
TASKS: tuple[str, ...] = get_args(Task)
