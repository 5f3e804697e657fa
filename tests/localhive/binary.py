"""What a build's binaries know: chaos, comparison and benchmarks run older builds, too, which lack newer flags."""

import functools
import os
import subprocess


@functools.cache
def help_of(binaries, program):
    """What the program in that folder says to --help."""
    run = subprocess.run([os.path.join(binaries, program), "--help"], capture_output=True, text=True, timeout=10, check=False)
    return run.stdout + run.stderr


def supported(binaries, program, flags):
    """Those of {flag: value} that --help lists, as words for the program's command line."""
    return [f"--{flag}={value}" for flag, value in flags.items() if f"--{flag}" in help_of(binaries, program)]
