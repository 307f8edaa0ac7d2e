"""How much of an error is heard, as ITU-T P.862 (PESQ) and its wideband mapping P.862.2 reckon it.

Differentiable, of signals that are aligned in time, with bands and thresholds from formulas: 49
bands whose widths grow with frequency, Terhardt's threshold of hearing.  Segments stand for
recordings.

Each of its parts counts.  Without the wideband input filter, the output's own level and the slow
gain, a decoder gained 0.15 points here and 0.006 by PESQ itself.
"""
import torch
import torch.nn.functional as F

SAMPLE_RATE = 24000
WINDOW = 768  # 32 ms: bins of 31.25 Hz, as there
BANDS, TOP_HZ = 49, 8000
BAND_CORNER_HZ = 450  # bands are of one width below and of one ratio above
FILTER_RATE = 16000
# Of P.862.2: gain, numerator, denominator.
FILTER = (2.740826, (1, -2, 1), (1, -1.9444777, 0.94597794))
LEVEL_HZ = (350, 3250)
LEVEL = 1e7  # mean square in that range, from samples of 16 bits
POWER_SCALE = 6.910853e-4 * (512 / WINDOW) ** 2  # from squares of spectra to sound pressure
SONES = 0.1866055
ZWICKER_POWER = 0.23
BARK_SCALE = 0.9
HEARD, HEARD_FRAME = 100.0, 1e7  # times the threshold; power of a frame that is not silent
EQUALISED = (0.01, 100.0)  # what a constant filter may have changed a band's power by
EQUALISED_FLOOR = 1000.0
GAIN = (3e-4, 5.0)  # what a frame's power may have been changed by
GAIN_FLOOR = 5e3
GAIN_MEMORY, GAIN_FRAMES = 0.2, 6  # share of the frame before, frames after which nothing is left
HIDDEN_SHARE = 0.25  # of the softer one's loudness, as much of an error is hidden
ADDED_FLOOR, ADDED_POWER, ADDED_RANGE = 50.0, 1.2, (3.0, 12.0)
FRAME_FLOOR, FRAME_POWER, FRAME_TOP = 1e5, 0.04, 45.0
SYMMETRIC, ASYMMETRIC = 0.1, 0.0309  # points of PESQ's raw score
SPLIT = 20  # frames
SMALL = 1e-6


def bark(hertz):
    return BARK_SCALE * 7 * torch.asinh(hertz / 650)


def power_mean(values, power, dim):
    return (values ** power).mean(dim) ** (1 / power)


def filter_power(hertz):
    """What the wideband input filter leaves of the power at each frequency."""
    delays = torch.exp(-2j * torch.pi * hertz / FILTER_RATE)
    gain, above, below = FILTER
    over, under = (sum(c * delays ** n for n, c in enumerate(part)) for part in (above, below))
    return (gain * over / under).abs() ** 2 * (hertz <= TOP_HZ)


