"""The measures of `mimi eval`, in NumPy; man mimi has their definitions."""
import numpy as np

RESOLUTIONS = ((512, 240, 50), (1024, 600, 120), (2048, 1200, 240))  # FFT, window, hop
MEL, MEL_BANDS, MEL_FLOOR = (1024, 1024, 256), 100, 1e-5


def magnitudes(samples, fft, window, hop):
    """[frames, bins], frames centred on every hop-th sample, zeros beyond the ends."""
    padded = np.pad(samples, window // 2)
    starts = np.arange(1 + len(samples) // hop) * hop
    hann = 0.5 - 0.5 * np.cos(2 * np.pi * np.arange(window) / window)
    return np.abs(np.fft.rfft(padded[starts[:, None] + np.arange(window)] * hann, fft))


def slaney_hz(mel):
    return np.where(mel < 15, mel * 200 / 3, 1000 * 6.4 ** ((mel - 15) / 27))


def mel_bank(fft, rate):
    """[bands, bins]: triangles of Slaney's scale, each of area 1 over hertz."""
    top = 15 + 27 * np.log(rate / 2 / 1000) / np.log(6.4)
    edges = slaney_hz(np.linspace(0, top, MEL_BANDS + 2))[:, None]
    hz = np.arange(fft // 2 + 1) * rate / fft
    low, peak, high = edges[:-2], edges[1:-1], edges[2:]
    triangles = np.minimum((hz - low) / (peak - low), (high - hz) / (high - peak))
    return np.maximum(triangles, 0) * 2 / (high - low)


def log_mel(samples, rate):
    return np.log(np.maximum(magnitudes(samples, *MEL) @ mel_bank(MEL[0], rate).T, MEL_FLOOR))


def mel_distance(original, decoded, rate):
    return np.abs(log_mel(original, rate) - log_mel(decoded, rate)).mean()


def spectral_convergence(original, decoded):
    spectra = [[magnitudes(signal, *shape) for signal in (original, decoded)]
               for shape in RESOLUTIONS]
    return np.mean([np.linalg.norm(a - b) / np.linalg.norm(a) for a, b in spectra])


def si_sdr_db(original, decoded):
    a, b = original - original.mean(), decoded - decoded.mean()
    target = a * (a @ b) / (a @ a)
    return 10 * np.log10(target @ target / np.sum((b - target) ** 2))
