"""Settings: defaults, accepted values and error messages."""

from pathlib import Path

import pytest

from apidevices import ConfigError
from apidevices.config import Settings
from apidevices.identity import DEFAULT_HEADERS
from apidevices.standalone.settings import ServerSettings, extension_settings
from harness.real_server import ROOT
from tests.conftest import MakeApp, only_settings


def read(variables: dict[str, str]) -> ServerSettings:
    """Read the server settings from these environment variables only."""
    with only_settings(variables):
        return ServerSettings.from_environ()


# --- the server --------------------------------------------------------------------------------


def test_server_defaults() -> None:
    settings = read({})
    assert (settings.host, settings.port) == ("127.0.0.1", 8000)
    assert settings.url.get_backend_name() == "sqlite"
    assert settings.url.database == str(ROOT / "instance" / "apidevices.sqlite3")


def test_server_variables_are_read() -> None:
    settings = read(
        {
            "HOST": "0.0.0.0",  # noqa: S104 - nothing is bound
            "PORT": "9000",
            "WEB_CONCURRENCY": "4",
            "DATABASE_URL": "postgresql://db.example/devices",
            "SECRET_KEY": "0123456789abcdef",
            "APIDEVICES_INSTANCE": "/srv/devices",
            "APIDEVICES_THREADS": "3",
            "APIDEVICES_CONNECTIONS": "50",
            "APIDEVICES_READ_TIMEOUT": "20",
            "APIDEVICES_SEND_TIMEOUT": "2.5",
            "APIDEVICES_PROXIES": "1",
            "APIDEVICES_LOG": "json",
            "APIDEVICES_ACCESS_LOG": "true",
            "APIDEVICES_KEEP_UPLOADS_DAYS": "90",
            "APIDEVICES_SECURE_COOKIES": "true",
            "APIDEVICES_SESSION_HOURS": "0.5",
            "APIDEVICES_CORS_ORIGINS": "https://one.example, http://two.example:8080",
            "APIDEVICES_UPLOADS_PER_DAY": "10",
            "APIDEVICES_UPLOAD_BYTES_PER_DAY": "20",
            "APIDEVICES_TOKEN_UPLOADS_PER_DAY": "30",
            "APIDEVICES_TOKEN_UPLOAD_BYTES_PER_DAY": "0",
        }
    )
    assert settings.model_dump() == {
        "host": "0.0.0.0",  # noqa: S104 - nothing is bound
        "port": 9000,
        "web_concurrency": 4,
        "database_url": "postgresql://db.example/devices",
        "secret_key": "0123456789abcdef",
        "apidevices_instance": Path("/srv/devices"),
        "apidevices_threads": 3,
        "apidevices_connections": 50,
        "apidevices_read_timeout": 20,
        "apidevices_send_timeout": 2.5,
        "apidevices_env_file": None,
        "apidevices_proxies": 1,
        "apidevices_log": "json",
        "apidevices_access_log": True,
        "apidevices_keep_uploads_days": 90,
        "apidevices_secure_cookies": True,
        "apidevices_session_hours": 0.5,
        "apidevices_cors_origins": "https://one.example, http://two.example:8080",
        "apidevices_uploads_per_day": 10,
        "apidevices_upload_bytes_per_day": 20,
        "apidevices_token_uploads_per_day": 30,
        "apidevices_token_upload_bytes_per_day": 0,
    }


def test_empty_variable_counts_as_unset() -> None:
    assert read({"PORT": "", "DATABASE_URL": ""}).port == 8000


