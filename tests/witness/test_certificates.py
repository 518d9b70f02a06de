import ipaddress
import ssl
import stat
from pathlib import Path

import pytest
from cryptography import x509

from witness.certificates import MAX_DAYS, create_certificate, server_context
from witness.errors import StartError, UsageError


def make(tmp_path: Path, *hosts: str, days: int = 30) -> tuple[Path, Path]:
    cert, key = tmp_path / "c.pem", tmp_path / "k.pem"
    create_certificate(hosts or ("lan.example",), days, cert, key)
    return cert, key


def test_key_is_readable_by_the_owner_only(tmp_path: Path) -> None:
    _, key = make(tmp_path)
    assert stat.S_IMODE(key.stat().st_mode) == 0o600


def test_certificate_names_hosts_and_addresses(tmp_path: Path) -> None:
    cert, _ = make(tmp_path, "lan.example", "192.0.2.1", "2001:db8::1")
    parsed = x509.load_pem_x509_certificate(cert.read_bytes())
    names = parsed.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    assert names.get_values_for_type(x509.DNSName) == ["lan.example"]
    assert names.get_values_for_type(x509.IPAddress) == [
        ipaddress.ip_address("192.0.2.1"),
        ipaddress.ip_address("2001:db8::1"),
    ]


def test_server_speaks_tls_with_it(tmp_path: Path) -> None:
    context = server_context(*make(tmp_path))
    assert context.minimum_version is ssl.TLSVersion.TLSv1_2


@pytest.mark.parametrize("days", [0, -1, MAX_DAYS + 1])
def test_validity_browsers_refuse_is_refused(tmp_path: Path, days: int) -> None:
    with pytest.raises(UsageError, match="--days"):
        make(tmp_path, days=days)
    assert list(tmp_path.iterdir()) == []


def test_existing_files_are_kept(tmp_path: Path) -> None:
    cert, key = make(tmp_path)
    before = key.read_bytes()
    with pytest.raises(UsageError, match="exists"):
        make(tmp_path)
    cert.unlink()
    with pytest.raises(UsageError, match="exists"):
        make(tmp_path)
    assert key.read_bytes() == before


def test_host_that_is_no_name_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="neither a host name nor an IP address"):
        make(tmp_path, "银行.example")


def test_unusable_files_are_named(tmp_path: Path) -> None:
    cert, key = make(tmp_path)
    with pytest.raises(StartError, match=r"none\.pem"):
        server_context(tmp_path / "none.pem", key)
    cert.write_text("not PEM")
    with pytest.raises(StartError, match="PEM"):
        server_context(cert, key)
