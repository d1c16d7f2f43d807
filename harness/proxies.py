"""Real proxies with the configurations in deploy/, on free ports."""

import os
import re
import shutil
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from urllib.error import HTTPError
from urllib.request import urlopen

from harness.real_server import ROOT, free_port, launch, terminating, wait_until

Replacements = Mapping[str, str]
"""Text in a configuration in deploy/ -> the text to replace it with."""

_GATE = "127.0.0.1:8000"
_API = "127.0.0.1:9000"

# What Debian's apache2 enables by default, as far as it can affect a proxied request, and what
# deploy/apache.conf needs.
_APACHE_MODULES = (
    *("mpm_event", "authz_core", "authz_host", "access_compat", "alias", "dir"),
    *("negotiation", "reqtimeout", "setenvif", "deflate", "filter", "status"),
    *("lua", "proxy", "proxy_http"),
)


def program(name: str) -> str | None:
    """Return the path of an installed proxy.

    Envoy is a Python package, and Debian has the others in a folder for administrators.
    """
    folders = (str(Path(sys.executable).parent), os.environ.get("PATH", os.defpath), "/usr/sbin")
    return shutil.which(name, path=os.pathsep.join(folders))


def _configuration(name: str, replacements: Replacements) -> str:
    text = (ROOT / "deploy" / name).read_text()
    for original, replacement in replacements.items():
        assert original in text, f"{original!r} is not in deploy/{name}"
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
    return ["-p", str(folder), "-c", str(folder / "nginx.conf")]


def _caddy(folder: Path, port: int, replacements: Replacements) -> list[str]:
    site = _configuration("Caddyfile", {**replacements, ":8080 {": f"http://127.0.0.1:{port} {{"})
    options = "{\n\tadmin off\n\tauto_https off\n}\n"
    (folder / "Caddyfile").write_text(options + site)
    return ["run", "--config", str(folder / "Caddyfile")]


def _envoy(folder: Path, port: int, replacements: Replacements) -> list[str]:
    def fields(address: str) -> str:
        return re.sub(r"^([\d.]+):(\d+)$", r"address: \1, port_value: \2", address)

    addresses = {**replacements, "0.0.0.0:8080": f"127.0.0.1:{port}"}
    (folder / "envoy.yaml").write_text(
        _configuration(
            "envoy.yaml", {fields(original): fields(new) for original, new in addresses.items()}
        )
    )
    return ["-c", str(folder / "envoy.yaml"), "--disable-hot-restart"]


def _haproxy(folder: Path, port: int, replacements: Replacements) -> list[str]:
    socket = {"abns@apidevices-gate": f"abns@apidevices-gate-{port}"}
    script = folder / "haproxy.lua"
    own = {
        **socket,
        "/etc/haproxy/haproxy.lua": str(script),
        "bind :8080": f"bind 127.0.0.1:{port}",
    }
    (folder / "haproxy.cfg").write_text(_configuration("haproxy.cfg", {**replacements, **own}))
    script.write_text(_configuration("haproxy.lua", socket))
    return ["-f", str(folder / "haproxy.cfg")]


def _apache(folder: Path, port: int, replacements: Replacements) -> list[str]:
    script = folder / "apidevices.lua"
    own = {
        "/etc/apache2/apidevices.lua": str(script),
        "Listen 8080": f"Listen 127.0.0.1:{port}",
        "*:8080": f"*:{port}",
    }
    site = {original: new for original, new in replacements.items() if original != _GATE}
    (folder / "site.conf").write_text(_configuration("apache.conf", {**site, **own}))
    script.write_text(_configuration("apache.lua", {_GATE: replacements[_GATE]}))
    modules = "".join(
        f"LoadModule {name}_module /usr/lib/apache2/modules/mod_{name}.so\n"
        for name in _APACHE_MODULES
    )
    user = "User www-data\nGroup www-data\n" if os.getuid() == 0 else ""
    (folder / "apache.conf").write_text(
        f"{modules}{user}ServerName localhost\nServerRoot {folder}\nDefaultRuntimeDir {folder}\n"
        f"PidFile {folder}/pid\nErrorLog {folder}/log\nInclude {folder}/site.conf\n"
    )
    return ["-f", str(folder / "apache.conf"), "-D", "FOREGROUND"]


PROXIES: Mapping[str, Callable[[Path, int, Replacements], list[str]]] = {
    "nginx": _nginx,
    "caddy": _caddy,
    "envoy": _envoy,
    "haproxy": _haproxy,
    "apache2": _apache,
}
"""Program -> a function that writes its configuration and returns its arguments."""


@contextmanager
def running_proxy(
    name: str, gate: int, api: int, overrides: Replacements | None = None
) -> Iterator[int]:
    """Run a proxy between clients, the gate and an API on local ports. Yield its port."""
    port = free_port()
    executable = program(name)
    assert executable, f"{name} is not installed"
    replacements = {_GATE: f"127.0.0.1:{gate}", _API: f"127.0.0.1:{api}"}
    with TemporaryDirectory(prefix=f"{name}-", ignore_cleanup_errors=True) as temporary:
        folder = Path(temporary)
        folder.chmod(0o755)  # Apache gives up root before it reads its script
        arguments = PROXIES[name](folder, port, {**replacements, **(overrides or {})})
        log = folder / "log"
        environment = {**os.environ, "HOME": temporary}
        # As a service manager starts it: no configuration may depend on the working directory.
        process = launch([executable, *arguments], log, cwd=Path("/"), env=environment)

        def is_up() -> bool:
            assert process.poll() is None, f"{name} did not start:\n{log.read_text()}"
            try:
                with urlopen(f"http://127.0.0.1:{port}"):
                    return True
            except HTTPError as error:
                error.close()
                return True  # any response means that the proxy is up
            except OSError:
                return False

        with terminating(process):
            wait_until(is_up)
            yield port
