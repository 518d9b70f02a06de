"""Paths of certificates: who may certify whom, and when."""

from datetime import UTC, datetime, timedelta

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import NameOID

from witness_verify.asn1 import Certificate, check_path
from witness_verify.failure import Failure

NOW = datetime(2026, 6, 1, tzinfo=UTC)
DAY = timedelta(days=1)


class Holder:
    """A name with a key, certified by another or by itself."""

    def __init__(
        self,
        name: str,
        issuer: "Holder | None" = None,
        *,
        ca: bool = True,
        signs: bool = True,
        days: tuple[int, int] = (-9, 9),
    ) -> None:
        self.key = Ed25519PrivateKey.generate()
        self.name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
        by = issuer or self
        usage = x509.KeyUsage(
            digital_signature=True,
            content_commitment=False,
            key_encipherment=False,
            data_encipherment=False,
            key_agreement=False,
            key_cert_sign=signs,
            crl_sign=False,
            encipher_only=False,
            decipher_only=False,
        )
        built = (
            x509.CertificateBuilder()
            .subject_name(self.name)
            .issuer_name(by.name)
            .public_key(self.key.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(NOW + days[0] * DAY)
            .not_valid_after(NOW + days[1] * DAY)
            .add_extension(x509.BasicConstraints(ca=ca, path_length=None), critical=True)
            .add_extension(usage, critical=True)
            .sign(by.key, None)
        )
        self.certificate = Certificate(built.public_bytes(Encoding.DER))


def test_a_path_leads_over_an_authority_to_a_trusted_root() -> None:
    root = Holder("root")
    middle = Holder("middle", root)
    leaf = Holder("leaf", middle, ca=False)
    chain = [leaf.certificate, middle.certificate]
    assert check_path(chain, [root.certificate], NOW)
    assert check_path(chain, [middle.certificate], NOW)
    assert check_path(chain, [leaf.certificate], NOW)
    assert not check_path(chain, [Holder("other").certificate], NOW)
    assert not check_path(chain, [], NOW)
    assert not check_path(chain[:1], [root.certificate], NOW)


def test_who_may_not_certify_does_not() -> None:
    root = Holder("root")
    for wrong in (Holder("middle", root, ca=False), Holder("middle", root, signs=False)):
        leaf = Holder("leaf", wrong)
        with pytest.raises(Failure, match="was not issued"):
            check_path([leaf.certificate, wrong.certificate], [root.certificate], NOW)


def test_a_name_alone_certifies_nothing() -> None:
    leaf = Holder("leaf", Holder("root"))
    with pytest.raises(Failure, match="was not issued"):
        check_path([leaf.certificate], [Holder("root").certificate], NOW)


def test_one_of_two_keys_of_a_name_does_not_vouch_for_the_other() -> None:
    mine, other = Holder("bank"), Holder("bank")
    assert check_path([mine.certificate], [mine.certificate], NOW)
    assert not check_path([mine.certificate], [other.certificate], NOW)
    leaf = Holder("leaf", mine, ca=False)
    for trusted in ([mine, other], [other, mine]):
        assert check_path([leaf.certificate], [one.certificate for one in trusted], NOW)


@pytest.mark.parametrize("which", ["root", "middle", "leaf"])
@pytest.mark.parametrize("days", [(-9, -1), (1, 9)])
def test_all_on_the_path_were_valid_then(which: str, days: tuple[int, int]) -> None:
    spans = dict.fromkeys(("root", "middle", "leaf"), (-9, 9)) | {which: days}
    root = Holder("root", days=spans["root"])
    middle = Holder("middle", root, days=spans["middle"])
    leaf = Holder("leaf", middle, days=spans["leaf"])
    with pytest.raises(Failure, match="not valid at"):
        check_path([leaf.certificate, middle.certificate], [root.certificate], NOW)


def test_two_that_certify_each_other_lead_nowhere() -> None:
    first = Holder("first")
    second = Holder("second", first)
    again = Holder("first", second)
    chain = [second.certificate, again.certificate] * 20
    with pytest.raises(Failure, match="was not issued"):
        check_path(chain, [Holder("root").certificate], NOW)
