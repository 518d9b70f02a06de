"""The cryptography of checking, all on public data: digests, curves, RSA.

Slow and plain on purpose. Nothing here keeps a secret, so nothing has to run in constant time.
"""

from __future__ import annotations

import hashlib
import struct
from typing import Any, NamedTuple

__all__ = ["P256", "P384", "SM2", "Curve", "Digests", "PlainSm3", "ecdsa_ok", "ed25519_ok",
           "rsa_ok", "sm2_ok", "sm3"]  # fmt: skip

_WORD = 0xFFFFFFFF


class PlainSm3:
    """SM3 where Python's OpenSSL has none (GB/T 32905-2016); about 0.5 MB/s."""

    def __init__(self) -> None:
        start = "7380166f4914b2b9172442d7da8a0600a96f30bc163138aae38dee4db0fb0e4e"
        self._state = struct.unpack(">8I", bytes.fromhex(start))
        self._rest, self._length = b"", 0

    def update(self, data: bytes) -> None:
        """Takes the next bytes."""
        self._length += len(data)
        data = self._rest + data
        whole = len(data) // 64 * 64
        for at in range(0, whole, 64):
            self._state = _sm3_block(self._state, data[at : at + 64])
        self._rest = data[whole:]

    def hexdigest(self) -> str:
        """64 digits; ends this object's use."""
        bits = self._length * 8
        self.update(b"\x80" + bytes((55 - self._length) % 64) + struct.pack(">Q", bits))
        return struct.pack(">8I", *self._state).hex()


def _sm3_block(state: tuple[int, ...], block: bytes) -> tuple[int, ...]:
    w = list(struct.unpack(">16I", block))
    for j in range(16, 68):
        x = w[j - 16] ^ w[j - 9] ^ _left(w[j - 3], 15)
        w.append(x ^ _left(x, 15) ^ _left(x, 23) ^ _left(w[j - 13], 7) ^ w[j - 6])
    a, b, c, d, e, f, g, h = state
    for j in range(64):
        early = j < 16
        constant = _left(0x79CC4519 if early else 0x7A879D8A, j % 32)
        ss1 = _left((_left(a, 12) + e + constant) & _WORD, 7)
        ff = a ^ b ^ c if early else (a & b) | (a & c) | (b & c)
        gg = e ^ f ^ g if early else (e & f) | (~e & g)
        tt1 = (ff + d + (ss1 ^ _left(a, 12)) + (w[j] ^ w[j + 4])) & _WORD
        tt2 = (gg + h + ss1 + w[j]) & _WORD
        a, b, c, d = tt1, a, _left(b, 9), c
        e, f, g, h = tt2 ^ _left(tt2, 9) ^ _left(tt2, 17), e, _left(f, 19), g
    return tuple(x ^ y for x, y in zip(state, (a, b, c, d, e, f, g, h)))


def _left(word: int, bits: int) -> int:
    return (word << bits | word >> (32 - bits)) & _WORD


def _new_sm3() -> Any:
    try:
        return hashlib.new("sm3")
    except ValueError:
        return PlainSm3()


def sm3(data: bytes) -> bytes:
    """32 bytes."""
    digest = _new_sm3()
    digest.update(data)
    return bytes.fromhex(digest.hexdigest())


class Digests:
    """SHA-256 and SM3 of what is fed."""

    def __init__(self, data: bytes = b"") -> None:
        self._both = (hashlib.sha256(), _new_sm3())
        self.update(data)

    def update(self, data: bytes) -> None:
        """Takes the next bytes."""
        for digest in self._both:
            digest.update(data)

    def hex(self) -> tuple[str, str]:
        """Both in hexadecimal; ends this object's use."""
        return self._both[0].hexdigest(), self._both[1].hexdigest()


