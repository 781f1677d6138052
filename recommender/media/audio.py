"""The sound of movies: a folder of ID.wav, or of ID.npy computed elsewhere, one for each movie, named by movie id."""

from __future__ import annotations

from pathlib import Path
from typing import Callable

from .mfcc import MfccSettings, mfcc_vector, resample
from .modalities import AUDIO, Modality, from_vectors, movie_files, read_modality
from .wav import read_wav


def read_audio(
    path: Path, settings: MfccSettings, progress: Callable[[int, int], None] = lambda done, n: None
) -> Modality:
    """Return the movies' sound vectors, (n, n_mfcc) from a folder of WAV files, or (n, d) as stored otherwise.

    path: a folder of ID.wav files, or what `modalities.read_modality` reads.  progress: told how many of how many
    files are done.  Raises `DataError` for a folder with neither, `DataError` naming the file for one that can't be
    used.  Cost for each minute of sound about 0.1 s, and as much again where it has to be resampled.
    """
    if not path.is_dir() or not any(file.suffix.lower() == ".wav" for file in path.iterdir()):
        return read_modality(path, AUDIO, units_differ=True)
    files = movie_files(path, [".wav"])
    vectors = {}
    for done, (movie_id, file) in enumerate(files.items(), 1):
        signal, rate = read_wav(file, settings.max_seconds)
        vectors[movie_id] = mfcc_vector(resample(signal, rate, settings.rate), settings)
        progress(done, len(files))
    return from_vectors(AUDIO, vectors, units_differ=True)
