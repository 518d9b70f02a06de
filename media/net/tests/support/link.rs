//! What carries a participant's datagrams.

use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpStream, UdpSocket};
use std::time::Duration;

use media_core::framing::{Deframer, prefix};

use super::{PATIENCE, client};

/// A connected socket that keeps datagrams apart.
pub trait Link {
    fn send(&self, datagram: &[u8]);
    /// The next datagram's length; an error after the timeout.
    fn receive(&mut self, buffer: &mut [u8]) -> io::Result<usize>;
    fn set_timeout(&mut self, timeout: Duration);
}

impl Link for UdpSocket {
    fn send(&self, datagram: &[u8]) {
        UdpSocket::send(self, datagram).unwrap();
    }

    fn receive(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.recv(buffer)
    }

    fn set_timeout(&mut self, timeout: Duration) {
        self.set_read_timeout(Some(timeout)).unwrap();
    }
}

/// A connection with the framing of RFC 4571.
pub struct TcpLink {
    pub stream: TcpStream,
    deframer: Deframer,
    frames: std::collections::VecDeque<Vec<u8>>,
}

impl TcpLink {
    pub fn connect(server: SocketAddr) -> TcpLink {
        TcpLink::new(TcpStream::connect(server).unwrap())
    }

    pub fn new(stream: TcpStream) -> TcpLink {
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        stream.set_nodelay(true).unwrap();
        TcpLink { stream, deframer: Deframer::default(), frames: Default::default() }
    }

    /// Waits for the end of the connection; anything else is a failure.
    pub fn expect_end(&mut self) {
        match self.stream.read(&mut [0; 2_048]) {
            Ok(0) => {}
            Err(error) if error.kind() == io::ErrorKind::ConnectionReset => {}
            other => panic!("not closed: {other:?}"),
        }
    }
}

impl Link for TcpLink {
    fn send(&self, datagram: &[u8]) {
        let frame = [&prefix(datagram.len()).unwrap(), datagram].concat();
        (&self.stream).write_all(&frame).unwrap();
    }

    fn receive(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        while self.frames.is_empty() {
            let mut piece = [0; 4_096];
            let length = self.stream.read(&mut piece)?;
            if length == 0 {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
            let frames = &mut self.frames;
            let take = |frame: &mut [u8]| frames.push_back(frame.to_vec());
            self.deframer.push(&mut piece[..length], take).unwrap();
        }
        let frame = self.frames.pop_front().unwrap();
        buffer[..frame.len()].copy_from_slice(&frame);
        Ok(frame.len())
    }

    fn set_timeout(&mut self, timeout: Duration) {
        self.stream.set_read_timeout(Some(timeout)).unwrap();
    }
}

impl Link for Box<dyn Link> {
    fn send(&self, datagram: &[u8]) {
        (**self).send(datagram);
    }

    fn receive(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        (**self).receive(buffer)
    }

    fn set_timeout(&mut self, timeout: Duration) {
        (**self).set_timeout(timeout);
    }
}

/// A UDP socket connected to the server.
pub fn udp(server: SocketAddr) -> UdpSocket {
    let socket = client(server);
    socket.connect(server).unwrap();
    socket
}
