"""Training of the residual quantisers: channels in their place, then k-means."""
import torch

LEVEL_CHOICES = (1, 2, 4, 8, 16, 32, 128)  # 128: in a channel, hardly any noise
LEVEL_ODDS = (0.03, 0.03, 0.06, 0.33, 0.15, 0.20, 0.20)
CHANNEL_MEMORY = 50  # steps over which covariances are followed
BISECTIONS = 40
FEW_SHARE = 0.3  # an entry used less than this share of an even use is moved
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


def draw_levels(items, odds, rng):
    """How many levels each item of a batch keeps, as indices of LEVEL_CHOICES."""
    return torch.from_numpy(rng.choice(len(LEVEL_CHOICES), items, p=odds))


@torch.no_grad()
def encode_half(half, latent):
    """latent [B x H x T] -> codes [B x levels x T]."""
    residual = half.input_proj(latent).transpose(1, 2).flatten(0, 1)
    codes = []
    for level in half.layers:
        entries = level.codebook.entries()
        codes.append(nearest(residual, entries))
        residual = residual - entries[codes[-1]]
    return torch.stack(codes, 1).unflatten(0, (len(latent), -1)).transpose(1, 2)


def decode_half(half, codes, kept):
    """codes [B x levels x T], kept [B] of them -> quantised projection [B x D x T]."""
    total = 0.0
    for number, level in enumerate(half.layers):
        total = total + level.codebook.chosen(codes[:, number]) * (kept > number)[:, None, None]
    return total.transpose(1, 2)


def encode(quantizer, latent):
    """latent [B x H x T] -> codes [B x 32 x T]."""
    return torch.cat([encode_half(half, latent) for half in quantizer.halves()], 1)


def decode(quantizer, codes, kept):
    """Both halves' projections of codes of which kept [B] count: level 0's, that of levels 1..."""
    semantic, acoustic = quantizer.halves()
    return (decode_half(semantic, codes[:, :1], kept.clamp(max=1)),
            decode_half(acoustic, codes[:, 1:], kept - 1))


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
    level vanish, the others shrink and take on noise.  The level follows from the bits.  Means and
    covariances are followed in every step, components and water levels found anew in `refresh`.
    """

    def __init__(self, half, levels, device):
        """levels: how many of the half's are kept for each of LEVEL_CHOICES."""
        self.half, self.levels = half, torch.tensor(levels, device=device)
        size = half.input_proj.out_channels
        self.mean, self.square = (torch.zeros(shape, device=device) for shape in (size, (size, size)))
        self.directions = torch.eye(size, device=device)
        self.gain, self.noise = (torch.zeros(len(levels), size, device=device) for _ in range(2))

    @torch.no_grad()
    def follow(self, rows, share):
        """rows [N x D] of projected latents."""
        self.mean.lerp_(rows.mean(0), share)
        self.square.lerp_(rows.t() @ rows / len(rows), share)

    @torch.no_grad()
    def start(self, latents):
        """From a list of latents [B x H x T]."""
        self.follow(torch.cat([self.half.input_proj(latent).transpose(1, 2).flatten(0, 1)
                               for latent in latents]), 1.0)
        self.refresh()

    @torch.no_grad()
    def refresh(self):
        values, directions = torch.linalg.eigh(self.square - self.mean[:, None] * self.mean)
        values = values.clamp(min=1e-9)
        water = self._water(values, effective_bits(self.levels))[:, None]
        self.directions.copy_(directions)
        self.gain.copy_((1 - water / values).clamp(min=0) * (self.levels > 0)[:, None])
        self.noise.copy_((water * self.gain).sqrt())

    @staticmethod
    def _water(values, bits):
        """values [D], bits [N] -> [N] by bisection."""
        low, high = (end.expand(len(bits)).log2() for end in (values.min() * 1e-6, values.max()))
        for _ in range(BISECTIONS):
            middle = (low + high) / 2
            rate = (values.log2() - middle[:, None]).clamp(min=0).sum(1) / 2
            low, high = torch.where(rate > bits, middle, low), torch.where(rate > bits, high, middle)
        return high.exp2()

    def __call__(self, latent, choice):
        """latent [B x H x T], indices of LEVEL_CHOICES [B] -> the received projection [B x D x T]."""
        projected = self.half.input_proj(latent).transpose(1, 2)
        self.follow(projected.detach().flatten(0, 1), 1 / CHANNEL_MEMORY)
        noise = self.noise[choice][:, None] * torch.randn_like(projected)
        turned = (projected - self.mean) @ self.directions * self.gain[choice][:, None] + noise
        received = turned @ self.directions.t() + self.mean
        return (received * (self.levels[choice] > 0)[:, None, None]).transpose(1, 2)


def make_channels(quantizer, device):
    semantic, acoustic = quantizer.halves()
    return (Channel(semantic, [1] * len(LEVEL_CHOICES), device),
            Channel(acoustic, [count - 1 for count in LEVEL_CHOICES], device))


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
def fit_codebooks(half, vectors, rounds=10):
    """k-means on projected latents [N x D], level by level on what the levels before left.

    What a level leaves of a vector is taken as if that vector had not been fitted: with n vectors
    in its entry, their mean without it lies n/(n-1) times as far away.  Otherwise a few levels
    learn the sample by heart and the later ones find nothing to fit.
    """
    residual = vectors.clone()
    for level in half.layers:
        count = len(level.codebook.cluster_usage)
        entries, index, counts = k_means(residual, count, rounds)
        level.codebook.cluster_usage.fill_(1.0)
        level.codebook.embed_sum.copy_(entries)
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
