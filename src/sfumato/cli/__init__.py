"""The command line: parse the options, call the package, print the result.

Commands import their dependencies when they run, so that ``--help`` is instant. This package is not public: its names
may change.
"""

from __future__ import annotations

import sys
import warnings
from typing import Annotated, Any, NoReturn

import typer
from typer.core import TyperGroup

from sfumato import __version__
from sfumato.cli import (
    augment,
    batch,
    doctor,
    evaluate,
    explain,
    export,
    finish,
    imagine,
    keys,
    licences,
    lut,
    medical,
    personal,
    show,
    studio,
    styles,
    stylize,
    texture,
    train,
    verify,
    video,
)
from sfumato.cli.output import flush_streams, prepare_streams, say, say_error
from sfumato.errors import InputError, OutputError, SfumatoError, is_out_of_memory
from sfumato.limits import restore_limits

_INTERRUPTED = 130  # 128 + SIGINT, as shells expect
_BROKEN_PIPE = 141  # 128 + SIGPIPE
# The base class of usage errors: click's own, or the copy of it that newer versions of Typer contain.
_ClickException: Any = next(kind for kind in typer.BadParameter.__mro__ if kind.__name__ == "ClickException")


class _Commands(TyperGroup):
    """Command group that turns an expected error into one sentence on stderr and an exit code, without a traceback."""

    def invoke(self, ctx: Any) -> Any:
        try:
            with warnings.catch_warnings(), restore_limits():
                warnings.filterwarnings("ignore", module=r"PIL\b")  # about damaged metadata; the pixels are read
                return super().invoke(ctx)
        except SfumatoError as problem:
            say_error(problem)
            raise typer.Exit(problem.exit_code) from problem
        except typer.Abort:  # Ctrl-C at a prompt: end its line first. (Abort is a RuntimeError: keep this above.)
            say(err=True)
            _stop_interrupted()
        except (MemoryError, RuntimeError) as problem:
            if not is_out_of_memory(problem):
                raise
            say_error("out of memory; use smaller or fewer pictures at a time, or close other programs")
            raise typer.Exit(InputError.exit_code) from problem
        except KeyboardInterrupt:
            _stop_interrupted()
        except BrokenPipeError as problem:  # the reader of stdout, such as `head`, has ended; Typer would exit with 1
            raise typer.Exit(_BROKEN_PIPE) from problem
        except ImportError as problem:
            if not _is_from_interrupt(problem):
                raise
            _stop_interrupted()

    def main(self, *args: Any, **options: Any) -> Any:
        standalone = options.pop("standalone_mode", True)
        options["standalone_mode"] = False
        if not standalone:
            return super().main(*args, **options)
        prepare_streams()
        code = self._run(*args, **options)
        if failed := flush_streams():
            say_error(failed)
            code = code or OutputError.exit_code
        sys.exit(code)

    def _run(self, *args: Any, **options: Any) -> int:
        """Run the command, print any error, and return the exit code."""
        try:
            result = super().main(*args, **options)
        except _ClickException as problem:
            if type(problem).__name__ == "NoArgsIsHelpError":
                problem.show()
            else:
                message = " ".join(problem.format_message().split()).rstrip(".").replace("Value error, ", "")
                path = problem.ctx.command_path if getattr(problem, "ctx", None) else "sfumato"
                say_error(f"{message}; see {path} --help")
            return int(problem.exit_code)
        except typer.Abort:
            return 1
        except OSError as problem:  # a folder or a disk disappeared: not a bug, so no traceback
            where = "" if problem.filename is None else f" ({problem.filename})"
            say_error(
                f"the system says: {problem.strerror or problem}{where}; check the disk, the folder and its permissions"
            )
            return OutputError.exit_code
        return result if isinstance(result, int) else 0


def _stop_interrupted() -> NoReturn:
    say_error("interrupted")
    raise typer.Exit(_INTERRUPTED) from None


def _is_from_interrupt(problem: BaseException | None) -> bool:
    """Whether Ctrl-C caused the error: during the import of an extension module it appears as an ImportError."""
    while problem is not None:
        if isinstance(problem, KeyboardInterrupt):
            return True
        problem = problem.__cause__ or problem.__context__
    return False


def _print_version(is_set: bool) -> None:
    if is_set:
        say(f"sfumato {__version__}")
        raise typer.Exit


app = typer.Typer(
    name="sfumato",
    cls=_Commands,
    help="Paint photos in the style of paintings, or of any picture.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
)


@app.callback()
def _options(
    version: Annotated[
        bool, typer.Option("--version", callback=_print_version, is_eager=True, help="Print the version and exit.")
    ] = False,
) -> None: ...


app.command()(stylize.stylize)
app.command()(batch.batch)
app.command()(augment.augment)
app.add_typer(styles.app, name="styles")
app.command()(finish.finish)
app.add_typer(personal.app, name="personal")
app.command()(show.show)
app.command()(show.replay)
app.command()(licences.licences)
app.command()(lut.lut)
app.command()(texture.texture)
app.command()(medical.medical)
app.command()(explain.explain)
app.command()(imagine.imagine)
app.command()(video.video)
app.command()(keys.keys)
app.command()(verify.verify)
app.command()(doctor.doctor)
app.command()(evaluate.evaluate)
app.command()(evaluate.compare)
app.command()(train.train)
app.command()(export.export)
app.add_typer(studio.app, name="studio")
