"""What all programs share: run a `main`, turn errors into one line and an exit code.

Exit codes: 0 done; 2 bad input or a file that cannot be used; 130 stopped with Ctrl-C; 141 the reader of our
output went away (as a shell reports SIGPIPE).
"""

from __future__ import annotations

import argparse
import errno
import os
import sys
from collections.abc import Sequence
from typing import Callable, NoReturn, Optional

from .data.errors import SettingsError, TastevecError

_REMEDIES = {
    errno.ENOSPC: "the disk is full: free some space, then run it again; nothing was changed",
    errno.EDQUOT: "the disk quota is used up: free some space, then run it again; nothing was changed",
    errno.EACCES: "no permission: choose another folder or change its rights",
    errno.EPERM: "no permission: choose another folder or change its rights",
    errno.EROFS: "the folder is read-only: choose another one",
    errno.ENOENT: "no such file or folder: check the path",
    errno.ENOTDIR: "a part of the path is a file, not a folder: check the path",
    errno.EISDIR: "this is a folder, not a file: check the path",
}


class Parser(argparse.ArgumentParser):
    """An argument parser whose errors are one line, like all others."""

    def error(self, message: str) -> NoReturn:
        raise SettingsError(f"{message}: see --help")


def run(main: Callable[[Optional[Sequence[str]]], Optional[int]]) -> NoReturn:
    """Run `main(None)` as a whole program and exit with its code."""
    try:
        code = main(None) or 0
        sys.stdout.flush()
    except TastevecError as error:
        code = _fail(str(error))
    except KeyboardInterrupt:
        print(file=sys.stderr)
        code = 130
    except BrokenPipeError:
        # Python flushes stdout once more at exit; give it somewhere to write.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        code = 141
    except MemoryError:
        code = _fail("not enough memory for this data: use a smaller data set or a larger machine")
    except OSError as error:
        # numpy tells a full disk without its number: "3691520 requested and 184192 written".
        number = errno.ENOSPC if "requested and" in str(error) else error.errno or 0
        what = _REMEDIES.get(number, f"{error.strerror or error}: check the path and try again")
        name = f"{error.filename}: " if error.filename else ""
        code = _fail(name + what)
    sys.exit(code)


def _fail(message: str) -> int:
    print("tastevec: " + " ".join(message.split()), file=sys.stderr)
    return 2
