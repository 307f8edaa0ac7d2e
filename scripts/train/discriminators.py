"""Discriminators on complex spectra and on periods, with hinge and feature-matching losses."""
import torch
import torch.nn as nn
import torch.nn.functional as F
from torch.nn.utils.parametrizations import weight_norm

WINDOWS = (2048, 1024, 512)
PERIODS = (2, 3, 5, 7, 11)
SLOPE = 0.2


class ConvStack(nn.Module):
    def __init__(self, convs, last):
        super().__init__()
        self.convs = nn.ModuleList([weight_norm(conv) for conv in convs])
        self.last = weight_norm(last)

    def forward(self, x):
        """Returns the score map and the features of every layer before it."""
        features = []
        for conv in self.convs:
            x = F.leaky_relu(conv(x), SLOPE)
            features.append(x)
        return self.last(x), features


class SpectrumDiscriminator(nn.Module):
    """Sees real and imaginary parts [B x 2 x time x frequency], magnitudes compressed."""

    def __init__(self, window, channels):
        super().__init__()
        self.window = window
        self.register_buffer("hann", torch.hann_window(window), persistent=False)
        widths = (2, channels, channels, 2 * channels, 2 * channels)
        convs = [nn.Conv2d(a, b, (3, 7), (1, 2), (1, 3)) for a, b in zip(widths, widths[1:])]
        self.stack = ConvStack(convs, nn.Conv2d(widths[-1], 1, (3, 3), padding=1))

    def forward(self, audio):
        spectrum = torch.stft(audio.squeeze(1), self.window, self.window // 4, window=self.hann,
                              return_complex=True)
        parts = torch.view_as_real(spectrum).permute(0, 3, 2, 1)
        power = parts.pow(2).sum(1, keepdim=True)
        return self.stack(parts * (power + 1e-6).pow(-0.25))


class PeriodDiscriminator(nn.Module):
    """Sees the waveform folded into rows of `period` samples."""

    def __init__(self, period, channels):
        super().__init__()
        self.period = period
        widths = (1, channels, 2 * channels, 4 * channels, 4 * channels)
        convs = [nn.Conv2d(a, b, (5, 1), (3, 1), (2, 0)) for a, b in zip(widths, widths[1:])]
        self.stack = ConvStack(convs, nn.Conv2d(widths[-1], 1, (3, 1), padding=(1, 0)))

    def forward(self, audio):
        audio = F.pad(audio, (0, -audio.shape[-1] % self.period), mode="reflect")
        return self.stack(audio.unflatten(2, (-1, self.period)))


def make_discriminators(channels=16):
    return nn.ModuleList([SpectrumDiscriminator(window, channels) for window in WINDOWS]
                         + [PeriodDiscriminator(period, channels) for period in PERIODS])


def discriminator_loss(discriminators, target, output):
    loss = 0.0
    for judge in discriminators:
        real, fake = judge(target)[0].float(), judge(output.detach())[0].float()
        loss = loss + F.relu(1 - real).mean() + F.relu(1 + fake).mean()
    return loss / len(discriminators)


def generator_losses(discriminators, target, output):
    """The adversarial loss, and the distance of the features relative to their size."""
    adversarial, matching = 0.0, 0.0
    for judge in discriminators:
        with torch.no_grad():
            real_features = judge(target)[1]
        score, features = judge(output)
        adversarial = adversarial - score.float().mean()
        for real, fake in zip(real_features, features):
            real, fake = real.float(), fake.float()
            matching = matching + (real - fake).abs().mean() / real.abs().mean() / len(features)
    return dict(adversarial=adversarial / len(discriminators),
                matching=matching / len(discriminators))
