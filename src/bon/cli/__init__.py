"""The command: `bon`. Subcommands are imported when they run, so that `bon --help` answers at once."""

from __future__ import annotations

import re
import signal
import sys
import warnings
from io import TextIOWrapper
from typing import Any

import click

from bon._version import __version__
from bon.cli.lazy import Lazy
from bon.errors import BonError, UsageError

__all__ = ["cli", "main"]

_CREDENTIALS = re.compile(r"//[^/\s]*@")
_COMMANDS = {
    "ask": ("bon.cli.ask", "Ask one question: draw N candidates, score them, show them, answer with the best."),
    "convert": ("bon.cli.convert", "Turn a data set into prompts or labelled pools."),
    "sample": ("bon.cli.sample", "Draw N candidates for every prompt of a file; resumes by itself."),
    "score": ("bon.cli.score", "Score the candidates of a file of pools."),
    "select": ("bon.cli.select", "Choose one candidate of each pool."),
    "eval": ("bon.cli.eval", "Say what best-of-N bought, at every k, from pools that are there."),
    "compare": ("bon.cli.compare", "Compare one greedy answer with the best of N, on the same prompts."),
    "report": ("bon.cli.report", "Write a page of HTML about pools: charts, tables, a browser of prompts."),
    "export": ("bon.cli.export", "Write pools as rows to train on, with TRL's names of columns."),
    "bench": ("bon.cli.bench", "Measure scorers on benchmarks of reward models and judges."),
    "list": ("bon.cli.listing", "List generators, scorers, selectors, budgets, extractors and converters."),
    "show": ("bon.cli.show", "Say all there is to say about one spec."),
    "doctor": ("bon.cli.doctor", "Examine a generator or a scorer by using it."),
    "audit": ("bon.cli.audit", "Find out by asking how far a judge can be trusted."),
    "principles": ("bon.cli.principles", "Learn judging principles from labelled data, and write them as a judge."),
    "train": ("bon.cli.train", "Train models that score, or that draw."),
    "frontier": ("bon.cli.frontier", "Say what trained policies gain against how far they moved, beside best-of-N."),
    "sandbox": ("bon.cli.sandbox", "Find out what a sandbox on this machine holds."),
    "pull": ("bon.cli.pull", "Fetch the embedded model."),
}


@click.group(
    cls=Lazy, modules=_COMMANDS, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 110}
)
@click.version_option(__version__, prog_name="bon")
def cli() -> None:
    """Best-of-N with language models: sample N, score, keep the best.

    Data goes to stdout, progress to stderr. Exit codes: 0 done, 1 failed, 2 bad usage. Defaults come from bon.toml and
    the BON_* variables.
    """


def _say(words: object) -> None:
    """A line on stderr, without the passwords of the URLs in it: settings may hold some."""
    sys.stderr.write(f"bon: {_CREDENTIALS.sub('//[secret]@', str(words))}\n")


def _warn(message: Warning | str, *_: object, **__: object) -> None:
    _say(f"warning: {message}")


class _Terminated(KeyboardInterrupt):
    """SIGTERM or SIGHUP, from a scheduler, a container, a terminal that closes: it ends a run as Ctrl-C does."""


def _terminate(*_: object) -> None:
    raise _Terminated


def main(args: list[str] | None = None) -> Any:
    """Run the command and end the process with its exit code; errors of ours are one line, without a traceback."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")  # half an emoji in an answer is no reason to lose it
    warnings.showwarning = _warn
    for name in ("SIGTERM", "SIGHUP"):
        if hasattr(signal, name) and signal.getsignal(getattr(signal, name)) == signal.SIG_DFL:  # nohup ignores one
            signal.signal(getattr(signal, name), _terminate)
    try:
        code = cli.main(args=args, standalone_mode=False, prog_name="bon")
    except click.ClickException as error:
        error.show()
        code = error.exit_code
    except (click.Abort, KeyboardInterrupt) as error:
        _say("stopped")
        code = 143 if isinstance(error.__cause__ or error, _Terminated) else 130
    except BonError as error:
        _say(error)
        code = 2 if isinstance(error, UsageError) else 1
    except BrokenPipeError:
        sys.stderr.close()  # whoever read our output has left: there is nobody to tell
        code = 1
    except OSError as error:  # a full disk, a folder that may not be written to
        _say(error)
        code = 1
    sys.exit(code if isinstance(code, int) else 0)
