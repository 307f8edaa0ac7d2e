#!/usr/bin/env python3
"""Trains a small Mimi from a folder of recordings; writes config.json and model.safetensors.

    train.py RECORDINGS OUT [--steps 60000 | --minutes 10]

Run it again with the same OUT to go on from the last saved state.  Phases are shares of the run, in
steps or, with --minutes, in time spent training, so that it may be paused and resumed at will:

    continuous   the autoencoder alone, noisy channels in place of the quantisers
    final        encoder frozen, codebooks fitted by k-means, the decoder goes on; discriminators
                 may join
"""
import argparse
import copy
import os
import pathlib
import signal
import time

import numpy as np
import torch
from safetensors.torch import load_file

import discriminators as gan
import quantizer as rvq
from data import Batches, Stretches, decode_folder
from export import export
from graphs import Graphs
from initialise import initialise
from losses import PAIRS, WEIGHTS, FeatureSizes, Reconstruction
from model import HOP_SAMPLES, Mimi, make_config
from optimiser import Optimiser, Team
from pupil import Pupil

WARM_UP_STEPS = 50
GAN_RAMP = 0.02  # share of the run over which the discriminators gain weight
GAN_FRAMES = 8
JUDGE_RATE = 2e-4
CLIP_NORM = 2.0
ENROL_FRAMES = 6400
CHANNEL_STEPS = 20  # from one look at what the channels carry to the next
REPORT_STEPS = 50


def term_weight(text):
    """TERM=WEIGHT as a pair."""
    name, _, value = text.partition("=")
    if name not in WEIGHTS:
        raise argparse.ArgumentTypeError(f"{name}: no such term (there are {', '.join(WEIGHTS)})")
    return name, float(value)


def arguments():
    p = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    p.add_argument("recordings", help="folder of wav, flac, ogg, opus, mp3 files")
    p.add_argument("out", help="folder of the state, the log and the model")
    p.add_argument("--steps", type=int, default=60000, help="the run's steps")
    p.add_argument("--minutes", type=float, help="the run's time, in steps' stead")
    p.add_argument("--start", metavar="MODEL", help="begin with this exported model's weights")
    p.add_argument("--decay-at", type=float, default=0.1, metavar="SHARE",
                   help="share of the run after which the rate falls")
    p.add_argument("--final-at", type=float, default=0.6, metavar="SHARE",
                   help="share of the run after which the decoder is trained alone; 0 with --start:"
                        " from its first step on, and with the codebooks that there are")
    p.add_argument("--stretches", type=int, default=0, metavar="N",
                   help="with the encoder frozen, so many half minutes, augmented, are encoded once and"
                        " all segments taken from them (default: each segment is encoded itself)")
    p.add_argument("--gan-at", type=float, default=1.0, metavar="SHARE",
                   help="share of the run after which discriminators join (default: never)")
    p.add_argument("--fit-frames", type=int, default=80000, help="frames that k-means sees")
    p.add_argument("--filters", type=int, default=32)
    p.add_argument("--hidden", type=int, default=192)
    p.add_argument("--layers", type=int, default=4)
    p.add_argument("--latent-dim", type=int, default=128)
    p.add_argument("--batch", type=int, default=8, help="segments a step")
    p.add_argument("--frames", type=int, default=16, help="80 ms frames a segment")
    p.add_argument("--accumulate", type=int, default=1, metavar="N", help="batches a step")
    p.add_argument("--rate", type=float, default=8e-4, help="learning rate")
    p.add_argument("--muon", action=argparse.BooleanOptionalAction, default=True,
                   help="orthogonalised momentum for convolutions, Adam for the rest")
    p.add_argument("--workers", type=int, default=1,
                   help="processes of one thread, each with a batch of its own (CPU)")
    p.add_argument("--teacher", help="teacher.py's file: level 0 learns phones")
    p.add_argument("--semantic-weight", type=float, default=1.0, help="weight of that term")
    p.add_argument("--weights", nargs="*", type=term_weight, default=[], metavar="TERM=WEIGHT",
                   help="other weights than losses.py's")
    p.add_argument("--odds", type=float, nargs=len(rvq.LEVEL_CHOICES), default=rvq.LEVEL_ODDS,
                   help=f"how often a segment keeps {rvq.LEVEL_CHOICES} levels")
    p.add_argument("--average", type=float, default=0.998, help="decay of the averaged weights")
    p.add_argument("--holdout", nargs="*", default=[], help="recordings (file stems) to leave out")
    p.add_argument("--bf16", action=argparse.BooleanOptionalAction,
                   default=torch.cuda.is_available(), help="autocast, for hardware it is fast on")
    p.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu")
    p.add_argument("--seed", type=int, default=0)
    p.add_argument("--save-seconds", type=float, default=120, help="from one saved state to another")
    return p.parse_args()