@pytest.mark.parametrize(
    ("variable", "value"),
    [
        ("PORT", "http"),
        ("PORT", "0"),
        ("PORT", "65536"),
        ("HOST", " "),
        ("WEB_CONCURRENCY", "0"),
        ("WEB_CONCURRENCY", "many"),
        ("DATABASE_URL", "not a URL"),
        ("DATABASE_URL", "mysql://db.example/devices"),
        ("DATABASE_URL", "sqlite:///:memory:"),
        ("DATABASE_URL", "postgresql+psycopg2://db.example/devices"),
        ("DATABASE_URL", "sqlite://"),
        ("DATABASE_URL", "postgresql://db.example:port/devices"),
        ("SECRET_KEY", "short"),
        ("APIDEVICES_THREADS", "0"),
        ("APIDEVICES_PROXIES", "-1"),
        ("APIDEVICES_KEEP_UPLOADS_DAYS", "-1"),
        ("APIDEVICES_KEEP_UPLOADS_DAYS", "36501"),
        ("APIDEVICES_LOG", "xml"),
        ("APIDEVICES_SECURE_COOKIES", "perhaps"),
        ("APIDEVICES_CORS_ORIGINS", "app.example.com"),
        ("APIDEVICES_CORS_ORIGINS", "https://app.example.com/page"),
        ("APIDEVICES_UPLOADS_PER_DAY", "-1"),
    ],
)
def test_error_names_the_invalid_server_variable(variable: str, value: str) -> None:
    with pytest.raises(ConfigError, match=rf"\A{variable}: [^\n]+\Z"):
        read({variable: value})


@pytest.mark.parametrize(
    ("variable", "value", "message"),
    [
        ("PORT", "http", "must be an integer"),
        ("PORT", "65536", "must be at most 65535"),
        ("HOST", " ", "must not be empty"),
        ("WEB_CONCURRENCY", "0", "must be at least 1"),
        ("APIDEVICES_SECURE_COOKIES", "perhaps", "must be true or false"),
        (
            "DATABASE_URL",
            "sqlite://",
            "must name a file: worker processes can't share an in-memory database",
        ),
    ],
)
def test_error_states_the_rule_for_the_value(variable: str, value: str, message: str) -> None:
    with pytest.raises(ConfigError, match=rf"\A{variable}: {message}\Z"):
        read({variable: value})


@pytest.mark.parametrize(
    ("host", "bind", "address"),
    [
        ("127.0.0.1", "127.0.0.1:9000", "http://127.0.0.1:9000"),
        ("devices.example", "devices.example:9000", "http://devices.example:9000"),
        ("0.0.0.0", "0.0.0.0:9000", "http://localhost:9000"),  # noqa: S104 - nothing is bound
        ("::1", "[::1]:9000", "http://[::1]:9000"),
        ("::", "[::]:9000", "http://localhost:9000"),
    ],
)
def test_bind_and_public_address_follow_host_and_port(host: str, bind: str, address: str) -> None:
    settings = read({"HOST": host, "PORT": "9000"})
    assert (settings.bind, settings.address) == (bind, address)


def test_postgresql_uses_psycopg() -> None:
    settings = read({"DATABASE_URL": "postgresql://db.example/devices"})
    assert settings.url.drivername == "postgresql+psycopg"


@pytest.mark.parametrize(
    ("url", "hosts", "sessions"),
    [
        ("postgresql://ann:x@one:5432,two:5433/d", ("one:5432", "two:5433"), "read-write"),
        ("postgresql://one,two,three/d", ("one", "two", "three"), "read-write"),
        ("postgresql://one,two/d?target_session_attrs=any", ("one", "two"), "any"),
    ],
)
def test_database_url_accepts_several_hosts(
    url: str, hosts: tuple[str, ...], sessions: str
) -> None:
    parsed = read({"DATABASE_URL": url}).url
    assert (parsed.database, parsed.query["host"]) == ("d", hosts)
    # A replica could lag behind and miss the latest blocks.
    assert parsed.query["target_session_attrs"] == sessions


def test_error_does_not_reveal_the_secret() -> None:
    with pytest.raises(ConfigError) as error:
        read({"SECRET_KEY": "hunter2"})
    assert "hunter2" not in str(error.value)


# --- the extension -----------------------------------------------------------------------------


def test_extension_defaults() -> None:
    settings = Settings.from_mapping({})
    assert settings.require_device_id is None
    assert settings.headers == DEFAULT_HEADERS


