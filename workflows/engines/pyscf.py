"""Pyscf."""

from midgap.workflows.engines.base import Engine


class Pyscf(Engine):
    name = "pyscf"
