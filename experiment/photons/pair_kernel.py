"""Compiled: pairs of two detectors' photons by the number of pulses between them."""

# The compiler takes types from its arguments, not from annotations.
# mypy: disable-error-code="no-untyped-def, assignment"

import numpy as np
from numba import njit

BLOCK = 2048
"""Photons looked at together: few enough to stay near the processor."""
DENSE = 80
"""Pulses a photon up to which pulses are laid out as bits; of fewer photons few are within reach, and are sooner walked to."""
MOST = 255
"""What a byte holds."""
ONES = np.uint64(0x0101010101010101)


@njit(cache=True, nogil=True)
def pairs(pulses, sides, gates, first, n, counts):
    """Add to counts[lag + outer, gate] the pairs of the photons from ``first`` to ``n`` with those before them.

    lag = pulse of the second detector's photon - that of the first's; the gate of a pair is the lower one. ``pulses`` ascends,
    but for steps back by one; therefore the outermost lags may lack pairs. Where there is one gate only, ``gates`` is not read.
    """
    for begin in range(first, n, BLOCK):
        end = min(begin + BLOCK, n)
        if counts.shape[1] > 1 or pulses[end - 1] - pulses[begin] > DENSE * BLOCK:
            _walk(pulses, sides, gates, begin, end, counts)
        else:
            _lay_out(pulses, sides, gates, begin, end, counts)


@njit(cache=True, nogil=True)
def _walk(pulses, sides, gates, begin, end, counts):
    """From each photon of a block to those before it.

    Whether the photon before is near enough is chance, which no processor can foresee, and a wrong guess costs as much as
    some pairs. So nothing here is guessed: of a block of photons those are kept, by arithmetic, that have one within
    reach; of these those that have a second one; and so on until none is left.
    """
    outer, n_gates = (counts.shape[0] - 1) // 2, counts.shape[1]
    table, reach = counts.reshape(counts.size), np.uint64(2 * outer)
    near = np.empty(BLOCK, np.int64)
    left = 0
    for i in range(begin, end):
        near[np.uint64(left)] = i
        apart = pulses[np.uint64(i)] - pulses[np.uint64(max(i - 1, 0))]
        left += (np.uint64(apart + outer) <= reach) & (i > 0)
    back = 1
    while left > 0:
        kept = 0
        for k in range(left):
            i = near[np.uint64(k)]
            this, other, next_ = np.uint64(i), np.uint64(i - back), np.uint64(max(i - back - 1, 0))
            pulse, side = pulses[this], np.int64(sides[this])
            row = (2 * side - 1) * (pulse - pulses[other]) + outer
            gate = min(gates[this], gates[other]) if n_gates > 1 else 0
            # Two photons of one detector add nothing.
            table[np.uint64(row * n_gates + gate)] += side ^ np.int64(sides[other])
            near[np.uint64(kept)] = i
            # Pulses can be out of order by one, so a photon farther back than this is out of reach.
            kept += (np.uint64(pulse - pulses[next_] + outer) <= reach) & (i > back)
        left = kept
        back += 1