def test_header_setting_accepts_several_names_in_order() -> None:
    settings = Settings.from_mapping({"APIDEVICES_HEADER_MODEL": "X-Model, X-Device-Model"})
    assert settings.headers["model"] == ("X-Model", "X-Device-Model")


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("APIDEVICES_REQUIRE_DEVICE_ID", "perhaps"),
        ("APIDEVICES_HEADER_IDENTIFIER", "X Device"),
        ("APIDEVICES_HEADER_IDENTIFIER", ""),
        ("APIDEVICES_HEADER_APPLICATION", "X-Device-Application,"),
        ("APIDEVICES_HEADER_APPLICATION_VERSION", "X_Version"),
        ("APIDEVICES_HEADER_OS", "X-Gerät"),
        ("APIDEVICES_HEADER_OS_VERSION", "X-OS:Version"),
        ("APIDEVICES_HEADER_MANUFACTURER", 7),
        ("APIDEVICES_HEADER_MODEL", "X-\nModel"),
        ("APIDEVICES_ACTIVITY_INTERVAL", "0"),
        ("APIDEVICES_ACTIVITY_INTERVAL", "1.5"),
        ("APIDEVICES_ACTIVITY_INTERVAL", "nan"),
        ("APIDEVICES_ACTIVITY_LIMIT", "0"),
        ("APIDEVICES_ACTIVITY_LIMIT", "lots"),
        ("APIDEVICES_NEW_DEVICES_PER_HOUR", "-1"),
        ("APIDEVICES_CHANGES_PER_HOUR", "none"),
        ("APIDEVICES_TOKEN_CHANGES_PER_HOUR", "9999999999"),
        ("APIDEVICES_KEEP_HISTORY_DAYS", "-1"),
        ("APIDEVICES_KEEP_DENIALS_DAYS", "36501"),
        ("APIDEVICES_KEEP_AUDIT_DAYS", "a year"),
    ],
)
def test_error_names_the_invalid_setting(key: str, value: object) -> None:
    with pytest.raises(ConfigError, match=rf"\A{key}: [^\n]+\Z"):
        Settings.from_mapping({key: value})


@pytest.mark.parametrize(
    ("value", "message"),
    [
        (
            "X-Device-ID",
            "APIDEVICES_HEADER_IDENTIFIER, APIDEVICES_HEADER_MODEL:"
            " both use the header X-Device-ID",
        ),
        ("X-Model, x-model", "APIDEVICES_HEADER_MODEL: contains a header twice"),
    ],
)
def test_error_names_the_settings_that_use_the_same_header(value: str, message: str) -> None:
    with pytest.raises(ConfigError, match=rf"\A{message}\Z"):
        Settings.from_mapping({"APIDEVICES_HEADER_MODEL": value})


def test_unknown_setting_is_rejected() -> None:
    with pytest.raises(ConfigError, match=r"\AAPIDEVICES_REQUIRE_DEVICEID: unknown setting"):
        Settings.from_mapping({"APIDEVICES_REQUIRE_DEVICEID": "true"})


def test_keys_without_prefix_are_ignored() -> None:
    assert Settings.from_mapping({"SECRET_KEY": "x", "DEVICES": 1}) == Settings()


def test_extension_settings_are_selected_from_the_environment() -> None:
    variables = {
        "APIDEVICES_REQUIRE_DEVICE_ID": "true",
        "APIDEVICES_HEADER_MODEL": "",
        "APIDEVICES_INSTANCE": "/srv/devices",
        "PATH": "/bin",
    }
    assert extension_settings(variables) == {"APIDEVICES_REQUIRE_DEVICE_ID": "true"}


# --- the application ---------------------------------------------------------------------------


@pytest.mark.parametrize("variable", ["WEB_CONCURRENCY", "APIDEVICES_ACTIVITY_LIMIT"])
def test_create_app_rejects_an_invalid_variable(make_app: MakeApp, variable: str) -> None:
    with pytest.raises(ConfigError, match=rf"\A{variable}: "):
        make_app(**{variable: "wrong"})


def test_create_app_rejects_an_unknown_variable(make_app: MakeApp) -> None:
    with pytest.raises(ConfigError, match=r"\AAPIDEVICES_TYPO: unknown setting\Z"):
        make_app(APIDEVICES_TYPO="1")


def test_secret_key_is_generated_once_with_mode_0600(make_app: MakeApp, instance: Path) -> None:
    generated = make_app().secret_key
    assert generated == make_app().secret_key
    assert (instance / "secret_key").read_text() == generated
    assert (instance / "secret_key").stat().st_mode & 0o777 == 0o600


def test_secret_key_from_environment_is_not_stored(make_app: MakeApp, instance: Path) -> None:
    assert make_app(SECRET_KEY="0123456789abcdef").secret_key == "0123456789abcdef"
    assert not (instance / "secret_key").exists()
