"""Tests of tastevec; numpy computes in one thread here: on small arrays a second one only waits."""

import os

for _variable in ("OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS", "MKL_NUM_THREADS"):  # read when numpy is first imported
    os.environ.setdefault(_variable, "1")
