"""Reconstruction losses, each relative to the target so that their weights compare.

Phase is asked for from the first step (waveform and complex spectrum): added later, it finds a
decoder that makes noise with the right envelope, and stays there.
"""
import torch

SAMPLE_RATE = 24000
RESOLUTIONS = {2048: 128, 1024: 80, 512: 64, 256: 32}  # window length -> mel bands
PHASE_RESOLUTIONS = (2048, 1024, 512)
PHASE_CORNER_HZ = 1500.0  # the ear follows phase below this; above, the envelope decides
LOG_FLOOR = 1e-2  # of magnitudes: about 60 dB below speech, as quiet as one can hear beside it
MAGNITUDE_FLOOR = 1e-3

WEIGHTS = dict(mel=1.0, magnitude=2.0, phase=2.0, wave=1.0)


def mel_bank(window, bands, device):
    """Triangular filters [bands x window/2+1]."""
    top = 2595 * torch.log10(torch.tensor(1 + SAMPLE_RATE / 2 / 700))
    edges = 700 * (10 ** (torch.linspace(0, 1, bands + 2) * top / 2595) - 1)
    bins = torch.linspace(0, SAMPLE_RATE / 2, window // 2 + 1)
    rising = (bins - edges[:-2, None]) / (edges[1:-1] - edges[:-2])[:, None]
    falling = (edges[2:, None] - bins) / (edges[2:] - edges[1:-1])[:, None]
    return torch.minimum(rising, falling).clamp(min=0).to(device)


class Reconstruction:
    def __init__(self, device):
        self.windows = {n: torch.hann_window(n, device=device) for n in RESOLUTIONS}
        self.banks = {n: mel_bank(n, bands, device) for n, bands in RESOLUTIONS.items()}
        self.low = {n: 1 / (1 + (torch.linspace(0, SAMPLE_RATE / 2, n // 2 + 1, device=device)
                                 / PHASE_CORNER_HZ) ** 2)[:, None] for n in RESOLUTIONS}

    def _spectrum(self, audio, window):
        return torch.stft(audio.squeeze(1), window, window // 4, window=self.windows[window],
                          return_complex=True)

    def __call__(self, target, output):
        """Two [B x 1 x samples]; returns the named terms."""
        terms = dict(mel=0.0, magnitude=0.0, phase=0.0)
        for window in RESOLUTIONS:
            x, y = self._spectrum(target, window), self._spectrum(output, window)
            x_size = (x.real ** 2 + x.imag ** 2 + MAGNITUDE_FLOOR ** 2).sqrt()
            y_size = (y.real ** 2 + y.imag ** 2 + MAGNITUDE_FLOOR ** 2).sqrt()
            bank = self.banks[window]
            x_mel, y_mel = (torch.log(bank @ size + LOG_FLOOR) for size in (x_size, y_size))
            terms["mel"] += (x_mel - y_mel).abs().mean() / len(RESOLUTIONS)
            x_root, y_root = x_size.sqrt(), y_size.sqrt()
            terms["magnitude"] += ((x_root - y_root).abs().sum() / x_root.sum()
                                   / len(RESOLUTIONS))
            if window in PHASE_RESOLUTIONS:
                terms["phase"] += (self._phase(x, y, x_root, y_root, self.low[window])
                                   / len(PHASE_RESOLUTIONS))
        terms["wave"] = (target - output).abs().sum() / target.abs().sum()
        return terms

    @staticmethod
    def _phase(x, y, x_root, y_root, low):
        """Distance of the complex spectra with square-root magnitudes, low frequencies first."""
        real = x.real / x_root - y.real / y_root
        imaginary = x.imag / x_root - y.imag / y_root
        distance = (real ** 2 + imaginary ** 2 + 1e-8).sqrt()
        return (low * distance).sum() / (low * x_root).sum()


def weighted(terms):
    return sum(WEIGHTS[name] * value for name, value in terms.items())