class Curve(NamedTuple):
    """y² = x³ + ax + b over a prime field, with a base point of prime order n.

    Points are pairs; ``None`` is the neutral one.
    """

    p: int
    a: int
    b: int
    n: int
    g: tuple[int, int]

    def add(self, left: Any, right: Any) -> Any:
        """The sum of two points."""
        if left is None or right is None:
            return left or right
        (x1, y1), (x2, y2) = left, right
        if x1 == x2 and (y1 + y2) % self.p == 0:
            return None
        if x1 == x2:
            slope = (3 * x1 * x1 + self.a) * pow(2 * y1, -1, self.p)
        else:
            slope = (y2 - y1) * pow(x2 - x1, -1, self.p)
        x = (slope * slope - x1 - x2) % self.p
        return x, (slope * (x1 - x) - y1) % self.p

    def combine(self, u: int, v: int, q: tuple[int, int]) -> Any:
        """u·G + v·Q."""
        total = None
        for bit in range(max(u.bit_length(), v.bit_length()) - 1, -1, -1):
            total = self.add(total, total)
            for scalar, point in ((u, self.g), (v, q)):
                if scalar >> bit & 1:
                    total = self.add(total, point)
        return total

    def point(self, data: bytes) -> tuple[int, int] | None:
        """An uncompressed point (SEC 1, section 2.3.4); ``None`` if it is none of this curve."""
        size = (self.p.bit_length() + 7) // 8
        if len(data) != 1 + 2 * size or data[0] != 4:
            return None
        x, y = int.from_bytes(data[1 : 1 + size], "big"), int.from_bytes(data[1 + size :], "big")
        on_curve = max(x, y) < self.p and (y * y - x**3 - self.a * x - self.b) % self.p == 0
        return (x, y) if on_curve else None


def _curve(*numbers: str) -> Curve:
    p, b, n, x, y = (int(text, 16) for text in numbers)
    return Curve(p, p - 3, b, n, (x, y))


P256 = _curve(
    "ffffffff00000001000000000000000000000000ffffffffffffffffffffffff",
    "5ac635d8aa3a93e7b3ebbd55769886bc651d06b0cc53b0f63bce3c3e27d2604b",
    "ffffffff00000000ffffffffffffffffbce6faada7179e84f3b9cac2fc632551",
    "6b17d1f2e12c4247f8bce6e563a440f277037d812deb33a0f4a13945d898c296",
    "4fe342e2fe1a7f9b8ee7eb4a7c0f9e162bce33576b315ececbb6406837bf51f5",
)
P384 = _curve(
    "ff" * 31 + "feffffffff0000000000000000ffffffff",
    "b3312fa7e23ee7e4988e056be3f82d19181d9c6efe8141120314088f5013875ac656398d8a2ed19d2a85c8edd3ec2aef",
    "ff" * 24 + "c7634d81f4372ddf581a0db248b0a77aecec196accc52973",
    "aa87ca22be8b05378eb1c71ef320ad746e1d3b628ba79b9859f741e082542a385502f25dbf55296c3a545e3872760ab7",
    "3617de4a96262c6f5d9e98bf9292dc29f8f41dbd289a147ce9da3113b5f0b8c00a60b1ce1d7e819d7a431d7c90ea0e5f",
)
SM2 = _curve(
    "fffffffeffffffffffffffffffffffffffffffff00000000ffffffffffffffff",
    "28e9fa9e9d9f5e344d5a9e4bcf6509a7f39789f515ab8f92ddbcbd414d940e93",
    "fffffffeffffffffffffffffffffffff7203df6b21c6052b53bbf40939d54123",
    "32c4ae2c1f1981195f9904466a39c9948fe30bbff2660be1715a4589334c74c7",
    "bc3736a2f4f6779c59bdcee36b692153d0a9877cc62a474002df32e52139f0a0",
)


def ecdsa_ok(curve: Curve, public: bytes, rs: tuple[int, int], digest: bytes) -> bool:
    """FIPS 186-5, section 6.4.2."""
    q, (r, s), n = curve.point(public), rs, curve.n
    if q is None or not 0 < r < n or not 0 < s < n:
        return False
    e = int.from_bytes(digest, "big") >> max(0, 8 * len(digest) - n.bit_length())
    w = pow(s, -1, n)
    found = curve.combine(e * w % n, r * w % n, q)
    return found is not None and found[0] % n == r


