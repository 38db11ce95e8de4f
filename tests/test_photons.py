"""Photon streams: files in and out, held against other readers; damage is told, not followed."""

import hashlib
import re
import struct
import subprocess
import sys
import time
import tracemalloc

import numpy as np
import ptufile
import pytest

from midgap.experiment.photons.files import open_photons, read_photons
from midgap.experiment.photons.ptu_writer import write_ptu
from midgap.experiment.photons.simulation import Experiment, simulate
from midgap.experiment.photons.stream import Header, PhotonStream, detectors_from_counts
from midgap.structures.errors import InputError

REAL = ("hydraharp_v10_t3.ptu", "hydraharp_v20_t3.ptu", "hydraharp_v20_t2.ptu")


@pytest.fixture(scope="module")
def pulsed():
    """Half a second of a blinking-free emitter, a cable of two periods and a bit."""
    return simulate(Experiment(duration_s=0.5, mean_excitons=0.3, cable_delay_ns=930.0, background_cps=2000.0))


@pytest.fixture(scope="module")
def pulsed_file(pulsed, tmp_path_factory):
    return write_ptu(tmp_path_factory.mktemp("ptu") / "pulsed.ptu", pulsed)


def assert_same(one, other):
    assert one.mode == other.mode
    np.testing.assert_array_equal(one.time, other.time)
    np.testing.assert_array_equal(one.channel, other.channel)
    if one.dtime is not None:
        np.testing.assert_array_equal(one.dtime, other.dtime)


@pytest.mark.parametrize("name", REAL)
def test_real_files_as_ptufile_reads_them_whole(shared_data, name):
    path = shared_data / "photons" / name
    theirs = ptufile.PtuFile(path).decode_records()
    theirs = theirs[theirs["channel"] >= 0]
    ours = read_photons(path)
    np.testing.assert_array_equal(ours.time, theirs["time"].astype(np.int64))
    np.testing.assert_array_equal(ours.channel, theirs["channel"])
    if ours.mode == "T3":
        np.testing.assert_array_equal(ours.dtime, theirs["dtime"])
    assert ours.warnings == ()
    assert ours.duration_s == pytest.approx(ours.header.acquisition_s, rel=1e-4)


@pytest.mark.parametrize("name", REAL)
def test_real_files_as_tttrlib_reads_them(shared_data, name):
    tttrlib = pytest.importorskip("tttrlib")
    path = shared_data / "photons" / name
    theirs, ours = tttrlib.TTTR(str(path)), read_photons(path)
    np.testing.assert_array_equal(ours.time, theirs.macro_times.astype(np.int64))
    np.testing.assert_array_equal(ours.channel, theirs.routing_channels)
    if ours.mode == "T3":
        np.testing.assert_array_equal(ours.dtime, theirs.micro_times)


@pytest.mark.parametrize("name", REAL)
def test_pieces_make_the_whole(shared_data, name):
    path = shared_data / "photons" / name
    pieces = list(open_photons(path).chunks(997))
    np.testing.assert_array_equal(np.concatenate([piece.time for piece in pieces]), read_photons(path).time)


def test_what_is_written_three_readers_read_back(pulsed, pulsed_file):
    tttrlib, phconvert = pytest.importorskip("tttrlib"), pytest.importorskip("phconvert")
    assert_same(read_photons(pulsed_file), pulsed)
    theirs = ptufile.PtuFile(pulsed_file).decode_records()
    theirs = theirs[theirs["channel"] >= 0]
    for name in ("time", "channel", "dtime"):
        np.testing.assert_array_equal(theirs[name].astype(np.int64), getattr(pulsed, name))
    data = tttrlib.TTTR(str(pulsed_file))
    np.testing.assert_array_equal(data.macro_times.astype(np.int64), pulsed.time)
    np.testing.assert_array_equal(data.routing_channels, pulsed.channel)
    np.testing.assert_array_equal(data.micro_times, pulsed.dtime)
    times, channels, delays, meta, _ = phconvert.pqreader.load_ptu(str(pulsed_file))
    np.testing.assert_array_equal(times, pulsed.time)
    np.testing.assert_array_equal(channels, pulsed.channel)
    np.testing.assert_array_equal(delays, pulsed.dtime)
    assert meta["timestamps_unit"] == pytest.approx(4e-7) and meta["nanotimes_unit"] == pytest.approx(64e-12)


