"""HTML pages, made from the Jinja2 templates in ``templates/``."""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from jinja2 import Environment


def render(template: str, **values: object) -> str:
    """Return a page made from a template.

    All values are escaped. A name that the template uses and that is not given is an error, not an empty string.

    Args:
        template: Name of a file in ``sfumato/templates``.
        **values: The template's variables.
    """
    return _environment().get_template(template).render(values)


@cache
def _environment() -> Environment:
    # Imported when the first page is made: few commands make one, and the import takes time.
    from jinja2 import Environment, PackageLoader, StrictUndefined

    return Environment(
        loader=PackageLoader("sfumato"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
