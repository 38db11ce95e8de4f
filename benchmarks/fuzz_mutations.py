"""Ways to spoil a file: of bytes, of numbers and lines, of JSON trees, of HDF5 datasets, inside gzip."""

from __future__ import annotations

import gzip
import io
import json
import random
import re
import zlib
from collections.abc import Callable
from typing import Any

NUMBER = re.compile(rb"-?\d+(?:\.\d+)?(?:[eE][-+]?\d+)?")
EXTREMES = (
    b"0", b"-1", b"1", b"2", b"-0.0", b"1e308", b"-1e308", b"1e-320", b"1e400", b"nan", b"inf", b"-inf", b"*******",
    b"127", b"255", b"65536", b"2147483647", b"2147483648", b"-2147483649", b"4294967296", b"9223372036854775808",
    b"99999999999999999999999", b"1000000", b"1000000000", b"1000000000000", b"7" * 5000, b"", b"0x10", b"1_000", b"1,5",
    "٣".encode(), b"1.5d+10",
)  # fmt: skip
WORDS = (
    b"", b"\0", b"\n", b" ", b"\xff\xfe", "é".encode(), "\U0001f600".encode(), b"../../etc/passwd", b"%s%n", b"<", b">",
    b"]]>", b"<!DOCTYPE a [<!ENTITY b 'c'>]>", b"&b;", b"&END", b"&SUBSYS", b"loop_", b"data_", b"'", b'"', b"{", b"[", b"[" * 3000,
    b"<a>" * 3000, b"#", b"!", b"true", b"null", b"NaN", b"Xx", b"H", b"D0+", b"A" * 70_000,
)  # fmt: skip
TREES: tuple[Any, ...] = (
    None, True, False, 0, -1, 1, 10**6, 10**12, 2**63, 10**400, 1e308, -1e308, 1e-320, float("nan"), float("inf"), "", "x", "0",
    "\0", "../x", [], [[]], {}, {"schema": 1}, [0], [1, 2, 3], [None], "9" * 5000, [1e308] * 3, {"@module": "os", "@class": "system"},
)  # fmt: skip

MOST_BYTES = 10**7


def mutate(name: str, content: bytes, others: list[bytes], rng: random.Random) -> bytes:
    """Content spoilt in one to a few ways that its kind of file has.

    Parameters
    ----------
    others
        Contents to splice in.
    """
    if name.endswith(".gz") and rng.random() < 0.7:
        try:
            return gzip.compress(mutate(name.removesuffix(".gz"), gzip.decompress(content), others, rng), 1)
        except (OSError, EOFError, zlib.error):
            pass
    ways: list[Callable[..., bytes]] = [of_bytes, of_bytes]
    if content[:8] == b"\x89HDF\r\n\x1a\n":
        ways += [of_hdf5] * 6
    elif content[:1] in b"{[":
        ways += [of_tree] * 6 + [of_text]
    elif b"\0" not in content[:2000]:
        ways += [of_text] * 6
    else:
        ways += [of_words] * 3
    for _ in range(1 + min(int(rng.expovariate(0.8)), 8)):
        content = rng.choice(ways)(content, others, rng)
    return content[: 4 << 20]


def of_bytes(content: bytes, others: list[bytes], rng: random.Random) -> bytes:
    """Flipped bits, cuts, repeats, splices."""
    if not content:
        return bytes(rng.randrange(256) for _ in range(rng.randrange(64)))
    start = rng.randrange(len(content))
    end = min(len(content), start + 1 + int(rng.expovariate(1 / 40)))
    match rng.randrange(8):
        case 0:
            spoilt = bytearray(content)
            for _ in range(1 + rng.randrange(4)):
                spoilt[rng.randrange(len(spoilt))] ^= 1 << rng.randrange(8)
            return bytes(spoilt)
        case 1:
            return content[:start]
        case 2:
            return content[:start] + content[end:]
        case 3:
            return content[:end] + content[start:end] * rng.choice((1, 2, 10, 300)) + content[end:]
        case 4:
            other = rng.choice(others or [content])
            return content[:start] + other[rng.randrange(len(other) + 1) :]
        case 5:
            return content[:start] + bytes(rng.randrange(256) for _ in range(end - start)) + content[end:]
        case 6:
            return content[:start] + rng.choice(WORDS) + content[end if rng.random() < 0.5 else start :]
        case _:
            begin = rng.randrange(start + 1)
            return content[:begin] + content[start:end] + content[begin:start] + content[end:]


def of_words(content: bytes, others: list[bytes], rng: random.Random) -> bytes:
    """Four or eight bytes of a binary file become a number at the edge of what fits there."""
    size = rng.choice((1, 2, 4, 4, 8))
    if len(content) < size:
        return content
    # Half of the time in the head, where few bytes decide much.
    reach = len(content) if rng.random() < 0.5 else min(len(content), 4096)
    start = rng.randrange(0, max(1, reach - size), 4 if reach > 8 else 1)
    top = 1 << (8 * size)
    value = rng.choice((0, 1, top - 1, top >> 1, (top >> 1) - 1, top >> 2, rng.randrange(top))) % top
    return content[:start] + value.to_bytes(size, "little") + content[start + size :]