def test_t2_is_written_and_read_back_by_others(tmp_path):
    tttrlib = pytest.importorskip("tttrlib")
    stream = simulate(Experiment(duration_s=0.2, excitation_rate_Hz=5e6))
    path = write_ptu(tmp_path / "cw.ptu", stream)
    assert_same(read_photons(path), stream)
    data = tttrlib.TTTR(str(path))
    np.testing.assert_array_equal(data.macro_times.astype(np.int64), stream.time)
    np.testing.assert_array_equal(data.routing_channels, stream.channel)


def test_long_pauses_take_many_overflows(tmp_path):
    """More turns of the counter than one record can count; and a measurement that ends in darkness."""
    time_ = np.array([5, 3_000_000_000, 3_000_000_001])
    zeros = np.zeros(3, np.int32)
    stream = PhotonStream("T3", time_, zeros.astype(np.uint8), 1e-7, zeros, 1e-11, 4_000_000_000)
    back = read_photons(write_ptu(tmp_path / "dark.ptu", stream))
    np.testing.assert_array_equal(back.time, time_)
    assert back.duration == pytest.approx(4_000_000_000, abs=1024)


@pytest.mark.parametrize("overflows", [1, 127, 128, 5000, (1 << 25) - 1])
def test_a_t2_record_of_many_overflows(tmp_path, overflows):
    """The format: each overflow counted in a record's 25 bits is 2^25 time units (33.6 µs)."""
    stream = PhotonStream("T2", np.array([1]), np.zeros(1, np.uint8), 1e-12, duration=1)
    data = write_ptu(tmp_path / "one.ptu", stream).read_bytes()
    data = with_tag(data, "TTResult_NumberOfRecords", 4) + struct.pack("<3I", (127 << 25) | overflows, 9, 10)
    path = tmp_path / "pause.ptu"
    path.write_bytes(data)
    np.testing.assert_array_equal(read_photons(path).time, [1, (overflows << 25) + 9, (overflows << 25) + 10])


def test_sync_input_of_t2_is_a_channel_of_its_own(tmp_path):
    """ptufile gives it the number of the first input; phconvert tells them apart as we do."""
    phconvert = pytest.importorskip("phconvert")
    time_ = np.arange(1, 7, dtype=np.int64) * 1_000_003
    channel = np.array([64, 0, 64, 1, 0, 64], np.uint8)
    path = write_ptu(tmp_path / "sync.ptu", PhotonStream("T2", time_, channel, 1e-12, duration=10**8))
    np.testing.assert_array_equal(read_photons(path).channel, channel)
    np.testing.assert_array_equal(phconvert.pqreader.load_ptu(str(path))[1], channel)


def test_photon_hdf5_by_phconvert_is_read_back(pulsed, tmp_path):
    phconvert = pytest.importorskip("phconvert")
    data = {
        "description": "simulated",
        "acquisition_duration": pulsed.duration_s,
        "photon_data": {
            "timestamps": pulsed.time,
            "detectors": pulsed.channel,
            "nanotimes": pulsed.dtime.astype(np.uint16),
            "timestamps_specs": {"timestamps_unit": pulsed.time_unit_s},
            "nanotimes_specs": {
                "tcspc_unit": pulsed.dtime_unit_s,
                "tcspc_num_bins": pulsed.period_bins,
                "tcspc_range": pulsed.time_unit_s,
            },
        },
        "setup": {
            "num_pixels": 2, "num_spots": 1, "num_spectral_ch": 1, "num_polarization_ch": 1, "num_split_ch": 2,
            "modulated_excitation": False, "lifetime": True, "laser_repetition_rates": [pulsed.rep_rate_Hz],
            "excitation_cw": [False], "excitation_alternated": [False],
        },
        "identity": {"author": "x", "author_affiliation": "x"},
    }  # fmt: skip
    path = tmp_path / "simulated.h5"
    phconvert.hdf5.save_photon_hdf5(data, h5_fname=str(path), overwrite=True)
    back = read_photons(path)
    assert_same(back, pulsed)
    assert (back.time_unit_s, back.dtime_unit_s) == (pulsed.time_unit_s, pulsed.dtime_unit_s)
    assert back.warnings == ()
    pieces = list(open_photons(path).chunks(1000))
    np.testing.assert_array_equal(np.concatenate([piece.dtime for piece in pieces]), pulsed.dtime)


