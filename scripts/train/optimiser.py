"""Muon for convolutions, Adam for the rest; worked on by several processes."""
import multiprocessing
import os

import torch

MOMENTUM = 0.95
MUON_SIZE = 0.2  # root mean square of Muon's steps at rate 1, about that of Adam's
BETAS = (0.9, 0.99)
WHOLE = ("encoder.layers.0.", "decoder.layers.14.", "upsample.")  # from or to one channel

# The last convolution turns features of size 4 into sound of size 0.07: at the others' rate its
# swings are as loud as what there is above 4 kHz.
SLOW, SLOWNESS = "decoder.layers.14.", 0.1
ADAM_SHARE = 0.5  # of the rate, which is Muon's; its steps in a wide matrix are of larger norm
SECOND = ".block.3.conv.weight"  # of residual blocks, which start near the identity
SECOND_GROWTH = 6.0
FREE = "head."  # tells phones, for which its logits have to grow


def orthogonalise(matrix, steps=5):
    """The nearest matrix with equal singular values, roughly: Newton and Schulz's iteration."""
    a, b, c = 3.4445, -4.7750, 2.0315
    tall = matrix.shape[0] > matrix.shape[1]
    x = matrix.t() if tall else matrix
    x = (x / (x.norm() + 1e-12)).bfloat16()
    for _ in range(steps):
        square = x @ x.t()
        x = torch.addmm(x, torch.addmm(square, square, square, beta=b, alpha=c), x, beta=a)
    return (x.t() if tall else x).float()


def norm_limit(name, weight):
    """The norm that a matrix starts with is the largest that it may have, the small ones of residual
    blocks excepted.

    Nothing asks for features of a certain size.  Left to drift they grew to 67,000 in 1,600 steps:
    biases and transformers, whose parts are of size 1, then do nothing, and channels die.
    """
    if weight.dim() == 1 or name.startswith(FREE):
        return torch.full((), float("inf"), device=weight.device)
    return weight.detach().norm() * (SECOND_GROWTH if name.endswith(SECOND) else 1.0)


class Team:
    """Processes that share the weights: each finds the gradients of its own batch and updates its
    share of the weights from everyone's."""

    def __init__(self, workers, weights):
        self.workers, self.rank = workers, 0
        self.barrier = multiprocessing.get_context("fork").Barrier(workers)
        self.gradients = [[torch.zeros_like(weight) for weight in weights] for _ in range(workers)]
        self.stop = torch.zeros((), dtype=torch.bool)
        self.done = torch.zeros((), dtype=torch.float64)
        if workers > 1:
            for tensor in [self.stop, self.done] + sum(self.gradients, []):
                tensor.share_memory_()

    def fork(self):
        """Returns in every worker; there and here `rank` tells which it is."""
        for rank in range(1, self.workers):
            if os.fork() == 0:
                self.rank = rank
                break

    def wait(self):
        if self.workers > 1:
            self.barrier.wait()


class Optimiser:
    """Every tensor that it keeps is made at once, so that it can lie in memory that is shared."""

    def __init__(self, named, encoder, muon, team):
        """named: (name, weight) of the model; encoder: ids of the weights of its side."""
        self.team = team
        self.weights = [weight for _, weight in named]
        device = self.weights[0].device
        # Tensors, as a step may be a graph that is replayed: the others' rate and the encoder's.
        self.steps, self.rates = torch.zeros((), device=device), torch.zeros(2, device=device)
        self.of_encoder = [id(weight) in encoder for weight in self.weights]
        self.muon = [muon and w.dim() == 3 and not name.startswith(WHOLE + (FREE,))
                     for name, w in named]
        self.share = [1.0 if muon else SLOWNESS if name.startswith(SLOW) else ADAM_SHARE
                      for (name, _), muon in zip(named, self.muon)]
        self.moments = [[torch.zeros_like(weight) for _ in range(1 if muon else 2)]
                        for weight, muon in zip(self.weights, self.muon)]
        self.limit_norms(named)
        load, self.owner = [0] * team.workers, [0] * len(self.weights)
        cost = [w.numel() * (min(w.flatten(1).shape) if muon else 1)
                for w, muon in zip(self.weights, self.muon)]
        for number in sorted(range(len(cost)), key=lambda number: -cost[number]):
            self.owner[number] = load.index(min(load))
            load[self.owner[number]] += cost[number]

    def limit_norms(self, named):
        """To those of these weights, which are at their start."""
        self.limits = [norm_limit(name, weight) for name, weight in named]

    def allow(self, changed):
        """Lifts the limits of a weight that was set anew to the norm that it has."""
        for number, weight in enumerate(self.weights):
            if weight is changed:
                self.limits[number] = torch.maximum(self.limits[number], weight.detach().norm())

    def tensors(self):
        return sum(self.moments, [self.steps])

    def state_dict(self):
        return dict(tensors=self.tensors(), limits=self.limits)

    def load_state_dict(self, state):
        """Weights after those of the state, a head's that it lacks, keep their start."""
        self.limits[:len(state["limits"])] = state["limits"]
        for tensor, saved in zip(self.tensors(), state["tensors"]):
            tensor.copy_(saved)

    @torch.no_grad()
    def step(self):
        """Updates this worker's share of the weights at `rates`."""
        if self.team.rank == 0:
            self.steps += 1
        self.team.wait()
        for number, weight in enumerate(self.weights):
            if self.owner[number] != self.team.rank or not weight.requires_grad:
                continue
            gradient = torch.stack([each[number] for each in self.team.gradients]).mean(0)
            update = (self._muon if self.muon[number] else self._adam)(number, gradient)
            rate = self.rates[int(self.of_encoder[number])]
            weight.sub_(update * (rate * self.share[number]))
            weight.mul_((self.limits[number] / weight.norm()).clamp(max=1.0))

    def _muon(self, number, gradient):
        momentum, = self.moments[number]
        momentum.lerp_(gradient, 1 - MOMENTUM)
        update = orthogonalise(gradient.lerp(momentum, MOMENTUM).flatten(1))
        return update.view_as(gradient) * (MUON_SIZE * max(update.shape) ** 0.5)

    def _adam(self, number, gradient):
        mean, square = self.moments[number]
        mean.lerp_(gradient, 1 - BETAS[0])
        square.lerp_(gradient.square(), 1 - BETAS[1])
        size = (square / (1 - BETAS[1] ** self.steps)).sqrt() + 1e-8
        return mean / (1 - BETAS[0] ** self.steps) / size
