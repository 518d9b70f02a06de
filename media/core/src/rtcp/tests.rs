mod malformed;
mod reports;
mod requests;
mod twcc;

use super::*;

/// The single packet in `data`.
fn only(data: &[u8]) -> Result<RtcpPacket<'_>, RtcpError> {
    let mut packets = parse(data);
    let packet = packets.next().expect("an empty datagram is an error");
    assert!(packets.next().is_none());
    packet
}