def hdf5_of(path, **changes):
    """A small Photon-HDF5 file; a field is replaced, or left out where None."""
    import h5py

    fields = {
        "timestamps": np.arange(100, dtype=np.int64) * 7,
        "detectors": np.zeros(100, np.uint8),
        "nanotimes": np.arange(100, dtype=np.uint16),
        "timestamps_specs/timestamps_unit": 4e-7,
        "nanotimes_specs/tcspc_unit": 64e-12,
    } | changes
    with h5py.File(path, "w") as file:
        for name, value in fields.items():
            if value is not None:
                file[f"photon_data/{name}"] = value
    return path


def test_photon_hdf5_without_a_rate_says_what_it_takes(tmp_path):
    stream = read_photons(hdf5_of(tmp_path / "a.h5"))
    assert len(stream) == 100 and stream.mode == "T3"
    assert any("taken for its period" in warning for warning in stream.warnings)


@pytest.mark.parametrize(
    ("changes", "what"),
    [
        ({"timestamps": None}, "no photon_data/timestamps"),
        ({"timestamps": np.arange(100.0)}, "not a row of integers"),
        ({"timestamps": np.arange(100)[::-1]}, "run backwards"),
        ({"timestamps": np.array([1, 2**63 + 5], np.uint64)}, "run backwards"),
        ({"timestamps": np.arange(100) - 50}, "begin at -50"),
        ({"timestamps_specs/timestamps_unit": None}, "no number photon_data/timestamps_specs"),
        ({"timestamps_specs/timestamps_unit": "4e-7"}, "no number photon_data/timestamps_specs"),
        ({"detectors": np.zeros(50, np.uint8)}, "fewer photons than timestamps"),
        ({"detectors": np.full(100, 1000)}, "from 1000 to 1000"),
        ({"nanotimes": np.full(100, -3)}, "from -3 to -3"),
        ({"nanotimes": np.zeros((100, 2), int)}, "not a row of integers"),
    ],
)
def test_broken_photon_hdf5_is_told(tmp_path, changes, what):
    with pytest.raises(InputError, match=what):
        read_photons(hdf5_of(tmp_path / "a.h5", **changes))


def test_hdf5_that_promises_endless_photons_is_not_followed(tmp_path):
    import h5py

    with h5py.File(tmp_path / "a.h5", "w") as file:
        file.create_dataset("photon_data/timestamps", shape=(10**12,), dtype="i8", chunks=(1000,))
        file["photon_data/timestamps_specs/timestamps_unit"] = 1e-9
    with pytest.raises(InputError, match="promises 1000000000000 photons"):
        open_photons(tmp_path / "a.h5")


def test_trace_and_decay_count_every_photon_once(pulsed):
    trace = pulsed.trace(0.01)
    assert len(trace) == 50 and trace.sum() == len(pulsed)
    np.testing.assert_array_equal(trace, np.histogram(pulsed.times_s(), np.arange(51) * 0.01)[0])
    assert pulsed.decay().sum() == len(pulsed) and len(pulsed.decay()) == 6250


# --- what can be wrong with a file ---------------------------------------------------------------------------


def with_tag(data, name, value):
    """The file with a number of its header changed."""
    at = data.index(name.encode().ljust(32, b"\0"))
    packed = struct.pack("<d" if isinstance(value, float) else "<q", value)
    return data[: at + 40] + packed + data[at + 48 :]


def spoilt(pulsed_file, tmp_path, data):
    path = tmp_path / "spoilt.ptu"
    path.write_bytes(data)
    return path


