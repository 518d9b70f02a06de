//! Source descriptions and goodbyes (RFC 3550, sections 6.5 and 6.6).

use super::{BYE, MAX_COUNT, RtcpError, SDES, begin, finish, put_u32};
use crate::rtp::bytes::u32_at;

const CNAME: u8 = 1;

/// Names of sources.
#[derive(Debug, Clone)]
pub struct Sdes<'a> {
    count: u8,
    body: &'a [u8],
}

impl<'a> Sdes<'a> {
    pub(super) fn parse(count: u8, body: &'a [u8]) -> Option<Sdes<'a>> {
        let mut rest = body;
        for _ in 0..count {
            rest = split_chunk(rest)?.rest;
        }
        Some(Sdes { count, body })
    }

    /// Each source with its canonical name; sources without one are left out.
    pub fn cnames(&self) -> impl Iterator<Item = (u32, &'a [u8])> + use<'a> {
        let mut rest = self.body;
        (0..self.count)
            .map_while(move |_| {
                let chunk = split_chunk(rest)?;
                rest = chunk.rest;
                Some(chunk)
            })
            .filter_map(|chunk| Some((chunk.ssrc, chunk.cname?)))
    }
}

struct Chunk<'a> {
    ssrc: u32,
    cname: Option<&'a [u8]>,
    rest: &'a [u8],
}

/// Splits off one chunk: an SSRC, items, at least one zero, zeros up to a multiple of four.
fn split_chunk(data: &[u8]) -> Option<Chunk<'_>> {
    let ssrc = u32_at(data, 0)?;
    let mut cname = None;
    let mut at = 4;
    loop {
        let item = *data.get(at)?;
        if item == 0 {
            let end = (at + 1).next_multiple_of(4);
            return Some(Chunk { ssrc, cname, rest: data.get(end..)? });
        }
        let len = usize::from(*data.get(at + 1)?);
        let text = data.get(at + 2..at + 2 + len)?;
        if item == CNAME && cname.is_none() {
            cname = Some(text);
        }
        at += 2 + len;
    }
}

/// Sources that leave.
#[derive(Debug, Clone)]
pub struct Bye<'a> {
    ssrcs: &'a [u8],
    /// Text for people; rarely there.
    pub reason: Option<&'a [u8]>,
}

impl<'a> Bye<'a> {
    pub(super) fn parse(count: u8, body: &'a [u8]) -> Option<Bye<'a>> {
        let (ssrcs, rest) = body.split_at_checked(4 * usize::from(count))?;
        let reason = match rest.split_first() {
            Some((&len, text)) => Some(text.get(..len.into())?),
            None => None,
        };
        Some(Bye { ssrcs, reason })
    }

    /// The sources.
    pub fn ssrcs(&self) -> impl Iterator<Item = u32> + use<'a> {
        self.ssrcs.chunks_exact(4).filter_map(|chunk| u32_at(chunk, 0))
    }
}

/// Appends a source description with the canonical name of each source.
///
/// One packet per source: receivers exist that misread the end of a chunk that others follow, and
/// throw the reports in the same compound away with it.
///
/// # Errors
///
/// [`RtcpError::TooLong`] for a name above 255 bytes; nothing is then appended.
pub fn write_cnames(out: &mut Vec<u8>, sources: &[(u32, &str)]) -> Result<(), RtcpError> {
    if sources.iter().any(|(_, cname)| cname.len() > 255) {
        return Err(RtcpError::TooLong("cname"));
    }
    for (ssrc, cname) in sources {
        let start = begin(out, 1, SDES);
        put_u32(out, *ssrc);
        out.extend_from_slice(&[CNAME, cname.len() as u8]);
        out.extend_from_slice(cname.as_bytes());
        // At least one zero byte ends the list of items (RFC 3550, section 6.5).
        let padding = 4 - (out.len() - start) % 4;
        out.resize(out.len() + padding, 0);
        finish(out, start);
    }
    Ok(())
}

/// Appends goodbyes of the sources, 31 to a packet, each with the reason if it is not empty.
///
/// # Errors
///
/// [`RtcpError::TooLong`] for a reason above 255 bytes; nothing is then appended.
pub fn write_bye(out: &mut Vec<u8>, ssrcs: &[u32], reason: &str) -> Result<(), RtcpError> {
    let reason_len = u8::try_from(reason.len()).map_err(|_| RtcpError::TooLong("reason"))?;
    for ssrcs in ssrcs.chunks(MAX_COUNT) {
        let start = begin(out, ssrcs.len() as u8, BYE);
        for ssrc in ssrcs {
            put_u32(out, *ssrc);
        }
        if reason_len > 0 {
            out.push(reason_len);
            out.extend_from_slice(reason.as_bytes());
        }
        finish(out, start);
    }
    Ok(())
}
