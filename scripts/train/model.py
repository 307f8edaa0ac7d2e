"""Mimi's graph in plain PyTorch, with the tensor names of the published Hugging Face checkpoints.

Shapes: B items, T time steps, H = hidden_size.  Every convolution is causal: it pads on the left.
"""
import torch
import torch.nn as nn
import torch.nn.functional as F

from elu import Elu

HOP_SAMPLES = 1920  # one 12.5 Hz frame at 24 kHz


def make_config(filters=32, hidden=192, layers=4, latent_dim=128, head_dim=32):
    """Returns a config.json of a Mimi of this size, every key that transformers.MimiModel reads."""
    heads = hidden // head_dim
    return dict(
        model_type="mimi", architectures=["MimiModel"], sampling_rate=24000, audio_channels=1,
        frame_rate=12.5, hidden_size=hidden, num_filters=filters, num_residual_layers=1,
        upsampling_ratios=[8, 6, 5, 4], kernel_size=7, last_kernel_size=3, residual_kernel_size=3,
        dilation_growth_rate=2, use_causal_conv=True, pad_mode="constant", compress=2,
        trim_right_ratio=1.0, codebook_size=2048, codebook_dim=latent_dim, num_quantizers=32,
        use_conv_shortcut=False, vector_quantization_hidden_dimension=latent_dim,
        num_semantic_quantizers=1, upsample_groups=hidden, num_hidden_layers=layers,
        intermediate_size=4 * hidden, num_attention_heads=heads, num_key_value_heads=heads,
        head_dim=head_dim, hidden_act="gelu", max_position_embeddings=8000,
        initializer_range=0.02, norm_eps=1e-5, rope_theta=10000.0, sliding_window=250,
        attention_dropout=0.0, layer_scale_initial_scale=0.01, attention_bias=False)


def windows(blocks, count):
    """Every `count` successive blocks side by side: [B x T x C] -> [B (T-count+1) x count C]."""
    blocks = blocks.contiguous()
    kind, width = blocks.dtype, blocks.shape[2] * blocks.element_size()
    if width % 8 == 0:
        blocks = blocks.view(torch.int64)  # PyTorch copies what overlaps element by element
    items, steps, size = blocks.shape
    view = blocks.as_strided((items, steps - count + 1, count * size), (steps * size, size, 1))
    return view.reshape(-1, count * size).view(kind)


class CausalProduct(torch.autograd.Function):
    """What every convolution of Mimi is, as its stride divides its kernel: each block of samples
    and the n - 1 before it, times one matrix.

    blocks [B x T x C], matrix [n C x O] with the oldest block's rows first, bias [O] ->
    [B x T x O].  The gradient of the blocks is the same thing backwards in time.
    """

    @staticmethod
    def forward(ctx, blocks, matrix, bias):
        items, steps, size = blocks.shape
        count = len(matrix) // size
        rows = windows(F.pad(blocks, (0, 0, count - 1, 0)), count)
        ctx.save_for_backward(rows, matrix)
        ctx.size, ctx.has_bias = size, bias is not None
        product = rows @ matrix if bias is None else torch.addmm(bias, rows, matrix)
        return product.view(items, steps, -1)

    @staticmethod
    def backward(ctx, gradient):
        rows, matrix = ctx.saved_tensors
        items, steps, outputs = gradient.shape
        gradient = gradient.contiguous()
        of_blocks = of_matrix = of_bias = None
        flat = gradient.view(-1, outputs)
        if ctx.needs_input_grad[0]:
            count = len(matrix) // ctx.size
            back = matrix.view(count, ctx.size, outputs).flip(0).transpose(1, 2).flatten(0, 1)
            of_blocks = windows(F.pad(gradient, (0, 0, 0, count - 1)), count) @ back
            of_blocks = of_blocks.view(items, steps, ctx.size)
        if ctx.needs_input_grad[1]:
            of_matrix = rows.t() @ flat
        if ctx.has_bias and ctx.needs_input_grad[2]:
            of_bias = flat.sum(0, dtype=torch.float32).to(gradient.dtype)
        return of_blocks, of_matrix, of_bias


def causal_product(blocks, matrix, bias):
    """In the type that autocast asks for."""
    kind = blocks.device.type
    if torch.is_autocast_enabled(kind):
        dtype = torch.get_autocast_dtype(kind)
        blocks, matrix = blocks.to(dtype), matrix.to(dtype)
        bias = None if bias is None else bias.to(dtype)
    return CausalProduct.apply(blocks, matrix, bias)