def sm2_ok(public: bytes, rs: tuple[int, int], data: bytes, distid: bytes) -> bool:
    """GB/T 32918.2-2016, section 7.1."""
    q, (r, s), n = SM2.point(public), rs, SM2.n
    if q is None or not 0 < r < n or not 0 < s < n or (r + s) % n == 0:
        return False
    parts = (SM2.a, SM2.b, *SM2.g, *q)
    about = struct.pack(">H", 8 * len(distid)) + distid
    e = sm3(sm3(about + b"".join(part.to_bytes(32, "big") for part in parts)) + data)
    found = SM2.combine(s, (r + s) % n, q)
    return found is not None and (int.from_bytes(e, "big") + found[0]) % n == r


def rsa_ok(modulus: int, exponent: int, signature: bytes, algorithm: str, data: bytes) -> bool:
    """RSASSA-PKCS1-v1_5 (RFC 8017, section 8.2.2), keys from 2048 to 8192 bits."""
    size = (max(modulus, 0).bit_length() + 7) // 8
    if not 256 <= size <= 1024 or len(signature) != size or not 2 < exponent < 1 << 33:
        return False
    last = {"sha256": 1, "sha384": 2, "sha512": 3}[algorithm]
    digest = hashlib.new(algorithm, data).digest()
    # AlgorithmIdentifier of the digest, then DigestInfo around both.
    info = bytes.fromhex("300d06096086480165030402") + bytes((last, 5, 0, 4, len(digest))) + digest
    info = bytes((0x30, len(info))) + info
    expected = b"\x00\x01" + b"\xff" * (size - len(info) - 3) + b"\x00" + info
    return (
        pow(int.from_bytes(signature, "big"), exponent, modulus).to_bytes(size, "big") == expected
    )


_P = 2**255 - 19
_L = 2**252 + 27742317777372353535851937790883648493
_D = -121665 * pow(121666, -1, _P) % _P


def ed25519_ok(public: bytes, signature: bytes, data: bytes) -> bool:
    """RFC 8032, section 5.1.7: whether S·B − k·A is R."""
    if len(public) != 32 or len(signature) != 64:
        return False
    a, s = _decompressed(public), int.from_bytes(signature[32:], "little")
    base = _decompressed((4 * pow(5, -1, _P) % _P).to_bytes(32, "little"))
    if a is None or base is None or s >= _L:
        return False
    hashed = hashlib.sha512(signature[:32] + public + data).digest()
    k, minus, total = int.from_bytes(hashed, "little") % _L, (-a[0] % _P, a[1]), (0, 1)
    for bit in range(252, -1, -1):
        total = _edwards_add(total, total)
        for scalar, point in ((s, base), (k, minus)):
            if scalar >> bit & 1:
                total = _edwards_add(total, point)
    return (total[1] | (total[0] & 1) << 255).to_bytes(32, "little") == signature[:32]


def _edwards_add(left: tuple[int, int], right: tuple[int, int]) -> tuple[int, int]:
    """On −x² + y² = 1 + dx²y²; the denominators are never 0."""
    (x1, y1), (x2, y2) = left, right
    t = _D * x1 * x2 * y1 * y2 % _P
    inverse = pow((1 + t) * (1 - t), -1, _P)
    x, y = (x1 * y2 + x2 * y1) * (1 - t), (y1 * y2 + x1 * x2) * (1 + t)
    return x * inverse % _P, y * inverse % _P


def _decompressed(data: bytes) -> tuple[int, int] | None:
    """RFC 8032, section 5.1.3."""
    number = int.from_bytes(data, "little")
    y, sign = number & (1 << 255) - 1, number >> 255
    square = (y * y - 1) * pow(_D * y * y + 1, -1, _P) % _P
    x = pow(square, (_P + 3) // 8, _P)
    if (x * x - square) % _P:
        x = x * pow(2, (_P - 1) // 4, _P) % _P
    if y >= _P or (x * x - square) % _P or (x == 0 and sign):
        return None
    return (_P - x if x & 1 != sign else x), y