@njit(cache=True, nogil=True)
def _lay_out(pulses, sides, gates, begin, end, counts):
    """Each pulse of a block a bit, set if the second detector saw it: what is around a photon of the first is one word or some.

    These words are added bit by bit, so that it takes the same time however many pairs there are. A second photon of one
    detector and one pulse has no bit of its own; its pairs are counted one by one.
    """
    outer, table = (len(counts) - 1) // 2, counts.reshape(counts.size)
    old = begin
    while old > 0 and pulses[begin] - pulses[old - 1] <= outer + 1:
        old -= 1
    low, high = pulses[begin], pulses[begin]
    for i in range(old, end):
        low, high = min(low, pulses[i]), max(high, pulses[i])
    if high - low > (DENSE + 1) * BLOCK + 2 * outer:
        _walk(pulses, sides, gates, begin, end, counts)  # times are damaged
        return
    plane = np.zeros((high - low + 2 * outer) // 64 + 3, np.uint64)
    room = end - old + 1
    ours, theirs, again = np.empty(room, np.int64), np.empty(room, np.int64), np.empty(room, np.int64)
    n_old, m_old = _part(pulses, sides, old, begin, ours, theirs, 0, 0)
    n, m = _part(pulses, sides, begin, end, ours, theirs, n_old, m_old)
    # Pairs of two old photons have been counted: the old ones of the first detector see only new bits.
    n_again = _mark(theirs, m_old, m, low - outer, plane, again, 0)
    _add_windows(ours[:n_old], low, plane, table)
    n_again = _mark(theirs, 0, m_old, low - outer, plane, again, n_again)
    _add_windows(ours[n_old:n], low, plane, table)
    for k in again[:n_again]:
        _around(theirs[k], ours[0 if k >= m_old else n_old : n], table)


@njit(cache=True, nogil=True)
def _part(pulses, sides, begin, end, ours, theirs, n, m):
    """Pulses of the first and of the second detector's photons, after the ``n`` and ``m`` there are; how many then."""
    for i in range(begin, end):
        this, side = np.uint64(i), sides[np.uint64(i)]
        ours[np.uint64(n)] = theirs[np.uint64(m)] = pulses[this]
        m += side
        n += 1 - side
    return n, m


@njit(cache=True, nogil=True)
def _mark(theirs, begin, end, origin, plane, again, n):
    """Set the bits of these photons; those whose bit is set already come into ``again``, after the ``n`` there are."""
    for k in range(begin, end):
        bit = np.uint64(theirs[np.uint64(k)] - origin)
        word, mask = plane[bit >> np.uint64(6)], np.uint64(1) << (bit & np.uint64(63))
        again[np.uint64(n)] = k
        n += (word & mask) != 0
        plane[bit >> np.uint64(6)] = word | mask
    return n


@njit(cache=True, nogil=True)
def _add_windows(ours, low, plane, table):
    """Add the bits from ``outer`` pulses before each of these photons on, one to each row of the table.

    Eight sums hold every eighth bit each, one to a byte, so that a word of 64 pulses is added in eight steps.
    """
    for begin in range(0, len(ours), MOST):
        for k in range((len(table) + 63) // 64):
            s0 = s1 = s2 = s3 = s4 = s5 = s6 = s7 = np.uint64(0)
            for i in range(begin, min(begin + MOST, len(ours))):
                bit = np.uint64(ours[np.uint64(i)] - low)
                word, right = (bit >> np.uint64(6)) + np.uint64(k), bit & np.uint64(63)
                x = (plane[word] >> right) | ((plane[word + np.uint64(1)] << np.uint64(1)) << (np.uint64(63) - right))
                s0 += x & ONES
                s1 += (x >> np.uint64(1)) & ONES
                s2 += (x >> np.uint64(2)) & ONES
                s3 += (x >> np.uint64(3)) & ONES
                s4 += (x >> np.uint64(4)) & ONES
                s5 += (x >> np.uint64(5)) & ONES
                s6 += (x >> np.uint64(6)) & ONES
                s7 += (x >> np.uint64(7)) & ONES
            for j, sums in enumerate((s0, s1, s2, s3, s4, s5, s6, s7)):
                for byte in range(min(8, (len(table) - 64 * k - j + 7) // 8)):
                    table[64 * k + 8 * byte + j] += np.int64((sums >> np.uint64(8 * byte)) & np.uint64(MOST))


@njit(cache=True, nogil=True)
def _around(pulse, ours, table):
    """Add the pairs of one photon of the second detector."""
    outer, at = (len(table) - 1) // 2, np.searchsorted(ours, pulse)
    for k in range(at - 1, -1, -1):
        lag = pulse - ours[k]
        if lag > outer:
            break
        table[max(lag, -outer) + outer] += lag >= -outer
    for k in range(at, len(ours)):
        lag = pulse - ours[k]
        if lag < -outer:
            break
        table[min(lag, outer) + outer] += lag <= outer
