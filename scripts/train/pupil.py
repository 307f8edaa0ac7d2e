"""Level 0 as a pupil that learns the teacher's phones."""
import torch
import torch.nn as nn

from teacher import HALVES, PHONES, cross_entropy, load_teacher

START_LOGIT = 6.0  # of a phone that is certain
RIDGE = 1e-3  # of the mean variance


def regress(inputs, outputs):
    """Least squares with a ridge [out x in] of centred rows, and the share of variance left."""
    inputs, outputs = inputs - inputs.mean(0), outputs - outputs.mean(0)
    square = inputs.t() @ inputs
    square += RIDGE * square.diagonal().mean() * torch.eye(len(square), device=square.device)
    matrix = torch.linalg.solve(square, inputs.t() @ outputs).t()
    return matrix, (outputs - inputs @ matrix.t()).square().sum() / outputs.square().sum()


def rows(batches):
    """[B x D x T] each -> [N x D]"""
    return torch.cat([batch.transpose(1, 2).flatten(0, 1) for batch in batches]).float()


class Pupil(nn.Module):
    """A linear head on what the decoder receives of level 0, asked for the phones of each frame."""

    def __init__(self, path, config):
        super().__init__()
        # In a list, as it is not to be trained or saved.
        self.teacher = [load_teacher(path, "cpu")]
        self.head = nn.Conv1d(config["codebook_dim"], HALVES * len(PHONES), 1)

    def to(self, device):
        self.teacher[0].to(device)
        return super().to(device)

    def forward(self, received, audio):
        """received [B x D x frames] of audio [B x 1 x samples] -> cross-entropy in nats."""
        return cross_entropy(self.head(received), self.teacher[0].targets(audio))

    @torch.no_grad()
    def start(self, half, batches, latents):
        """Makes the half's projection the linear guess of the posteriors, and the way back the
        best for the decoder that is used to the old one.  Returns the variance left."""
        targets = rows([self.teacher[0].targets(audio).flatten(1, 2) for audio in batches])
        latents = rows(latents)
        guess, left = regress(latents, targets)
        before_in, before_out = (p.weight[..., 0] for p in (half.input_proj, half.output_proj))
        before = latents @ (before_out @ before_in).t()
        scale = before_in.norm() / guess.norm()
        answers = len(guess)
        before_in.zero_()[:answers] = scale * guess
        projected = latents @ before_in[:answers].t()
        before_out.zero_()[:, :answers] = regress(projected, before)[0]
        certain = torch.eye(answers, device=guess.device) * START_LOGIT / scale
        self.head.weight.zero_()[:, :answers, 0] = certain
        prior = targets.mean(0).clamp(min=1e-4).log()
        self.head.bias.copy_(prior - self.head.weight[..., 0] @ before_in @ latents.mean(0))
        return left