class CausalConv(nn.Module):
    """[B x C x T] -> [B x O x T / stride].  In memory channels lie side by side."""

    def __init__(self, inputs, outputs, kernel, stride=1, bias=True, pad_mode="constant"):
        super().__init__()
        self.conv = nn.Conv1d(inputs, outputs, kernel, stride, bias=bias)
        self.left = kernel - stride
        self.pad_mode = pad_mode

    def pad(self, x):
        return F.pad(x, (self.left, 0), mode=self.pad_mode) if self.left else x

    def forward(self, x):
        weight, stride = self.conv.weight, self.conv.stride[0]
        rows = x.transpose(1, 2)
        before = 0
        if self.pad_mode == "replicate":
            before = self.left // stride
            rows = torch.cat((rows[:, :1].expand(-1, self.left, -1), rows), 1)
        blocks = rows.reshape(len(rows), rows.shape[1] // stride, -1)
        matrix = weight.permute(2, 1, 0).flatten(0, 1)
        return causal_product(blocks, matrix, self.conv.bias)[:, before:].transpose(1, 2)


class CausalConvTranspose(nn.Module):
    """[B x C x T] -> [B x O x stride T].  Of groups, each channel is one or there is but one."""

    def __init__(self, inputs, outputs, kernel, stride, bias=True, groups=1):
        super().__init__()
        self.conv = nn.ConvTranspose1d(inputs, outputs, kernel, stride, bias=bias, groups=groups)

    def forward(self, x):
        if self.conv.groups > 1:
            y = self.conv(x)
            return y[..., : x.shape[-1] * self.conv.stride[0]]
        stride = self.conv.stride[0]
        weight = self.conv.weight.unflatten(2, (-1, stride)).flip(2)  # [C x O x n x stride]
        matrix = weight.permute(2, 0, 3, 1).flatten(0, 1).flatten(1, 2)
        y = causal_product(x.transpose(1, 2), matrix, self.conv.bias.repeat(stride))
        return y.unflatten(2, (stride, -1)).flatten(1, 2).transpose(1, 2)


class Residual(nn.Module):
    def __init__(self, channels):
        super().__init__()
        self.block = nn.ModuleList([Elu(), CausalConv(channels, channels // 2, 3),
                                    Elu(), CausalConv(channels // 2, channels, 1)])

    def forward(self, x):
        y = x
        for layer in self.block:
            y = layer(y)
        return x + y


class Layers(nn.Module):
    """A sequence whose parameters are named `layers.N`, as in the checkpoints."""

    def __init__(self, layers):
        super().__init__()
        self.layers = nn.ModuleList(layers)

    def forward(self, x):
        for layer in self.layers:
            x = layer(x)
        return x


def make_encoder(config):
    channels = config["num_filters"]
    layers = [CausalConv(1, channels, config["kernel_size"])]
    for ratio in reversed(config["upsampling_ratios"]):
        layers += [Residual(channels), Elu(),
                   CausalConv(channels, 2 * channels, 2 * ratio, ratio)]
        channels *= 2
    return Layers(layers + [Elu(), CausalConv(channels, config["hidden_size"],
                                                 config["last_kernel_size"])])


def make_decoder(config):
    channels = config["num_filters"] * 2 ** len(config["upsampling_ratios"])
    layers = [CausalConv(config["hidden_size"], channels, config["kernel_size"])]
    for ratio in config["upsampling_ratios"]:
        layers += [Elu(), CausalConvTranspose(channels, channels // 2, 2 * ratio, ratio),
                   Residual(channels // 2)]
        channels //= 2
    return Layers(layers + [Elu(), CausalConv(channels, 1, config["last_kernel_size"])])


class LayerScale(nn.Module):
    def __init__(self, dim, initial=0.1):
        super().__init__()
        self.scale = nn.Parameter(torch.full((dim,), initial))

    def forward(self, x):
        return self.scale * x


def rotate(x, cos, sin):
    """Rotary embedding over the last axis, whose two halves hold the pairs."""
    low, high = x.chunk(2, -1)
    return x * cos + torch.cat((-high, low), -1) * sin


class Attention(nn.Module):
    def __init__(self, config):
        super().__init__()
        dim = config["hidden_size"]
        self.heads = config["num_attention_heads"]
        self.q_proj = nn.Linear(dim, dim, bias=False)
        self.k_proj = nn.Linear(dim, dim, bias=False)
        self.v_proj = nn.Linear(dim, dim, bias=False)
        self.o_proj = nn.Linear(dim, dim, bias=False)

    def forward(self, x, cos, sin, mask):
        items, steps, dim = x.shape
        q, k, v = (proj(x).view(items, steps, self.heads, -1).transpose(1, 2)
                   for proj in (self.q_proj, self.k_proj, self.v_proj))
        y = F.scaled_dot_product_attention(rotate(q, cos, sin).to(v.dtype),
                                           rotate(k, cos, sin).to(v.dtype), v,
                                           attn_mask=mask)
        return self.o_proj(y.transpose(1, 2).reshape(items, steps, dim))


class Mlp(nn.Module):
    def __init__(self, config):
        super().__init__()
        self.fc1 = nn.Linear(config["hidden_size"], config["intermediate_size"], bias=False)
        self.fc2 = nn.Linear(config["intermediate_size"], config["hidden_size"], bias=False)

    def forward(self, x):
        return self.fc2(F.gelu(self.fc1(x)))


class TransformerLayer(nn.Module):
    def __init__(self, config):
        super().__init__()
        dim = config["hidden_size"]
        self.self_attn, self.mlp = Attention(config), Mlp(config)
        self.input_layernorm = nn.LayerNorm(dim, config["norm_eps"])
        self.post_attention_layernorm = nn.LayerNorm(dim, config["norm_eps"])
        self.self_attn_layer_scale, self.mlp_layer_scale = LayerScale(dim), LayerScale(dim)

    def forward(self, x, cos, sin, mask):
        x = x + self.self_attn_layer_scale(self.self_attn(self.input_layernorm(x), cos, sin, mask))
        return x + self.mlp_layer_scale(self.mlp(self.post_attention_layernorm(x)))


class Transformer(nn.Module):
    def __init__(self, config):
        super().__init__()
        self.layers = nn.ModuleList([TransformerLayer(config)
                                     for _ in range(config["num_hidden_layers"])])
        self.head_dim, self.theta = config["head_dim"], config["rope_theta"]
        self.window = config["sliding_window"]

    def tables(self, steps, device):
        """Returns cos and sin [T x head_dim] and the causal sliding-window mask [T x T]."""
        pairs = torch.arange(0, self.head_dim, 2, device=device).float() / self.head_dim
        position = torch.arange(steps, device=device)
        angle = position[:, None].float() * self.theta ** -pairs
        angle = torch.cat((angle, angle), -1)
        age = position[:, None] - position[None]
        return angle.cos(), angle.sin(), (age >= 0) & (age < self.window)

    def forward(self, x):
        """x [B x H x T] -> [B x H x T]"""
        x = x.transpose(1, 2)
        tables = self.tables(x.shape[1], x.device)
        for layer in self.layers:
            x = layer(x, *tables)
        return x.transpose(1, 2)


class Codebook(nn.Module):
    """Entries are kept as running sums and counts, as the checkpoints do."""

    def __init__(self, entries, dim):
        super().__init__()
        self.register_buffer("initialized", torch.ones(1))
        self.register_buffer("cluster_usage", torch.ones(entries))
        self.register_buffer("embed_sum", torch.zeros(entries, dim))

    def entries(self):
        return self.chosen(slice(None))

    def chosen(self, codes):
        """Entries [... x dim] of codes [...]."""
        return self.embed_sum[codes] / self.cluster_usage[codes].clamp(min=1e-5)[..., None]


class Level(nn.Module):
    def __init__(self, entries, dim):
        super().__init__()
        self.codebook = Codebook(entries, dim)


class ResidualQuantizer(nn.Module):
    def __init__(self, config, levels):
        super().__init__()
        dim, hidden = config["codebook_dim"], config["hidden_size"]
        self.layers = nn.ModuleList([Level(config["codebook_size"], dim) for _ in range(levels)])
        self.input_proj = nn.Conv1d(hidden, dim, 1, bias=False)
        self.output_proj = nn.Conv1d(dim, hidden, 1, bias=False)


class SplitQuantizer(nn.Module):
    """Level 0 and levels 1.. quantise the same latent, each through its own projections."""

    def __init__(self, config):
        super().__init__()
        self.semantic_residual_vector_quantizer = ResidualQuantizer(config, 1)
        self.acoustic_residual_vector_quantizer = ResidualQuantizer(
            config, config["num_quantizers"] - 1)

    def halves(self):
        return (self.semantic_residual_vector_quantizer, self.acoustic_residual_vector_quantizer)


class Mimi(nn.Module):
    def __init__(self, config):
        super().__init__()
        hidden = config["hidden_size"]
        self.config = config
        self.encoder, self.decoder = make_encoder(config), make_decoder(config)
        self.encoder_transformer = Transformer(config)
        self.decoder_transformer = Transformer(config)
        self.downsample = CausalConv(hidden, hidden, 4, 2, bias=False, pad_mode="replicate")
        self.upsample = CausalConvTranspose(hidden, hidden, 4, 2, bias=False,
                                            groups=config["upsample_groups"])
        self.quantizer = SplitQuantizer(config)

    def latent(self, audio):
        """audio [B x 1 x samples] -> latent [B x H x frames]"""
        return self.downsample(self.encoder_transformer(self.encoder(audio)))

    def synthesise(self, latent):
        """latent [B x H x frames] -> audio [B x 1 x samples]"""
        return self.decoder(self.decoder_transformer(self.upsample(latent)))

    def encoder_side(self):
        """Every module that the codes depend on, the codebooks apart."""
        semantic, acoustic = self.quantizer.halves()
        return nn.ModuleList([self.encoder, self.encoder_transformer, self.downsample,
                              semantic.input_proj, acoustic.input_proj])