def test_header_count_zero_reads_all_and_says_so(pulsed, pulsed_file, tmp_path):
    stream = read_photons(
        spoilt(pulsed_file, tmp_path, with_tag(pulsed_file.read_bytes(), "TTResult_NumberOfRecords", 0))
    )
    assert_same(stream, pulsed)
    assert "does not say how many records" in stream.warnings[0]


def test_truncated_file_tells_both_figures(pulsed, pulsed_file, tmp_path):
    stream = read_photons(spoilt(pulsed_file, tmp_path, pulsed_file.read_bytes()[:-4002]))
    promised = stream.header.n_records
    assert any(f"promises {promised} records" in w and f"{promised - 1001} and a piece" in w for w in stream.warnings)
    np.testing.assert_array_equal(stream.time, pulsed.time[: len(stream)])


def test_wrong_sync_rate_tells_both_figures(pulsed_file, tmp_path):
    stream = read_photons(
        spoilt(pulsed_file, tmp_path, with_tag(pulsed_file.read_bytes(), "TTResult_SyncRate", 5_000_000))
    )
    assert any("5e+06 Hz" in w and "2.5e+06 Hz" in w for w in stream.warnings)


def test_wrong_time_unit_contradicts_the_acquisition_time(pulsed_file, tmp_path):
    data = with_tag(pulsed_file.read_bytes(), "MeasDesc_GlobalResolution", 8e-7)
    stream = read_photons(spoilt(pulsed_file, tmp_path, data))
    assert any("is 0.5 s" in w and re.search(r"last (0.99\d*|1) s", w) for w in stream.warnings)


def test_too_short_a_period_refuses_most_delays(pulsed_file, tmp_path):
    data = with_tag(pulsed_file.read_bytes(), "MeasDesc_GlobalResolution", 7e-9)
    with pytest.raises(InputError, match=r"longer than the laser's period.*sync rate is wrong"):
        read_photons(spoilt(pulsed_file, tmp_path, data))


def test_mode_that_contradicts_the_records_is_refused(pulsed_file, tmp_path):
    with pytest.raises(InputError, match="mode T2, but its records are of type HydraHarp2T3"):
        read_photons(spoilt(pulsed_file, tmp_path, with_tag(pulsed_file.read_bytes(), "Measurement_Mode", 2)))


def test_t2_records_under_a_t3_header_are_refused(shared_data, tmp_path):
    data = (shared_data / "photons" / "hydraharp_v20_t2.ptu").read_bytes()
    for name, value in (
        ("Measurement_Mode", 3),
        ("TTResultFormat_TTTRRecType", 0x01010304),
        ("MeasDesc_GlobalResolution", 4e-7),
        ("MeasDesc_Resolution", 64e-12),
    ):
        data = with_tag(data, name, value)
    with pytest.raises(InputError, match=r"longer than the laser's period|before the ones recorded earlier"):
        read_photons(spoilt(None, tmp_path, data))


@pytest.mark.parametrize("value", [0.0, -4e-7, float("nan"), float("inf"), 1e9])
def test_impossible_units_are_refused(pulsed_file, tmp_path, value):
    with pytest.raises(InputError, match="unit"):
        read_photons(
            spoilt(pulsed_file, tmp_path, with_tag(pulsed_file.read_bytes(), "MeasDesc_GlobalResolution", value))
        )


def test_overflow_storm_is_refused_not_followed(pulsed_file, tmp_path):
    """T2 overflow records, each of 2^25 turns of 2^25: time would leave 64 bits."""
    stream = PhotonStream("T2", np.array([1]), np.zeros(1, np.uint8), 1e-12, duration=1)
    data = write_ptu(tmp_path / "one.ptu", stream).read_bytes()
    storm = struct.pack("<I", 0xFFFFFFFF) * 20_000 + struct.pack("<I", 7)
    data = with_tag(data, "TTResult_NumberOfRecords", 20_002) + storm
    with pytest.raises(InputError, match="beyond all bounds"):
        read_photons(spoilt(None, tmp_path, data))


def test_no_photons(tmp_path):
    none = np.empty(0, np.int64)
    stream = PhotonStream("T3", none, none.astype(np.uint8), 4e-7, none.astype(np.int32), 64e-12, 2_500_000)
    with pytest.raises(InputError, match="holds no photons"):
        read_photons(write_ptu(tmp_path / "dark.ptu", stream))


