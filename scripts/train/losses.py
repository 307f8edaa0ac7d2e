"""Reconstruction losses, each relative to the target so that their weights compare.

Phase is asked for from the first step (waveform and complex spectrum): added later, it finds a
decoder that makes noise with the right envelope, and stays there.
"""
import torch

from disturbance import Disturbance
from elu import Elu

SAMPLE_RATE = 24000
RESOLUTIONS = {2048: 128, 1024: 80, 512: 64, 256: 32}  # window length -> mel bands
PAIRS = ((2048, 512), (1024, 256))  # one is drawn for each step: half the work, the same mean
PHASE_RESOLUTIONS = (2048, 1024, 512)
ENVELOPE_FFT = 1024
ENVELOPE_WINDOW = 614  # 25.6 ms, every 12.8 ms, correlated over 30 of them, as STOI does
ENVELOPE_FRAMES = 30
ENVELOPE_STEP = 3
HEARD_SHARE = 0.05  # of the loudest window's envelope
ENVELOPE_BANDS = 15  # thirds of octaves from 150 Hz on
PHASE_CORNER_HZ = 1500.0  # the ear follows phase below this; above, the envelope decides
LOG_FLOOR = 1e-2  # of magnitudes: about 60 dB below speech, as quiet as one can hear beside it
MAGNITUDE_FLOOR = 3e-2  # 30 dB below speech: roots of less have gradients that drown the others

SIZE_LIMIT = 3.0
SIZE_STEP = 8  # every so-manieth time step is looked at

WEIGHTS = dict(mel=1.0, magnitude=3.0, phase=0.5, wave=0.4, envelope=0.4, disturbance=0.15,
               size=0.3)


