"""Starting weights that already code speech.

With small signals ELU is nearly linear, so the encoder can start as a lapped linear transform: each
layer's first channels are the principal components of its input patches (newest samples first,
since the decoder never sees later frames), and the decoder's are least squares back to the
encoder's features, stage by stage, down to the waveform.  The remaining channels start random and
of the same size.  The voice then has its pitch before the first gradient step; from random weights,
thousands of steps found envelopes only.
"""
import torch
import torch.nn.functional as F

from model import CausalConv, CausalConvTranspose, Residual

SIZE = 0.25  # standard deviation of every layer's output; their means are zero
OLD_WEIGHT = 0.25  # of the older half of a patch in its principal components
RIDGE = 1e-4


class Moments:
    """Running sums for means, covariances and least squares, rows of [N x inputs] and targets."""

    def __init__(self):
        self.count, self.sums = 0, None

    def add(self, inputs, targets):
        rows = torch.cat((inputs, targets), 1).double()
        sums = (rows.sum(0), rows.t() @ rows)
        self.sums = sums if self.count == 0 else tuple(a + b for a, b in zip(self.sums, sums))
        self.count += len(rows)

    def second(self):
        return (self.sums[1] / self.count).float()

    def centred(self):
        mean = self.sums[0] / self.count
        return mean.float(), (self.sums[1] / self.count - mean[:, None] * mean).float()


def patches(conv, x):
    """The inputs of every output of a convolution: [B x C x T] -> [N x C*kernel]."""
    kernel, stride = conv.conv.kernel_size[0], conv.conv.stride[0]
    windows = conv.pad(x).unfold(2, kernel, stride)
    return windows.permute(0, 2, 1, 3).reshape(-1, x.shape[1] * kernel)


def set_random(weight, gain, inputs):
    weight.normal_(0, gain / inputs ** 0.5)


def principal(covariance, emphasis, count, whitening):
    """Directions [count x inputs] of largest variance, of overall size SIZE.

    whitening: 0 keeps their relative sizes, 0.5 makes them equal.
    """
    weighted = covariance * emphasis[:, None] * emphasis
    values, vectors = torch.linalg.eigh(weighted)
    values, vectors = values.flip(0)[:count].clamp(min=1e-12), vectors.flip(1)[:, :count]
    rows = (vectors * emphasis[:, None]).t() * values[:, None] ** -whitening
    size = (torch.einsum("ij,jk,ik->i", rows, covariance, rows).mean()).sqrt()
    return rows * SIZE / size


def start_convolution(layer, feature_batches, components, whitening):
    """Principal components in the first rows, random rows below; zero-mean outputs."""
    moments = Moments()
    for x in feature_batches:
        rows = patches(layer, x)
        moments.add(rows, rows[:, :0])
    mean, covariance = moments.centred()
    outputs, inputs, kernel = layer.conv.weight.shape
    newest = max(1, layer.conv.stride[0])
    age = torch.arange(kernel) < kernel - newest
    emphasis = torch.where(age, OLD_WEIGHT, 1.0).repeat(inputs)
    rows = torch.randn(outputs, inputs * kernel)
    spread = torch.einsum("ij,jk,ik->i", rows, covariance, rows).clamp(min=1e-12).sqrt()
    rows *= (SIZE / spread)[:, None]
    rows[:components] = principal(covariance, emphasis, components, whitening)
    layer.conv.weight.copy_(rows.view(outputs, inputs, kernel))
    layer.conv.bias.copy_(-(rows @ mean))


def ridge(moments, inputs):
    """Weights [targets x inputs] of a ridge regression, from second moments of both."""
    normal = moments[:inputs, :inputs]
    normal = normal + RIDGE * normal.diagonal().mean() * torch.eye(inputs)
    return torch.linalg.solve(normal, moments[:inputs, inputs:]).t()


def fit_convolution(layer, feature_batches, target_batches):
    """Least squares onto the targets in the first rows, random rows below."""
    moments = Moments()
    for x, target in zip(feature_batches, target_batches):
        moments.add(patches(layer, x), target.transpose(1, 2).reshape(-1, target.shape[1]))
    outputs, inputs, kernel = layer.conv.weight.shape
    mean, covariance = moments.centred()
    count = inputs * kernel
    weights = ridge(covariance, count)
    inner = covariance[:count, :count]
    rows = torch.randn(outputs, inputs * kernel)
    spread = torch.einsum("ij,jk,ik->i", rows, inner, rows).clamp(min=1e-12).sqrt()
    rows *= (SIZE / spread)[:, None]
    rows[: len(weights)] = weights
    layer.conv.weight.copy_(rows.view(outputs, inputs, kernel))
    layer.conv.bias.copy_(-(rows @ mean[:count]))
    layer.conv.bias[: len(weights)] = mean[count:] - weights @ mean[:count]