def test_other_files_are_told_apart(tmp_path):
    for name, content, what in (("a.ptu", b"", "neither"), ("b.ptu", b"PQTTTR\0\0", "not a readable PTU"), ("c.h5", b"\x89HDF\r\n\x1a\n", "HDF5")):  # fmt: skip
        (tmp_path / name).write_bytes(content)
        with pytest.raises(InputError, match=what):
            open_photons(tmp_path / name)
    with pytest.raises(InputError, match="no such file"):
        open_photons(tmp_path / "nowhere.ptu")


def test_random_damage_ends_in_a_sentence(pulsed_file, tmp_path):
    """Bytes changed, cut or random: a stream or an InputError, quickly, without large allocations."""
    random = np.random.default_rng(7)
    whole = pulsed_file.read_bytes()
    header_end = whole.index(b"Header_End") + 48
    read_photons(pulsed_file)  # compiled before the clock runs
    begun, told = time.monotonic(), 0
    tracemalloc.start()
    for trial in range(150):
        data = bytearray(whole[: header_end + 4000])
        kind = trial % 5
        if kind == 0:  # random bytes anywhere in the header
            for at in random.integers(8, header_end, 1 + trial // 10):
                data[at] = random.integers(256)
        elif kind == 1:  # random records
            data[header_end:] = random.bytes(40_000)
        elif kind == 2:  # random values of tags, lengths of texts included
            at = 16 + 48 * int(random.integers(0, (header_end - 16) // 48))
            data[at + 40 : at + 48] = random.bytes(8)
        elif kind == 3:  # cut anywhere
            data = data[: random.integers(0, len(data))]
        else:  # random all over, the magic kept
            data = bytearray(b"PQTTTR\0\0" + random.bytes(5000))
        path = tmp_path / "fuzz.ptu"
        path.write_bytes(data)
        try:
            stream = read_photons(path)
            assert np.all(np.diff(stream.time) >= 0)
        except InputError as error:
            told += 1
            assert str(error).strip()
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert told > 50
    assert time.monotonic() - begun < 30
    assert peak < 200e6


def test_detectors_are_told_from_empty_channels():
    channel = np.array([0] * 1000 + [3] * 800 + [2] * 5, np.uint8)
    found = detectors_from_counts(np.bincount(channel))
    assert (found.active, found.nearly_empty) == ((0, 3), (2,))
    assert found.pair() == (0, 3)
    with pytest.raises(InputError, match=r"only channel 0 has photons.*channel 2 has 5"):
        detectors_from_counts(np.bincount(channel[channel != 3])).pair()


def test_stream_refuses_impossible_units():
    with pytest.raises(InputError, match="not smaller than the period"):
        PhotonStream("T3", np.array([1]), np.array([0], np.uint8), 1e-9, np.array([1], np.int32), 1e-9)
    with pytest.raises(InputError, match="needs the delays"):
        PhotonStream("T3", np.array([1]), np.array([0], np.uint8), 1e-9)


def test_without_the_extra_one_sentence_says_how_to_get_it(pulsed_file):
    """In a Python that does not find the packages of the extra."""
    code = (
        "import sys\n"
        f"sys.modules.update(dict.fromkeys({{blocked!r}}))\n"
        "from midgap.cli.main import app, main\n"
        f"sys.argv = ['midgap', 'photons', {str(pulsed_file)!r}]\n"
        "main()\n"
    )
    for blocked in (["ptufile"], ["numba"]):
        run = subprocess.run([sys.executable, "-c", code.format(blocked=blocked)], capture_output=True, text=True)
        assert run.returncode == 2 and run.stdout == ""
        assert run.stderr.count("\n") == 1 and "pip install 'midgap[photons]'" in run.stderr


def test_header_is_kept(pulsed_file):
    header = read_photons(pulsed_file).header
    assert header.source_sha256 == hashlib.sha256(pulsed_file.read_bytes()).hexdigest()
    assert header.instrument == "HydraHarp 400" and header.sync_rate_Hz == 2_500_000
    assert Header.from_dict(header.to_dict()) == header
