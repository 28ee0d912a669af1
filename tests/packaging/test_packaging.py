"""What packaging/ says of ports, paths, settings, commands and routes, held against the code."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

from askonce import __version__, cli
from askonce.api import vital_signs
from askonce.products.document import Config
from askonce.settings import Settings

REPOSITORY = Path(__file__).parents[2]
PACKAGING = REPOSITORY / "packaging"
CHART = PACKAGING / "helm" / "askonce"
CONTAINERFILE = (PACKAGING / "Containerfile").read_text("utf-8")
UNIT = (PACKAGING / "systemd" / "askonce.service").read_text("utf-8")
FORMULA = (PACKAGING / "homebrew" / "askonce.rb").read_text("utf-8")
FILES = sorted(file for file in PACKAGING.rglob("*") if file.is_file() and "licenses" not in file.parts)
OPERATION = (REPOSITORY / "docs" / "operation.md").read_text("utf-8")
SOURCES = "".join(file.read_text("utf-8") for file in (REPOSITORY / "addon" / "askonce").rglob("*.py"))
HOME = "/var/lib/askonce"


def told(name: str) -> str:
    """A variable that the image sets."""
    (value,) = re.findall(rf"^ +{name}=(\S+)", CONTAINERFILE, re.MULTILINE)
    return str(value)


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.relative_to(PACKAGING).as_posix())
def test_every_variable_is_a_setting_that_the_docs_have(file: Path) -> None:
    for name in set(re.findall(r"\bASKONCE_(?!PORT\b)[A-Z_]+\b", file.read_text("utf-8"))):
        assert f'"{name}"' in SOURCES, name
        assert f"`{name}`" in OPERATION, name


def test_every_command_is_one() -> None:
    (entry,), (command,) = (
        re.findall(r"^ENTRYPOINT (.*)$", CONTAINERFILE, re.M),
        re.findall(r"^CMD (.*)$", CONTAINERFILE, re.M),
    )
    run = re.findall(r'run \[opt_bin/"(\w+)", "(\w+)"\]', FORMULA)
    asked = [tuple(json.loads(entry) + json.loads(command)), *run]
    asked += [tuple(line) for line in re.findall(r"^ExecStart=\S*/(\w+) (\w+)$", UNIT, re.MULTILINE)]
    asked += [("askonce", *line.split()) for line in re.findall(r'bin}/askonce ([a-z ]+)"', FORMULA)]
    assert len(asked) == 4
    for program, *words in asked:
        assert program == "askonce"
        assert commands(cli.app, words), words


def commands(app: Any, words: list[str]) -> bool:
    """Whether these name a command of Askonce."""
    from typer.main import get_command

    found: Any = get_command(app)
    for word in words:
        found = found.commands.get(word)
        if found is None:
            return False
    return True


def test_the_image_listens_for_others_and_keeps_everything_in_its_volume() -> None:
    names = ("ASKONCE_LISTEN", "ASKONCE_DATA", "ASKONCE_CERTS")
    settings = Settings.from_env(environ={name: told(name) for name in names} | {"ASKONCE_TOKEN": "x"})
    assert not settings.is_loopback
    assert [f"EXPOSE {settings.listen_port}", f"VOLUME {HOME}"] == re.findall(
        r"^(?:EXPOSE|VOLUME).*", CONTAINERFILE, re.M
    )[::-1]
    assert settings.data.is_relative_to(HOME) and settings.certs.is_relative_to(HOME)
    assert f"'127.0.0.1', {settings.listen_port}" in CONTAINERFILE
    user, group = re.findall(r"^USER (\d+):(\d+)$", CONTAINERFILE, re.MULTILINE)[0]
    assert int(user) and f"--owner {user} --group {group}" in CONTAINERFILE


def test_what_the_image_is_made_of_is_there() -> None:
    copied = [word for line in re.findall(r"^COPY (?!--from)(.*) \S+$", CONTAINERFILE, re.M) for word in line.split()]
    assert copied and all((REPOSITORY / word).exists() for word in copied)
    extras = set(re.findall(r"--extra (\w+)", CONTAINERFILE))
    project = (REPOSITORY / "pyproject.toml").read_text("utf-8")
    assert extras and all(re.search(rf"^{extra} = \[", project, re.MULTILINE) for extra in extras)


def test_the_probes_are_asked_for_what_the_proxy_answers() -> None:
    pod = (CHART / "templates" / "statefulset.yaml").read_text("utf-8")
    asked = set(re.findall(r"/health/\w+", CONTAINERFILE + pod))
    assert asked == {"/health/live", "/health/ready"}
    assert all(path in Path(vital_signs.__file__).read_text("utf-8") for path in asked)


def is_confined(service: dict[str, Any]) -> None:
    build = PACKAGING / service["build"]["context"] / service["build"]["dockerfile"]
    assert build.resolve() == PACKAGING / "Containerfile"
    assert service["read_only"] and service["cap_drop"] == ["ALL"]
    assert service["security_opt"] == ["no-new-privileges:true"]
    ((host, port, inside),) = [text.split(":") for text in service["ports"]]
    assert (host, inside) == ("127.0.0.1", told("ASKONCE_LISTEN").rpartition(":")[2]) and port


def test_compose_gives_the_image_what_it_wants_and_no_more() -> None:
    (service,) = yaml.safe_load((PACKAGING / "compose.yaml").read_text("utf-8"))["services"].values()
    is_confined(service)
    assert [name.partition(":")[2] for name in service["volumes"]] == [HOME]
    assert set(service["environment"]) == {"ASKONCE_TOKEN"}


def test_two_proxies_share_a_database_and_an_authority_and_no_folder() -> None:
    text = (PACKAGING / "compose.shared.yaml").read_text("utf-8")
    services = yaml.safe_load(text)["services"]
    database = services.pop("database")
    assert database["image"].startswith("pgvector/") and "healthcheck" in database
    for service in services.values():
        is_confined(service)
        assert service["volumes"][0] == f"askonce:{HOME}" and "ASKONCE_CERTS" not in service["environment"]
        assert service["volumes"][1].endswith(f":{service['environment']['ASKONCE_RULES']}:ro")
    folders = [service["environment"]["ASKONCE_DATA"] for service in services.values()]
    assert len({*folders}) == 2 and all(folder.startswith(f"{HOME}/") for folder in folders)
    (line,) = re.findall(r"^#   (cache: .*)$", text, re.MULTILINE)
    rules = f"version: 1\nupstreams: [{{name: a, hosts: [a.test], paths: [/v1], wire: generic}}]\n{line}\n"
    place = Config.parse(rules, environ={"DATABASE_PASSWORD": "secret"}).cache.place()
    assert place and (place.url, place.password) == ("postgresql://askonce@database/askonce?sslmode=disable", "secret")


def values() -> dict[str, Any]:
    found: dict[str, Any] = yaml.safe_load((CHART / "values.yaml").read_text("utf-8"))
    return found


def test_the_chart_uses_each_of_its_values_and_no_other() -> None:
    text = "".join(file.read_text("utf-8") for file in (CHART / "templates").iterdir())
    used = set(re.findall(r"\.Values\.([\w.]+)", text))
    known = {
        f"{name}.{below}" if isinstance(value, dict) and value and name != "resources" else name
        for name, value in values().items()
        for below in (value if isinstance(value, dict) and value else [""])
    }
    assert used == known
    assert f"mountPath: {HOME}\n" in text and f"containerPort: {told('ASKONCE_LISTEN')[1:]}\n" in text
    assert "runAsUser: " + re.findall(r"^USER (\d+)", CONTAINERFILE, re.MULTILINE)[0] in text
    chart = yaml.safe_load((CHART / "Chart.yaml").read_text("utf-8"))
    assert (chart["version"], chart["appVersion"]) == (__version__, __version__)


@pytest.mark.skipif(not shutil.which("helm"), reason="there is no helm")
@pytest.mark.parametrize("more", [["--set", "existingSecret=mine"], ["--set", "token=x", "--set", "rules=rules: []"]])
def test_helm_renders_it(more: list[str]) -> None:
    done = subprocess.run(["helm", "template", "mine", CHART, *more], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert {"Service", "StatefulSet"} <= {one["kind"] for one in yaml.safe_load_all(done.stdout) if one}


def test_the_unit_keeps_everything_where_it_may_write() -> None:
    for name in ("ASKONCE_DATA", "ASKONCE_CERTS"):
        assert f"{name}=%S/askonce/" in UNIT
    assert "ProtectSystem=strict" in UNIT and "StateDirectory=askonce\n" in UNIT


@pytest.mark.skipif(not shutil.which("systemd-analyze"), reason="there is no systemd")
def test_systemd_takes_the_unit_and_finds_it_safe(tmp_path: Path) -> None:
    file = tmp_path / "askonce.service"
    file.write_text(UNIT.replace("/opt/askonce/bin/askonce", "/bin/true"), "utf-8")  # which must be there
    verified = subprocess.run(["systemd-analyze", "verify", file], capture_output=True, text=True)
    assert (verified.returncode, verified.stdout + verified.stderr) == (0, "")
    exposed = subprocess.run(["systemd-analyze", "security", "--offline=true", file], capture_output=True, text=True)
    assert float(re.findall(r"exposure level for askonce.service: ([\d.]+)", exposed.stdout)[0]) <= 1.5


@pytest.mark.skipif(not shutil.which("ruby"), reason="there is no ruby")
def test_ruby_reads_the_formula() -> None:
    done = subprocess.run(["ruby", "-c", PACKAGING / "homebrew" / "askonce.rb"], capture_output=True, text=True)
    assert done.stdout == "Syntax OK\n", done.stderr


def test_the_formula_is_of_this_version() -> None:
    assert f"askonce-{__version__}.tar.gz" in FORMULA
