"""Generate libs/api from protos/ (and the vendored protos): `python scripts/proto.py [--check]`."""

import argparse
import filecmp
import shutil
import subprocess
import sys
import tempfile
from importlib import resources
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
OUT = ROOT / "libs" / "api"


def generate(out: Path) -> None:
    """Run protoc with the Python, gRPC and mypy plugins into `out`."""
    well_known = resources.files("grpc_tools") / "_proto"
    lastmile = sorted(str(p.relative_to(ROOT / "protos")) for p in (ROOT / "protos").rglob("*.proto"))
    command = [
        sys.executable, "-m", "grpc_tools.protoc",
        f"-I{ROOT / 'protos'}", f"-I{ROOT / 'third_party' / 'protos'}", f"-I{well_known}",
    ]  # fmt: skip
    bin_dir = Path(sys.executable).parent
    plugins = [f"--plugin=protoc-gen-{name}={bin_dir / f'protoc-gen-{name}'}" for name in ("mypy", "mypy_grpc")]
    outputs = [
        f"--python_out={out}",
        f"--grpc_python_out={out}",
        f"--mypy_out=quiet:{out}",
        f"--mypy_grpc_out=quiet:{out}",
    ]
    subprocess.run([*command, *plugins, *outputs, *lastmile], check=True)  # noqa: S603 - our own arguments
    # buf.validate has messages only; google.api comes from googleapis-common-protos.
    subprocess.run([*command, *plugins, *outputs[:1], outputs[2], "buf/validate/validate.proto"], check=True)  # noqa: S603 - as above
    # With the comments, which the REST documentation shows.
    described = [f"--descriptor_set_out={out / 'lastmile' / 'descriptors.binpb'}", "--include_source_info"]
    subprocess.run([*command, *described, *lastmile], check=True)  # noqa: S603 - as above
    for directory in sorted(p for p in out.rglob("*") if p.is_dir()):
        if any(directory.glob("*.py")) and directory.name.startswith("v"):
            (directory / "__init__.py").touch()
    for grpc_stub in out.rglob("*_pb2_grpc.py*"):
        if "Stub" not in grpc_stub.read_text():
            grpc_stub.unlink()


def differences(left: Path, right: Path) -> list[str]:
    """Name every file that differs between two trees of stubs."""
    names = {
        str(path.relative_to(base))
        for base in (left, right)
        for path in base.rglob("*")
        if path.is_file() and "__pycache__" not in path.parts
    }
    return sorted(
        name
        for name in names
        if not (
            (left / name).exists() and (right / name).exists() and filecmp.cmp(left / name, right / name, shallow=False)
        )
    )


def main() -> int:
    """Generate, or with --check fail when the committed stubs are out of date."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--check", action="store_true", help="change nothing; exit 1 when libs/api is out of date")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as scratch:
        fresh = Path(scratch)
        generate(fresh)
        stale = differences(fresh, OUT)
        if arguments.check:
            for name in stale:
                print(f"out of date: libs/api/{name} (run make proto)")
            return 1 if stale else 0
        shutil.rmtree(OUT, ignore_errors=True)
        shutil.copytree(fresh, OUT)
    print(f"generated {sum(1 for _ in OUT.rglob('*_pb2.py'))} modules into libs/api")
    return 0


if __name__ == "__main__":
    sys.exit(main())
