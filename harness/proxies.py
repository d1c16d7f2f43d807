"""Real proxies with the configurations in deploy/, on free ports."""

import os
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from urllib.error import HTTPError
from urllib.request import urlopen

from harness.real_server import ROOT, free_port, launch, wait_until

Replacements = Mapping[str, str]
"""Text in a configuration in deploy/ -> the text to replace it with."""


def _configuration(name: str, replacements: Replacements) -> str:
    text = (ROOT / "deploy" / name).read_text()
    for original, replacement in replacements.items():
        assert original in text
        text = text.replace(original, replacement)
    return text


def _nginx(folder: Path, port: int, replacements: Replacements) -> list[str]:
    site = _configuration("nginx.conf", {**replacements, "listen 8080": f"listen 127.0.0.1:{port}"})
    (folder / "site.conf").write_text(site)
    kinds = ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
    temporary = "".join(f"{kind}_temp_path {folder}/{kind}; " for kind in kinds)
    (folder / "nginx.conf").write_text(
        f"daemon off; worker_processes 1; pid {folder}/pid; error_log {folder}/error.log;"
        f" events {{}} http {{ access_log off; {temporary} include {folder}/site.conf; }}"
    )
    return ["nginx", "-p", str(folder), "-c", str(folder / "nginx.conf")]


def _caddy(folder: Path, port: int, replacements: Replacements) -> list[str]:
    site = _configuration("Caddyfile", {**replacements, ":8080 {": f"http://127.0.0.1:{port} {{"})
    options = "{\n\tadmin off\n\tauto_https off\n}\n"
    (folder / "Caddyfile").write_text(options + site)
    return ["caddy", "run", "--config", str(folder / "Caddyfile")]


PROXIES: Mapping[str, Callable[[Path, int, Replacements], list[str]]] = {
    "nginx": _nginx,
    "caddy": _caddy,
}
"""Program -> a function that writes its configuration and returns the command that starts it."""


@contextmanager
def running_proxy(
    name: str, folder: Path, gate: int, api: int, overrides: Replacements | None = None
) -> Iterator[int]:
    """Run a proxy with its files in ``folder`` and yield its port."""
    port = free_port()
    replacements = {"127.0.0.1:8000": f"127.0.0.1:{gate}", "127.0.0.1:9000": f"127.0.0.1:{api}"}
    command = PROXIES[name](folder, port, {**replacements, **(overrides or {})})
    log = folder / "log"
    process = launch(command, log, cwd=folder, env={**os.environ, "HOME": str(folder)})

    def is_up() -> bool:
        assert process.poll() is None, log.read_text()
        try:
            with urlopen(f"http://127.0.0.1:{port}"):
                return True
        except HTTPError as error:
            error.close()
            return True  # any response means that the proxy is up
        except OSError:
            return False

    try:
        wait_until(is_up)
        yield port
    finally:
        process.terminate()
        process.wait(30)
