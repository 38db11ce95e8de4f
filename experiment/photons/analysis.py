"""From a file of photons to the record of one particle: every step in turn, each with what it could not do."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from importlib.metadata import version
from pathlib import Path
from typing import Any

from midgap.experiment.photons import analysis_steps as steps
from midgap.experiment.photons.excitation import mean_excitons
from midgap.experiment.photons.files import LARGEST, open_photons, whole
from midgap.experiment.photons.particle_analysis import Options, ParticleAnalysis
from midgap.experiment.photons.stream import Header, PhotonStream, contradictions
from midgap.experiment.photons.survey import Survey, survey
from midgap.experiment.records import ParticleRecord, Quantity
from midgap.structures.errors import InputError

__all__ = ["Options", "ParticleAnalysis", "analyse", "analyse_file"]


def analyse_file(path: Path | str, options: Options | None = None, largest: int = LARGEST) -> ParticleAnalysis:
    """Analyse a PTU or Photon-HDF5 file of any size.

    Pairs, decay and trace are counted in one pass in bounded memory. Up to ``largest`` photons are also
    kept, for what needs them all at once: change points, levels, continuous g2.

    Raises
    ------
    InputError
        The file cannot be read, or holds no photons.
    """
    options = options or Options()
    file = open_photons(path)
    kept: list[PhotonStream] | None = []

    def pieces() -> Iterator[PhotonStream]:
        nonlocal kept
        n = 0
        for piece in file.chunks():
            n += len(piece)
            if n > largest:
                kept = None
            if kept is not None:
                kept.append(piece)
            yield piece

    try:
        counts = _survey(pieces(), options)
    except InputError as error:
        raise InputError(f"{path}: {error}" if str(path) not in str(error) else str(error)) from None
    blank = file.empty()
    header = file.header.model_copy(update={"source_sha256": file.source_sha256})
    blank = PhotonStream(
        blank.mode, blank.time, blank.channel, blank.time_unit_s, blank.dtime, blank.dtime_unit_s, file.duration, header
    )
    told = file.warnings + contradictions(blank, counts.n_photons, counts.n_beyond, counts.longest_delay)
    return _analyse(whole(file, kept) if kept is not None else None, blank, counts, options, told)


def analyse(stream: PhotonStream, options: Options | None = None) -> ParticleAnalysis:
    """Analyse a stream that is in memory.

    Raises
    ------
    InputError
        It holds no photons, or its delays cannot be its laser's.
    """
    options = options or Options()
    counts = _survey([stream], options)
    told = stream.warnings + contradictions(stream, counts.n_photons, counts.n_beyond, counts.longest_delay)
    return _analyse(stream, stream, counts, options, told)


def _survey(pieces: Iterable[PhotonStream], options: Options) -> Survey:
    n_side = (options.side_n + 1) // 2
    return survey(
        pieces, bin_s=1e-3 * options.bin_ms, detectors=options.detectors, n_side=n_side, gate_ns=options.gate_ns
    )


def _analyse(
    stream: PhotonStream | None, units: PhotonStream, counts: Survey, options: Options, told: tuple[str, ...]
) -> ParticleAnalysis:
    found = ParticleAnalysis(
        ParticleRecord(),
        counts,
        options,
        duration_s=units.duration_s,
        comment=units.header.comment or "",
        warnings=list(dict.fromkeys(told)),
    )
    if counts.detectors.nearly_empty:
        few = ", ".join(f"{c} ({counts.detectors.counts[c]} photons)" for c in counts.detectors.nearly_empty)
        found.warnings.append(f"Nearly empty channels are taken for no detectors: {few}.")
    fields = _conditions(units, options)
    fields |= steps.fit_whole_decay(found, units)
    found.background = steps.find_background(found, units)
    fields |= steps.correlate(found, stream, units)
    if stream is None:
        found.notes["levels"] = f"more than {LARGEST} photons: change points need them all in memory"
    elif options.blinking:
        fields |= steps.follow_blinking(found, stream)
    if found.warnings:
        found.notes["source_file"] = " ".join(found.warnings)
    found.record = ParticleRecord(**{**fields, "notes": found.notes})
    return found


def _conditions(units: PhotonStream, options: Options) -> dict[str, Any]:
    header: Header = units.header
    given = ("exc_wavelength_nm", "fluence_J_cm2", "sigma_abs_cm2", "temperature_K")
    fields: dict[str, Any] = {
        name: None if (value := getattr(options, name)) is None else Quantity(value=value) for name in given
    }
    if fields["fluence_J_cm2"] and fields["sigma_abs_cm2"] and options.exc_wavelength_nm:
        fields["mean_excitons"] = mean_excitons(
            fields["fluence_J_cm2"], fields["sigma_abs_cm2"], options.exc_wavelength_nm
        )
    name = header.source_file
    return fields | {
        "software": f"midgap {version('midgap')}",
        "source_file": name,
        "source_sha256": header.source_sha256,
        "sample_id": options.sample_id,
        "particle_id": options.particle_id or (Path(name).stem if name else None),
        "rep_rate_Hz": Quantity(value=units.rep_rate_Hz) if units.mode == "T3" else None,
        "bin_ms": options.bin_ms,
    }
