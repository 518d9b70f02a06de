//! Checks of single arguments. Every complaint names the argument and the rule.

use std::collections::HashSet;
use std::hash::Hash;
use std::ops::RangeInclusive;

use media_core::api::{ExtensionId, Fingerprint, IceCredentials};
use pyo3::prelude::*;
use pyo3::types::PyInt;
use pyo3::{Borrowed, CastError};

use crate::errors::Error;
use crate::names;

/// A Python int; `None` inside if it is negative or longer than 64 bits.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Int(Option<u64>);

impl Int {
    pub(crate) const fn of(value: u64) -> Int {
        Int(Some(value))
    }
}

impl<'a, 'py> FromPyObject<'a, 'py> for Int {
    type Error = CastError<'a, 'py>;

    fn extract(object: Borrowed<'a, 'py, PyAny>) -> Result<Int, Self::Error> {
        let int = object.cast::<PyInt>()?;
        Ok(Int(int.extract::<u64>().ok()))
    }
}

fn refuse<T>(text: String) -> Result<T, Error> {
    Err(Error::Parameter(text))
}

/// An integer of a range.
pub(crate) fn integer(name: &str, value: Int, range: RangeInclusive<u64>) -> Result<u64, Error> {
    match value.0 {
        Some(value) if range.contains(&value) => Ok(value),
        _ => refuse(format!("{name}: must be {}..={}", range.start(), range.end())),
    }
}

/// An identifier chosen by the caller.
pub(crate) fn id(name: &str, value: Int) -> Result<u64, Error> {
    integer(name, value, 0..=u64::MAX)
}

/// A synchronization source (RFC 3550); 0 is kept out, since Chromium probes with it.
pub(crate) fn ssrc(name: &str, value: Int) -> Result<u32, Error> {
    integer(name, value, 1..=u64::from(u32::MAX)).map(|value| value as u32)
}

/// An RTP payload type.
pub(crate) fn payload_type(name: &str, value: Int) -> Result<u8, Error> {
    integer(name, value, 0..=127).map(|value| value as u8)
}

/// One of a closed set of words.
pub(crate) fn word<T: Copy>(name: &str, text: &str, table: &[(&str, T)]) -> Result<T, Error> {
    table.iter().find(|(word, _)| *word == text).map_or_else(
        || {
            let allowed: Vec<&str> = table.iter().map(|(word, _)| *word).collect();
            refuse(format!("{name}: must be one of {}, not {text:?}", allowed.join(", ")))
        },
        |(_, value)| Ok(*value),
    )
}

/// A text of limited length from an alphabet.
fn text(
    name: &str,
    value: &str,
    length: RangeInclusive<usize>,
    alphabet: &str,
    allowed: fn(char) -> bool,
) -> Result<String, Error> {
    if length.contains(&value.len()) && value.chars().all(allowed) {
        return Ok(value.to_owned());
    }
    // The value is left out: it may be a password.
    refuse(format!("{name}: must be {}..={} {alphabet}", length.start(), length.end()))
}

/// An m-line's identification (RFC 5888 token).
pub(crate) fn mid(value: &str) -> Result<String, Error> {
    let allowed = |c: char| c.is_ascii_graphic() && !"\"(),/:;<=>?@[\\]".contains(c);
    text("mid", value, 1..=32, "token characters (RFC 5888)", allowed)
}

/// A simulcast stream's identification (RFC 8851).
pub(crate) fn rid(value: &str) -> Result<String, Error> {
    let allowed = |c: char| c.is_ascii_alphanumeric() || c == '-' || c == '_';
    text("rid", value, 1..=32, "letters, digits, '-' and '_'", allowed)
}

/// A canonical name (RFC 7022).
pub(crate) fn cname(value: &str) -> Result<String, Error> {
    text("cname", value, 1..=255, "printable ASCII characters", |c| c.is_ascii_graphic())
}

/// An opaque codec variant.
pub(crate) fn variant(value: &str) -> Result<String, Error> {
    text("variant", value, 0..=255, "bytes without control characters", |c| !c.is_control())
}

/// Credentials of one side (RFC 8839, section 5.4).
pub(crate) fn credentials(
    side: &str,
    ufrag: &str,
    password: &str,
) -> Result<IceCredentials, Error> {
    const ALPHABET: &str = "letters, digits, '+' and '/'";
    let allowed = |c: char| c.is_ascii_alphanumeric() || c == '+' || c == '/';
    Ok(IceCredentials {
        ufrag: text(&format!("{side}_ufrag"), ufrag, 4..=256, ALPHABET, allowed)?,
        password: text(&format!("{side}_password"), password, 22..=256, ALPHABET, allowed)?,
    })
}

/// The certificate hashes we can check; others are passed over (RFC 8122, section 5).
pub(crate) fn fingerprints(pairs: &[(String, String)]) -> Result<Vec<Fingerprint>, Error> {
    const NAME: &str = "remote_fingerprints";
    bounded(NAME, pairs.len(), 1..=16)?;
    let mut usable = Vec::new();
    for (algorithm, hex) in pairs {
        let algorithm = algorithm.to_ascii_lowercase();
        let Some((_, length)) = names::DIGEST_BYTES.iter().find(|(name, _)| *name == algorithm)
        else {
            continue;
        };
        match digest(hex) {
            Some(digest) if digest.len() == *length => {
                usable.push(Fingerprint { algorithm, digest });
            }
            _ => return refuse(format!("{NAME}: {algorithm} needs {length} hex bytes")),
        }
    }
    if usable.is_empty() {
        let known: Vec<&str> = names::DIGEST_BYTES.iter().map(|(name, _)| *name).collect();
        return refuse(format!("{NAME}: at least one must be of {}", known.join(", ")));
    }
    Ok(usable)
}

/// Hex pairs, all or none separated by colons.
fn digest(hex: &str) -> Option<Vec<u8>> {
    let byte = |pair: &[u8]| {
        let nibble = |digit: u8| char::from(digit).to_digit(16);
        match pair {
            [high, low] => Some((nibble(*high)? << 4 | nibble(*low)?) as u8),
            _ => None,
        }
    };
    if hex.contains(':') {
        hex.split(':').map(|pair| byte(pair.as_bytes())).collect()
    } else {
        hex.as_bytes().chunks(2).map(byte).collect()
    }
}

/// The header extension table (RFC 8285).
pub(crate) fn extensions(pairs: Vec<(String, Int)>) -> Result<Vec<ExtensionId>, Error> {
    let mut table = Vec::with_capacity(pairs.len());
    for (name, id) in pairs {
        let kind = word("extensions", &name, names::EXTENSIONS)?;
        match integer(&name, id, 1..=255) {
            Ok(id) if id != 15 => table.push(ExtensionId { kind, id: id as u8 }),
            _ => return refuse(format!("extensions: {name} must be 1..=14 or 16..=255")),
        }
    }
    distinct("extensions: ids", table.iter().map(|extension| extension.id))?;
    Ok(table)
}

/// A list's length.
pub(crate) fn bounded(
    name: &str,
    length: usize,
    range: RangeInclusive<usize>,
) -> Result<(), Error> {
    if range.contains(&length) {
        return Ok(());
    }
    refuse(format!("{name}: must have {}..={} entries", range.start(), range.end()))
}

/// Values that must not repeat.
pub(crate) fn distinct<T: Eq + Hash>(
    name: &str,
    values: impl IntoIterator<Item = T>,
) -> Result<(), Error> {
    let mut seen = HashSet::new();
    if values.into_iter().all(|value| seen.insert(value)) {
        return Ok(());
    }
    refuse(format!("{name} must not repeat"))
}
