"""Checks STAC documents against the published JSON schemas, without a network.

    validate_stac.py SCHEMA_DIR DOCUMENT...

SCHEMA_DIR holds the schemas under the path of their URL (`src/catalog/schemas` is such a folder). Each document is checked
against the core schema of its `type` and `stac_version` and against every extension it lists, formats included. Prints
one line per problem. Exit code: 0 all right, 1 a problem was found, 2 used wrongly.

This is an oracle: it shares nothing with Fieldglow but the schema files. Needs the Python packages jsonschema and
referencing.
"""

import json
import re
import sys
from datetime import datetime
from pathlib import Path

from jsonschema import Draft7Validator, FormatChecker
from referencing import Registry
from referencing.exceptions import NoSuchResource, Unresolvable
from referencing.jsonschema import DRAFT7

CORE = {
    "Feature": "https://schemas.stacspec.org/v{}/item-spec/json-schema/item.json",
    "Collection": "https://schemas.stacspec.org/v{}/collection-spec/json-schema/collection.json",
    "Catalog": "https://schemas.stacspec.org/v{}/catalog-spec/json-schema/catalog.json",
}

# RFC 3339, section 5.6.
DATE_TIME = re.compile(
    r"(\d{4}-\d\d-\d\d)[Tt](\d\d):(\d\d):(\d\d)(\.\d+)?([Zz]|[+-]\d\d:\d\d)", re.ASCII
)
# RFC 3987, section 2.2: the characters allowed, hosts given as IPv6 addresses left out.
IRI_REFERENCE = re.compile(r"(?:%[0-9A-Fa-f]{2}|[^\x00-\x20\x7f-\x9f<>\"{}|\\^`%\[\]])*")
SCHEME = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*:")

formats = FormatChecker(formats=())


@formats.checks("date-time")
def is_date_time(value):
    if not isinstance(value, str):
        return True
    match = DATE_TIME.fullmatch(value)
    if not match:
        return False
    day, hour, minute, second = match.group(1, 2, 3, 4)
    try:
        # A leap second is legal in RFC 3339 but unknown to Python.
        datetime.fromisoformat(f"{day}T{hour}:{minute}:{min(int(second), 59):02}")
    except ValueError:
        return False
    return int(second) <= 60


@formats.checks("iri-reference")
def is_iri_reference(value):
    if not isinstance(value, str):
        return True
    # A colon before the first slash ends a scheme, so what stands before it must be one.
    first = re.split("[/?#]", value, maxsplit=1)[0]
    return bool(IRI_REFERENCE.fullmatch(value)) and (":" not in first or is_absolute(value))


@formats.checks("iri")
def is_iri(value):
    return not isinstance(value, str) or (is_iri_reference(value) and is_absolute(value))


def is_absolute(value):
    return bool(SCHEME.match(value))


class Schemas:
    """The schemas of a folder, by URL."""

    def __init__(self, folder):
        self.folder = Path(folder)
        self.registry = Registry(retrieve=self.retrieve)
        self.validators = {}

    def load(self, url):
        path = self.folder / re.sub(r"^https?://", "", url.rstrip("#"))
        if not path.is_file():
            raise NoSuchResource(ref=url)
        return json.loads(path.read_text(encoding="utf-8"))

    def retrieve(self, url):
        return DRAFT7.create_resource(self.load(url))

    def validator(self, url):
        if url not in self.validators:
            schema = self.load(url)
            Draft7Validator.check_schema(schema)
            self.validators[url] = Draft7Validator(
                schema, registry=self.registry, format_checker=formats
            )
        return self.validators[url]


def causes(error):
    """The errors that an error about alternatives comes down to."""
    if not error.context:
        yield error
    for inner in error.context:
        yield from causes(inner)


def problems(document, schemas):
    """Yields (place, message) for everything wrong with a document."""
    kind = document.get("type") if isinstance(document, dict) else None
    core = CORE.get(kind) if isinstance(kind, str) else None
    if core is None:
        yield "/type", f"expected one of {', '.join(CORE)}"
        return
    places = [("/stac_version", core.format(document.get("stac_version")))]
    listed = document.get("stac_extensions")
    for i, url in enumerate(listed if isinstance(listed, list) else []):
        # What is no text at all is the core schema's concern.
        if isinstance(url, str):
            places.append((f"/stac_extensions/{i}", url))
    for place_listed, url in places:
        try:
            errors = list(schemas.validator(url).iter_errors(document))
        except (NoSuchResource, Unresolvable) as missing:
            yield place_listed, f"{url} cannot be checked: no schema {missing.ref}"
            continue
        for cause in (cause for error in errors for cause in causes(error)):
            place = "".join(f"/{part}" for part in cause.absolute_path)
            yield place, f"{cause.message[:200]} ({url})"


def main(arguments):
    if len(arguments) < 2 or not Path(arguments[0]).is_dir():
        print(__doc__, file=sys.stderr)
        return 2
    schemas = Schemas(arguments[0])
    found = False
    for name in arguments[1:]:
        document = json.loads(Path(name).read_text(encoding="utf-8"))
        for place, message in problems(document, schemas):
            found = True
            print(f"{name}: {place or '/'}: {message}")
    return int(found)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
