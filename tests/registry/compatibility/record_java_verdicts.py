"""Record what Apache Avro's Java library says of random schemas, as data for ``test_java_verdicts.py``.

Run ``python -m tests.registry.compatibility.record_java_verdicts`` from the root of the project. It needs Java 17
and Maven, which fetches the library; the tests need neither. Each line of the file is one family of schemas, as
``Oracle.java`` describes it, with the texts it was asked about added under ``asked``.
"""

from __future__ import annotations

import gzip
import json
import subprocess
import tempfile
from pathlib import Path
from random import Random

from tests.registry.compatibility.schema_maker import SchemaMaker, change

HERE = Path(__file__).parent
VERDICTS = HERE / "java_verdicts.jsonl.gz"
_FAMILIES = 1_200
_CHANGES = 4


def main() -> None:
    """Make the schemas, ask Java, and write the file."""
    random = Random(2026)
    families = [_family(random) for _ in range(_FAMILIES)]
    with tempfile.TemporaryDirectory() as jars:
        fetch = "org.apache.maven.plugins:maven-dependency-plugin:3.8.1:copy-dependencies"
        maven = ["mvn", "-q", "-B", "-f", str(HERE / "java/pom.xml")]
        subprocess.run([*maven, fetch, f"-DoutputDirectory={jars}"], check=True)
        asked = "\n".join(map(json.dumps, families))
        java = ["java", "-cp", f"{jars}/*", str(HERE / "java/Oracle.java")]
        answers = subprocess.run(java, input=asked, capture_output=True, text=True, check=True).stdout.strip()
    lines = (
        json.dumps({"asked": family, **json.loads(answer)}, separators=(",", ":"))
        for family, answer in zip(families, answers.split("\n"), strict=True)
    )
    VERDICTS.write_bytes(gzip.compress("\n".join(lines).encode(), mtime=0))


def _family(random: Random) -> list[str]:
    """A schema and some changes of it."""
    schema = SchemaMaker(random).schema(random.randint(0, 3))
    return [json.dumps(each) for each in [schema, *(change(random, schema, 3) for _ in range(_CHANGES))]]


if __name__ == "__main__":
    main()