class Disturbance:
    def __init__(self, device):
        self.hann = torch.hann_window(WINDOW, device=device)
        hertz = torch.linspace(0, SAMPLE_RATE / 2, WINDOW // 2 + 1)
        self.level_bins = ((hertz >= LEVEL_HZ[0]) & (hertz <= LEVEL_HZ[1])).float().to(device)
        top = torch.asinh(torch.tensor(TOP_HZ / BAND_CORNER_HZ)).item()
        edges = BAND_CORNER_HZ * torch.sinh(torch.linspace(0, top, BANDS + 1))
        half_bin = hertz[1] / 2
        low, high = (hertz - half_bin).clamp(min=0), hertz + half_bin
        shared = (torch.minimum(high, edges[1:, None]) - torch.maximum(low, edges[:-1, None]))
        shares = shared.clamp(min=0) / (high - low)  # of bins in bands
        self.bank = (shares * filter_power(hertz)).to(device)
        middle = (edges[1:] + edges[:-1]) / 2000
        threshold = (3.64 * middle ** -0.8 - 6.5 * (-0.6 * (middle - 3.3) ** 2).exp()
                     + 1e-3 * middle ** 4)
        self.threshold = (10 ** (threshold / 10)).to(device)[:, None]
        barks = bark(edges)
        steeper = (6 / ((barks[1:] + barks[:-1]) / 2 + 2)).clamp(1, 2) ** 0.15
        self.exponent = (ZWICKER_POWER * steeper).to(device)[:, None]
        self.widths = (barks[1:] - barks[:-1]).to(device)[1:, None]  # the lowest band is not judged
        memory = (GAIN_MEMORY ** torch.arange(GAIN_FRAMES)).flip(0)  # the frame itself comes last
        self.memory = (memory / memory.sum()).to(device)

    def _powers(self, audio):
        """Powers in bands [B x bands x frames], the level normalised."""
        spectrum = torch.stft(audio.squeeze(1), WINDOW, WINDOW // 2, window=self.hann, center=False,
                              return_complex=True)
        power = spectrum.real ** 2 + spectrum.imag ** 2
        # Parseval: of a Hann window's squares 3/8 are left, of a real signal's bins one half.
        square = (power * self.level_bins[:, None]).sum(1).mean(1) / (WINDOW ** 2 * 3 / 16)
        scale = LEVEL / square.clamp(min=1e-9) * POWER_SCALE
        return self.bank @ power * scale[:, None, None]

    def _loudness(self, power):
        relative = (0.5 + 0.5 * power / self.threshold) ** self.exponent - 1
        return SONES * (self.threshold / 0.5) ** self.exponent * relative.clamp(min=0)

    def _heard(self, power, times=1.0):
        return power * (power > times * self.threshold)

    def _equaliser(self, x, y):
        spoken = (self._heard(x, HEARD)[:, 1:].sum(1, keepdim=True) > HEARD_FRAME).float()
        mean_x, mean_y = ((self._heard(power, HEARD) * spoken).mean(2, keepdim=True)
                          for power in (x, y))
        return ((mean_y + EQUALISED_FLOOR) / (mean_x + EQUALISED_FLOOR)).clamp(*EQUALISED)

    def _gain(self, x, y):
        x, y = (self._heard(power)[:, 1:].sum(1, keepdim=True) for power in (x, y))
        ratio = F.pad((x + GAIN_FLOOR) / (y + GAIN_FLOOR), (GAIN_FRAMES - 1, 0), mode="replicate")
        return F.conv1d(ratio, self.memory[None, None]).clamp(*GAIN)

    def of_frames(self, target, output):
        """Symmetric and asymmetric disturbance [B x frames] of two [B x 1 x samples]."""
        x, y = self._powers(target), self._powers(output)
        x = x * self._equaliser(x, y)
        y = y * self._gain(x, y)
        x_loudness, y_loudness = self._loudness(x), self._loudness(y)
        hidden = HIDDEN_SHARE * torch.minimum(x_loudness, y_loudness)
        error = ((y_loudness - x_loudness).abs() - hidden).clamp(min=0)
        added = ((y + ADDED_FLOOR) / (x + ADDED_FLOOR)) ** ADDED_POWER
        added = torch.where(added < ADDED_RANGE[0], 0.0, added.clamp(max=ADDED_RANGE[1]))
        error, added = error[:, 1:] * self.widths, added[:, 1:]
        weight = ((self._heard(x)[:, 1:].sum(1) + FRAME_FLOOR) / LEVEL) ** FRAME_POWER
        symmetric = (error.square().sum(1) * self.widths.sum() + SMALL).sqrt() / weight
        asymmetric = (error * added).sum(1) / weight
        return symmetric.clamp(max=FRAME_TOP), asymmetric.clamp(max=FRAME_TOP)

    def __call__(self, target, output):
        """Points of the raw score that the output lacks, mean over the batch.

        Of every third of a second the worst frames count most.
        """
        symmetric, asymmetric = (
            power_mean(power_mean((frames + SMALL).unfold(1, SPLIT, SPLIT // 2), 6, 2), 2, 1)
            for frames in self.of_frames(target, output))
        return (SYMMETRIC * symmetric + ASYMMETRIC * asymmetric).mean()
