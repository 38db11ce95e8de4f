"""Cp2k."""

from midgap.workflows.engines.base import Engine


class Cp2k(Engine):
    name = "cp2k"
