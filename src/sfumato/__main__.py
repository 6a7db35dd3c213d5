"""``python -m sfumato``: the command line, if the script ``sfumato`` is not on the PATH."""

from sfumato.cli import app

if __name__ == "__main__":
    app()
