"""Level 0 as a pupil that learns the teacher's phones."""
import torch
import torch.nn as nn

from teacher import HALVES, PHONES, cross_entropy, load_teacher

START_LOGIT = 6.0  # of a phone that is certain
GUESS_RIDGE = 1e-3
BACK_RIDGE = 0.1  # what varies less, noise hides


def regress(inputs, outputs, ridge):
    """Least squares [out x in] of rows, with a ridge of so many mean variances."""
    square = inputs.t() @ inputs
    square += ridge * len(inputs) * inputs.var(0).mean() * torch.eye(len(square)).to(square)
    return torch.linalg.solve(square, inputs.t() @ outputs).t()


def rows(batches):
    """[B x D x T] each -> [N x D]"""
    return torch.cat([batch.transpose(1, 2).flatten(0, 1) for batch in batches]).float()


class Pupil(nn.Module):
    """A linear head on what the decoder receives of level 0, asked for the phones of each frame."""

    def __init__(self, path, config):
        super().__init__()
        if config["codebook_dim"] < HALVES * len(PHONES):
            raise SystemExit(f"--teacher needs a --latent-dim of at least {HALVES * len(PHONES)}")
        # In a list, as it is not to be trained or saved.
        self.teacher = [load_teacher(path, "cpu")]
        # Latents are of any size and their means drift.
        self.norm = nn.BatchNorm1d(config["codebook_dim"], affine=False, track_running_stats=False)
        self.head = nn.Conv1d(config["codebook_dim"], HALVES * len(PHONES), 1)

    def to(self, device):
        self.teacher[0].to(device)
        return super().to(device)

    def forward(self, received, audio):
        """received [B x D x frames] of audio [B x 1 x samples] -> cross-entropy in nats."""
        return cross_entropy(self.head(self.norm(received)), self.teacher[0].targets(audio))

    @torch.no_grad()
    def start(self, half, batches, latents):
        """Makes the half's projection the linear guess of the posteriors, and the way back the
        best for the decoder that is used to the old one.  Returns the variance left."""
        targets = rows([self.teacher[0].targets(audio).flatten(1, 2) for audio in batches])
        latents = rows(latents)
        centred, sought = latents - latents.mean(0), targets - targets.mean(0)
        guess = regress(centred, sought, GUESS_RIDGE)
        left = (sought - centred @ guess.t()).square().sum() / sought.square().sum()
        before_in, before_out = (p.weight[..., 0] for p in (half.input_proj, half.output_proj))
        before = latents @ (before_out @ before_in).t()
        scale, answers = before_in.norm() / guess.norm(), len(guess)
        before_in.zero_()[:answers] = scale * guess
        projected = latents @ before_in[:answers].t()
        before_out.zero_()[:, :answers] = regress(projected, before, BACK_RIDGE)
        sure = torch.diag(START_LOGIT * projected.std(0) / scale)
        self.head.weight.zero_()[:, :answers, 0] = sure
        self.head.bias.copy_(targets.mean(0).clamp(min=1e-4).log())
        return left
