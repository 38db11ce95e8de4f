"""Power series of records whose growth is known."""

import json
import math

import numpy as np
import pytest

from midgap.cli.main import main
from midgap.experiment.photons.power import EMITTERS, power_study
from midgap.experiment.records import IntensityLevel, ParticleRecord, Quantity, Records
from midgap.report.power_figures import power_figure
from midgap.structures.errors import InputError

POWERS = {"a": 0.05, "b": 0.1, "c": 0.2, "d": 0.4, "e": 0.8}
DARK_CPS = 400.0


def measured(name, power, random):
    """ON grows with the power to 1.5, GRAY with the power, M not at all, over a background of 400 counts a second."""
    levels = []
    for i in range(10):
        rate = (2e5 * power**1.5, 2e4 * power)[i % 2] + DARK_CPS
        levels.append(
            IntensityLevel(name=("ON", "GRAY")[i % 2], dwell_time_s=2.0, num_photons=int(random.poisson(2 * rate)))
        )
    total = sum(level.num_photons for level in levels) / 20
    g2 = 0.5 + random.normal(0, 0.02)
    return ParticleRecord(
        particle_id=name,
        mean_excitons=Quantity(value=power),
        levels=tuple(levels),
        signal_fraction_rho=Quantity(value=1 - DARK_CPS / total),
        g2_0_raw=Quantity(value=g2, lo=g2 - 0.04, hi=g2 + 0.04),
        g2_ci_level=0.95,
        n_emitters_M=Quantity(value=1 / (1 - g2), lo=1 / (1 - g2 + 0.04), hi=1 / (1 - g2 - 0.04)),
    )


@pytest.fixture(scope="module")
def records():
    random = np.random.default_rng(2)
    return tuple(measured(name, power, random) for name, power in POWERS.items())


def test_each_level_grows_as_it_was_made_to(records):
    study = power_study(records)
    growth = {points.name: points.growth for points in study.points}
    assert study.axis == "⟨N⟩" and list(growth) == ["ON", "GRAY", EMITTERS]
    assert growth["ON"].growth == "superlinear" and growth["ON"].exponent.value == pytest.approx(1.5, abs=0.02)
    assert growth["GRAY"].growth == "linear" and growth["GRAY"].exponent.value == pytest.approx(1, abs=0.03)
    assert growth[EMITTERS].growth == "sublinear" and growth[EMITTERS].exponent.contains(0.0)
    assert study.g2_over_power.slope.contains(0.0)
    # The background, left in, would bend the straight one.
    with_dark = power_study([record.model_copy(update={"signal_fraction_rho": None}) for record in records])
    assert with_dark.points[1].growth.growth == "sublinear"


def test_exponents_lie_in_their_intervals_as_often_as_they_say():
    random, runs, held = np.random.default_rng(3), 200, 0
    for _ in range(runs):
        study = power_study([measured(name, power, random) for name, power in POWERS.items()])
        held += study.points[1].growth.exponent.contains(1.0)
    # Errors that are known are only ever widened, so they may hold the truth too often.
    assert held / runs >= 0.95 - 3 * math.sqrt(0.95 * 0.05 / runs)


def test_powers_of_a_table_and_what_is_missing(records, tmp_path, capsys):
    file, table, picture = tmp_path / "records.json", tmp_path / "powers.csv", tmp_path / "power.png"
    Records(records=records).write(file)
    table.write_text(
        "particle_id,power_uW\n" + "".join(f"{name},{10 * p}\n" for name, p in POWERS.items() if name != "e")
    )
    main_says(["power", str(file), "--powers", str(table), "--picture", str(picture), "--json"])
    told = json.loads(capsys.readouterr().out)
    assert told["axis"] == "power_uW" and told["points"][0]["power"] == [0.5, 1.0, 2.0, 4.0]
    assert "no power is given" in told["notes"][0] and picture.stat().st_size > 10_000
    table.write_text("particle_id,power\na,1\nb,x\n")
    with pytest.raises(SystemExit) as end:
        main_says(["power", str(file), "--powers", str(table)], expect=2)
    assert end.value.code == 2
    with pytest.raises(InputError, match="neither mean_excitons"):
        power_study([ParticleRecord(particle_id="a")])
    with pytest.raises(InputError, match="two powers"):
        power_study(records[:1])


def test_picture_shows_points_and_exponents(records):
    levels, emitters = power_figure(power_study(records)).axes
    words = [text.get_text() for text in levels.get_legend().get_texts()]
    assert any(word.startswith("ON: s = 1.5") for word in words) and "in proportion" in words
    assert emitters.get_ylabel() == "Number of emitters M" and emitters.get_xscale() == "log"


def main_says(words, expect=0):
    import sys

    before, sys.argv = sys.argv, ["midgap", *words]
    try:
        main()
    except SystemExit as end:
        if end.code != 0:
            assert end.code == expect
            raise
    finally:
        sys.argv = before
