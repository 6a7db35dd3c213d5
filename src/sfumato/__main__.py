"""``python -m sfumato``: the command line, where the script is not on the path."""

from sfumato.cli import app

if __name__ == "__main__":
    app()