def of_text(content: bytes, others: list[bytes], rng: random.Random) -> bytes:
    """Numbers at their extremes; words and lines left out, doubled or moved."""
    way = rng.randrange(7)
    if way <= 2 and (found := list(NUMBER.finditer(content))):
        for one in sorted(rng.sample(found, min(len(found), rng.choice((1, 1, 1, 3)))), key=lambda m: -m.start()):
            content = content[: one.start()] + rng.choice(EXTREMES) + content[one.end() :]
        return content
    parts = content.splitlines(keepends=True) if way < 6 else re.split(rb"(\s+)", content)
    if len(parts) < 2:
        return content
    at, to = rng.randrange(len(parts)), rng.randrange(len(parts))
    low, high = min(at, to), max(at, to)
    match way:
        case 3:
            del parts[at]
        case 4:
            parts[to:to] = parts[low : min(high, low + 20)] * rng.choice((1, 1, 5, 50))
        case 5 if rng.random() < 0.3:
            del parts[low:high]
        case 5:
            parts[at], parts[to] = parts[to], parts[at]
        case _:
            parts[at] = rng.choice((b"", parts[to], rng.choice(WORDS), rng.choice(EXTREMES)))
    return b"".join(parts)


def of_tree(content: bytes, others: list[bytes], rng: random.Random) -> bytes:
    """A node of a JSON tree replaced, left out, doubled, renamed or buried."""
    try:
        tree = json.loads(content)
    except (ValueError, RecursionError):
        return of_text(content, others, rng)
    holders = [node for node in _nodes(tree) if isinstance(node, dict | list) and node]
    if not holders:
        return content
    # Small nodes are as likely as large ones: arrays of thousands would get all the attention.
    holder = rng.choice(holders)
    key = rng.choice(list(holder)) if isinstance(holder, dict) else rng.randrange(len(holder))
    match rng.randrange(7):
        case 0 | 1 | 2:
            holder[key] = rng.choice(TREES)
        case 3:
            del holder[key]
        case 4 if isinstance(holder, list):
            holder[key:key] = [holder[key]] * rng.choice((1, 2, 50))
        case 4:
            holder[f"{key}{rng.choice(('', ' ', '_', '2'))}"] = holder.pop(key)
        case 5:
            holder[key] = rng.choice(list(_nodes(tree)))
            try:
                json.dumps(tree)
            except ValueError:  # it holds itself
                return content
        case _:
            deep = rng.choice((3, 200, 900, 100_000))
            holder[key] = "BURIED"
            return json.dumps(tree).encode().replace(b'"BURIED"', b"[" * deep + b"]" * deep, 1)
    try:
        return json.dumps(tree).encode()
    except (ValueError, RecursionError):
        return content


def _nodes(tree: Any) -> list[Any]:
    found, rest = [], [tree]
    while rest and len(found) < 3000:
        node = rest.pop()
        found.append(node)
        rest += list(node.values()) if isinstance(node, dict) else node[:50] if isinstance(node, list) else []
    return found


def of_hdf5(content: bytes, others: list[bytes], rng: random.Random) -> bytes:
    """A dataset of another shape, type or content, a link in its place, or none; or the text in it spoilt."""
    import h5py
    import numpy as np

    blob = io.BytesIO(content)
    try:
        with h5py.File(blob, "r+") as file:
            names: list[str] = []
            file.visit(names.append)
            if not names:
                return content
            name = rng.choice(names)
            known = (
                isinstance(file[name], h5py.Dataset) and file[name].nbytes <= MOST_BYTES
            )  # a file may announce any size
            old = file[name][()] if known else None
            del file[name]
            _replace(file, name, old, rng, np, h5py, others)
    except (OSError, RuntimeError, KeyError, ValueError, TypeError):
        return of_bytes(content, others, rng)
    return blob.getvalue()


def _replace(file: Any, name: str, old: Any, rng: random.Random, np: Any, h5py: Any, others: list[bytes]) -> None:
    scalar = rng.choice((0, -1, 1, 10**12, 2.0**62, float("nan"), float("inf"), 1e308, True, "text", b"\xff", 1j))
    array = None if old is None else np.asarray(old)
    match rng.randrange(9):
        case 0:
            return
        case 1:
            file[name] = scalar
        case 2 if array is not None and array.dtype.kind in "fiu" and array.size:
            spoilt = array.astype(rng.choice(("f8", "f4", "i8", "i4", "u8", "u1", "c16")), copy=True)
            spoilt.flat[rng.randrange(spoilt.size)] = rng.choice(
                (0, 1, 100, np.nan if spoilt.dtype.kind in "fc" else 3)
            )
            file[name] = spoilt
        case 3 if array is not None and array.ndim:
            file[name] = np.repeat(array, rng.choice((0, 2, 3)), axis=rng.randrange(array.ndim))
        case 4 if array is not None:
            file[name] = array[None] if rng.random() < 0.5 else array.ravel()[: rng.choice((0, 1, 2))]
        case 5:
            file[name] = rng.choice(
                (h5py.SoftLink(f"/{name}"), h5py.SoftLink("/"), h5py.ExternalLink("/etc/passwd", "/"))
            )
        case 6:
            file.create_dataset(name, shape=(rng.choice((1, 10**6, 10**12)),), dtype="f8", chunks=(1000,))
        case 7 if isinstance(old, bytes):
            file[name] = np.void(of_tree(old, others, rng)) if rng.random() < 0.1 else of_tree(old, others, rng)
        case 8 if array is not None and array.dtype.kind in "fiu":
            file[name] = np.full_like(array, rng.choice((0, 1, 2, 100)))
        case _:
            file.create_group(name)