def fit_transpose(layer, feature_batches, target_batches):
    """The same for a transposed convolution: each output block sees two input steps.

    One bias serves all the steps of a block: the targets' mean.
    """
    stride = layer.conv.stride[0]
    inputs, outputs = layer.conv.weight.shape[:2]
    mean = torch.cat([target.mean((0, 2))[None] for target in target_batches]).mean(0)
    moments = Moments()
    for x, target in zip(feature_batches, target_batches):
        both = torch.cat((x, F.pad(x, (1, 0))[..., :-1]), 1)
        blocks = (target - mean[:, None]).unflatten(2, (-1, stride)).permute(0, 2, 1, 3).flatten(2)
        moments.add(both.transpose(1, 2).flatten(0, 1), blocks.flatten(0, 1))
    weights = ridge(moments.second(), 2 * inputs)
    fitted = len(mean)
    weights = weights.view(fitted, stride, 2, inputs).permute(3, 0, 2, 1).flatten(2)
    feature_size = feature_batches[0].square().mean().sqrt()
    set_random(layer.conv.weight, SIZE / feature_size, 2 * inputs)
    layer.conv.weight[:, :fitted] = weights
    layer.conv.bias.zero_()
    layer.conv.bias[:fitted] = mean


def start_residual(layer):
    """Nearly the identity."""
    for conv, gain in ((layer.block[1].conv, 1.2), (layer.block[3].conv, 0.1)):
        set_random(conv.weight, gain, conv.weight[0].numel())
        conv.bias.zero_()


def start_transformer(transformer):
    for layer in transformer.layers:
        for weight in layer.parameters():
            if weight.dim() == 2:
                set_random(weight, 1.0, weight.shape[1])


def start_resampling(model, paired):
    """The latent's first 2*paired channels hold the even, then the odd 25 Hz frame's components.

    The upsampling returns each set at its own frame and zero at the other, so that the decoder's
    first convolution can tell them apart; the remaining channels average and interpolate.
    """
    down, up = model.downsample.conv.weight, model.upsample.conv.weight
    down.zero_()
    for channel in range(paired):
        down[channel, channel, 2] = 1.0
        down[paired + channel, channel, 3] = 1.0
    rest = down.shape[0] - 2 * paired
    set_random(down[2 * paired:], 1.0, 2 * down.shape[1])
    up.zero_()
    up[:paired, 0, 0] = 1.0
    up[paired:2 * paired, 0, 1] = 1.0
    up[2 * paired:, 0] = torch.tensor([0.5, 1.0, 0.5, 0.0]).expand(rest, 4)


def start_projections(quantizer, latents, coded):
    """The acoustic half takes the principal components of the first `coded` channels, the semantic
    half those of the others: what both quantised would keep the coarser one's error."""
    rows = torch.cat([z.transpose(1, 2).flatten(0, 1) for z in latents])
    moments = rows.t() @ rows / len(rows)
    semantic, acoustic = quantizer.halves()
    dim = semantic.input_proj.weight.shape[0]
    for half, first, last in ((acoustic, 0, coded), (semantic, coded, len(moments))):
        basis = torch.zeros(dim, len(moments))
        count = min(dim, last - first)
        _, vectors = torch.linalg.eigh(moments[first:last, first:last])
        basis[:count, first:last] = vectors.flip(1).t()[:count]
        half.input_proj.weight.copy_(basis[..., None])
        half.output_proj.weight.copy_(basis.t()[..., None])


@torch.no_grad()
def initialise(model, audio_batches):
    """Sets every weight.  audio_batches: a list of [B x 1 x samples], a few minutes in all.

    Returns the signal-to-noise ratio in dB of the untrained model, continuous latent, on the last
    batch.
    """
    for transformer in (model.encoder_transformer, model.decoder_transformer):
        start_transformer(transformer)
    kept = []  # features after each convolution of the encoder, for the decoder to aim at
    features = list(audio_batches)
    for layer in model.encoder.layers:
        if isinstance(layer, CausalConv):
            outputs = layer.conv.weight.shape[0]
            last = layer is model.encoder.layers[-1]
            some = features[: 2 if features[0].shape[-1] > 4000 else None]
            components = (outputs // 3 if last
                          else min(outputs * 3 // 4, layer.conv.weight[0].numel()))
            # Whitening the first layer alone emphasises high frequencies once, as an ear would;
            # in between it would lose track of which components matter.
            whitening = 0.25 if last or not kept else 0.0
            start_convolution(layer, some, components, whitening)
            kept.append([])
        elif isinstance(layer, Residual):
            start_residual(layer)
        for number, x in enumerate(features):
            features[number] = layer(x)
        if isinstance(layer, CausalConv):
            kept[-1] = [x[:, :components].clone() for x in features]
    features = [model.encoder_transformer(x) for x in features]
    start_resampling(model, components)
    latents = [model.downsample(x) for x in features]
    start_projections(model.quantizer, latents, 2 * components)
    return start_decoder(model, latents, audio_batches, kept)


def start_decoder(model, latents, audio_batches, kept):
    """kept: features after every encoder convolution, from the waveform's side on."""
    targets = [kept[-2 - stage] for stage in range(len(kept) - 1)] + [audio_batches]
    features = [model.decoder_transformer(model.upsample(z)) for z in latents]
    targets = iter(targets)
    for layer in model.decoder.layers:
        if isinstance(layer, (CausalConv, CausalConvTranspose)):
            some = slice(0, 2 if features[0].shape[-1] > 4000 else None)
            fit = fit_convolution if isinstance(layer, CausalConv) else fit_transpose
            fit(layer, features[some], next(targets)[some])
        elif isinstance(layer, Residual):
            start_residual(layer)
        features = [layer(x) for x in features]
    audio, output = audio_batches[-1], features[-1]
    return (10 * torch.log10(audio.pow(2).sum() / (audio - output).pow(2).sum())).item()
