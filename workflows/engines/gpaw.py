"""Gpaw."""

from midgap.workflows.engines.base import Engine


class Gpaw(Engine):
    name = "gpaw"