class Trainer:
    def __init__(self, args):
        self.args = args
        self.out = pathlib.Path(args.out)
        self.out.mkdir(parents=True, exist_ok=True)
        self.device = torch.device(args.device)
        self.step, self.phase, self.spent = 0, "continuous", 0.0
        self.config = make_config(args.filters, args.hidden, args.layers, args.latent_dim)
        self.batches = Batches(decode_folder(args.recordings, self.out / "pcm", args.holdout),
                               self.device)
        self.model = Mimi(self.config).to(self.device)
        self.average = copy.deepcopy(self.model)
        self.channels = rvq.make_channels(self.model.quantizer, self.device)
        self.judges = gan.make_discriminators().to(self.device)
        self.reconstruction = Reconstruction(self.device)
        self.term_weights = WEIGHTS | dict(args.weights)
        self.pupil = (Pupil(args.teacher, self.config).to(self.device) if args.teacher
                      else None)
        self.weights = list(self.model.named_parameters())
        if self.pupil:
            self.weights += self.pupil.named_parameters()
        self.team = Team(args.workers, [weight for _, weight in self.weights])
        encoder = {id(weight) for weight in self.model.encoder_side().parameters()}
        self.optimiser = Optimiser(self.weights, encoder, args.muon, self.team)
        cuda = self.device.type == "cuda"
        torch.backends.cudnn.benchmark = cuda
        self.judge_optimiser = torch.optim.AdamW(self.judges.parameters(), JUDGE_RATE,
                                                 betas=(0.8, 0.99), capturable=cuda)
        self.make_inputs()
        self.state_path = self.out / "state.pt"
        if self.state_path.exists():
            self.load()
        else:
            self.start()
            self.optimiser.limit_norms(self.weights)
        self.sizes = FeatureSizes(self.model)
        self.stretches = None
        self.history, self.reported = {}, self.step
        self.graphs = Graphs() if cuda else None
        if args.workers > 1:
            self.share()

    def make_inputs(self):
        """All that differs from step to step, as tensors: a recorded step reads these."""
        args = self.args
        self.audio = torch.zeros(args.batch, 1, args.frames * HOP_SAMPLES, device=self.device)
        self.codes = torch.zeros(args.batch, self.config["num_quantizers"], args.frames,
                                 dtype=torch.long, device=self.device)  # of a stretch
        self.choice = torch.zeros(args.batch, dtype=torch.long, device=self.device)
        self.levels = torch.tensor(rvq.LEVEL_CHOICES, device=self.device)
        self.pace = torch.zeros((), device=self.device)  # of the averaged weights
        self.gan_weight = torch.zeros((), device=self.device)

    def share(self):
        """Moves what the workers have in common to memory that they share."""
        for tensor in (self.optimiser.tensors() + [weight for _, weight in self.weights]
                       + list(self.model.buffers()) + list(self.average.state_dict().values())):
            tensor.share_memory_()

    # State

    def start(self):
        torch.manual_seed(self.args.seed)
        self.batches.seed(self.args.seed)
        if self.args.start:
            weights = load_file(pathlib.Path(self.args.start) / "model.safetensors")
            self.model.load_state_dict(weights)
            self.phase = "continuous" if self.args.final_at > 0 else "final"
            self.log(f"starting from {self.args.start}")
        else:
            with self.device:
                ratio = initialise(self.model, [self.batches.draw(16, 40 * HOP_SAMPLES)
                                                for _ in range(4)])
            self.log(f"initialised: signal-to-noise ratio {ratio:.1f} dB")
        self.average.load_state_dict(self.model.state_dict())
        if self.pupil and self.phase != "final":  # where every code stays as it is
            self.enrol()

    @torch.no_grad()
    def enrol(self):
        """Turns level 0's projections, which were trained for sound, to what tells phones."""
        batches = [self.draw() for _ in range(ENROL_FRAMES // (self.args.batch * self.args.frames))]
        half, _ = self.model.quantizer.halves()
        error = self.pupil.start(half, batches, [self.model.latent(audio) for audio in batches])
        self.optimiser.allow(half.output_proj.weight)
        mean, _ = self.average.quantizer.halves()
        for name in ("input_proj", "output_proj"):
            getattr(mean, name).weight.copy_(getattr(half, name).weight)
        self.log(f"level 0 learns phones: linear in the latents {error:.2f} of the variance left")

    def parts(self):
        pupil = dict(pupil=self.pupil) if self.pupil else {}
        return pupil | dict(model=self.model, average=self.average, judges=self.judges,
                            optimiser=self.optimiser, judge_optimiser=self.judge_optimiser)

    def load(self):
        state = torch.load(self.state_path, map_location=self.device, weights_only=True)
        if state["config"] != self.config:
            raise SystemExit(f"{self.state_path}: holds a model of another size than asked for")
        for name, part in self.parts().items():
            if name in state:
                part.load_state_dict(state[name])
        self.step, self.phase, self.spent = state["step"], state["phase"], state["spent"]
        self.log(f"resumed at step {self.step}, phase {self.phase}")
        if self.pupil and "pupil" not in state and self.phase != "final":
            self.enrol()

    def save(self):
        self.spend()
        state = {name: part.state_dict() for name, part in self.parts().items()}
        state |= dict(step=self.step, phase=self.phase, config=self.config, spent=self.spent)
        partial = self.state_path.with_suffix(".partial")
        torch.save(state, partial)
        os.replace(partial, self.state_path)

    def export(self, folder):
        """The averaged weights; their output's mean, which no term asks about, is taken out."""
        model = copy.deepcopy(self.average)
        with torch.no_grad():
            mean = torch.stack([self.roundtrip(model, self.draw()).mean() for _ in range(4)]).mean()
            model.decoder.layers[-1].conv.bias.sub_(mean)
        export(model.state_dict(), self.config, folder)
        self.log(f"{folder}: step {self.step}; took out a mean of {mean.item():.5f}")

    def roundtrip(self, model, audio):
        latent = model.latent(audio)
        if self.phase == "final":
            kept = torch.full((len(audio),), 8, device=self.device)
            latent = rvq.joined(model.quantizer, *rvq.decode(
                model.quantizer, rvq.encode(model.quantizer, latent), kept))
        return model.synthesise(latent)

    def log(self, line):
        print(line, flush=True)
        with open(self.out / "log.txt", "a", encoding="utf-8") as log:
            log.write(line + "\n")

    # Schedule

    def spend(self):
        now = time.time()
        self.spent, self.since = self.spent + now - self.since, now

    def done(self):
        """The share of the run that is over."""
        if self.args.minutes:
            return (self.spent + time.time() - self.since) / (60 * self.args.minutes)
        return self.step / self.args.steps

    def rates(self, done):
        """Warm-up, constant, then linear to nothing; the encoder's reaches it when it is frozen."""
        start = self.args.decay_at
        shares = [(end - done) / max(1e-9, end - start) for end in (1.0, self.args.final_at)]
        warm = (self.step + 1) / WARM_UP_STEPS
        return [self.args.rate * max(min(1.0, warm, *shares[:count]), 0.01) for count in (1, 2)]

    def enter_phases(self, done):
        final = done >= self.args.final_at
        if final and self.phase != "final":
            self.phase = "final"
            if self.team.rank == 0:
                self.model.load_state_dict(self.average.state_dict())
                threads = torch.get_num_threads()
                torch.set_num_threads(max(threads, self.args.workers))  # the other workers wait
                self.fit_codebooks()
                torch.set_num_threads(threads)
            self.team.wait()
            if self.graphs:
                self.graphs.forget()
        if final and self.args.stretches and not self.stretches:
            self.encode_stretches()
        self.model.encoder_side().requires_grad_(self.phase != "final")

    @torch.no_grad()
    def fit_codebooks(self):
        """k-means on fresh latents of both halves; the last tenth of them judges the result."""
        per_step = self.args.batch * self.args.frames
        latents = []
        for _ in range(self.args.fit_frames // per_step + 10):
            latents.append(self.latent(self.draw()))
        for half in self.model.quantizer.halves():
            vectors = torch.cat([half.input_proj(z).transpose(1, 2).flatten(0, 1)
                                 for z in latents])
            others = len(vectors) // 10
            rvq.fit_codebooks(half, vectors[:-others])
            self.log("levels: entries used, entropy in bits, energy left: "
                     + " ".join(f"{used:.2f}/{bits:.1f}/{left:.3f}" for used, bits, left
                                in rvq.code_statistics(half, vectors[-others:])))
        for mean, buffer in zip(self.average.buffers(), self.model.buffers()):
            mean.copy_(buffer)

    def encode_stretches(self):
        count = -(-self.args.stretches // self.args.workers)  # every worker has its own
        self.stretches = Stretches(self.batches, count, self.encode)

    @torch.no_grad()
    def encode(self, audio):
        """audio [B x 1 x samples] -> codes [B x 32 x frames]; as they are kept, of exact latents."""
        return rvq.encode(self.model.quantizer, self.model.latent(audio))

    # One step

    def autocast(self):
        # Without the cache of converted weights, which a recording would not renew.
        return torch.autocast(self.device.type, torch.bfloat16, enabled=self.args.bf16,
                              cache_enabled=False)

    def draw(self):
        return self.batches.draw(self.args.batch, self.args.frames * HOP_SAMPLES)

    def latent(self, audio):
        with self.autocast():
            latent = self.model.latent(audio)
        return latent.float()

    def received(self, audio):
        """What the decoder gets of both halves' projections, at the levels that are kept."""
        if self.phase == "continuous":
            latent = self.latent(audio)
            return [channel(latent, self.choice) for channel in self.channels]
        codes = self.codes
        if not self.stretches:
            codes = rvq.encode(self.model.quantizer, self.latent(audio))
        return rvq.decode(self.model.quantizer, codes, self.levels[self.choice])

    def reconstruct(self, audio):
        """audio [B x 1 x samples] -> the decoded audio and, if taught, the phones' term."""
        first, rest = self.received(audio)
        phones = None
        if self.pupil and self.phase != "final":
            phones = self.pupil(first, audio)
            first = first.detach()  # level 0 is for phones: what sounds is asked of the others
        with self.autocast():
            output = self.model.synthesise(rvq.joined(self.model.quantizer, first, rest))
        return output.float(), phones

    def train_judges(self, audio, output):
        with self.autocast():
            loss = gan.discriminator_loss(self.judges, audio, output)
        self.judge_optimiser.zero_grad(set_to_none=False)
        loss.backward()
        torch.nn.utils.clip_grad_norm_(self.judges.parameters(), CLIP_NORM)
        self.judge_optimiser.step()
        return loss

    def adversarial_loss(self, audio, output, terms):
        crop = slice(-GAN_FRAMES * HOP_SAMPLES, None)  # the frames with the longest past
        audio, output = audio[..., crop], output[..., crop]
        terms["judges"] = self.train_judges(audio, output)
        self.judges.requires_grad_(False)
        with self.autocast():
            losses = gan.generator_losses(self.judges, audio, output)
        self.judges.requires_grad_(True)
        terms.update(losses)
        return self.gan_weight * (0.2 * losses["adversarial"] + 1.0 * losses["matching"])

    @torch.no_grad()
    def follow_average(self):
        for number, (mean, weight) in enumerate(zip(self.average.parameters(),
                                                    self.model.parameters())):
            if self.optimiser.owner[number] == self.team.rank:
                mean.lerp_(weight, self.pace)

    def add_gradients(self, pair, judged):
        """From the inputs to the gradients, without a look from the host."""
        output, phones = self.reconstruct(self.audio)
        terms = self.reconstruction(self.audio, output, PAIRS[pair])
        terms["size"] = self.sizes.penalty()
        loss = sum(self.term_weights[name] * value for name, value in terms.items())
        if phones is not None:
            loss = loss + self.args.semantic_weight * phones
            terms["phones"] = phones
        if judged:
            loss = loss + self.adversarial_loss(self.audio, output, terms)
        loss.backward()
        self.note(terms)

    def update(self):
        """From everyone's gradients to the weights."""
        norm = torch.nn.utils.clip_grad_norm_(self.model.parameters(), CLIP_NORM)
        self.note(dict(gradient=norm))
        self.team.wait()
        self.optimiser.step()
        self.follow_average()
        self.team.wait()
        torch._foreach_zero_(self.team.gradients[self.team.rank])

    def note(self, terms):
        for name, value in terms.items():
            total = self.history.setdefault(name, torch.zeros((), device=self.device))
            total += value.detach() / self.args.accumulate

    def set_inputs(self):
        """Without waiting for a GPU: it works on the step before meanwhile."""
        if self.stretches:
            self.stretches.draw(self.audio, self.codes)
        else:
            self.audio.copy_(self.draw())
        choice = rvq.draw_levels(len(self.audio), self.args.odds, self.batches.rng)
        self.choice.copy_(choice.pin_memory() if self.graphs else choice, non_blocking=True)

    def set_rates(self, done):
        for number, rate in enumerate(self.rates(done)):
            self.optimiser.rates[number].fill_(rate)
        decay = min(self.args.average, (1 + self.step) / (10 + self.step))
        self.pace.fill_(1 - decay)
        self.gan_weight.fill_(min(1.0, max(0.0, done - self.args.gan_at) / GAN_RAMP))

    def do(self, work, *variant):
        if self.graphs:
            self.graphs.run((work.__name__, *variant), lambda: work(*variant))
        else:
            work(*variant)

    def train_step(self, done):
        self.set_rates(done)
        if self.phase == "continuous" and self.step % CHANNEL_STEPS == 0:
            for channel in self.channels:
                channel.refresh()
        judged = done >= self.args.gan_at
        for _ in range(self.args.accumulate):
            self.set_inputs()
            self.do(self.add_gradients, int(self.batches.rng.integers(len(PAIRS))), judged)
        self.do(self.update)
        self.step += 1

    def report(self):
        count = self.step - self.reported
        means = {name: total.item() / count for name, total in self.history.items()}
        self.spend()
        self.log(f"step {self.step} {self.phase} rate {self.rates(self.done())[0]:.1e} "
                 + " ".join(f"{name} {mean:.3f}" for name, mean in means.items())
                 + f" {self.spent:.0f} s")
        if not np.isfinite(list(means.values())).all():
            raise SystemExit(f"step {self.step}: a term is no number; the state of {self.state_path}"
                             " is from before")
        for total in self.history.values():
            total.zero_()
        self.reported = self.step

    def stop(self, *_):
        """A signal's handler: the step in progress is finished and saved."""
        self.team.stop.fill_(True)

    def part(self):
        """Becomes `workers` processes, which draw different batches."""
        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, self.stop)
        self.team.fork()
        gradients = self.team.gradients[self.team.rank]
        for (_, weight), gradient in zip(self.weights, gradients):
            weight.grad = gradient
        seed = self.args.workers * (self.args.seed + self.step) + self.team.rank
        torch.manual_seed(seed)
        self.batches.seed(seed)

    def start_channels(self):
        with torch.no_grad():
            latents = [self.model.latent(self.draw()) for _ in range(4)]
        for channel in self.channels:
            channel.start(latents)

    def agree(self):
        """The leader's share of the run that is over, the same for all workers; None to stop."""
        self.team.wait()
        if self.team.rank == 0:
            self.team.done.fill_(2.0 if self.team.stop else self.done())
        self.team.wait()
        done = self.team.done.item()
        return done if done < 1 else None

    def run(self):
        self.since = saved = time.time()
        self.part()
        leads = self.team.rank == 0
        if self.phase == "continuous":
            self.start_channels()
        while (done := self.agree()) is not None:
            self.enter_phases(done)
            self.train_step(done)
            if leads and self.step % REPORT_STEPS == 0:
                self.report()
                if time.time() - saved > self.args.save_seconds:
                    self.save()
                    saved = time.time()
        if leads:
            self.save()
            self.export(self.out)


def main():
    args = arguments()
    if args.workers > 1:
        torch.set_num_threads(1)
    Trainer(args).run()


if __name__ == "__main__":
    main()
