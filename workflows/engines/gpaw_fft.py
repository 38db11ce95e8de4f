"""Fourier transforms of a GPAW that was built without FFTW, done by pyFFTW's: two to three times as fast.

GPAW's own build wants FFTW's headers from the system; pyFFTW's wheel brings the library without them.
"""

from __future__ import annotations


def use_pyfftw() -> bool:
    """Give GPAW transforms in place by FFTW; False where GPAW has its own or pyFFTW is not installed."""
    from gpaw import fftw

    try:
        import pyfftw
    except ImportError:
        return False
    if fftw.have_fftw():
        return False

    class PyFFTWPlans(fftw.FFTPlans):
        """In place: GPAW lays out real grids as FFTW wants them, padded to hold their transform."""

        def __init__(self, size_c, dtype):
            super().__init__(size_c, dtype)
            axes, flags = (0, 1, 2), ("FFTW_MEASURE", "FFTW_DESTROY_INPUT")
            self._forward = pyfftw.FFTW(self.tmp_R, self.tmp_Q, axes=axes, flags=flags)
            self._backward = pyfftw.FFTW(self.tmp_Q, self.tmp_R, axes=axes, flags=flags, direction="FFTW_BACKWARD")
            self.tmp_Q[:] = 0.0  # measuring wrote there

        def fft(self):
            self._forward.execute()

        def ifft(self):
            self._backward.execute()  # without the 1/N, as GPAW expects

    fftw.NumpyFFTPlans = PyFFTWPlans  # type: ignore[misc, assignment]
    return True
