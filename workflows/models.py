"""Which models a question computes, and what each vacancy is held against."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from pymatgen.core import IStructure

from midgap.structures.build import conventional_matrix, halide, periodic_models
from midgap.structures.clusters import cluster_models
from midgap.structures.errors import InputError
from midgap.structures.model import Model
from midgap.structures.supercells import as_matrix, most_isotropic


def models_in(
    host: Model,
    *,
    species: str | None = None,
    charges: Sequence[int] = (-1, 0, 1),
    max_atoms: int | None = None,
    clusters: str = "all",
    conventional: bool = False,
) -> list[Model]:
    """The pristine supercell of a primitive host, its vacancies and its clusters.

    Parameters as in `midgap.structures.build.build_models`, but that ``clusters`` says which
    (`wanted_clusters`), and ``conventional`` adds the pristine conventional cell, if it is another.

    Raises
    ------
    InputError
        The host is a cluster, or see `midgap.structures.build.build_models`.
    """
    cell = host.structure
    if not isinstance(cell, IStructure):
        raise InputError(f"{host.name} is a cluster: nothing can be cut from it.")
    species = species or halide(cell)
    matrix = as_matrix(np.eye(3)) if max_atoms is None else most_isotropic(cell, max_atoms)
    models = periodic_models(cell, matrix, host.material, species, charges, host.provenance)
    if conventional:
        (more,) = periodic_models(cell, conventional_matrix(cell), host.material, species, (), host.provenance)
        if all(model.name != more.name for model in models):
            models.append(more)
    if clusters != "none":
        # No images: a cluster is on its own.
        provenance = {name: text for name, text in host.provenance.items() if name != "image distance"}
        models += wanted_clusters(cluster_models(cell, host.material, species, charges, provenance), clusters)
    return models


def wanted_clusters(models: Sequence[Model], which: str) -> list[Model]:
    """``all`` of them, the intact embedded ``octahedron`` alone, or ``none``.

    Raises
    ------
    InputError
        ``which`` is another word.
    """
    if which not in ("all", "octahedron", "none"):
        raise InputError(f"Unknown choice of clusters {which!r}; choose all, octahedron or none.")
    if which == "octahedron":
        return [model for model in models if model.vacancy is None and model.embedding is not None]
    return list(models) if which == "all" else []


def reference_of(model: Model, models: Sequence[Model]) -> Model | None:
    """The defect-free model among ``models`` to hold ``model`` against, None for a defect-free one.

    Of several, the one of the same size comes first; a cluster is held against the intact cluster in
    the same surroundings.
    """
    if model.vacancy is None:
        return None
    hosts = [
        host
        for host in models
        if host.vacancy is None
        and host.periodic == model.periodic
        and host.material == model.material
        and (host.embedding is None) == (model.embedding is None)
    ]
    if not model.periodic:
        hosts = [host for host in hosts if len(host.structure) == len(model.structure) + 1]
    return min(hosts, key=lambda host: abs(len(host.structure) - len(model.structure) - 1), default=None)


def is_relaxed(model: Model) -> bool:
    """Whether the provenance of a pristine crystal says that its coordinates are relaxed."""
    return model.kind == "pristine" and model.provenance.get("coordinates", "").startswith("relaxed")
