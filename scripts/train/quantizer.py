"""Training of the residual quantisers: channels in their place, running codebooks, k-means."""
import torch

LEVEL_CHOICES = torch.tensor([1, 2, 4, 8, 16, 32, 128])  # 128: in a channel, hardly any noise
LEVEL_ODDS = torch.tensor([0.03, 0.03, 0.06, 0.33, 0.15, 0.20, 0.20])
DECAY = 0.995
CHANNEL_MEMORY = 50  # steps over which covariances are followed
DEAD_SHARE = 0.06  # an entry used less than this share of an even use is replaced
FEW_SHARE = 0.3  # the same in k-means
START_SHARE = 0.3  # of a vector, as the first entry
SPLIT_SHARE = 0.15  # of the way from an entry to one of its vectors
LAST_ROUNDS = 3  # without replacements, on all vectors
PARTS = 3  # the other rounds take one of so many parts each


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
    """latent [B x H x T], kept [B] levels -> quantised projection [B x D x T], commitment loss.

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
    return straight.view(items, frames, dim).transpose(1, 2), commitment


def quantise(quantizer, latent, kept, learn):
    """Both halves' projections: level 0's, then levels 1.. of the same latent."""
    semantic, acoustic = quantizer.halves()
    first, first_loss = quantise_half(semantic, latent, kept.clamp(max=1), learn)
    rest, rest_loss = quantise_half(acoustic, latent, kept - 1, learn)
    return first, rest, first_loss + rest_loss


def joined(quantizer, first, rest):
    """What the decoder gets of both halves' projections [B x H x T]."""
    semantic, acoustic = quantizer.halves()
    return semantic.output_proj(first) + acoustic.output_proj(rest)


def effective_bits(levels):
    """Bits at which a Gaussian coder would leave what k-means levels leave, as measured: 1 to 8."""
    return 14.0 * levels ** 0.72


class Channel:
    """What quantisation does to a half's projected latents, without codebooks.

    Rate-distortion theory of Gaussian vectors: principal components with less variance than a water
    level vanish, the others shrink and take on noise.  The level follows from the bits.
    """

    def __init__(self, half):
        self.half, self.count, self.mean, self.square = half, 0, 0.0, 0.0

    @torch.no_grad()
    def components(self, rows):
        """Follows the mean and the covariance; returns the variances and directions."""
        self.count = min(self.count + 1, CHANNEL_MEMORY)
        share = 1 / self.count
        self.mean = self.mean + share * (rows.mean(0) - self.mean)
        self.square = self.square + share * (rows.t() @ rows / len(rows) - self.square)
        values, vectors = torch.linalg.eigh(self.square - self.mean[:, None] * self.mean)
        return values.clamp(min=1e-9), vectors

    @torch.no_grad()
    def water(self, values, bits):
        """values [D], bits [B] -> [B] by bisection."""
        low, high = (end.expand(len(bits)).log2() for end in (values.min() * 1e-6, values.max()))
        for _ in range(30):
            middle = (low + high) / 2
            rate = (values.log2() - middle[:, None]).clamp(min=0).sum(1) / 2
            low, high = torch.where(rate > bits, middle, low), torch.where(rate > bits, high, middle)
        return high.exp2()

    def __call__(self, latent, kept):
        """latent [B x H x T], kept levels [B] -> the received projection [B x D x T]."""
        projected = self.half.input_proj(latent).transpose(1, 2)
        values, vectors = self.components(projected.detach().flatten(0, 1))
        water = self.water(values, effective_bits(kept))[:, None]
        gain = (1 - water / values).clamp(min=0)
        noise = (water * gain).sqrt()[:, None] * torch.randn_like(projected)
        turned = (projected - self.mean) @ vectors * gain[:, None] + noise
        received = (turned @ vectors.t() + self.mean) * (kept > 0)[:, None, None]
        return received.transpose(1, 2)


@torch.no_grad()
def split_most_used(entries, counts, index, vectors):
    """Moves entries that few vectors are nearest to beside others, the most used ones first.

    In many dimensions a vector's distance from its entry is nearly all noise: beside it, rather
    than at the vector, the new entry wins about half of the vectors there.
    """
    count = len(entries)
    few = (counts < FEW_SHARE * len(vectors) / count).nonzero()[:, 0]
    if len(few):
        odds = (counts[index] > 2 * FEW_SHARE * len(vectors) / count).float()
        chosen = torch.multinomial(odds, len(few))
        beside = entries[index[chosen]]
        entries[few] = beside + SPLIT_SHARE * (vectors[chosen] - beside)


@torch.no_grad()
def k_means(vectors, count, rounds):
    """Entries [count x D], each vector's nearest one, and how often each is."""
    start = torch.randperm(len(vectors), device=vectors.device)[:count]
    mean = vectors.mean(0)
    entries = mean + START_SHARE * (vectors[start] - mean)
    for number in range(rounds):
        early = number < rounds - LAST_ROUNDS
        some = vectors[number % PARTS::PARTS] if early else vectors
        index = nearest(some, entries)
        counts, sums = sums_by_entry(index, some, count)
        entries = torch.where(counts[:, None] > 0, sums / counts.clamp(min=1)[:, None], entries)
        if early:
            split_most_used(entries, counts, index, some)
    index = nearest(vectors, entries)
    return entries, index, torch.bincount(index, minlength=count).float()


@torch.no_grad()
def fit_codebooks(half, vectors, use_per_step, rounds=10):
    """k-means on projected latents [N x D], level by level on what the levels before left.

    What a level leaves of a vector is taken as if that vector had not been fitted: with n vectors
    in its entry, their mean without it lies n/(n-1) times as far away.  Otherwise a few levels
    learn the sample by heart and the later ones find nothing to fit.
    """
    residual = vectors.clone()
    for level in half.layers:
        count = len(level.codebook.cluster_usage)
        entries, index, counts = k_means(residual, count, rounds)
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
