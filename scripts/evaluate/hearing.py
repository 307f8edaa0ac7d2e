"""Measures that model what people hear, on speech at 16 kHz."""
import numpy as np
from pesq import NoUtterancesError, pesq

RATE = 16000


def pesq_wb(original, decoded):
    """None where PESQ finds no speech."""
    try:
        return pesq(RATE, original, decoded, "wb")
    except NoUtterancesError:
        return None


def mean(values):
    """Of those that are there, and how many these are."""
    known = [value for value in values if value is not None and np.isfinite(value)]
    return (float(np.mean(known)) if known else None), len(known)
