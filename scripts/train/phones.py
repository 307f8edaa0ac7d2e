#!/usr/bin/env python3
"""Time-aligned words and phones of the English training recordings, by pocketsphinx.

    phones.py RECORDINGS LABELS.json [--minutes 25]

Sources of spoken commands are recognised with a grammar of what they say, others with a language
model; then each clip is aligned with what was recognised.  apt-get install pocketsphinx-en-us;
pip install pocketsphinx.
"""
import argparse
import json
import pathlib
import tempfile

import numpy as np
from pocketsphinx import Decoder

from data import SAMPLE_RATE, decode_folder, resample_poly
from teacher import PHONES

MODEL = pathlib.Path("/usr/share/pocketsphinx/model/en-us")
RATE = 16000
COMMANDS = """#JSGF V1.0;
grammar commands;
<lead> = (can | could | may) i (have | get) | (make | get | give | brew) me | i want
       | i would like | i'd like | i'll have | let me have | i'll take | i need | please;
<size> = small | medium | large | huge | big | (eight | twelve | sixteen | twenty) ounce
       | (small | medium | large) cup;
<roast> = (light | medium | dark) roast;
<shots> = (single | double | triple | quadruple) shot | (one | two | three | four) shots;
<drink> = coffee | espresso | latte | cappuccino | mocha | americano | iced coffee | house coffee
        | tea;
<amount> = some | a bit of | a little bit of | a little | a lot of | lots of | no | extra | light;
<extra> = sugar | brown sugar | milk | (skim | almond | soy | whole | two percent) milk | cream
        | half and half | honey | sweetener | syrup | maple syrup | hazelnut | vanilla | cinnamon;
<order> = [a | an | the | my] (<size> | <roast> | <shots>)* <drink>;
<with> = (with | and) [<amount>] <extra>;
public <command> = [<lead>] <order> <with>* [please];
"""
WAKE = """#JSGF V1.0;
grammar wake;
public <wake> = alexa | computer | jarvis | smart mirror | snow boy | view glass;
"""
GRAMMARS = dict(kathleen=None, picointent=COMMANDS, picowake=WAKE)  # None: a language model


def make_decoder(**options):
    return Decoder(hmm=str(MODEL / "en-us"), loglevel="FATAL", **options)


def make_recogniser(grammar):
    words = str(MODEL / "cmudict-en-us.dict")
    if grammar is None:
        return make_decoder(dict=words, lm=str(MODEL / "en-us.lm.bin"))
    with tempfile.NamedTemporaryFile("w", suffix=".gram") as file:
        file.write(grammar)
        file.flush()
        return make_decoder(dict=words, jsgf=file.name)


def make_aligner():
    """One whose words are the phones: pocketsphinx's own second pass crashes on some recordings."""
    with tempfile.NamedTemporaryFile("w", suffix=".dict") as file:
        file.writelines(f"{phone} {phone}\n" for phone in PHONES[1:])
        file.flush()
        return make_decoder(dict=file.name, lm=None)


def decode(decoder, pcm):
    """Returns [(word, first label, labels), ...] without pauses."""
    decoder.start_utt()
    decoder.process_raw(pcm.tobytes(), False, True)
    decoder.end_utt()
    return [(part.word, part.start_frame, part.end_frame + 1 - part.start_frame)
            for part in decoder.seg() if part.word[0] not in "<["] if decoder.hyp() else []


def align(recogniser, aligner, pcm):
    """[[word, [[phone, first label, labels], ...]], ...]; empty where nothing fits."""
    words = [word for word, _, _ in decode(recogniser, pcm)]
    spelt = [recogniser.lookup_word(word).split() for word in words]
    sequence = [phone for phones in spelt for phone in phones]
    if not sequence:
        return []
    aligner.set_align_text(" ".join(sequence))
    phones = decode(aligner, pcm)
    if [phone for phone, _, _ in phones] != sequence:
        return []
    parts = iter(phones)
    return [[word.split("(")[0], [list(next(parts)) for _ in phones]]
            for word, phones in zip(words, spelt)]


def label_source(pcm, clips, grammar, minutes):
    """Aligned clips spread over the source: dicts of start, length (24 kHz) and words."""
    recogniser, aligner = make_recogniser(grammar), make_aligner()
    share = min(1.0, minutes * 60 * SAMPLE_RATE / sum(length for _, length in clips))
    labelled, taken = [], 0.0
    for start, length in clips:
        taken += share
        if taken >= 1.0:
            taken -= 1.0
            sound = resample_poly(pcm[start:start + length].astype(np.float32), 2, 3)
            sound = sound.clip(-32768, 32767).astype(np.int16)
            words = align(recogniser, aligner, sound)
            if words:
                labelled.append(dict(start=start, length=length, words=words))
    return labelled


def main():
    p = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    p.add_argument("recordings", help="folder with index.json, whose clips are labelled")
    p.add_argument("labels", help="JSON file to write")
    p.add_argument("--pcm", help="folder of decoded recordings (train.py's OUT/pcm)")
    p.add_argument("--minutes", type=float, default=25, help="at most so much, for each source")
    args = p.parse_args()
    folder = pathlib.Path(args.recordings)
    index = json.loads((folder / "index.json").read_text())
    pcm = pathlib.Path(args.pcm) if args.pcm else pathlib.Path(args.labels).parent / "pcm"
    decode_folder(folder, pcm)
    labels = {}
    for source, grammar in GRAMMARS.items():
        sound = np.memmap(pcm / (source + ".s16"), np.int16, "r")
        labels[source] = label_source(sound, index[source], grammar, args.minutes)
        seconds = sum(clip["length"] for clip in labels[source]) / SAMPLE_RATE
        print(f"{source}: {len(labels[source])} clips, {seconds / 60:.1f} minutes", flush=True)
    pathlib.Path(args.labels).write_text(json.dumps(labels))


if __name__ == "__main__":
    main()
