"""``python -m rollwarden.admission`` prints the policies as YAML; ``deploy/admission.yaml`` is its output."""

from __future__ import annotations

import argparse
import sys

from . import Identities, render
from .manifest import to_yaml


def main() -> None:
    defaults = Identities()
    parser = argparse.ArgumentParser(prog="python -m rollwarden.admission", description="Print the admission policies.")
    parser.add_argument("--operator", default=defaults.operator, metavar="USER", help="default: %(default)s")
    parser.add_argument("--argo", default=defaults.argo, metavar="USER", help="default: %(default)s")
    options = parser.parse_args()
    sys.stdout.write(to_yaml(render(Identities(operator=options.operator, argo=options.argo))))


if __name__ == "__main__":
    main()
