"""Training of the residual quantisers: nearest entries, running codebooks, k-means."""
import torch

LEVEL_CHOICES = torch.tensor([1, 2, 4, 8, 16, 32])
LEVEL_ODDS = torch.tensor([0.10, 0.10, 0.15, 0.30, 0.15, 0.20])
DECAY = 0.995
DEAD_SHARE = 0.06  # an entry used less than this share of an even use is replaced


def nearest(vectors, entries):
    """Index of the nearest entry for each vector: [N x D], [K x D] -> [N]."""
    norms = entries.pow(2).sum(1)
    return torch.cat([torch.addmm(norms, part, entries.t(), alpha=-2).argmin(1)
                      for part in vectors.split(8192)])


def sums_by_entry(index, vectors, entries):
    counts = torch.bincount(index, minlength=entries).float()
    sums = vectors.new_zeros(entries, vectors.shape[1]).index_add_(0, index, vectors)
    return counts, sums


@torch.no_grad()
def follow(codebook, index, vectors):
    """Moves the running counts and sums toward this step's vectors; revives unused entries."""
    entries = len(codebook.cluster_usage)
    counts, sums = sums_by_entry(index, vectors, entries)
    codebook.cluster_usage.lerp_(counts, 1 - DECAY)
    codebook.embed_sum.lerp_(sums, 1 - DECAY)
    even_use = len(vectors) / entries
    dead = (codebook.cluster_usage < DEAD_SHARE * even_use).nonzero()[:, 0][: len(vectors) // 16]
    if len(dead):
        chosen = vectors[torch.randint(len(vectors), (len(dead),), device=vectors.device)]
        codebook.cluster_usage[dead] = even_use
        codebook.embed_sum[dead] = chosen * even_use


@torch.no_grad()
def set_even_use(quantizer, vectors_per_step):
    """Gives normalised codebooks, as exported, the counts of a run with so many vectors a step."""
    for half in quantizer.halves():
        for level in half.layers:
            use = vectors_per_step / len(level.codebook.cluster_usage)
            level.codebook.embed_sum.copy_(level.codebook.entries() * use)
            level.codebook.cluster_usage.fill_(use)


def draw_levels(items, device):
    """How many levels each item of a batch keeps."""
    return LEVEL_CHOICES[torch.multinomial(LEVEL_ODDS, items, replacement=True)].to(device)


def quantise_half(half, latent, kept, learn):
    """latent [B x H x T], kept [B] levels -> quantised [B x H x T] and the commitment loss.

    The gradient passes straight through to the projected latent.
    """
    projected = half.input_proj(latent)
    items, dim, frames = projected.shape
    flat = projected.transpose(1, 2).reshape(-1, dim)
    kept = kept.repeat_interleave(frames)
    residual, total, commitment = flat, torch.zeros_like(flat), 0.0
    for number, level in enumerate(half.layers):
        if not learn and number >= kept.max():
            break
        entries = level.codebook.entries()
        index = nearest(residual.detach(), entries)
        chosen = entries[index]
        if learn:
            follow(level.codebook, index, residual.detach())
        used = (kept > number).float()
        commitment = commitment + ((residual - chosen).pow(2).mean(1) * used).mean()
        total = total + chosen * used[:, None]
        residual = residual - chosen
    commitment = commitment / (len(half.layers) * flat.detach().var())
    straight = (flat + (total - flat).detach()) * (kept > 0)[:, None]
    return half.output_proj(straight.view(items, frames, dim).transpose(1, 2)), commitment


def quantise(quantizer, latent, kept, learn):
    """Both halves: level 0, then levels 1.. of the same latent."""
    semantic, acoustic = quantizer.halves()
    first, first_loss = quantise_half(semantic, latent, kept.clamp(max=1), learn)
    rest, rest_loss = quantise_half(acoustic, latent, kept - 1, learn)
    return first + rest, first_loss + rest_loss


def jitter(quantizer, latent, noise):
    """The continuous stand-in for `quantise`: projections and noise of a relative size."""
    out = 0
    for half in quantizer.halves():
        projected = half.input_proj(latent)
        out = out + half.output_proj(
            projected + noise * projected.detach().std() * torch.randn_like(projected))
    return out


@torch.no_grad()
def fit_codebooks(half, vectors, use_per_step, rounds=5):
    """k-means on projected latents [N x D], level by level on what the levels before left.

    What a level leaves of a vector is taken as if that vector had not been fitted: with n vectors
    in its entry, their mean without it lies n/(n-1) times as far away.  Otherwise a few levels
    learn the sample by heart and the later ones find nothing to fit.
    """
    residual = vectors.clone()
    for level in half.layers:
        count = len(level.codebook.cluster_usage)
        entries = residual[torch.randperm(len(residual), device=residual.device)[:count]].clone()
        for _ in range(rounds):
            index = nearest(residual, entries)
            counts, sums = sums_by_entry(index, residual, count)
            strays = residual[torch.randint(len(residual), (count,), device=residual.device)]
            entries = torch.where(counts[:, None] > 0, sums / counts.clamp(min=1)[:, None], strays)
        usage = (counts * (use_per_step / len(residual))).clamp(min=0.25 * use_per_step / count)
        level.codebook.cluster_usage.copy_(usage)
        level.codebook.embed_sum.copy_(entries * usage[:, None])
        others = counts[index][:, None] - 1
        left = (residual - entries[index]) * (1 + 1 / others.clamp(min=1))
        residual = torch.where(others > 0, left, residual)


@torch.no_grad()
def code_statistics(half, vectors):
    """For each level: share of the entries used, entropy in bits, share of the energy left."""
    residual, stats = vectors.clone(), []
    for level in half.layers:
        entries = level.codebook.entries()
        index = nearest(residual, entries)
        share = torch.bincount(index, minlength=len(entries)).float() / len(index)
        used = share[share > 0]
        residual -= entries[index]
        stats.append((len(used) / len(entries), -(used * used.log2()).sum().item(),
                      (residual.pow(2).mean() / vectors.pow(2).mean()).item()))
    return stats
