"""Measures codecs on recordings, in the environment that scripts/evaluate.py makes."""
import json
import os
import subprocess
import sys
import tempfile

import chart
import hearing
import numpy as np
import soundfile
from codecs_compared import RATE, Codec2, Mimi, Opus, read
from distances import mel_distance, si_sdr_db
from program import Program, row
from pystoi import stoi
from scipy.signal import resample_poly
from visqol import VisqolApi

# key, title, format, whether more is better
MEASURES = (("pesq_wb", "PESQ-WB", "{:.2f}", True), ("stoi", "STOI", "{:.3f}", True),
            ("visqol", "ViSQOL", "{:.2f}", True),
            ("mel_distance", "mel distance", "{:.3f}", False),
            ("si_sdr_db", "SI-SDR, dB", "{:.1f}", True))
CHARTED = ("pesq_wb", "stoi", "visqol", "mel_distance")
WARNING = ("Measures made for codecs that keep the waveform (SI-SDR, and in part PESQ, STOI and "
           "ViSQOL)\nmisrank generative codecs, whose sound may be good and yet another waveform: "
           "listen.")


class Measurer:
    def __init__(self):
        self.visqol = VisqolApi()
        self.visqol.create(mode="speech", use_lattice_model=True)

    def measure(self, original, decoded):
        """Both at RATE; of the decoded sound as much as there is of the original."""
        decoded = fit(decoded, len(original))
        narrow = [resample_poly(sound, hearing.RATE, RATE) for sound in (original, decoded)]
        return {"pesq_wb": hearing.pesq_wb(*narrow), "stoi": float(stoi(*narrow, hearing.RATE)),
                "visqol": self.visqol.measure_from_arrays(*narrow, hearing.RATE).moslqo,
                "mel_distance": float(mel_distance(original, decoded, RATE)),
                "si_sdr_db": float(si_sdr_db(original, decoded))}


def fit(sound, length):
    return np.pad(sound[:length], (0, max(0, length - len(sound))))


def prepare(paths, folder):
    """The recordings as mono WAV files at RATE."""
    os.makedirs(folder)
    wavs = []
    for path in paths:
        rate = soundfile.info(path).samplerate
        name = os.path.splitext(os.path.basename(path))[0] + ".wav"
        wavs.append(os.path.join(folder, name))
        soundfile.write(wavs[-1], resample_poly(read(path), RATE, rate), RATE, subtype="PCM_16")
    return wavs


def codecs(args, program, folder):
    found = [Mimi(program, levels) for levels in args.levels]
    for kind, settings, package in ((Opus, args.opus, "opus-tools"), (Codec2, args.codec2, "codec2")):
        if kind.is_there():
            found += [kind(folder, setting) for setting in settings]
        else:
            print(f"evaluate: {kind.name} is left out: Debian's {package} is not installed",
                  file=sys.stderr)
    return found


def evaluate(codec, wavs, originals, measurer):
    each, codes, file_bits = [], 0, 0
    for original, (decoded, code_bits, all_bits) in zip(originals, codec.code(wavs), strict=True):
        each.append(measurer.measure(original, decoded))
        codes, file_bits = codes + code_bits, file_bits + all_bits
    milliseconds = sum(map(len, originals)) / RATE * 1000
    result = {"codec": codec.name, "setting": codec.setting,
              "kilobits_per_second": codes / milliseconds,
              "file_kilobits_per_second": file_bits / milliseconds}
    for key, *_ in MEASURES:
        result[key], result[f"{key}_of"] = hearing.mean([figures[key] for figures in each])
    result["each"] = each
    return result


def mimi_codes(args, wavs):
    """Entropy and use of each level, and which model it is."""
    levels = ["--levels", str(max(args.levels))]
    model = ["--model", args.model] if args.model else []
    out = subprocess.run([args.mimi, "eval", "--quiet", "--json", *levels, *model, "--", *wavs],
                         check=True, stdout=subprocess.PIPE).stdout
    report = json.loads(out)
    return {key: report[key] for key in ("model", "frames", "codes")}


def run(args):
    with tempfile.TemporaryDirectory() as folder:
        wavs = prepare(args.recordings, os.path.join(folder, "originals"))
        originals = [read(path) for path in wavs]
        report = {"recordings": len(wavs), "seconds": sum(map(len, originals)) / RATE,
                  **mimi_codes(args, wavs), "results": []}
        measurer = Measurer()
        for codec in codecs(args, Program(args.mimi, args.model, folder), folder):
            print(f"evaluate: {codec.name}, {codec.setting}", file=sys.stderr)
            report["results"].append(evaluate(codec, wavs, originals, measurer))
    return report


def table(report):
    lines = [f"{report['model']}; {report['recordings']} recordings, {report['seconds']:.1f} s", "",
             row("codec", "kbit/s, codes", "kbit/s, file", *(title for _, title, *_ in MEASURES)),
             row(*["---"] * (3 + len(MEASURES)))]
    for result in report["results"]:
        figures = ["" if result[key] is None else pattern.format(result[key])
                   for key, _, pattern, _ in MEASURES]
        lines.append(row(f"{result['codec']}, {result['setting']}",
                         f"{result['kilobits_per_second']:.2f}",
                         f"{result['file_kilobits_per_second']:.2f}", *figures))
    return "\n".join(lines)


def code_table(report):
    lines = [f"codes of {report['frames']} frames", "", row("level", "entropy, bits", "entries used"),
             row("---", "---", "---")]
    for line in report["codes"]:
        lines.append(row(str(line["level"]), f"{line['entropy_bits']:.2f}",
                         f"{100 * line['share_used']:.0f} %"))
    return "\n".join(lines)


def main(args):
    try:
        report = run(args)
    except subprocess.CalledProcessError as error:
        sys.exit(error.returncode)  # the program has said why
    if args.json:
        with open(args.json, "w", encoding="utf-8") as file:
            json.dump(report, file, indent=1)
    if args.plot:
        chart.draw(report, [(key, title, more) for key, title, _, more in MEASURES
                            if key in CHARTED], args.plot)
    print(f"{table(report)}\n\n{code_table(report)}\n\n{WARNING}")
