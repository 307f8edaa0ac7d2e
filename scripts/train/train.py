#!/usr/bin/env python3
"""Trains a small Mimi from a folder of recordings; writes config.json and model.safetensors.

    train.py RECORDINGS OUT [--steps 60000]

Run it again with the same OUT to go on from the last saved state, with more --steps to go further.
The phases are counted in steps, so that stopping, pausing and sharing the machine change nothing:

    continuous   the autoencoder alone, a noisy channel in place of the quantisers
    joint        codebooks (k-means, then running means) with level dropout; the discriminators join
    final        encoder frozen, codebooks fitted anew, the decoder goes on
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
from pupil import Pupil
from data import Batches, decode_folder
from export import export
from initialise import initialise
from losses import FeatureSizes, Reconstruction, weighted
from model import HOP_SAMPLES, Mimi, make_config
from optimiser import Optimiser, Team

WARM_UP_STEPS = 50
GAN_RAMP_STEPS = 1000
CLIP_NORM = 2.0
COMMITMENT = 0.25
ENROL_FRAMES = 6400


def arguments():
    p = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    p.add_argument("recordings", help="folder of wav, flac, ogg, opus, mp3 files")
    p.add_argument("out", help="folder of the state, the log and the model")
    p.add_argument("--steps", type=int, default=60000, help="total number of steps")
    p.add_argument("--start", metavar="MODEL", help="begin with this exported model's weights")
    p.add_argument("--continuous-steps", type=int, default=3000)
    p.add_argument("--gan-step", type=int, default=15000, help="the discriminators' first step")
    p.add_argument("--final-steps", type=int, default=6000)
    p.add_argument("--decay-steps", type=int, default=30000,
                   help="last steps, over which the rate falls to nothing")
    p.add_argument("--fit-frames", type=int, default=80000, help="frames that k-means sees")
    p.add_argument("--filters", type=int, default=32)
    p.add_argument("--hidden", type=int, default=192)
    p.add_argument("--layers", type=int, default=4)
    p.add_argument("--latent-dim", type=int, default=128)
    p.add_argument("--batch", type=int, default=8, help="segments a step")
    p.add_argument("--frames", type=int, default=16, help="80 ms frames a segment")
    p.add_argument("--rate", type=float, default=1e-3, help="learning rate")
    p.add_argument("--muon", action=argparse.BooleanOptionalAction, default=True,
                   help="orthogonalised momentum for convolutions, Adam for the rest")
    p.add_argument("--workers", type=int, default=1,
                   help="processes of one thread, each with a batch of its own (CPU)")
    p.add_argument("--teacher", help="teacher.py's file: level 0 learns phones")
    p.add_argument("--semantic-weight", type=float, default=1.0, help="weight of that term")
    p.add_argument("--average", type=float, default=0.998, help="decay of the averaged weights")
    p.add_argument("--holdout", nargs="*", default=[], help="recordings (file stems) to leave out")
    p.add_argument("--bf16", action=argparse.BooleanOptionalAction,
                   default=torch.cuda.is_available(), help="autocast, for hardware it is fast on")
    p.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu")
    p.add_argument("--seed", type=int, default=0)
    p.add_argument("--save-every", type=int, default=250, help="steps between saved states")
    return p.parse_args()


class Trainer:
    def __init__(self, args):
        self.args = args
        self.out = pathlib.Path(args.out)
        self.out.mkdir(parents=True, exist_ok=True)
        self.device = torch.device(args.device)
        self.step, self.phase = 0, "continuous"
        self.config = make_config(args.filters, args.hidden, args.layers, args.latent_dim)
        self.sources = decode_folder(args.recordings, self.out / "pcm", args.holdout)
        self.model = Mimi(self.config).to(self.device)
        self.average = copy.deepcopy(self.model)
        self.channels = [rvq.Channel(half) for half in self.model.quantizer.halves()]
        self.judges = gan.make_discriminators().to(self.device)
        self.reconstruction = Reconstruction(self.device)
        self.pupil = (Pupil(args.teacher, self.config).to(self.device) if args.teacher
                      else None)
        self.weights = list(self.model.named_parameters())
        if self.pupil:
            self.weights += self.pupil.named_parameters()
        self.team = Team(args.workers, [weight for _, weight in self.weights])
        encoder = {id(weight) for weight in self.model.encoder_side().parameters()}
        self.optimiser = Optimiser(self.weights, encoder, args.muon, self.team)
        self.judge_optimiser = torch.optim.AdamW(self.judges.parameters(), args.rate,
                                                 betas=(0.8, 0.99))
        self.state_path = self.out / "state.pt"
        if self.state_path.exists():
            self.load()
        else:
            self.start()
            self.optimiser.limit_norms(self.weights)
        self.sizes = FeatureSizes(self.model)
        self.history = {}
        if args.workers > 1:
            self.share()

    def share(self):
        """Moves what the workers have in common to memory that they share."""
        for tensor in (self.optimiser.tensors() + [weight for _, weight in self.weights]
                       + list(self.model.buffers()) + list(self.average.state_dict().values())):
            tensor.share_memory_()

    # State

    def start(self):
        torch.manual_seed(self.args.seed)
        self.batches = Batches(self.sources, self.args.seed)
        if self.args.start:
            weights = load_file(pathlib.Path(self.args.start) / "model.safetensors")
            self.model.load_state_dict(weights)
            rvq.set_even_use(self.model.quantizer, self.args.batch * self.args.frames)
            self.average.load_state_dict(self.model.state_dict())
            self.phase = "continuous" if self.args.continuous_steps else "joint"
            self.log(f"starting from {self.args.start}")
            if self.pupil:
                self.enrol()
            return
        model = self.model.to("cpu")
        ratio = initialise(model, [torch.from_numpy(self.batches.draw(16, 40 * HOP_SAMPLES))
                                   for _ in range(4)])
        self.model.to(self.device)
        self.average.load_state_dict(self.model.state_dict())
        self.log(f"initialised: signal-to-noise ratio {ratio:.1f} dB")
        if self.pupil:
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
        self.step, self.phase = state["step"], state["phase"]
        self.batches = Batches(self.sources, self.args.seed + self.step)
        self.log(f"resumed at step {self.step}, phase {self.phase}")
        if self.pupil and "pupil" not in state:
            self.enrol()

    def save(self):
        state = {name: part.state_dict() for name, part in self.parts().items()}
        state |= dict(step=self.step, phase=self.phase, config=self.config)
        partial = self.state_path.with_suffix(".partial")
        torch.save(state, partial)
        os.replace(partial, self.state_path)

    def log(self, line):
        print(line, flush=True)
        with open(self.out / "log.txt", "a", encoding="utf-8") as log:
            log.write(line + "\n")

    @torch.no_grad()
    def centre(self):
        """Takes the mean, which no term asks about, out of the averaged weights' output."""
        latents = [self.average.latent(self.draw()) for _ in range(4)]
        if self.phase != "continuous":
            halves = self.average.quantizer
            kept = torch.full((self.args.batch,), 8, device=self.device)
            latents = [rvq.joined(halves, *rvq.quantise(halves, latent, kept, False)[:2])
                       for latent in latents]
        mean = torch.stack([self.average.synthesise(latent).mean() for latent in latents]).mean()
        self.average.decoder.layers[-1].conv.bias.sub_(mean)
        self.log(f"took out a mean of {mean.item():.5f}")

    # Phases

    def autocast(self):
        return torch.autocast(self.device.type, torch.bfloat16, enabled=self.args.bf16)

    def draw(self):
        samples = self.args.frames * HOP_SAMPLES
        return torch.from_numpy(self.batches.draw(self.args.batch, samples)).to(self.device)

    @torch.no_grad()
    def fit_codebooks(self):
        """k-means on fresh latents of both halves; the last tenth of them judges the result."""
        per_step = self.args.batch * self.args.frames
        latents = []
        for _ in range(self.args.fit_frames // per_step + 10):
            with self.autocast():
                latents.append(self.model.latent(self.draw()).float())
        for half in self.model.quantizer.halves():
            vectors = torch.cat([half.input_proj(z).transpose(1, 2).flatten(0, 1)
                                 for z in latents])
            others = len(vectors) // 10
            rvq.fit_codebooks(half, vectors[:-others], per_step)
            self.log("levels: entries used, entropy in bits, energy left: "
                     + " ".join(f"{used:.2f}/{bits:.1f}/{left:.3f}" for used, bits, left
                                in rvq.code_statistics(half, vectors[-others:])))
        self.copy_codebooks()

    def copy_codebooks(self):
        for mean, buffer in zip(self.average.buffers(), self.model.buffers()):
            mean.copy_(buffer)

    def enter_phases(self):
        args = self.args
        final = self.step >= args.steps - args.final_steps
        before = self.phase
        if final:
            self.phase = "final"
        elif self.phase == "continuous" and self.step >= args.continuous_steps:
            self.phase = "joint"
        if self.phase != before and self.team.rank == 0:
            source, target = ((self.average, self.model) if final else (self.model, self.average))
            target.load_state_dict(source.state_dict())
            threads = torch.get_num_threads()
            torch.set_num_threads(max(threads, args.workers))  # the other workers wait
            self.fit_codebooks()
            torch.set_num_threads(threads)
        if self.phase != before:
            self.team.wait()
        self.model.encoder_side().requires_grad_(self.phase != "final")

    def rates(self):
        """Warm-up, constant, then linear to nothing; the encoder's reaches it when it is frozen."""
        args, ends = self.args, (self.args.steps, self.args.steps - self.args.final_steps)
        shares = [(end - self.step) / max(1, end - (args.steps - args.decay_steps)) for end in ends]
        warm = (self.step + 1) / WARM_UP_STEPS
        return [args.rate * max(min(1.0, warm, *shares[:count]), 0.01) for count in (1, 2)]

    # One step

    def reconstruct(self, audio):
        """audio [B x 1 x samples] -> the decoded audio, commitment loss and, if taught, phones'."""
        quantizer = self.model.quantizer
        kept = rvq.draw_levels(len(audio), self.device)
        with self.autocast():
            latent = self.model.latent(audio)
        latent = latent.float()
        if self.phase == "continuous":
            halves = zip(self.channels, (kept.clamp(max=1), kept - 1))
            first, rest = (channel(latent, levels) for channel, levels in halves)
            commitment = latent.new_zeros(())
        else:
            learn = self.phase == "joint" and self.team.rank == 0
            first, rest, commitment = rvq.quantise(quantizer, latent, kept, learn)
        phones = None
        if self.pupil and self.phase != "final":
            phones = self.pupil(first, audio)
            first = first.detach()  # level 0 is for phones: what sounds is asked of the others
        with self.autocast():
            output = self.model.synthesise(rvq.joined(quantizer, first, rest))
        return output.float(), commitment, phones

    def train_judges(self, audio, output):
        with self.autocast():
            loss = gan.discriminator_loss(self.judges, audio, output)
        self.judge_optimiser.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(self.judges.parameters(), CLIP_NORM)
        self.judge_optimiser.step()
        return loss

    def adversarial_loss(self, audio, output, terms):
        start = np.random.default_rng(self.step).integers(0, audio.shape[-1] - 8 * HOP_SAMPLES + 1)
        crop = slice(int(start), int(start) + 8 * HOP_SAMPLES)
        audio, output = audio[..., crop], output[..., crop]
        if self.step % 2 == 0:
            terms["judges"] = self.train_judges(audio, output)
        self.judges.requires_grad_(False)
        with self.autocast():
            losses = gan.generator_losses(self.judges, audio, output)
        self.judges.requires_grad_(True)
        terms.update(losses)
        ramp = min(1.0, (self.step - self.args.gan_step) / GAN_RAMP_STEPS)
        return ramp * (0.2 * losses["adversarial"] + 1.0 * losses["matching"])

    @torch.no_grad()
    def follow_average(self):
        decay = min(self.args.average, (1 + self.step) / (10 + self.step))
        means, weights = (list(m.parameters()) for m in (self.average, self.model))
        mine = [number for number in range(len(means))
                if self.optimiser.owner[number] == self.team.rank]
        torch._foreach_lerp_([means[n] for n in mine], [weights[n] for n in mine], 1 - decay)
        if self.phase == "joint" and self.team.rank == 0:
            self.copy_codebooks()

    def train_step(self):
        rates = self.rates()
        self.judge_optimiser.param_groups[0]["lr"] = rates[0]
        audio = self.draw()
        output, commitment, phones = self.reconstruct(audio)
        terms = self.reconstruction(audio, output)
        terms["size"] = self.sizes.penalty()
        loss = weighted(terms) + COMMITMENT * commitment
        terms["commitment"] = commitment
        if phones is not None:
            loss = loss + self.args.semantic_weight * phones
            terms["phones"] = phones
        if self.step >= self.args.gan_step:
            loss = loss + self.adversarial_loss(audio, output, terms)
        loss.backward()
        terms["gradient"] = torch.nn.utils.clip_grad_norm_(self.model.parameters(), CLIP_NORM)
        self.team.wait()
        self.optimiser.step(*rates)
        self.step += 1
        self.follow_average()
        self.team.wait()
        for gradient in self.team.gradients[self.team.rank]:
            gradient.zero_()
        for name, value in terms.items():
            self.history.setdefault(name, []).append(value.item())

    def report(self, started):
        means = " ".join(f"{name} {np.mean(values):.3f}" for name, values in self.history.items())
        self.log(f"step {self.step} {self.phase} rate {self.rates()[0]:.1e} {means} "
                 f"{time.time() - started:.0f} s")
        self.history.clear()

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
        self.batches.rng = np.random.default_rng(seed)

    def run(self):
        started = time.time()
        self.part()
        leads = self.team.rank == 0
        while self.step < self.args.steps:
            self.team.wait()  # so that all see a signal before the same step
            if self.team.stop:
                break
            self.team.wait()
            self.enter_phases()
            self.train_step()
            if leads and self.step % 50 == 0:
                self.report(started)
            if leads and self.step % self.args.save_every == 0:
                self.save()
        if leads:
            self.centre()
            self.save()
            export(self.average.state_dict(), self.config, self.out)


def main():
    args = arguments()
    if args.workers > 1:
        torch.set_num_threads(1)
    Trainer(args).run()


if __name__ == "__main__":
    main()
