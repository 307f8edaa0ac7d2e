"""How much of an error is heard, as ITU-T P.862 (PESQ) and its wideband mapping P.862.2 reckon it.

Differentiable, of signals that are aligned in time, with bands and thresholds from formulas: 49
bands of equal width in Bark (Schroeder et al. 1979), Terhardt's threshold of hearing.  Means over
batches of segments stand for those over a recording.
"""
import torch

SAMPLE_RATE = 24000
WINDOW = 768  # 32 ms: bins of 31.25 Hz, as there
BANDS, TOP_HZ = 49, 8000
LEVEL_HZ = (350, 3250)
LEVEL = 1e7  # mean square in that range, from samples of 16 bits
POWER_SCALE = 6.910853e-4 * (512 / WINDOW) ** 2  # from squares of spectra to sound pressure
SONES = 0.1866055
ZWICKER_POWER = 0.23
EQUALISED = (0.01, 100.0)  # what a constant filter may have changed a band's power by
EQUALISED_FLOOR = 1000.0
GAIN = (3e-4, 5.0)  # what a frame's power may have been changed by
GAIN_FLOOR = 5e3
HEARD_FRAME = 1e4  # power of a frame that counts in a band's mean
HIDDEN_SHARE = 0.25  # of the softer one's loudness, as much of an error is hidden
ADDED_FLOOR, ADDED_POWER, ADDED_RANGE = 50.0, 1.2, (3.0, 12.0)
FRAME_FLOOR, FRAME_POWER, FRAME_TOP = 1e5, 0.04, 45.0
SYMMETRIC, ASYMMETRIC = 0.1, 0.0309  # points of PESQ's raw score
SPLIT = 20  # frames
SMALL = 1e-6


def bark(hertz):
    return 7 * torch.asinh(hertz / 650)


def power_mean(values, power, dim):
    return (values ** power).mean(dim) ** (1 / power)


class Disturbance:
    def __init__(self, device):
        self.hann = torch.hann_window(WINDOW, device=device)
        hertz = torch.linspace(0, SAMPLE_RATE / 2, WINDOW // 2 + 1)
        self.level_bins = ((hertz >= LEVEL_HZ[0]) & (hertz <= LEVEL_HZ[1])).float().to(device)
        edges = torch.linspace(0, bark(torch.tensor(float(TOP_HZ))), BANDS + 1)
        half_bin = (hertz[1] / 2).item()
        low, high = bark((hertz - half_bin).clamp(min=0)), bark(hertz + half_bin)
        shared = (torch.minimum(high, edges[1:, None]) - torch.maximum(low, edges[:-1, None]))
        self.bank = (shared.clamp(min=0) / (high - low)).to(device)  # shares of bins in bands
        middle = 650 * torch.sinh((edges[1:] + edges[:-1]) / 14) / 1000
        threshold = (3.64 * middle ** -0.8 - 6.5 * (-0.6 * (middle - 3.3) ** 2).exp()
                     + 1e-3 * middle ** 4)
        self.threshold = (10 ** (threshold / 10)).to(device)[:, None]
        barks = (edges[1:] + edges[:-1]) / 2
        steeper = (6 / (barks + 2)).clamp(1, 2) ** 0.15
        self.exponent = (ZWICKER_POWER * steeper).to(device)[:, None]
        self.width = (edges[1] - edges[0]).item()

    def _spectra(self, audio):
        spectrum = torch.stft(audio.squeeze(1), WINDOW, WINDOW // 2, window=self.hann,
                              return_complex=True)
        return spectrum.real ** 2 + spectrum.imag ** 2

    def _powers(self, target, output):
        """Powers in bands [B x bands x frames] of both, the target's level normalised."""
        x, y = self._spectra(target), self._spectra(output)
        # Parseval: of a Hann window's squares 3/8 are left, of a real signal's bins one half.
        square = (x * self.level_bins[:, None]).sum(1).mean(1) / (WINDOW ** 2 * 3 / 16)
        scale = (LEVEL / square.clamp(min=1e-9) * POWER_SCALE)[:, None, None]
        return self.bank @ x * scale, self.bank @ y * scale

    def _loudness(self, power):
        relative = (0.5 + 0.5 * power / self.threshold) ** self.exponent - 1
        return SONES * (self.threshold / 0.5) ** self.exponent * relative.clamp(min=0)

    @torch.no_grad()
    def _equaliser(self, x, y):
        heard = (x.sum(1, keepdim=True) > HEARD_FRAME).float()
        mean_x, mean_y = ((power * heard).sum(2, keepdim=True) / heard.sum(2, keepdim=True).clamp(1)
                          for power in (x, y))
        return ((mean_y + EQUALISED_FLOOR) / (mean_x + EQUALISED_FLOOR)).clamp(*EQUALISED)

    @torch.no_grad()
    def _gain(self, x, y):
        return ((x.sum(1, keepdim=True) + GAIN_FLOOR)
                / (y.sum(1, keepdim=True) + GAIN_FLOOR)).clamp(*GAIN)

    def of_frames(self, target, output):
        """Symmetric and asymmetric disturbance [B x frames] of two [B x 1 x samples]."""
        x, y = self._powers(target, output)
        energy = x.sum(1)
        x = x * self._equaliser(x, y)
        y = y * self._gain(x, y)
        x_loudness, y_loudness = self._loudness(x), self._loudness(y)
        hidden = HIDDEN_SHARE * torch.minimum(x_loudness, y_loudness)
        error = ((y_loudness - x_loudness).abs() - hidden).clamp(min=0)
        added = ((y.detach() + ADDED_FLOOR) / (x + ADDED_FLOOR)) ** ADDED_POWER
        added = torch.where(added < ADDED_RANGE[0], 0.0, added.clamp(max=ADDED_RANGE[1]))
        total = BANDS * self.width
        weight = ((energy + FRAME_FLOOR) / LEVEL) ** FRAME_POWER
        symmetric = (error.square().mean(1) + SMALL).sqrt() * total / weight
        asymmetric = (error * added).mean(1) * total / weight
        return symmetric.clamp(max=FRAME_TOP), asymmetric.clamp(max=FRAME_TOP)

    def __call__(self, target, output):
        """Points of the raw score that the output lacks, mean over the batch.

        Of every third of a second the worst frames count most.
        """
        symmetric, asymmetric = (
            power_mean(power_mean((frames + SMALL).unfold(1, SPLIT, SPLIT // 2), 6, 2), 2, 1)
            for frames in self.of_frames(target, output))
        return (SYMMETRIC * symmetric + ASYMMETRIC * asymmetric).mean()
