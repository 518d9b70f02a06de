//! Splits a compound packet and tells its packets apart.

use super::{
    BYE, Bye, EXTENDED_REPORT, FORMAT_APPLICATION, FORMAT_FIR, FORMAT_NACK, FORMAT_PLI,
    FORMAT_TWCC, Fir, Nack, PAYLOAD_FEEDBACK, Pli, RECEIVER_REPORT, ReceiverReport, Remb,
    RtcpError, SDES, SENDER_REPORT, Sdes, SenderReport, TRANSPORT_FEEDBACK, TwccFeedback, Xr,
};

/// One packet of a compound.
#[derive(Debug, Clone)]
pub enum RtcpPacket<'a> {
    /// RFC 3550, section 6.4.1.
    SenderReport(SenderReport<'a>),
    /// RFC 3550, section 6.4.2.
    ReceiverReport(ReceiverReport<'a>),
    /// RFC 3550, section 6.5.
    Sdes(Sdes<'a>),
    /// RFC 3550, section 6.6.
    Bye(Bye<'a>),
    /// RFC 4585, section 6.2.1.
    Nack(Nack<'a>),
    /// draft-holmer-rmcat-transport-wide-cc-extensions-01, section 3.1.
    TransportFeedback(TwccFeedback<'a>),
    /// RFC 4585, section 6.3.1.
    Pli(Pli),
    /// RFC 5104, section 4.3.1.
    Fir(Fir<'a>),
    /// draft-alvestrand-rmcat-remb-03, section 2.2.
    Remb(Remb<'a>),
    /// RFC 3611.
    Xr(Xr<'a>),
    /// APP and everything unknown; to be ignored.
    Other {
        /// The packet type.
        packet_type: u8,
        /// Count or feedback format: the low five bits of the first byte.
        count: u8,
    },
}

/// Iterates over the packets of one datagram, already decrypted.
///
/// Reduced-size compounds are accepted (RFC 5506). A packet whose body is malformed yields an
/// error and the iteration goes on; after an error of the framing it ends.
pub fn parse(datagram: &[u8]) -> Compound<'_> {
    Compound { rest: datagram, started: false }
}

/// Packets of one datagram; see [`parse`].
#[derive(Debug, Clone)]
pub struct Compound<'a> {
    rest: &'a [u8],
    started: bool,
}

impl<'a> Iterator for Compound<'a> {
    type Item = Result<RtcpPacket<'a>, RtcpError>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.rest.is_empty() && self.started {
            return None;
        }
        self.started = true;
        match split_packet(self.rest) {
            Ok((frame, rest)) => {
                self.rest = rest;
                Some(frame.packet())
            }
            Err(error) => {
                self.rest = &[];
                Some(Err(error))
            }
        }
    }
}

/// One packet without its header and padding.
struct Frame<'a> {
    count: u8,
    packet_type: u8,
    body: &'a [u8],
}

fn split_packet(data: &[u8]) -> Result<(Frame<'_>, &[u8]), RtcpError> {
    let &[first, packet_type, len_high, len_low] =
        data.first_chunk().ok_or(RtcpError::Truncated)?;
    if first >> 6 != 2 {
        return Err(RtcpError::Version);
    }
    let len = 4 * (usize::from(u16::from_be_bytes([len_high, len_low])) + 1);
    let (packet, rest) = data.split_at_checked(len).ok_or(RtcpError::Length)?;
    let mut body = packet.get(4..).unwrap_or_default();
    if first & 0x20 != 0 {
        let padding = body.last().copied().map_or(0, usize::from);
        let end = body.len().checked_sub(padding).ok_or(RtcpError::Padding)?;
        if padding == 0 {
            return Err(RtcpError::Padding);
        }
        body = &body[..end];
    }
    Ok((Frame { count: first & 0x1f, packet_type, body }, rest))
}

impl<'a> Frame<'a> {
    fn packet(&self) -> Result<RtcpPacket<'a>, RtcpError> {
        let &Frame { count, packet_type, body } = self;
        let packet = match (packet_type, count) {
            (SENDER_REPORT, _) => SenderReport::parse(count, body)
                .map(RtcpPacket::SenderReport)
                .ok_or("sender report"),
            (RECEIVER_REPORT, _) => ReceiverReport::parse(count, body)
                .map(RtcpPacket::ReceiverReport)
                .ok_or("receiver report"),
            (SDES, _) => Sdes::parse(count, body).map(RtcpPacket::Sdes).ok_or("source description"),
            (BYE, _) => Bye::parse(count, body).map(RtcpPacket::Bye).ok_or("goodbye"),
            (TRANSPORT_FEEDBACK, FORMAT_NACK) => {
                Nack::parse(body).map(RtcpPacket::Nack).ok_or("nack")
            }
            (TRANSPORT_FEEDBACK, FORMAT_TWCC) => TwccFeedback::parse(body)
                .map(RtcpPacket::TransportFeedback)
                .ok_or("transport-wide feedback"),
            (PAYLOAD_FEEDBACK, FORMAT_PLI) => {
                Pli::parse(body).map(RtcpPacket::Pli).ok_or("picture loss indication")
            }
            (PAYLOAD_FEEDBACK, FORMAT_FIR) => {
                Fir::parse(body).map(RtcpPacket::Fir).ok_or("full intra request")
            }
            (PAYLOAD_FEEDBACK, FORMAT_APPLICATION) if Remb::is_remb(body) => {
                Remb::parse(body).map(RtcpPacket::Remb).ok_or("receiver bandwidth estimate")
            }
            (EXTENDED_REPORT, _) => Xr::parse(body).map(RtcpPacket::Xr).ok_or("extended report"),
            _ => Ok(RtcpPacket::Other { packet_type, count }),
        };
        packet.map_err(RtcpError::Body)
    }
}