def mel_bank(window, bands, device, top_hz=SAMPLE_RATE / 2):
    """Triangular filters [bands x window/2+1]."""
    top = 2595 * torch.log10(torch.tensor(1 + top_hz / 700))
    edges = 700 * (10 ** (torch.linspace(0, 1, bands + 2) * top / 2595) - 1)
    bins = torch.linspace(0, SAMPLE_RATE / 2, window // 2 + 1)
    rising = (bins - edges[:-2, None]) / (edges[1:-1] - edges[:-2])[:, None]
    falling = (edges[2:, None] - bins) / (edges[2:] - edges[1:-1])[:, None]
    return torch.minimum(rising, falling).clamp(min=0).to(device)


class FeatureSizes:
    """Asks for features of no more than SIZE_LIMIT (root mean square) after every layer.

    Nothing else does.  With matrices of limited norm they still grew threefold a layer, as inputs
    come to have much in common: 16,000 before the quantisers after 5,700 steps, where biases and
    transformers do nothing and ELU is no more than a threshold.
    """

    def __init__(self, model):
        self.squares = []
        for layer in [*model.encoder.layers, *list(model.decoder.layers)[:-1], model.upsample]:
            if not isinstance(layer, Elu):
                layer.register_forward_hook(self._note)

    def _note(self, _, inputs, output):
        if torch.is_grad_enabled():
            some = output.transpose(1, 2)[:, ::SIZE_STEP].float()  # as it lies in memory
            self.squares.append(some.square().mean())

    def penalty(self):
        """Of all that was computed since the last call."""
        squares, self.squares = torch.stack(self.squares), []
        return (squares / SIZE_LIMIT ** 2).log().clamp(min=0).square().sum()


def distance(error, target):
    """The error's size relative to the target's."""
    return error.norm() / target.norm().clamp(min=LOG_FLOOR)


def third_octaves(bins, device):
    """Which bins belong to which third of an octave [bands x bins]."""
    middle = 150.0 * 2 ** (torch.arange(ENVELOPE_BANDS) / 3)[:, None]
    hertz = torch.linspace(0, SAMPLE_RATE / 2, bins)
    inside = (hertz >= middle * 2 ** (-1 / 6)) & (hertz < middle * 2 ** (1 / 6))
    return inside.float().to(device)


class Reconstruction:
    def __init__(self, device):
        self.envelope_hann = torch.hann_window(ENVELOPE_WINDOW, device=device)
        self.disturbance = Disturbance(device)
        self.thirds = third_octaves(ENVELOPE_FFT // 2 + 1, device)
        self.windows = {n: torch.hann_window(n, device=device) for n in RESOLUTIONS}
        self.banks = {n: mel_bank(n, bands, device) for n, bands in RESOLUTIONS.items()}
        self.low = {n: 1 / (1 + (torch.linspace(0, SAMPLE_RATE / 2, n // 2 + 1, device=device)
                                 / PHASE_CORNER_HZ) ** 2)[:, None] for n in RESOLUTIONS}

    def _envelopes(self, audio):
        """Centred envelopes of third-octave bands [B x bands x windows x ENVELOPE_FRAMES]."""
        spectrum = torch.stft(audio.squeeze(1), ENVELOPE_FFT, ENVELOPE_WINDOW // 2,
                              ENVELOPE_WINDOW, self.envelope_hann, return_complex=True)
        power = self.thirds @ (spectrum.real ** 2 + spectrum.imag ** 2)
        windows = (power + LOG_FLOOR ** 2).sqrt().unfold(2, ENVELOPE_FRAMES, ENVELOPE_STEP)
        return windows - windows.mean(3, keepdim=True)

    def envelope(self, target, output):
        """1 - correlation of the envelopes in every band, where the target is not silent."""
        x, y = self._envelopes(target), self._envelopes(output)
        x_size, y_size = x.norm(dim=3), y.norm(dim=3)
        correlation = (x * y).sum(3) / (x_size * y_size + LOG_FLOOR ** 2)
        loudness = x_size.norm(dim=1, keepdim=True)
        heard = (loudness > HEARD_SHARE * loudness.max()).float().expand_as(correlation)
        return ((1 - correlation) * heard).sum() / heard.sum().clamp(min=1)

    def _spectrum(self, audio, window):
        return torch.stft(audio.squeeze(1), window, window // 4, window=self.windows[window],
                          return_complex=True)

    def __call__(self, target, output, pair):
        """Two [B x 1 x samples], one of PAIRS; returns the named terms.  Their means are left out: the last
        layers' common gradient toward a mean of zero is ten times what all else amounts to."""
        target, output = (audio - audio.mean(2, keepdim=True) for audio in (target, output))
        terms = dict(mel=0.0, magnitude=0.0, phase=0.0)
        phases = [window for window in pair if window in PHASE_RESOLUTIONS]
        for window in pair:
            x, y = self._spectrum(target, window), self._spectrum(output, window)
            x_size = (x.real ** 2 + x.imag ** 2 + MAGNITUDE_FLOOR ** 2).sqrt()
            y_size = (y.real ** 2 + y.imag ** 2 + MAGNITUDE_FLOOR ** 2).sqrt()
            bank = self.banks[window]
            x_mel, y_mel = (torch.log(bank @ size + LOG_FLOOR) for size in (x_size, y_size))
            terms["mel"] += (x_mel - y_mel).abs().mean() / len(pair)
            x_root, y_root = x_size.sqrt(), y_size.sqrt()
            terms["magnitude"] += distance(x_root - y_root, x_root) / len(pair)
            if window in phases:
                terms["phase"] += (self._phase(x, y, x_root, y_root, self.low[window])
                                   / len(phases))
        terms["envelope"] = self.envelope(target, output)
        terms["disturbance"] = self.disturbance(target, output)
        terms["wave"] = distance(target - output, target)
        return terms

    @staticmethod
    def _phase(x, y, x_root, y_root, low):
        """Distance of the complex spectra with square-root magnitudes, low frequencies first."""
        error = torch.view_as_real(x / x_root - y / y_root)
        return distance(error * low[..., None], x_root * low)

